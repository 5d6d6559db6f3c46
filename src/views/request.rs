//! One issuance request: why it is stuck, who must act, when it is tried again, and its audit rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail::{self, Below, Fact, fact, fact_that_means};
use super::requests::{meaning, targets, why};
use super::times::full;
use super::{Row, View, audit, related};
use crate::domain::id::EntityKind;
use crate::domain::request::{Request, WaitingOn};
use crate::domain::worker::all_clocks_off;
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::table::{Column, Width, plain};

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Request,
    title: "Request",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |state| {
        let subject = state.place().subject.into_iter();
        let itself = subject.flat_map(|id| [Query::Request(id.clone()), Query::AuditOf(id)]);
        // The agent's name is its own.
        let agent = request(state).and_then(|request| request.agent_id.clone());
        itself.chain(agent.map(Query::Agent)).collect()
    },
    columns: |_| audit::NARROW,
    rows: |state, _| rows(state).into(),
    draw,
};

fn request(state: &State) -> Option<&Request> {
    match state.answer(&Query::Request(state.place().subject?)) {
        Some(Answer::Request(request)) => Some(request),
        _ => None,
    }
}

/// The audit rows; actions work on what the request is about. Without an audit row the request itself is the one row,
/// so that keys work on it.
fn rows(state: &State) -> Vec<Row> {
    let Some(request) = request(state) else {
        return Vec::new();
    };
    let query = Query::AuditOf(request.id.clone());
    let mut rows = audit::rows_of(state, &query).into_vec();
    if rows.is_empty() {
        let words = match state.data.get(&query).map(|it| (&it.value, &it.trouble)) {
            Some((None, Some(problem))) => problem.what.clone(),
            Some((Some(_), _)) => "no audit row".to_owned(),
            _ => "asking…".to_owned(),
        };
        return vec![Row {
            id: request.id.clone(),
            cells: vec![plain(words)],
            copy: request.id.clone(),
            targets: targets(request, state),
            open: None,
        }];
    }
    for row in &mut rows {
        row.targets = targets(request, state);
    }
    rows
}

/// The columns of the row that stands in the place of audit rows.
const ITSELF: &[Column] = &[Column {
    title: "",
    width: Width::Fill(1),
}];

/// Its wish and its state.
pub(super) fn facts(state: &State) -> Vec<Fact> {
    let Some(request) = request(state) else {
        return Vec::new();
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let certificate = |id: &Option<String>| match id {
        Some(id) => related::named(state, EntityKind::Certificate, id),
        None => "-".to_owned(),
    };
    let agent = request.agent_id.as_deref();
    let agent = agent.and_then(|id| related::name(state, EntityKind::Agent, id));
    vec![
        fact_that_means("Status", request.status.word(), meaning(request.status)),
        fact_that_means("Why", why(request, state), meaning(request.status)),
        fact(
            "Next try",
            request
                .next_attempt_at
                .map_or_else(|| next_try(request, state), |at| full(at, state)),
        ),
        fact("Errors", request.attempt.to_string()),
        fact("Names", request.sans.join(" ")),
        fact("Key", request.key_algorithm.clone()),
        fact("Agent", agent.unwrap_or_else(|| or_none(&request.agent_id))),
        fact("Path", or_none(&request.install_path)),
        fact("Replaces", certificate(&request.replaces)),
        fact("Certificate", certificate(&request.certificate_id)),
        fact("Key SHA-256", or_none(&request.spki_sha256)),
        fact(
            "Asked by",
            format!("{} at {}", request.requested_by, full(request.created_at, state)),
        ),
        fact("Id", request.id.clone()),
    ]
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(request) = request(state) else {
        if let Some(id) = state.place().subject {
            detail::nothing(state, area, buffer, &Query::Request(id));
        }
        return;
    };
    let rows = rows(state);
    let below = Below {
        title: "Audit",
        columns: match rows.as_slice() {
            [row] if row.id == request.id => ITSELF,
            _ => audit::NARROW,
        },
        rows: &rows,
        empty: "no audit row",
    };
    detail::draw(state, area, buffer, &request.common_name, &facts(state), &below);
}

/// The event that has to come first, where no time is set.
fn next_try(request: &Request, state: &State) -> String {
    let agent = request.agent_id.as_deref();
    let has_no_token = agent
        .and_then(|id| related::agent(state, id))
        .is_some_and(|agent| agent.has_no_token);
    match request.waiting_on {
        Some(WaitingOn::Approval) => "once it is approved",
        Some(WaitingOn::Key | WaitingOn::Challenge) if has_no_token => {
            "when the agent is enrolled again: it has no token"
        }
        Some(WaitingOn::Key | WaitingOn::Challenge) => "when the agent is back",
        // The error is the CA's last answer, and it is over when that is.
        Some(WaitingOn::Ca) if request.error_message.is_some() => "when the CA can be used again",
        Some(WaitingOn::Ca) if all_clocks_off(&state.workers).is_some() => "when an issuer's clock is right",
        Some(WaitingOn::Ca) => "now",
        None => "-",
    }
    .to_owned()
}
