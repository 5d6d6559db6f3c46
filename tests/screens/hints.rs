//! What is said of keys is said by the keymap: with every command on another key, no screen, dialog or
//! message names a key that it has by itself.

use std::collections::BTreeMap;

use cmp_console::state::cmd::Cmd;
use cmp_console::state::contexts::Configured;
use cmp_console::state::keymap::{Group, Keymap};

use super::*;

/// Every command on a key that is nobody's by default: letters of another alphabet, and in dialogs, where
/// letters are typed, what is left with ctrl.
fn rebound() -> Keymap {
    let mut letters = 'А'..='я';
    let controls = "efghkloqstvwxby".chars().map(|key| format!("ctrl-{key}"));
    // The last one is heard where nothing is typed.
    let mut controls = controls.chain(["ё".to_owned()]);
    let own: BTreeMap<String, Vec<String>> = Keymap::default()
        .rows()
        .iter()
        .map(|row| {
            let key = match row.group {
                Group::Dialogs => controls.next().unwrap(),
                _ => letters.next().unwrap().to_string(),
            };
            (row.name.to_owned(), vec![key])
        })
        .collect();
    Keymap::with(&own).unwrap()
}

/// Keys as words and signs that name nothing else on a screen.
fn is_default_key(word: &str) -> bool {
    let named = [
        "esc", "enter", "tab", "backtab", "pageup", "pagedown", "ctrl-d", "ctrl-u", "ctrl-r", "ctrl-a",
        "ctrl-z", "ctrl-c", "ctrl-p", "ctrl-n",
    ];
    let mut keymap = Keymap::default().rows().to_vec();
    keymap.retain(|row| row.keys.iter().any(|key| key == word));
    let letter = word.len() == 1 && word.chars().all(|c| c.is_ascii_alphabetic() || "\\@".contains(c));
    named.contains(&word) || letter && !keymap.is_empty()
}

/// What of a line is in a dialog, where one lies over it: it cuts words in two.
fn in_box(line: &str) -> &str {
    match (line.find('│'), line.rfind('│')) {
        (Some(begin), Some(end)) if begin < end => &line[begin..end],
        _ => line,
    }
}

/// The words of a text that name a key which nobody has set; `own` are letters that the text names for
/// another reason.
fn named_keys(text: &str, own: &str) -> Vec<String> {
    // An action's own words may have such a word in them.
    let mut text: String = text.lines().map(|line| in_box(line).to_owned() + "\n").collect();
    for action in cmp_console::actions::ALL {
        text = text.replace(action.spec().help, "");
    }
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || "(),;:`│".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    // A letter behind a number is a unit.
    let is_unit = |index: usize| index > 0 && words[index - 1].chars().all(|c| c.is_ascii_digit());
    let mut found: Vec<String> = words
        .iter()
        .enumerate()
        .filter(|(index, word)| is_default_key(word) && !own.contains(**word) && !is_unit(*index))
        .map(|(_, word)| (*word).to_owned())
        .collect();
    // A digit is a key where it does something.
    let does = ["shows", "to", "loads", "looks", "opens", "unseals", "press"];
    found.extend(
        words
            .windows(2)
            .filter(|pair| pair[0].len() == 1 && "123456789".contains(pair[0]) && does.contains(&pair[1]))
            .map(|pair| pair.join(" ")),
    );
    found
}

fn assert_names_none(name: &str, state: &State, own: &str) {
    let shown = text(state);
    let found = named_keys(&shown, own);
    assert!(found.is_empty(), "{name} names {found:?}:\n{shown}");
}

fn press(state: &mut State, cmd: Cmd) {
    let event = Event::Key(state.keymap.key_of(cmd).to_owned());
    update(state, Timed { at: now(), event }, &mut Vec::new());
}

fn night_rebound() -> State {
    let mut state = night(200, 60);
    state.keymap = rebound();
    state
}

#[test]
fn a_default_key_would_be_found() {
    assert_eq!(
        named_keys("esc closes (7 shows it), press u", ""),
        ["esc", "u", "7 shows"]
    );
    assert!(named_keys("3 agents are up, a run is planned", "").is_empty());
}

#[test]
fn no_screen_names_a_key_of_its_own() {
    let spki = fixtures::certificates()[0].spki_sha256.clone();
    for view in views::ALL {
        let subject = match view.id {
            ViewId::Certificate => Some("crt_0002"),
            ViewId::Key => Some(spki.as_str()),
            ViewId::Agent => Some("agt_0003"),
            ViewId::Request => Some("req_0001"),
            ViewId::AuditRow => Some("2"),
            _ => None,
        };
        let mut state = night_rebound();
        go(&mut state, view.id, subject);
        assert_names_none(view.title, &state, "");
        if view.id == ViewId::Services {
            let vault = views::focused_rows(&state)
                .ids()
                .iter()
                .position(|id| id == "vault");
            state
                .screen_mut()
                .move_cursor(0, vault.unwrap(), &Backend::ALL.map(Backend::word));
            let unseal = state.keymap.key_of(Cmd::Start("unseal")).to_owned();
            assert!(text(&state).contains(&format!("SEALED: press {unseal}")));
        }
        state.layers.push(Layer::Help { scroll: 0 });
        assert_names_none("help", &state, "");
        state.layers = vec![Layer::CommandLine(Box::default())];
        assert_names_none("commands", &state, "");
        state.layers = vec![Layer::Filter(Box::default())];
        assert_names_none("filter", &state, "");
        state.layers = vec![Layer::NoFilter];
        assert_names_none("no filter", &state, "");
    }
}

#[test]
fn no_dialog_names_a_key_of_its_own() {
    // What confirms a plan of the first tier is fixed.
    let yes = "y";
    for tier in [Tier::Contained, Tier::Irreversible, Tier::Sweeping] {
        let mut state = night_rebound();
        let mut plan = plan(tier);
        plan.changes = vec!["this and that".to_owned(); 80];
        open_run(&mut state, "revoke", plan);
        assert_names_none("plan", &state, yes);
        let typed = |state: &mut State, key: &str| {
            let event = Event::Key(key.to_owned());
            update(state, Timed { at: now(), event }, &mut Vec::new());
        };
        let confirm = state
            .keymap
            .key_of(Cmd::Dialog(cmp_console::state::cmd::InDialog::Confirm))
            .to_owned();
        typed(&mut state, "8");
        typed(&mut state, &confirm);
        assert_names_none("complaint", &state, yes);
        state.runs[0].phase = Phase::Planning;
        assert_names_none("planning", &state, "");
        state.runs[0].phase = Phase::Planned;
        state.runs[0].begin(now());
        assert_names_none("running", &state, "");
        state.runs[0].take(RunEvent::StepStarted(0));
        state.runs[0].steps[0].step = "enter_shares".to_owned();
        assert_names_none("shares", &state, "");
        state.runs[0].phase = Phase::Ended(Outcome::Proven("it is so".to_owned()));
        assert_names_none("ended", &state, "");
    }
    for cmd in [Cmd::Related, Cmd::Copy] {
        let mut state = night_rebound();
        go(&mut state, ViewId::Certificates, None);
        press(&mut state, cmd);
        assert!(matches!(state.layers.last(), Some(Layer::Menu(_))));
        // Its items have letters of their own.
        assert_names_none(
            "menu",
            &state,
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        );
    }
}

#[test]
fn no_message_names_a_key_of_its_own() {
    let said = |state: &State, what: &str| {
        let toast = state.toast.as_ref().map(|toast| toast.text.as_str());
        let error = match state.layers.last() {
            Some(Layer::CommandLine(layer)) => layer.error.as_deref(),
            _ => None,
        };
        let toast = error.or(toast).unwrap_or_default();
        let found = named_keys(toast, "");
        assert!(
            !toast.is_empty() && found.is_empty(),
            "{what}: `{toast}` names {found:?}"
        );
    };
    let mut state = night_rebound();
    for cmd in [Cmd::Sort, Cmd::Freeze, Cmd::Refresh, Cmd::HistoryBack] {
        press(&mut state, cmd);
        if cmd != Cmd::Freeze {
            said(&state, &format!("{cmd:?}"));
        }
    }
    let mut state = night_rebound();
    press(&mut state, Cmd::Show(ViewId::Certificates));
    press(&mut state, Cmd::MarkAll);
    said(&state, "marking");
    state.links.insert(Backend::Vault, {
        let mut link = fixtures::sealed(3);
        link.state = LinkState::Up;
        link
    });
    state.screen_mut().marks.insert("crt_gone".to_owned());
    press(&mut state, Cmd::Start("revoke"));
    said(&state, "hidden marks");
    let id = state.begin_run("checkin", Vec::new());
    state.run_mut(&id).unwrap().begin(now());
    press(&mut state, Cmd::Quit);
    said(&state, "quitting");
    let layer = RunLayer::new(id);
    state.layers.push(Layer::Run(Box::new(layer)));
    press(&mut state, Cmd::Dialog(cmp_console::state::cmd::InDialog::Close));
    said(&state, "a run goes on");
    state.contexts = vec![Configured {
        name: "a-context".to_owned(),
        ..Configured::default()
    }];
    for line in [
        "context a-context",
        "save it",
        "view none",
        "sort x",
        "export zz",
        "unlock 1",
    ] {
        state.places.truncate(1);
        press(&mut state, Cmd::CommandLine);
        update(
            &mut state,
            Timed {
                at: now(),
                event: Event::Paste(line.to_owned()),
            },
            &mut Vec::new(),
        );
        press(
            &mut state,
            Cmd::Dialog(cmp_console::state::cmd::InDialog::Confirm),
        );
        said(&state, line);
        state.layers.clear();
    }
}
