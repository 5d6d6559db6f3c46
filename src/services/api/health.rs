//! `GET /healthz` and `GET /readyz`, for load balancers and for the console's header. They need no
//! token and tell nothing that needs one.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::TimeDelta;

use crate::clients::cache::Serving;
use crate::domain::adapter::{AdapterStatus, PauseKind};
use crate::domain::link::{Backend, BackendHealth, LinkState};
use crate::domain::worker::{Duty, Worker};
use crate::store::{Store, StoreError, Trouble, adapters, agents, apart, audit, clocks, findings, workers};
use crate::wire::health::{Alive, Ready};
use crate::wire::problem_json::ProblemJson;

use super::ApiState;
use super::cached::AsNow;
use super::reply::{self, problem_of};
use crate::services::api::openapi::Limits;

/// Who asks whether it is ready doesn't wait longer for the database.
const PATIENCE: Duration = Duration::from_secs(3);
/// Clocks of servers may be so far apart without a word.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// The process is there.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    operation_id = "healthz",
    responses((status = 200, body = Alive, description = "The process is there"), Limits),
)]
pub(super) async fn healthz() -> Response {
    reply::json(&Alive { ok: true })
}

/// It can serve.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    operation_id = "readyz",
    responses((status = 200, body = Ready, description = "It can serve"), (status = 503, content((Ready = "application/json"), (ProblemJson = "application/problem+json")), description = "It can't serve now; the body says what is missing")),
)]
pub(super) async fn readyz(State(api): State<ApiState>) -> Response {
    let looking = api.clone();
    let looked = api
        .readiness
        .ask(AsNow::when(false), || async move { Ok(look(&looking).await) });
    match looked.await {
        Ok(looked) => answer(&Ready {
            ready: looked.ready && !api.is_draining(),
            ..looked
        }),
        Err(problem) => reply::problem(problem),
    }
}

/// How everything is, whether this server is about to go or not.
async fn look(api: &ApiState) -> Ready {
    let asked = Instant::now();
    // One time for all of it: whoever asks gives up when each part takes its own.
    let until = asked + PATIENCE;
    let answered = match tokio::time::timeout_at(until.into(), api.store.ping()).await {
        Ok(Ok(trouble)) => tables(api, trouble, until).await,
        Ok(Err(error)) => Err(error.trouble().map(|it| it.to_string())),
        Err(_) => Err(Some(format!(
            "doesn't answer within {} s: look whether it runs and can be reached",
            PATIENCE.as_secs()
        ))),
    };
    let latency_ms = u32::try_from(asked.elapsed().as_millis()).ok();
    let mut backends = vec![database(&answered, latency_ms)];
    let (others, clock) = match answered {
        Ok(_) => {
            let both = tokio::join!(
                tokio::time::timeout_at(until.into(), apart(others(api))),
                tokio::time::timeout_at(until.into(), apart(clock(api))),
            );
            (both.0.ok().and_then(Result::ok), both.1.ok().flatten())
        }
        Err(_) => (None, None),
    };
    let mut workers = Vec::new();
    match others {
        Some((others, known)) => {
            backends.extend(others);
            workers = known;
        }
        _ => {
            let unknown = [Backend::Issuer, Backend::Agents].map(|it| health(it, LinkState::Unknown, None));
            backends.extend(unknown);
        }
    }
    backends.push(cache(api).await);
    if let Some(off) = clock
        && let Some(database) = backends.first_mut()
    {
        // What is dated is written there.
        database.state = LinkState::Degraded;
        database.note = Some(
            database
                .note
                .take()
                .map_or(off.clone(), |note| format!("{note}; {off}")),
        );
    }
    Ready {
        ready: answered.is_ok(),
        backends,
        database: api.store.instance(),
        clock_ahead_ms: api.store.clock_ahead().map(|ahead| ahead.num_milliseconds()),
        workers,
    }
}

/// A database that answers is asked what users ask: a table that is gone or locked helps nobody.
async fn tables(
    api: &ApiState,
    trouble: Option<Trouble>,
    until: Instant,
) -> Result<Option<String>, Option<String>> {
    match tokio::time::timeout_at(until.into(), api.store.try_tables()).await {
        Ok(Ok(())) => Ok(trouble.map(|it| it.to_string())),
        Ok(Err(error)) => Err(error.trouble().map(|it| it.to_string())),
        Err(_) => Err(Some(Store::held_up(PATIENCE.as_secs()).to_string())),
    }
}

/// What is wrong with this server's clock, as far as one can see without another one: it jumped, or is behind what was
/// written last.
async fn clock(api: &ApiState) -> Option<String> {
    if let Some(jump) = api.clock.jumped() {
        let way = if jump > TimeDelta::zero() { "ahead" } else { "back" };
        return Some(format!(
            "this server's clock jumped {} s {way} since its start: set it by NTP, and start the server again",
            jump.num_seconds().abs()
        ));
    }
    let read = async {
        let mut conn = api.store.read().await?;
        audit::last_at(&mut conn).await
    };
    let last = read.await.ok().flatten()?;
    (last - api.store.now() > AHEAD).then(|| {
        format!(
            "the last audit row is dated {}, ahead of this server's clock: that was ahead, or this one is behind; set \
             all servers' by NTP",
            last.format("%F %TZ")
        )
    })
}

/// Answer with one body for both statuses: it isn't a problem, it is the answer.
pub(super) fn answer(ready: &Ready) -> Response {
    let mut response = reply::json(ready);
    if !ready.ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// A database that answers is enough to serve: what else is wrong with it is wrong for every server.
fn database(answered: &Result<Option<String>, Option<String>>, latency_ms: Option<u32>) -> BackendHealth {
    let (state, note) = match answered {
        Ok(None) => (LinkState::Up, None),
        Ok(trouble) => (LinkState::Degraded, trouble.clone()),
        Err(why) => {
            let unknown = || "doesn't answer: the server's log says why".to_owned();
            let down = why.clone().unwrap_or_else(unknown);
            return health(Backend::Database, LinkState::Down, Some(down));
        }
    };
    BackendHealth {
        latency_ms,
        ..health(Backend::Database, state, note)
    }
}

/// A lost Redis makes nothing unready: it costs speed only. The rate is in steps, see `clients::cache`.
async fn cache(api: &ApiState) -> BackendHealth {
    let serving = api.cache.check().await;
    let figures = api.cache.figures();
    let hits = figures
        .hit_rate
        .map_or_else(String::new, |rate| format!(", {rate} % hits"));
    let (state, note) = match serving {
        Serving::Redis => (LinkState::Up, format!("redis{hits}")),
        Serving::InProcess => (LinkState::Up, format!("in-process (moka){hits}")),
        Serving::InsteadOfRedis => {
            let unknown = || "redis is lost, the in-process cache serves: it doesn't answer".to_owned();
            (LinkState::Degraded, api.cache.trouble().unwrap_or_else(unknown))
        }
    };
    BackendHealth {
        latency_ms: figures
            .latency
            .and_then(|latency| u32::try_from(latency.as_millis()).ok()),
        ..health(Backend::Cache, state, Some(note))
    }
}

async fn others(api: &ApiState) -> Result<(Vec<BackendHealth>, Vec<Worker>), StoreError> {
    let mut conn = api.store.read().await?;
    let adapters = adapters::all(&mut conn).await?;
    let paused = adapters.iter().find(|it| it.status == AdapterStatus::Paused);
    let paused = paused.map(|adapter| {
        let why = adapter.paused_reason.as_deref().unwrap_or("no reason given");
        match adapter.is_paused_as(PauseKind::Unsigned) {
            true => format!("signing is paused, revocations go on: {why}"),
            false => format!("paused: {why}"),
        }
    });
    // What is signed goes on while revocations wait.
    let waiting = findings::waiting_revocations(&mut conn).await?;
    let all_stands = adapters.iter().any(|it| !it.does_more_than_sign());
    let waiting = waiting.filter(|_| !all_stands).map(|(n, why)| {
        let wait = if n == 1 {
            "revocation waits"
        } else {
            "revocations wait"
        };
        format!("{n} {wait}: {why}")
    });
    let clocks = clocks::told(&mut conn).await?;
    let gone = workers::gone(&mut conn).await?;
    let no_issuer = gone.iter().any(|it| it.duty == Duty::Issuer);
    // That no scheduler is there stops nobody who asks for a certificate: it is a finding of its own.
    let gone = gone
        .into_iter()
        .filter(|it| it.duty == Duty::Issuer)
        .map(|it| it.words());
    let wrong: Vec<String> = gone.chain(paused).chain(waiting).chain(clocks).collect();
    let issuer = match (wrong.is_empty(), adapters.is_empty()) {
        (true, true) => health(Backend::Issuer, LinkState::Absent, None),
        (true, false) => health(Backend::Issuer, LinkState::Up, None),
        (false, _) if no_issuer => health(Backend::Issuer, LinkState::Down, Some(wrong.join("; "))),
        (false, _) => health(Backend::Issuer, LinkState::Degraded, Some(wrong.join("; "))),
    };
    let workers = workers::all(&mut conn).await?;
    drop(conn);
    let store = api.store.clone();
    let counted = async move || {
        let mut conn = store.read().await.map_err(problem_of)?;
        agents::headcount(&mut conn).await.map_err(problem_of)
    };
    let count = api
        .headcount
        .ask(AsNow::when(false), counted)
        .await
        .map_err(StoreError::from)?;
    let state = match (count.n_all, count.n_healthy) {
        (0, _) => LinkState::Absent,
        (all, healthy) if all == healthy => LinkState::Up,
        (_, 0) => LinkState::Down,
        _ => LinkState::Degraded,
    };
    let note = format!("{} of {} agents healthy", count.n_healthy, count.n_all);
    Ok((vec![issuer, health(Backend::Agents, state, Some(note))], workers))
}

pub(super) fn health(backend: Backend, state: LinkState, note: Option<String>) -> BackendHealth {
    BackendHealth {
        backend,
        state,
        note,
        latency_ms: None,
    }
}
