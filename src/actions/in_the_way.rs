//! Obstacles that are known before anything is done: a CA that is paused or doesn't answer, no issuer, an agent that
//! is silent. They hold up what needs exactly them, so they are told and forbid nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::adapter::{Adapter, AdapterStatus, PauseKind};
use crate::domain::agent::{Agent, AgentHealth};
use crate::domain::certificate::Certificate;
use crate::domain::listed::first;
use crate::domain::moment::short;
use crate::domain::request::{Request, RequestStatus};
use crate::domain::worker::{Duty, all_clocks_off};
use crate::plan::ports::Reads;
use crate::problem::Problem;
use crate::wire::page::PageQuery;

/// Names that a line holds; the rest is counted.
const NAMED: usize = 4;

/// A few names, and how many more.
pub(super) fn names(all: &[&str]) -> String {
    first(all, NAMED)
}

/// The agents that a plan needs, each asked for once.
#[derive(Default)]
pub(super) struct Agents(BTreeMap<String, Agent>);

impl Agents {
    /// The agent with this id.
    pub(super) async fn get(&mut self, id: &str, with: &Reads) -> Result<&Agent, Problem> {
        if !self.0.contains_key(id) {
            let agent = with.api.agent(id).await?.agent;
            self.0.insert(id.to_owned(), agent);
        }
        self.0
            .get(id)
            .ok_or_else(|| Problem::not_found(format!("there is no agent `{id}`")))
    }
}

/// The absence of an agent.
#[derive(Clone)]
pub(super) struct Absence {
    /// In words behind its name: `is silent since 27 Nov`.
    pub(super) is: String,
    /// The event that ends it: `is back`.
    pub(super) until: &'static str,
}

/// Absence of this agent, if it is away or can't come.
pub(super) fn away(agent: &Agent, now: DateTime<Utc>) -> Option<Absence> {
    let (is, until) = match (agent.health(now), agent.last_checkin) {
        (AgentHealth::Silent, Some(at)) => (format!("is silent since {}", short(at, now)), "is back"),
        (AgentHealth::Silent | AgentHealth::Never, _) => ("was never seen".to_owned(), "is back"),
        (AgentHealth::NoToken, _) => (
            format!(
                "has no token, so enrol it: `POST /api/v1/agents/{}/token`",
                agent.id
            ),
            "is enrolled again",
        ),
        (AgentHealth::Banned | AgentHealth::Late | AgentHealth::Healthy, _) => return None,
    };
    Some(Absence { is, until })
}

/// Names that wait for agents that are away, by host, and agents that are late, which may still come.
#[derive(Default)]
pub(super) struct Away {
    waiting: BTreeMap<String, (Absence, Vec<String>)>,
    late: BTreeMap<String, String>,
}

impl Away {
    /// Notes that `name` waits for `agent`, if that is away.
    pub(super) fn note(&mut self, agent: &Agent, name: &str, now: DateTime<Utc>) {
        let Some(absence) = away(agent, now) else {
            return;
        };
        let (_, names) = self
            .waiting
            .entry(agent.hostname.clone())
            .or_insert((absence, Vec::new()));
        names.push(name.to_owned());
    }

    /// Notes that `agent` has to do something now, if it is late.
    pub(super) fn note_late(&mut self, agent: &Agent, now: DateTime<Utc>) {
        if let (AgentHealth::Late, Some(at)) = (agent.health(now), agent.last_checkin) {
            self.late.insert(agent.hostname.clone(), short(at, now));
        }
    }

    /// A line a host; `so` says what comes of it until it `is back`.
    pub(super) fn lines(&self, so: fn(&str) -> String) -> impl Iterator<Item = String> {
        let waiting = self.waiting.iter().map(move |(host, (absence, waiting))| {
            let waiting: Vec<&str> = waiting.iter().map(String::as_str).collect();
            let verb = if waiting.len() == 1 { "waits" } else { "wait" };
            let so = so(absence.until);
            format!("{host} {}: {} {verb} for it. {so}", absence.is, names(&waiting))
        });
        let late = self.late.iter().map(|(host, at)| {
            format!("{host} is late: its last check-in was {at}, so that it may not come at once.")
        });
        waiting.chain(late)
    }
}

/// Rows of a page of open requests.
const PAGE: u32 = 500;
/// Pages that are read at most; the API refuses what was missed.
const PAGES: usize = 20;

/// The requests to replace certificates that are under way, or failed.
#[derive(Default)]
pub(super) struct UnderWay(Vec<Request>);

impl UnderWay {
    /// Open requests for these certificates: asked for by name for a single one, read among all for several.
    pub(super) async fn ask(certificates: &[&str], with: &Reads) -> Result<Self, Problem> {
        let filter = match certificates {
            [] => return Ok(Self::default()),
            [one] => Some(format!("cert:{one}")),
            _ => None,
        };
        let mut query = PageQuery {
            limit: Some(PAGE),
            open: Some(true),
            filter,
            ..PageQuery::default()
        };
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let page = with.api.requests(&query).await?;
            found.extend(page.items.into_iter().filter(|request| {
                let replaces = request.replaces.as_deref();
                replaces.is_some_and(|id| certificates.contains(&id))
            }));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        Ok(Self(found))
    }

    /// The first of those for the certificate with this id.
    pub(super) fn of(&self, certificate: &str) -> Option<&Request> {
        let is_open = |it: &&Request| matches!(it.status, RequestStatus::Pending | RequestStatus::Issuing);
        self.for_certificate(certificate).find(is_open)
    }

    /// The last of those that failed for the certificate with this id.
    pub(super) fn failed(&self, certificate: &str) -> Option<&Request> {
        let failed = |it: &&Request| it.status == RequestStatus::Failed;
        self.for_certificate(certificate)
            .filter(failed)
            .max_by(|a, b| a.id.cmp(&b.id))
    }

    /// All of those for the certificate with this id.
    pub(super) fn for_certificate(&self, certificate: &str) -> impl Iterator<Item = &Request> {
        let is_for = move |it: &&Request| it.replaces.as_deref() == Some(certificate);
        self.0.iter().filter(is_for)
    }
}

/// A plan doesn't wait longer to find out that Vault gives this console no answer.
const VAULT_PATIENCE: Duration = Duration::from_secs(2);

/// The adapters and what asks through them, as they are now.
pub(super) struct Adapters {
    all: Vec<Adapter>,
    /// The absence of an issuer, in words, if there is none.
    no_issuer: Option<String>,
    /// The Vault that this console asks, if it knows one.
    vault: Option<Vault>,
}

/// A Vault as this console sees it.
struct Vault {
    address: String,
    seen: Seen,
}

enum Seen {
    Open,
    Sealed,
    /// It gives this console no answer, for this cause.
    Silent(String),
}

impl Adapters {
    /// As they are now.
    pub(super) async fn ask(with: &Reads) -> Result<Self, Problem> {
        let (all, ready, vault) = tokio::join!(with.api.adapters(), with.api.ready(), vault(with));
        let workers = ready.map(|ready| ready.workers).unwrap_or_default();
        let issuers = workers.iter().filter(|it| it.duty == Duty::Issuer);
        let last = issuers.clone().max_by_key(|it| it.seen_at);
        let no_issuer = last
            .filter(|_| !issuers.clone().any(|it| it.is_there))
            .map(|last| {
                let since = short(last.seen_at, with.now());
                format!(
                    "no issuer is at work since {since} (`{}` was the last)",
                    last.name
                )
            })
            .or_else(|| all_clocks_off(&workers));
        Ok(Self {
            all: all?,
            no_issuer,
            vault,
        })
    }

    /// Pause that holds up revocations: an adapter that only can't sign is not in their way.
    pub(super) fn for_revoking(mut self) -> Self {
        let works = |it: &&mut Adapter| it.does_more_than_sign();
        for adapter in self.all.iter_mut().filter(works) {
            adapter.status = AdapterStatus::Active;
        }
        self
    }

    /// The adapter that this certificate's CA is asked through: its own, or the oldest one.
    pub(super) fn of(&self, certificate: &Certificate) -> Option<&Adapter> {
        let adapters = self.all.iter();
        match &certificate.adapter_id {
            Some(id) => adapters.clone().find(|adapter| adapter.id == *id),
            None => adapters.min_by(|a, b| a.id.cmp(&b.id)),
        }
    }

    /// Why the certificate's CA can't be asked now, if it can't: `vault is paused since 07:51Z: Vault is sealed`.
    pub(super) fn stopped(&self, certificate: &Certificate, with: &Reads) -> Option<String> {
        let adapter = self.of(certificate)?;
        // Open again: the issuer, which looks every few seconds, just hasn't seen it yet.
        let was_sealed =
            adapter.is_paused_as(PauseKind::Sealed) && matches!(self.seen(adapter), Some(Seen::Open));
        if adapter.status != AdapterStatus::Paused || was_sealed {
            return self.no_issuer.clone();
        }
        let since = adapter
            .paused_at
            .map(|at| format!(" since {}", short(at, with.now())));
        let since = since.unwrap_or_default();
        let why = adapter.paused_reason.as_deref().unwrap_or("no reason is known");
        let is = match adapter.paused_kind {
            Some(PauseKind::Unsigned) => "can't sign",
            Some(PauseKind::NoAnswer) => "doesn't answer",
            _ => "is paused",
        };
        Some(format!("{} {is}{since}: {why}", adapter.name))
    }

    /// Cause of a stop at its CA, or that the CA doesn't answer this console: the issuer's way may be another one.
    fn cause(&self, certificate: &Certificate, with: &Reads) -> Option<String> {
        let stopped = self.stopped(certificate, with);
        stopped.or_else(|| match self.seen(self.of(certificate)?)? {
            Seen::Silent(why) => Some(format!(
                "Vault doesn't answer this console: {why}. Unless the issuer gets through, this waits for it"
            )),
            // The issuer tells it within seconds.
            Seen::Sealed => Some("Vault is sealed".to_owned()),
            Seen::Open => None,
        })
    }

    /// The Vault of this adapter as this console sees it, if it is the one that it asks.
    fn seen(&self, adapter: &Adapter) -> Option<&Seen> {
        let vault = self.vault.as_ref()?;
        let is_its = adapter.vault()?.trim_end_matches('/') == vault.address.trim_end_matches('/');
        is_its.then_some(&vault.seen)
    }

    /// A line for each CA that can't be asked now and that some of these certificates need.
    pub(super) fn lines<'a>(
        &self,
        certificates: impl Iterator<Item = &'a Certificate>,
        so: &str,
        with: &Reads,
    ) -> Vec<String> {
        let mut by_cause: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for certificate in certificates {
            if let Some(cause) = self.cause(certificate, with) {
                by_cause.entry(cause).or_default().push(certificate.name());
            }
        }
        let line = |(cause, waiting): (String, Vec<&str>)| format!("{cause}. {} {so}", names(&waiting));
        by_cause.into_iter().map(line).collect()
    }
}

/// The Vault that this console asks, as it is now.
async fn vault(with: &Reads) -> Option<Vault> {
    let vault = with.vault().ok()?;
    let seen = match tokio::time::timeout(VAULT_PATIENCE, vault.seal_status()).await {
        Ok(Ok(status)) if status.sealed => Seen::Sealed,
        Ok(Ok(_)) => Seen::Open,
        Ok(Err(error)) => Seen::Silent(error.to_string()),
        Err(_) => Seen::Silent(format!("nothing within {} s", VAULT_PATIENCE.as_secs())),
    };
    Some(Vault {
        address: vault.address().to_owned(),
        seen,
    })
}
