//! The revocation list: at once, by `auto_rebuild`, by hand, and how it is served.

use cmp_console::clock::Clock;
use cmp_console::domain::finding::{FindingKind, Severity};
use serde_json::{Value, json};
use x509_parser::{parse_x509_certificate, parse_x509_crl};

use super::issuer::{Bench, until};
use super::server::{MOUNT, Server, errors};

contracts!(
    a_revoked_serial_is_in_the_list_at_once,
    with_auto_rebuild_the_list_waits_for_its_time_or_for_who_asks,
    the_list_is_served_in_der_and_pem_to_everybody,
    what_makes_no_sense_in_the_lists_configuration_is_refused,
    a_disabled_list_is_empty,
    a_list_that_has_ended_stays_until_a_new_one_is_asked_for,
    a_list_that_is_not_renewed_is_a_finding,
);

/// The number of the list as it is published now, and the serials in it.
async fn published(server: &Server, mount: &str) -> (String, Vec<String>) {
    let pem = server.text(&format!("{mount}/crl/pem")).await;
    let der = pem::parse(&pem).unwrap().into_contents();
    let (_, list) = parse_x509_crl(&der).unwrap();
    let serials = list
        .iter_revoked_certificates()
        .map(|it| plain(&it.raw_serial_as_string()));
    (list.crl_number().unwrap().to_string(), serials.collect())
}

/// Without the octet that DER puts before a high first bit.
fn plain(serial: &str) -> String {
    serial.strip_prefix("00:").unwrap_or(serial).to_lowercase()
}

/// Whether the list that is published now has this serial.
pub(crate) async fn lists(server: &Server, mount: &str, serial: &str) -> bool {
    published(server, mount).await.1.contains(&plain(serial))
}

async fn revoked(server: &Server, name: &str) -> String {
    let (_, signed) = server.sign(name, &[]).await;
    let serial = signed["data"]["serial_number"].as_str().unwrap().to_owned();
    let body = json!({"serial_number": serial});
    server.must("cmp-pki/revoke", body).await;
    serial
}

async fn a_revoked_serial_is_in_the_list_at_once(server: Server) {
    let server = server.with_ca().await;
    let (first, none) = published(&server, "cmp-pki").await;
    assert!(none.is_empty());
    let serial = revoked(&server, "a.example.com").await;
    let (second, one) = published(&server, "cmp-pki").await;
    assert_eq!(one, [plain(&serial)]);
    assert!(second.parse::<u64>().unwrap() > first.parse::<u64>().unwrap());
    let (status, answer) = server.get("cmp-pki/crl/rotate").await;
    assert_eq!((status, &answer["data"]["success"]), (200, &json!(true)));
    let (third, _) = published(&server, "cmp-pki").await;
    assert!(third.parse::<u64>().unwrap() > second.parse::<u64>().unwrap());
    assert_eq!(server.with_token("").get("cmp-pki/crl/rotate").await.0, 403);
    assert_eq!(server.post("cmp-pki/crl/rotate", json!({})).await.0, 405);
}

async fn with_auto_rebuild_the_list_waits_for_its_time_or_for_who_asks(server: Server) {
    let server = server.with_ca().await;
    let (_, usual) = server.get("cmp-pki/config/crl").await;
    for (field, wanted) in [
        ("auto_rebuild", json!(false)),
        ("auto_rebuild_grace_period", json!("12h")),
        ("expiry", json!("72h")),
        ("disable", json!(false)),
        ("enable_delta", json!(false)),
        ("delta_rebuild_interval", json!("15m")),
    ] {
        assert_eq!(usual["data"][field], wanted, "{field}");
    }
    server
        .must("cmp-pki/config/crl", json!({"auto_rebuild": true}))
        .await;
    let (_, now) = server.get("cmp-pki/config/crl").await;
    assert_eq!(now["data"]["auto_rebuild"], json!(true));
    let (before, _) = published(&server, "cmp-pki").await;
    let serial = revoked(&server, "a.example.com").await;
    let (after, serials) = published(&server, "cmp-pki").await;
    assert_eq!(
        (&after, serials.len()),
        (&before, 0),
        "the CA said yes, and the list says nothing"
    );
    server.get("cmp-pki/crl/rotate").await;
    assert!(lists(&server, "cmp-pki", &serial).await);
}

async fn the_list_is_served_in_der_and_pem_to_everybody(server: Server) {
    let server = server.with_ca().await;
    let (status, kind, der) = server.raw("cmp-pki/crl").await;
    assert_eq!((status, kind.as_str()), (200, "application/pkix-crl"));
    let (status, kind, pem) = server.raw("cmp-pki/crl/pem").await;
    assert_eq!((status, kind.as_str()), (200, "application/x-pem-file"));
    assert_eq!(pem::parse(&pem).unwrap().contents(), der);
    let (status, read) = server.with_token("").get("cmp-pki/cert/crl").await;
    assert_eq!(status, 200);
    let read = read["data"]["certificate"].as_str().unwrap();
    assert_eq!(pem::parse(read).unwrap().contents(), der);
    let (_, list) = parse_x509_crl(&der).unwrap();
    let valid = list.next_update().unwrap().timestamp() - list.last_update().timestamp();
    assert_eq!(valid, 72 * 3600);
    let ca = pem::parse(server.text("cmp-pki/ca/pem").await).unwrap();
    let (_, ca) = parse_x509_certificate(ca.contents()).unwrap();
    assert_eq!(list.issuer(), ca.subject());
}

async fn what_makes_no_sense_in_the_lists_configuration_is_refused(server: Server) {
    let server = server.with_ca().await;
    for body in [
        json!({"expiry": "soon"}),
        json!({"auto_rebuild": true, "auto_rebuild_grace_period": "100h"}),
        json!({"auto_rebuild": false, "enable_delta": true}),
    ] {
        let (status, answer) = server.post("cmp-pki/config/crl", body.clone()).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    let (_, answer) = server
        .post(
            "cmp-pki/config/crl",
            json!({"auto_rebuild": "true", "expiry": "12h"}),
        )
        .await;
    assert_eq!(
        errors(&answer),
        "CRL auto-rebuilding grace period (12h) must be strictly shorter than CRL expiry (12h) value when \
         auto-rebuilding of CRLs is enabled"
    );
    server.must("cmp-pki/config/crl", json!({"expiry": 86400})).await;
    let (_, kept) = server.get("cmp-pki/config/crl").await;
    assert_eq!(kept["data"]["expiry"], json!("86400"), "a number is kept as text");
    server.must("cmp-pki/config/crl", json!({"expiry": "24h"})).await;
    let (_, kept) = server.get("cmp-pki/config/crl").await;
    assert_eq!(kept["data"]["expiry"], json!("24h"));
    server.get("cmp-pki/crl/rotate").await;
    let (_, _, der) = server.raw("cmp-pki/crl").await;
    let (_, list) = parse_x509_crl(&der).unwrap();
    let valid = list.next_update().unwrap().timestamp() - list.last_update().timestamp();
    assert_eq!(valid, 24 * 3600);
    let (status, answer) = server.with_token("").get("cmp-pki/config/crl").await;
    assert_eq!(
        (status, &answer["data"]),
        (403, &Value::Null),
        "{}",
        errors(&answer)
    );
}

async fn a_disabled_list_is_empty(server: Server) {
    let server = server.with_ca().await;
    let serial = revoked(&server, "a.example.com").await;
    assert!(lists(&server, "cmp-pki", &serial).await);
    server.must("cmp-pki/config/crl", json!({"disable": true})).await;
    assert!(!lists(&server, "cmp-pki", &serial).await);
    server.must("cmp-pki/config/crl", json!({"disable": false})).await;
    assert!(lists(&server, "cmp-pki", &serial).await);
}

/// When the list that is published now ends.
async fn end(server: &Server) -> i64 {
    let (_, _, der) = server.raw("cmp-pki/crl").await;
    let (_, list) = parse_x509_crl(&der).unwrap();
    list.next_update().unwrap().timestamp()
}

async fn a_list_that_has_ended_stays_until_a_new_one_is_asked_for(server: Server) {
    let server = server.with_ca().await;
    server.must("cmp-pki/config/crl", json!({"expiry": "2s"})).await;
    server.get("cmp-pki/crl/rotate").await;
    let first = published(&server, "cmp-pki").await;
    let ends = end(&server).await;
    until(async || (Clock::system().now().timestamp() > ends).then_some(())).await;
    assert_eq!(published(&server, "cmp-pki").await, first);
    server.get("cmp-pki/crl/rotate").await;
    assert!(end(&server).await > ends);
}

async fn a_list_that_is_not_renewed_is_a_finding(server: Server) {
    let server = server.with_ca().await;
    server.must("cmp-pki/config/crl", json!({"expiry": "30m"})).await;
    server.get("cmp-pki/crl/rotate").await;
    let ends = end(&server).await;
    let bench = Bench::start_at(&server, &server.base, MOUNT).await;
    bench.issued("a.example.com").await;
    // The certificate lives for an hour.
    until(async || bench.crl_ends_at().await.filter(|at| at.timestamp() == ends)).await;
    assert_eq!(bench.found(FindingKind::CrlExpired).await, None);
    bench.pass(31 * 60);
    let told = bench.found(FindingKind::CrlExpired).await.unwrap();
    assert_eq!(told.severity, Severity::Warning, "{told:?}");
    assert!(told.what.contains("vault read cmp-pki/crl/rotate"), "{told:?}");

    server.must("cmp-pki/config/crl", json!({"expiry": "72h"})).await;
    server.get("cmp-pki/crl/rotate").await;
    until(async || bench.found(FindingKind::CrlExpired).await.is_none().then_some(())).await;
}
