//! Hosts as the console tells them: which were read, which are lost, and what to do next.

use super::*;
use crate::domain::database::ApiOn;
use crate::domain::finding::{FindingKind, Severity, assert_is_whole};

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

#[test]
fn a_replica_that_was_promoted_since_it_was_read_is_no_longer_called_one() {
    let read = from("db-2", &up(HostRole::Replica, false, 0), true);
    let promoted = [
        host("db-1", lost()),
        host("db-2", up(HostRole::Primary, false, 0)),
    ];
    assert_eq!(note(&promoted, &read), None);
    let words = read.words(&promoted);
    assert!(
        words.starts_with("this screen is read from primary db-2"),
        "{words}"
    );
    let before = [
        host("db-1", lost()),
        host("db-2", up(HostRole::Replica, false, 0)),
    ];
    let words = note(&before, &read).unwrap();
    assert!(words.starts_with("from replica db-2"), "{words}");
}
