//! Sizes and colours that any screen may meet.

use super::*;

#[test]
fn no_size_makes_any_screen_panic() {
    let views = [
        (ViewId::Triage, None),
        (ViewId::Certificates, None),
        (ViewId::Services, None),
        (ViewId::CommandLog, None),
        (ViewId::Trends, None),
        (ViewId::Contexts, None),
        (ViewId::Logs, None),
        (ViewId::AuditRow, Some("2")),
        (ViewId::Certificate, Some("crt_0002")),
        (ViewId::Agent, Some("agt_0003")),
        (ViewId::Request, Some("req_0001")),
    ];
    for width in [1, 2, 10, 39, 40, 41, 60, 200] {
        for height in [1, 2, 9, 10, 11, 13, 24, 60] {
            for (view, subject) in views {
                let mut state = night(width, height);
                go(&mut state, view, subject);
                drawn(&state);
                open_run(&mut state, "revoke", plan(Tier::Irreversible));
                drawn(&state);
                state.layers = vec![Layer::Help { scroll: 3 }];
                let shown = text(&state);
                if width < 40 || height < 10 {
                    assert!(!shown.contains("Keys"));
                }
            }
        }
    }
}

#[test]
fn no_colour_keeps_every_meaning() {
    let mut state = night(120, 40);
    let with = text(&state);
    state.look.colours = Colours::Mono;
    assert_eq!(text(&state), with);
    for cell in drawn(&state).content() {
        assert_eq!(cell.fg, Color::Reset);
    }
}
