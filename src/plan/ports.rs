//! What planning and carrying out may touch: [`Reads`] has nothing that changes anything; [`Writes`] is
//! made by the executor only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use super::known::KnownAgents;
use crate::clients::agent::{WakeFailure, wake};
use crate::clients::api::{ApiReader, ApiWriter};
use crate::clients::crl::{self, Crl};
use crate::clients::tls_look::{self, Effort, Look};
use crate::clients::tls_probe::{self, ProbeFailure, Served};
use crate::clients::vault::{VaultReader, VaultWriter};
use crate::clock::Clock;
use crate::domain::audit::AuditRow;
use crate::domain::id::EntityKind;
use crate::domain::secret::Secret;
use crate::problem::{Problem, ProblemKind};
use crate::store::hosts::Hosts;
use crate::wire::agents::WakeReply;
use crate::wire::page::PageQuery;

/// How long waking an agent may take, its own report included.
const WAKE_LIMIT: Duration = Duration::from_secs(15);
/// How long a handshake may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// What can be asked of the backends of one context.
#[derive(Clone)]
pub struct Reads {
    /// The API. What is planned is read from it, never from a replica.
    pub api: ApiReader,
    /// The database's hosts, for what is only shown; none where the context gives no database.
    pub hosts: Option<Hosts>,
    /// Where agents were last heard of.
    pub known: KnownAgents,
    /// Vault; none where no CA of the context is one.
    pub vault: Option<VaultReader>,
    /// The nodes of Vault's cluster, each with a seal of its own; none where `vault` is its only node.
    pub vault_nodes: Vec<VaultReader>,
    /// This computer's clock, which may be off: [`Reads::now`] is the time that judgements are made by.
    pub clock: Clock,
    /// The mount that certificates come from.
    pub pki_mount: String,
    /// The role that a test certificate is signed with.
    pub pki_test_role: String,
}

impl Reads {
    /// The time by the platform's clock, as screens show it: what a plan says must be what they say.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let here = self.local_now();
        here.checked_add_signed(self.api.ahead()).unwrap_or(here)
    }

    /// The time by this computer's clock, for what this console alone begins and ends, such as how long a context is
    /// unlocked.
    #[must_use]
    pub fn local_now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Fetches the CA's revocation list as it is published now.
    ///
    /// # Errors
    /// That it can't be had.
    pub async fn crl(&self) -> Result<Crl, Problem> {
        let vault = self.vault()?;
        let pem = vault.crl(&self.pki_mount).await?;
        crl::handed_out(pem.as_bytes()).map_err(|error| {
            Problem::new(
                ProblemKind::BackendFailed,
                format!("what `{}` publishes as CRL is none: {error}", vault.address()),
            )
        })
    }

    /// Vault.
    ///
    /// # Errors
    /// This context has no Vault.
    pub fn vault(&self) -> Result<&VaultReader, Problem> {
        self.vault.as_ref().ok_or_else(|| {
            Problem::not_found("this context has no Vault").hint("set `vault` in its configuration")
        })
    }

    /// Each node that has a seal: those of the cluster, or the one that Vault is.
    pub fn seals(&self) -> impl Iterator<Item = &VaultReader> {
        let alone = self.vault.as_ref().filter(|_| self.vault_nodes.is_empty());
        self.vault_nodes.iter().chain(alone)
    }

    /// The node at `address`.
    ///
    /// # Errors
    /// That the context knows no such node.
    pub fn vault_node(&self, address: &str) -> Result<&VaultReader, Problem> {
        self.seals()
            .find(|node| node.address() == address)
            .ok_or_else(|| no_node(address))
    }

    /// What is served at `address` now to who asks for `name`, or for the address itself.
    ///
    /// # Errors
    /// Which step of the handshake failed.
    pub async fn served(&self, address: &str, name: Option<&str>) -> Result<Served, ProbeFailure> {
        tls_probe::probe(address, name, PROBE_LIMIT).await
    }

    /// What is served at `address` now on many fresh connections, to every address behind the name.
    ///
    /// # Errors
    /// That the address is none, or its name doesn't resolve.
    pub async fn served_everywhere(
        &self,
        address: &str,
        name: Option<&str>,
        effort: Effort,
    ) -> Result<Look, ProbeFailure> {
        tls_look::look(address, name, PROBE_LIMIT, effort).await
    }

    /// How a thing is now; `None` where there is nothing to compare.
    ///
    /// # Errors
    /// That it is gone, or that the API doesn't answer.
    pub async fn as_now(&self, kind: EntityKind, id: &str) -> Result<Option<AsNow>, Problem> {
        let as_now = |version, status: &str| {
            Some(AsNow {
                version,
                status: status.to_owned(),
            })
        };
        let api = self.api.as_now();
        Ok(match kind {
            EntityKind::Certificate => {
                let now = api.certificate(id).await?.certificate;
                as_now(now.version, now.status.word())
            }
            EntityKind::Agent => {
                let now = api.agent(id).await?.agent;
                as_now(now.version, now.status.word())
            }
            EntityKind::Request => {
                let now = api.request(id).await?;
                as_now(now.version, now.status.word())
            }
            EntityKind::Key => {
                let now = api.key(id).await?.key;
                as_now(now.version, now.status.word())
            }
            _ => None,
        })
    }

    /// What was done to a thing last, the newest first, in words: who, what, when, under which ticket.
    /// Empty where nobody can say.
    pub async fn done_last(&self, id: &str, n: u32) -> Vec<String> {
        let query = PageQuery {
            entity: Some(id.to_owned()),
            limit: Some(n),
            ..PageQuery::default()
        };
        let rows = self.api.audit(&query).await.map(|page| page.items);
        let words = |row: AuditRow| {
            let at = row.timestamp.format("%Y-%m-%d %H:%M:%SZ");
            let ticket = row.ticket.map(|ticket| format!(", {ticket}")).unwrap_or_default();
            format!(
                "{} by {} at {at} ({}{ticket})",
                row.action,
                row.actor,
                row.outcome.word()
            )
        };
        rows.unwrap_or_default().into_iter().map(words).collect()
    }
}

/// What a plan's target is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsNow {
    /// Its version.
    pub version: i64,
    /// Its stored status.
    pub status: String,
}

/// Where a step that needs secrets gets them from: a person who types them, outside of every event,
/// plan and record.
pub struct SecretEntry(Mutex<tokio::sync::mpsc::Receiver<Entered>>);

/// What a person did at a secret's prompt.
#[derive(Debug)]
pub enum Entered {
    /// Entered this.
    Secret(Secret),
    /// Wants to begin the unseal attempt again.
    Reset,
    /// Gave up.
    Stop,
}

impl SecretEntry {
    /// With the receiving end; the sending end is the prompt's.
    #[must_use]
    pub fn new(receiver: tokio::sync::mpsc::Receiver<Entered>) -> Self {
        Self(Mutex::new(receiver))
    }

    /// The next thing that the person does; a closed prompt is a stop.
    pub async fn next(&self) -> Entered {
        self.0.lock().await.recv().await.unwrap_or(Entered::Stop)
    }
}

/// What can be changed, and what can be said about it meanwhile.
pub struct Writes<'a> {
    /// What can be asked.
    pub reads: &'a Reads,
    /// The API.
    pub api: &'a ApiWriter,
    vault: Option<&'a VaultWriter>,
    vault_nodes: &'a [VaultWriter],
    /// Secrets that a person types.
    pub secrets: &'a SecretEntry,
    allowed: &'a (dyn Fn() -> Result<(), Problem> + Send + Sync),
    note: &'a (dyn Fn(String) + Send + Sync),
    command: &'a (dyn Fn(String) + Send + Sync),
    stopped: AtomicBool,
    held_back: AtomicBool,
}

impl<'a> Writes<'a> {
    pub(super) fn new(
        reads: &'a Reads,
        changes: &'a Changes,
        secrets: &'a SecretEntry,
        allowed: &'a (dyn Fn() -> Result<(), Problem> + Send + Sync),
        note: &'a (dyn Fn(String) + Send + Sync),
        command: &'a (dyn Fn(String) + Send + Sync),
    ) -> Self {
        Self {
            reads,
            api: &changes.api,
            vault: changes.vault.as_ref(),
            vault_nodes: &changes.vault_nodes,
            secrets,
            allowed,
            note,
            command,
            stopped: AtomicBool::new(false),
            held_back: AtomicBool::new(false),
        }
    }

    /// A person stopped it: nobody refused, and nothing failed.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether changes are still allowed, for a step that goes on over a time: it asks before each one.
    ///
    /// # Errors
    /// Why not.
    pub fn allowed(&self) -> Result<(), Problem> {
        let allowed = (self.allowed)();
        self.held_back.store(allowed.is_err(), Ordering::Relaxed);
        allowed
    }

    /// True if the step ended since it may send nothing more: nobody else said no.
    pub(super) fn is_held_back(&self) -> bool {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Says how it goes, on the step's line.
    pub fn note(&self, words: impl Into<String>) {
        (self.note)(words.into());
    }

    /// The node of Vault's cluster at `address`.
    ///
    /// # Errors
    /// That the context knows no such node.
    pub fn vault_node(&self, address: &str) -> Result<&'a VaultWriter, Problem> {
        let alone = self.vault.filter(|_| self.vault_nodes.is_empty());
        let mut nodes = self.vault_nodes.iter().chain(alone);
        nodes
            .find(|node| node.address() == address)
            .ok_or_else(|| no_node(address))
    }

    /// Puts a command into the command log that was not in the plan, without secrets.
    pub fn command(&self, line: impl Into<String>) {
        (self.command)(line.into());
    }

    /// Wakes the agent at `address`, so that it checks in now.
    ///
    /// # Errors
    /// Which step of reaching it failed.
    pub async fn wake(&self, address: &str) -> Result<WakeReply, WakeFailure> {
        wake(address, WAKE_LIMIT).await
    }
}

/// The means of changing things, kept where only the executor can use them.
pub struct Changes {
    pub(super) api: ApiWriter,
    vault: Option<VaultWriter>,
    vault_nodes: Vec<VaultWriter>,
}

fn no_node(address: &str) -> Problem {
    Problem::not_found(format!("this context has no node of Vault at `{address}`"))
        .hint("name it in `vault_nodes`")
}

impl Changes {
    /// Keeps them.
    #[must_use]
    pub fn new(api: ApiWriter, vault: Option<VaultWriter>) -> Self {
        Self {
            api,
            vault,
            vault_nodes: Vec::new(),
        }
    }

    /// With the nodes of Vault's cluster.
    #[must_use]
    pub fn with_vault_nodes(self, vault_nodes: Vec<VaultWriter>) -> Self {
        Self { vault_nodes, ..self }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::agent::{Agent, AgentHealth, AgentStatus};

    #[test]
    fn what_is_judged_is_judged_by_the_platforms_clock() {
        let platforms = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for ahead in [TimeDelta::minutes(10), TimeDelta::days(100), TimeDelta::days(-40)] {
            let api = ApiReader::new("http://127.0.0.1:1", None).unwrap();
            api.note_ahead(-ahead);
            let reads = Reads {
                api,
                hosts: None,
                known: KnownAgents::default(),
                vault: None,
                vault_nodes: Vec::new(),
                clock: Clock::fixed(platforms + ahead),
                pki_mount: String::new(),
                pki_test_role: String::new(),
            };
            assert_eq!(reads.now(), platforms);
            assert_eq!(reads.local_now(), platforms + ahead);
            // As its screen has it: it checked in half a minute ago.
            let agent = Agent {
                id: "agt_1".to_owned(),
                version: 1,
                has_no_token: false,
                hostname: "edge-01".to_owned(),
                address: String::new(),
                tls_address: None,
                install_dirs: Vec::new(),
                agent_version: String::new(),
                owner: None,
                status: AgentStatus::Active,
                identity: None,
                next_identity: None,
                last_checkin: Some(platforms - TimeDelta::seconds(30)),
                reported_from: None,
                checkin_interval_s: 60,
                n_installations: 0,
                enrolled_at: platforms,
                updated_at: platforms,
            };
            assert_eq!(agent.health(reads.now()), AgentHealth::Healthy);
        }
    }
}
