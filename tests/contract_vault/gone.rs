//! Lacks of the issuer at Vault, or a gateway in its way: the role, the mount, the policy, the list. That is
//! the adapter's trouble, with the cause; nothing fails, what waits waits, and goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use cmp_console::domain::request::{RequestStatus, WaitingOn};
use serde_json::json;

use super::issuer::{Bench, until};
use super::server::{MOUNT, ROLE, Server};
use super::tokens::{policy, token};

contracts!(
    a_role_that_is_gone_pauses_the_adapter_and_what_waits_goes_on_when_it_is_back,
    a_wrong_mount_pauses_the_adapter_and_goes_on_when_there_is_one,
    a_policy_that_is_gone_pauses_the_adapter_and_goes_on_when_it_is_back,
    a_list_that_a_gateway_refuses_is_the_adapters_trouble,
    a_revocation_whose_path_is_not_there_waits_until_it_is,
);

/// The request waits, with the adapter paused for the same cause, which is a finding with it; the cause.
async fn waits(bench: &Bench, request: &str) -> String {
    let why = until(async || bench.paused().await).await;
    let waiting = until(async || {
        let now = bench.request(request).await;
        (now.waiting_on == Some(WaitingOn::Ca) && now.error_message.is_some()).then_some(now)
    })
    .await;
    assert_eq!((waiting.status, waiting.attempt), (RequestStatus::Pending, 0));
    assert_eq!(waiting.error_message.as_deref(), Some(why.as_str()));
    // It counts from the moment after it was asked for.
    bench.pass(1);
    let finding = until(async || bench.trouble().await).await;
    assert!(finding.what.contains("1 request waiting"), "{finding:?}");
    why
}

async fn a_role_that_is_gone_pauses_the_adapter_and_what_waits_goes_on_when_it_is_back(server: Server) {
    let server = server.with_ca().await;
    let bench = Bench::start_at(&server, &server.base, MOUNT).await;
    bench.issued("a.example.com").await;
    let path = format!("{MOUNT}/roles/{ROLE}");
    let (_, role) = server.get(&path).await;
    assert_eq!(server.delete(&path).await.0, 204);
    let request = bench.asked("b.example.com").await;
    let why = waits(&bench, &request).await;
    assert!(
        why.contains(&format!("no role `{ROLE}` at `{MOUNT}`")) && why.contains(&format!("write `{path}`")),
        "{why}"
    );
    let body = json!({
        "allowed_domains": role["data"]["allowed_domains"], "allow_subdomains": true, "key_type": "any",
    });
    server.must(&path, body).await;
    bench.come(&request).await;
    assert_eq!(bench.paused().await, None);
}

async fn a_wrong_mount_pauses_the_adapter_and_goes_on_when_there_is_one(server: Server) {
    let server = server.with_ca().await;
    let sign = "path \"other-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    policy(&server, "issuer", sign).await;
    let signer = token(&server, json!({"policies": ["issuer"], "ttl": "1h"})).await;
    let benches = [
        Bench::start_at(&server, &server.base, "other-pki").await,
        Bench::start_at(&signer, &server.base, "other-pki").await,
    ];
    let mut asked = Vec::new();
    for bench in &benches {
        let request = bench.asked("a.example.com").await;
        let why = waits(bench, &request).await;
        assert!(
            why.contains("no PKI engine at `other-pki`") && why.contains("`vault.mount`"),
            "{why}"
        );
        asked.push(request);
    }
    server.found("other-pki").await;
    for (bench, request) in benches.iter().zip(&asked) {
        bench.come(request).await;
    }
}

async fn a_policy_that_is_gone_pauses_the_adapter_and_goes_on_when_it_is_back(server: Server) {
    let server = server.with_ca().await;
    let sign = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    policy(&server, "issuer", sign).await;
    let signer = token(&server, json!({"policies": ["issuer"], "ttl": "1h"})).await;
    let bench = Bench::start_at(&signer, &server.base, MOUNT).await;
    bench.issued("a.example.com").await;
    assert_eq!(server.delete("sys/policies/acl/issuer").await.0, 204);
    let request = bench.asked("b.example.com").await;
    let why = waits(&bench, &request).await;
    assert!(why.contains(sign), "{why}");
    policy(&server, "issuer", sign).await;
    bench.come(&request).await;
}

/// A gateway before Vault.
#[derive(Clone)]
struct Gateway {
    to: String,
    http: reqwest::Client,
    /// It knows no LIST, and loses what is signed.
    in_the_way: Arc<AtomicBool>,
    /// It has Vault's answer for a path that isn't there to every revocation.
    keeps_from_revoking: Arc<AtomicBool>,
}

impl Gateway {
    /// Before `server`, with nothing in the way; its address.
    async fn stand_before(server: &Server) -> (Self, String) {
        let gateway = Self {
            to: server.base.clone(),
            http: reqwest::Client::new(),
            in_the_way: Arc::default(),
            keeps_from_revoking: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gateway, address)
    }
}

async fn pass_on(State(gateway): State<Gateway>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let in_the_way = gateway.in_the_way.load(Ordering::SeqCst);
    if in_the_way && head.method.as_str() == "LIST" {
        return (StatusCode::METHOD_NOT_ALLOWED, Html("<h1>405 Not Allowed</h1>")).into_response();
    }
    if gateway.keeps_from_revoking.load(Ordering::SeqCst) && head.uri.path().ends_with("/revoke") {
        let words = json!({"errors": ["1 error occurred:\n\t* unsupported path\n\n"]});
        return (StatusCode::NOT_FOUND, words.to_string()).into_response();
    }
    let is_signature = head.uri.path().contains("/sign/");
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let url = format!("{}{}", gateway.to, head.uri);
    let mut headers = head.headers;
    headers.remove("host");
    let answer = gateway
        .http
        .request(head.method, url)
        .headers(headers)
        .body(body)
        .send();
    let answer = answer.await.unwrap();
    if in_the_way && is_signature {
        return (StatusCode::BAD_GATEWAY, Html("<h1>502 Bad Gateway</h1>")).into_response();
    }
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap()).into_response()
}

async fn a_list_that_a_gateway_refuses_is_the_adapters_trouble(server: Server) {
    let server = server.with_ca().await;
    let (gateway, address) = Gateway::stand_before(&server).await;
    gateway.in_the_way.store(true, Ordering::SeqCst);
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    let request = bench.asked("a.example.com").await;
    let why = until(async || bench.paused().await).await;
    assert!(
        why.contains("a gateway between here and Vault")
            && why.contains("status 405")
            && why.contains("LIST"),
        "{why}"
    );
    assert_eq!(
        bench.request(&request).await.status,
        RequestStatus::Issuing,
        "it may be signed"
    );
    bench.pass(1);
    let finding = until(async || bench.trouble().await).await;
    assert!(finding.what.contains("1 request waiting"), "{finding:?}");
    gateway.in_the_way.store(false, Ordering::SeqCst);
    let certificate = bench.come(&request).await;
    let (_, kept) = server.list(&format!("{MOUNT}/certs")).await;
    let n = kept["data"]["keys"].as_array().unwrap().len();
    assert_eq!(
        n, 2,
        "the CA's own and one: {certificate} was found, not signed again"
    );
}

/// It says nothing of the certificate: that is revoked as soon as the path is there.
async fn a_revocation_whose_path_is_not_there_waits_until_it_is(server: Server) {
    let server = server.with_ca().await;
    let (gateway, address) = Gateway::stand_before(&server).await;
    let bench = Bench::start_at(&server, &address, MOUNT).await;
    let certificate = bench.issued("a.example.com").await;
    gateway.keeps_from_revoking.store(true, Ordering::SeqCst);
    let job = bench.ask_back(&certificate).await;
    let why = until(async || bench.job(&job).await.error_message).await;
    assert!(why.contains("unsupported path"), "{why}");
    assert_eq!(bench.job(&job).await.status.as_str(), "queued");
    assert_eq!(bench.paused().await, None, "signing goes on");
    bench.issued("b.example.com").await;
    gateway.keeps_from_revoking.store(false, Ordering::SeqCst);
    // Past any pause between two tries.
    bench.pass(3_600);
    until(async || (bench.job(&job).await.status.as_str() == "done").then_some(())).await;
}
