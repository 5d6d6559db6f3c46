//! The database's hosts as a screen shows them: in words, as one link, and as findings. Where a screen was read is a
//! fact of its answers ([`Reads`]), and not whom one would ask first.

use chrono::{DateTime, Utc};

use super::link::Link;
use super::loaded::Loaded;
use super::query::Answer;
use crate::domain::database::{
    ApiOn, FAR_BEHIND, Host, HostRole, HostState, ReadFrom, Source, Standing, has_two_primaries, sources,
};
use crate::domain::divided::{Divided, divided};
use crate::domain::finding::{Finding, FindingKind, Severity};
use crate::domain::id::EntityKind;
use crate::domain::link::LinkState;
use crate::domain::listed;
use crate::domain::matter;

/// Where the screen is read from.
#[must_use]
pub fn reads_from(hosts: &[Host]) -> Source {
    sources(hosts).first().copied().unwrap_or(Source::Api)
}

/// The host that is read, with its number.
fn read(hosts: &[Host]) -> Option<(&Host, &Standing)> {
    match reads_from(hosts) {
        Source::Host(index) => hosts.get(index).and_then(|host| Some((host, host.standing()?))),
        Source::Api => None,
    }
}

/// The replica that is least behind, however far that is.
fn replica(hosts: &[Host]) -> Option<(&Host, &Standing)> {
    let up = hosts.iter().filter_map(|host| Some((host, host.standing()?)));
    let replicas = up.filter(|(_, it)| it.role == HostRole::Replica);
    replicas.min_by_key(|(_, it)| it.behind_ms)
}

/// Words for those that can't be read: `lost: db-1; not read: db-2`. One that answers isn't lost.
fn unread(hosts: &[Host]) -> Option<String> {
    let named = |word: &str, is: fn(&HostState) -> bool| {
        let names = hosts.iter().filter(|host| is(&host.state));
        let names: Vec<&str> = names.map(|host| host.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
    };
    let words: Vec<String> = [
        named("lost", |it| matches!(it, HostState::Lost { .. })),
        named("not read", |it| matches!(it, HostState::Unfit(_))),
        named("without tables", |it| matches!(it, HostState::NoTables(_))),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// True if a host answers that can't be read.
fn any_answers_unread(hosts: &[Host]) -> bool {
    let mut states = hosts.iter().map(|host| &host.state);
    states.any(|it| matches!(it, HostState::Unfit(_) | HostState::NoTables(_)))
}

/// Hosts that answer and have no tables, with what to do, where no other host has them either.
#[must_use]
pub fn without_tables(hosts: &[Host]) -> Option<(String, &str)> {
    if hosts.iter().any(|host| host.standing().is_some()) {
        return None;
    }
    let bare = hosts.iter().filter_map(|host| match &host.state {
        HostState::NoTables(next) => Some((host.name.as_str(), next.as_str())),
        _ => None,
    });
    let (names, next): (Vec<&str>, Vec<&str>) = bare.unzip();
    Some((names.join(", "), next.first()?))
}

/// How old what a replica shows is, in coarse words, so that a screen at rest stays at rest.
#[must_use]
pub fn behind(ms: i64) -> String {
    match ms {
        0 => "0 s behind".to_owned(),
        1..1000 => "<1 s behind".to_owned(),
        1000..120_000 => format!("{} s behind", ms / 1000),
        _ => format!("{} min behind", ms / 60_000),
    }
}

/// Words for what can't be read at a host in time.
fn late(host: &Host) -> Option<String> {
    let what: Vec<&str> = host.late.iter().copied().collect();
    (!what.is_empty()).then(|| {
        format!(
            "slow: no answer to reads of {} within 3 s",
            listed::first(&what, 2)
        )
    })
}

/// What a host says of itself, or why it can't be read; `is_read` is the one that the screen shows.
#[must_use]
pub fn words(host: &Host, is_read: bool) -> String {
    let said = match &host.state {
        HostState::Unknown => String::new(),
        HostState::Up(it) => match (it.role, it.follows) {
            (HostRole::Primary, _) => "primary".to_owned(),
            (HostRole::Replica, true) => format!("replica, {}", behind(it.behind_ms)),
            (HostRole::Replica, false) => {
                let until = it.last_change.map_or_else(String::new, |at| {
                    format!("; its last change is of {}", at.format("%Y-%m-%d %H:%M:%SZ"))
                });
                format!("replica, follows nobody{until}")
            }
        },
        HostState::Unfit(why) => why.clone(),
        HostState::NoTables(next) => format!("its tables aren't there: {next}"),
        HostState::Lost { since, why, was } => {
            let was = was.map_or("", HostRole::word);
            let was = if was.is_empty() {
                String::new()
            } else {
                format!("was {was}, ")
            };
            format!("{was}lost since {}: {why}", since.format("%Y-%m-%d %H:%M:%SZ"))
        }
    };
    let read = if is_read { "; read here" } else { "" };
    let late = late(host).map_or_else(String::new, |it| format!("; {it}"));
    // Of one that refuses us there is more to say than whether it is who it should be.
    let unchecked = host.unchecked.filter(|_| host.standing().is_some());
    let unchecked = unchecked.map_or_else(String::new, |it| format!("; {it}"));
    format!("{said}{read}{late}{unchecked}")
}

/// Place where the rows of a screen were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// No answer came yet.
    NotYet,
    /// There: of several places the one that is behind the others.
    From {
        /// The place.
        from: ReadFrom,
        /// True if what it had is older than what was shown before.
        older: bool,
    },
    /// Nobody had an answer to what was asked last; what is shown is of an earlier moment.
    Nobody,
}

impl Reads {
    /// Place where these answers were read.
    pub fn of<'a>(answers: impl Iterator<Item = &'a Loaded<Answer>>) -> Self {
        let mut reads = Self::NotYet;
        for loaded in answers {
            if loaded.trouble.is_some() {
                return Self::Nobody;
            }
            let Some(from) = loaded.from.as_ref().filter(|_| loaded.value.is_some()) else {
                continue;
            };
            let here = Self::From {
                from: from.clone(),
                older: loaded.is_older(),
            };
            if here.rank() > reads.rank() {
                reads = here;
            }
        }
        reads
    }

    /// Weight of what there is to say: of the primary nothing, of the replica that is furthest behind the most.
    fn rank(&self) -> (u8, bool, i64) {
        match self {
            Self::NotYet => (0, false, 0),
            Self::From { from, older } => match from {
                ReadFrom::Host { standing, .. } if standing.role == HostRole::Primary => (1, *older, 0),
                ReadFrom::Api => (2, *older, 0),
                ReadFrom::Host { standing, .. } => (3, *older, standing.behind_ms),
            },
            Self::Nobody => (4, false, 0),
        }
    }

    /// The half sentence about it in a finding.
    fn words(&self, hosts: &[Host]) -> String {
        match self {
            Self::NotYet => "nothing was read yet".to_owned(),
            Self::From { from, older } => {
                let place = match from {
                    ReadFrom::Api => "through the API".to_owned(),
                    ReadFrom::Host { name, standing } if standing.role == HostRole::Replica => {
                        let as_now = standing_of(hosts, name).unwrap_or(standing);
                        let behind = match as_now.behind_ms {
                            0..=BARELY => String::new(),
                            ms => format!(", {}", behind(ms)),
                        };
                        format!("from replica {name}{behind}")
                    }
                    ReadFrom::Host { name, standing } => format!("from {} {name}", standing.role.word()),
                };
                let older = if *older { ", older than what was shown" } else { "" };
                format!("this screen is read {place}{older}")
            }
            Self::Nobody if any_answers_unread(hosts) => {
                "neither a host nor the API gives what is asked, and this screen stays as it was".to_owned()
            }
            Self::Nobody => {
                "neither a host nor the API has an answer, and this screen stays as it was".to_owned()
            }
        }
    }
}

/// A replica that is working is so many milliseconds behind.
const BARELY: i64 = 2000;

fn standing_of<'a>(hosts: &'a [Host], name: &str) -> Option<&'a Standing> {
    hosts.iter().find(|host| host.name == name)?.standing()
}

/// What the screen's title says of where it is read from, where it is not the primary.
#[must_use]
pub fn note(hosts: &[Host], reads: &Reads) -> Option<String> {
    if hosts.is_empty() || hosts.iter().any(|host| host.state == HostState::Unknown) {
        return None;
    }
    match reads {
        Reads::NotYet => None,
        Reads::From {
            from: ReadFrom::Host { standing, .. },
            ..
        } if standing.role == HostRole::Primary => None,
        Reads::From {
            from: ReadFrom::Host { name, standing },
            older,
        } => {
            // Its distance is seen with each look; the rows on screen are at least as new.
            let standing = standing_of(hosts, name).unwrap_or(standing);
            // Against what it would be behind is lost too: how old it is, its last change says.
            let age = match standing.last_change {
                Some(at) if !standing.follows || (standing.behind_ms == 0 && !has_primary(hosts)) => {
                    format!("last change {}", at.format("%H:%MZ"))
                }
                _ => behind(standing.behind_ms),
            };
            let older = if *older { ", older than shown before" } else { "" };
            Some(format!("from replica {name}, {age}{older}"))
        }
        Reads::From {
            from: ReadFrom::Api, ..
        } if has_two_primaries(hosts) => Some("two primaries, read through the API".to_owned()),
        Reads::From {
            from: ReadFrom::Api, ..
        } if has_primary(hosts) => None,
        Reads::From {
            from: ReadFrom::Api, ..
        } => Some("database lost, through the API".to_owned()),
        Reads::Nobody if without_tables(hosts).is_some() => {
            Some("the database's tables aren't there".to_owned())
        }
        Reads::Nobody if any_answers_unread(hosts) => {
            Some("can't be read from any host or the API".to_owned())
        }
        Reads::Nobody => Some("no answer from any host or the API".to_owned()),
    }
}

fn has_primary(hosts: &[Host]) -> bool {
    let mut up = hosts.iter().filter_map(Host::standing);
    up.any(|it| it.role == HostRole::Primary)
}

/// The database as one link of the header, by the console's own look alone: what the API says of the one that it is
/// on may be about another one. None where the context gives no database.
#[must_use]
pub fn link(hosts: &[Host], now: DateTime<Utc>) -> Option<Link> {
    let unread = unread(hosts);
    let is_asked = hosts.iter().all(|host| host.state != HostState::Unknown);
    let (state, note, latency_ms) = match read(hosts) {
        Some((host, it)) => {
            let reads = format!("{} {}", it.role.word(), host.name);
            let is_well = findings(hosts, None, &Reads::NotYet).is_empty();
            let late = late(host);
            let state = match it.role == HostRole::Primary && is_well && late.is_none() {
                true => LinkState::Up,
                false => LinkState::Degraded,
            };
            let note = late.map_or(reads.clone(), |late| format!("{late} ({reads})"));
            (state, Some(note), Some(it.latency_ms))
        }
        None if hosts.is_empty() => return None,
        None if has_two_primaries(hosts) => (LinkState::Degraded, Some("two primaries".to_owned()), None),
        None if unread.is_some() && hosts.iter().any(|host| host.standing().is_some()) => {
            (LinkState::Degraded, unread, None)
        }
        None if !is_asked => (LinkState::Unknown, None, None),
        None if without_tables(hosts).is_some() => {
            (LinkState::Down, Some("its tables aren't there".to_owned()), None)
        }
        // The API may read well what this console can't.
        None if any_answers_unread(hosts) => (LinkState::Degraded, unread, None),
        None => (LinkState::Down, unread, None),
    };
    Some(Link {
        state,
        note,
        latency_ms,
        as_of: now,
        seal: None,
    })
}

/// What is wrong with the hosts.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::assert_is_whole;

    fn host(name: &str, state: HostState) -> Host {
        Host {
            name: name.to_owned(),
            unchecked: None,
            late: std::collections::BTreeSet::new(),
            state,
            instance: None,
        }
    }

    fn up(role: HostRole, follows: bool, behind_ms: i64) -> HostState {
        HostState::Up(Standing {
            role,
            timeline: 0,
            behind_ms,
            follows,
            last_change: None,
            latency_ms: 1,
        })
    }

    fn lost() -> HostState {
        HostState::Lost {
            since: DateTime::UNIX_EPOCH,
            why: "refused".to_owned(),
            was: Some(HostRole::Primary),
        }
    }

    fn from(name: &str, state: &HostState, older: bool) -> Reads {
        let HostState::Up(standing) = state else {
            panic!("{name} can't be read");
        };
        let from = ReadFrom::Host {
            name: name.to_owned(),
            standing: *standing,
        };
        Reads::From { from, older }
    }

    fn from_replica() -> Reads {
        from("db-2", &up(HostRole::Replica, false, 0), false)
    }

    fn through_api() -> Reads {
        Reads::From {
            from: ReadFrom::Api,
            older: false,
        }
    }

    #[test]
    fn what_was_read_is_said_and_not_who_would_be_asked_first() {
        let far = up(HostRole::Replica, true, 45_000);
        let hosts = [host("db-1", lost()), host("db-2", far.clone())];
        // The API would be asked before it, and had no answer.
        assert_eq!(reads_from(&hosts), Source::Api);
        let reads = from("db-2", &far, true);
        assert_eq!(
            note(&hosts, &reads).unwrap(),
            "from replica db-2, 45 s behind, older than shown before"
        );
        let told = |reads: &Reads| findings(&hosts, None, reads)[0].what.clone();
        assert!(
            told(&reads)
                .contains("read from replica db-2, 45 s behind, older than what was shown; look whether it"),
            "{}",
            told(&reads)
        );
        assert_eq!(
            note(&hosts, &Reads::Nobody).unwrap(),
            "no answer from any host or the API"
        );
        assert!(
            !told(&Reads::Nobody).contains("through the API"),
            "{}",
            told(&Reads::Nobody)
        );
        assert!(told(&through_api()).contains("this screen is read through the API"));
        let link = link(&hosts, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (link.state, link.note.as_deref()),
            (LinkState::Degraded, Some("lost: db-1"))
        );
    }

    #[test]
    fn hosts_that_answer_without_tables_are_not_lost() {
        let bare = || HostState::NoTables("run `cmp-server --migrate-only`".to_owned());
        let hosts = [host("db-1", bare()), host("db-2", bare())];
        let link = link(&hosts, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (link.state, link.note.as_deref()),
            (LinkState::Down, Some("its tables aren't there"))
        );
        let (names, next) = without_tables(&hosts).unwrap();
        assert_eq!(names, "db-1, db-2");
        assert!(next.contains("--migrate-only"), "{next}");
        // One cause is one finding, and that one is the console's own.
        assert!(findings(&hosts, None, &Reads::Nobody).is_empty());
        assert_eq!(
            note(&hosts, &Reads::Nobody).unwrap(),
            "the database's tables aren't there"
        );
        // Beside a host with tables it is that host alone that isn't read.
        let one = [
            host("db-1", up(HostRole::Primary, false, 0)),
            host("db-2", bare()),
        ];
        assert!(without_tables(&one).is_none());
        let told = findings(&one, None, &Reads::NotYet);
        assert!(
            matches!(&told[..], [it] if it.what.contains("db-2 is not read")),
            "{told:?}"
        );
    }

    #[test]
    fn every_finding_is_a_sentence_with_its_subject() {
        let instance = crate::domain::database::Instance {
            system_identifier: "7".to_owned(),
            timeline: 1,
            started_at: DateTime::UNIX_EPOCH,
        };
        let api = ApiOn {
            instance: Some(instance.clone()),
            answers: true,
            at: DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(1),
        };
        let primary = || host("db-1", up(HostRole::Primary, false, 0));
        let elsewhere = Host {
            instance: Some((
                crate::domain::database::Instance {
                    system_identifier: "8".to_owned(),
                    ..instance
                },
                DateTime::UNIX_EPOCH,
            )),
            ..primary()
        };
        let unfit = || HostState::Unfit("its schema is another one".to_owned());
        let mut found = findings(&[elsewhere], Some(&api), &from_replica());
        for other in [
            lost(),
            unfit(),
            up(HostRole::Primary, false, 0),
            up(HostRole::Replica, true, 45_000),
            up(HostRole::Replica, false, 0),
        ] {
            found.extend(findings(&[primary(), host("db-2", other)], None, &Reads::Nobody));
        }
        found.extend(findings(
            &[host("db-1", lost()), host("db-2", unfit())],
            None,
            &Reads::NotYet,
        ));
        found.iter().for_each(assert_is_whole);
        let kinds: std::collections::BTreeSet<FindingKind> = found.iter().map(|it| it.kind).collect();
        assert_eq!(
            kinds,
            crate::domain::finding::kinds_of(crate::domain::finding::Maker::Hosts)
        );
    }

    #[test]
    fn a_host_is_as_the_console_sees_it_whatever_the_api_says_of_another_one() {
        let hosts = [host("db-1", up(HostRole::Primary, false, 0))];
        let link = link(&hosts, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (link.state, link.note.as_deref()),
            (LinkState::Up, Some("primary db-1"))
        );
        let unasked = [host("db-1", HostState::Unknown), host("db-2", lost())];
        let link = super::link(&unasked, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!((link.state, link.note), (LinkState::Unknown, None));
        assert!(super::link(&[], DateTime::UNIX_EPOCH).is_none());
    }

    #[test]
    fn a_lost_primary_is_critical_and_says_what_is_read() {
        let hosts = [
            host("db-1", lost()),
            host("db-2", up(HostRole::Replica, false, 0)),
        ];
        let found = findings(&hosts, None, &from_replica());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Critical);
        assert_eq!(
            found[0].what,
            "db-1 was primary and is lost since 1970-01-01 00:00Z; this screen is read from replica db-2; bring it back, \
             or promote db-2"
        );
        assert_eq!(
            note(&hosts, &from_replica()).unwrap(),
            "from replica db-2, 0 s behind"
        );
        let link = link(&hosts, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (link.state, link.note.unwrap().as_str()),
            (LinkState::Degraded, "replica db-2")
        );
    }

    #[test]
    fn a_replica_that_is_lost_behind_or_alone_is_a_warning() {
        let primary = || host("db-1", up(HostRole::Primary, false, 0));
        let gone = HostState::Lost {
            since: DateTime::UNIX_EPOCH,
            why: "refused".to_owned(),
            was: Some(HostRole::Replica),
        };
        for (state, words) in [
            (gone, "db-2 was replica and is lost since"),
            (
                up(HostRole::Replica, true, 45_000),
                "db-2 is a replica and 45 s behind",
            ),
            (up(HostRole::Replica, false, 0), "follows nobody"),
        ] {
            let found = findings(&[primary(), host("db-2", state)], None, &Reads::NotYet);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].severity, Severity::Warning);
            assert!(found[0].what.contains(words), "{}", found[0].what);
            assert_is_whole(&found[0]);
        }
        let fine = [primary(), host("db-2", up(HostRole::Replica, true, 400))];
        assert!(findings(&fine, None, &Reads::NotYet).is_empty() && note(&fine, &Reads::NotYet).is_none());
        assert_eq!(words(&fine[1], false), "replica, <1 s behind");
    }

    #[test]
    fn two_primaries_and_none_at_all() {
        let two = [
            host("db-1", up(HostRole::Primary, false, 0)),
            host("db-2", up(HostRole::Primary, false, 0)),
        ];
        let found = findings(&two, None, &through_api());
        assert_eq!(found[0].kind, FindingKind::TwoPrimaries);
        found.iter().for_each(assert_is_whole);
        let none = [host("db-1", lost()), host("db-2", lost())];
        let link = link(&none, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (link.state, link.note.unwrap().as_str()),
            (LinkState::Down, "lost: db-1, db-2")
        );
        assert!(
            findings(&none, None, &through_api())
                .iter()
                .all(|it| it.what.contains("through the API"))
        );
    }

    #[test]
    fn an_api_on_the_lost_primary_is_the_first_finding_and_critical_after_a_promotion_too() {
        use crate::domain::database::Instance;
        let instance = |second| Instance {
            system_identifier: "7".to_owned(),
            timeline: 1,
            started_at: DateTime::from_timestamp(second, 0).unwrap(),
        };
        let known = |name: &str, state, second| Host {
            instance: Some((instance(second), DateTime::UNIX_EPOCH)),
            ..host(name, state)
        };
        let api = ApiOn {
            instance: Some(instance(1)),
            answers: false,
            at: DateTime::UNIX_EPOCH,
        };
        for (role, words) in [
            (
                HostRole::Primary,
                "the API is on the lost primary 127.0.0.1:5433, 127.0.0.1:5434 is primary now",
            ),
            (
                HostRole::Replica,
                "the API is on the lost primary 127.0.0.1:5433, without an answer since 1970-01-01 00:00Z",
            ),
        ] {
            let hosts = [
                known("127.0.0.1:5433", lost(), 1),
                known("127.0.0.1:5434", up(role, false, 0), 2),
            ];
            let mut found = findings(&hosts, Some(&api), &through_api());
            found.iter().for_each(assert_is_whole);
            crate::domain::finding::rank(&mut found);
            assert_eq!(found[0].severity, Severity::Critical);
            assert!(
                found[0]
                    .what
                    .starts_with(&format!("No change goes out: {words}. ")),
                "{}",
                found[0].what
            );
            assert!(
                found[0].what.contains("`DB_HOST=127.0.0.1:5434`"),
                "{}",
                found[0].what
            );
        }
    }

    #[test]
    fn a_database_whose_tables_give_no_answer_is_not_called_up() {
        let mut hosts = [host("db-1", up(HostRole::Primary, true, 0))];
        let state = |hosts: &[Host]| {
            let link = link(hosts, DateTime::UNIX_EPOCH).unwrap();
            (link.state, link.note.unwrap())
        };
        assert_eq!(state(&hosts), (LinkState::Up, "primary db-1".to_owned()));
        hosts[0].late.insert("agents");
        let slow = "slow: no answer to reads of agents within 3 s";
        assert_eq!(
            state(&hosts),
            (LinkState::Degraded, format!("{slow} (primary db-1)"))
        );
        assert_eq!(words(&hosts[0], true), format!("primary; read here; {slow}"));
    }
}
