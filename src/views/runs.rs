//! The runs that this console began, the newest first: where each is, and its dialog again on Enter.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::times::clock;
use super::{Opens, Pane, Row, View};
use crate::plan::outcome::Outcome;
use crate::state::State;
use crate::state::run::{Phase, Run};
use crate::state::screen::ViewId;
use crate::widgets::table::{Cell, Column, Width, cell, plain};
use crate::widgets::theme::Meaning;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Runs,
    title: "Runs",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |_| Vec::new(),
    columns: |_| COLUMNS,
    rows: |state, _| rows(state).into(),
    draw,
};

const COLUMNS: &[Column] = &[
    Column {
        title: "asked",
        width: Width::Fixed(9),
    },
    Column {
        title: "run",
        width: Width::Fill(2),
    },
    Column {
        title: "result",
        width: Width::Fixed(9),
    },
    Column {
        title: "",
        width: Width::Fill(3),
    },
];

fn rows(state: &State) -> Vec<Row> {
    state
        .runs
        .iter()
        .rev()
        .map(|run| {
            let (word, words) = phase(run);
            Row {
                id: run.id.clone(),
                cells: vec![
                    plain(clock(state.by_platform(run.asked_at()), state)),
                    plain(run.title()),
                    word,
                    plain(words.clone()),
                ],
                targets: Vec::new(),
                open: Some(Opens::Run(run.id.clone())),
                copy: format!("{}: {words}", run.title()),
            }
        })
        .collect()
}

fn phase(run: &Run) -> (Cell, String) {
    match &run.phase {
        Phase::Planning => (cell("planning", Meaning::Dim), String::new()),
        Phase::Planned => (cell("planned", Meaning::Dim), "waits for you".to_owned()),
        Phase::Running => (cell("running", Meaning::Key), run.running_step()),
        Phase::Ended(outcome) if run.ends.len() > 1 => {
            (cell(outcome.of_run(), ended(outcome)), outcome.what().to_owned())
        }
        Phase::Ended(outcome) => (cell(outcome.of_run(), ended(outcome)), outcome.words()),
    }
}

/// How an outcome looks.
pub(super) fn ended(outcome: &Outcome) -> Meaning {
    match outcome {
        Outcome::Proven(_) => Meaning::Good,
        Outcome::Waiting(_) | Outcome::Stopped(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => {
            Meaning::Warn
        }
        Outcome::Refused(_) | Outcome::Failed(_) => Meaning::Bad,
    }
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    Pane {
        title: "Runs of this console",
        index: 0,
        columns: COLUMNS,
        headings: true,
        query: None,
        empty: "nothing was started from this console yet",
        ..Pane::default()
    }
    .draw(state, area, buffer);
}
