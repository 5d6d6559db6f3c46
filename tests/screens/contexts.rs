//! The open context beside the others.

use cmp_console::domain::role::Role;

use super::*;

/// Beside the open one: production, whose API is lost; what is read only and well; what is read with no token;
/// what was not heard of yet.
fn with_other_contexts(state: &mut State) {
    let configured = |name: &str, protected, read_only| Configured {
        name: name.to_owned(),
        protected,
        read_only,
        api: format!("http://api.{name}:8082"),
        vault: Some(format!("http://vault.{name}:8200")),
    };
    state.contexts = vec![
        configured("demo", false, false),
        configured("lab", false, false),
        configured("prod-ap", true, true),
        configured("prod-eu", true, false),
        configured("staging", false, true),
        configured("wall", true, false),
    ];
    let open = || {
        let mut link = fixtures::sealed(3);
        (link.state, link.note) = (LinkState::Up, None);
        link
    };
    let links = |api, vault| Answer::Links([(Backend::Api, api), (Backend::Vault, vault)].into());
    let lost = "the API at `http://api.prod-eu:8082` did not answer within 5 s";
    let lost = fixtures::link(LinkState::Down, Some(lost));
    let of = |name: &str| Query::LinksOf(name.to_owned());
    fixtures::answer(state, of("prod-eu"), links(lost, fixtures::sealed(1)));
    for name in ["lab", "staging", "wall"] {
        let up = fixtures::link(LinkState::Up, None);
        fixtures::answer(state, of(name), links(up, open()));
    }
    let of = |name: &str| Query::FiguresOf(name.to_owned());
    let figures = Figures {
        critical: 2,
        vault: 1,
        warnings: 11,
        expiring: 148,
        silent: 3,
        requests: 7,
        failed: 1,
        role: Some(Role::Operator),
    };
    fixtures::answer(state, of("prod-eu"), Answer::Figures(figures));
    let stale = state.data.get_mut(&of("prod-eu")).unwrap();
    stale.trouble = Some(Problem::unavailable("the API did not answer"));
    stale.as_of = Some(now() - Duration::minutes(4));
    fixtures::answer(state, of("staging"), Answer::Figures(Figures::default()));
    let of_viewer = Figures {
        role: Some(Role::Viewer),
        ..Figures::default()
    };
    fixtures::answer(state, of("wall"), Answer::Figures(of_viewer));
    let no_token = Problem::new(
        cmp_console::problem::ProblemKind::NotAuthenticated,
        "there is no API token: the command `pass` is run only for the context that is opened",
    );
    fixtures::answer(state, of("lab"), Answer::Figures(Figures::default()));
    let unknown = state.data.get_mut(&of("lab")).unwrap();
    (unknown.value, unknown.as_of, unknown.trouble) = (None, None, Some(no_token));
}

#[test]
fn contexts() {
    snapshot("contexts", |state| {
        with_other_contexts(state);
        go(state, ViewId::Contexts, None);
    });
    snapshot("contexts_no_token", |state| {
        with_other_contexts(state);
        go(state, ViewId::Contexts, None);
        let ids = ["prod-eu", "demo", "prod-ap", "lab", "staging"];
        state.screen_mut().put_cursor(0, 3, &ids);
    });
    // The demo is a context of its own.
    snapshot("contexts_alone", |state| go(state, ViewId::Contexts, None));
}

/// A token that may only read is told where changes are told of, and no unlock helps it.
#[test]
fn a_viewers_token_is_seen_in_the_header_and_beside_the_context() {
    let header = |state: &State| text(state).lines().next().unwrap_or_default().to_owned();
    let mut state = night(80, 24);
    assert!(!header(&state).contains("VIEWER"), "{}", header(&state));
    state.role = None;
    assert!(!header(&state).contains("VIEWER"), "nobody has told it yet");
    state.role = Some(Role::Viewer);
    assert!(header(&state).starts_with(" demo  VIEWER "), "{}", header(&state));
    go(&mut state, ViewId::Contexts, None);
    let shown = text(&state);
    let row = shown
        .lines()
        .find(|line| line.starts_with(">demo (here)"))
        .unwrap();
    assert!(row.contains(" VIEWER "), "{row}");
    state.guard = Guard::of(false, true);
    assert!(header(&state).starts_with(" demo  VIEWER "), "{}", header(&state));
    state.guard = Guard::of(true, true);
    assert!(
        header(&state).starts_with(" demo  READ-ONLY "),
        "{}",
        header(&state)
    );
}
