//! What can't be reached, refuses us or has another clock is a finding of the console's own, the first of all.

use chrono::{Duration, TimeDelta};
use cmp_console::domain::finding::{FindingKind, Severity};
use cmp_console::domain::link::{Backend, LinkState};
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::state::link::Link;

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
    assert!(what.starts_with("connection refused; "), "{what}");
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
    assert_eq!(what, "nothing listens there; what is shown is from 03:07Z");
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
    let asked = state.data[&query].asked;
    let problem = Problem::new(ProblemKind::NotAuthenticated, "the token of dana ended");
    let result = Err(problem);
    tell(&mut state, Event::Answer { query, asked, result });
    let (kind, what) = first(&state);
    assert_eq!(kind, FindingKind::TokenRefused);
    assert!(
        what.starts_with("the token of dana ended; ctrl-r asks again"),
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
            .starts_with("its clock is 40 days ahead of the platform's"),
        "{}",
        off.what
    );
    tell(&mut state, Event::Clock(TimeDelta::zero()));
    assert!(!state.findings().iter().any(|it| it.kind == FindingKind::ClockOff));
}
