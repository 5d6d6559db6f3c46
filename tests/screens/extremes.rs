//! Numbers and times that no server means: whatever it says, every screen is drawn.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use cmp_console::console::painter::Painter;
use cmp_console::state::State;
use cmp_console::state::query::{Answer, Query};
use cmp_console::state::screen::ViewId;
use cmp_console::wire::certs::KeyDetail;
use cmp_console::wire::trends::Trends;
use serde_json::{Value, json};

use super::fixtures::{answer, certificate_detail, night};
use super::{drawn, go};

const VIEWS: [(ViewId, Option<&str>); 13] = [
    (ViewId::Triage, None),
    (ViewId::Certificates, None),
    (ViewId::Agents, None),
    (ViewId::Requests, None),
    (ViewId::Audit, None),
    (ViewId::Services, None),
    (ViewId::Trends, None),
    (ViewId::AuditRow, Some("2")),
    (ViewId::Certificate, Some("crt_0002")),
    (ViewId::Agent, Some("agt_0003")),
    (ViewId::Request, Some("req_0001")),
    (ViewId::Key, Some("key")),
    (ViewId::Contexts, None),
];

/// Every value at an integer's place, by the sort of place.
fn numbers() -> Vec<Value> {
    vec![
        json!(i64::MIN),
        json!(i64::MAX),
        json!(-1),
        json!(0),
        json!(u32::MAX),
        json!(u64::MAX),
    ]
}

fn times() -> Vec<Value> {
    vec![
        json!("-262143-01-01T00:00:00Z"),
        json!("+262142-12-31T23:59:59Z"),
        json!("0000-01-01T00:00:00Z"),
    ]
}

/// Answers with the values that `with` makes in all fields of this name.
fn each(value: &mut Value, name: &str, field: &str, with: &dyn Fn(&mut Value)) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields.iter_mut() {
                each(value, name, field, with);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each(value, name, field, with)),
        leaf if field == name => with(leaf),
        _ => {}
    }
}

/// Names of fields with such leaves.
fn names(value: &Value, field: &str, is: &dyn Fn(&Value) -> bool, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(field, value)| names(value, field, is, found)),
        Value::Array(values) => values.iter().for_each(|value| names(value, field, is, found)),
        leaf if is(leaf) && !found.iter().any(|name| name == field) => found.push(field.to_owned()),
        _ => {}
    }
}

fn full() -> State {
    let mut state = night(120, 40);
    let counts = vec![5; 24];
    let trends = Trends {
        expiring: counts.clone(),
        expired: 3,
        checked_in: counts.clone(),
        silent: 2,
        issued: counts.clone(),
        failed: counts,
    };
    answer(&mut state, Query::Trends, Answer::Trends(trends.into()));
    let detail = certificate_detail();
    let key = KeyDetail {
        key: detail.key.unwrap(),
        certificates: vec![detail.certificate],
        installations: detail.installations,
        found: Vec::new(),
    };
    answer(
        &mut state,
        Query::Key("key".to_owned()),
        Answer::Key(Box::new(key)),
    );
    state
}

#[test]
fn no_number_and_no_time_of_an_answer_makes_any_screen_panic() {
    let plain = full();
    let is_time = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.parse::<chrono::DateTime<chrono::Utc>>().is_ok())
    };
    let mut tried = 0;
    for (values, is) in [
        (numbers(), &Value::is_number as &dyn Fn(&Value) -> bool),
        (times(), &is_time),
    ] {
        let mut all = Vec::new();
        for loaded in plain.data.values() {
            names(&json!(loaded.value), "", is, &mut all);
        }
        assert!(all.len() >= 8, "{all:?}");
        for name in all {
            for extreme in &values {
                let mut state = full();
                let mut taken = 0;
                for loaded in state.data.values_mut() {
                    let mut value = json!(loaded.value);
                    let before = value.clone();
                    each(&mut value, &name, "", &|leaf| {
                        if is(leaf) {
                            *leaf = extreme.clone();
                        }
                    });
                    if value != before
                        && let Ok(read) = serde_json::from_value(value)
                    {
                        loaded.value = read;
                        taken += 1;
                    }
                }
                if taken == 0 {
                    continue;
                }
                tried += 1;
                for (view, subject) in VIEWS {
                    go(&mut state, view, subject);
                    drawn(&state);
                }
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

/// A name from an API that brings lines of its own along.
#[test]
fn a_line_break_in_a_name_makes_no_line() {
    let mut state = full();
    for loaded in state.data.values_mut() {
        let mut value = json!(loaded.value);
        for name in [
            "subject",
            "hostname",
            "common_name",
            "what",
            "host",
            "path",
            "sans",
            "takes_down",
        ] {
            each(&mut value, name, "", &|leaf| {
                if let Some(text) = leaf.as_str() {
                    *leaf = json!(format!("{text}\nPROVEN: nothing to do\u{2028}"));
                }
            });
        }
        loaded.value = serde_json::from_value(value).unwrap();
    }
    let read = json!(
        state
            .data
            .values()
            .map(|loaded| &loaded.value)
            .collect::<Vec<_>>()
    )
    .to_string();
    assert!(read.contains("\u{fffd}PROVEN") && !read.contains("\\nPROVEN"));
    for (view, subject) in VIEWS {
        go(&mut state, view, subject);
        for line in super::text(&state).lines() {
            assert!(
                !line.trim_start_matches(['│', ' ']).starts_with("PROVEN"),
                "{line}"
            );
        }
    }
}

/// A terminal that can be looked at while it is written to.
#[derive(Clone)]
struct Terminal(Rc<RefCell<vt100::Parser>>);

impl Terminal {
    fn new(width: u16, height: u16) -> Self {
        let cells = |n| std::num::NonZeroU16::new(n).unwrap();
        Self(Rc::new(RefCell::new(vt100::Parser::new(
            cells(height),
            cells(width),
            0,
        ))))
    }

    fn rows(&self, width: u16) -> Vec<String> {
        self.0.borrow().screen().rows(0, width).collect()
    }
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().process(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a terminal that counts characters shows of a screen is what was drawn, whatever emoji a name holds.
#[test]
fn words_of_others_move_nothing_on_the_terminal() {
    for words in [
        "👍🏽".repeat(15),
        "👍🏽".repeat(200),
        "🇩🇪🇩🇪".to_owned(),
        "1\u{20e3}e\u{301}日本🫨".repeat(4),
    ] {
        for (width, height) in [(120, 40), (80, 24)] {
            let mut state = full();
            state.size = cmp_console::state::Size { width, height };
            for loaded in state.data.values_mut() {
                let mut value = json!(loaded.value);
                for name in [
                    "subject", "what", "owner", "host", "hostname", "error", "sans", "comment",
                ] {
                    each(&mut value, name, "", &|leaf| {
                        if leaf.is_string() {
                            *leaf = json!(format!("{words}note ok "));
                        }
                    });
                }
                loaded.value = serde_json::from_value(value).unwrap();
            }
            let terminal = Terminal::new(width, height);
            let mut painter = Painter::new(terminal.clone());
            let mut n = 0;
            for (view, subject) in VIEWS {
                go(&mut state, view, subject);
                let frame = drawn(&state);
                let is_mark = |cell: &&ratatui::buffer::Cell| cell.symbol() == "\u{fffd}";
                n += frame.content().iter().filter(is_mark).count();
                let rows = frame.content().chunks(usize::from(width));
                let wanted: Vec<String> = rows.map(text_of).collect();
                // To vt100 the mark is no character: its place stays blank.
                painter.forget();
                painter.show(frame, 0).unwrap();
                for (shown, wanted) in terminal.rows(width).iter().zip(&wanted) {
                    assert_eq!(shown.trim_end(), wanted, "{view:?} at {width}x{height}");
                }
            }
            assert!(n > 20, "{n} marks in all");
        }
    }
}

/// The text of a row of cells; behind a wide one there is an empty one.
fn text_of(row: &[ratatui::buffer::Cell]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(cell) = row.get(at) {
        text.push_str(cell.symbol());
        at += cmp_console::widgets::clusters::columns(cell.symbol()).max(1);
    }
    text.replace('\u{fffd}', " ").trim_end().to_owned()
}
