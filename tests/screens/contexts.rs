//! The open context beside the others.

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
    for name in ["lab", "staging"] {
        let up = fixtures::link(LinkState::Up, None);
        fixtures::answer(state, of(name), links(up, open()));
    }
    let of = |name: &str| Query::FiguresOf(name.to_owned());
    let figures = Figures {
        critical: 2,
        warnings: 11,
        expiring: 148,
        silent: 3,
        requests: 7,
        failed: 1,
    };
    fixtures::answer(state, of("prod-eu"), Answer::Figures(figures));
    let stale = state.data.get_mut(&of("prod-eu")).unwrap();
    stale.trouble = Some(Problem::unavailable("the API did not answer"));
    stale.as_of = Some(now() - Duration::minutes(4));
    fixtures::answer(state, of("staging"), Answer::Figures(Figures::default()));
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
