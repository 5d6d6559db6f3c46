//! Findings about the hosts: lost, behind, alone, or divided.

use chrono::{DateTime, Utc};

use super::{Reads, behind, replica, without_tables};
use crate::domain::database::{ApiOn, FAR_BEHIND, Host, HostRole, HostState};
use crate::domain::divided::{Divided, divided};
use crate::domain::finding::{Finding, FindingKind, Severity};
use crate::domain::id::EntityKind;
use crate::domain::matter;

/// Faults of the hosts.
#[must_use]
pub fn findings(hosts: &[Host], api: Option<&ApiOn>, reads: &Reads) -> Vec<Finding> {
    let mut found = Vec::new();
    if hosts.iter().any(|host| host.state == HostState::Unknown) {
        // Half of it would be told wrong.
        return found;
    }
    let primaries: Vec<&Host> = hosts
        .iter()
        .filter(|host| host.standing().is_some_and(|it| it.role == HostRole::Primary))
        .collect();
    let reads = reads.words(hosts);
    let divided = divided(hosts, api);
    if let Some(divided) = divided {
        found.push(divided_finding(divided, hosts));
    }
    for (index, host) in hosts.iter().enumerate() {
        match &host.state {
            // A lost newer primary is in the finding about the older one already.
            HostState::Lost { .. } if matches!(divided, Some(Divided::OlderPrimary { newer: Some(newer), .. }) if newer == index) =>
                {}
            HostState::Lost { since, was, .. } => {
                let severity = match primaries.is_empty() {
                    true => Severity::Critical,
                    false => Severity::Warning,
                };
                let next = match replica(hosts).filter(|_| primaries.is_empty()) {
                    Some((replica, it)) if *was != Some(HostRole::Replica) && !it.follows => {
                        format!("; bring it back, or promote {}", replica.name)
                    }
                    // It keeps its replicas' connections: it hangs, or only this console doesn't get to it.
                    Some((replica, _)) if *was != Some(HostRole::Replica) => format!(
                        "; look whether it hangs: have it go on, or stop it for good before {} is promoted",
                        replica.name
                    ),
                    _ => String::new(),
                };
                let was = was.map_or_else(String::new, |was| format!("was {} and ", was.word()));
                let what = format!(
                    "{} {was}is lost since {}; {reads}{next}",
                    host.name,
                    since.format("%Y-%m-%d %H:%MZ")
                );
                found.push(finding(
                    FindingKind::DatabaseLost,
                    matter::LOST,
                    severity,
                    host,
                    what,
                    Some(*since),
                ));
            }
            // The console's own finding about all of them.
            HostState::NoTables(_) if without_tables(hosts).is_some() => {}
            HostState::Unfit(why) | HostState::NoTables(why) => {
                let tables = match &host.state {
                    HostState::NoTables(_) => "its tables aren't there; ",
                    _ => "",
                };
                let what = format!("{} is not read: {tables}{why}; {reads}", host.name);
                found.push(finding(
                    FindingKind::DatabaseLost,
                    matter::NOT_READ,
                    Severity::Warning,
                    host,
                    what,
                    None,
                ));
            }
            HostState::Up(it) if it.role == HostRole::Replica => {
                let what = match it.follows {
                    false if !primaries.is_empty() => {
                        format!(
                            "{} is a replica that follows nobody: what is changed doesn't reach it",
                            host.name
                        )
                    }
                    _ if it.behind_ms > FAR_BEHIND.num_milliseconds() => {
                        format!("{} is a replica and {}", host.name, behind(it.behind_ms))
                    }
                    _ => continue,
                };
                found.push(finding(
                    FindingKind::ReplicaBehind,
                    matter::BEHIND,
                    Severity::Warning,
                    host,
                    what,
                    None,
                ));
            }
            HostState::Up(_) | HostState::Unknown => {}
        }
    }
    found
}

/// Before everything else, a sealed Vault too: nothing can be changed anywhere.
fn divided_finding(divided: Divided, hosts: &[Host]) -> Finding {
    let (kind, matter, at) = match divided {
        Divided::TwoPrimaries { first, .. } => (FindingKind::TwoPrimaries, matter::TWO_PRIMARIES, first),
        Divided::ApiElsewhere { primary, .. } | Divided::ApiCutOff { primary } => {
            (FindingKind::ApiElsewhere, matter::API_ELSEWHERE, primary)
        }
        Divided::ApiOnLost { api, .. } => (FindingKind::ApiElsewhere, matter::API_ELSEWHERE, api),
        Divided::OlderPrimary { newer, primary, .. } => {
            (FindingKind::DatabaseLost, matter::LOST, newer.unwrap_or(primary))
        }
    };
    let what = format!(
        "No change goes out: {}. {}",
        divided.what(hosts),
        divided.next(hosts)
    );
    let since = match &hosts[at].state {
        HostState::Lost { since, .. } => Some(*since),
        _ => None,
    };
    Finding {
        risk: i64::MAX / 2 + 1,
        ..finding(kind, matter, Severity::Critical, &hosts[at], what, since)
    }
}

fn finding(
    kind: FindingKind,
    matter: &str,
    severity: Severity,
    host: &Host,
    what: String,
    since: Option<DateTime<Utc>>,
) -> Finding {
    Finding {
        kind,
        severity,
        // Before all others of its severity but a sealed Vault.
        risk: i64::MAX / 4,
        entity: EntityKind::Database,
        entity_id: host.name.clone(),
        version: 0,
        subject: host.name.clone(),
        host: None,
        agent: None,
        matter: matter.to_owned(),
        what,
        since,
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
        answer: None,
        answer_for: Vec::new(),
        under_way: false,
    }
}
