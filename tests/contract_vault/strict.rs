//! Where the bundled server is stricter than Vault, which takes what Go's parser takes.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use reqwest::Method;
use serde_json::{Value, json};
use x509_parser::parse_x509_certificate;

use super::server::{Server, csr, csr_of, errors};
use super::tokens::{policy, token};

/// In `sign/cmp-role`'s answer.
fn der(answer: &Value) -> Vec<u8> {
    let pem = answer["data"]["certificate"].as_str().unwrap();
    pem::parse(pem).unwrap().into_contents()
}

#[tokio::test]
async fn the_key_is_copied_and_used_as_its_kind_is() {
    let server = Server::bundled().await.with_ca().await;
    // `openssl req -new -sha256` with a key on secp384r1.
    let p384 = include_str!("../../src/domain/csr/p384_sha256.pem");
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let rsa = csr_of(&rsa, "a.example.com", &["a.example.com"]);
    for (request, transports) in [
        (p384, false),
        (rsa.as_str(), true),
        (&csr("a.example.com", &[]), false),
    ] {
        let answer = server
            .must("cmp-pki/sign/cmp-role", json!({"csr": request}))
            .await;
        let signed = der(&answer);
        let (_, leaf) = parse_x509_certificate(&signed).unwrap();
        let asked = pem::parse(request).unwrap().into_contents();
        let key = leaf.public_key().raw;
        assert!(asked.windows(key.len()).any(|it| it == key), "byte for byte");
        let usage = leaf.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_agreement());
        assert_eq!(usage.key_encipherment(), transports);
    }
}

#[tokio::test]
async fn a_name_too_long_for_a_subject_is_an_alternative_one_only() {
    let server = Server::bundled().await.with_ca().await;
    let long = format!("{}.example.com", "a".repeat(60));
    let (status, answer) = server.sign(&long, &[&long]).await;
    assert_eq!(status, 400, "{answer}");
    assert!(errors(&answer).contains("longer than 64 characters"), "{answer}");
    let mut params = CertificateParams::new(vec![long.clone()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    let bare = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .unwrap();
    let body = json!({"csr": bare});
    assert_eq!(
        server.post("cmp-pki/sign/cmp-role", body.clone()).await.0,
        400,
        "it requires a common name"
    );
    let role = json!({"allowed_domains": "example.com", "allow_subdomains": true, "key_type": "any", "require_cn": false});
    server.must("cmp-pki/roles/bare", role).await;
    let signed = der(&server.must("cmp-pki/sign/bare", body).await);
    let (_, leaf) = parse_x509_certificate(&signed).unwrap();
    assert_eq!(leaf.subject().iter().count(), 0);
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical, "since the subject is empty");
    params.subject_alt_names.clear();
    let nobody = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .unwrap();
    assert_eq!(
        server.post("cmp-pki/sign/bare", json!({"csr": nobody})).await.0,
        400
    );
}

#[tokio::test]
async fn two_common_names_are_one_too_many() {
    let server = Server::bundled().await.with_ca().await;
    let mut params = CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "a.example.com");
    // Another one, under its own number.
    let common_name = DnType::CustomDnType(vec![2, 5, 4, 3]);
    params.distinguished_name.push(common_name, "b.example.com");
    let two = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .unwrap();
    let before = server.list("cmp-pki/certs").await.1;
    let (status, answer) = server.post("cmp-pki/sign/cmp-role", json!({"csr": two})).await;
    assert_eq!(status, 400, "{answer}");
    assert!(errors(&answer).contains("one common name"), "{answer}");
    assert_eq!(
        server.list("cmp-pki/certs").await.1["data"],
        before["data"],
        "nothing was signed"
    );
}

#[tokio::test]
async fn another_spelling_of_a_path_is_the_same_path() {
    let server = Server::bundled().await.with_ca().await;
    let rules = "path \"cmp-pki/*\" { capabilities = [\"read\", \"update\"] }\n\
                 path \"cmp-pki/roles/*\" { capabilities = [\"deny\"] }";
    policy(&server, "not-the-roles", rules).await;
    let caller = token(&server, json!({"policies": ["not-the-roles"], "ttl": "1h"})).await;
    for path in [
        "cmp-pki/roles/cmp-role",
        "cmp-pki//roles/cmp-role",
        "cmp-pki/%2Froles/cmp-role",
        "cmp-pki/%2e/roles/cmp-role",
        "cmp-pki/sign/%2e%2e/roles/cmp-role",
        "/cmp-pki/roles//cmp-role/",
    ] {
        assert_eq!(caller.get(path).await.0, 403, "{path}");
        let (status, _) = caller
            .call(Method::POST, path, json!({"allow_any_name": true}))
            .await;
        assert_eq!(status, 403, "{path}");
        let asked = json!({"paths": [path.replace("%2e", ".").replace("%2F", "/")]});
        let (_, may) = caller.post("sys/capabilities-self", asked).await;
        let said = may["data"].as_object().unwrap().values().next().unwrap().clone();
        assert_eq!(said, json!(["deny"]), "{path}");
    }
    let (status, role) = server.get("cmp-pki//roles/./cmp-role").await;
    assert_eq!((status, &role["data"]["allow_any_name"]), (200, &json!(false)));
}
