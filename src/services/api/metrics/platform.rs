//! The platform in numbers. A scrape gets those that were counted last, and has newer ones counted beside where they are
//! old for what they cost; it is given up when the database is slow: the numbers before stay, with their age.

use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use super::Labels;
use crate::domain::adapter::AdapterStatus;
use crate::problem::Problem;
use crate::services::api::cached::AsNow;
use crate::services::api::reply::problem_of;
use crate::services::api::standing::Standing;
use crate::store::figures::{self, Figures, Issued};
use crate::store::{Store, Work};

/// Numbers that are younger are told again.
const FRESH: Duration = Duration::from_secs(5);
/// The longest that a scrape waits for them.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) struct Platform {
    database_up: Gauge,
    busy: Family<Labels<1>, Gauge>,
    read_at: Gauge,
    jobs: Family<Labels<1>, Gauge>,
    requests: Family<Labels<1>, Gauge>,
    expiring: Family<Labels<1>, Gauge>,
    agents: Family<Labels<1>, Gauge>,
    adapters: Family<Labels<1>, Gauge>,
    issued: Family<Labels<1>, Counter>,
    figures: Standing<Figures>,
    /// When it was read, and up to which audit row issuances are counted.
    last: Mutex<(Option<Instant>, Option<i64>)>,
}

impl Platform {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let it = Self {
            database_up: Gauge::default(),
            busy: Family::default(),
            read_at: Gauge::default(),
            jobs: Family::default(),
            requests: Family::default(),
            expiring: Family::default(),
            agents: Family::default(),
            adapters: Family::default(),
            issued: Family::default(),
            figures: Standing::default(),
            last: Mutex::default(),
        };
        let up = "Whether the database answered the last scrape (1) or not (0)";
        registry.register("database_up", up, it.database_up.clone());
        let busy = "Connections to the database that are in use, by what for: `changes`, `vital` short reads, \
                    questions of a `screen`, `background`";
        registry.register("database_connections_busy", busy, it.busy.clone());
        let read_at = "When the numbers of the platform were read, in Unix seconds; old ones are told on while \
                       the database doesn't answer";
        registry.register("platform_read_timestamp_seconds", read_at, it.read_at.clone());
        let jobs = "Jobs that wait for an agent or the issuer, by kind";
        registry.register("jobs_queued", jobs, it.jobs.clone());
        let requests = "Issuance requests that are not at their end, or failed, by status";
        registry.register("issuance_requests_open", requests, it.requests.clone());
        let expiring = "Certificates neither revoked nor replaced that end within the time, expired ones \
                        included: `0d` have expired";
        registry.register("certificates_expiring", expiring, it.expiring.clone());
        let agents = "Active agents by state: `healthy` ones check in, `silent` ones don't";
        registry.register("agents", agents, it.agents.clone());
        let adapters = "Adapters by name: 1 where it is paused and nothing is issued through it";
        registry.register("adapter_paused", adapters, it.adapters.clone());
        let issued = "Issuances that ended since this server started, by outcome. Every server counts those of \
                      the whole platform: take the maximum, not the sum";
        registry.register("issuances", issued, it.issued.clone());
        it
    }

    /// The numbers as they were counted last, and issuances since the last scrape.
    async fn read(&self, store: &Store, after: Option<i64>) -> Result<(Figures, Issued), Problem> {
        let counted = store.clone();
        let count = async move || {
            let mut conn = counted.ask(Work::Background).await.map_err(problem_of)?;
            figures::read(&mut conn).await.map_err(problem_of)
        };
        let figures = self.figures.ask(AsNow::when(false), count).await?;
        let mut conn = store.ask(Work::Background).await.map_err(problem_of)?;
        let issued = figures::issued(&mut conn, after).await.map_err(problem_of)?;
        Ok((figures, issued))
    }

    /// Reads the numbers, unless they are fresh.
    pub(super) async fn refresh(&self, store: &Store) {
        for (work, n) in store.busy() {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            self.busy.get_or_create(&[("work", work.to_owned())]).set(n);
        }
        let mut last = self.last.lock().await;
        if last.0.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        match tokio::time::timeout(LIMIT, self.read(store, last.1)).await {
            Ok(Ok((figures, issued))) => {
                self.set(&figures, &issued);
                *last = (Some(Instant::now()), Some(issued.up_to));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the metrics of the platform are old, the database can't be read");
                self.database_up.set(0);
            }
            Err(_) => {
                tracing::warn!("the metrics of the platform are old, the database is slow");
                self.database_up.set(0);
            }
        }
    }

    fn set(&self, figures: &Figures, issued: &Issued) {
        self.database_up.set(1);
        self.read_at.set(figures.at.timestamp());
        by_name(&self.jobs, "kind", &figures.jobs_queued);
        by_name(&self.requests, "status", &figures.requests_open);
        for (within, n) in figures.expiring {
            let within = ("within", within.to_owned());
            self.expiring.get_or_create(&[within]).set(n);
        }
        let agents = &figures.agents;
        for (state, n) in [
            ("healthy", agents.n_healthy),
            ("silent", agents.n_all - agents.n_healthy),
        ] {
            self.agents.get_or_create(&[("state", state.to_owned())]).set(n);
        }
        self.adapters.clear();
        for adapter in &figures.adapters {
            let is_paused = i64::from(adapter.status == AdapterStatus::Paused);
            let name = ("adapter", adapter.name.clone());
            self.adapters.get_or_create(&[name]).set(is_paused);
        }
        for (outcome, n) in [("done", issued.done), ("failed", issued.failed)] {
            let counter = self.issued.get_or_create(&[("outcome", outcome.to_owned())]);
            counter.inc_by(u64::try_from(n).unwrap_or(0));
        }
    }
}

/// What isn't counted any more is none, not what it was.
fn by_name(family: &Family<Labels<1>, Gauge>, label: &'static str, counts: &[(String, i64)]) {
    family.clear();
    for (name, n) in counts {
        family.get_or_create(&[(label, name.clone())]).set(*n);
    }
}
