//! All certificates, as a list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::nothing::no_match;
use super::rows::Rows;
use super::times::when;
use super::{Opens, Pane, Row, View};
use crate::domain::certificate::{Certificate, Shown};
use crate::domain::id::EntityKind;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::wire::filter::CERTIFICATE_FIELDS;
use crate::wire::page::n_rows;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Certificates,
    title: "Certificates",
    n_panes: 1,
    sorts: &[
        ("not_after", "ends"),
        ("subject", "certificate"),
        ("status", "status"),
        ("host", "host"),
        ("owner", "owner"),
        ("installations", "on"),
        ("key_algorithm", "key"),
        ("serial", "serial"),
        ("created_at", "issued"),
    ],
    filters: CERTIFICATE_FIELDS,
    needs,
    columns: |_| WIDE,
    rows: |state, _| rows_of(state, &query(state)),
    draw,
};

/// The columns where there is little room; the rows have the same cells.
pub(super) const NARROW: &[Column] = &[
    Column {
        title: "certificate",
        width: Width::Name(16),
    },
    Column {
        title: "status",
        width: Width::Kept(8, 30),
    },
    Column {
        title: "ends",
        width: Width::UpTo(10),
    },
];

const WIDE: &[Column] = &[
    Column {
        title: "certificate",
        width: Width::Name(25),
    },
    Column {
        title: "status",
        width: Width::Fixed(8),
    },
    Column {
        title: "ends",
        width: Width::Fixed(10),
    },
    Column {
        title: "host",
        width: Width::From(8, 52),
    },
    Column {
        title: "key",
        width: Width::From(10, 75),
    },
    Column {
        title: "owner",
        width: Width::From(9, 119),
    },
    Column {
        title: "serial",
        width: Width::Between(12, 118, 158),
    },
    Column {
        title: "serial",
        width: Width::From(59, 159),
    },
];

fn needs(state: &State) -> Vec<Query> {
    let list = state.screen().list;
    let is_counted = !list.has_replaced() && !list.is_by_end();
    let hidden = is_counted.then_some(Query::Replaced(list));
    std::iter::once(query(state)).chain(hidden).collect()
}

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
            cell(certificate.name(), of_duty(certificate, state)),
            cell(status, meaning),
            cell(when(certificate.not_after, state), meaning),
            plain(host(certificate)),
            cell(certificate.key_algorithm.clone(), Meaning::Dim),
            plain(certificate.owner.clone().unwrap_or_default()),
            cell(short_serial(&certificate.serial), Meaning::Dim),
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

/// Its status in the words of filters, with what that means: what has been replaced needs nobody.
pub(super) fn status(certificate: &Certificate, state: &State) -> (String, Meaning) {
    let shown = certificate.shown(state.shown_at());
    let meaning = match shown {
        Shown::Active => Meaning::Plain,
        Shown::Leaked | Shown::Expired | Shown::Refused => Meaning::Bad,
        Shown::Expiring | Shown::Revoking | Shown::Held => Meaning::Warn,
        Shown::Revoked | Shown::Replaced => Meaning::Dim,
    };
    (shown.word().to_owned(), meaning)
}

/// One that has done its duty is dim as a whole.
fn of_duty(certificate: &Certificate, state: &State) -> Meaning {
    match certificate.shown(state.shown_at()) == Shown::Replaced {
        true => Meaning::Dim,
        false => Meaning::Plain,
    }
}

fn host(certificate: &Certificate) -> String {
    match (&certificate.host, certificate.n_installations) {
        (Some(host), ..=1) => host.clone(),
        (None, 0) => "–".to_owned(),
        (_, n) => format!("{n} places"),
    }
}

/// A serial's last four octets, where there is no room for all of it.
fn short_serial(serial: &str) -> String {
    match serial.len().checked_sub(11).and_then(|at| serial.get(at..)) {
        Some(end) if serial.len() > 12 => format!("…{end}"),
        _ => serial.to_owned(),
    }
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let query = query(state);
    let list = state.screen().list;
    let hidden = match state.answer(&Query::Replaced(list.clone())) {
        _ if list.is_by_end() => ", replaced and revoked hidden: status:any shows them".to_owned(),
        Some(Answer::Certificates(window)) if window.total > 0 => {
            let n = n_rows(window.total);
            format!(", {n} replaced hidden: status:any shows them")
        }
        _ => String::new(),
    };
    let empty = no_match(state, "certificate");
    Pane {
        title: "Certificates",
        index: 0,
        columns: WIDE,
        headings: true,
        query: Some(&query),
        empty: &empty,
        about: &hidden,
        ..Pane::default()
    }
    .draw(state, area, buffer);
}
