//! What the issuer's tests work with: an issuer over a fresh database, a clock that they set, and a CA that can
//! be told to misbehave.

use super::adapters::{
    Adapter, AdapterError, Capabilities, Order, Published, RevocationAnswer, SignedCertificate, TakesBack,
    Withdrawal,
};
use super::lanes::Work;
pub(super) use super::mood::Mood;
use super::{Issuer, crl, crl_again, renewals};
use crate::clients::vault::Login;
use crate::clock::Clock;
use crate::domain::adapter::{Adapter as AdapterRow, AdapterStatus, Ca as CaSeen};
use crate::domain::csr::Csr;
use crate::domain::installation::Installation;
use crate::domain::renewal::Suggestion;
use crate::domain::request::Request;
use crate::domain::x509;
use crate::store::requests::NewRequest;
use crate::store::{Store, StoreError, adapters as rows, agents, installations, requests};
use crate::wire::agents::EnrolBody;
use chrono::{DateTime, Duration, Utc};
use futures::future::BoxFuture;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer as Ca, KeyPair, KeyUsagePurpose,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// What an issuer goes on looking at.
#[derive(Default)]
pub(super) struct Watches {
    crl: crl::Watch,
    renewals: renewals::Watch,
}

pub(super) struct FakeCa {
    mood: Mutex<Mood>,
    key: KeyPair,
    /// Somebody else's.
    strange_key: KeyPair,
    params: CertificateParams,
    signed: Mutex<Vec<(String, SignedCertificate)>>,
    revoked: Mutex<BTreeSet<String>>,
    pub(super) can: Mutex<Capabilities>,
    /// What it was given to take back.
    pub(super) withdrawn: Mutex<Vec<Withdrawal>>,
    /// What it says of when to renew, and how often it was asked.
    suggests: Mutex<Result<Suggestion, AdapterError>>,
    n_asked: Mutex<usize>,
    /// End of its lists.
    pub(super) lists_end: Mutex<DateTime<Utc>>,
    /// Each revocation takes a permit of it, where there is one.
    pub(super) slow: Mutex<Option<Arc<Semaphore>>>,
    /// Revocations that it is at, and the most that it was at.
    pub(super) revoking: Mutex<(usize, usize)>,
    /// What happens while it lists what it signed.
    pub(super) meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl FakeCa {
    /// Its store is put back to a day on which it had revoked nothing.
    pub(super) fn put_back(&self) {
        self.revoked.lock().unwrap().clear();
    }

    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            mood: Mutex::new(Mood::Signs),
            key: KeyPair::generate().unwrap(),
            strange_key: KeyPair::generate().unwrap(),
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
            slow: Mutex::default(),
            revoking: Mutex::default(),
            suggests: Mutex::new(Err(AdapterError::Refused("no opinion".to_owned()))),
            n_asked: Mutex::default(),
            lists_end: Mutex::new(start() + Duration::days(3650)),
            meanwhile: Mutex::default(),
        }
    }

    /// One with a name of its own, so that its serials aren't another's.
    pub(super) fn called(name: &str) -> Self {
        let mut it = Self::new();
        it.params.distinguished_name = rcgen::DistinguishedName::new();
        it.params.distinguished_name.push(rcgen::DnType::CommonName, name);
        it
    }

    /// Its certificate, which is made anew each time, for one key.
    fn own_der(&self) -> Vec<u8> {
        self.params.self_signed(&self.key).unwrap().der().to_vec()
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    pub(super) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(super) fn n_signed(&self) -> usize {
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
            Mood::Sealed => Err(AdapterError::Sealed("Vault is sealed".to_owned())),
            Mood::Unreachable => Err(AdapterError::Retry("connection refused".to_owned())),
            _ => Ok(()),
        }
    }

    fn role(&self) -> Result<(), AdapterError> {
        match self.mood() {
            Mood::Unsigned => Err(AdapterError::Unsigned("Vault has no role `web`".to_owned())),
            _ => Ok(()),
        }
    }

    pub(super) fn make(&self, csr_pem: &str) -> SignedCertificate {
        let mut csr = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let issuer = Ca::from_params(&self.params, &self.key);
        // Otherwise made from the key, and the same one for each certificate of it.
        let n = u64::try_from(self.n_signed()).unwrap() + 1;
        let n = match self.mood() {
            Mood::ForgesTheFirst => 1,
            _ => n,
        };
        csr.params.serial_number = Some(rcgen::SerialNumber::from(n));
        let (from, until) = match self.mood() {
            Mood::SignsFrom(from, until) => (from, until),
            Mood::SignsAnotherKey => (0, 90),
            _ => (-1, 90),
        };
        let at = |days| time_of(start() + Duration::days(days));
        (csr.params.not_before, csr.params.not_after) = (at(from), at(until));
        csr.params.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = match self.mood() {
            Mood::SignsFor(name) => {
                let names = CertificateParams::new(vec![name.to_owned()]).unwrap();
                csr.params.subject_alt_names.extend(names.subject_alt_names);
                csr.signed_by(&issuer).unwrap()
            }
            Mood::SignsAnotherKey | Mood::GivesAnothers => csr
                .params
                .signed_by(&KeyPair::generate().unwrap(), &issuer)
                .unwrap(),
            Mood::SignsACa => {
                csr.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                csr.signed_by(&issuer).unwrap()
            }
            Mood::SignsASubject => {
                let name = &mut csr.params.distinguished_name;
                name.push(rcgen::DnType::OrganizationName, "Evil Bank");
                csr.signed_by(&issuer).unwrap()
            }
            Mood::SignsForAll => {
                csr.params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
                csr.params.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::CodeSigning, ExtendedKeyUsagePurpose::Any];
                csr.signed_by(&issuer).unwrap()
            }
            _ => csr.signed_by(&issuer).unwrap(),
        };
        let own = self.params.self_signed(&self.key).unwrap().pem();
        let mut der = certificate.der().to_vec();
        if matches!(self.mood(), Mood::SignsForged | Mood::ForgesTheFirst) {
            *der.last_mut().unwrap() ^= 1;
        }
        let pem = x509::pem_of(&der);
        let signed = match self.mood() {
            Mood::SignsWithoutChain => SignedCertificate {
                pem,
                chain_pem: String::new(),
            },
            Mood::SignsUnderAnotherChain => SignedCertificate {
                pem,
                chain_pem: self
                    .params
                    .self_signed(&KeyPair::generate().unwrap())
                    .unwrap()
                    .pem(),
            },
            Mood::SignsAndSpills => SignedCertificate {
                pem: format!("\u{1b}[2Jhello {pem}trailing\u{7}"),
                chain_pem: format!("{}{own}\u{1b}]0;x", self.key.serialize_pem()),
            },
            Mood::SignsBesideAStranger => {
                let strange = self.params.self_signed(&self.strange_key).unwrap().pem();
                SignedCertificate {
                    pem,
                    chain_pem: format!("{own}{strange}"),
                }
            }
            _ => SignedCertificate { pem, chain_pem: own },
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

    fn ca(&self) -> BoxFuture<'_, Option<CaSeen>> {
        Box::pin(async { CaSeen::of_der(&self.own_der()).ok() })
    }

    fn keeps_ca(&self) -> bool {
        true
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async {
            self.open()?;
            self.role()
        })
    }

    fn sign<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<SignedCertificate, AdapterError>> {
        Box::pin(async {
            match self.mood() {
                Mood::Signs
                | Mood::SignsFor(_)
                | Mood::SignsAnotherKey
                | Mood::GivesAnothers
                | Mood::SignsACa
                | Mood::SignsForged
                | Mood::ForgesTheFirst
                | Mood::SignsBesideAStranger
                | Mood::SwallowsRevocations
                | Mood::ForgesLists
                | Mood::HidesLists
                | Mood::SaysExpired
                | Mood::SignsFrom(..)
                | Mood::SignsASubject
                | Mood::SignsForAll
                | Mood::SignsWithoutChain
                | Mood::SignsUnderAnotherChain
                | Mood::SignsAndSpills => Ok(self.make(&order.csr_pem)),
                Mood::SignsAndBabbles => {
                    self.make(&order.csr_pem);
                    Ok(SignedCertificate {
                        pem: "<html>".to_owned(),
                        chain_pem: String::new(),
                    })
                }
                Mood::SignsAndFallsSilent => {
                    self.make(&order.csr_pem);
                    Err(AdapterError::Unknown("no answer in time".to_owned()))
                }
                Mood::Refuses => Err(AdapterError::Refused(
                    "common name not allowed by this role".to_owned(),
                )),
                Mood::Hangs => std::future::pending().await,
                Mood::Busy => Err(AdapterError::Retry("429".to_owned())),
                Mood::Limits => Err(AdapterError::Busy(
                    "too many certificates (rateLimited)".to_owned(),
                    std::time::Duration::from_secs(90),
                )),
                Mood::Sealed | Mood::Unreachable => self.open().map(|()| unreachable!()),
                Mood::Unsigned => self.role().map(|()| unreachable!()),
            }
        })
    }

    fn revoke<'a>(&'a self, what: &'a Withdrawal) -> BoxFuture<'a, Result<RevocationAnswer, AdapterError>> {
        Box::pin(async move {
            self.open()?;
            if self.mood() == Mood::Hangs {
                std::future::pending::<()>().await;
            }
            {
                let mut revoking = self.revoking.lock().unwrap();
                revoking.0 += 1;
                revoking.1 = revoking.1.max(revoking.0);
            }
            let slow = self.slow.lock().unwrap().clone();
            if let Some(slow) = slow {
                slow.acquire().await.unwrap().forget();
            }
            self.revoking.lock().unwrap().0 -= 1;
            self.withdrawn.lock().unwrap().push(what.clone());
            if self.mood() == Mood::SaysExpired {
                return Ok(RevocationAnswer::AlreadyExpired);
            }
            if !matches!(
                self.mood(),
                Mood::SwallowsRevocations | Mood::ForgesLists | Mood::HidesLists
            ) {
                self.revoked.lock().unwrap().insert(what.serial.clone());
            }
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
            let (revoked, key) = match self.mood() {
                Mood::HidesLists => return Err(AdapterError::Retry("500".to_owned())),
                Mood::ForgesLists => {
                    let asked = self.withdrawn.lock().unwrap();
                    let asked = asked.iter().map(|it| it.serial.clone()).collect();
                    (asked, &self.strange_key)
                }
                _ => (self.revoked.lock().unwrap().clone(), &self.key),
            };
            let list = rcgen::CertificateRevocationListParams {
                this_update: rcgen::date_time_ymd(2026, 1, 1),
                next_update: time_of(*self.lists_end.lock().unwrap()),
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
            let issuer = Ca::from_params(&self.params, key);
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
    pub(super) agent_id: String,
}

impl Issuer {
    /// All that it does beside each other, one after the other and once.
    pub(super) async fn round(
        &self,
        watches: &mut Watches,
        stop: &tokio::sync::watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        for lane in self.lanes().await? {
            match (lane.work, &lane.adapter) {
                (Work::Signs, Some(adapter)) => self.sign_all(adapter, &lane, stop).await?,
                _ => self.revoke_all(&lane, stop).await?,
            };
        }
        self.look_into_crls_again(&mut crl_again::Again::default())
            .await?;
        self.look_into_crls(&mut watches.crl).await?;
        self.ask_all(&mut watches.renewals, stop).await?;
        Ok(())
    }
}

impl Bench {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(start());
        let url = format!("sqlite://{}", dir.path().join("cmp.db").display());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        let ca = Arc::new(FakeCa::new());
        let mut issuer = Issuer::new(store.clone(), "issuer", Login::Nobody);
        issuer.roster.instead.insert("fake".to_owned(), ca.clone());
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
            identity_csr_pem: None,
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
        self.request_for("a.example.com").await
    }

    /// A request for `a.example.com`, with a CSR for another name.
    pub(super) async fn request_for(&self, asked: &str) -> Request {
        self.request_at(&self.adapter_id, asked).await
    }

    /// A request at another CA.
    pub(super) async fn request_at(&self, adapter_id: &str, asked: &str) -> Request {
        self.request_of(adapter_id, asked, None).await
    }

    /// A request for the successor of a certificate, in its place.
    pub(super) async fn reissue(&self, old: &str) -> Request {
        self.request_of(&self.adapter_id, "a.example.com", Some(old))
            .await
    }

    /// Certificates of the agent's host, by place.
    pub(super) async fn places(&self) -> Vec<Installation> {
        let mut conn = self.store.read().await.unwrap();
        installations::by_agent(&mut conn, &self.agent_id).await.unwrap()
    }

    async fn request_of(&self, adapter_id: &str, asked: &str, replaces: Option<&str>) -> Request {
        let names = vec!["a.example.com".to_owned()];
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![asked.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        let new = NewRequest {
            common_name: names[0].clone(),
            sans: names,
            key_algorithm: "ecdsa-p256".to_owned(),
            adapter_id: adapter_id.to_owned(),
            agent_id: self.agent_id.clone(),
            install_path: Some("/etc/ssl/a.pem".to_owned()),
            replaces: replaces.map(str::to_owned),
            requested_by: "ops".to_owned(),
            needs_approval: false,
        };
        let mut tx = self.store.begin().await.unwrap();
        let request = requests::insert(&mut tx, &new).await.unwrap();
        let spki = Csr::read(&csr).unwrap().key.spki_sha256();
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

    /// The adapter's row.
    pub(super) async fn adapter(&self) -> AdapterRow {
        let mut conn = self.store.read().await.unwrap();
        rows::read(&mut conn, &self.adapter_id).await.unwrap().unwrap()
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

fn time_of(at: DateTime<Utc>) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.timestamp()).unwrap()
}

pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}
