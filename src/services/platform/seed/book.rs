//! Writes the fleet's history into the store, through the same functions that the services use, each
//! thing at the moment that it happened.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use super::history::{Asked, Certified};
use super::keys::MadeKey;
use crate::clock::Clock;
use crate::domain::adapter::Pause;
use crate::domain::agent::Agent;
use crate::domain::audit::{AuditEntry, AuditOutcome};
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::reason::Reason;
use crate::domain::request::Request;
use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::domain::told::said_by;
use crate::domain::x509;
use crate::services::issuer::adapters::{SignedCertificate, vault_pki};
use crate::store::certificates::NewCertificate;
use crate::store::claims;
use crate::store::requests::NewRequest;
use crate::store::tokens::{NewToken, Purpose};
use crate::store::{
    Store, StoreError, Tx, adapters, agents, audit, certificates, checkin, holders, installations, issuance,
    job_end, jobs, requests, revocation, tokens,
};
use crate::wire::agents::{EnrolBody, JobResult, Report, ReportedInstallation};

/// All of the demo is on one host.
const HERE: &str = "127.0.0.1";
/// Seconds between the demo agents' check-ins.
pub(super) const CHECKIN_INTERVAL_S: i64 = 60;
/// Who asked for what, in the demo's past.
const OPERATOR: &str = "dana";
const OWNER: &str = "issuer";
const LEASE: Duration = Duration::seconds(30);

/// An agent as the seeding knows it.
pub(super) struct Enrolled {
    pub(super) agent: Agent,
    /// Its token for the API.
    pub(super) token: Secret,
}

pub(super) struct Book {
    store: Store,
    clock: Clock,
    adapter_id: String,
}

impl Book {
    /// Opens the book with the adapter and the people's tokens.
    pub(super) async fn open(
        store: Store,
        at: DateTime<Utc>,
        config: &vault_pki::Config,
        people: &[(&str, Role, &Secret)],
    ) -> Result<Self, StoreError> {
        let clock = store.clock().clone();
        clock.set(at);
        let mut tx = store.begin().await?;
        let config = json!({
            "address": config.address, "mount": config.mount, "role": config.role, "ttl": config.ttl,
        });
        let adapter = adapters::upsert(&mut tx, "vault", vault_pki::KIND, &config).await?;
        for (name, role, secret) in people {
            let token = NewToken {
                name: (*name).to_owned(),
                purpose: Purpose::Bearer,
                role: *role,
                agent_id: None,
                parent: None,
                expires_at: None,
            };
            tokens::create(&mut tx, &token, secret).await?;
        }
        tx.commit().await?;
        Ok(Self {
            store,
            clock,
            adapter_id: adapter.id,
        })
    }

    async fn at(&self, moment: DateTime<Utc>) -> Result<Tx, StoreError> {
        self.clock.set(moment);
        self.store.begin().await
    }

    /// All agents enrol, a few minutes apart.
    pub(super) async fn enrol(
        &self,
        from: DateTime<Utc>,
        hosts: &[EnrolBody],
    ) -> Result<Vec<Enrolled>, StoreError> {
        let mut enrolled = Vec::with_capacity(hosts.len());
        for (i, host) in (0..).zip(hosts) {
            let mut tx = self.at(from + Duration::minutes(7 * i)).await?;
            let agent = agents::insert(&mut tx, host, CHECKIN_INTERVAL_S).await?;
            agents::enrolled_from(&mut tx, &agent.id, HERE).await?;
            let token = tokens::mint()?;
            let new = NewToken {
                name: host.hostname.clone(),
                purpose: Purpose::Bearer,
                role: Role::Agent,
                agent_id: Some(agent.id.clone()),
                parent: None,
                expires_at: None,
            };
            tokens::create(&mut tx, &new, &token).await?;
            let mut entry = done(&host.hostname, "enrol", EntityKind::Agent, &agent.id);
            entry.source = HERE.to_owned();
            audit::append(&mut tx, entry).await?;
            tx.commit().await?;
            enrolled.push(Enrolled { agent, token });
        }
        Ok(enrolled)
    }

    /// A certificate was issued and installed.
    pub(super) async fn issued(
        &self,
        certified: &Certified,
        agent: &Agent,
        path: &str,
        key: &MadeKey,
        signed: &SignedCertificate,
        replaces: Option<&Certificate>,
    ) -> Result<Certificate, StoreError> {
        let read = x509::read(&signed.pem)
            .map_err(|error| crate::problem::Problem::internal(format!("the CA's certificate is {error}")))?;
        let new = NewCertificate::of(read, &signed.pem, &signed.chain_pem, Some(&self.adapter_id));
        let mut tx = self.at(certified.at).await?;
        let Some(old) = replaces else {
            let certificate = certificates::insert(&mut tx, &new).await?;
            installations::expect(&mut tx, &agent.id, path, &certificate).await?;
            let mut entry = done(OWNER, "issue", EntityKind::Certificate, &certificate.id);
            entry.detail = Some(format!("serial {}", certificate.serial));
            audit::append(&mut tx, entry).await?;
            tx.commit().await?;
            return Ok(certificate);
        };
        let names = certified.site().names();
        let request = self.ask(&mut tx, agent, path, key, names, old).await?;
        claims::begin_issue(&mut tx, &request.id, OWNER, LEASE).await?;
        let certificate = issuance::complete_issue(&mut tx, &request.id, &new).await?;
        let there = ReportedInstallation {
            path: path.to_owned(),
            on_disk_sha256: Some(certificate.fingerprint_sha256.clone()),
            served_sha256: Some(certificate.fingerprint_sha256.clone()),
            chain_missing: None,
            error: None,
        };
        let result = JobResult {
            done: true,
            failed_step: None,
            error: None,
            rolled_back: false,
            installation: Some(there),
        };
        for job in jobs::for_agent(&mut tx, &agent.id).await? {
            job_end::end(&mut tx, &agent.id, &job.id, &result).await?;
        }
        tx.commit().await?;
        Ok(certificate)
    }

    async fn ask(
        &self,
        tx: &mut Tx,
        agent: &Agent,
        path: &str,
        key: &MadeKey,
        names: Vec<String>,
        replaces: &Certificate,
    ) -> Result<Request, StoreError> {
        let new = NewRequest {
            common_name: names.first().cloned().unwrap_or_default(),
            sans: names,
            key_algorithm: key.algorithm.word().to_owned(),
            adapter_id: self.adapter_id.clone(),
            agent_id: agent.id.clone(),
            install_path: Some(path.to_owned()),
            replaces: Some(replaces.id.clone()),
            requested_by: OPERATOR.to_owned(),
            needs_approval: false,
        };
        let request = requests::insert(tx, &new).await?;
        // As the API's door for changes writes it, in the moment that the request is made: so the request's history
        // finds it, too.
        let mut entry = done(OPERATOR, "reissue", EntityKind::Certificate, &replaces.id);
        entry.outcome = AuditOutcome::Asked;
        entry.detail = Some(format!("requests {}", request.id));
        audit::append(tx, entry).await?;
        requests::set_csr(
            tx,
            &request.id,
            &key.csr_pem,
            &key.spki_sha256,
            key.algorithm.word(),
        )
        .await
    }

    /// A certificate was revoked, and the CRL shows it.
    pub(super) async fn revoked(
        &self,
        at: DateTime<Utc>,
        certificate: &Certificate,
    ) -> Result<(), StoreError> {
        let mut tx = self.at(at).await?;
        revocation::ask(&mut tx, &certificate.id, Reason::Superseded).await?;
        let mut entry = done(OPERATOR, "revoke", EntityKind::Certificate, &certificate.id);
        entry.outcome = AuditOutcome::Asked;
        entry.reason = Some("superseded".to_owned());
        audit::append(&mut tx, entry).await?;
        let job = jobs::claim_revoke(&mut tx, certificate.adapter_id.as_deref(), OWNER, LEASE).await?;
        if let Some(job) = job {
            revocation::accept_revocation(&mut tx, &job, at + Duration::seconds(1)).await?;
            revocation::record_in_crl(&mut tx, &certificate.id, at + Duration::seconds(2)).await?;
        }
        tx.commit().await
    }

    /// A request that the CA refused, in the CA's words, or one that waits for it.
    pub(super) async fn asked(
        &self,
        asked: &Asked,
        agent: &Agent,
        path: &str,
        key: &MadeKey,
        replaces: &Certificate,
        refusal: Option<&str>,
    ) -> Result<Request, StoreError> {
        let mut tx = self.at(asked.at).await?;
        let request = self
            .ask(&mut tx, agent, path, key, asked.names.clone(), replaces)
            .await?;
        if let Some(words) = refusal {
            claims::begin_issue(&mut tx, &request.id, OWNER, LEASE).await?;
            issuance::fail_issue(&mut tx, &request.id, &said_by("the CA", words)).await?;
        }
        tx.commit().await?;
        Ok(request)
    }

    /// Vault was found sealed.
    pub(super) async fn sealed(&self, at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.at(at).await?;
        issuance::pause_adapter(&mut tx, &self.adapter_id, &Pause::sealed()).await?;
        tx.commit().await
    }

    /// An agent's last check-in.
    pub(super) async fn checked_in(
        &self,
        at: DateTime<Utc>,
        agent: &Agent,
        report: &Report,
    ) -> Result<(), StoreError> {
        let mut tx = self.at(at).await?;
        checkin::check_in(&mut tx, &agent.id, report).await?;
        // They were made on that host.
        for spki in &report.keys {
            holders::add(&mut tx, &agent.id, spki).await?;
        }
        tx.commit().await
    }

    /// From now on, time passes by itself.
    pub(super) fn close(self) {
        self.clock.follow_system();
    }
}

fn done(actor: &str, action: &str, entity_type: EntityKind, entity_id: &str) -> AuditEntry {
    AuditEntry {
        actor: actor.to_owned(),
        action: action.to_owned(),
        entity_type,
        entity_id: entity_id.to_owned(),
        outcome: AuditOutcome::Done,
        reason: None,
        ticket: None,
        run_id: None,
        source: "demo".to_owned(),
        detail: None,
    }
}
