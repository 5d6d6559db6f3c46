//! Everything that the console carried out, as the equivalent command line, secrets left out.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::times::clock;
use super::{Pane, Row, View};
use crate::domain::audit::AuditOutcome;
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::CommandLog,
    title: "Command log",
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
        title: "when",
        width: Width::Fixed(9),
    },
    Column {
        title: "how",
        width: Width::Fixed(14),
    },
    Column {
        title: "command",
        width: Width::Fill(1),
    },
];

fn rows(state: &State) -> Vec<Row> {
    let commands = state.command_log.iter().enumerate().rev();
    commands
        .map(|(index, logged)| Row {
            id: format!("command/{}", state.n_unlogged + index),
            cells: vec![
                plain(clock(state.by_platform(logged.at), state)),
                cell(
                    logged.how.clone(),
                    if logged.how == AuditOutcome::Done.word() {
                        Meaning::Good
                    } else {
                        Meaning::Plain
                    },
                ),
                plain(logged.command.clone()),
            ],
            targets: Vec::new(),
            open: None,
            copy: logged.command.clone(),
        })
        .collect()
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let empty = "nothing was carried out from this console yet";
    let copies = state.keymap.call(Cmd::Copy);
    Pane {
        title: &format!("Command log ({copies} copies a command)"),
        index: 0,
        columns: COLUMNS,
        headings: true,
        query: None,
        empty,
        ..Pane::default()
    }
    .draw(state, area, buffer);
}
