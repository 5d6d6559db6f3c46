//! The findings that a console sees by itself, so that they are there when the API is not.

use chrono::TimeDelta;

use super::State;
use super::cmd::Cmd;
use super::query::{Answer, Query};
use crate::domain::finding::{Finding, FindingKind, NAMED, Severity};
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::domain::matter;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::problem::ProblemKind;

/// What the console sees without asking the API: a backend that is away or refuses us, Vault sealed, a clock that is
/// off.
#[must_use]
pub fn own_findings(state: &State) -> Vec<Finding> {
    let away = [
        api_down(state),
        token_refused(state),
        database_down(state),
        vault_down(state),
    ];
    // What is being started isn't missed yet.
    let away = away.into_iter().filter(|_| state.starting.is_none());
    away.chain([vault_sealed(state), clock_off(state)])
        .flatten()
        .collect()
}

/// One about a backend, before all others of its severity: the smaller `rank`, the further up.
fn about(state: &State, backend: Backend, rank: i64) -> Finding {
    let vault = backend == Backend::Vault;
    let (entity, id, subject) = match backend {
        Backend::Vault => {
            let target = state.vault_target();
            (EntityKind::Vault, target.id, "Vault")
        }
        Backend::Database => (EntityKind::Service, backend.word().to_owned(), "Database"),
        _ => (EntityKind::Service, backend.word().to_owned(), "API"),
    };
    Finding {
        kind: if vault {
            FindingKind::VaultDown
        } else {
            FindingKind::ApiDown
        },
        severity: Severity::Critical,
        risk: i64::MAX - rank,
        entity,
        entity_id: id,
        version: 0,
        subject: subject.to_owned(),
        host: None,
        matter: matter::NO_ANSWER.to_owned(),
        what: String::new(),
        since: state
            .down_since
            .get(&backend)
            .copied()
            .map(|at| state.by_platform(at)),
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
        answer: None,
    }
}

/// Why a backend is not as it should be, in its own words or those of who asked it.
fn note(state: &State, backend: Backend) -> &str {
    let note = state.links.get(&backend).and_then(|link| link.note.as_deref());
    note.unwrap_or("it doesn't say why")
}

/// Of when what is shown below is.
fn as_of(state: &State) -> String {
    let at = state.data.get(&Query::Findings).and_then(|loaded| loaded.as_of);
    match at.map(|at| state.by_platform(at)) {
        Some(at) if at.date_naive() == state.shown_at().date_naive() => {
            format!("; what is shown is from {}", at.format("%H:%MZ"))
        }
        Some(at) => format!("; what is shown is from {}", at.format("%Y-%m-%d %H:%MZ")),
        None => String::new(),
    }
}

fn api_down(state: &State) -> Option<Finding> {
    (state.link(Backend::Api) == LinkState::Down).then(|| Finding {
        what: format!("{}{}", note(state, Backend::Api), as_of(state)),
        ..about(state, Backend::Api, 0)
    })
}

fn token_refused(state: &State) -> Option<Finding> {
    let trouble = state
        .data
        .get(&Query::Findings)
        .and_then(|loaded| loaded.trouble.as_ref());
    let trouble = trouble.filter(|it| it.kind == ProblemKind::NotAuthenticated);
    let refused = trouble
        .map(ToString::to_string)
        .or_else(|| state.token_refused.clone())?;
    let asks = state.keymap.call(Cmd::Refresh);
    (state.link(Backend::Api) != LinkState::Down).then(|| Finding {
        kind: FindingKind::TokenRefused,
        matter: matter::TOKEN_REFUSED.to_owned(),
        what: format!("{refused}; {asks} asks again{}", as_of(state)),
        ..about(state, Backend::Api, 0)
    })
}

/// Where the console knows the database's hosts, they have findings of their own.
fn database_down(state: &State) -> Option<Finding> {
    let is_down = state.hosts.is_empty() && state.link(Backend::Database) == LinkState::Down;
    is_down.then(|| Finding {
        kind: FindingKind::DatabaseDown,
        what: format!(
            "the API says of its database: {}; nothing can be changed{}",
            note(state, Backend::Database),
            as_of(state)
        ),
        ..about(state, Backend::Database, 1)
    })
}

fn vault_down(state: &State) -> Option<Finding> {
    (state.link(Backend::Vault) == LinkState::Down).then(|| Finding {
        what: format!(
            "{}; whether it is sealed is not known here",
            note(state, Backend::Vault)
        ),
        ..about(state, Backend::Vault, 2)
    })
}

fn vault_sealed(state: &State) -> Option<Finding> {
    let link = state.links.get(&Backend::Vault)?;
    let seal = link.seal.as_ref().filter(|seal| seal.sealed)?;
    if !matches!(link.state, LinkState::Up | LinkState::Degraded) {
        return None;
    }
    let (n, waiting) = waiting(state);
    let waits = match n {
        0 => "nothing can be issued or revoked".to_owned(),
        1 => "1 request waits on it".to_owned(),
        n => format!("{n} requests wait on it"),
    };
    Some(Finding {
        kind: FindingKind::VaultSealed,
        matter: matter::sealed(n),
        what: format!(
            "is sealed ({} of {} shares): {waits}",
            seal.progress, seal.threshold
        ),
        since: None,
        n_takes_down: n,
        takes_down: waiting,
        answer: Some("unseal".to_owned()),
        ..about(state, Backend::Vault, 3)
    })
}

/// Everything on screen is by the platform's clock, so nothing there is wrong; what this computer dates by its own
/// is.
fn clock_off(state: &State) -> Option<Finding> {
    let ahead = state.clock_ahead;
    if ahead.is_zero() {
        return None;
    }
    let is = if ahead > TimeDelta::zero() {
        "behind"
    } else {
        "ahead of"
    };
    Some(Finding {
        kind: FindingKind::ClockOff,
        severity: Severity::Warning,
        subject: "This computer".to_owned(),
        entity_id: "clock".to_owned(),
        matter: matter::CLOCK_OFF.to_owned(),
        what: format!(
            "its clock is {} {is} the platform's: times here are by the platform's; set this one by NTP",
            span(ahead.abs())
        ),
        since: None,
        ..about(state, Backend::Api, 4)
    })
}

/// Coarse, so that it doesn't jitter.
fn span(by: TimeDelta) -> String {
    match by.num_minutes() {
        1..120 => format!("{} min", by.num_minutes()),
        120..2880 => format!("{} h", by.num_hours()),
        _ => format!("{} days", by.num_days()),
    }
}

/// How many requests wait for Vault, and the first of them by name: as the API counts them, and of what the
/// console has itself where that is more.
fn waiting(state: &State) -> (i64, Vec<String>) {
    let waits = |request: &&Request| {
        matches!(request.status, RequestStatus::Pending | RequestStatus::Issuing)
            && request.waiting_on != Some(WaitingOn::Approval)
    };
    let mut names: Vec<String> = match state.answer(&Query::OpenRequests) {
        Some(Answer::Requests(window)) => {
            let waiting = window.rows.iter().filter(waits);
            waiting.map(|request| request.common_name.clone()).collect()
        }
        _ => Vec::new(),
    };
    let n = i64::try_from(names.len()).unwrap_or(i64::MAX);
    names.truncate(NAMED);
    let told = match state.answer(&Query::Findings) {
        Some(Answer::Findings(answered)) => {
            let sealed = answered.findings.iter();
            let sealed = sealed.filter(|it| it.kind == FindingKind::VaultSealed);
            sealed.map(|it| it.n_takes_down).sum()
        }
        _ => 0,
    };
    (n.max(told), names)
}
