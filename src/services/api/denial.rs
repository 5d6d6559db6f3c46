//! What a refusal means for an agent: ask again, enrol again, or stop. Told beside the words, so that no
//! agent has to guess from a status which of them it is.

use axum::extract::MatchedPath;
use axum::http::Extensions;

use crate::domain::agent::AgentStatus;
use crate::domain::role::Role;
use crate::problem::{Denial, Problem, ProblemKind};
use crate::store::agents;
use crate::store::tokens::Token;

use super::ApiState;

/// The routes that agents call with tokens of theirs.
const OF_AGENTS: [&str; 4] = [
    "/api/v1/agents/enrol",
    "/api/v1/agents/{id}/report",
    "/api/v1/agents/{id}/jobs/{job_id}",
    "/api/v1/requests/{id}/csr",
];

/// For a token that nobody knows: an agent's, if it was sent where only agents send theirs.
pub(super) fn of_unknown(problem: Problem, extensions: &Extensions) -> Problem {
    let route = extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    match route.is_some_and(|route| OF_AGENTS.contains(&route)) {
        true => by_kind(problem),
        false => problem,
    }
}

/// For a token that is known.
pub(super) async fn of(api: &ApiState, token: &Token, problem: Problem) -> Problem {
    if token.role != Role::Agent || problem.denial.is_some() {
        return problem;
    }
    if problem.kind == ProblemKind::NotAuthenticated && is_banned(api, token).await {
        // Its tokens were taken back with the ban, which is what it has to know.
        return problem
            .hint("the agent is banned; a person who knows why has to decide what becomes of its host")
            .denial(Denial::Banned);
    }
    by_kind(problem)
}

fn by_kind(problem: Problem) -> Problem {
    match problem.kind {
        ProblemKind::NotAuthenticated => problem.denial(Denial::ReEnrol),
        kind if kind.may_be_retried() || kind == ProblemKind::Internal => problem.denial(Denial::Retry),
        _ => problem,
    }
}

/// When the database can't tell, it isn't said: the agent enrols again at most, which is refused then.
async fn is_banned(api: &ApiState, token: &Token) -> bool {
    let Some(id) = &token.agent_id else { return false };
    let found = async {
        let mut conn = api.store.read().await?;
        agents::read(&mut conn, id).await
    };
    matches!(found.await, Ok(Some(agent)) if agent.status == AgentStatus::Banned)
}
