//! The issuer itself over the contract, with a database and a token whose policy lacks a line: what waits, what
//! goes on, what is said of it, and that nobody has to ask again.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use cmp_console::clients::vault::Login;
use cmp_console::clock::Clock;
use cmp_console::domain::certificate::CertificateStatus;
use cmp_console::domain::csr::Csr;
use cmp_console::domain::finding::{Finding, FindingKind};
use cmp_console::domain::reason::Reason;
use cmp_console::domain::request::{Request, RequestStatus};
use cmp_console::domain::secret::Secret;
use cmp_console::services::issuer::Issuer;
use cmp_console::store::requests::NewRequest;
use cmp_console::store::{
    Store, adapters, agents, audit, certificates, findings, jobs, read, requests, revocation,
};
use cmp_console::wire::agents::EnrolBody;
use serde_json::json;
use tokio::sync::watch;

use super::server::{MOUNT, ROLE, Server, csr};
use super::tokens::{policy, token};

/// Upper bound for everything that a test waits for.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

contracts!(a_denied_revocation_waits_names_the_line_and_goes_on_by_itself);

/// An issuer at work, and what it works on.
pub(super) struct Bench {
    _dir: tempfile::TempDir,
    _stop: watch::Sender<bool>,
    pub(super) clock: Clock,
    pub(super) store: Store,
    agent: String,
    adapter: String,
}

impl Bench {
    async fn start(server: &Server) -> Self {
        Self::start_at(server, &server.base, MOUNT).await
    }

    /// With the adapter's address and mount.
    pub(super) async fn start_at(server: &Server, address: &str, mount: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(Clock::system().now());
        let url = format!("sqlite://{}", dir.path().join("cmp.db").display());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        let config = json!({"address": address, "mount": mount, "role": ROLE, "ttl": "1h"});
        let host = EnrolBody {
            hostname: "web-01".to_owned(),
            address: "http://web-01:8084".to_owned(),
            tls_address: None,
            install_dirs: Vec::new(),
            agent_version: "1".to_owned(),
            owner: None,
            identity_csr_pem: None,
        };
        let mut tx = store.begin().await.unwrap();
        let adapter = adapters::upsert(&mut tx, "vault", "vault_pki", &config)
            .await
            .unwrap();
        let agent = agents::insert(&mut tx, &host, 30).await.unwrap();
        tx.commit().await.unwrap();
        let login = Login::Token(Secret::new(server.token.clone()));
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Issuer::new(store.clone(), "issuer", login).run(stopped));
        Self {
            _dir: dir,
            _stop: stop,
            clock,
            store,
            agent: agent.id,
            adapter: adapter.id,
        }
    }

    /// Asks for one more certificate; the request's id.
    pub(super) async fn asked(&self, name: &str) -> String {
        let csr = csr(name, &[name]);
        let new = NewRequest {
            common_name: name.to_owned(),
            sans: vec![name.to_owned()],
            key_algorithm: "ecdsa-p256".to_owned(),
            adapter_id: self.adapter.clone(),
            agent_id: self.agent.clone(),
            install_path: None,
            replaces: None,
            requested_by: "ops".to_owned(),
            needs_approval: false,
        };
        let spki = Csr::read(&csr).unwrap().key.spki_sha256();
        let mut tx = self.store.begin().await.unwrap();
        let request = requests::insert(&mut tx, &new).await.unwrap();
        requests::set_csr(&mut tx, &request.id, &csr, &spki, "ecdsa-p256")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        request.id
    }

    pub(super) async fn request(&self, id: &str) -> Request {
        let mut conn = self.store.read().await.unwrap();
        let now = requests::existing(&mut conn, id).await.unwrap();
        assert_ne!(now.status, RequestStatus::Failed, "{now:?}");
        now
    }

    /// Waits until it is issued; the certificate's id.
    pub(super) async fn come(&self, request: &str) -> String {
        until(async || self.request(request).await.certificate_id).await
    }

    /// Has one more certificate issued, which the issuer does at once; its id.
    pub(super) async fn issued(&self, name: &str) -> String {
        let request = self.asked(name).await;
        self.come(&request).await
    }

    /// Why the adapter is paused, if it is.
    pub(super) async fn paused(&self) -> Option<String> {
        let mut conn = self.store.read().await.unwrap();
        let row = adapters::read(&mut conn, &self.adapter).await.unwrap().unwrap();
        row.paused_reason
    }

    /// The finding about the adapter.
    pub(super) async fn trouble(&self) -> Option<Finding> {
        let mut conn = self.store.read().await.unwrap();
        let found = read::findings(&mut conn).await.unwrap().findings;
        let why = self.paused().await?;
        found.into_iter().find(|it| it.what.contains(&why))
    }

    /// A finding of this kind.
    pub(super) async fn found(&self, kind: FindingKind) -> Option<Finding> {
        let mut conn = self.store.read().await.unwrap();
        let found = read::findings(&mut conn).await.unwrap().findings;
        found.into_iter().find(|it| it.kind == kind)
    }

    /// When the CRL ends that the CA handed out last.
    pub(super) async fn crl_ends_at(&self) -> Option<DateTime<Utc>> {
        let mut conn = self.store.read().await.unwrap();
        let row = adapters::read(&mut conn, &self.adapter).await.unwrap().unwrap();
        row.crl_ends_at
    }

    /// Asks for a revocation; its job.
    pub(super) async fn ask_back(&self, id: &str) -> String {
        let mut tx = self.store.begin().await.unwrap();
        let (_, job) = revocation::ask(&mut tx, id, Reason::KeyCompromise).await.unwrap();
        tx.commit().await.unwrap();
        job
    }

    pub(super) async fn job(&self, id: &str) -> jobs::Job {
        let mut conn = self.store.read().await.unwrap();
        jobs::read(&mut conn, id).await.unwrap().unwrap()
    }

    async fn finding(&self, certificate: &str) -> Option<Finding> {
        let mut conn = self.store.read().await.unwrap();
        let found = read::findings(&mut conn).await.unwrap().findings;
        found
            .into_iter()
            .find(|it| it.kind == FindingKind::RevocationPending && it.entity_id == certificate)
    }

    /// What the audit holds of revocations that failed.
    async fn failed(&self) -> Vec<String> {
        let mut conn = self.store.read().await.unwrap();
        let rows = audit::rows_after(&mut conn, 0, 1000).await.unwrap();
        let failed = rows
            .into_iter()
            .filter(|row| row.action == "revoke" && row.outcome.word() == "failed");
        failed.filter_map(|row| row.reason).collect()
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.clock
            .set(self.clock.now() + chrono::Duration::seconds(seconds));
    }
}

/// Looks until there is something.
pub(super) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "waited in vain");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_denied_revocation_waits_names_the_line_and_goes_on_by_itself(server: Server) {
    let server = server.with_ca().await;
    let sign = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    let revoke = "path \"cmp-pki/revoke\" { capabilities = [\"update\"] }";
    policy(&server, "issuer", sign).await;
    let its = token(&server, json!({"policies": ["issuer"], "ttl": "1h"})).await;
    let bench = Bench::start(&its).await;
    let first = bench.issued("a.example.com").await;
    let second = bench.issued("b.example.com").await;
    let jobs = [bench.ask_back(&first).await, bench.ask_back(&second).await];
    for job in &jobs {
        until(async || bench.job(job).await.error_message).await;
        let job = bench.job(job).await;
        assert_eq!((job.status.as_str(), job.attempt), ("queued", 0), "{job:?}");
        let words = format!("the policy of the issuer's credential lacks `{revoke}`");
        assert!(job.error_message.as_ref().unwrap().contains(&words), "{job:?}");
        assert_eq!(
            job.clone().view().error,
            job.error_message,
            "the run that asked is told"
        );
    }
    let mut conn = bench.store.read().await.unwrap();
    let (n, words) = findings::waiting_revocations(&mut conn).await.unwrap().unwrap();
    assert!(n == 2 && words.contains(revoke), "{n} {words}");
    drop(conn);

    // Others are signed meanwhile, and each look asks once for all.
    bench.pass(61);
    bench.issued("c.example.com").await;
    // Once the issuer was seen at this time too: while none is there, everything waits for one.
    let finding = until(async || bench.finding(&first).await).await;
    assert!(finding.what.contains(revoke), "{finding:?}");
    assert_eq!(finding.answer, None, "asked again it would only be refused");
    let failed = bench.failed().await;
    assert!((1..=2).contains(&failed.len()), "said once: {failed:?}");
    assert!(failed[0].contains(revoke), "{failed:?}");

    policy(&server, "issuer", &format!("{sign}\n{revoke}")).await;
    bench.pass(6);
    bench.issued("d.example.com").await;
    for id in [&first, &second] {
        until(async || {
            let mut conn = bench.store.read().await.unwrap();
            let now = certificates::existing(&mut conn, id).await.unwrap();
            let is_proven = now.revocation.as_ref().is_some_and(|it| it.in_crl_at.is_some());
            (now.status == CertificateStatus::Revoked && is_proven).then_some(())
        })
        .await;
        assert!(bench.finding(id).await.is_none());
    }
    let mut conn = bench.store.read().await.unwrap();
    assert_eq!(findings::waiting_revocations(&mut conn).await.unwrap(), None);
    audit::verify(&bench.store).await.unwrap();
}
