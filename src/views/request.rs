//! One issuance request: why it is stuck, who must act, when it is tried again, and its audit rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail::{self, Below, Fact, fact, fact_that_means};
use super::requests::{meaning, targets};
use super::times::full;
use super::{Row, View, audit};
use crate::domain::request::{Request, WaitingOn};
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Request,
    title: "Request",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |state| {
        let subject = state.place().subject;
        subject
            .into_iter()
            .flat_map(|id| [Query::Request(id.clone()), Query::AuditOf(id)])
            .collect()
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

/// The audit rows; actions work on what the request is about.
fn rows(state: &State) -> Vec<Row> {
    let Some(request) = request(state) else {
        return Vec::new();
    };
    let mut rows = audit::rows_of(state, &Query::AuditOf(request.id.clone())).into_vec();
    for row in &mut rows {
        row.targets = targets(request, state);
    }
    rows
}

/// What it wants and how far it is.
pub(super) fn facts(state: &State) -> Vec<Fact> {
    let Some(request) = request(state) else {
        return Vec::new();
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        fact_that_means("Status", request.status.word(), meaning(request.status)),
        fact_that_means("Why", request.why(), meaning(request.status)),
        fact(
            "Next try",
            request
                .next_attempt_at
                .map_or_else(|| next_try(request), |at| full(at, state)),
        ),
        fact("Tries", request.attempt.to_string()),
        fact("Names", request.sans.join(" ")),
        fact("Key", request.key_algorithm.clone()),
        fact("Agent", or_none(&request.agent_id)),
        fact("Path", or_none(&request.install_path)),
        fact("Replaces", or_none(&request.replaces)),
        fact("Certificate", or_none(&request.certificate_id)),
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
        columns: audit::NARROW,
        rows: &rows,
        empty: "no audit row",
    };
    detail::draw(state, area, buffer, &request.common_name, &facts(state), &below);
}

/// What has to happen first, where no time is set.
fn next_try(request: &Request) -> String {
    match request.waiting_on {
        Some(WaitingOn::Approval) => "once it is approved",
        Some(WaitingOn::Key | WaitingOn::Challenge) => "when the agent is back",
        Some(WaitingOn::Ca) => "now",
        None => "-",
    }
    .to_owned()
}
