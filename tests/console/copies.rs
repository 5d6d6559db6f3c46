//! What leaves the screen: copies and exports.

use crate::hands::*;

#[test]
fn what_is_copied_is_one_line_and_steers_no_terminal() {
    let mut state = unsealed();
    let item = MenuItem {
        key: 'e',
        what: "error".to_owned(),
        leads: Chosen::Copy("no\x1b[31m\nrm -rf x\u{202e}".to_owned()),
    };
    let menu = Menu::new("Copy", vec![item]);
    state.layers.push(Layer::Menu(Box::new(menu)));
    let effects = press(&mut state, "e");
    let copied = effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(copied, Some("no\u{fffd}[31m rm -rf x\u{fffd}"));
}

/// One key has one meaning on a plan: `y` carries it out, whatever scrolls.
#[test]
fn a_plans_commands_are_copied_by_a_key_of_their_own() {
    let mut state = unsealed();
    press(&mut state, "r");
    let mut plan = plan_for(&state, Tier::Contained);
    plan.steps[0].command = "curl -X POST http://127.0.0.1/x".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    let copied = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Copy(_)));
    assert!(!copied(&press(&mut state, "ctrl-y")), "they are not shown");
    press(&mut state, "ctrl-o");
    let screen = drawn(&state);
    assert!(
        screen.contains("ctrl-y copies them") && screen.contains("press y to carry it out"),
        "{screen}"
    );
    assert!(copied(&press(&mut state, "ctrl-y")));
    let effects = press(&mut state, "y");
    assert!(executes(&effects) && !copied(&effects));
}

/// A target is named as what it is, not as the row that it was found on.
#[test]
fn a_timeline_names_an_agent_by_its_host() {
    let mut state = unsealed();
    press(&mut state, "4");
    let rows = cmp_console::views::focused_rows(&state);
    let targets: Vec<_> = (0..rows.ids().len())
        .filter_map(|at| rows.get(at))
        .flat_map(|row| row.targets)
        .collect();
    let agent = targets
        .iter()
        .find(|target| target.kind == EntityKind::Agent)
        .unwrap();
    let host = fixtures::agents()
        .into_iter()
        .find(|it| it.id == agent.id)
        .unwrap()
        .hostname;
    assert_eq!(agent.name, host);
    drop(rows);
    press(&mut state, "c");
    assert_eq!(
        state.runs[0].title(),
        format!("Check-in of {}", state.runs[0].on[0].name)
    );
    // The plan has read it, whatever the row said.
    state.runs[0].on[0].name = "img.example.com".to_owned();
    let mut plan = plan_for(&state, Tier::Contained);
    plan.targets[0].name.clone_from(&host);
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    run_line(&mut state, "export timeline");
    press(&mut state, "esc");
}

#[test]
fn what_others_wrote_steers_nothing_that_reads_an_export() {
    let mut state = unsealed();
    for loaded in state.data.values_mut() {
        if let Some(Answer::Certificates(window)) = &mut loaded.value {
            for row in &mut window.rows {
                row.subject = "=a\x1b]52;c;aWQ=\x07\u{202e}".to_owned();
                row.sans.clear();
            }
        }
    }
    state.log(LoggedCommand {
        at: now(),
        command: "curl \x1b]0;x\x07\nid".to_owned(),
        how: "no answer\x1b[2J".to_owned(),
        run: None,
    });
    for format in ["csv", "json", "text", "timeline"] {
        press(&mut state, ":");
        tell(&mut state, Event::Paste(format!("export {format}")));
        let effects = press(&mut state, "enter");
        let written = effects.iter().find_map(|effect| match effect {
            Effect::Export { content, .. } => Some(content),
            _ => None,
        });
        let content = written.unwrap();
        let steers = |c: char| !matches!(c, '\n' | '\r') && is_hidden(c);
        assert!(!content.contains(steers), "{format}: {content:?}");
        if format == "csv" {
            assert!(
                content.contains("\r\n'=a\u{fffd}]52;c;aWQ=\u{fffd}\u{fffd},"),
                "{content}"
            );
        }
    }
}

#[test]
fn what_is_on_screen_is_exported() {
    let mut state = unsealed();
    press(&mut state, ":");
    tell(&mut state, Event::Paste("export csv".to_owned()));
    let effects = press(&mut state, "enter");
    let written = effects.iter().find_map(|effect| match effect {
        Effect::Export { name, content } => Some((name, content)),
        _ => None,
    });
    let (name, content) = written.unwrap();
    assert!(
        name.starts_with("certificates-") && name.ends_with(".csv"),
        "{name}"
    );
    assert!(
        content.starts_with("certificate,status,ends,host,key,owner,serial\r\npay.example.com,expired,"),
        "{content}"
    );
    assert_eq!(content.lines().count(), 6);
}
