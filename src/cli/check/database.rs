//! `config check` of the database that a console reads itself: each of its hosts, and its password.

use super::line::{Line, Verdict, failed_line, line};
use crate::console::backends::Backends;
use crate::domain::database::{Host, HostRole, HostState};
use crate::domain::divided::divided;
use crate::domain::secret::Secret;
use crate::plan::one_database::api_on;
use crate::state::databases::words;

/// The database's lines; none where the context gives none.
pub(super) async fn database(backends: &Backends, password: &Result<Option<Secret>, String>) -> Vec<Line> {
    let Some(hosts) = &backends.reads.hosts else {
        return Vec::new();
    };
    let (hosts, ready) = tokio::join!(hosts.look_once(), backends.reads.api.ready());
    let mut lines: Vec<Line> = hosts.iter().map(host).collect();
    let api = ready.ok().map(|ready| api_on(&ready, backends.reads.local_now()));
    lines.extend(divided(&hosts, api.as_ref()).map(|divided| {
        // Another check does here what a key does in a console.
        let next = divided.next(&hosts).replace("press ctrl-r here", "check again");
        let words = format!("{} (hint: {next})", divided.what(&hosts));
        failed_line("database", "is one".to_owned(), words)
    }));
    if let Err(why) = password {
        lines.push(failed_line(
            "database",
            "password".to_owned(),
            format!("there is none: {why}"),
        ));
    }
    lines
}

fn host(host: &Host) -> Line {
    let (verdict, words) = match &host.state {
        HostState::Up(standing) if standing.role == HostRole::Replica && !standing.follows => {
            (Verdict::Look, words(host, false))
        }
        HostState::Up(_) if host.unchecked.is_some() => (
            Verdict::Look,
            format!(
                "{} (hint: `sslmode = \"verify-full\"`, and `ca` for a CA of your own)",
                words(host, false)
            ),
        ),
        HostState::Up(_) => (Verdict::Ok, words(host, false)),
        HostState::Unfit(why) => (Verdict::Failed, why.clone()),
        HostState::NoTables(next) => (Verdict::Failed, format!("its tables aren't there: {next}")),
        HostState::Lost { why, .. } => (Verdict::Failed, why.clone()),
        HostState::Unknown => (Verdict::Failed, "no answer".to_owned()),
    };
    line("database", host.name.clone(), verdict, words)
}
