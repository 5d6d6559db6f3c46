//! The hosts of the database that a console reads from: what each says of itself, and in which order they
//! are read. It knows no connection.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A replica that is further behind than this is read only when nothing better answers.
pub const FAR_BEHIND: Duration = Duration::seconds(30);

/// One running server of a database, told apart from all others. It names no address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// PostgreSQL's system identifier; a primary and its replicas have the same.
    pub system_identifier: String,
    /// The timeline that it writes or follows: a promotion begins a new one with a higher number.
    pub timeline: i32,
    /// When it was started, which tells two of one system apart.
    pub started_at: DateTime<Utc>,
}

impl Instance {
    /// Whether both are the same server, whatever was promoted meanwhile.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.system_identifier == other.system_identifier && self.started_at == other.started_at
    }
}

/// The database that the API is on, as the API says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiOn {
    /// The server; of one that doesn't answer any more the last that was known.
    pub instance: Option<Instance>,
    /// Whether that answers the API.
    pub answers: bool,
    /// When the API said so.
    pub at: DateTime<Utc>,
}

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRole {
    /// The one that takes changes.
    Primary,
    /// One that follows it and only reads.
    Replica,
}

impl HostRole {
    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// What a host that answers says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub role: HostRole,
    /// The timeline that a primary writes: a promotion begins a new one with a higher number. 0 at a replica.
    pub timeline: i32,
    /// How old what a replica shows is, in milliseconds: 0 where it shows all that it received.
    pub behind_ms: i64,
    /// Whether a replica is connected to what it follows.
    pub follows: bool,
    /// The time of the last change that a replica shows.
    pub last_change: Option<DateTime<Utc>>,
    /// How long it took to answer, in milliseconds.
    pub latency_ms: u32,
}

impl Standing {
    /// Standing so long after it was looked at: of one that was behind nobody knows whether it took in anything
    /// since.
    #[must_use]
    pub fn after(self, ago: std::time::Duration) -> Self {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        let more = if self.behind_ms > 0 { ago } else { 0 };
        Self {
            behind_ms: self.behind_ms.saturating_add(more),
            ..self
        }
    }
}

/// How a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostState {
    /// Not asked yet.
    Unknown,
    /// It answers and can be read.
    Up(Standing),
    /// It answers and can't be read, and why.
    Unfit(String),
    /// It answers, and the platform's tables aren't there; what to do about that.
    NoTables(String),
    /// It does not answer.
    Lost {
        /// Since when.
        since: DateTime<Utc>,
        /// Why.
        why: String,
        /// What it was.
        was: Option<HostRole>,
    },
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What people call it: `db-1`, or `db-1:5433`.
    pub name: String,
    /// What its `sslmode` leaves unchecked of who answers there.
    pub unchecked: Option<&'static str>,
    /// Rows that could not be read there in time when it was asked for last, in the plural.
    pub late: BTreeSet<&'static str>,
    /// How it is.
    pub state: HostState,
    /// The server that answers there, or answered last, and since when that is known.
    pub instance: Option<(Instance, DateTime<Utc>)>,
}

impl Host {
    /// What it says of itself, if it can be read.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        match &self.state {
            HostState::Up(standing) => Some(standing),
            _ => None,
        }
    }

    /// What it is, or was when it was lost.
    #[must_use]
    pub fn role(&self) -> Option<HostRole> {
        match &self.state {
            HostState::Up(standing) => Some(standing.role),
            HostState::Lost { was, .. } => *was,
            HostState::Unknown | HostState::Unfit(_) | HostState::NoTables(_) => None,
        }
    }

    fn is_far_behind(&self) -> bool {
        self.standing()
            .is_some_and(|it| it.behind_ms > FAR_BEHIND.num_milliseconds())
    }
}

/// Where something is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host with this number.
    Host(usize),
    /// The API.
    Api,
}

/// Place where an answer was read, as a fact and not by the order in which places are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The API.
    Api,
    /// A host of the database.
    Host {
        /// Its name.
        name: String,
        /// Its state then.
        standing: Standing,
    },
}

impl ReadFrom {
    /// True if both are one place that is equally far behind; the speed of its answer makes no other one of it.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Api, Self::Api) => true,
            (
                Self::Host { name, standing },
                Self::Host {
                    name: named,
                    standing: stood,
                },
            ) => {
                let is = |it: &Standing| (it.role, it.behind_ms, it.follows);
                name == named && is(standing) == is(stood)
            }
            _ => false,
        }
    }

    /// The moment that an answer of `now` is of: a replica that is behind shows the platform as it was.
    #[must_use]
    pub fn of(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let behind = match self {
            Self::Host { standing, .. } if standing.role == HostRole::Replica => standing.behind_ms,
            Self::Host { .. } | Self::Api => 0,
        };
        let behind = Duration::try_milliseconds(behind).unwrap_or_default();
        now.checked_sub_signed(behind).unwrap_or(now)
    }
}

/// Sources to read from, the best first: the primary, then the replica that is least behind; a replica far behind only
/// when the API has no answer either. Of two primaries the platform's is the one that the API is on, whatever their
/// history: so the API is asked first, then the one with the younger history.
#[must_use]
pub fn sources(hosts: &[Host]) -> Vec<Source> {
    let mut up: Vec<usize> = (0..hosts.len())
        .filter(|index| hosts[*index].standing().is_some())
        .collect();
    let by = |index: &usize| {
        let standing = hosts[*index].standing();
        standing.map(|it| (it.role == HostRole::Replica, -it.timeline, it.behind_ms, *index))
    };
    up.sort_by_key(by);
    let (old, fresh): (Vec<usize>, Vec<usize>) =
        up.into_iter().partition(|index| hosts[*index].is_far_behind());
    let host = |index| Source::Host(index);
    let mut sources: Vec<Source> = fresh.into_iter().map(host).collect();
    let before_the_api = match has_two_primaries(hosts) {
        true => 0,
        false => sources.len(),
    };
    sources.insert(before_the_api, Source::Api);
    sources.extend(old.into_iter().map(host));
    sources
}

/// True where two hosts take changes.
#[must_use]
pub fn has_two_primaries(hosts: &[Host]) -> bool {
    let primaries = hosts.iter().filter_map(Host::standing);
    primaries.filter(|it| it.role == HostRole::Primary).count() > 1
}

/// True if any of these hosts takes changes, as far as they show it: that a primary is set read-only, the API on it knows.
/// A replica that follows one is enough only where no other host is lost, which may be what it follows.
#[must_use]
pub fn takes_changes(hosts: &[Host]) -> Option<bool> {
    if hosts.iter().any(|host| host.state == HostState::Unknown) {
        return None;
    }
    let up = |role| {
        let standing = hosts.iter().filter_map(Host::standing);
        standing.filter(move |it| it.role == role)
    };
    let may_be_primary = |host: &Host| match &host.state {
        HostState::Lost { was, .. } => *was != Some(HostRole::Replica),
        _ => false,
    };
    let has_primary = up(HostRole::Primary).next().is_some();
    let follows = up(HostRole::Replica).any(|it| it.follows);
    Some(has_primary || (follows && !hosts.iter().any(may_be_primary)))
}

/// True of the words for a database that takes no changes by its nature or its settings (`store/trouble.rs`): a replica, or
/// a primary that was set read-only.
#[must_use]
pub fn only_reads(said: &str) -> bool {
    let begins = [
        "is a replica that",
        "is the primary, set read-only",
        "takes no changes: ",
    ];
    begins.iter().any(|begin| said.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use HostRole::{Primary, Replica};
    use Source::{Api, Host as On};

    fn up(role: HostRole, timeline: i32, behind_ms: i64) -> Host {
        Host {
            name: "db".to_owned(),
            unchecked: None,
            late: BTreeSet::new(),
            state: HostState::Up(Standing {
                role,
                timeline,
                behind_ms,
                follows: true,
                last_change: None,
                latency_ms: 1,
            }),
            instance: None,
        }
    }

    fn lost() -> Host {
        Host {
            name: "db".to_owned(),
            unchecked: None,
            late: BTreeSet::new(),
            state: HostState::Lost {
                since: DateTime::UNIX_EPOCH,
                why: "refused".to_owned(),
                was: Some(Primary),
            },
            instance: None,
        }
    }

    #[test]
    fn without_a_primary_nobody_writes_and_a_replica_alone_speaks_for_the_one_it_follows() {
        let mut left = up(Replica, 0, 0);
        assert_eq!(takes_changes(&[lost(), up(Primary, 2, 0)]), Some(true));
        assert_eq!(takes_changes(&[up(Replica, 0, 5)]), Some(true));
        assert_eq!(takes_changes(&[lost(), left.clone()]), Some(false), "it may hang");
        if let HostState::Up(standing) = &mut left.state {
            standing.follows = false;
        }
        assert_eq!(takes_changes(std::slice::from_ref(&left)), Some(false));
        left.state = HostState::Unknown;
        assert_eq!(takes_changes(&[left, up(Primary, 1, 0)]), None);
    }

    #[test]
    fn the_primary_is_read_and_the_nearest_replica_when_it_is_lost() {
        let (primary, near, far) = (up(Primary, 1, 0), up(Replica, 0, 5), up(Replica, 0, 2000));
        assert_eq!(
            sources(&[far.clone(), near.clone(), primary]),
            [On(2), On(1), On(0), Api]
        );
        assert_eq!(sources(&[far, near, lost()]), [On(1), On(0), Api]);
        assert_eq!(sources(&[lost(), lost()]), [Api]);
    }

    #[test]
    fn a_replica_far_behind_is_the_last_resort() {
        assert_eq!(sources(&[up(Replica, 0, 31_000), lost()]), [Api, On(0)]);
    }

    #[test]
    fn of_two_primaries_the_one_that_the_api_is_on_is_read() {
        assert_eq!(
            sources(&[up(Primary, 1, 0), up(Primary, 2, 0)]),
            [Api, On(1), On(0)]
        );
    }
}
