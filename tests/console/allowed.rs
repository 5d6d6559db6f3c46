//! What may be started: by the context, the token, the backends, and by which route.

use crate::hands::*;

#[test]
fn a_disabled_action_says_why_and_starts_nothing() {
    let mut state = unsealed();
    let effects = press(&mut state, "u");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })));
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains("Vault is not sealed"))
    );
    state.guard = Guard::ReadOnly;
    for key in ["X", "r", "i", "c", "u"] {
        let effects = press(&mut state, key);
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })),
            "{key}"
        );
        assert!(
            state
                .toast
                .as_ref()
                .is_some_and(|toast| toast.text.contains("read-only")),
            "{key}"
        );
    }
}

/// Whatever way leads to an action, read-only stands before it, and says so; the executor refuses too
/// (tests/actions.rs).
#[test]
fn read_only_refuses_every_action_by_every_route() {
    for guard in [Guard::ReadOnly, Guard::Protected(None)] {
        for action in cmp_console::actions::ALL {
            let spec = action.spec();
            let typed = |name: &str| {
                let keys: Vec<String> = name.chars().map(String::from).collect();
                format!(": {} enter", keys.join(" "))
            };
            let half: String = spec.id.chars().take(4).collect();
            let routes = [
                spec.key.to_owned(),
                typed(spec.id),
                typed(&half).replace(" enter", " tab enter"),
                format!("space space {}", spec.key),
                format!("enter {}", spec.key),
                format!("1 {}", spec.key),
                format!("6 {}", spec.key),
            ];
            for route in routes {
                let mut state = unsealed();
                state.guard = guard.clone();
                let effects = press(&mut state, &route);
                let acts = |effect: &Effect| matches!(effect, Effect::Plan { .. } | Effect::Execute { .. });
                assert!(!effects.iter().any(acts), "{} by `{route}`", spec.id);
                assert!(
                    state.runs.is_empty() && state.layers.is_empty(),
                    "{} by `{route}`",
                    spec.id
                );
                let toast = state.toast.as_ref().map_or("", |toast| toast.text.as_str());
                let why = guard.refuses(now()).unwrap();
                assert!(toast.contains(why), "{} by `{route}` says `{toast}`", spec.id);
            }
        }
    }
}

#[test]
fn a_protected_context_is_unlocked_for_a_while_under_a_ticket() {
    let mut state = unsealed();
    state.guard = Guard::Protected(None);
    assert!(press(&mut state, "X").is_empty());
    assert!(
        state
            .toast
            .as_ref()
            .is_some_and(|toast| toast.text.contains(":unlock 15m TICKET"))
    );
    // Without its arguments the command is written down, and nothing is unlocked.
    press(&mut state, ": u n l o c k enter enter");
    assert_eq!(state.guard, Guard::Protected(None));
    let effects = press(&mut state, "1 5 m space I N C - 1 enter");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::SetGuard(Guard::Protected(Some(_)))))
    );
    press(&mut state, "r");
    planned(&mut state, Tier::Contained);
    let effects = press(&mut state, "y");
    let ticket = effects.iter().find_map(|effect| match effect {
        Effect::Execute { confirmed, .. } => confirmed.ticket(),
        _ => None,
    });
    assert_eq!(ticket, Some("INC-1"), "what is done is done under the ticket");
    press(&mut state, "esc : l o c k enter");
    assert_eq!(state.guard, Guard::Protected(None));
    let action = cmp_console::actions::find("reissue").unwrap();
    let selected = cmp_console::views::selected(&state);
    assert_ne!(
        state.availability(action, &selected),
        cmp_console::actions::Availability::Ready
    );
}

#[test]
fn a_context_is_locked_again_the_moment_its_time_is_over() {
    let mut state = unsealed();
    state.guard = Guard::of(false, true);
    run_line(&mut state, "unlock 15m INC-1");
    let mut effects = Vec::new();
    let at = now() + chrono::Duration::minutes(15);
    let event = Event::Relocked;
    assert!(
        update(&mut state, Timed { at, event }, &mut effects),
        "it is told"
    );
    assert_eq!(state.guard, Guard::Protected(None));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::SetGuard(Guard::Protected(None))))
    );
}

#[test]
fn nothing_is_planned_while_the_api_has_no_database() {
    let mut state = unsealed();
    let link = fixtures::link(LinkState::Down, Some("doesn't answer"));
    tell(&mut state, Event::Link(Backend::Database, link));
    press(&mut state, "2 X");
    let toast = state.toast.as_ref().unwrap();
    assert!(
        toast.text.contains("the API's database does not answer"),
        "{toast:?}"
    );
    assert!(state.runs.is_empty());
}

#[test]
fn the_command_line_runs_what_is_picked_by_the_same_rules_as_a_key() {
    let mut state = unsealed();
    let effects = press(&mut state, ": r e i s s tab enter");
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::Plan {
            action: "reissue",
            ..
        }
    )));
    press(&mut state, "esc");
    press(&mut state, ": a u d i t enter");
    assert_eq!(state.place().view, ViewId::Audit);
    // Anything that is known by its name.
    press(&mut state, ": w e b - 0 1 enter");
    assert_eq!(state.place().view, ViewId::Agent);
    press(&mut state, ": esc");
    assert!(state.layers.is_empty());
    state.guard = Guard::ReadOnly;
    press(&mut state, "2");
    for action in cmp_console::actions::ALL {
        let typed = action
            .spec()
            .id
            .chars()
            .map(|c| c.to_string())
            .collect::<Vec<_>>();
        let effects = press(&mut state, &format!(": {} enter", typed.join(" ")));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan { .. })));
        assert!(
            state
                .toast
                .as_ref()
                .is_some_and(|toast| toast.text.contains("read-only"))
        );
    }
}

/// The API takes these at once, and does the rest when the CA is back: another console's way to Vault is no
/// reason against them.
#[test]
fn what_the_api_takes_is_not_held_up_by_the_consoles_own_way_to_vault() {
    for (sealed, link) in [(true, LinkState::Degraded), (false, LinkState::Down)] {
        for (key, id) in [("X", "revoke"), ("r", "reissue"), ("i", "install")] {
            let mut state = night(120, 40);
            if !sealed {
                let link = fixtures::link(link, Some("no route to host"));
                tell(&mut state, Event::Link(Backend::Vault, link));
            }
            assert_eq!(state.vault_sealed(), sealed);
            let effects = press(&mut state, &format!("2 {key}"));
            let plans = |effect: &Effect| matches!(effect, Effect::Plan { action, .. } if *action == id);
            assert!(effects.iter().any(plans), "{id}: {:?}", state.toast);
        }
    }
}

/// A platform whose CAs are all others has no Vault: that is no trouble, and everything else goes on.
#[test]
fn a_context_without_vault_has_no_trouble_of_it_and_says_why_nothing_is_unsealed() {
    let mut state = night(120, 40);
    state.context.vault = None;
    let absent = fixtures::link(LinkState::Absent, Some("not configured"));
    tell(&mut state, Event::Link(Backend::Vault, absent));
    assert!(!state.vault_sealed());
    let own = cmp_console::state::own_findings::own_findings(&state);
    assert!(own.iter().all(|it| it.entity != EntityKind::Vault), "{own:?}");
    let effects = press(&mut state, "u");
    assert!(!effects.iter().any(|it| matches!(it, Effect::Plan { .. })));
    let said = state.toast.as_ref().unwrap().text.clone();
    assert!(said.contains("this context has no Vault"), "{said}");
    // There is no list of a Vault to look into, and no word of one that can't be read.
    let mut looking = state.clone();
    let effects = press(&mut looking, "2 V");
    assert!(
        !effects.iter().any(|it| matches!(it, Effect::FetchCrl)),
        "{effects:?}"
    );
    assert!(looking.crl.is_none() && looking.place().view == ViewId::Certificate);
    let detail = Answer::Certificate(Box::new(fixtures::certificate_detail()));
    let id = looking.place().subject.unwrap();
    fixtures::answer(&mut looking, Query::Certificate(id), detail);
    assert!(
        drawn(&looking).contains("this context has no Vault"),
        "{}",
        drawn(&looking)
    );
    for (key, id) in [("X", "revoke"), ("r", "reissue"), ("i", "install")] {
        let mut state = state.clone();
        let effects = press(&mut state, &format!("2 {key}"));
        let plans = |effect: &Effect| matches!(effect, Effect::Plan { action, .. } if *action == id);
        assert!(effects.iter().any(plans), "{id}: {:?}", state.toast);
    }
}
