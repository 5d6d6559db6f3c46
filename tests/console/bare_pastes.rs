//! Pastes that come as bare keys, at twelve speeds, on every screen and in every dialog: nothing is carried out,
//! and nothing of a key is shown or asked for. And hands, which must still be heard.

use std::time::Duration;

use cmp_console::console::entry::Entry;
use cmp_console::console::heard::Input;
use tokio::time::Instant;

use crate::hands::*;

/// Bytes that come at once, and the time between two such packets.
const SPEEDS: [(usize, Duration); 12] = [
    // 9600 baud is 960 bytes a second, byte by byte or out of a UART's or USB adapter's buffer.
    (1, Duration::from_micros(1042)),
    (16, Duration::from_micros(16_667)),
    (64, Duration::from_micros(66_667)),
    // mosh sends at most every 250 ms on a bad link.
    (240, Duration::from_millis(250)),
    // 19200, 38400, 57600 and 115200 baud.
    (1, Duration::from_micros(521)),
    (1, Duration::from_micros(260)),
    (8, Duration::from_micros(1389)),
    (16, Duration::from_micros(1389)),
    // Slow and fast networks.
    (60, Duration::from_millis(20)),
    (512, Duration::from_millis(40)),
    (1024, Duration::from_millis(200)),
    (4096, Duration::ZERO),
];

/// After so long the console counts typing as paused.
const PAUSE: Duration = Duration::from_millis(350);

/// What a terminal sends for this text.
pub(crate) fn keys_of(text: &str) -> Vec<String> {
    let name = |c| match c {
        ' ' => "space".to_owned(),
        '\n' => "enter".to_owned(),
        c => String::from(c),
    };
    text.chars().map(name).collect()
}

/// A person's terminal: what is drawn is on the screen at once.
pub(crate) struct Terminal {
    pub(crate) state: State,
    pub(crate) entry: Entry,
    pub(crate) now: Instant,
    pub(crate) effects: Vec<Effect>,
    /// What may be nowhere on the screen.
    pub(crate) hidden: Vec<String>,
}

impl Terminal {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state,
            entry: Entry::default(),
            now: Instant::now(),
            effects: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// All that counts as of `now`.
    pub(crate) fn take(&mut self) {
        while let Some(event) = self.entry.next(self.now, &self.state) {
            self.effects.extend(tell(&mut self.state, event));
            show(&mut self.state);
            if !self.hidden.is_empty() {
                let drawn = drawn(&self.state);
                let shown = self.hidden.iter().find(|hidden| drawn.contains(hidden.as_str()));
                assert_eq!(shown, None, "{drawn}");
            }
        }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(wake) = self.entry.wake(&self.state).filter(|wake| *wake <= until) {
            self.now = wake.max(self.now);
            self.take();
        }
        self.now = until;
        self.take();
        if time >= PAUSE {
            self.effects.extend(tell(&mut self.state, Event::TypingPaused));
        }
    }

    /// Keys, so many at once, with this time between.
    pub(crate) fn send(&mut self, keys: &[String], (at_once, between): (usize, Duration)) {
        for packet in keys.chunks(at_once) {
            for key in packet {
                self.entry.hear(self.now, Input::Key(key.clone()), &self.state);
            }
            self.take();
            self.wait(between);
        }
    }

    /// Keys typed one after another, and the pause behind them.
    pub(crate) fn types(&mut self, keys: &str, between: Duration) -> Vec<Effect> {
        let keys: Vec<String> = keys.split(' ').map(str::to_owned).collect();
        self.send(&keys, (1, between));
        self.wait(Duration::from_secs(2));
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn said(&self) -> String {
        let layers = self.state.layers.iter().filter_map(|layer| match layer {
            Layer::Run(layer) => layer.complaint.clone(),
            Layer::CommandLine(layer) => layer.error.clone(),
            _ => None,
        });
        let toast = self.state.toast.iter().map(|toast| toast.text.clone());
        layers.chain(toast).collect::<Vec<_>>().join("\n")
    }
}

pub(crate) fn opened(keys: &str) -> State {
    let mut state = unsealed();
    press(&mut state, keys);
    state
}

pub(crate) fn with_plan(key: &str, tier: Tier) -> State {
    let mut state = opened(key);
    planned(&mut state, tier);
    show(&mut state);
    state
}

pub(crate) fn with_shares() -> State {
    let mut state = night(120, 40);
    press(&mut state, "u");
    let mut plan = plan_for(&state, Tier::Shares);
    plan.steps[0].step = "enter_shares".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    tell(&mut state, Event::Run("#1".to_owned(), RunEvent::StepStarted(0)));
    show(&mut state);
    assert!(wants_secret(&state));
    state
}

fn screens_and_dialogs() -> Vec<(String, State)> {
    let mut all: Vec<(String, State)> = Vec::new();
    let screens = "1 2 3 4 5 6 7 8 9 @ L".split(' ');
    all.extend(screens.map(|key| (format!("screen {key}"), opened(key))));
    let details = ["2 enter", "3 enter", "4 enter", "5 enter", "2 enter enter"];
    all.extend(details.map(|keys| (format!("detail {keys}"), opened(keys))));
    for keys in ["?", "/", ":", "o", "y", "/ w", ": f i n d space"] {
        all.push((format!("layer {keys}"), opened(keys)));
    }
    all.push(("a plan that is made".to_owned(), opened("r")));
    all.push((
        "a plan that asks for y".to_owned(),
        with_plan("r", Tier::Contained),
    ));
    all.push((
        "a plan that asks for a phrase".to_owned(),
        with_plan("X", Tier::Irreversible),
    ));
    let mut in_a_field = with_plan("X", Tier::Irreversible);
    press(&mut in_a_field, "tab");
    all.push(("a plan's field".to_owned(), in_a_field));
    all.push(("shares".to_owned(), with_shares()));
    all
}

pub(crate) fn changes(effect: &Effect) -> bool {
    !matches!(
        effect,
        Effect::Ask { .. }
            | Effect::AskLater { .. }
            | Effect::CheckLinks
            | Effect::FetchCrl
            | Effect::Handshake(_)
    )
}

pub(crate) fn prose() -> String {
    let lines = [
        "sorry, try again: the certificate of web-01 could not be renewed yesterday.",
        "",
        "Could you check why? Yes: y. Here is what I did, in order:",
        "  /usr/bin/openssl s_client -connect web-01:443 | head",
        ":quit, :unlock 15m INC-1 because",
        "c",
        "X yes y",
    ];
    let page = lines.join("\n");
    vec![page; 12].join("\n")
}

pub(crate) fn pem_and_key() -> (String, String) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn no_paste_of_bare_keys_carries_anything_out_or_shows_a_key() {
    let (certificate, key) = pem_and_key();
    let body: Vec<&str> = key.lines().filter(|line| !line.starts_with('-')).collect();
    let secret: Vec<String> = body
        .iter()
        .flat_map(|line| line.as_bytes().chunks(12))
        .filter(|piece| piece.len() == 12)
        .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
        .collect();
    let texts = [
        ("certificate", certificate, false),
        ("key", key.clone(), true),
        ("body of a key", body.concat(), true),
        ("prose", prose(), false),
    ];
    let mut n = 0;
    for (place, state) in screens_and_dialogs() {
        for (what, text, is_secret) in &texts {
            let keys = keys_of(text);
            for speed in SPEEDS {
                let mut terminal = Terminal::new(state.clone());
                if *is_secret {
                    terminal.hidden.clone_from(&secret);
                }
                terminal.send(&keys, speed);
                terminal.wait(Duration::from_secs(3));
                let at = format!("{what} at {speed:?} on {place}");
                let changing: Vec<&Effect> = terminal.effects.iter().filter(|it| changes(it)).collect();
                assert!(changing.is_empty(), "{at}: {changing:?}");
                assert!(!terminal.state.quit, "{at}");
                assert_eq!(terminal.state.runs.len(), state.runs.len(), "{at}");
                let asked = format!("{:?}", terminal.effects);
                let kept = format!(
                    "{:?} {:?}",
                    terminal.state.filters_used, terminal.state.lines_used
                );
                if *is_secret {
                    assert!(
                        !secret.iter().any(|it| asked.contains(it) || kept.contains(it)),
                        "{at}"
                    );
                    // What can be known of it is a clue where clues are typed.
                    let is_clue = matches!(terminal.state.layers.last(), Some(Layer::CommandLine(_)))
                        && drawn(&terminal.state).contains("find ");
                    assert!(
                        is_clue || terminal.said().contains("private key"),
                        "{at}: {}",
                        terminal.said()
                    );
                }
                n += 1;
            }
        }
    }
    assert!(n > 1000, "{n} pastes");
}

#[test]
fn what_a_paste_was_is_said_and_keys_count_again_when_it_is_over() {
    let mut terminal = Terminal::new(opened("1"));
    let keys = keys_of(&prose());
    terminal.send(&keys, SPEEDS[0]);
    assert!(
        terminal.said().contains("as fast as a paste"),
        "{}",
        terminal.said()
    );
    terminal.wait(Duration::from_millis(400));
    assert!(
        terminal
            .said()
            .starts_with(&format!("{} keys ignored", keys.len())),
        "{}",
        terminal.said()
    );
    // A late piece is a piece of it, and a single key isn't heard yet; it doesn't make the time any longer.
    terminal.send(&keys_of("c"), (1, Duration::from_millis(400)));
    assert!(terminal.effects.iter().all(|effect| !changes(effect)));
    terminal.wait(Duration::from_millis(300));
    let effects = terminal.types("2", Duration::from_millis(60));
    assert!(effects.iter().all(|effect| !changes(effect)));
    assert_eq!(terminal.state.place().view, ViewId::Certificates);
}

#[test]
fn a_paste_of_bare_keys_goes_into_an_open_field_and_runs_nothing() {
    let (certificate, _) = pem_and_key();
    let mut terminal = Terminal::new(opened(": f i n d space"));
    terminal.send(&keys_of(&certificate), SPEEDS[0]);
    terminal.wait(Duration::from_secs(1));
    let Some(Layer::CommandLine(layer)) = terminal.state.layers.last() else {
        panic!("it is still open")
    };
    let typed = cmp_console::state::layer::line(&layer.typed);
    assert!(typed.starts_with("find -----BEGIN CERTIFICATE"), "{typed}");
    let effects = terminal.types("enter", Duration::ZERO);
    assert!(!effects.is_empty(), "its key is asked for");
    assert_eq!(terminal.state.place().view, ViewId::Key);
}

fn plans(effects: &[Effect], id: &str) -> usize {
    let plans = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Plan { action, .. } if *action == id));
    plans.count()
}

#[test]
fn fast_hands_and_what_is_typed_ahead_are_heard() {
    // 17 keys a second, and all at once after a link was held up.
    for between in [Duration::from_millis(58), Duration::ZERO] {
        let mut terminal = Terminal::new(opened("1"));
        let effects = terminal.types("2 j j j X", between);
        assert_eq!(plans(&effects, "revoke"), 1, "{between:?}");
        assert_eq!(terminal.state.runs[0].on[0].id, "crt_0004");
        let mut terminal = Terminal::new(opened("2"));
        terminal.types("/ w e b - 0 1 enter", between);
        assert_eq!(terminal.state.screen().list.q, "web-01");
        assert!(terminal.state.layers.is_empty());
    }
    // Two keys of one roll of the hand.
    let mut terminal = Terminal::new(opened("1"));
    terminal.send(&keys_of("2"), (1, Duration::from_millis(15)));
    assert_eq!(plans(&terminal.types("r", Duration::ZERO), "reissue"), 1);
}

/// Keys after one that was dropped were typed for the dialog that it would have opened.
#[test]
fn a_burst_with_an_action_in_it_opens_nothing_and_says_how_much_was_dropped() {
    for (burst, n) in [("r y", 2), ("j j j k k k r r r y y y", 6), ("j X y", 2)] {
        let mut terminal = Terminal::new(opened("2"));
        let effects = terminal.types(burst, Duration::ZERO);
        assert!(!effects.iter().any(changes), "{burst}: {effects:?}");
        assert!(terminal.state.layers.is_empty(), "{burst}");
        let said = terminal.said();
        assert!(
            said.starts_with(&format!("{n} keys ignored: they came as fast as a paste")),
            "{burst}: {said}"
        );
        // Once it was quiet, all keys count.
        terminal.types("y", Duration::ZERO);
        assert!(
            matches!(terminal.state.layers.last(), Some(Layer::Menu(_))),
            "{burst}"
        );
    }
    // Movement that a link puts together goes on, and so does a hand.
    let mut terminal = Terminal::new(opened("2 g"));
    terminal.types("j j j", Duration::ZERO);
    let screen = terminal.state.screen();
    let ids: Vec<String> = (1..6).map(|n| format!("crt_000{n}")).collect();
    assert_eq!(screen.cursor_index(0, &ids), 3);
    let effects = terminal.types("j k r", Duration::from_millis(60));
    assert_eq!(plans(&effects, "reissue"), 1);
}

#[test]
fn a_key_that_is_held_moves_on_at_once_and_acts_once() {
    let held = Duration::from_millis(33);
    let mut terminal = Terminal::new(opened("2"));
    let keys = vec!["j".to_owned(); 3];
    terminal.send(&keys, (1, held));
    assert_eq!(
        terminal
            .state
            .screen()
            .cursor_index(0, &["crt_0001", "crt_0002", "crt_0003", "crt_0004"]),
        3
    );
    let keys = vec!["c".to_owned(); 30];
    let mut terminal = Terminal::new(opened("3"));
    terminal.send(&keys, (1, held));
    terminal.wait(Duration::from_secs(1));
    assert_eq!(plans(&terminal.effects, "checkin"), 1, "{:?}", terminal.effects);
}

#[test]
fn a_yes_needs_a_pause_before_and_after_it() {
    let asks = || Terminal::new(with_plan("r", Tier::Contained));
    let short = Duration::from_millis(100);
    assert!(executes(&asks().types("y", Duration::ZERO)));
    let mut terminal = asks();
    assert!(
        !executes(&terminal.types("e y", short)),
        "another key right before it"
    );
    assert!(
        terminal.said().contains("pause half a second"),
        "{}",
        terminal.said()
    );
    assert!(
        executes(&terminal.types("y", Duration::ZERO)),
        "and again, after a pause"
    );
    assert!(
        !executes(&asks().types("y e s", short)),
        "another key right after it"
    );
    assert!(
        !executes(&asks().types("y y y y", Duration::from_millis(33))),
        "one that is held"
    );
}

#[test]
fn a_phrase_is_typed_by_hand_and_its_enter_by_itself() {
    let asks = || Terminal::new(with_plan("X", Tier::Irreversible));
    assert!(executes(
        &asks().types("8 4 0 1 enter", Duration::from_millis(58))
    ));
    let mut terminal = asks();
    assert!(
        !executes(&terminal.types("8 4 0 1 enter", Duration::ZERO)),
        "all at once is no hand"
    );
    assert!(executes(&terminal.types("enter", Duration::ZERO)));
}

#[test]
fn the_line_that_confirms_draws_nothing_but_the_expected_word() {
    let mut terminal = Terminal::new(with_plan("X", Tier::Irreversible));
    terminal.hidden = vec!["hunter2".to_owned(), "hunt".to_owned()];
    terminal.types("h u n t e r 2", Duration::from_millis(90));
    assert!(terminal.said().contains("type `8401`"), "{}", terminal.said());
    assert!(executes(
        &terminal.types("8 4 0 1 enter", Duration::from_millis(90))
    ));
}

#[test]
fn keys_typed_before_a_dialog_was_seen_are_not_heard_by_it_later() {
    let mut state = opened("r");
    planned(&mut state, Tier::Contained);
    let mut terminal = Terminal::new(state);
    terminal
        .entry
        .hear(terminal.now, Input::Key("y".to_owned()), &terminal.state);
    show(&mut terminal.state);
    terminal.wait(Duration::from_secs(2));
    assert!(!executes(&terminal.effects));
    assert!(
        terminal.said().contains("not on screen yet"),
        "{}",
        terminal.said()
    );
}

fn protected() -> State {
    let mut state = opened("1");
    state.guard = Guard::Protected(None);
    state
}

fn is_unlocked(terminal: &Terminal) -> bool {
    terminal.state.guard.unlocked(terminal.state.now).is_some()
}

/// The line that is open on the command line.
fn command_line(terminal: &Terminal) -> Option<String> {
    match terminal.state.layers.last() {
        Some(Layer::CommandLine(layer)) => Some(cmp_console::state::layer::line(&layer.typed)),
        _ => None,
    }
}

/// Fourteen keys are as few as people type ahead.
#[test]
fn a_line_that_acts_and_its_enter_at_once_run_nothing() {
    for line in [
        "unlock 1h A-1",
        "reissue",
        "quit",
        "save mine",
        "export csv",
        "lock",
    ] {
        for at_once in [1, 64] {
            let mut terminal = Terminal::new(protected());
            terminal.send(&keys_of(&format!(":{line}\n")), (at_once, Duration::ZERO));
            terminal.wait(Duration::from_secs(2));
            assert!(!is_unlocked(&terminal) && !terminal.state.quit, "{line}");
            assert!(terminal.effects.iter().all(|effect| !changes(effect)), "{line}");
            assert_eq!(command_line(&terminal).as_deref(), Some(line));
            assert!(
                terminal.said().contains("press enter once more to run it"),
                "{line}: {}",
                terminal.said()
            );
        }
    }
    let mut terminal = Terminal::new(protected());
    terminal.send(&keys_of(":unlock 1h A-1\n\nX"), (64, Duration::ZERO));
    terminal.wait(Duration::from_secs(2));
    assert!(!is_unlocked(&terminal));
    assert_eq!(command_line(&terminal).as_deref(), Some("unlock 1h A-1"));
    assert!(
        terminal.said().contains("2 keys behind it ignored"),
        "{}",
        terminal.said()
    );
    terminal.types("enter", Duration::ZERO);
    assert!(is_unlocked(&terminal), "{}", terminal.said());
}

#[test]
fn an_enter_that_comes_with_a_paste_in_brackets_runs_nothing_either() {
    let mut terminal = Terminal::new(protected());
    terminal.types(":", Duration::ZERO);
    for input in [
        Input::Paste("unlock 1h A-1".to_owned()),
        Input::Key("enter".to_owned()),
    ] {
        terminal.entry.hear(terminal.now, input, &terminal.state);
    }
    terminal.wait(Duration::from_secs(2));
    assert!(!is_unlocked(&terminal));
    assert!(
        terminal.said().contains("1 key behind the paste ignored"),
        "{}",
        terminal.said()
    );
    terminal.types("enter", Duration::ZERO);
    assert!(is_unlocked(&terminal));
}

/// A terminal passes on what the clipboard holds, the mark of a paste's end too.
#[test]
fn a_paste_that_holds_the_mark_of_its_end_acts_no_more_than_any_other() {
    for key in ["c", "f", "q", "2", "X", "enter"] {
        for later in [0, 45, 130, 250] {
            let mut terminal = Terminal::new(opened("3 G"));
            let paste = Input::Paste("serial 4f:0a:6e:25".to_owned());
            terminal.entry.hear(terminal.now, paste, &terminal.state);
            terminal.take();
            // A slow link brings the burst in two.
            terminal.wait(Duration::from_millis(later));
            for input in [Input::Key(key.to_owned()), Input::PasteEnded] {
                terminal.entry.hear(terminal.now, input, &terminal.state);
            }
            terminal.wait(Duration::from_secs(2));
            let at = format!("{key} after {later} ms: {}", terminal.said());
            assert!(terminal.effects.iter().all(|effect| !changes(effect)), "{at}");
            assert!(!terminal.state.quit && terminal.state.runs.is_empty(), "{at}");
            assert_eq!(terminal.state.place().view, ViewId::Agents, "{at}");
            assert!(terminal.said().contains("1 key behind the paste ignored"), "{at}");
        }
    }
}

/// Even where the link stood still between the two halves, the last mark says what came with it.
#[test]
fn what_comes_with_the_mark_of_an_end_is_the_rest_of_a_paste() {
    let mut terminal = Terminal::new(opened("3 G"));
    let paste = Input::Paste("serial 4f:0a:6e:25".to_owned());
    terminal.entry.hear(terminal.now, paste, &terminal.state);
    terminal.wait(Duration::from_secs(3));
    for input in [Input::Key("c".to_owned()), Input::PasteEnded] {
        terminal.entry.hear(terminal.now, input, &terminal.state);
    }
    terminal.wait(Duration::from_secs(2));
    assert!(terminal.effects.iter().all(|effect| !changes(effect)));
    assert_eq!(plans(&terminal.types("c", Duration::ZERO), "checkin"), 1);
}

#[test]
fn a_key_half_a_second_behind_a_paste_is_heard() {
    let mut terminal = Terminal::new(opened("1"));
    terminal.types(":", Duration::ZERO);
    let paste = Input::Paste("certs".to_owned());
    terminal.entry.hear(terminal.now, paste, &terminal.state);
    terminal.wait(Duration::from_millis(500));
    terminal.types("enter", Duration::ZERO);
    assert_eq!(
        terminal.state.place().view,
        ViewId::Certificates,
        "{}",
        terminal.said()
    );
}

#[test]
fn what_only_shows_something_is_typed_ahead_with_its_enter() {
    for (line, view) in [
        (":certs\n", ViewId::Certificates),
        (":find pay\n", ViewId::Certificates),
        (":agents\n", ViewId::Agents),
        ("2/web-01\n", ViewId::Certificates),
    ] {
        let mut terminal = Terminal::new(protected());
        terminal.send(&keys_of(line), (64, Duration::ZERO));
        terminal.wait(Duration::from_secs(2));
        assert_eq!(terminal.state.place().view, view, "{line}");
        assert!(terminal.state.layers.is_empty(), "{line}");
    }
    // A hand at its pace runs what it types.
    let mut terminal = Terminal::new(protected());
    for key in keys_of(":unlock 1h A-1\n") {
        terminal.send(&[key], (1, Duration::from_millis(110)));
    }
    terminal.wait(Duration::from_secs(2));
    assert!(is_unlocked(&terminal), "{}", terminal.said());
}
