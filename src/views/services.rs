//! The backends: how each answers, and below them whole what is known of the one with the cursor; of Vault its seal
//! with its progress.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail::{Fact, fact, fact_that_means};
use super::times::when;
use super::{Pane, Row, View, palette, resting};
use crate::domain::database::{Host, HostState, ReadFrom};
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::domain::worker::{Worker, clock_words};
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::state::databases;
use crate::state::link::Seal;
use crate::state::query::Query;
use crate::state::screen::{Place, ViewId};
use crate::widgets::heading::heading;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::text::{columns, put, wrap};
use crate::widgets::theme::Meaning;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Services,
    title: "Services",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |_| Vec::new(),
    columns: |_| COLUMNS,
    rows: |state, _| rows(state).into(),
    draw,
};

/// Width of the first column.
const FIRST: u16 = 9;

const COLUMNS: &[Column] = &[
    Column {
        title: "backend",
        width: Width::Fixed(FIRST),
    },
    Column {
        title: "state",
        width: Width::Fixed(12),
    },
    Column {
        title: "latency",
        width: Width::Fixed(8),
    },
    Column {
        title: "",
        width: Width::Fill(1),
    },
];

/// The person's own terminal, which is as much on the way as any backend.
fn terminal(state: &State) -> Row {
    let wire = state.wire;
    let (word, meaning) = match (wire.answers, wire.poor) {
        (false, _) => ("silent", Meaning::Dim),
        (true, true) => ("slow", Meaning::Warn),
        (true, false) => ("up", Meaning::Good),
    };
    let note = match (wire.answers, wire.poor) {
        (false, _) => "it doesn't say when a frame is shown (tmux and screen hide it): dialogs wait a moment",
        (_, true) => "drawn without colours and frames, and news every two seconds only",
        (true, false) => "",
    };
    Row {
        id: "terminal".to_owned(),
        cells: vec![
            plain("terminal"),
            cell(word, meaning),
            plain(wire.round_trip_ms.map(latency).unwrap_or_default()),
            plain(note),
        ],
        targets: Vec::new(),
        open: None,
        copy: "terminal".to_owned(),
    }
}

/// In coarse words, so that a screen at rest stays at rest.
pub(super) fn latency(ms: u32) -> &'static str {
    match ms {
        0..10 => "<10 ms",
        10..100 => "<100 ms",
        100..1000 => "<1 s",
        _ => ">1 s",
    }
}

/// How a backend answers, in a word.
pub(super) fn word(state: LinkState) -> (&'static str, Meaning) {
    match state {
        LinkState::Unknown => ("not asked", Meaning::Dim),
        LinkState::Up => ("up", Meaning::Good),
        LinkState::Degraded => ("degraded", Meaning::Warn),
        LinkState::Down => ("DOWN", Meaning::Bad),
        LinkState::Absent => ("absent", Meaning::Dim),
    }
}

/// The database's hosts, where the console knows them.
fn hosts(state: &State) -> impl Iterator<Item = Row> {
    let loaded = state.data.get(&Query::Findings);
    let from = loaded
        .filter(|it| it.trouble.is_none())
        .and_then(|it| it.from.as_ref());
    let row = move |(index, host): (usize, &Host)| {
        let (word, meaning, latency_ms) = match &host.state {
            HostState::Unknown => ("not asked", Meaning::Dim, None),
            HostState::Up(standing) => ("up", Meaning::Good, Some(standing.latency_ms)),
            HostState::Unfit(_) => ("not read", Meaning::Warn, None),
            HostState::NoTables(_) => ("no tables", Meaning::Bad, None),
            HostState::Lost { .. } => ("LOST", Meaning::Bad, None),
        };
        let words = databases::words(
            host,
            matches!(from, Some(ReadFrom::Host { name, .. }) if *name == host.name),
        );
        // A name that the column would cut stands before the words, whole: two hosts of one name differ at its end.
        let (first, words) = match columns(&host.name) <= usize::from(FIRST) {
            true => (host.name.clone(), words),
            false => (
                format!("db host {}", index + 1),
                format!("{}: {words}", host.name),
            ),
        };
        Row {
            id: host_row(&host.name),
            cells: vec![
                plain(first),
                cell(word, meaning),
                plain(latency_ms.map(latency).unwrap_or_default()),
                plain(words),
            ],
            targets: Vec::new(),
            open: None,
            copy: host.name.clone(),
        }
    };
    state.hosts.iter().enumerate().map(row)
}

/// What a backend said of itself, and the proxy that is on the way to it.
fn note(state: &State, backend: Backend) -> String {
    let said = state.links.get(&backend).and_then(|link| link.note.clone());
    let through = state.context.proxies.get(&backend).cloned();
    said.into_iter().chain(through).collect::<Vec<_>>().join("; ")
}

/// Issuers and schedulers, each by a number: an issuer's process is another thing than the backend of that name.
/// The time of one that is there would change with each of its beats.
fn workers(state: &State) -> impl Iterator<Item = Row> {
    let row = |(index, worker): (usize, &Worker)| {
        let duty = worker.duty.word();
        let who = match worker.name.strip_prefix(&format!("{duty}@")) {
            Some(host) => format!("{duty} on {host}"),
            None if worker.name == duty => duty.to_owned(),
            None => format!("{duty} {}", worker.name),
        };
        // The API says who is there, and reads it in its database.
        let is_known = state.link(Backend::Api) != LinkState::Down && state.api_database != LinkState::Down;
        let (word, meaning) = match (worker.is_there, is_known) {
            (true, _) if worker.clock_ahead_s.is_some() => ("clock off", Meaning::Bad),
            (true, false) => ("was at work", Meaning::Dim),
            (true, true) => ("at work", Meaning::Good),
            (false, _) => ("gone", Meaning::Dim),
        };
        let since = match (worker.is_there, worker.clock_ahead_s) {
            (true, Some(ahead_s)) => format!(", {}", clock_words("its clock", ahead_s)),
            (true, None) => String::new(),
            (false, _) => format!(", not seen since {}", when(worker.seen_at, state)),
        };
        Row {
            id: worker_row(worker),
            cells: vec![
                plain(format!("worker {}", index + 1)),
                cell(word, meaning),
                plain(""),
                plain(format!("{who}, version {}{since}", worker.version)),
            ],
            targets: Vec::new(),
            open: None,
            copy: worker.name.clone(),
        }
    };
    state.workers.iter().enumerate().map(row)
}

fn rows(state: &State) -> Vec<Row> {
    let backends = Backend::ALL.iter().map(|backend| {
        let link = state.links.get(backend);
        let (word, meaning) = word(link.map_or(LinkState::Unknown, |link| link.state));
        let latency = link.and_then(|link| link.latency_ms).map(latency);
        Row {
            id: backend.word().to_owned(),
            cells: vec![
                plain(backend.word()),
                cell(word, meaning),
                plain(latency.unwrap_or_default()),
                plain(note(state, *backend)),
            ],
            targets: if *backend == Backend::Vault && link.is_none_or(|link| link.state != LinkState::Absent)
            {
                vec![state.vault_target()]
            } else {
                Vec::new()
            },
            open: None,
            copy: backend.word().to_owned(),
        }
    });
    let backends = backends.chain(workers(state)).chain(hosts(state));
    backends.chain([terminal(state)]).collect()
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let taken = divided(state, area, buffer);
    let area = Rect {
        y: area.y + taken,
        height: area.height - taken,
        ..area
    };
    let top = Rect {
        height: u16::try_from(9 + state.hosts.len() + state.workers.len())
            .unwrap_or(9)
            .min(area.height),
        ..area
    };
    Pane {
        title: "Services",
        index: 0,
        columns: COLUMNS,
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
    if let Some(row) = shown(state)
        && below.height >= 2
    {
        about(state, &row, below, buffer);
    }
}

/// The row that is told of whole: the cursor's, once it rests.
fn shown(state: &State) -> Option<Row> {
    let mut rows = rows(state);
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let at = resting(state, 0, &ids);
    (at < rows.len()).then(|| rows.swap_remove(at))
}

/// The facts of a row, whole at every width.
fn about(state: &State, row: &Row, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let width = usize::from(area.width.saturating_sub(LABEL + 2));
    let facts = facts_of(state, row).into_iter();
    let lines: Vec<Fact> = facts
        .flat_map(|fact| {
            let Fact { label, text, meaning } = fact;
            let lines = wrap(&text, width.max(1)).into_iter().enumerate();
            lines.map(move |(n, text)| Fact {
                label: if n == 0 { label } else { "" },
                text,
                meaning,
            })
        })
        .collect();
    let room = usize::from(area.height.saturating_sub(1));
    let more = match lines.len().saturating_sub(room) {
        0 => String::new(),
        n => format!("↓ {n} more"),
    };
    let note = [last_updated(state, row), more];
    let note: Vec<&str> = note
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    let note = note.join("  ");
    let inner = heading(buffer, area, palette, &title(row), (&note, Meaning::Warn), false);
    for (y, Fact { label, text, meaning }) in (inner.y..inner.bottom()).zip(lines) {
        put(buffer, inner, inner.x + 1, y, label, palette.style(Meaning::Dim));
        put(
            buffer,
            inner,
            inner.x + 1 + LABEL,
            y,
            &text,
            palette.style(meaning),
        );
    }
}

/// Columns of the labels.
const LABEL: u16 = 11;

fn title(row: &Row) -> String {
    let first = row.cells.first().map_or("", |cell| cell.text.as_str());
    let name = match backend(row) {
        Some(Backend::Api) => "API",
        Some(Backend::Database) => "Database",
        Some(Backend::Issuer) => "Issuer",
        Some(Backend::Vault) => "Vault",
        Some(Backend::Cache) => "Cache",
        Some(Backend::Agents) => "Agents",
        None if first.starts_with("worker ") => return format!("{first}, {}", row.copy),
        None => &row.id,
    };
    name.to_owned()
}

fn backend(row: &Row) -> Option<Backend> {
    Backend::ALL.into_iter().find(|backend| backend.word() == row.id)
}

/// The time of what is known of a backend that gives no answer any more.
fn last_updated(state: &State, row: &Row) -> String {
    let link = backend(row).and_then(|backend| state.links.get(&backend));
    match link.filter(|link| matches!(link.state, LinkState::Down | LinkState::Unknown)) {
        Some(link) => format!("last updated {}", when(state.by_platform(link.as_of), state)),
        None => String::new(),
    }
}

/// The facts of a row. Ages and beats stay out: a screen at rest stays at rest.
fn facts_of(state: &State, row: &Row) -> Vec<Fact> {
    let cell = |n: usize| row.cells.get(n);
    let mut facts = Vec::new();
    if let Some(state_is) = cell(1) {
        facts.push(fact_that_means("State", state_is.text.clone(), state_is.meaning));
    }
    let backend = backend(row);
    let since = backend.and_then(|backend| state.down_since.get(&backend));
    facts.extend(since.map(|at| {
        let at = state.by_platform(*at);
        fact_that_means("Since", when(at, state), Meaning::Bad)
    }));
    let address = match backend {
        Some(Backend::Api) => Some(state.context.api.clone()),
        Some(Backend::Vault) => state.context.vault.clone(),
        _ => None,
    };
    facts.extend(address.map(|address| fact("Address", address)));
    let said = [("Latency", cell(2)), ("Says", cell(3))];
    let said = said.into_iter().filter_map(|(label, cell)| Some((label, cell?)));
    let said = said.filter(|(_, cell)| !cell.text.is_empty());
    facts.extend(said.map(|(label, cell)| fact(label, cell.text.clone())));
    if backend == Some(Backend::Vault) {
        facts.extend(seal(state));
    }
    facts
}

/// What is wrong with a database that is not one, and what to do: whole at every width. Returns how many lines that
/// takes.
fn divided(state: &State, area: Rect, buffer: &mut Buffer) -> u16 {
    let Some(divided) = state.divided() else {
        return 0;
    };
    let hosts = &state.hosts;
    let words = format!("{}. {}.", divided.what(hosts), divided.next(hosts));
    let lines = wrap(&words, usize::from(area.width.saturating_sub(4)));
    let height = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(1)
        .min(area.height);
    let palette = palette(state);
    let place = Rect { height, ..area };
    let title = "No change goes out";
    let inner = heading(buffer, place, palette, title, ("", Meaning::Plain), false);
    for (y, line) in (inner.y..inner.bottom()).zip(lines) {
        put(buffer, inner, inner.x + 1, y, &line, palette.style(Meaning::Bad));
    }
    height
}

/// The facts of the row that is told of whole, for an export.
pub(super) fn facts(state: &State) -> Vec<Fact> {
    let Some(row) = shown(state) else {
        return Vec::new();
    };
    let itself = fact("Service", title(&row));
    std::iter::once(itself).chain(facts_of(state, &row)).collect()
}

/// What is known of Vault's seal.
fn seal(state: &State) -> Vec<Fact> {
    let link = state.links.get(&Backend::Vault);
    let is_down = link.is_some_and(|link| !matches!(link.state, LinkState::Up | LinkState::Degraded));
    let seal = link.and_then(|link| link.seal.as_ref());
    seal.map(|seal| seal_facts(state, seal, is_down))
        .unwrap_or_default()
}

/// The place of what has its row here and no screen of its own; none of other things.
pub(super) fn place_of(state: &State, kind: EntityKind, id: &str) -> Option<Place> {
    let backend = |is: Backend| is.word().to_owned();
    let row = match kind {
        EntityKind::Vault => backend(Backend::Vault),
        // A paused adapter is a CA of the issuer's.
        EntityKind::Adapter => backend(Backend::Issuer),
        EntityKind::Database => host_row(id),
        EntityKind::Service => match Backend::ALL.iter().find(|it| it.word() == id) {
            Some(known) => backend(*known),
            // A scheduler is a worker only; what there is of neither, such as this computer's clock, the API knows.
            None => {
                let mut workers = state.workers.iter();
                let worker = workers.find(|it| it.duty.word() == id || it.name == id);
                worker.map_or_else(|| backend(Backend::Api), worker_row)
            }
        },
        _ => return None,
    };
    Some(Place {
        view: ViewId::Services,
        subject: Some(row),
    })
}

fn worker_row(worker: &Worker) -> String {
    format!("{} {}", worker.duty.word(), worker.name)
}

fn host_row(name: &str) -> String {
    format!("host {name}")
}

fn seal_facts(state: &State, seal: &Seal, is_down: bool) -> Vec<Fact> {
    let entered = usize::try_from(seal.progress).unwrap_or(0);
    let missing = usize::try_from(seal.threshold.saturating_sub(seal.progress)).unwrap_or(0);
    let press = state.keymap.call(Cmd::Start("unseal"));
    let (words, meaning) = match (seal.initialized, seal.sealed) {
        (false, _) => ("not initialised".to_owned(), Meaning::Bad),
        (true, true) if is_down => ("was sealed".to_owned(), Meaning::Dim),
        (true, false) if is_down => ("was unsealed".to_owned(), Meaning::Dim),
        (true, true) => (format!("SEALED: press {press}"), Meaning::Bad),
        (true, false) => ("unsealed".to_owned(), Meaning::Good),
    };
    let mut facts = vec![
        fact("Version", seal.version.clone()),
        fact_that_means("Seal", words, meaning),
        fact(
            "Shares",
            format!("{} of {} are needed", seal.threshold, seal.shares),
        ),
    ];
    if seal.sealed {
        let bar = format!(
            "[{}{}] {entered} entered",
            "#".repeat(entered),
            ".".repeat(missing)
        );
        facts.push(fact_that_means("Progress", bar, Meaning::Warn));
        if !seal.nonce.is_empty() {
            facts.push(fact("Nonce", seal.nonce.clone()));
        }
    }
    facts
}
