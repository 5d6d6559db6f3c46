//! The audit trail, the newest row first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::nothing::no_match;
use super::rows::Rows;
use super::times::when;
use super::{Opens, Pane, Row, View, related};
use crate::domain::audit::{AuditOutcome, AuditRow};
use crate::domain::id::EntityKind;
use crate::domain::link::Backend;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::{Place, ViewId};
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::wire::filter::AUDIT_FIELDS;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Audit,
    title: "Audit",
    n_panes: 1,
    sorts: &[
        ("seq", "when"),
        ("actor", "who"),
        ("action", "what"),
        ("outcome", "outcome"),
        ("entity", "on"),
    ],
    filters: AUDIT_FIELDS,
    needs: |state| vec![query(state)],
    columns: |_| WIDE,
    rows: |state, _| rows_of(state, &query(state)),
    draw,
};

/// The columns where there is little room.
pub(super) const NARROW: &[Column] = &[
    Column {
        title: "when",
        width: Width::UpTo(10),
    },
    Column {
        title: "who",
        width: Width::From(9, 44),
    },
    Column {
        title: "what",
        width: Width::UpTo(10),
    },
    Column {
        title: "outcome",
        width: Width::UpTo(7),
    },
    Column {
        title: "on",
        width: Width::Fill(1),
    },
];

const WIDE: &[Column] = &[
    Column {
        title: "when",
        width: Width::Fixed(9),
    },
    Column {
        title: "who",
        width: Width::Fixed(12),
    },
    Column {
        title: "what",
        width: Width::Fixed(10),
    },
    Column {
        title: "outcome",
        width: Width::Fixed(7),
    },
    Column {
        title: "on",
        width: Width::Fill(2),
    },
    Column {
        title: "why",
        width: Width::Fill(2),
    },
];

fn query(state: &State) -> Query {
    Query::Audit(state.screen().list)
}

/// Meaning of a row's outcome.
pub(super) fn meaning(row: &AuditRow) -> Meaning {
    match row.outcome {
        // Its own person stopped it.
        AuditOutcome::Failed if row.outcome_word() == "stopped" => Meaning::Warn,
        AuditOutcome::Asked => Meaning::Plain,
        AuditOutcome::Done => Meaning::Good,
        AuditOutcome::Refused | AuditOutcome::Unknown => Meaning::Warn,
        AuditOutcome::Failed => Meaning::Bad,
    }
}

/// The rows of an answer that holds audit rows.
pub(super) fn rows_of<'a>(state: &'a State, query: &Query) -> Rows<'a> {
    match state.answer(query) {
        Some(Answer::Audit(window)) => Rows::over(
            window.rows.iter().collect(),
            |it| row_id(it).into(),
            |it| row(it, state),
        ),
        _ => Vec::new().into(),
    }
}

/// Targets of actions on an audit row: the thing that it is about.
pub(super) fn targets(row: &AuditRow, state: &State) -> Vec<Target> {
    let acts = matches!(
        row.entity_type,
        EntityKind::Certificate | EntityKind::Agent | EntityKind::Request
    );
    let target = Target {
        kind: row.entity_type,
        id: row.entity_id.clone(),
        version: 0,
        name: related::name(state, row.entity_type, &row.entity_id).unwrap_or_else(|| row.entity_id.clone()),
        status: String::new(),
    };
    acts.then_some(target).into_iter().collect()
}

/// Id of a row of the trail in a list: a bare number could be another list's row.
pub(super) fn row_id(audit: &AuditRow) -> String {
    format!("aud_{}", audit.seq)
}

/// The detail of what an audit row is about.
pub(super) fn opens(row: &AuditRow) -> Option<Opens> {
    let id = &row.entity_id;
    Some(match row.entity_type {
        EntityKind::Certificate => Opens::detail(ViewId::Certificate, id),
        EntityKind::Key => Opens::detail(ViewId::Key, id),
        EntityKind::Agent => Opens::detail(ViewId::Agent, id),
        EntityKind::Request => Opens::detail(ViewId::Request, id),
        EntityKind::Run => Opens::List(ViewId::Audit, format!("run:{id}")),
        EntityKind::Vault => Opens::Place(Place::of_service(Backend::Vault)),
        _ => return None,
    })
}

fn row(audit: &AuditRow, state: &State) -> Row {
    Row {
        id: row_id(audit),
        cells: vec![
            plain(when(audit.timestamp, state)),
            plain(audit.actor.clone()),
            plain(audit.action.clone()),
            cell(audit.outcome_word(), meaning(audit)),
            plain(format!("{} {}", audit.entity_type, audit.entity_id)),
            plain(
                audit
                    .reason
                    .clone()
                    .or_else(|| audit.detail.clone())
                    .unwrap_or_default(),
            ),
        ],
        targets: targets(audit, state),
        open: Some(Opens::detail(ViewId::AuditRow, &audit.seq.to_string())),
        copy: audit.hash.clone(),
    }
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let query = query(state);
    let empty = no_match(state, "audit row");
    Pane {
        title: "Audit",
        index: 0,
        columns: WIDE,
        headings: true,
        query: Some(&query),
        empty: &empty,
        ..Pane::default()
    }
    .draw(state, area, buffer);
}
