//! The issuer against a CA that can be told to misbehave: what is signed is signed once, whatever
//! answer got lost, and a CA that is away burns nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use futures::future::BoxFuture;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer as Ca, KeyPair,
};

use super::adapters::{
    Adapter, AdapterError, Capabilities, Order, Published, RevocationAnswer, SignedCertificate, TakesBack,
    Withdrawal,
};
use super::{Issuer, LEASE, SETTLES, Watches};
use crate::clients::vault::Login;
use crate::clock::Clock;
use crate::domain::adapter::AdapterStatus;
use crate::domain::audit::AuditOutcome;
use crate::domain::certificate::CertificateStatus;
use crate::domain::reason::Reason;
use crate::domain::renewal::Suggestion;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::domain::x509;
use crate::store::requests::NewRequest;
use crate::store::{Store, adapters as rows, agents, audit, certificates, requests, revocation};
use crate::wire::agents::EnrolBody;

/// What the CA does with the next signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Signs,
    /// Signs, but the answer is lost.
    SignsAndFallsSilent,
    Refuses,
    Busy,
    /// Asks to be left alone for a minute and a half.
    Limits,
    Sealed,
}

pub(super) struct FakeCa {
    mood: Mutex<Mood>,
    key: KeyPair,
    params: CertificateParams,
    signed: Mutex<Vec<(String, SignedCertificate)>>,
    revoked: Mutex<BTreeSet<String>>,
    pub(super) can: Mutex<Capabilities>,
    /// What it was given to take back.
    withdrawn: Mutex<Vec<Withdrawal>>,
    /// What it says of when to renew, and how often it was asked.
    suggests: Mutex<Result<Suggestion, AdapterError>>,
    n_asked: Mutex<usize>,
    /// What happens while it lists what it signed.
    meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl FakeCa {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            mood: Mutex::new(Mood::Signs),
            key: KeyPair::generate().unwrap(),
            params,
            signed: Mutex::default(),
            revoked: Mutex::default(),
            can: Mutex::new(Capabilities {
                revoke: TakesBack::BySerial,
                reasons: false,
                hold: false,
                crl: Published::AtOnce,
                list: true,
                renewal_info: false,
            }),
            withdrawn: Mutex::default(),
            suggests: Mutex::new(Err(AdapterError::Refused("no opinion".to_owned()))),
            n_asked: Mutex::default(),
            meanwhile: Mutex::default(),
        }
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn n_signed(&self) -> usize {
        self.signed.lock().unwrap().len()
    }

    pub(super) fn suggest(&self, answer: Result<Suggestion, AdapterError>) {
        *self.suggests.lock().unwrap() = answer;
    }

    pub(super) fn n_asked(&self) -> usize {
        *self.n_asked.lock().unwrap()
    }

    fn open(&self) -> Result<(), AdapterError> {
        match self.mood() {
            Mood::Sealed => Err(AdapterError::Away("Vault is sealed".to_owned())),
            _ => Ok(()),
        }
    }

    fn make(&self, csr_pem: &str) -> SignedCertificate {
        let csr = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let issuer = Ca::from_params(&self.params, &self.key);
        let certificate = csr.signed_by(&issuer).unwrap();
        let signed = SignedCertificate {
            pem: certificate.pem(),
            chain_pem: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        };
        let serial = x509::read(&signed.pem).unwrap().serial;
        self.signed.lock().unwrap().push((serial, signed.clone()));
        signed
    }
}

impl Adapter for FakeCa {
    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities, AdapterError>> {
        Box::pin(async {
            self.open()?;
            Ok(*self.can.lock().unwrap())
        })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async { self.open() })
    }

    fn sign<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<SignedCertificate, AdapterError>> {
        Box::pin(async {
            match self.mood() {
                Mood::Signs => Ok(self.make(&order.csr_pem)),
                Mood::SignsAndFallsSilent => {
                    self.make(&order.csr_pem);
                    Err(AdapterError::Unknown("no answer in time".to_owned()))
                }
                Mood::Refuses => Err(AdapterError::Refused(
                    "common name not allowed by this role".to_owned(),
                )),
                Mood::Busy => Err(AdapterError::Retry("429".to_owned())),
                Mood::Limits => Err(AdapterError::Busy(
                    "too many certificates (rateLimited)".to_owned(),
                    std::time::Duration::from_secs(90),
                )),
                Mood::Sealed => Err(AdapterError::Away("Vault is sealed".to_owned())),
            }
        })
    }

    fn revoke<'a>(&'a self, what: &'a Withdrawal) -> BoxFuture<'a, Result<RevocationAnswer, AdapterError>> {
        Box::pin(async move {
            self.open()?;
            self.withdrawn.lock().unwrap().push(what.clone());
            self.revoked.lock().unwrap().insert(what.serial.clone());
            Ok(RevocationAnswer::Accepted)
        })
    }

    fn serials(&self) -> BoxFuture<'_, Result<BTreeSet<String>, AdapterError>> {
        Box::pin(async {
            self.open()?;
            let meanwhile = self.meanwhile.lock().unwrap().take();
            if let Some(meanwhile) = meanwhile {
                meanwhile.await;
            }
            Ok(self
                .signed
                .lock()
                .unwrap()
                .iter()
                .map(|it| it.0.clone())
                .collect())
        })
    }

    fn find_by_spki<'a>(
        &'a self,
        spki_sha256: &'a str,
        serials: &'a [String],
    ) -> BoxFuture<'a, Result<Option<SignedCertificate>, AdapterError>> {
        Box::pin(async move {
            self.open()?;
            let signed = self.signed.lock().unwrap();
            Ok(signed
                .iter()
                .filter(|it| serials.contains(&it.0))
                .find(|it| x509::read(&it.1.pem).unwrap().spki_sha256 == spki_sha256)
                .map(|it| it.1.clone()))
        })
    }

    fn crl(&self) -> BoxFuture<'_, Result<Vec<u8>, AdapterError>> {
        Box::pin(async {
            self.open()?;
            let revoked = self.revoked.lock().unwrap();
            let list = rcgen::CertificateRevocationListParams {
                this_update: rcgen::date_time_ymd(2026, 1, 1),
                next_update: rcgen::date_time_ymd(2036, 1, 1),
                crl_number: rcgen::SerialNumber::from(1_u64),
                issuing_distribution_point: None,
                revoked_certs: revoked
                    .iter()
                    .map(|serial| rcgen::RevokedCertParams {
                        serial_number: hex::decode(serial.replace(':', "")).unwrap().into(),
                        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
                        reason_code: None,
                        invalidity_date: None,
                    })
                    .collect(),
                key_identifier_method: rcgen::KeyIdMethod::Sha256,
            };
            let issuer = Ca::from_params(&self.params, &self.key);
            Ok(list.signed_by(&issuer).unwrap().pem().unwrap().into_bytes())
        })
    }

    fn renewal_info<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Suggestion, AdapterError>> {
        Box::pin(async {
            *self.n_asked.lock().unwrap() += 1;
            self.suggests.lock().unwrap().clone()
        })
    }

    fn renew_credential(&self) -> BoxFuture<'_, Result<Option<std::time::Duration>, AdapterError>> {
        Box::pin(async { Ok(None) })
    }
}

pub(super) struct Bench {
    _dir: tempfile::TempDir,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) ca: Arc<FakeCa>,
    pub(super) issuer: Issuer,
    adapter_id: String,
    agent_id: String,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(start());
        let url = format!("sqlite://{}", dir.path().join("cmp.db").display());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        let ca = Arc::new(FakeCa::new());
        let mut issuer = Issuer::new(store.clone(), "issuer", Login::Nobody);
        issuer.roster.instead = Some(ca.clone());
        let mut tx = store.begin().await.unwrap();
        let adapter = rows::upsert(&mut tx, "fake", "fake", &serde_json::json!({}))
            .await
            .unwrap();
        let host = EnrolBody {
            hostname: "web-01".to_owned(),
            address: "http://web-01:8084".to_owned(),
            tls_address: None,
            install_dirs: vec!["/etc/ssl".to_owned()],
            agent_version: "1".to_owned(),
            owner: None,
        };
        let agent = agents::insert(&mut tx, &host, 30).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            _dir: dir,
            clock,
            store,
            ca,
            issuer,
            adapter_id: adapter.id,
            agent_id: agent.id,
        }
    }

    /// A request with its CSR, waiting for the CA.
    pub(super) async fn request(&self) -> Request {
        let names = vec!["a.example.com".to_owned()];
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.clone()).unwrap();
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        let new = NewRequest {
            common_name: names[0].clone(),
            sans: names,
            key_algorithm: "ecdsa-p256".to_owned(),
            adapter_id: self.adapter_id.clone(),
            agent_id: self.agent_id.clone(),
            install_path: Some("/etc/ssl/a.pem".to_owned()),
            replaces: None,
            requested_by: "ops".to_owned(),
            needs_approval: false,
        };
        let mut tx = self.store.begin().await.unwrap();
        let request = requests::insert(&mut tx, &new).await.unwrap();
        let spki = x509::spki_of_csr(&csr).unwrap();
        let request = requests::set_csr(&mut tx, &request.id, &csr, &spki, "ecdsa-p256")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        request
    }

    pub(super) async fn round(&self) {
        let (_sender, stop) = tokio::sync::watch::channel(false);
        self.issuer.round(&mut Watches::default(), &stop).await.unwrap();
    }

    pub(super) async fn now(&self, request: &Request) -> Request {
        let mut conn = self.store.read().await.unwrap();
        requests::existing(&mut conn, &request.id).await.unwrap()
    }

    pub(super) async fn adapter_status(&self) -> AdapterStatus {
        let mut conn = self.store.read().await.unwrap();
        let row = rows::read(&mut conn, &self.adapter_id).await.unwrap();
        row.unwrap().status
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }
}

pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

#[tokio::test]
async fn told_to_stop_it_claims_nothing_more_and_leaves_it_to_others() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    let (_sender, stop) = tokio::sync::watch::channel(true);
    let mut watches = Watches::default();
    bench.issuer.round(&mut watches, &stop).await.unwrap();
    let left = bench.now(&request).await;
    assert_eq!(left.status, RequestStatus::Pending);
    assert_eq!(left.version, request.version, "not even touched");
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_request_gets_its_certificate_and_the_agent_its_job() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.round().await;
    let request = bench.now(&request).await;
    assert_eq!(request.status, RequestStatus::Issued);
    let mut conn = bench.store.read().await.unwrap();
    let id = request.certificate_id.unwrap();
    let certificate = certificates::existing(&mut conn, &id).await.unwrap();
    assert_eq!(Some(certificate.spki_sha256), request.spki_sha256);
    assert_eq!(certificate.n_installations, 1);
    let jobs = crate::store::jobs::for_agent(&mut conn, &bench.agent_id)
        .await
        .unwrap();
    assert_eq!(jobs.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_found_and_nothing_is_signed_twice() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::SignsAndFallsSilent);
    bench.round().await;
    let request = bench.now(&request).await;
    assert_eq!(request.status, RequestStatus::Issued, "it was looked for at once");
    assert_eq!(bench.ca.n_signed(), 1);
}

#[tokio::test]
async fn a_crash_after_the_signature_is_driven_on_even_through_a_seal() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    // What a SIGKILL between the CA's signature and our commit leaves behind.
    let mut tx = bench.store.begin().await.unwrap();
    let issuing = crate::store::issuance::begin_issue(&mut tx, &request.id, "issuer", Duration::seconds(30))
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    bench.ca.make(&issuing.csr_pem);
    bench.ca.be(Mood::Sealed);
    bench.issuer.release_earlier_claims().await;
    bench.pass(SETTLES);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issuing);
    assert_eq!(bench.adapter_status().await, AdapterStatus::Paused);
    bench.ca.be(Mood::Signs);
    bench.round().await;
    assert_eq!(bench.adapter_status().await, AdapterStatus::Active);
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
    assert_eq!(bench.ca.n_signed(), 1);
}

/// Claimed by `owner`, who is then cut off before the CA says anything.
async fn cut_off(bench: &Bench, owner: &str) -> (Request, String) {
    let request = bench.request().await;
    let mut tx = bench.store.begin().await.unwrap();
    let issuing = crate::store::issuance::begin_issue(&mut tx, &request.id, owner, LEASE).await;
    tx.commit().await.unwrap();
    (request, issuing.unwrap().unwrap().csr_pem)
}

#[tokio::test]
async fn a_ca_that_is_still_at_it_after_a_crash_is_given_the_time() {
    let bench = Bench::new().await;
    let (request, csr) = cut_off(&bench, "issuer").await;
    // Started again at once, while the CA has the call of the one before in its hands.
    bench.issuer.release_earlier_claims().await;
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issuing);
    bench.ca.make(&csr);
    bench.pass(SETTLES);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
    assert_eq!(bench.ca.n_signed(), 1);
}

#[tokio::test]
async fn who_looks_so_long_that_another_one_has_it_signs_nothing() {
    let bench = Bench::new().await;
    let (request, _) = cut_off(&bench, "gone").await;
    bench.pass(LEASE);
    let (store, clock, id) = (bench.store.clone(), bench.clock.clone(), request.id.clone());
    *bench.ca.meanwhile.lock().unwrap() = Some(Box::pin(async move {
        clock.set(clock.now() + LEASE);
        let mut tx = store.begin().await.unwrap();
        let taken = crate::store::issuance::begin_issue(&mut tx, &id, "another", LEASE).await;
        assert!(taken.unwrap().is_some());
        tx.commit().await.unwrap();
    }));
    bench.round().await;
    assert_eq!(bench.ca.n_signed(), 0);
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issuing);

    // Nobody has it: then the claim lasts as long again, and it is signed.
    bench.pass(LEASE);
    let clock = bench.clock.clone();
    *bench.ca.meanwhile.lock().unwrap() = Some(Box::pin(async move { clock.set(clock.now() + LEASE) }));
    bench.round().await;
    assert_eq!(bench.ca.n_signed(), 1);
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_sealed_ca_pauses_and_burns_no_attempt() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::Sealed);
    bench.round().await;
    bench.round().await;
    let waiting = bench.now(&request).await;
    assert_eq!(
        (waiting.status, waiting.waiting_on),
        (RequestStatus::Pending, Some(WaitingOn::Ca))
    );
    assert_eq!(waiting.attempt, 0);
    assert_eq!(waiting.error_message.as_deref(), Some("Vault is sealed"));
    bench.ca.be(Mood::Signs);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_busy_ca_is_asked_again_later_and_a_refusal_is_final() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::Busy);
    bench.round().await;
    let waiting = bench.now(&request).await;
    assert_eq!((waiting.status, waiting.attempt), (RequestStatus::Pending, 1));
    assert!(waiting.next_attempt_at.unwrap() > bench.clock.now());
    bench.ca.be(Mood::Refuses);
    bench.round().await;
    assert_eq!(bench.now(&request).await.attempt, 1, "not before it is due");
    bench.pass(Duration::seconds(10));
    bench.round().await;
    let failed = bench.now(&request).await;
    assert_eq!(failed.status, RequestStatus::Failed);
    assert_eq!(
        failed.error_message.as_deref(),
        Some("common name not allowed by this role")
    );
    assert_eq!(bench.ca.n_signed(), 0);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_burns_no_attempt() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.ca.be(Mood::Limits);
    bench.round().await;
    let waiting = bench.now(&request).await;
    assert_eq!((waiting.status, waiting.attempt), (RequestStatus::Pending, 0));
    assert_eq!(waiting.next_attempt_at, Some(start() + Duration::seconds(90)));
    assert!(
        waiting.why().contains("too many certificates"),
        "{}",
        waiting.why()
    );
    bench.ca.be(Mood::Signs);
    bench.pass(Duration::seconds(89));
    bench.round().await;
    assert_eq!(bench.ca.n_signed(), 0, "not before it is due");
    bench.pass(Duration::seconds(1));
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}

#[tokio::test]
async fn a_revocation_waits_for_the_seal_and_is_proven_by_the_crl() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.round().await;
    let id = bench.now(&request).await.certificate_id.unwrap();
    let mut tx = bench.store.begin().await.unwrap();
    revocation::ask(&mut tx, &id, Reason::KeyCompromise)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    bench.ca.be(Mood::Sealed);
    bench.round().await;
    let read = async || {
        let mut conn = bench.store.read().await.unwrap();
        certificates::existing(&mut conn, &id).await.unwrap()
    };
    assert_eq!(read().await.status, CertificateStatus::RevocationPending);
    bench.ca.be(Mood::Signs);
    bench.round().await;
    bench.round().await;
    let revoked = read().await;
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    let revocation = revoked.revocation.unwrap();
    assert!(revocation.accepted_at.is_some() && revocation.in_crl_at.is_some());
    audit::verify(&bench.store).await.unwrap();
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 100).await.unwrap();
    assert!(
        rows.iter()
            .any(|row| row.action == "revoke" && row.outcome == AuditOutcome::Done)
    );
}

/// A certificate whose revocation was asked for.
async fn asked_back(bench: &Bench, reason: Reason) -> String {
    let request = bench.request().await;
    bench.round().await;
    let id = bench.now(&request).await.certificate_id.unwrap();
    let mut tx = bench.store.begin().await.unwrap();
    revocation::ask(&mut tx, &id, reason).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn details(bench: &Bench) -> String {
    let mut conn = bench.store.read().await.unwrap();
    let rows = audit::rows_after(&mut conn, 0, 100).await.unwrap();
    rows.into_iter()
        .filter(|row| row.action == "revoke")
        .map(|row| {
            format!(
                "{} {}\n",
                row.detail.unwrap_or_default(),
                row.reason.unwrap_or_default()
            )
        })
        .collect()
}

#[tokio::test]
async fn a_ca_that_makes_its_list_by_itself_is_waited_for_and_until_when_is_said() {
    let bench = Bench::new().await;
    bench.ca.can.lock().unwrap().crl = Published::Within(std::time::Duration::from_secs(3600));
    let id = asked_back(&bench, Reason::Superseded).await;
    bench.round().await;
    let words = details(&bench).await;
    assert!(words.contains("by 2027-01-15T09:00:00"), "{words}");
    let withdrawn = bench.ca.withdrawn.lock().unwrap().clone();
    assert!(withdrawn[0].pem.contains("BEGIN CERTIFICATE") && withdrawn[0].reason == Reason::Superseded);
    let mut conn = bench.store.read().await.unwrap();
    let now = certificates::existing(&mut conn, &id).await.unwrap();
    assert_eq!(now.status, CertificateStatus::Revoked);
}

#[tokio::test]
async fn what_a_ca_can_not_do_is_refused_before_it_is_asked() {
    let bench = Bench::new().await;
    asked_back(&bench, Reason::CertificateHold).await;
    bench.round().await;
    assert!(details(&bench).await.contains("puts nothing on hold"));
    bench.ca.can.lock().unwrap().revoke = TakesBack::Never;
    asked_back(&bench, Reason::Superseded).await;
    bench.round().await;
    assert!(details(&bench).await.contains("takes nothing back"));
    assert!(bench.ca.withdrawn.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_ca_that_keeps_nothing_is_asked_again_after_a_lost_answer() {
    let bench = Bench::new().await;
    bench.ca.can.lock().unwrap().list = false;
    let request = bench.request().await;
    bench.ca.be(Mood::SignsAndFallsSilent);
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Pending);
    bench.ca.be(Mood::Signs);
    bench.pass(Duration::seconds(10));
    bench.round().await;
    assert_eq!(bench.now(&request).await.status, RequestStatus::Issued);
}
