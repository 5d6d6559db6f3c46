//! Somebody who stands before the CA and keeps revocations from it, with every answer that could make that look done: none
//! of them is a proof, and each ends as a finding.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cmp_console::domain::certificate::{Certificate, CertificateStatus};
use cmp_console::domain::finding::FindingKind;
use cmp_console::domain::x509;
use cmp_console::store::certificates;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};
use x509_parser::asn1_rs::Tag;
use x509_parser::parse_x509_certificate;

use super::issuer::{Bench, until};
use super::server::{MOUNT, Server};

contracts!(
    a_list_that_is_signed_by_a_key_beside_the_cas_own_proves_nothing,
    that_a_certificate_has_expired_is_not_believed_before_its_end,
    a_revocation_is_asked_for_again_where_no_list_can_be_read,
);

/// Lies in the CA's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Nothing.
    None,
    /// A certificate is added to a chain: the CA's name, and another key.
    Beside,
    /// A yes to a revocation that the CA never gets, with a list that has it, signed by that other key.
    Forged,
    /// A revocation that the CA never gets, of a certificate that has expired.
    Expired,
    /// A yes to one, with an error for a list.
    NoList,
}

/// Between the issuer and its Vault.
#[derive(Clone)]
struct Liar {
    real: String,
    lie: Arc<Mutex<Lie>>,
    http: reqwest::Client,
    /// The other key, with the CA's name.
    stranger: Arc<(Issuer<'static, KeyPair>, String)>,
    /// Serials of what was to be revoked.
    swallowed: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    /// Before `server`; its address.
    async fn stand_before(server: &Server) -> (Self, String) {
        let chain = server.text(&format!("{MOUNT}/ca_chain")).await;
        let der = &x509::certificates(&chain).unwrap()[0];
        let (_, ca) = parse_x509_certificate(der).unwrap();
        let name = ca.subject().iter_common_name().next().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // As the CA writes it, byte by byte.
        let written = match name.attr_value().tag() {
            Tag::PrintableString => DnValue::PrintableString(name.as_str().unwrap().try_into().unwrap()),
            _ => DnValue::Utf8String(name.as_str().unwrap().to_owned()),
        };
        params.distinguished_name.push(DnType::CommonName, written);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let it = Self {
            real: server.base.clone(),
            lie: Arc::new(Mutex::new(Lie::None)),
            http: reqwest::Client::new(),
            stranger: Arc::new((Issuer::new(params, key), pem)),
            swallowed: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(it.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (it, address)
    }

    fn tells(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }

    fn n_swallowed(&self) -> usize {
        self.swallowed.lock().unwrap().len()
    }

    /// The forged list.
    fn list(&self) -> String {
        let swallowed = self.swallowed.lock().unwrap().clone();
        let revoked = swallowed.iter().map(|serial| RevokedCertParams {
            serial_number: hex::decode(serial.replace(':', "")).unwrap().into(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2036, 1, 1),
            crl_number: SerialNumber::from(9_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        params.signed_by(&self.stranger.0).unwrap().pem().unwrap()
    }
}

/// An answer of Vault with this data.
fn told(data: &Value) -> Response {
    let warnings = data
        .is_null()
        .then(|| json!(["already expired; refusing to add to CRL"]));
    axum::Json(json!({
        "request_id": "a-request", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
        "wrap_info": null, "warnings": warnings, "auth": null,
    }))
    .into_response()
}

async fn answer(State(it): State<Liar>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let lie = *it.lie.lock().unwrap();
    if path.ends_with("/revoke") && !matches!(lie, Lie::None | Lie::Beside) {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let serial = asked["serial_number"].as_str().unwrap().to_owned();
        it.swallowed.lock().unwrap().push(serial);
        return match lie {
            Lie::Expired => told(&Value::Null),
            _ => told(&json!({"revocation_time": 1_800_000_000, "state": "revoked"})),
        };
    }
    match lie {
        Lie::Forged if path.ends_with("/crl/pem") => return it.list().into_response(),
        Lie::NoList if path.ends_with("/crl/pem") => {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        _ => {}
    }
    let mut headers = head.headers;
    headers.remove("host");
    let url = format!("{}{}", it.real, head.uri);
    let answer = it
        .http
        .request(head.method, url)
        .headers(headers)
        .body(body)
        .send();
    let answer = answer.await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let bytes = answer.bytes().await.unwrap();
    if lie == Lie::Beside && path.contains("/sign/") && status.is_success() {
        let mut signed: Value = serde_json::from_slice(&bytes).unwrap();
        let mut chain = signed["data"]["ca_chain"].as_array().cloned().unwrap_or_default();
        if chain.is_empty() {
            chain.push(signed["data"]["issuing_ca"].clone());
        }
        chain.push(it.stranger.1.clone().into());
        signed["data"]["ca_chain"] = chain.into();
        return axum::Json(signed).into_response();
    }
    (status, bytes).into_response()
}

async fn certificate(bench: &Bench, id: &str) -> Certificate {
    let mut conn = bench.store.read().await.unwrap();
    certificates::existing(&mut conn, id).await.unwrap()
}

async fn is_proven(bench: &Bench, id: &str) -> bool {
    let revocation = certificate(bench, id).await.revocation.unwrap();
    revocation.in_crl_at.is_some() || revocation.without_crl_at.is_some()
}

/// Until the CA is said to have revoked it.
async fn accepted(bench: &Bench, id: &str) {
    until(async || {
        let now = certificate(bench, id).await;
        (now.status == CertificateStatus::Revoked).then_some(())
    })
    .await;
}

async fn a_list_that_is_signed_by_a_key_beside_the_cas_own_proves_nothing(server: Server) {
    let server = server.with_ca().await;
    let (liar, address) = Liar::stand_before(&server).await;
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    liar.tells(Lie::Beside);
    let id = bench.issued("a.example.com").await;
    assert_eq!(bench.paused().await, None, "the CA itself has signed");
    let chain = certificate(&bench, &id).await.chain_pem.unwrap();
    let strange = &x509::certificates(&liar.stranger.1).unwrap()[0];
    assert!(!x509::certificates(&chain).unwrap().contains(strange));

    liar.tells(Lie::Forged);
    bench.ask_back(&id).await;
    accepted(&bench, &id).await;
    bench.pass(360);
    // Asked again, so that the list was looked into before.
    until(async || (liar.n_swallowed() > 1).then_some(())).await;
    assert!(!is_proven(&bench, &id).await);
    assert!(bench.found(FindingKind::RevocationNotListed).await.is_some());

    liar.tells(Lie::None);
    until(async || {
        bench.pass(1);
        is_proven(&bench, &id).await.then_some(())
    })
    .await;
}

async fn that_a_certificate_has_expired_is_not_believed_before_its_end(server: Server) {
    let server = server.with_ca().await;
    let (liar, address) = Liar::stand_before(&server).await;
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    let id = bench.issued("a.example.com").await;
    liar.tells(Lie::Expired);
    bench.ask_back(&id).await;
    until(async || {
        bench.pass(1);
        (liar.n_swallowed() > 2).then_some(())
    })
    .await;
    let now = certificate(&bench, &id).await;
    assert_eq!(now.status, CertificateStatus::RevocationPending);
    liar.tells(Lie::None);
    until(async || {
        bench.pass(1);
        is_proven(&bench, &id).await.then_some(())
    })
    .await;
    assert!(
        certificate(&bench, &id)
            .await
            .revocation
            .unwrap()
            .in_crl_at
            .is_some()
    );
}

async fn a_revocation_is_asked_for_again_where_no_list_can_be_read(server: Server) {
    let server = server.with_ca().await;
    let (liar, address) = Liar::stand_before(&server).await;
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    let id = bench.issued("a.example.com").await;
    liar.tells(Lie::NoList);
    bench.ask_back(&id).await;
    accepted(&bench, &id).await;
    bench.pass(360);
    until(async || (liar.n_swallowed() > 1).then_some(())).await;
    assert!(bench.found(FindingKind::RevocationNotListed).await.is_some());
}
