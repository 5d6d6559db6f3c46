//! The database's hosts as a screen shows them: in words, as one link, and as findings. Where a screen was read is a
//! fact of its answers ([`Reads`]), and not whom one would ask first.

mod findings;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use super::link::Link;
use super::loaded::Loaded;
use super::query::Answer;
use crate::domain::database::{
    Host, HostRole, HostState, ReadFrom, Source, Standing, has_two_primaries, sources,
};
use crate::domain::link::LinkState;
use crate::domain::listed;

pub use findings::findings;

/// Host that the screen is read from.
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

/// Age of a replica's rows, in coarse words, so that a screen at rest stays at rest.
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

/// A host's own words, or the reason that it can't be read; `is_read` is the one that the screen shows.
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
                    ReadFrom::Host { name, standing } => {
                        let as_now = standing_of(hosts, name).unwrap_or(standing);
                        let behind = match (as_now.role, as_now.behind_ms) {
                            (HostRole::Primary, _) | (HostRole::Replica, 0..=BARELY) => String::new(),
                            (HostRole::Replica, ms) => format!(", {}", behind(ms)),
                        };
                        format!("from {} {name}{behind}", as_now.role.word())
                    }
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

/// Words of the screen's title about where it is read from, where it is not the primary.
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
            // It was promoted since, which is a finding.
            if standing.role == HostRole::Primary {
                return None;
            }
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
