//! All certificates, as a list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Opens, Pane, Row, View};
use crate::domain::certificate::{Certificate, CertificateStatus, Urgency};
use crate::domain::id::EntityKind;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Cell, Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::widgets::when::until;
use crate::wire::filter::CERTIFICATE_FIELDS;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Certificates,
    title: "Certificates",
    n_panes: 1,
    sorts: &[
        ("not_after", "ends"),
        ("subject", "certificate"),
        ("status", "status"),
        ("installations", "on"),
        ("key_algorithm", "key"),
        ("serial", "serial"),
        ("created_at", "issued"),
    ],
    filters: CERTIFICATE_FIELDS,
    needs: |state| vec![query(state)],
    columns: |_| WIDE,
    rows: |state, _| rows_of(state, &query(state)),
    draw,
};

/// The columns where there is little room; the rows have the same cells.
pub(super) const NARROW: &[Column] = &[
    Column {
        title: "certificate",
        width: Width::Fill(1),
    },
    Column {
        title: "status",
        width: Width::From(12, 50),
    },
    Column {
        title: "ends",
        width: Width::Fixed(12),
    },
];

const WIDE: &[Column] = &[
    Column {
        title: "certificate",
        width: Width::Fill(3),
    },
    Column {
        title: "status",
        width: Width::Fixed(18),
    },
    Column {
        title: "ends",
        width: Width::Fixed(12),
    },
    Column {
        title: "on",
        width: Width::Fixed(3),
    },
    Column {
        title: "key",
        width: Width::From(11, 90),
    },
    Column {
        title: "serial",
        width: Width::From(18, 110),
    },
];

fn query(state: &State) -> Query {
    Query::Certificates(state.screen().list)
}

/// The rows of an answer that holds certificates.
pub(super) fn rows_of<'a>(state: &'a State, query: &Query) -> Rows<'a> {
    match state.answer(query) {
        Some(Answer::Certificates(window)) => Rows::over(
            window.rows.iter().collect(),
            |it| it.id.as_str().into(),
            |it| row(it, state),
        ),
        _ => Vec::new().into(),
    }
}

/// One certificate's row.
pub(super) fn row(certificate: &Certificate, state: &State) -> Row {
    let (status, meaning) = status(certificate, state);
    Row {
        id: certificate.id.clone(),
        cells: vec![
            plain(certificate.name()),
            cell(status, meaning),
            end(certificate, state),
            plain(certificate.n_installations.to_string()),
            cell(certificate.key_algorithm.clone(), Meaning::Dim),
            cell(certificate.serial.clone(), Meaning::Dim),
        ],
        targets: vec![target(certificate)],
        open: Some(Opens::detail(ViewId::Certificate, &certificate.id)),
        copy: certificate.serial.clone(),
    }
}

/// A certificate as a target.
pub(super) fn target(certificate: &Certificate) -> Target {
    Target {
        kind: EntityKind::Certificate,
        id: certificate.id.clone(),
        version: certificate.version,
        name: certificate.name().to_owned(),
        status: certificate.status.word().to_owned(),
    }
}

/// Its status, with what time makes of it.
pub(super) fn status(certificate: &Certificate, state: &State) -> (String, Meaning) {
    match (certificate.status, certificate.urgency(state.shown_at())) {
        (CertificateStatus::Active, Urgency::Expired) => ("EXPIRED".to_owned(), Meaning::Bad),
        (CertificateStatus::Active, _) if certificate.not_before > state.shown_at() => {
            ("not yet valid".to_owned(), Meaning::Warn)
        }
        (CertificateStatus::Active, Urgency::None) => ("active".to_owned(), Meaning::Good),
        (CertificateStatus::Active, _) => ("expiring".to_owned(), Meaning::Warn),
        (CertificateStatus::Revoked, _) => ("REVOKED".to_owned(), Meaning::Dim),
        (status, _) => (status.word().replace('_', " "), Meaning::Warn),
    }
}

fn end(certificate: &Certificate, state: &State) -> Cell {
    let meaning = match certificate.urgency(state.shown_at()) {
        Urgency::Expired | Urgency::Hours => Meaning::Bad,
        Urgency::Days => Meaning::Warn,
        _ => Meaning::Plain,
    };
    cell(until(certificate.not_after, state.shown_at()), meaning)
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let query = query(state);
    let empty = "no certificate matches";
    Pane {
        title: "Certificates",
        index: 0,
        columns: WIDE,
        headings: true,
        query: Some(&query),
        empty,
    }
    .draw(state, area, buffer);
}
