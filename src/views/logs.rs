//! The console's own log, the newest line last: what went wrong here, where the trouble may be this program's.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Pane, Row, View};
use crate::state::State;
use crate::state::query::{Answer, LogLine, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::wire::filter::{Filter, Wants};

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Logs,
    title: "Logs",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |_| vec![Query::Logs],
    columns: |_| COLUMNS,
    rows: |state, _| rows(state),
    draw,
};

const COLUMNS: &[Column] = &[
    Column {
        title: "when",
        width: Width::Fixed(20),
    },
    Column {
        title: "level",
        width: Width::Fixed(5),
    },
    Column {
        title: "what",
        width: Width::Fill(1),
    },
];

fn rows(state: &State) -> Rows<'_> {
    let Some(Answer::Logs(lines)) = state.answer(&Query::Logs) else {
        return Vec::new().into();
    };
    let filter = Filter::read(&state.screen().list.q, &[]).unwrap_or_default();
    let lines: Vec<&LogLine> = lines.iter().filter(|line| passes(&line.text, &filter)).collect();
    Rows::over(lines, |line| line.at.to_string().into(), row)
}

/// Whether a line has every word that is wanted, and none that is not.
fn passes(text: &str, filter: &Filter) -> bool {
    let text = text.to_lowercase();
    filter.terms.iter().all(|term| {
        let has = match &term.wants {
            Wants::Text(word) => text.contains(&word.to_lowercase()),
            Wants::Letters(letters) => {
                let mut chars = text.chars();
                letters
                    .to_lowercase()
                    .chars()
                    .all(|c| chars.any(|other| other == c))
            }
            // These are of fields, and a line has none.
            _ => false,
        };
        has != term.not
    })
}

/// `2026-11-23T03:07:00.123456Z  WARN target: what happened`, taken apart; a line that is not so is shown
/// whole.
fn row(line: &LogLine) -> Row {
    let mut words = line.text.splitn(2, char::is_whitespace);
    let (at, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let rest = rest.trim_start();
    let (level, what) = rest.split_once(' ').unwrap_or((rest, ""));
    let meaning = match level {
        "ERROR" => Meaning::Bad,
        "WARN" => Meaning::Warn,
        "INFO" => Meaning::Plain,
        "DEBUG" | "TRACE" => Meaning::Dim,
        _ => return whole(line),
    };
    // Parts of seconds tell nobody anything here.
    let at = at.split('.').next().unwrap_or(at).trim_end_matches('Z');
    Row {
        id: line.at.to_string(),
        cells: vec![plain(format!("{at}Z")), cell(level, meaning), plain(what)],
        targets: Vec::new(),
        open: None,
        copy: line.text.clone(),
    }
}

fn whole(line: &LogLine) -> Row {
    Row {
        id: line.at.to_string(),
        cells: vec![plain(""), plain(""), plain(line.text.clone())],
        targets: Vec::new(),
        open: None,
        copy: line.text.clone(),
    }
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    Pane {
        title: "This console's log",
        index: 0,
        columns: COLUMNS,
        headings: true,
        query: Some(&Query::Logs),
        empty: match state.screen().list.q.is_empty() {
            true => "nothing was logged",
            false => "no line matches",
        },
        ..Pane::default()
    }
    .draw(state, area, buffer);
}
