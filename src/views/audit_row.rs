//! One audit row, whole.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::audit::{meaning, opens, row_id, targets};
use super::detail::{self, Below, Fact, fact, fact_that_means};
use super::times::full;
use super::{Row, View, related};
use crate::domain::audit::{AuditRow, REPORTED};
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, plain};

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::AuditRow,
    title: "Audit row",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |state| query(state).into_iter().collect(),
    columns: |_| COLUMNS,
    rows: |state, _| rows(state).into(),
    draw,
};

const COLUMNS: &[Column] = &[
    Column {
        title: "what",
        width: Width::Fixed(12),
    },
    Column {
        title: "which",
        width: Width::Fill(1),
    },
];

/// The thing that the row is about, as the one row that keys work on.
fn rows(state: &State) -> Vec<Row> {
    let rows = row(state).map(|row| Row {
        id: row_id(row),
        cells: vec![
            plain(row.entity_type.word()),
            plain(related::named(state, row.entity_type, &row.entity_id)),
        ],
        targets: targets(row, state),
        open: opens(row),
        copy: row.hash.clone(),
    });
    rows.into_iter().collect()
}

fn query(state: &State) -> Option<Query> {
    Some(Query::AuditRow(state.place().subject?.parse().ok()?))
}

/// The row, in whichever list it was opened from as long as it is not answered by itself: audit rows never
/// change.
fn row(state: &State) -> Option<&AuditRow> {
    let seq: i64 = state.place().subject?.parse().ok()?;
    state
        .data
        .values()
        .filter_map(|loaded| loaded.value.as_ref())
        .find_map(|answer| match answer {
            Answer::Audit(window) => window.rows.iter().find(|row| row.seq == seq),
            _ => None,
        })
}

/// Its outcome; what the platform can't know is told with who says so.
fn outcome(row: &AuditRow) -> String {
    match row.outcome_word() {
        REPORTED => format!("{REPORTED} by {}", row.actor),
        word => word.to_owned(),
    }
}

/// Its facts.
pub(super) fn facts(state: &State) -> Vec<Fact> {
    let Some(row) = row(state) else {
        return Vec::new();
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        fact("When", full(row.timestamp, state)),
        fact("Who", row.actor.clone()),
        fact("What", row.action.clone()),
        fact_that_means("Outcome", outcome(row), meaning(row)),
        fact(
            "On",
            format!(
                "{} {}",
                row.entity_type,
                related::named(state, row.entity_type, &row.entity_id)
            ),
        ),
        fact("Why", or_none(&row.reason)),
        fact("Ticket", or_none(&row.ticket)),
        fact("Run", or_none(&row.run_id)),
        fact("From", row.source.clone()),
        fact("Detail", or_none(&row.detail)),
        fact("Hash", row.hash.clone()),
        fact("Previous hash", row.prev_hash.clone()),
    ]
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(row) = row(state) else {
        if let Some(query) = query(state) {
            detail::nothing(state, area, buffer, &query);
        }
        return;
    };
    let rows = rows(state);
    let below = Below {
        title: "It is about",
        columns: COLUMNS,
        rows: &rows,
        empty: "nothing",
    };
    let title = format!("Audit row {}", row.seq);
    detail::draw(state, area, buffer, &title, &facts(state), &below);
}
