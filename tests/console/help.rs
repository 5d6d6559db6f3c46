//! Help: how much of it is out of sight, and the filter's grammar.

use crate::hands::*;

fn drawn_at(state: &State) -> String {
    let Size { width, height } = state.size;
    let area = ratatui::layout::Rect::new(0, 0, width, height);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    cmp_console::views::draw(state, area, &mut buffer);
    let lines = buffer.content().chunks(usize::from(width));
    lines
        .map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>() + "\n")
        .collect()
}

fn more(screen: &str) -> Option<usize> {
    let (_, rest) = screen.split_once("↓ ")?;
    rest.split_once(" more")?.0.parse().ok()
}

#[test]
fn its_frame_says_how_many_lines_are_below_and_it_ends_at_the_last() {
    let mut state = night(80, 24);
    press(&mut state, "2 ?");
    let below = more(&drawn_at(&state)).expect("it has more lines than a small screen");
    press(&mut state, "j");
    assert_eq!(more(&drawn_at(&state)), Some(below - 1));
    for _ in 0..below + 30 {
        press(&mut state, "j");
    }
    let end = drawn_at(&state);
    assert_eq!(more(&end), None, "{end}");
    assert!(
        end.contains("copy-commands") || end.contains("ctrl-y") || end.contains("Dialogs"),
        "{end}"
    );
    press(&mut state, "k");
    assert_eq!(more(&drawn_at(&state)), Some(1), "it goes back at once");
    // On a screen that has room for all of it nothing is below.
    let mut state = night(200, 200);
    press(&mut state, "2 ?");
    let whole = drawn_at(&state);
    assert_eq!(more(&whole), None, "{whole}");
}

#[test]
fn it_has_the_grammar_of_the_open_lists_filter() {
    for (key, own, others) in [
        (
            "2",
            [
                "status:",
                "is one of active, expiring, expired, revoked",
                "expires:",
            ],
            "silent:",
        ),
        (
            "3",
            ["status:", "is one of active, banned", "silent:"],
            "expires:",
        ),
        ("4", ["status:", "is one of pending, issuing", "open:"], "silent:"),
        ("5", ["outcome:", "ticket:", "when:"], "open:"),
    ] {
        let mut state = night(200, 200);
        press(&mut state, &format!("{key} ?"));
        let screen = drawn_at(&state);
        for words in own.into_iter().chain(["one|two", "for example"]) {
            assert!(screen.contains(words), "{key} doesn't say {words}:\n{screen}");
        }
        assert!(!screen.contains(others), "{key} says {others}:\n{screen}");
    }
    let mut state = night(200, 200);
    press(&mut state, "1 ?");
    assert!(
        !drawn_at(&state).contains("for example"),
        "nothing is filtered there"
    );
}
