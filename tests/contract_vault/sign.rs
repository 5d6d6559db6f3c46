//! Signing: what comes back, and what is refused in which words.

use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;

use super::server::{MOUNT, Server, csr, errors, warnings};

contracts!(
    a_signature_gives_certificate_issuer_and_chain,
    a_role_refuses_by_name,
    a_leaf_says_where_its_issuer_and_its_list_are,
    a_lifetime_is_cut_to_what_role_and_mount_allow,
    what_was_signed_is_kept_and_listed,
    the_ca_is_public,
    a_key_is_made_where_that_is_asked_for,
    a_mount_without_a_ca_says_so,
);

/// Reads what was signed.
fn with_certificate<T>(answer: &Value, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let pem = answer["data"]["certificate"].as_str().unwrap();
    let pem = pem::parse(pem).unwrap();
    look(&parse_x509_certificate(pem.contents()).unwrap().1)
}

fn seconds(answer: &Value) -> i64 {
    with_certificate(answer, |leaf| {
        let validity = leaf.validity();
        validity.not_after.timestamp() - validity.not_before.timestamp()
    })
}

async fn a_signature_gives_certificate_issuer_and_chain(server: Server) {
    let server = server.with_ca().await;
    let body = json!({
        "csr": csr("a.example.com", &["b.example.com", "10.1.2.3"]), "common_name": "a.example.com", "ttl": "1h",
    });
    let answer = server.must("cmp-pki/sign/cmp-role", body).await;
    let data = &answer["data"];
    assert!(answer["request_id"].is_string());
    assert_eq!(data["ca_chain"], json!([data["issuing_ca"]]));
    assert_eq!(data["private_key"], Value::Null);
    let serial = data["serial_number"].as_str().unwrap();
    let (end, names) = with_certificate(&answer, |leaf| {
        let own = leaf.raw_serial_as_string();
        assert_eq!(own.trim_start_matches("00:"), serial.trim_start_matches("00:"));
        assert!(leaf.subject().to_string().contains("a.example.com"));
        let usage = leaf.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature());
        let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.server_auth && purposes.client_auth);
        assert!(!leaf.is_ca());
        let names = leaf.subject_alternative_name().unwrap().unwrap().value;
        let names = names.general_names.iter().map(ToString::to_string);
        (
            leaf.validity().not_after.timestamp(),
            names.collect::<Vec<_>>().join(" "),
        )
    });
    assert_eq!(data["expiration"], json!(end));
    for name in ["a.example.com", "b.example.com", "IPAddress(0a:01:02:03)"] {
        assert!(names.contains(name), "{names}");
    }
    // Names beside those of the CSR don't count, which is told.
    let said = warnings(&answer);
    assert_eq!(
        said,
        "the common_name field was provided but the role is set with \"use_csr_common_name\" set to true"
    );
    // 30 seconds before, for clocks that are late.
    assert!((3590..=3640).contains(&seconds(&answer)), "{}", seconds(&answer));
}

async fn a_role_refuses_by_name(server: Server) {
    let server = server.with_ca().await;
    let (status, answer) = server
        .post("cmp-pki/sign/cmp-role", json!({"common_name": "a.example.com"}))
        .await;
    assert_eq!((status, errors(&answer)), (400, r#""csr" is empty"#.to_owned()));
    for (csr, words) in [
        ("nonsense", "csr contains no data"),
        (
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
            "certificate request could not be parsed",
        ),
    ] {
        let (status, answer) = server.post("cmp-pki/sign/cmp-role", json!({"csr": csr})).await;
        assert_eq!(status, 400, "{answer}");
        assert!(errors(&answer).contains(words), "{answer}");
    }
    for (name, sans, words) in [
        (
            "evil.example.org",
            &[][..],
            "common name evil.example.org not allowed by this role",
        ),
        (
            "example.com",
            &[],
            "common name example.com not allowed by this role",
        ),
        (
            "aexample.com",
            &[],
            "common name aexample.com not allowed by this role",
        ),
        (
            "a.example.com",
            &["db.internal"],
            "subject alternate name db.internal not allowed by this role",
        ),
    ] {
        let (status, answer) = server.sign(name, sans).await;
        assert_eq!((status, errors(&answer).as_str()), (400, words));
    }
    for name in ["*.example.com", "a.b.example.com", "A.example.com", "localhost"] {
        let (status, answer) = server.sign(name, &[]).await;
        assert_eq!(status, 200, "{name}: {answer}");
    }
    let (status, answer) = server
        .post("cmp-pki/sign/nobody", json!({"csr": csr("a", &[])}))
        .await;
    assert_eq!((status, errors(&answer).as_str()), (400, "unknown role: nobody"));
    server
        .must(
            "cmp-pki/roles/names",
            json!({"allow_any_name": true, "allow_ip_sans": false, "key_type": "any"}),
        )
        .await;
    let (status, answer) = server
        .post(
            "cmp-pki/sign/names",
            json!({"csr": csr("a.example.com", &["10.0.0.1"])}),
        )
        .await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("IP Subject Alternative Names are not allowed in this role"),
        "{answer}"
    );
    let (status, answer) = server
        .post("cmp-pki/sign/names", json!({"csr": csr("", &[])}))
        .await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("common_name field is required"),
        "{answer}"
    );
}

async fn a_leaf_says_where_its_issuer_and_its_list_are(server: Server) {
    let server = server.with_ca().await;
    let urls = json!({
        "crl_distribution_points": "http://v.example.com/crl",
        "issuing_certificates": ["http://v.example.com/ca"],
        "ocsp_servers": [],
    });
    server.must("cmp-pki/config/urls", urls).await;
    let (_, kept) = server.get("cmp-pki/config/urls").await;
    assert_eq!(
        kept["data"]["crl_distribution_points"],
        json!(["http://v.example.com/crl"])
    );
    let (_, signed) = server.sign("a.example.com", &[]).await;
    let words = with_certificate(&signed, |leaf| format!("{:?}", leaf.extensions()));
    assert!(
        words.contains("http://v.example.com/crl") && words.contains("http://v.example.com/ca"),
        "{words}"
    );
    let bad = json!({"crl_distribution_points": "not an address"});
    let (status, answer) = server.post("cmp-pki/config/urls", bad).await;
    assert_eq!(status, 400, "{answer}");
}

async fn a_lifetime_is_cut_to_what_role_and_mount_allow(server: Server) {
    let server = server.with_ca().await;
    let csr = csr("a.example.com", &[]);
    let (_, cut) = server
        .post("cmp-pki/sign/cmp-role", json!({"csr": csr, "ttl": "2000h"}))
        .await;
    assert!((seconds(&cut) - 720 * 3600).abs() < 60, "{cut}");
    assert!(warnings(&cut).contains("longer than permitted maxTTL"), "{cut}");
    let (status, unsaid) = server
        .post("cmp-pki/sign/cmp-role", json!({"csr": csr, "ttl": ""}))
        .await;
    assert_eq!((status, seconds(&unsaid)), (200, seconds(&cut)), "{unsaid}");
    let plain = json!({"allow_any_name": true, "key_type": "any"});
    server.must("cmp-pki/roles/plain", plain.clone()).await;
    let (_, usual) = server.post("cmp-pki/sign/plain", json!({"csr": csr})).await;
    assert!((seconds(&usual) - 768 * 3600).abs() < 60, "the mount's default");
    let (_, long) = server
        .post("cmp-pki/sign/plain", json!({"csr": csr, "ttl": "4000h"}))
        .await;
    assert!((seconds(&long) - 4000 * 3600).abs() < 60);
    let (status, answer) = server
        .post("cmp-pki/sign/plain", json!({"csr": csr, "ttl": "10000h"}))
        .await;
    assert_eq!(status, 400, "{answer}");
    assert!(
        errors(&answer).contains("beyond the expiration of the CA certificate"),
        "{answer}"
    );
    // A mount that nobody tuned gives 768 hours at most, its CA included.
    server.must("sys/mounts/other", json!({"type": "pki"})).await;
    let root = json!({"common_name": "other root", "ttl": "8760h", "key_type": "ec"});
    let root = server.must("other/root/generate/internal", root).await;
    assert!((seconds(&root) - 768 * 3600).abs() < 60, "{}", seconds(&root));
    assert!(warnings(&root).contains("longer than permitted maxTTL"), "{root}");
    let (status, answer) = server
        .post("other/roles/r", json!({"ttl": "900h", "max_ttl": "800h"}))
        .await;
    assert_eq!(status, 400, "{answer}");
}

async fn what_was_signed_is_kept_and_listed(server: Server) {
    let server = server.with_ca().await;
    let (_, before) = server.list("cmp-pki/certs").await;
    let n_before = before["data"]["keys"].as_array().unwrap().len();
    let (_, signed) = server.sign("a.example.com", &[]).await;
    let serial = signed["data"]["serial_number"].as_str().unwrap();
    let (_, after) = server.list("cmp-pki/certs").await;
    let after = after["data"]["keys"].as_array().unwrap();
    assert_eq!(after.len(), n_before + 1);
    assert!(after.contains(&json!(serial)));
    for spelled in [serial.to_owned(), serial.replace(':', "-"), serial.to_uppercase()] {
        let (status, kept) = server
            .with_token("")
            .get(&format!("cmp-pki/cert/{spelled}"))
            .await;
        assert_eq!(status, 200, "{spelled}");
        assert_eq!(kept["data"]["certificate"], signed["data"]["certificate"]);
        assert_eq!(kept["data"]["revocation_time"], json!(0));
    }
    let (status, answer) = server.get("cmp-pki/cert/zz").await;
    assert_eq!((status, errors(&answer).as_str()), (404, "unsupported path"));
    let (status, answer) = server.get("cmp-pki/cert/00:11:22").await;
    assert_eq!((status, errors(&answer).as_str()), (404, ""));
    let (status, _) = server.with_token("").list("cmp-pki/certs").await;
    assert_eq!(status, 403, "the list is not for everybody");
}

async fn the_ca_is_public(server: Server) {
    let server = server.with_ca().await;
    let (status, kind, pem) = server.raw("cmp-pki/ca/pem").await;
    assert_eq!(
        (status, kind.as_str()),
        (200, "application/pem-certificate-chain")
    );
    let der = pem::parse(&pem).unwrap().into_contents();
    let (status, kind, body) = server.raw("cmp-pki/ca").await;
    assert_eq!((status, kind.as_str()), (200, "application/pkix-cert"));
    assert_eq!(body, der);
    let (status, kind, chain) = server.raw("cmp-pki/ca_chain").await;
    assert_eq!(
        (status, kind.as_str()),
        (200, "application/pkix-cert"),
        "though it is PEM"
    );
    assert_eq!(pem::parse(&chain).unwrap().contents(), der);
    let (status, read) = server.with_token("").get("cmp-pki/cert/ca").await;
    assert_eq!(status, 200);
    let read = read["data"]["certificate"].as_str().unwrap();
    assert_eq!(pem::parse(read).unwrap().contents(), der);
    let (_, list) = server.list("cmp-pki/certs").await;
    assert_eq!(
        list["data"]["keys"].as_array().unwrap().len(),
        1,
        "the CA's own is among them"
    );
    let (_, ca) = parse_x509_certificate(&der).unwrap();
    assert!(ca.is_ca());
}

async fn a_key_is_made_where_that_is_asked_for(server: Server) {
    let server = server.with_ca().await;
    let body = json!({"common_name": "a.example.com"});
    let (status, answer) = server.post("cmp-pki/issue/cmp-role", body.clone()).await;
    assert_eq!(status, 400);
    let words = "role key type \"any\" not allowed for issuing certificates";
    assert!(errors(&answer).contains(words), "{answer}");
    for kind in ["ec", "rsa"] {
        let role = json!({"allow_any_name": true, "key_type": kind});
        server.must("cmp-pki/roles/maker", role).await;
        let answer = server.must("cmp-pki/issue/maker", body.clone()).await;
        assert_eq!(answer["data"]["private_key_type"], json!(kind));
        let key = answer["data"]["private_key"].as_str().unwrap();
        let key = rcgen::KeyPair::from_pem(key).unwrap();
        with_certificate(&answer, |leaf| {
            assert_eq!(
                leaf.public_key().raw,
                rcgen::PublicKeyData::subject_public_key_info(&key)
            );
        });
    }
    assert_eq!(server.get(&format!("{MOUNT}/roles/maker")).await.0, 200);
}

async fn a_mount_without_a_ca_says_so(server: Server) {
    let server = server.open().await;
    server.must("sys/mounts/empty", json!({"type": "pki"})).await;
    server
        .must(
            "empty/roles/r",
            json!({"allow_any_name": true, "key_type": "any"}),
        )
        .await;
    let (status, answer) = server
        .post("empty/sign/r", json!({"csr": csr("a.example.com", &[])}))
        .await;
    assert_eq!(status, 500, "{answer}");
    assert!(
        errors(&answer).contains("no default issuer currently configured"),
        "{answer}"
    );
    for path in ["empty/ca/pem", "empty/ca_chain", "empty/crl", "empty/crl/pem"] {
        assert_eq!(server.raw(path).await.0, 204, "{path}");
    }
    let (status, answer) = server.get("empty/cert/ca").await;
    assert_eq!(
        (status, errors(&answer).as_str()),
        (400, "no default issuer currently configured")
    );
    assert_eq!(server.get("empty/crl/rotate").await.0, 200);
    assert_eq!(server.list("empty/certs").await.0, 404);
}
