//! One agent: how it is, and what is installed on it with the three truths side by side.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::agents::{last_checkin, meaning, target};
use super::certificate::{INSTALLATIONS, installation_cells, now_is};
use super::detail::{self, Below, Fact, fact, fact_that_means};
use super::times::{full, full_with_distance};
use super::{Opens, Row, View};
use crate::domain::agent::{Agent, AgentHealth, AgentIdentity};
use crate::domain::certificate::common_name;
use crate::domain::id::EntityKind;
use crate::domain::told::{NAMED, cut};
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::wire::agents::AgentDetail;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Agent,
    title: "Agent",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |state| query(state).into_iter().collect(),
    columns: |_| INSTALLATIONS,
    rows: |state, _| {
        detail(state)
            .map(|detail| rows(detail, state))
            .unwrap_or_default()
            .into()
    },
    draw,
};

fn query(state: &State) -> Option<Query> {
    state.place().subject.map(Query::Agent)
}

fn detail(state: &State) -> Option<&AgentDetail> {
    match state.answer(&query(state)?) {
        Some(Answer::Agent(detail)) => Some(detail),
        _ => None,
    }
}

fn rows(detail: &AgentDetail, state: &State) -> Vec<Row> {
    let itself = target(&detail.agent);
    if detail.installations.is_empty() {
        return vec![Row {
            id: itself.id.clone(),
            cells: vec![crate::widgets::table::plain("nothing is installed")],
            copy: detail.agent.address.clone(),
            targets: vec![itself],
            open: None,
        }];
    }
    detail
        .installations
        .iter()
        .map(|installation| Row {
            id: installation.id.clone(),
            cells: installation_cells(
                installation,
                &format!(
                    "{} {}",
                    common_name(&installation.subject).unwrap_or(&installation.subject),
                    installation.path
                ),
                None,
                state,
            ),
            targets: vec![
                itself.clone(),
                Target {
                    kind: EntityKind::Certificate,
                    id: installation.certificate_id.clone(),
                    version: 0,
                    name: common_name(&installation.subject)
                        .unwrap_or(&installation.subject)
                        .to_owned(),
                    status: String::new(),
                },
            ],
            open: Some(Opens::detail(ViewId::Certificate, &installation.certificate_id)),
            copy: installation.path.clone(),
        })
        .collect()
}

/// What it is and how.
pub(super) fn facts(state: &State) -> Vec<Fact> {
    let Some(detail) = detail(state) else {
        return Vec::new();
    };
    let agent = &detail.agent;
    let at = query(state).map_or_else(|| state.shown_at(), |query| state.seen_at(&query));
    let health = agent.health(at);
    let last = match (health, agent.last_checkin) {
        (AgentHealth::Healthy, _) => last_checkin(agent, at, state),
        (_, Some(at)) => full_with_distance(at, state),
        (_, None) => "never".to_owned(),
    };
    vec![
        fact_that_means("Health", words(agent, health), meaning(health)),
        fact("Status", agent.status.word()),
        fact("Checked in", last),
        fact("Interval", format!("{} s", agent.checkin_interval_s)),
        fact(
            "Owner",
            agent
                .owner
                .as_deref()
                .map_or_else(|| "nobody said".to_owned(), |owner| cut(owner, NAMED)),
        ),
        fact("Address", agent.address.clone()),
        fact(
            "TLS",
            agent
                .tls_address
                .clone()
                .unwrap_or_else(|| "not served".to_owned()),
        ),
        fact("Directories", agent.install_dirs.join(" ")),
        fact("Version", agent.agent_version.clone()),
        fact("Identity", identity(agent, state)),
        fact("Enrolled", full(agent.enrolled_at, state)),
        fact("Id", agent.id.clone()),
    ]
}

/// Its health, and the way out where it can't come back by itself.
fn words(agent: &Agent, health: AgentHealth) -> String {
    match health {
        AgentHealth::NoToken => format!(
            "no token: enrol it again (`POST /api/v1/agents/{}/token`)",
            agent.id
        ),
        health => health.word().to_owned(),
    }
}

/// What it proves itself with.
fn identity(agent: &Agent, state: &State) -> String {
    let told = |it: &AgentIdentity| format!("{} until {}", it.serial, full(it.not_after, state));
    match (&agent.identity, &agent.next_identity) {
        (None, None) => "API token only (no client certificate)".to_owned(),
        (None, Some(next)) => format!("API token only; given {}, not shown yet", told(next)),
        (Some(now), None) => told(now),
        (Some(now), Some(next)) => format!("{}, then {}", told(now), told(next)),
    }
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(detail) = detail(state) else {
        if let Some(query) = query(state) {
            detail::nothing(state, area, buffer, &query);
        }
        return;
    };
    let rows = rows(detail, state);
    let title = format!("Installations{}", now_is(detail.installations.iter(), state));
    let below = Below {
        title: &title,
        columns: INSTALLATIONS,
        rows: &rows,
        empty: "nothing is installed",
    };
    let title = &detail.agent.hostname;
    detail::draw(state, area, buffer, title, &facts(state), &below);
}
