//! One audit row, whole.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::audit::{meaning, targets};
use super::detail::{self, Below, fact, fact_that_means};
use super::{Row, View};
use crate::domain::audit::AuditRow;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::when::full;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::AuditRow,
    title: "Audit row",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |_| vec![Query::RecentAudit],
    columns: |_| &[],
    rows: |_, _| Vec::new().into(),
    draw,
};

/// The row, in whichever list it was opened from: audit rows never change.
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

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(row) = row(state) else {
        detail::nothing(state, area, buffer, &Query::RecentAudit);
        return;
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let facts = vec![
        fact("When", full(row.timestamp)),
        fact("Who", row.actor.clone()),
        fact("What", row.action.clone()),
        fact_that_means("Outcome", row.outcome.word(), meaning(row.outcome)),
        fact("On", format!("{} {}", row.entity_type, row.entity_id)),
        fact("Why", or_none(&row.reason)),
        fact("Ticket", or_none(&row.ticket)),
        fact("Run", or_none(&row.run_id)),
        fact("From", row.source.clone()),
        fact("Detail", or_none(&row.detail)),
        fact("Hash", row.hash.clone()),
        fact("Before", row.prev_hash.clone()),
    ];
    let rows: Vec<Row> = Vec::new();
    let about = if targets(row).is_empty() {
        "nothing to act on"
    } else {
        "open the thing itself to act on it"
    };
    let below = Below {
        title: "Acts",
        columns: &[],
        rows: &rows,
        empty: about,
    };
    detail::draw(
        state,
        area,
        buffer,
        &format!("Audit row {}", row.seq),
        &facts,
        &below,
    );
}
