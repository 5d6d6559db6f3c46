//! A fresh database with an adapter and an agent, and certificates out of thin air.

use chrono::{DateTime, Duration, Utc};
use cmp_console::clock::Clock;
use cmp_console::domain::adapter::Adapter;
use cmp_console::domain::agent::Agent;
use cmp_console::domain::audit::{AuditEntry, AuditOutcome};
use cmp_console::domain::id::EntityKind;
use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::requests::NewRequest;
use cmp_console::store::{Store, adapters, agents};
use cmp_console::wire::agents::EnrolBody;

use crate::server::{self, Database};

#[path = "noted.rs"]
mod noted;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) adapter: Adapter,
    pub(crate) agent: Agent,
    pub(crate) url: String,
    /// The database, on PostgreSQL.
    pub(crate) postgres: Option<Database>,
    _dir: tempfile::TempDir,
}

pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}

impl Fixture {
    /// Of the kind that this suite is for; `None` where it isn't here.
    pub(crate) async fn new() -> Option<Self> {
        noted::note();
        let dir = tempfile::tempdir().unwrap();
        let postgres = match module_path!().contains("postgres") {
            true => Some(server::fresh()?),
            false => None,
        };
        let url = match &postgres {
            Some(database) => database.url.clone(),
            None => format!("sqlite://{}/cmp.db", dir.path().display()),
        };
        let clock = Clock::fixed(noon());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let adapter = adapters::upsert(&mut tx, "vault", "vault_pki", &serde_json::json!({}))
            .await
            .unwrap();
        let agent = agents::insert(&mut tx, &enrol("web-01"), 60).await.unwrap();
        tx.commit().await.unwrap();
        Some(Self {
            store,
            clock,
            adapter,
            agent,
            url,
            postgres,
            _dir: dir,
        })
    }

    pub(crate) fn request(&self, name: &str) -> NewRequest {
        NewRequest {
            common_name: name.to_owned(),
            sans: vec![name.to_owned()],
            key_algorithm: "ecdsa-p256".to_owned(),
            adapter_id: self.adapter.id.clone(),
            agent_id: self.agent.id.clone(),
            install_path: Some("/srv/tls/cert.pem".to_owned()),
            replaces: None,
            requested_by: "ops".to_owned(),
            needs_approval: false,
        }
    }
}

pub(crate) fn enrol(hostname: &str) -> EnrolBody {
    EnrolBody {
        hostname: hostname.to_owned(),
        address: "http://127.0.0.1:1".to_owned(),
        tls_address: None,
        install_dirs: vec!["/srv/tls".to_owned()],
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
    }
}

/// Certificate number `n`, with a key of its own.
pub(crate) fn certificate(n: u32) -> NewCertificate {
    NewCertificate {
        subject: format!("CN=host-{:03}.example.com", n % 7),
        sans: vec![format!("host-{n}.example.com")],
        issuer: "CN=CMP".to_owned(),
        serial: format!("00:{n:02x}"),
        fingerprint_sha256: format!("{n:064x}"),
        spki_sha256: format!("aa{n:062x}"),
        key_algorithm: "ecdsa-p256".to_owned(),
        not_before: noon() - Duration::days(1),
        not_after: noon() + Duration::days(i64::from(n % 5)),
        adapter_id: None,
        pem: "pem".to_owned(),
        chain_pem: "chain".to_owned(),
    }
}

pub(crate) fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        actor: "ops".to_owned(),
        action: action.to_owned(),
        entity_type: EntityKind::Certificate,
        entity_id: "crt_1".to_owned(),
        outcome: AuditOutcome::Done,
        reason: None,
        ticket: None,
        run_id: None,
        source: "test".to_owned(),
        detail: None,
    }
}
