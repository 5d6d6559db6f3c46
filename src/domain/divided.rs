//! The rule for when the database is not one: two hosts take changes, or the API is on another one than the
//! primary. A change would then be lost, or be seen by nobody, so that none goes out.

use super::database::{ApiOn, Host, HostRole, HostState, Instance, Source, sources};

/// How the database is divided. The numbers are those of its hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divided {
    /// Two take changes.
    TwoPrimaries {
        /// The one.
        first: usize,
        /// The other one.
        second: usize,
        /// The one of them that the API is on, as far as is known.
        api: Option<usize>,
    },
    /// The API is on another host than the primary.
    ApiElsewhere {
        /// The one that it is on; none for a server that none of the hosts is.
        api: Option<usize>,
        /// The primary.
        primary: usize,
    },
    /// The primary is older than one that is lost: it lacks what that one took.
    OlderPrimary {
        /// The lost one; none for a server that the API was on and none of the hosts is.
        newer: Option<usize>,
        /// Its timeline.
        newer_timeline: i32,
        /// The primary.
        primary: usize,
        /// Its timeline.
        timeline: i32,
    },
    /// The API gets to no database, though there is a primary.
    ApiCutOff {
        /// The primary.
        primary: usize,
    },
    /// The API is on the lost primary, and what is left of the database follows nobody any more, or a primary that
    /// hangs and answers the API no more than it answers here.
    ApiOnLost {
        /// The lost primary.
        api: usize,
        /// The replica that can be read.
        replica: usize,
    },
}

/// How it is divided, if it is.
#[must_use]
pub fn divided(hosts: &[Host], api: Option<&ApiOn>) -> Option<Divided> {
    // Half of it would be told wrong.
    if hosts.is_empty() || hosts.iter().any(|host| host.state == HostState::Unknown) {
        return None;
    }
    let primaries: Vec<usize> = (0..hosts.len())
        .filter(|index| is_primary(&hosts[*index]))
        .collect();
    let on = api.and_then(|api| on(hosts, api));
    match primaries.as_slice() {
        [first, .., second] => Some(Divided::TwoPrimaries {
            first: *first,
            second: *second,
            api: on,
        }),
        [primary] => {
            if let Some(older) = older(hosts, *primary, api) {
                return Some(older);
            }
            let api = api?;
            let elsewhere = Divided::ApiElsewhere {
                api: on,
                primary: *primary,
            };
            let cut_off = (!api.answers).then_some(Divided::ApiCutOff { primary: *primary });
            match (&api.instance, hosts[*primary].instance.as_ref()) {
                (Some(instance), Some((known, _))) if instance.is(known) => None,
                // One that doesn't answer may have been started again since.
                (Some(_), Some(_)) if !api.answers => on.map_or(cut_off, |_| Some(elsewhere)),
                // It may have been said before the primary was started again.
                (Some(_), Some((_, since))) if api.at < *since => None,
                (Some(_), Some(_)) => Some(elsewhere),
                // An account that isn't told which server it is.
                (Some(_), None) => None,
                (None, _) => cut_off,
            }
        }
        [] => {
            // One that is far behind too: the API, which is asked before it, has no database.
            let replica = sources(hosts).into_iter().find_map(|source| match source {
                Source::Host(index) => Some(index),
                Source::Api => None,
            })?;
            let follows = hosts.iter().filter_map(Host::standing).any(|it| it.follows);
            let lost = on.filter(|on| matches!(hosts[*on].state, HostState::Lost { .. }))?;
            // A primary that hangs keeps its replicas' connections, so that they seem to follow it. A primary that only
            // this console doesn't get to still answers the API.
            let is_gone = !follows || api.is_some_and(|api| !api.answers);
            is_gone.then_some(Divided::ApiOnLost { api: lost, replica })
        }
    }
}

/// The primary is held against all that were primaries after it: a promotion begins a timeline with a higher number.
fn older(hosts: &[Host], primary: usize, api: Option<&ApiOn>) -> Option<Divided> {
    let (now, _) = hosts.get(primary)?.instance.as_ref()?;
    let is_newer =
        |it: &Instance| it.system_identifier == now.system_identifier && it.timeline > now.timeline;
    let lost = hosts.iter().enumerate().filter_map(|(index, host)| {
        let was_primary = matches!(
            host.state,
            HostState::Lost {
                was: Some(HostRole::Primary),
                ..
            }
        );
        let (instance, _) = host.instance.as_ref().filter(|_| was_primary)?;
        Some((Some(index), instance))
    });
    // A console that was opened since never saw it, and the API was on it.
    let told = api.filter(|api| !api.answers);
    let told = told.and_then(|api| Some((None, api.instance.as_ref()?)));
    let (newer, instance) = lost
        .chain(told)
        .filter(|(_, instance)| is_newer(instance))
        .max_by_key(|(newer, instance)| (instance.timeline, newer.is_some()))?;
    Some(Divided::OlderPrimary {
        newer,
        newer_timeline: instance.timeline,
        primary,
        timeline: now.timeline,
    })
}

fn is_primary(host: &Host) -> bool {
    host.standing().is_some_and(|it| it.role == HostRole::Primary)
}

/// The host that the API is on.
fn on(hosts: &[Host], api: &ApiOn) -> Option<usize> {
    let instance = api.instance.as_ref()?;
    let is = |host: &Host| host.instance.as_ref().is_some_and(|(it, _)| it.is(instance));
    hosts.iter().position(is)
}

/// `, without an answer since …`, of a lost one.
fn since(hosts: &[Host], index: usize) -> String {
    match hosts.get(index).map(|host| &host.state) {
        Some(HostState::Lost { since, .. }) => {
            format!(", without an answer since {}", since.format("%Y-%m-%d %H:%MZ"))
        }
        _ => String::new(),
    }
}

fn follows(host: &Host) -> bool {
    host.standing().is_some_and(|it| it.follows)
}

/// The host by its name, and the timeline that it writes: the higher number was promoted later.
fn with_timeline(hosts: &[Host], index: usize) -> String {
    let Some(host) = hosts.get(index) else {
        return "?".to_owned();
    };
    match host.standing() {
        Some(standing) => format!("{} (timeline {})", host.name, standing.timeline),
        None => host.name.clone(),
    }
}

impl Divided {
    /// In a few words, for what can't be started meanwhile.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::TwoPrimaries { .. } => "two databases take changes: 6 says which, and what to do",
            Self::ApiElsewhere { .. } => "the API is on another database: 6 says which, and what to do",
            Self::OlderPrimary { .. } => "the newer primary is lost: 6 says which, and what to do",
            Self::ApiCutOff { .. } => "the API doesn't get to the primary: 6 says what to do",
            Self::ApiOnLost { .. } => "the API is on the lost primary: 6 says what to do",
        }
    }

    /// What is wrong: the first sentence.
    #[must_use]
    pub fn what(self, hosts: &[Host]) -> String {
        let name = |index: usize| hosts.get(index).map_or("?", |host| host.name.as_str());
        let lost = |index: usize| match hosts.get(index).map(|host| &host.state) {
            Some(HostState::Lost { .. }) => "lost primary",
            _ if hosts.get(index).is_some_and(is_primary) => "primary",
            _ => "replica",
        };
        match self {
            Self::TwoPrimaries { first, second, api } => {
                let api = api.map_or_else(String::new, |api| format!("; the API is on {}", name(api)));
                format!(
                    "{} and {} both take changes{api}",
                    with_timeline(hosts, first),
                    with_timeline(hosts, second)
                )
            }
            Self::ApiElsewhere {
                api: Some(api),
                primary,
            } => format!(
                "the API is on the {} {}, {} is primary now",
                lost(api),
                name(api),
                name(primary)
            ),
            Self::ApiElsewhere { api: None, primary } => format!(
                "the API is on a database that is none of these hosts, {} is the primary here",
                name(primary)
            ),
            Self::OlderPrimary {
                newer,
                newer_timeline,
                primary,
                timeline,
            } => {
                let newer = newer.map_or("the one that the API was on", name);
                format!(
                    "{} is an older primary (timeline {timeline}): it lacks what {newer}, which is lost, took after it \
                     (timeline {newer_timeline})",
                    name(primary)
                )
            }
            Self::ApiCutOff { primary } => {
                format!("the API gets to no database, {} is primary", name(primary))
            }
            Self::ApiOnLost { api, .. } => {
                format!(
                    "the API is on the lost primary {}{}",
                    name(api),
                    since(hosts, api)
                )
            }
        }
    }

    /// What is to be done: the sentence after it.
    #[must_use]
    pub fn next(self, hosts: &[Host]) -> String {
        let name = |index: usize| hosts.get(index).map_or("?", |host| host.name.as_str());
        let point = |to: usize| {
            format!(
                "start cmp-server (API, issuer and scheduler) with `DB_HOST={}`, then press ctrl-r here",
                name(to)
            )
        };
        match self {
            Self::TwoPrimaries { first, second, .. } => format!(
                "Neither sees what the other takes, so no change goes out from here. Stop the one that should not \
                 be primary ({} or {}) with `pg_ctl stop`; if the API was on that one, {}",
                name(first),
                name(second),
                "start cmp-server (API, issuer and scheduler) with `DB_HOST` naming the other, then press ctrl-r here"
            ),
            Self::ApiElsewhere { api: None, primary } => format!(
                "No change goes out from here: this screen would not see it. If {} is right, {}; if the API is, \
                 name its host in `hosts` of the context's database",
                name(primary),
                point(primary)
            ),
            Self::ApiElsewhere { primary, .. } => format!(
                "No change goes out from here: the primary would never get it. To mend it, {}",
                point(primary)
            ),
            Self::OlderPrimary { newer, primary, .. } => format!(
                "No change goes out from here. Bring {} back and stop {} with `pg_ctl stop`. Only if it is gone for \
                 good: take it out of `hosts` of the context's database, and {}",
                newer.map_or("the newer one", name),
                name(primary),
                point(primary)
            ),
            Self::ApiCutOff { primary } => format!(
                "No change goes out from here until it does. Look at its log; if it was pointed to another host, {}",
                point(primary)
            ),
            // Promoted beside one that hangs, it would be the second primary as soon as that goes on.
            Self::ApiOnLost { api, replica } if hosts.get(replica).is_some_and(follows) => format!(
                "It hangs, and {} gets nothing more from it, so that no change goes out from here. Have {} go on; or \
                 stop it for good (`pg_ctl stop -m immediate`, or its machine), then promote {} \
                 (`SELECT pg_promote();`) and {}",
                name(replica),
                name(api),
                name(replica),
                point(replica)
            ),
            Self::ApiOnLost { api, replica } => format!(
                "{} follows nobody, so that no change goes out from here: it might be lost. Bring {} back, or \
                 promote {} (`SELECT pg_promote();`) and {}",
                name(replica),
                name(api),
                name(replica),
                point(replica)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::super::database::Standing;
    use super::*;
    use HostRole::{Primary, Replica};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn instance(started: i64) -> Instance {
        Instance {
            system_identifier: "7".to_owned(),
            timeline: 1,
            started_at: at(started),
        }
    }

    fn host(name: &str, started: i64, state: HostState) -> Host {
        Host {
            name: name.to_owned(),
            unchecked: None,
            late: std::collections::BTreeSet::new(),
            state,
            instance: Some((instance(started), at(100))),
        }
    }

    fn up(role: HostRole, follows: bool) -> HostState {
        HostState::Up(Standing {
            role,
            timeline: 1,
            behind_ms: 0,
            follows,
            last_change: None,
            latency_ms: 1,
        })
    }

    fn lost() -> HostState {
        HostState::Lost {
            since: at(0),
            why: "refused".to_owned(),
            was: Some(Primary),
        }
    }

    fn api(started: Option<i64>, answers: bool, said: i64) -> ApiOn {
        ApiOn {
            instance: started.map(instance),
            answers,
            at: at(said),
        }
    }

    #[test]
    fn one_primary_that_the_api_is_on_is_whole() {
        let hosts = [host("a", 1, up(Primary, false)), host("b", 2, up(Replica, true))];
        assert_eq!(divided(&hosts, Some(&api(Some(1), true, 200))), None);
        // An API that doesn't say yet, or is on a file.
        assert_eq!(divided(&hosts, None), None);
        assert_eq!(divided(&hosts, Some(&api(None, true, 200))), None);
        assert_eq!(divided(&[], Some(&api(Some(1), true, 200))), None);
        // The primary was started again after the API had said so.
        assert_eq!(divided(&hosts, Some(&api(Some(3), true, 99))), None);
        // The primary can't be reached from here, and lives: its replica follows it, and it answers the API.
        let hosts = [host("a", 1, lost()), host("b", 2, up(Replica, true))];
        assert_eq!(divided(&hosts, Some(&api(Some(1), true, 200))), None);
    }

    #[test]
    fn a_primary_that_hangs_is_told_as_one_that_is_dead() {
        let far = |follows| match up(Replica, follows) {
            HostState::Up(standing) => HostState::Up(Standing {
                behind_ms: 90_000,
                ..standing
            }),
            other => other,
        };
        for replica in [up(Replica, true), far(true), up(Replica, false), far(false)] {
            let hosts = [host("a", 1, lost()), host("b", 2, replica)];
            let found = divided(&hosts, Some(&api(Some(1), false, 200))).unwrap();
            assert_eq!(found, Divided::ApiOnLost { api: 0, replica: 1 });
            let what = found.what(&hosts);
            assert!(
                what.contains("lost primary a, without an answer since 1970-01-01 00:00Z"),
                "{what}"
            );
            let next = found.next(&hosts);
            let stops_first = next.contains("stop it for good");
            assert_eq!(stops_first, hosts[1].standing().unwrap().follows, "{next}");
            assert!(
                next.contains("promote b") && next.contains("`DB_HOST=b`"),
                "{next}"
            );
        }
    }

    #[test]
    fn two_primaries_are_two_whatever_the_api_is_on() {
        let hosts = [host("a", 1, up(Primary, false)), host("b", 2, up(Primary, false))];
        for (started, on) in [
            (Some(1), Some(0)),
            (Some(2), Some(1)),
            (Some(9), None),
            (None, None),
        ] {
            let found = divided(&hosts, Some(&api(started, true, 200)));
            assert_eq!(
                found,
                Some(Divided::TwoPrimaries {
                    first: 0,
                    second: 1,
                    api: on
                })
            );
        }
        assert!(divided(&hosts, None).is_some());
    }

    #[test]
    fn an_api_on_another_one_than_the_primary_is_told_where_it_is() {
        let hosts = [host("a", 1, lost()), host("b", 2, up(Primary, false))];
        for answers in [true, false] {
            let found = divided(&hosts, Some(&api(Some(1), answers, 200))).unwrap();
            assert_eq!(
                found.what(&hosts),
                "the API is on the lost primary a, b is primary now"
            );
            assert!(found.next(&hosts).contains("`DB_HOST=b`"));
        }
        let found = divided(&hosts, Some(&api(Some(7), true, 200))).unwrap();
        assert_eq!(
            found,
            Divided::ApiElsewhere {
                api: None,
                primary: 1
            }
        );
        let found = divided(&hosts, Some(&api(None, false, 200))).unwrap();
        assert_eq!(found, Divided::ApiCutOff { primary: 1 });
        let hosts = [host("a", 1, lost()), host("b", 2, up(Replica, false))];
        let found = divided(&hosts, Some(&api(Some(1), true, 200))).unwrap();
        assert_eq!(found, Divided::ApiOnLost { api: 0, replica: 1 });
    }

    #[test]
    fn nobody_is_sent_to_an_older_primary() {
        let on = |timeline, started| Instance {
            timeline,
            ..instance(started)
        };
        let mut hosts = [host("a", 1, up(Primary, false)), host("b", 2, lost())];
        hosts[1].instance = Some((on(2, 2), at(100)));
        let wanted = |newer| Divided::OlderPrimary {
            newer,
            newer_timeline: 2,
            primary: 0,
            timeline: 1,
        };
        let mut was_on = api(Some(2), false, 200);
        was_on.instance = Some(on(2, 2));
        // Also where the API went to the older one already.
        for api in [None, Some(was_on.clone()), Some(api(Some(1), true, 200))] {
            let found = divided(&hosts, api.as_ref()).unwrap();
            assert_eq!(found, wanted(Some(1)));
            assert_eq!(
                found.what(&hosts),
                "a is an older primary (timeline 1): it lacks what b, which is lost, took after it (timeline 2)"
            );
            assert!(
                found.next(&hosts).contains("Bring b back and stop a"),
                "{}",
                found.next(&hosts)
            );
        }
        // A console that was opened since.
        hosts[1].instance = None;
        assert_eq!(divided(&hosts, Some(&was_on)), Some(wanted(None)));
        // One that was lost before the promotion is no newer one.
        hosts[1].instance = Some((on(0, 2), at(100)));
        assert_eq!(divided(&hosts, None), None);
    }
}
