//! Revocation: by serial, by certificate, twice, and where the CA kept nothing.

use serde_json::{Value, json};

use super::server::{Server, csr, errors, warnings};

contracts!(
    a_revocation_is_done_once_however_often_it_is_asked_for,
    what_is_not_there_can_not_be_revoked,
    what_was_not_kept_is_revoked_by_its_certificate,
    what_has_expired_is_on_no_list,
);

async fn a_revocation_is_done_once_however_often_it_is_asked_for(server: Server) {
    let server = server.with_ca().await;
    let (_, signed) = server.sign("a.example.com", &[]).await;
    let serial = signed["data"]["serial_number"].as_str().unwrap();
    let (status, first) = server
        .post("cmp-pki/revoke", json!({"serial_number": serial}))
        .await;
    assert_eq!((status, &first["data"]["state"]), (200, &json!("revoked")));
    let at = first["data"]["revocation_time"].as_i64().unwrap();
    assert!(at > 1_700_000_000, "{first}");
    assert!(
        first["data"]["revocation_time_rfc3339"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    for spelled in [serial.replace(':', "-"), serial.to_uppercase(), serial.to_owned()] {
        let (status, again) = server
            .post("cmp-pki/revoke", json!({"serial_number": spelled}))
            .await;
        assert_eq!(
            (status, &again["data"]["revocation_time"]),
            (200, &json!(at)),
            "{spelled}"
        );
    }
    let (_, kept) = server.get(&format!("cmp-pki/cert/{serial}")).await;
    assert_eq!(kept["data"]["revocation_time"], json!(at));
    let (_, signed) = server.sign("b.example.com", &[]).await;
    let body = json!({"certificate": signed["data"]["certificate"]});
    let (status, answer) = server.post("cmp-pki/revoke", body).await;
    assert_eq!(
        (status, &answer["data"]["state"]),
        (200, &json!("revoked")),
        "{answer}"
    );
}

async fn what_is_not_there_can_not_be_revoked(server: Server) {
    let server = server.with_ca().await;
    let (status, answer) = server
        .post("cmp-pki/revoke", json!({"serial_number": "00:11:22:33"}))
        .await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("certificate with serial 00:11:22:33 not found."),
        "{answer}"
    );
    let (status, answer) = server.post("cmp-pki/revoke", json!({})).await;
    assert_eq!(status, 400, "{answer}");
    for (serial, words) in [
        (json!(""), "The serial number must be provided"),
        (Value::Null, "The serial number must be provided"),
        (json!("zz"), "certificate with serial zz not found."),
        (json!(7), "certificate with serial 7 not found."),
    ] {
        let body = json!({"serial_number": serial});
        let (status, answer) = server.post("cmp-pki/revoke", body).await;
        assert_eq!((status, errors(&answer).as_str()), (400, words));
    }
    let path = json!({"certificate": "/etc/ssl/a.pem"});
    let (status, answer) = server.post("cmp-pki/revoke", path).await;
    assert_eq!(status, 500);
    assert!(
        errors(&answer).contains("provided certificate data was too short"),
        "{answer}"
    );
    let (status, answer) = server
        .post("cmp-pki/revoke", json!({"certificate": "nonsense"}))
        .await;
    assert_eq!(status, 500, "{answer}");
    let (_, ca) = server.get("cmp-pki/cert/ca").await;
    let body = json!({"certificate": ca["data"]["certificate"]});
    let (status, answer) = server.post("cmp-pki/revoke", body).await;
    assert_eq!(status, 400, "{answer}");
    assert!(
        errors(&answer).contains("adding issuer") && errors(&answer).contains("not allowed"),
        "{answer}"
    );
    // Another CA's certificate is not ours to take back.
    server.found("other").await;
    let body = json!({"csr": csr("a.example.com", &[])});
    let foreign = server.must("other/sign/cmp-role", body).await;
    let body = json!({"certificate": foreign["data"]["certificate"]});
    let (status, answer) = server.post("cmp-pki/revoke", body).await;
    assert_eq!(status, 500, "{answer}");
    assert!(errors(&answer).contains("unable to verify signature"), "{answer}");
}

async fn what_was_not_kept_is_revoked_by_its_certificate(server: Server) {
    let server = server.with_ca().await;
    let role = json!({"allow_any_name": true, "key_type": "any", "no_store": true});
    server.must("cmp-pki/roles/unkept", role).await;
    let (_, before) = server.list("cmp-pki/certs").await;
    let body = json!({"csr": csr("a.example.com", &[]), "ttl": "1h"});
    let signed = server.must("cmp-pki/sign/unkept", body).await;
    let serial = signed["data"]["serial_number"].as_str().unwrap();
    let (_, after) = server.list("cmp-pki/certs").await;
    assert_eq!(before["data"], after["data"]);
    assert_eq!(server.get(&format!("cmp-pki/cert/{serial}")).await.0, 404);
    let (status, answer) = server
        .post("cmp-pki/revoke", json!({"serial_number": serial}))
        .await;
    assert_eq!(status, 400);
    assert!(errors(&answer).contains("not found"), "{answer}");
    let both = json!({"serial_number": serial, "certificate": signed["data"]["certificate"]});
    let (status, answer) = server.post("cmp-pki/revoke", both).await;
    assert_eq!(status, 400, "{answer}");
    let body = json!({"certificate": signed["data"]["certificate"]});
    let (status, revoked) = server.post("cmp-pki/revoke", body.clone()).await;
    assert_eq!(
        (status, &revoked["data"]["state"]),
        (200, &json!("revoked")),
        "{revoked}"
    );
    let (_, again) = server.post("cmp-pki/revoke", body).await;
    assert_eq!(
        again["data"]["revocation_time"],
        revoked["data"]["revocation_time"]
    );
    let (status, kept) = server.get(&format!("cmp-pki/cert/{serial}")).await;
    assert_eq!(
        status, 200,
        "with its revocation the CA begins to keep it: {kept}"
    );
    assert!(super::crl::lists(&server, "cmp-pki", serial).await);
}

async fn what_has_expired_is_on_no_list(server: Server) {
    let server = server.with_ca().await;
    let body = json!({"csr": csr("a.example.com", &[]), "ttl": "1s"});
    let signed = server.must("cmp-pki/sign/cmp-role", body).await;
    let end = signed["data"]["expiration"].as_i64().unwrap();
    while cmp_console::clock::Clock::system().now().timestamp() <= end {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let serial = signed["data"]["serial_number"].as_str().unwrap();
    let (status, answer) = server
        .post("cmp-pki/revoke", json!({"serial_number": serial}))
        .await;
    assert_eq!((status, &answer["data"]), (200, &Value::Null), "{answer}");
    assert!(warnings(&answer).contains("already expired"), "{answer}");
    assert!(!super::crl::lists(&server, "cmp-pki", serial).await);
}
