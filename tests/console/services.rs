//! Services: the lower pane is about the row under the cursor.

use cmp_console::domain::database::{Host, HostRole, HostState, Standing};

use crate::hands::*;

fn to_service(state: &mut State, name: &str) {
    press(state, "6 g");
    let rows = cmp_console::views::focused_rows(state);
    let at = rows.ids().iter().position(|id| id == name).unwrap();
    drop(rows);
    for _ in 0..at {
        press(state, "j");
    }
    tell(state, Event::Rested);
}

#[test]
fn the_lower_pane_is_about_the_row_under_the_cursor() {
    let mut state = night(120, 40);
    to_service(&mut state, "api");
    let screen = drawn(&state);
    assert!(screen.contains("── API ─"), "{screen}");
    assert!(screen.contains("Address    http://127.0.0.1:8082"), "{screen}");
    assert!(!screen.contains("Shares"), "{screen}");
    to_service(&mut state, "vault");
    let screen = drawn(&state);
    assert!(
        screen.contains("── Vault ─") && screen.contains("SEALED: press u"),
        "{screen}"
    );
    assert!(!screen.contains("http://127.0.0.1:8082"), "{screen}");
    to_service(&mut state, "issuer");
    let screen = drawn(&state);
    assert!(
        screen.contains("── Issuer ─") && screen.contains("Says       paused: Vault is sealed"),
        "{screen}"
    );
    assert!(!screen.contains("Shares"), "{screen}");
    // A held key sends little: the pane follows when the cursor rests.
    press(&mut state, "g");
    assert!(drawn(&state).contains("── Issuer ─"));
    tell(&mut state, Event::Rested);
    assert!(drawn(&state).contains("── API ─"));
}

/// The trouble of a backend that is away has its words whole, its beginning, and the time of the rest.
#[test]
fn a_backend_that_is_away_is_told_of_whole() {
    let mut state = night(120, 40);
    let why = "its schema isn't up to date, and this account may not change it: run `cmp-server --migrate-only` \
               once, as the schema's owner";
    let link = fixtures::link(LinkState::Down, Some(why));
    tell(&mut state, Event::Link(Backend::Api, link));
    to_service(&mut state, "api");
    let screen = drawn(&state);
    for words in [
        "DOWN",
        "Since      03:07Z",
        "the schema's owner",
        "last updated 03:07Z",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
}

/// Vault's finding leads to Vault's row.
#[test]
fn a_finding_leads_to_the_row_that_it_is_about() {
    let mut state = night(120, 40);
    press(&mut state, "1");
    let first = cmp_console::views::focused_rows(&state).get(0).unwrap();
    assert_eq!(first.targets[0].kind, EntityKind::Vault);
    press(&mut state, "enter");
    assert_eq!(state.place().view, ViewId::Services);
    tell(&mut state, Event::Rested);
    assert!(drawn(&state).contains("── Vault ─"), "{}", drawn(&state));
    tell(&mut state, Event::Minute);
    assert!(drawn(&state).contains("── Vault ─"), "it stays there");
    press(&mut state, "esc");
    assert_eq!(state.place().view, ViewId::Triage);
}

/// A proxy, which sees all that goes to a backend, is said where the backend is.
#[test]
fn a_proxy_on_the_way_is_said_beside_the_backend() {
    let mut state = night(120, 40);
    let words = "through the proxy `http://proxy:3128` of HTTP_PROXY";
    state.context.proxies.insert(Backend::Vault, words.to_owned());
    to_service(&mut state, "vault");
    let screen = drawn(&state);
    assert_eq!(
        screen.matches(words).count(),
        2,
        "in its row, and whole below: {screen}"
    );
}

/// Two hosts of one machine differ at the end of their names alone.
#[test]
fn hosts_whose_names_begin_alike_can_be_told_apart() {
    for width in [80, 120] {
        let mut state = night(width, 40);
        let host = |name: &str, role| Host {
            name: name.to_owned(),
            unchecked: None,
            late: std::collections::BTreeSet::new(),
            state: HostState::Up(Standing {
                role,
                timeline: 1,
                behind_ms: 0,
                follows: role == HostRole::Replica,
                last_change: None,
                latency_ms: 2,
            }),
            instance: None,
        };
        tell(
            &mut state,
            Event::Hosts(vec![
                host("127.0.0.1:54321", HostRole::Primary),
                host("127.0.0.1:54322", HostRole::Replica),
            ]),
        );
        press(&mut state, "6");
        let area = ratatui::layout::Rect::new(0, 0, width, 40);
        let mut buffer = ratatui::buffer::Buffer::empty(area);
        cmp_console::views::draw(&state, area, &mut buffer);
        let screen: String = buffer
            .content()
            .iter()
            .map(ratatui::buffer::Cell::symbol)
            .collect();
        for words in ["127.0.0.1:54321: primary", "127.0.0.1:54322: replica"] {
            assert!(screen.contains(words), "{words} at {width}: {screen}");
        }
    }
}
