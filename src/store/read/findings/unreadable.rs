//! Places where something lies that the agent can't read.

use chrono::{DateTime, Duration, Utc};

use super::installations::{AtPlace, agent_says};
use super::words::name;
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity};
use crate::domain::matter;
use crate::store::findings::InUse;

/// True if an agent's words say that something is at a path and can't be read; they begin with the reason.
pub(super) fn is_unread(why: &str) -> bool {
    !why.starts_with("nothing is at ") && !why.starts_with("the agent knows of nothing")
}

/// Sorts of what is no plain file, in the words of agents.
const SORTS: [&str; 4] = ["FIFO", "directory", "socket", "device"];

/// Something is at the path that holds no certificate, or none that the agent can read. What is served is another
/// matter: a server keeps what it has loaded.
pub(super) fn unreadable(it: &InUse, why: &str, now: DateTime<Utc>) -> Finding {
    let name = name(&it.subject);
    let is_served = it.served_sha256.as_deref() == Some(it.expected_sha256.as_str());
    let served = match &it.served_sha256 {
        Some(_) if is_served => "the certificate is still served, until the next reload",
        Some(_) => "another certificate is served",
        None => "what is served isn't known",
    };
    let sort = why
        .split_once("it is a ")
        .and_then(|(_, is)| is.split_once(", not a plain file"))
        .map(|(is, _)| is)
        .filter(|is| SORTS.contains(is));
    let holds = match sort {
        Some(is) => format!("{name}'s path holds no plain file (it is a {is})"),
        None => format!("{name}'s file can't be read"),
    };
    let failed = match it.install_failed {
        true => "; the last installation failed",
        false => "",
    };
    let severity = match is_served {
        true => Severity::Warning,
        false => Severity::Critical,
    };
    let facts = RiskFacts {
        due: Some(now + Duration::hours(1)),
        agent_silent: it.agent_silent(now),
        served: is_served,
        n_hosts: 1,
        ..RiskFacts::default()
    };
    let finding = AtPlace {
        kind: FindingKind::NotServed,
        severity,
        matter: matter::NOT_READABLE,
        said: sort.is_none().then(|| agent_says(why)),
        what: format!("{holds}; {served}{failed}, on {} at {}", it.hostname, it.path),
        due: None,
        risk: facts,
        answer: Some("checkin"),
    };
    finding.of(it, now)
}
