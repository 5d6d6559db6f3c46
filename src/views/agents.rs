//! All agents, as a list.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::nothing::no_match;
use super::rows::Rows;
use super::times::when;
use super::{Opens, Pane, Row, View, related};
use crate::domain::agent::{Agent, AgentHealth};
use crate::domain::id::EntityKind;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::wire::filter::AGENT_FIELDS;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Agents,
    title: "Agents",
    n_panes: 1,
    sorts: &[
        ("last_checkin", "last check-in"),
        ("hostname", "agent"),
        ("health", "health"),
        ("silent", "silent"),
        ("installations", "on"),
        ("owner", "owner"),
        ("address", "address"),
        ("status", "status"),
    ],
    filters: AGENT_FIELDS,
    needs: |state| vec![query(state)],
    columns: |_| WIDE,
    rows: |state, _| rows_of(state, &query(state)),
    draw,
};

/// The columns where there is little room. The last check-in of a healthy agent is left out, since it
/// would change with every check-in.
pub(super) const NARROW: &[Column] = &[
    Column {
        title: "agent",
        width: Width::Fill(1),
    },
    Column {
        title: "health",
        width: Width::Fixed(10),
    },
    Column {
        title: "since",
        width: Width::From(9, 36),
    },
];

const WIDE: &[Column] = &[
    Column {
        title: "agent",
        width: Width::Fill(2),
    },
    Column {
        title: "health",
        width: Width::Fixed(10),
    },
    Column {
        title: "silent",
        width: Width::Fixed(9),
    },
    Column {
        title: "last check-in",
        width: Width::Fixed(13),
    },
    Column {
        title: "on",
        width: Width::Fixed(3),
    },
    Column {
        title: "owner",
        width: Width::From(16, 100),
    },
    Column {
        title: "address",
        width: Width::From(28, 90),
    },
];

fn query(state: &State) -> Query {
    Query::Agents(state.screen().list)
}

/// The rows of an answer that holds agents.
pub(super) fn rows_of<'a>(state: &'a State, query: &Query) -> Rows<'a> {
    let at = state.seen_at(query);
    match state.answer(query) {
        Some(Answer::Agents(window)) => Rows::over(
            window.rows.iter().collect(),
            |it| it.id.as_str().into(),
            move |it| row(it, at, state),
        ),
        _ => Vec::new().into(),
    }
}

/// The rows by health and name: a healthy agent's check-in moves no row, so that a screen at rest stays
/// at rest.
pub(super) fn rows_by_health(state: &State) -> Rows<'_> {
    let Some(Answer::Agents(window)) = state.answer(&Query::AgentHealth) else {
        return Vec::new().into();
    };
    let mut agents: Vec<&Agent> = window.rows.iter().collect();
    let at = state.seen_at(&Query::AgentHealth);
    agents.sort_by_key(|agent| (agent.health(at), &agent.hostname));
    Rows::over(agents, |it| it.id.as_str().into(), move |it| row(it, at, state))
}

/// Meaning of an agent's health.
pub(super) fn meaning(health: AgentHealth) -> Meaning {
    match health {
        AgentHealth::Healthy => Meaning::Good,
        AgentHealth::Late | AgentHealth::Never | AgentHealth::Banned => Meaning::Warn,
        AgentHealth::Silent | AgentHealth::NoToken => Meaning::Bad,
    }
}

/// The agent with this id as a target, by its host's name where that is known.
pub(super) fn target_of(id: &str, state: &State) -> Target {
    related::agent(state, id).map_or_else(
        || Target {
            kind: EntityKind::Agent,
            id: id.to_owned(),
            version: 0,
            name: id.to_owned(),
            status: String::new(),
        },
        target,
    )
}

/// An agent as a target.
pub(super) fn target(agent: &Agent) -> Target {
    Target {
        kind: EntityKind::Agent,
        id: agent.id.clone(),
        version: agent.version,
        name: agent.hostname.clone(),
        status: agent.status.word().to_owned(),
    }
}

/// Time of its last check-in, by what was known at `known`; `on time` where it is so, since a screen at rest has to
/// stay at rest.
pub(super) fn last_checkin(agent: &Agent, known: DateTime<Utc>, state: &State) -> String {
    match (agent.health(known), agent.last_checkin) {
        (AgentHealth::Healthy, _) => "on time".to_owned(),
        (_, Some(at)) => when(at, state),
        (_, None) => String::new(),
    }
}

/// The row of an agent as it was known at `known`: of one that nobody can be asked about, time alone makes no silence.
fn row(agent: &Agent, known: DateTime<Utc>, state: &State) -> Row {
    let health = agent.health(known);
    let last = last_checkin(agent, known, state);
    let silent = if matches!(health, AgentHealth::Silent | AgentHealth::NoToken) {
        last.clone()
    } else {
        String::new()
    };
    Row {
        id: agent.id.clone(),
        cells: vec![
            plain(agent.hostname.clone()),
            cell(health.word(), meaning(health)),
            cell(silent, Meaning::Warn),
            plain(last),
            plain(agent.n_installations.to_string()),
            plain(agent.owner.clone().unwrap_or_default()),
            cell(agent.address.clone(), Meaning::Dim),
        ],
        targets: vec![target(agent)],
        open: Some(Opens::detail(ViewId::Agent, &agent.id)),
        copy: agent.id.clone(),
    }
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let query = query(state);
    let empty = no_match(state, "agent");
    Pane {
        title: "Agents",
        index: 0,
        columns: WIDE,
        headings: true,
        query: Some(&query),
        empty: &empty,
        ..Pane::default()
    }
    .draw(state, area, buffer);
}
