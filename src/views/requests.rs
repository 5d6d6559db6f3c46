//! All issuance requests, as a list: why each is stuck and who must act.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::nothing::no_match;
use super::rows::Rows;
use super::times::when;
use super::{Opens, Pane, Row, View, agents};
use crate::domain::id::EntityKind;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::domain::worker::all_clocks_off;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::wire::filter::REQUEST_FIELDS;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Requests,
    title: "Requests",
    n_panes: 1,
    sorts: &[
        ("created_at", "asked"),
        ("status", "status"),
        ("common_name", "request"),
        ("why", "why"),
        ("attempt", "errors"),
        ("requested_by", "by"),
    ],
    filters: REQUEST_FIELDS,
    needs: |state| vec![query(state)],
    columns: |_| WIDE,
    rows: |state, _| rows_of(state, &query(state)),
    draw,
};

/// The columns where there is little room.
pub(super) const NARROW: &[Column] = &[
    Column {
        title: "request",
        width: Width::Name(16),
    },
    Column {
        title: "status",
        width: Width::From(9, 50),
    },
    Column {
        title: "why",
        width: Width::Rest(0),
    },
];

const WIDE: &[Column] = &[
    Column {
        title: "request",
        width: Width::Name(16),
    },
    Column {
        title: "status",
        width: Width::Fixed(9),
    },
    Column {
        title: "why",
        width: Width::Rest(0),
    },
    Column {
        title: "errors",
        width: Width::Fixed(6),
    },
    Column {
        title: "asked",
        width: Width::Fixed(10),
    },
    Column {
        title: "by",
        width: Width::From(12, 100),
    },
];

fn query(state: &State) -> Query {
    Query::Requests(state.screen().list)
}

/// The rows of an answer that holds requests.
pub(super) fn rows_of<'a>(state: &'a State, query: &Query) -> Rows<'a> {
    match state.answer(query) {
        Some(Answer::Requests(window)) => Rows::over(
            window.rows.iter().collect(),
            |it| it.id.as_str().into(),
            |it| row(it, state),
        ),
        _ => Vec::new().into(),
    }
}

/// What a request's status means.
pub(super) fn meaning(status: RequestStatus) -> Meaning {
    match status {
        RequestStatus::Issued => Meaning::Good,
        RequestStatus::Failed => Meaning::Bad,
        RequestStatus::Pending | RequestStatus::Issuing => Meaning::Warn,
        RequestStatus::Denied | RequestStatus::Cancelled => Meaning::Dim,
    }
}

/// Targets that a request has for actions: itself, the certificate that it made or was to replace, and its agent, each
/// by a name of its own.
pub(super) fn targets(request: &Request, state: &State) -> Vec<Target> {
    let certificate = request.certificate_id.as_ref().or(request.replaces.as_ref());
    let itself = Target {
        kind: EntityKind::Request,
        id: request.id.clone(),
        version: request.version,
        name: request.common_name.clone(),
        status: request.status.word().to_owned(),
    };
    let certificate = certificate.map(|id| Target {
        kind: EntityKind::Certificate,
        id: id.clone(),
        version: 0,
        name: request.common_name.clone(),
        status: String::new(),
    });
    let agent = request.agent_id.as_deref().map(|id| agents::target_of(id, state));
    [itself].into_iter().chain(certificate).chain(agent).collect()
}

/// Why it is stuck, and who must act: a CA isn't asked while no issuer works.
pub(super) fn why(request: &Request, state: &State) -> String {
    let waits_for_ca = request.status == RequestStatus::Pending
        && matches!(request.waiting_on, Some(WaitingOn::Ca) | None)
        && request.error_message.is_none();
    match all_clocks_off(&state.workers).filter(|_| waits_for_ca) {
        Some(off) => format!("waits for an issuer: {off}"),
        None => request.why(),
    }
}

fn row(request: &Request, state: &State) -> Row {
    Row {
        id: request.id.clone(),
        cells: vec![
            plain(request.common_name.clone()),
            cell(request.status.word(), meaning(request.status)),
            plain(why(request, state)),
            plain(request.attempt.to_string()),
            plain(when(request.created_at, state)),
            cell(request.requested_by.clone(), Meaning::Dim),
        ],
        targets: targets(request, state),
        open: Some(Opens::detail(ViewId::Request, &request.id)),
        copy: request.id.clone(),
    }
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let query = query(state);
    let empty = no_match(state, "request");
    Pane {
        title: "Requests",
        index: 0,
        columns: WIDE,
        headings: true,
        query: Some(&query),
        empty: &empty,
        ..Pane::default()
    }
    .draw(state, area, buffer);
}
