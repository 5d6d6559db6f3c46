//! All contexts of the configuration, what burns first: how each answers, what burns there, and below the table
//! in full words what is wrong with the one under the cursor. Enter goes on in it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::services::{latency, word};
use super::times::when;
use super::{Opens, Pane, Row, View, freshness, palette};
use crate::domain::link::{Backend, LinkState};
use crate::domain::role::Role;
use crate::plan::guard::Guard;
use crate::state::State;
use crate::state::contexts::{Sight, needs, sights};
use crate::state::screen::{Place, ViewId};
use crate::widgets::heading::heading;
use crate::widgets::table::{Cell, Column, Width, cell, plain};
use crate::widgets::text::{put, wrap};
use crate::widgets::theme::Meaning;
use crate::wire::page::n_rows;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Contexts,
    title: "Contexts",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs,
    columns: |_| COLUMNS,
    rows: |state, _| {
        sights(state)
            .iter()
            .map(|sight| row(sight, state))
            .collect::<Vec<_>>()
            .into()
    },
    draw,
};

/// With room for all of them; what is left out where there is less is in [`columns_at`].
const COLUMNS: &[Column] = &[
    Column {
        title: "context",
        width: Width::Fill(1),
    },
    Column {
        title: "changes",
        width: Width::Fixed(9),
    },
    Column {
        title: "api",
        width: Width::Fixed(8),
    },
    Column {
        title: "latency",
        width: Width::Fixed(7),
    },
    Column {
        title: "crit",
        width: Width::Fixed(4),
    },
    Column {
        title: "warn",
        width: Width::Fixed(4),
    },
    Column {
        title: "expiring",
        width: Width::Fixed(8),
    },
    Column {
        title: "silent",
        width: Width::Fixed(6),
    },
    Column {
        title: "requests",
        width: Width::Fixed(8),
    },
    Column {
        title: "failed",
        width: Width::Fixed(6),
    },
    Column {
        title: "vault",
        width: Width::Fixed(8),
    },
    Column {
        title: "data",
        width: Width::Fixed(5),
    },
    Column {
        title: "as of",
        width: Width::Fixed(21),
    },
    Column {
        title: "",
        width: Width::Fill(2),
    },
];

/// From so many columns on there are times; from so many on, what is wrong is said beside as well.
const WIDE: u16 = 110;
const WIDEST: u16 = 160;

fn columns_at(width: u16) -> Vec<Column> {
    let is_hidden = |column: &Column| match column.title {
        "latency" | "warn" | "requests" | "as of" => width < WIDE,
        "data" => width >= WIDE,
        "" => width < WIDEST,
        _ => false,
    };
    let hide = |column: &Column| Column {
        width: Width::Fixed(0),
        ..*column
    };
    let columns = COLUMNS.iter();
    let columns = columns.map(|column| if is_hidden(column) { hide(column) } else { *column });
    columns.collect()
}

fn row(sight: &Sight<'_>, state: &State) -> Row {
    let context = &sight.context;
    let here = if sight.is_open { " (here)" } else { "" };
    // What is protected doesn't look like the rest, here as in the title.
    let name = match context.protected {
        true => Meaning::Danger,
        false => Meaning::Plain,
    };
    let (api, api_means) = answers(sight, Backend::Api);
    let took = sight.link(Backend::Api).and_then(|link| link.latency_ms);
    let figures = sight.figures;
    let n = |of: Option<usize>, meaning| match of {
        Some(n) if n > 0 => cell(n.to_string(), meaning),
        _ => count(of.map(|_| 0), meaning),
    };
    let (vault, vault_means) = vault(sight);
    let as_of = as_of(sight, state);
    Row {
        id: context.name.clone(),
        cells: vec![
            cell(format!("{}{here}", context.name), name),
            changes(sight, state),
            cell(api, api_means),
            plain(took.map(coarse).unwrap_or_default()),
            n(sight.critical(), Meaning::Bad),
            n(figures.map(|it| it.warnings), Meaning::Warn),
            count(figures.map(|it| it.expiring), Meaning::Plain),
            n(figures.map(|it| it.silent), Meaning::Warn),
            count(figures.map(|it| it.requests), Meaning::Plain),
            count(figures.map(|it| it.failed), Meaning::Warn),
            cell(vault, vault_means),
            cell(if as_of.is_empty() { "" } else { "old" }, Meaning::Warn),
            cell(as_of, Meaning::Warn),
            plain(wrong(sight).join("; ")),
        ],
        // Another context's Vault is unsealed there.
        targets: match sight.is_open {
            true => vec![state.vault_target()],
            false => Vec::new(),
        },
        open: Some(match sight.is_open {
            true => Opens::Place(Place::of(ViewId::Triage)),
            false => Opens::Context(context.name.clone()),
        }),
        copy: context.name.clone(),
    }
}

/// Whether something can be changed there, in the title's words.
fn changes(sight: &Sight<'_>, state: &State) -> Cell {
    let guard = match sight.is_open {
        true => state.guard.clone(),
        false => Guard::of(sight.context.read_only, sight.context.protected),
    };
    // No unlock helps a token that may only read.
    let viewer = sight.role.and_then(Role::forbids);
    let words = match (&guard, viewer, guard.unlocked(state.shown_at())) {
        (Guard::ReadOnly, ..) => "READ-ONLY",
        (_, Some(word), _) => word,
        (Guard::ReadWrite, ..) => "",
        (Guard::Protected(_), _, None) => "locked",
        (Guard::Protected(_), _, Some(_)) => "UNLOCKED",
    };
    plain(words)
}

fn answers(sight: &Sight<'_>, backend: Backend) -> (&'static str, Meaning) {
    match sight.link(backend).map_or(LinkState::Unknown, |link| link.state) {
        LinkState::Unknown if sight.links.is_none() => ("asking…", Meaning::Dim),
        LinkState::Unknown => ("", Meaning::Dim),
        state => word(state),
    }
}

fn vault(sight: &Sight<'_>) -> (&'static str, Meaning) {
    match answers(sight, Backend::Vault) {
        _ if sight.is_sealed() => ("SEALED", Meaning::Bad),
        ("up", meaning) => ("open", meaning),
        other => other,
    }
}

/// Coarser than on the screen of services: far networks jitter more.
fn coarse(ms: u32) -> &'static str {
    match ms {
        0..100 => "<100 ms",
        _ => latency(ms),
    }
}

/// The number of rows of a list.
fn count(n: Option<i64>, meaning: Meaning) -> Cell {
    match n {
        None => cell("?", Meaning::Dim),
        Some(0) => cell("0", Meaning::Dim),
        Some(n) => cell(n_rows(n), meaning),
    }
}

/// How old the figures are, where they are not of now.
fn as_of(sight: &Sight<'_>, state: &State) -> String {
    let at = sight.answer.and_then(|answer| answer.as_of);
    match (freshness(state, sight.answer), at) {
        (words, Some(at)) if words.is_empty() && sight.is_old => {
            format!("last updated {}", when(at, state))
        }
        // Nobody was asked, or somebody was and refused.
        (_, None) if sight.is_without_token() => "not let in".to_owned(),
        (words, _) => words,
    }
}

/// What is wrong there, each in a sentence: with the API first, then why the figures are not known, then with what
/// is behind it.
fn wrong(sight: &Sight<'_>) -> Vec<String> {
    let note = |backend: Backend| {
        let link = sight.link(backend)?;
        let is_wrong = matches!(link.state, LinkState::Down | LinkState::Degraded);
        let words = || link.note.clone().unwrap_or_else(|| word(link.state).0.to_owned());
        is_wrong.then(words)
    };
    let api_is_down = sight
        .link(Backend::Api)
        .is_some_and(|link| link.state == LinkState::Down);
    let trouble = sight.answer.and_then(|answer| answer.trouble.as_ref());
    let trouble = trouble.filter(|_| !api_is_down).map(ToString::to_string);
    let others = Backend::ALL.iter().filter(|backend| **backend != Backend::Api);
    let others = others.filter_map(|backend| Some(format!("{}: {}", backend.word(), note(*backend)?)));
    // The API says itself who it is.
    note(Backend::Api)
        .into_iter()
        .chain(trouble)
        .chain(others)
        .collect()
}

/// Rows that the pane below the table gets at least, where there are that many.
const BELOW: u16 = 7;

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let sights = sights(state);
    let wanted = u16::try_from(sights.len()).unwrap_or(u16::MAX).saturating_add(2);
    let most = match area.height > 2 * BELOW {
        true => area.height - BELOW,
        false => area.height,
    };
    let top = Rect {
        height: wanted.min(most),
        ..area
    };
    Pane {
        title: "Contexts",
        index: 0,
        columns: &columns_at(area.width),
        headings: true,
        query: None,
        empty: "",
        ..Pane::default()
    }
    .draw(state, top, buffer);
    let below = Rect {
        y: top.bottom(),
        height: area.height - top.height,
        ..area
    };
    let names: Vec<&str> = sights.iter().map(|sight| sight.context.name.as_str()).collect();
    let Some(sight) = sights.get(state.screen().cursor_index(0, &names)) else {
        return;
    };
    if below.height < 3 {
        return;
    }
    let palette = palette(state);
    let note = as_of(sight, state);
    let name = &sight.context.name;
    let inner = heading(buffer, below, palette, name, (&note, Meaning::Warn), false);
    let room = usize::from(inner.width.saturating_sub(LABEL + 2));
    let lines = facts(sight).into_iter().flat_map(|(label, text, meaning)| {
        let lines = wrap(&text, room).into_iter().enumerate();
        lines.map(move |(index, line)| (if index == 0 { label } else { "" }, line, meaning))
    });
    for (y, (label, line, meaning)) in (inner.y..inner.bottom()).zip(lines) {
        put(buffer, inner, inner.x + 1, y, label, palette.style(Meaning::Dim));
        put(
            buffer,
            inner,
            inner.x + 1 + LABEL,
            y,
            &line,
            palette.style(meaning),
        );
    }
}

/// How wide the labels of the pane below are.
const LABEL: u16 = 8;

/// What is said of the context under the cursor.
fn facts(sight: &Sight<'_>) -> Vec<(&'static str, String, Meaning)> {
    let (api, api_means) = answers(sight, Backend::Api);
    let (vault, vault_means) = vault(sight);
    let place = |address: &str, word: &str| match word {
        "" => address.to_owned(),
        word => format!("{word}, {address}"),
    };
    let mut facts = vec![
        ("API", place(&sight.context.api, api), api_means),
        match &sight.context.vault {
            Some(address) => ("Vault", place(address, vault), vault_means),
            None => ("Vault", "not configured".to_owned(), Meaning::Dim),
        },
    ];
    let wrong = wrong(sight).into_iter().enumerate();
    facts
        .extend(wrong.map(|(index, words)| (if index == 0 { "Trouble" } else { "" }, words, Meaning::Plain)));
    facts
}
