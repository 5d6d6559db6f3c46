//! What all routes share: the store, the cache, how agents are woken, and whether the server is going
//! down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};

use crate::clients::cache::Cache;
use crate::clock::Clock;
use crate::problem::Problem;
use crate::services::serve::Bounds;
use crate::store::Store;
use crate::store::jobs::Listening;
use crate::wire::agents::WakeReply;

use super::freshness::Freshness;
use super::identity_ca::IdentityCa;
use super::metrics::Metrics;
use super::reply::Made;
use super::standing::Standing;
use super::streams::Streams;
use super::together::Together;
use super::turned_away::Refusals;
use super::turns::Turns;
use super::waker;
use crate::config::limits::Limits;
use crate::store::agents::Headcount;
use crate::wire::health::Ready;

/// Seconds between check-ins that a newly enrolled agent is told.
const CHECKIN_INTERVAL_S: i64 = 60;

/// How old findings may be that were made for somebody else.
const FINDINGS_LAST: Duration = Duration::from_secs(1);
/// Time that an answer about readiness lasts, which anybody may ask for as often as they like.
const READINESS_LASTS: Duration = Duration::from_millis(200);

/// Why an agent was not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Which step failed: `name`, `connect`, `http`.
    pub failed_step: String,
    /// Why.
    pub problem: Problem,
}

/// Wakes an agent where it listens: it dials out now, and tells what came of it. Has a time limit of its
/// own, and its own idea of which addresses may be called.
pub trait Wake: Send + Sync {
    /// See [`Wake`].
    fn wake(&self, agent: Listening) -> BoxFuture<'static, Result<WakeReply, Unreached>>;
}

/// What all routes share. Clones share it.
#[derive(Clone)]
pub struct ApiState {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) wake: Arc<dyn Wake>,
    /// Wake-ups at once that people ask for.
    pub(super) bells: Arc<Semaphore>,
    /// Of each agent, one report at a time.
    pub(super) reporting: Turns,
    /// Of who may not, within the last minute.
    pub(super) refusals: Refusals,
    /// Event streams, by token.
    pub(super) streams: Streams,
    pub(super) checkin_interval_s: i64,
    pub(super) bounds: Bounds,
    pub(super) metrics: Metrics,
    retiring: Arc<AtomicBool>,
    pub(super) cache: Cache,
    pub(super) freshness: Arc<Freshness>,
    /// The check of the audit trail, in JSON.
    pub(super) chain: Arc<Together<Made>>,
    /// All findings, in JSON.
    pub(super) findings: Arc<Together<Made>>,
    pub(super) readiness: Arc<Together<Ready>>,
    /// Counts over time, in JSON.
    pub(super) trends: Standing<Made>,
    pub(super) headcount: Standing<Headcount>,
    pub(super) limits: Limits,
    pub(super) identity_ca: Option<Arc<IdentityCa>>,
    draining: watch::Sender<bool>,
}

impl ApiState {
    /// A state over `store`, whose clock it takes, with a cache in this process and without limits.
    #[must_use]
    pub fn new(store: Store, wake: Arc<dyn Wake>) -> Self {
        let clock = store.clock().clone();
        let freshness = Arc::new(Freshness::new(&store));
        Self {
            // Never an older one: it is asked for by who doubts.
            chain: Arc::new(Together::new(&freshness, &clock, Duration::ZERO)),
            findings: Arc::new(Together::new(&freshness, &clock, FINDINGS_LAST)),
            readiness: Arc::new(Together::new(&freshness, &clock, READINESS_LASTS)),
            trends: Standing::default(),
            headcount: Standing::default(),
            freshness,
            cache: Cache::in_process(),
            limits: Limits::none(),
            identity_ca: None,
            store,
            clock,
            wake,
            bells: Arc::new(Semaphore::new(waker::AT_ONCE)),
            reporting: Turns::default(),
            refusals: Refusals::default(),
            streams: Streams::default(),
            checkin_interval_s: CHECKIN_INTERVAL_S,
            bounds: Bounds::default(),
            metrics: Metrics::new(),
            retiring: Arc::default(),
            draining: watch::Sender::new(false),
        }
    }

    /// State with another interval for agents that enrol from now on.
    #[must_use]
    pub fn checkin_interval(mut self, seconds: i64) -> Self {
        self.checkin_interval_s = seconds.max(1);
        self
    }

    /// State with other bounds for visitors.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// From now on the server is not ready, so that load balancers leave it; it still answers.
    pub fn retire(&self) {
        self.retiring.store(true, Ordering::Relaxed);
    }

    /// State with this cache.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// State with limits on what one token may ask.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// State with a CA for agents, which then have to prove themselves once they have its certificate.
    #[must_use]
    pub fn identity_ca(mut self, ca: Option<Arc<IdentityCa>>) -> Self {
        self.identity_ca = ca;
        self
    }

    /// From now on the server is not ready, and event streams end.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow() || self.retiring.load(Ordering::Relaxed)
    }

    /// Ends once the server is going down.
    pub(super) async fn drained(&self) {
        let mut draining = self.draining.subscribe();
        // The sender lives in `self`, so this can't fail.
        let _ = draining.wait_for(|draining| *draining).await;
    }
}
