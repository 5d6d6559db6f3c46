//! Words that say what is, where it is read.

use cmp_console::domain::request::{RequestStatus, WaitingOn};
use cmp_console::domain::worker::{Duty, Worker};
use cmp_console::wire::trends::Trends;

use crate::hands::*;

/// The last line, where messages stand.
fn footer(state: &State) -> String {
    let screen: Vec<char> = drawn(state).chars().collect();
    screen[screen.len() - 120..].iter().collect()
}

#[test]
fn a_message_begins_with_what_it_is() {
    use cmp_console::state::Tone;
    for (tone, begins) in [
        (Tone::Bad, " error: it is so"),
        (Tone::Plain, " info: it is so"),
        (Tone::Good, " done: it is so"),
    ] {
        let mut state = unsealed();
        state.say(tone, "it is so");
        assert!(footer(&state).starts_with(begins), "{}", footer(&state));
    }
    let mut state = unsealed();
    tell(&mut state, Event::Defect("/tmp/report.txt".to_owned()));
    assert_eq!(said(&state), "a background task crashed; report: /tmp/report.txt");
}

#[test]
fn marks_out_of_sight_say_which_keys_help() {
    let mut state = unsealed();
    press(&mut state, "space");
    state.screen_mut().marks.insert("crt_gone".to_owned());
    press(&mut state, "X");
    assert_eq!(
        said(&state),
        "1 of 2 marked rows are hidden by the filter: esc clears it, \\ unmarks"
    );
}

#[test]
fn a_screen_without_an_order_says_which_ones_are_lists() {
    let mut state = unsealed();
    press(&mut state, "8 s");
    assert_eq!(said(&state), "nothing to filter or sort here; 2 3 4 5 are lists");
}

#[test]
fn a_command_without_its_argument_says_how_it_is_written() {
    let mut state = unsealed();
    run_line(&mut state, "find");
    let Some(Layer::CommandLine(layer)) = state.layers.last() else {
        panic!("it stays open")
    };
    assert_eq!(layer.error.as_deref(), Some("usage: find CLUE"));
}

#[test]
fn help_has_the_words_of_its_keys() {
    let mut state = unsealed();
    state.size = Size {
        width: 120,
        height: 300,
    };
    press(&mut state, "?");
    let area = ratatui::layout::Rect::new(0, 0, 120, 300);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    cmp_console::views::draw(&state, area, &mut buffer);
    let screen: String = buffer
        .content()
        .iter()
        .map(ratatui::buffer::Cell::symbol)
        .collect();
    for words in [
        "wraps around",
        "forward",
        "go to related…",
        "reverse the order",
        "start over: discard all shares entered so far",
    ] {
        assert!(screen.contains(words), "{words}");
    }
}

#[test]
fn an_agent_without_a_certificate_says_what_it_proves_itself_with() {
    let mut state = unsealed();
    let mut detail = fixtures::agent_detail();
    let id = detail.agent.id.clone();
    detail.agent.identity = None;
    state.places.push(Place {
        view: ViewId::Agent,
        subject: Some(id.clone()),
    });
    fixtures::answer(&mut state, Query::Agent(id), Answer::Agent(Box::new(detail)));
    let screen = drawn(&state);
    assert!(
        screen.contains("API token only (no client certificate)"),
        "{screen}"
    );
}

#[test]
fn a_request_says_when_it_is_tried_again() {
    for (waits, error, words) in [
        (Some(WaitingOn::Key), None, "when the agent is back"),
        (Some(WaitingOn::Challenge), None, "when the agent is back"),
        (Some(WaitingOn::Approval), None, "once it is approved"),
        (
            Some(WaitingOn::Ca),
            Some("Vault is sealed"),
            "when the CA can be used again",
        ),
        (Some(WaitingOn::Ca), None, "now"),
    ] {
        let mut state = unsealed();
        let mut request = fixtures::request(1, "new.example.com", RequestStatus::Pending, error);
        request.waiting_on = waits;
        let id = request.id.clone();
        state.places.push(Place {
            view: ViewId::Request,
            subject: Some(id.clone()),
        });
        fixtures::answer(&mut state, Query::Request(id), Answer::Request(Box::new(request)));
        let screen = drawn(&state);
        assert!(screen.contains(&format!("Next try     {words} ")), "{screen}");
    }
}

#[test]
fn a_request_waits_for_no_ca_while_the_clock_of_each_issuer_is_off() {
    let mut state = unsealed();
    let request = fixtures::request(1, "new.example.com", RequestStatus::Pending, None);
    let id = request.id.clone();
    state.places.push(Place {
        view: ViewId::Request,
        subject: Some(id.clone()),
    });
    fixtures::answer(&mut state, Query::Request(id), Answer::Request(Box::new(request)));
    let issuer = Worker {
        duty: Duty::Issuer,
        name: "issuer@a".to_owned(),
        version: "1".to_owned(),
        seen_at: now(),
        is_there: true,
        clock_ahead_s: Some(40),
    };
    let right = Worker {
        name: "issuer@b".to_owned(),
        clock_ahead_s: None,
        ..issuer.clone()
    };
    state.workers = vec![issuer.clone()];
    let screen = drawn(&state);
    assert!(
        screen.contains("waits for an issuer: the clock of `issuer@a` is 40 s ahead of the database's"),
        "{screen}"
    );
    assert!(
        screen.contains("Next try     when an issuer's clock is right "),
        "{screen}"
    );
    state.workers = vec![issuer, right];
    let screen = drawn(&state);
    assert!(screen.contains("Why          waits for the CA "), "{screen}");
}

#[test]
fn a_bar_under_the_cursor_says_whole_what_it_counts() {
    let mut state = unsealed();
    press(&mut state, "8");
    let trends = Trends {
        expiring: vec![7; 12],
        expired: 1,
        checked_in: vec![1; 12],
        silent: 2,
        issued: vec![1; 24],
        failed: vec![2; 24],
    };
    fixtures::answer(&mut state, Query::Trends, Answer::Trends(Box::new(trends)));
    let heading = |state: &State, words: &str| {
        let screen = drawn(state);
        assert!(screen.contains(words), "{words}\n{screen}");
    };
    heading(&state, "expired: 1");
    press(&mut state, "tab tab");
    heading(&state, "issued, last 4 h: 4");
    press(&mut state, "j");
    heading(&state, "issued, 4 to 8 h ago: 4");
    press(&mut state, "G");
    heading(&state, "failed, 20 to 24 h ago: 8");
}
