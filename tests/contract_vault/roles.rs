//! Roles: written, read, listed, removed; keys held to their type and size.

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};

use super::server::{Server, csr, csr_of, errors};

contracts!(
    a_role_is_read_as_it_was_written_with_vaults_defaults,
    a_role_holds_keys_to_its_type_and_size,
    a_role_may_take_names_from_the_call_instead_of_the_csr,
);

async fn a_role_is_read_as_it_was_written_with_vaults_defaults(server: Server) {
    let server = server.open().await;
    server.must("sys/mounts/cmp-pki", json!({"type": "pki"})).await;
    assert_eq!(server.list("cmp-pki/roles").await.0, 404);
    let role = json!({"allowed_domains": "a.example.com, b.example.com", "max_ttl": "24h", "ttl": 60});
    server.must("cmp-pki/roles/web", role).await;
    let (status, read) = server.get("cmp-pki/roles/web").await;
    assert_eq!(status, 200);
    let read = &read["data"];
    assert_eq!(read["allowed_domains"], json!(["a.example.com", "b.example.com"]));
    assert_eq!((&read["ttl"], &read["max_ttl"]), (&json!(60), &json!(86_400)));
    for (field, wanted) in [
        ("allow_subdomains", json!(false)),
        ("allow_bare_domains", json!(false)),
        ("allow_glob_domains", json!(false)),
        ("allow_any_name", json!(false)),
        ("allow_localhost", json!(true)),
        ("allow_ip_sans", json!(true)),
        ("enforce_hostnames", json!(true)),
        ("require_cn", json!(true)),
        ("server_flag", json!(true)),
        ("client_flag", json!(true)),
        ("no_store", json!(false)),
        ("use_csr_common_name", json!(true)),
        ("use_csr_sans", json!(true)),
        ("not_before_duration", json!(30)),
        ("key_type", json!("rsa")),
        ("key_bits", json!(2048)),
        (
            "key_usage",
            json!(["DigitalSignature", "KeyAgreement", "KeyEncipherment"]),
        ),
        ("ext_key_usage", json!([])),
        ("issuer_ref", json!("default")),
    ] {
        assert_eq!(read[field], wanted, "{field}");
    }
    for (kind, bits) in [("ec", 256), ("any", 0)] {
        server
            .must("cmp-pki/roles/other", json!({"key_type": kind}))
            .await;
        let (_, read) = server.get("cmp-pki/roles/other").await;
        assert_eq!(read["data"]["key_bits"], json!(bits), "{kind}");
    }
    let (_, all) = server.list("cmp-pki/roles").await;
    assert_eq!(all["data"]["keys"], json!(["other", "web"]));
    for odd in [
        json!({"key_type": "dsa"}),
        json!({"key_bits": 100}),
        json!({"ttl": "x"}),
    ] {
        let (status, answer) = server.post("cmp-pki/roles/odd", odd.clone()).await;
        assert_eq!(status, 400, "{odd}: {answer}");
    }
    assert_eq!(server.delete("cmp-pki/roles/other").await.0, 204);
    let (status, answer) = server.get("cmp-pki/roles/other").await;
    assert_eq!((status, errors(&answer).as_str()), (404, ""));
}

async fn a_role_holds_keys_to_its_type_and_size(server: Server) {
    let server = server.with_ca().await;
    let csr = csr("a.example.com", &["a.example.com"]);
    for (role, words) in [
        (json!({"key_type": "rsa"}), "role requires keys of type rsa"),
        (
            json!({"key_type": "ec", "key_bits": 384}),
            "role requires a minimum of a 384-bit key, but CSR's key is 256 bits",
        ),
    ] {
        let mut body = json!({"allowed_domains": "example.com", "allow_subdomains": true});
        body.as_object_mut()
            .unwrap()
            .extend(role.as_object().unwrap().clone());
        server.must("cmp-pki/roles/strict", body).await;
        let (status, answer) = server.post("cmp-pki/sign/strict", json!({"csr": csr})).await;
        assert_eq!((status, errors(&answer).as_str()), (400, words));
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = csr_of(&key, "a.example.com", &[]);
    let (status, answer) = server.post("cmp-pki/sign/strict", json!({"csr": csr})).await;
    assert_eq!(status, 200, "{answer}");
}

async fn a_role_may_take_names_from_the_call_instead_of_the_csr(server: Server) {
    let server = server.with_ca().await;
    let role = json!({
        "allow_any_name": true, "key_type": "any", "use_csr_common_name": false, "use_csr_sans": false,
    });
    server.must("cmp-pki/roles/call", role).await;
    let body = json!({
        "csr": csr("csr.example.com", &["san.example.com"]), "common_name": "call.example.com",
        "alt_names": "alt.example.com", "ip_sans": "10.0.0.1",
    });
    let answer = server.must("cmp-pki/sign/call", body).await;
    let pem = pem::parse(answer["data"]["certificate"].as_str().unwrap()).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(pem.contents()).unwrap();
    let words = format!("{} {:?}", leaf.subject(), leaf.subject_alternative_name());
    assert!(
        words.contains("call.example.com") && words.contains("alt.example.com"),
        "{words}"
    );
    assert!(
        !words.contains("csr.example.com") && !words.contains("san.example.com"),
        "{words}"
    );
    let (status, answer) = server
        .post(
            "cmp-pki/sign/call",
            json!({"csr": csr("x", &[]), "common_name": "a", "ip_sans": "nowhere"}),
        )
        .await;
    assert_eq!(status, 400, "{answer}");
    assert_eq!(answer["data"], Value::Null);
}
