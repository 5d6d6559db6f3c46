//! What can't be reached, refuses us or has another clock is a finding of the console's own, the first of all.

use chrono::{Duration, TimeDelta};
use cmp_console::domain::database::{Host, HostRole, HostState, ReadFrom, Standing};
use cmp_console::domain::finding::{FindingKind, Severity};
use cmp_console::domain::link::{Backend, LinkState};
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::state::link::Link;
use cmp_console::state::served::ServedNow;

use crate::fixtures::now;
use crate::hands::*;

fn is(state: &mut State, backend: Backend, how: LinkState, note: &str) {
    let link = Link {
        state: how,
        note: Some(note.to_owned()),
        latency_ms: None,
        as_of: now(),
        seal: None,
    };
    tell(state, Event::Link(backend, link));
}

fn first(state: &State) -> (FindingKind, String) {
    let found = state.findings();
    (found[0].kind, found[0].what.clone())
}

#[test]
fn what_cannot_be_reached_is_the_first_finding_with_its_cause() {
    let mut state = unsealed();
    is(&mut state, Backend::Vault, LinkState::Down, "connection refused");
    let (kind, what) = first(&state);
    assert_eq!(kind, FindingKind::VaultDown);
    assert_eq!(
        what,
        "Vault doesn't answer: connection refused; whether it is sealed is not known here"
    );
    is(
        &mut state,
        Backend::Database,
        LinkState::Down,
        "doesn't answer within 3 s",
    );
    let (kind, what) = first(&state);
    assert_eq!(kind, FindingKind::DatabaseDown);
    assert!(what.contains("doesn't answer within 3 s"), "{what}");
    is(&mut state, Backend::Api, LinkState::Down, "nothing listens there");
    let (kind, what) = first(&state);
    assert_eq!(kind, FindingKind::ApiDown);
    assert_eq!(
        what,
        "The API doesn't answer: nothing listens there; what is shown is from 03:07Z"
    );
    let found = state.findings();
    assert_eq!(found[0].since, Some(now()));
    // The others are still there, and what stops everything stands above them.
    let kinds: Vec<_> = found.iter().take(3).map(|it| it.kind).collect();
    let stops = [
        FindingKind::ApiDown,
        FindingKind::DatabaseDown,
        FindingKind::VaultDown,
    ];
    assert_eq!(kinds, stops);
    assert!(found.iter().any(|it| it.kind == FindingKind::ExpiredInUse));

    for backend in [Backend::Api, Backend::Database, Backend::Vault] {
        is(&mut state, backend, LinkState::Up, "");
    }
    assert_eq!(first(&state).0, FindingKind::ExpiredInUse, "cured, they are gone");
}

#[test]
fn a_refused_token_is_the_first_finding_and_says_how_to_go_on() {
    let mut state = unsealed();
    let query = Query::Findings;
    let problem = Problem::new(ProblemKind::NotAuthenticated, "the token of dana ended");
    let result = Err(problem);
    reply(&mut state, query, result);
    let (kind, what) = first(&state);
    assert_eq!(kind, FindingKind::TokenRefused);
    assert!(
        what.starts_with("The API refuses this console's token: the token of dana ended; ctrl-r asks again"),
        "{what}"
    );

    // Read from the database itself, only the look at the API tells.
    let mut state = unsealed();
    tell(&mut state, Event::Token(Some("401: revoked".to_owned())));
    assert_eq!(first(&state).0, FindingKind::TokenRefused);
    tell(&mut state, Event::Token(None));
    assert_eq!(first(&state).0, FindingKind::ExpiredInUse);
}

#[test]
fn with_a_clock_that_is_off_times_are_the_platforms() {
    let mut state = unsealed();
    assert_eq!(state.shown_at(), now());
    tell(&mut state, Event::Clock(TimeDelta::days(-40)));
    assert_eq!(state.shown_at(), now() - Duration::days(40));
    let found = state.findings();
    let off = found.iter().find(|it| it.kind == FindingKind::ClockOff).unwrap();
    assert_eq!(off.severity, Severity::Warning);
    assert!(
        off.what
            .starts_with("This computer's clock is 40 days ahead of the platform's"),
        "{}",
        off.what
    );
    tell(&mut state, Event::Clock(TimeDelta::zero()));
    assert!(!state.findings().iter().any(|it| it.kind == FindingKind::ClockOff));
}

/// The row of the one installation on the certificate's screen.
fn installation_row(state: &State) -> String {
    let screen = drawn(state);
    let rows: Vec<String> = screen
        .chars()
        .collect::<Vec<_>>()
        .chunks(120)
        .map(|row| row.iter().collect())
        .collect();
    let row = rows.iter().find(|row| row.contains("web-01:/srv/tls")).unwrap();
    // However wide its columns are.
    row.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fresh connections that showed these certificates, by their number.
fn shows(shown: &[(&str, usize)]) -> ServedNow {
    ServedNow {
        shown: shown.iter().map(|(it, n)| ((*it).to_owned(), *n)).collect(),
        broken: None,
    }
}

#[test]
fn where_what_is_served_cannot_be_looked_at_nothing_is_as_expected() {
    let mut state = unsealed();
    let mut detail = fixtures::certificate_detail();
    let certificate = detail.certificate.clone();
    detail.installations = vec![fixtures::installation(&certificate, false)];
    let query = Query::Certificate("crt_0002".to_owned());
    let answer = |detail| Answer::Certificate(Box::new(detail));
    fixtures::answer(&mut state, query.clone(), answer(detail.clone()));
    let place = Place {
        view: ViewId::Certificate,
        subject: Some("crt_0002".to_owned()),
    };
    state.places.push(place);
    // Whoever looks at it shakes hands.
    tell(&mut state, Event::Rested);
    let endpoint = state.handshakes.keys().next().unwrap().clone();
    let seen = |state: &mut State, served: Result<&str, &str>| {
        let served = served.map(|shown| shows(&[(shown, 8)])).map_err(str::to_owned);
        tell(state, Event::Handshake(endpoint.clone(), served));
        installation_row(state)
    };
    let row = seen(&mut state, Ok(&certificate.fingerprint_sha256));
    assert!(row.ends_with("as expected as expected"), "{row}");
    let row = seen(&mut state, Err("connection refused"));
    assert!(
        row.contains("no answer") && row.contains("not seen now: connection refused"),
        "{row}"
    );
    assert!(!row.contains("as expected"), "{row}");
    let row = seen(&mut state, Ok("00"));
    assert!(row.ends_with("another one another one is served now"), "{row}");
    // One worker of several wasn't reloaded.
    let some = shows(&[(&certificate.fingerprint_sha256, 5), ("00", 3)]);
    tell(&mut state, Event::Handshake(endpoint.clone(), Ok(some)));
    let row = installation_row(&state);
    assert!(
        row.contains("3/8 other") && row.ends_with("3 of 8 connections show another one"),
        "{row}"
    );
    let broken = ServedNow {
        broken: Some("2 of 8 connections showed no certificate".to_owned()),
        ..shows(&[(&certificate.fingerprint_sha256, 6)])
    };
    tell(&mut state, Event::Handshake(endpoint.clone(), Ok(broken)));
    let row = installation_row(&state);
    assert!(
        row.contains("some fail") && row.contains("2 of 8 connections"),
        "{row}"
    );
    // Reloaded since its agent looked: what that saw is dated as such.
    detail.installations[0].served_sha256 = Some("00".to_owned());
    fixtures::answer(&mut state, query.clone(), answer(detail.clone()));
    let row = seen(&mut state, Ok(&certificate.fingerprint_sha256));
    assert!(
        row.ends_with("as expected at its report: old one still served"),
        "{row}"
    );

    // Without an address to look at, the file alone is right.
    detail.installations[0].tls_address = None;
    detail.installations[0].served_sha256 = None;
    fixtures::answer(&mut state, query, answer(detail));
    let row = installation_row(&state);
    assert!(
        row.ends_with("no TLS on disk, no TLS") && !row.contains("as expected"),
        "{row}"
    );
}

#[test]
fn a_database_host_is_as_the_console_sees_it_and_not_as_the_api_says_of_its_own() {
    let mut state = unsealed();
    let standing = Standing {
        role: HostRole::Primary,
        timeline: 1,
        behind_ms: 0,
        follows: false,
        last_change: None,
        latency_ms: 2,
    };
    let host = |state| Host {
        name: "db-1".to_owned(),
        unchecked: None,
        late: std::collections::BTreeSet::new(),
        state,
        instance: None,
    };
    // Before it was looked at nothing is said of it, whatever the API says of the one that it is on.
    is(&mut state, Backend::Database, LinkState::Up, "");
    tell(&mut state, Event::Hosts(vec![host(HostState::Unknown)]));
    assert_eq!(state.link(Backend::Database), LinkState::Unknown);
    tell(&mut state, Event::Hosts(vec![host(HostState::Up(standing))]));
    is(
        &mut state,
        Backend::Database,
        LinkState::Down,
        "its tables don't answer within 3 s",
    );
    assert_eq!(state.link(Backend::Database), LinkState::Up);
    // A host that is well while the API can't use it is a finding of the API's own, with the cause.
    let (kind, what) = first(&state);
    assert_eq!(kind, FindingKind::DatabaseDown);
    assert!(what.contains("its tables don't answer within 3 s"), "{what}");
    let query = Query::Findings;
    let asked = state.data[&query].asked;
    let result = Ok(state.answer(&query).unwrap().clone());
    let from = Some(ReadFrom::Host {
        name: "db-1".to_owned(),
        standing,
    });
    tell(
        &mut state,
        Event::Answer {
            query,
            asked,
            from,
            result,
        },
    );
    press(&mut state, "6");
    let screen = drawn(&state);
    assert!(
        screen.contains("db-1      up           <10 ms   primary; read here"),
        "{screen}"
    );
    assert!(!screen.contains("db DOWN"), "{screen}");
}

#[test]
fn findings_that_cannot_be_read_are_the_first_finding_though_all_else_is_up() {
    let mut state = unsealed();
    let known = state.data[&Query::Findings].value.clone().unwrap();
    let away = || Problem::unavailable("the API answered with status 503 and no words of its own");
    reply(&mut state, Query::Findings, Err(away()));
    let found = state.findings();
    assert_eq!(found[0].severity, Severity::Critical);
    assert!(
        found[0].what.starts_with(
            "This screen is not whole: the findings can't be read: the API answered with status 503 and no words of \
             its own"
        ) && found[0].what.contains("; ctrl-r asks again; what is shown is from 03:07Z"),
        "{}",
        found[0].what
    );
    // The known rows are still there, and the header doesn't say that all is well.
    assert!(found.iter().any(|it| it.kind == FindingKind::ExpiredInUse));
    let screen = drawn(&state);
    assert!(
        screen.contains("FINDINGS NOT READ") && !screen.contains(" up "),
        "{screen}"
    );
    reply(&mut state, Query::Findings, Ok(known));
    assert_eq!(first(&state).0, FindingKind::ExpiredInUse, "answered, it is gone");

    // A pane's question is told too, and none that the thing itself answers for.
    reply(&mut state, Query::OpenRequests, Err(away()));
    let what = first(&state).1;
    assert!(
        what.contains("the open requests can't be read") && !what.contains("what is shown"),
        "{what}"
    );
    reply(
        &mut state,
        Query::OpenRequests,
        Err(Problem::bad_input("no such filter")),
    );
    assert_eq!(first(&state).0, FindingKind::ExpiredInUse);
    // A backend that is away is the cause, and told alone.
    reply(&mut state, Query::Findings, Err(away()));
    is(&mut state, Backend::Api, LinkState::Down, "nothing listens there");
    assert!(first(&state).1.starts_with("The API doesn't answer"));
    assert!(!state.findings().iter().any(|it| it.subject == "This screen"));
}
