//! One key and where it is used: every certificate that carries it, where each is installed, and what is served
//! there: as the agents last found it, and as a handshake of the console's own shows it now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::certificate::{found, now_is, served_now};
use super::certificates::{status, target};
use super::detail::{self, Below, Fact, fact, fact_that_means};
use super::times::{full, when};
use super::{Opens, Row, View};
use crate::domain::certificate::{Certificate, Urgency};
use crate::domain::id::EntityKind;
use crate::domain::installation::Installation;
use crate::domain::key::KeyStatus;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::wire::certs::KeyDetail;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Key,
    title: "Key",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |state| query(state).into_iter().collect(),
    columns: |_| COLUMNS,
    rows: |state, _| {
        detail(state)
            .map(|detail| rows(detail, state))
            .unwrap_or_default()
            .into()
    },
    draw,
};

const COLUMNS: &[Column] = &[
    Column {
        title: "certificate",
        width: Width::Name(16),
    },
    Column {
        title: "status",
        width: Width::From(10, 100),
    },
    Column {
        title: "ends",
        width: Width::Fixed(10),
    },
    Column {
        title: "on",
        width: Width::Rest(0),
    },
    Column {
        title: "was found",
        width: Width::From(20, 110),
    },
    Column {
        title: "served now",
        width: Width::Fixed(12),
    },
];

fn query(state: &State) -> Option<Query> {
    state.place().subject.map(Query::Key)
}

fn detail(state: &State) -> Option<&KeyDetail> {
    match state.answer(&query(state)?) {
        Some(Answer::Key(detail)) => Some(detail),
        _ => None,
    }
}

fn rows(detail: &KeyDetail, state: &State) -> Vec<Row> {
    let mut rows = Vec::new();
    for certificate in &detail.certificates {
        let of_it = |it: &&Installation| it.certificate_id == certificate.id || it.has(certificate);
        let mut places = detail.in_use().filter(of_it).peekable();
        if places.peek().is_none() {
            rows.push(row(certificate, None, state));
        }
        rows.extend(places.map(|place| row(certificate, Some(place), state)));
    }
    rows
}

fn row(certificate: &Certificate, place: Option<&Installation>, state: &State) -> Row {
    let (word, meaning) = status(certificate, state);
    let itself = target(certificate);
    let (id, on, found, now) = match place {
        None => (certificate.id.clone(), plain("nowhere"), plain(""), plain("")),
        Some(place) => (
            match place.certificate_id == certificate.id {
                true => place.id.clone(),
                // Two of a key may be at one place.
                false => format!("{} {}", place.id, certificate.id),
            },
            plain(format!("{}:{}", place.hostname, place.path)),
            found(certificate, place),
            served_now(place, Some(certificate), state),
        ),
    };
    let agent = place.map(|place| Target {
        kind: EntityKind::Agent,
        id: place.agent_id.clone(),
        version: 0,
        name: place.hostname.clone(),
        status: String::new(),
    });
    Row {
        id,
        cells: vec![
            plain(certificate.name()),
            cell(word, meaning),
            cell(when(certificate.not_after, state), meaning),
            on,
            found,
            now,
        ],
        targets: std::iter::once(itself).chain(agent).collect(),
        open: Some(Opens::detail(ViewId::Certificate, &certificate.id)),
        copy: certificate.serial.clone(),
    }
}

/// What is shown above the list, for an export.
pub(super) fn exported(state: &State) -> Vec<Fact> {
    detail(state)
        .map(|detail| facts(detail, state))
        .unwrap_or_default()
}

fn facts(detail: &KeyDetail, state: &State) -> Vec<Fact> {
    let key = &detail.key;
    let (word, meaning) = match key.status {
        KeyStatus::Compromised => (
            "COMPROMISED: no certificate will be issued for this key again",
            Meaning::Bad,
        ),
        other => (other.word(), Meaning::Plain),
    };
    let valid = |it: &&Certificate| {
        status(it, state).0 != "revoked" && it.urgency(state.shown_at()) != Urgency::Expired
    };
    let n_valid = detail.certificates.iter().filter(valid).count();
    let mut hosts: Vec<&str> = detail.in_use().map(|it| it.hostname.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let radius = format!(
        "{}, {n_valid} still valid, in {} on {}",
        counted(detail.certificates.len(), "certificate"),
        counted(detail.in_use().count(), "place"),
        counted(hosts.len(), "host")
    );
    let mut facts = vec![
        fact("Key SHA-256", key.spki_sha256.clone()),
        fact("Algorithm", key.algorithm.clone()),
        fact_that_means("Status", word, meaning),
        fact_that_means("Reaches", radius, Meaning::Warn),
        fact("Hosts", hosts.join(" ")),
    ];
    if let Some(at) = key.compromised_at {
        facts.push(fact_that_means("Since", full(at, state), Meaning::Bad));
    }
    facts
}

/// `1 host`, `3 hosts`.
fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(detail) = detail(state) else {
        if let Some(query) = query(state) {
            detail::nothing(state, area, buffer, &query);
        }
        return;
    };
    let rows = rows(detail, state);
    let title = format!("Certificates with this key{}", now_is(detail.in_use(), state));
    let below = Below {
        title: &title,
        columns: COLUMNS,
        rows: &rows,
        empty: "no certificate carries it",
    };
    let facts = facts(detail, state);
    let short = detail.key.spki_sha256.get(..8).unwrap_or_default();
    let title = format!("Key {short}: where it is used");
    detail::draw(state, area, buffer, &title, &facts, &below);
}
