//! Somebody who stands before the CA and answers in its place, with a CA and a chain of their own that fit each other:
//! nothing of theirs counts, and the adapter says so. A CA that was rotated looks the same until somebody has compared it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cmp_console::domain::adapter::{Adapter, Ca};
use cmp_console::domain::certificate::{Certificate, CertificateStatus};
use cmp_console::domain::finding::FindingKind;
use cmp_console::domain::request::{RequestStatus, WaitingOn};
use cmp_console::domain::x509;
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::store::cas::{self, Decided};
use cmp_console::store::{adapters, certificates, read, requests};
use serde_json::json;

use super::issuer::{Bench, until};
use super::server::{MOUNT, Server};

contracts!(
    who_signs_in_the_place_of_the_ca_gets_nothing_into_the_inventory,
    another_ca_that_is_shown_pauses_the_adapter_until_it_is_gone_or_accepted,
    a_revocation_that_never_came_to_the_ca_is_told_and_asked_for_again,
);

/// The share of the calls that goes to the other server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Signatures,
    Everything,
    /// Revocations, which nobody carries out.
    Revocations,
}

/// Between the issuer and its Vault.
#[derive(Clone)]
struct InBetween {
    real: String,
    other: Arc<Server>,
    takes: Arc<Mutex<Takes>>,
    http: reqwest::Client,
    /// Looks at the real one's CA, and its revocations.
    looks: Arc<AtomicUsize>,
    revocations: Arc<AtomicUsize>,
}

impl InBetween {
    /// Before `server`, with a second server behind it; its address.
    async fn stand_before(server: &Server) -> (Self, String) {
        let it = Self {
            real: server.base.clone(),
            other: Arc::new(Server::bundled().await.with_ca().await),
            takes: Arc::new(Mutex::new(Takes::Nothing)),
            http: reqwest::Client::new(),
            looks: Arc::default(),
            revocations: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(it.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (it, address)
    }

    fn takes(&self, takes: Takes) {
        *self.takes.lock().unwrap() = takes;
    }

    /// Until the issuer has looked at the real CA twice more.
    async fn is_looked_at(&self) {
        let before = self.looks.load(Ordering::SeqCst);
        until(async || (self.looks.load(Ordering::SeqCst) >= before + 2).then_some(())).await;
    }
}

async fn pass_on(State(it): State<InBetween>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let takes = *it.takes.lock().unwrap();
    let is_others = match takes {
        Takes::Revocations if path.ends_with("/revoke") => {
            let answer = json!({
                "request_id": "a-request", "lease_id": "", "renewable": false, "lease_duration": 0,
                "data": {"revocation_time": 1_800_000_000, "state": "revoked"},
                "wrap_info": null, "warnings": null, "auth": null,
            });
            return axum::Json(answer).into_response();
        }
        Takes::Nothing | Takes::Revocations => false,
        Takes::Signatures => path.contains("/sign/"),
        Takes::Everything => true,
    };
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = head.headers;
    headers.remove("host");
    let to = if is_others {
        // It lets everybody in.
        let token = HeaderValue::from_str(&it.other.token).unwrap();
        headers.insert("x-vault-token", token);
        &it.other.base
    } else {
        if path.ends_with("/ca_chain") {
            it.looks.fetch_add(1, Ordering::SeqCst);
        }
        if path.ends_with("/revoke") {
            it.revocations.fetch_add(1, Ordering::SeqCst);
        }
        &it.real
    };
    let url = format!("{to}{}", head.uri);
    let answer = it
        .http
        .request(head.method, url)
        .headers(headers)
        .body(body)
        .send();
    let answer = answer.await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap()).into_response()
}

/// The CA that a server has.
async fn ca_of(server: &Server) -> Ca {
    let chain = server.text(&format!("{MOUNT}/ca_chain")).await;
    Ca::of_der(&x509::certificates(&chain).unwrap()[0]).unwrap()
}

async fn adapter(bench: &Bench) -> Adapter {
    let mut conn = bench.store.read().await.unwrap();
    adapters::all(&mut conn).await.unwrap().pop().unwrap()
}

async fn certificate(bench: &Bench, id: &str) -> Certificate {
    let mut conn = bench.store.read().await.unwrap();
    certificates::existing(&mut conn, id).await.unwrap()
}

/// The sentence of the pause names both CAs and the ways on, and is a finding as a whole.
async fn is_told(bench: &Bench, before: &Ca, after: &Ca) {
    let why = until(async || bench.paused().await).await;
    for part in [
        before.spki_sha256.as_str(),
        after.spki_sha256.as_str(),
        "/accept-ca",
        "dismiss-ca",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let finding = until(async || bench.trouble().await).await;
    assert!(
        finding.what.contains("nothing is issued or revoked"),
        "{finding:?}"
    );
}

async fn who_signs_in_the_place_of_the_ca_gets_nothing_into_the_inventory(server: Server) {
    let server = server.with_ca().await;
    let (between, address) = InBetween::stand_before(&server).await;
    let (known, other) = (ca_of(&server).await, ca_of(&between.other).await);
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    bench.issued("a.example.com").await;
    let kept = adapter(&bench).await.cas;
    assert!(kept.len() == 1 && kept[0].is_same(&known), "{kept:?}");

    // All else is the real one's, so that looking at the CA shows nothing.
    between.takes(Takes::Signatures);
    let request = bench.asked("b.example.com").await;
    let failed = until(async || {
        let mut conn = bench.store.read().await.unwrap();
        let now = requests::existing(&mut conn, &request).await.unwrap();
        assert_ne!(now.status, RequestStatus::Issued, "{now:?}");
        (now.status == RequestStatus::Failed).then_some(now)
    })
    .await;
    let words = failed.error_message.unwrap();
    assert!(
        words.contains("another CA") && words.contains(&other.spki_sha256),
        "{words}"
    );
    let refused = certificate(&bench, failed.certificate_id.as_deref().unwrap()).await;
    assert_eq!(
        (refused.status, refused.n_installations),
        (CertificateStatus::RevocationPending, 0)
    );
    is_told(&bench, &known, &other).await;

    // That the known one is shown doesn't make it good: it was shown all the time.
    between.takes(Takes::Nothing);
    let waiting = bench.asked("c.example.com").await;
    between.is_looked_at().await;
    assert!(bench.paused().await.is_some());
    let now = bench.request(&waiting).await;
    assert_eq!(
        (now.status, now.waiting_on),
        (RequestStatus::Pending, Some(WaitingOn::Ca))
    );

    let id = adapter(&bench).await.id;
    let mut tx = bench.store.begin().await.unwrap();
    let (_, n) = cas::dismiss(&mut tx, &id, Decided::Key(&other.spki_sha256))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(n, 1);
    bench.come(&waiting).await;
    assert_eq!(bench.paused().await, None);
    // The real CA knows nothing of it, and isn't asked.
    let over = certificate(&bench, &refused.id).await;
    assert_eq!(over.status, CertificateStatus::Revoked);
    assert_eq!(between.revocations.load(Ordering::SeqCst), 0);
    assert!(adapter(&bench).await.cas.iter().all(|ca| ca.is_same(&known)));
}

async fn another_ca_that_is_shown_pauses_the_adapter_until_it_is_gone_or_accepted(server: Server) {
    let server = server.with_ca().await;
    let (between, address) = InBetween::stand_before(&server).await;
    let (known, other) = (ca_of(&server).await, ca_of(&between.other).await);
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    bench.issued("a.example.com").await;

    between.takes(Takes::Everything);
    is_told(&bench, &known, &other).await;
    // It was noticed before anything was signed, so that nothing fails, and it goes on by itself.
    let waiting = bench.asked("b.example.com").await;
    between.takes(Takes::Nothing);
    let issued = bench.come(&waiting).await;
    assert_eq!(
        certificate(&bench, &issued).await.status,
        CertificateStatus::Active
    );
    assert_eq!(adapter(&bench).await.strange_ca, None);

    // Rotated: whoever accepts it says which one was compared.
    between.takes(Takes::Everything);
    is_told(&bench, &known, &other).await;
    let waiting = bench.asked("c.example.com").await;
    let id = adapter(&bench).await.id;
    let mut tx = bench.store.begin().await.unwrap();
    let wrong = cas::accept(&mut tx, &id, Decided::Key(&known.spki_sha256))
        .await
        .unwrap_err();
    assert_eq!(Problem::from(wrong).kind, ProblemKind::Conflict);
    let now = cas::accept(&mut tx, &id, Decided::Key(&other.spki_sha256))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(now.knows(&known) && now.knows(&other));
    bench.come(&waiting).await;
    // The one before it is good as well.
    between.takes(Takes::Nothing);
    bench.issued("d.example.com").await;
    assert_eq!(bench.paused().await, None);

    // Accepted by mistake: dismissed, it is as strange as it was.
    let mut tx = bench.store.begin().await.unwrap();
    let (now, _) = cas::dismiss(&mut tx, &id, Decided::Key(&other.spki_sha256))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(now.knows(&known) && !now.knows(&other));
    bench.issued("e.example.com").await;
    between.takes(Takes::Everything);
    is_told(&bench, &known, &other).await;
}

async fn a_revocation_that_never_came_to_the_ca_is_told_and_asked_for_again(server: Server) {
    let server = server.with_ca().await;
    let (between, address) = InBetween::stand_before(&server).await;
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    let id = bench.issued("a.example.com").await;
    between.takes(Takes::Revocations);
    bench.ask_back(&id).await;
    let is_revoked = async || certificate(&bench, &id).await.status == CertificateStatus::Revoked;
    until(async || is_revoked().await.then_some(())).await;
    bench.pass(360);
    let told = until(async || {
        let mut conn = bench.store.read().await.unwrap();
        let found = read::findings(&mut conn).await.unwrap().findings;
        found
            .into_iter()
            .find(|it| it.kind == FindingKind::RevocationNotListed)
    })
    .await;
    let serial = certificate(&bench, &id).await.serial;
    assert!(told.entity_id == id && told.what.contains(&serial), "{told:?}");
    assert_eq!(between.revocations.load(Ordering::SeqCst), 0);

    // Once nobody keeps it back, the CA gets it by itself, and its list proves it.
    between.takes(Takes::Nothing);
    until(async || {
        bench.pass(1);
        let now = certificate(&bench, &id).await;
        now.revocation.and_then(|it| it.in_crl_at)
    })
    .await;
    assert!(between.revocations.load(Ordering::SeqCst) > 0);
}
