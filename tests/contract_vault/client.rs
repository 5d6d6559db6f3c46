//! Our own client and the issuer's adapter over the contract: logins and what keeps them alive, revocation in the
//! way that the CA can, and what the adapter says of its CA.

use std::time::Duration;

use cmp_console::clients::vault::{Lasts, Login, Place, Revoked, VaultError, VaultWriter};
use cmp_console::domain::reason::Reason;
use cmp_console::domain::secret::Secret;
use cmp_console::services::issuer::adapters::vault_pki::{Config, VaultPki};
use cmp_console::services::issuer::adapters::{
    Adapter, AdapterError, Order, Published, RevocationAnswer, TakesBack, Withdrawal,
};
use serde_json::{Value, json};

use super::server::{MOUNT, ROLE, Server, csr};

contracts!(
    a_given_token_is_kept_alive_as_far_as_that_goes,
    a_program_logs_in_again_when_its_token_has_ended,
    a_refused_login_is_told_and_not_tried_again_at_once,
    a_token_that_is_no_longer_taken_pauses_the_adapter,
    the_adapter_says_what_its_ca_can_do_and_does_it_so,
    a_token_that_may_not_look_at_itself_is_taken_for_what_it_is,
    a_denied_revocation_names_the_line_and_leaves_the_adapter_at_work,
    a_sealed_vault_is_away_whatever_is_asked,
    what_is_not_there_is_told_as_such,
    a_namespace_that_is_not_there_holds_nothing,
);

fn login(text: &Value) -> Login {
    Login::Token(Secret::new(text.as_str().unwrap().to_owned()))
}

fn writer(server: &Server, login: Login) -> VaultWriter {
    VaultWriter::new(&Place::at(&server.base), login).unwrap()
}

async fn made(server: &Server, body: Value) -> Login {
    login(&server.must("auth/token/create", body).await["auth"]["client_token"])
}

async fn a_given_token_is_kept_alive_as_far_as_that_goes(server: Server) {
    let server = server.open().await;
    let root = writer(&server, login(&json!(server.token)));
    assert_eq!(root.keep_alive().await.unwrap(), Lasts::Endless);
    let hour = made(&server, json!({"policies": ["default"], "period": "1h"})).await;
    let lasts = writer(&server, hour).keep_alive().await.unwrap();
    assert_eq!(lasts, Lasts::For(Duration::from_secs(3600)));
    let body = json!({"policies": ["default"], "ttl": "1h", "renewable": false});
    let fixed = made(&server, body).await;
    match writer(&server, fixed).keep_alive().await.unwrap() {
        Lasts::Only(left) => assert!(left > Duration::from_secs(3500) && left <= Duration::from_secs(3600)),
        other => panic!("{other:?}"),
    }
    let nobody = login(&json!("hvs.nobody"));
    let error = writer(&server, nobody).keep_alive().await.unwrap_err();
    assert!(matches!(error, VaultError::TokenOver), "{error:?}");
}

/// A role of AppRole that may sign, and its login.
async fn approle(server: &Server, ttl: &str) -> Login {
    let rules = "path \"cmp-pki/*\" { capabilities = [\"read\", \"list\", \"update\"] }";
    server
        .must("sys/policies/acl/issuer", json!({"policy": rules}))
        .await;
    server.must("sys/auth/approle", json!({"type": "approle"})).await;
    let role = json!({"token_policies": "issuer", "token_ttl": ttl, "token_max_ttl": ttl});
    server.must("auth/approle/role/issuer", role).await;
    let (_, role) = server.get("auth/approle/role/issuer/role-id").await;
    let secret = server.must("auth/approle/role/issuer/secret-id", json!({})).await;
    let text = |value: &Value| Some(Secret::new(value.as_str().unwrap().to_owned()));
    Login::of(
        None,
        text(&role["data"]["role_id"]),
        text(&secret["data"]["secret_id"]),
    )
}

pub(crate) async fn signs(writer: &VaultWriter) -> Result<(), VaultError> {
    let csr = csr("a.example.com", &[]);
    let signed = writer
        .sign(MOUNT, ROLE, &csr, "a.example.com", &[], Some("1h"))
        .await?;
    assert!(signed.certificate_pem.contains("BEGIN CERTIFICATE") && signed.chain.len() == 1);
    Ok(())
}

async fn a_program_logs_in_again_when_its_token_has_ended(server: Server) {
    let server = server.with_ca().await;
    let writer = writer(&server, approle(&server, "2s").await);
    let began = tokio::time::Instant::now();
    signs(&writer).await.unwrap();
    // Well beyond the end of the first token, and its role gives none that lasts longer.
    while began.elapsed() < Duration::from_secs(5) {
        signs(&writer).await.unwrap();
    }
    let lasts = writer.keep_alive().await.unwrap();
    assert!(
        matches!(lasts, Lasts::For(left) if left <= Duration::from_secs(2)),
        "{lasts:?}"
    );
}

async fn a_refused_login_is_told_and_not_tried_again_at_once(server: Server) {
    let server = server.with_ca().await;
    approle(&server, "1h").await;
    let wrong = |text: &str| Some(Secret::new(text.to_owned()));
    let writer = writer(&server, Login::of(None, wrong("nobody"), wrong("nothing")));
    for _ in 0..20 {
        let error = signs(&writer).await.unwrap_err();
        let VaultError::Login(words) = error else {
            panic!("{error:?}");
        };
        assert!(words.contains("invalid role or secret ID"), "{words}");
    }
}

fn adapter(server: &Server, login: Login, role: &str) -> VaultPki {
    let config = json!({"address": server.base, "mount": MOUNT, "role": role, "ttl": "1h"});
    let config: Config = serde_json::from_value(config).unwrap();
    VaultPki::new(config, login).unwrap()
}

fn order() -> Order {
    Order {
        csr_pem: csr("a.example.com", &[]),
        common_name: "a.example.com".to_owned(),
        sans: vec!["a.example.com".to_owned()],
        replaces: None,
    }
}

async fn a_token_that_is_no_longer_taken_pauses_the_adapter(server: Server) {
    let server = server.with_ca().await;
    let body = json!({"policies": ["root"], "ttl": "1h"});
    let made = server.must("auth/token/create", body).await;
    let token = &made["auth"]["client_token"];
    let adapter = adapter(&server, login(token), ROLE);
    adapter.sign(&order()).await.unwrap();
    adapter.ready().await.unwrap();
    server.must("auth/token/revoke", json!({"token": token})).await;
    for answer in [adapter.sign(&order()).await.map(drop), adapter.ready().await] {
        assert!(matches!(answer, Err(AdapterError::Away(_))), "{answer:?}");
    }
}

async fn the_adapter_says_what_its_ca_can_do_and_does_it_so(server: Server) {
    let server = server.with_ca().await;
    let role = json!({"allow_any_name": true, "key_type": "any", "no_store": true});
    server.must("cmp-pki/roles/unkept", role).await;
    let root = login(&json!(server.token));
    for (role, revoke, list) in [
        (ROLE, TakesBack::BySerial, true),
        ("unkept", TakesBack::ByCertificate, false),
    ] {
        let adapter = adapter(&server, root.clone(), role);
        let can = adapter.capabilities().await.unwrap();
        assert_eq!((can.revoke, can.list, can.crl), (revoke, list, Published::AtOnce));
        assert!(!can.hold && !can.reasons);
        let signed = adapter.sign(&order()).await.unwrap();
        let what = Withdrawal {
            serial: serial(&signed.pem),
            pem: signed.pem,
            reason: Reason::Superseded,
        };
        for _ in 0..2 {
            let answer = adapter.revoke(&what).await.unwrap();
            assert_eq!(answer, RevocationAnswer::Accepted, "{role}");
        }
        assert!(super::crl::lists(&server, MOUNT, &what.serial).await, "{role}");
    }
    // What was signed under a role that kept nothing is found its way even where the adapter thinks otherwise.
    let unkept = adapter(&server, root.clone(), "unkept");
    let signed = unkept.sign(&order()).await.unwrap();
    let what = Withdrawal {
        serial: serial(&signed.pem),
        pem: signed.pem,
        reason: Reason::Superseded,
    };
    let usual = adapter(&server, root.clone(), ROLE);
    assert_eq!(usual.revoke(&what).await.unwrap(), RevocationAnswer::Accepted);
    server
        .must("cmp-pki/config/crl", json!({"auto_rebuild": true}))
        .await;
    let later = adapter(&server, root.clone(), ROLE);
    let hours = Duration::from_secs(60 * 3600);
    assert_eq!(later.capabilities().await.unwrap().crl, Published::Within(hours));
    // A certificate of another CA is refused for good, not asked for again and again.
    server.found("other").await;
    let body = json!({"csr": csr("a.example.com", &[])});
    let foreign = server.must("other/sign/cmp-role", body).await;
    let writer = writer(&server, root);
    let pem = foreign["data"]["certificate"].as_str().unwrap();
    let error = writer.revoke_certificate(MOUNT, pem).await.unwrap_err();
    assert!(matches!(error, VaultError::Refused(_)), "{error:?}");
    assert_eq!(
        writer.revoke_certificate("other", pem).await.unwrap(),
        Revoked::Accepted
    );
}

async fn a_token_that_may_not_look_at_itself_is_taken_for_what_it_is(server: Server) {
    let server = server.with_ca().await;
    let sign = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    super::tokens::policy(&server, "signer", sign).await;
    let body = json!({"policies": ["signer"], "ttl": "1h", "no_default_policy": true});
    let bare = made(&server, body).await;
    let writer = writer(&server, bare.clone());
    signs(&writer).await.unwrap();
    let error = writer.revoke(MOUNT, "00:11:22").await.unwrap_err();
    assert_eq!(
        error,
        VaultError::Denied("the token's policy does not allow it".to_owned())
    );
    writer.reader().let_in().await.unwrap();
    let adapter = adapter(&server, bare, ROLE);
    adapter.ready().await.unwrap();
    adapter.sign(&order()).await.unwrap();
}

async fn a_denied_revocation_names_the_line_and_leaves_the_adapter_at_work(server: Server) {
    let server = server.with_ca().await;
    let sign = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    super::tokens::policy(&server, "issuer", sign).await;
    let token = made(&server, json!({"policies": ["issuer"], "ttl": "1h"})).await;
    let adapter = adapter(&server, token, ROLE);
    let signed = adapter.sign(&order()).await.unwrap();
    let what = Withdrawal {
        serial: serial(&signed.pem),
        pem: signed.pem,
        reason: Reason::Superseded,
    };
    let line = "path \"cmp-pki/revoke\" { capabilities = [\"update\"] }";
    for _ in 0..2 {
        let Err(AdapterError::Denied(words)) = adapter.revoke(&what).await else {
            panic!("not denied");
        };
        assert!(words.contains(&format!("lacks `{line}`")), "{words}");
        assert!(!words.contains('\n'), "{words}");
    }
    adapter.ready().await.unwrap();
    adapter.sign(&order()).await.unwrap();
    assert!(!super::crl::lists(&server, MOUNT, &what.serial).await);
    super::tokens::policy(&server, "issuer", &format!("{sign}\n{line}")).await;
    let answer = adapter.revoke(&what).await.unwrap();
    assert_eq!(answer, RevocationAnswer::Accepted);
    assert!(super::crl::lists(&server, MOUNT, &what.serial).await);
}

async fn a_sealed_vault_is_away_whatever_is_asked(server: Server) {
    let server = server.with_ca().await;
    let root = login(&json!(server.token));
    let writer = writer(&server, root.clone());
    let reader = writer.reader();
    let adapter = adapter(&server, root, ROLE);
    let signed = adapter.sign(&order()).await.unwrap();
    assert_eq!(server.put("sys/seal", Value::Null).await.0, 204);
    let serial = serial(&signed.pem);
    for error in [
        signs(&writer).await.unwrap_err(),
        writer.revoke(MOUNT, &serial).await.unwrap_err(),
        writer.revoke_certificate(MOUNT, &signed.pem).await.unwrap_err(),
        writer.keep_alive().await.unwrap_err(),
        reader.mounts().await.unwrap_err(),
        reader.crl(MOUNT).await.unwrap_err(),
        reader.ca_chain(MOUNT).await.unwrap_err(),
        reader.certificates(MOUNT).await.unwrap_err(),
        reader.certificate(MOUNT, &serial).await.unwrap_err(),
        reader.keeps(MOUNT, ROLE).await.unwrap_err(),
        reader.crl_rule(MOUNT).await.unwrap_err(),
        reader.may("update", "cmp-pki/revoke").await.unwrap_err(),
    ] {
        assert_eq!(error, VaultError::Sealed);
    }
    assert!(reader.seal_status().await.unwrap().sealed);
    assert_eq!(reader.health().await.unwrap().status, 503);
    for answer in [adapter.sign(&order()).await.map(drop), adapter.ready().await] {
        assert_eq!(answer, Err(AdapterError::Sealed("Vault is sealed".to_owned())));
    }
    // It is the same one afterwards.
    server.unseal().await;
    signs(&writer).await.unwrap();
    assert_eq!(writer.revoke(MOUNT, &serial).await.unwrap(), Revoked::Accepted);
}

async fn what_is_not_there_is_told_as_such(server: Server) {
    let server = server.with_ca().await;
    let writer = writer(&server, login(&json!(server.token)));
    let reader = writer.reader();
    for error in [
        writer.revoke("nowhere", "00:11:22").await.unwrap_err(),
        reader.certificates("nowhere").await.unwrap_err(),
        reader.keeps("nowhere", ROLE).await.unwrap_err(),
        reader.keeps(MOUNT, "nobody").await.unwrap_err(),
        reader.crl_rule("nowhere").await.unwrap_err(),
        reader.certificate(MOUNT, "00:11:22").await.unwrap_err(),
        reader.certificate(MOUNT, "zz").await.unwrap_err(),
    ] {
        assert!(matches!(error, VaultError::NotFound(_)), "{error:?}");
    }
    // Without a token, as they are asked for, lists and chains of nobody are denied.
    for error in [
        reader.crl("nowhere").await.unwrap_err(),
        reader.ca_chain("nowhere").await.unwrap_err(),
    ] {
        assert!(matches!(error, VaultError::Denied(_)), "{error:?}");
    }
    let csr = csr("a.example.com", &[]);
    let sign = async |mount: &str, role: &str| {
        let signed = writer.sign(mount, role, &csr, "a.example.com", &[], None).await;
        signed.map(drop).unwrap_err()
    };
    assert!(matches!(sign("nowhere", ROLE).await, VaultError::NotFound(_)));
    let unknown = VaultError::Refused("unknown role: nobody".to_owned());
    assert_eq!(sign(MOUNT, "nobody").await, unknown);
    let refused = writer.revoke(MOUNT, "00:11:22").await.unwrap_err();
    let words = "certificate with serial 00:11:22 not found.";
    assert_eq!(refused, VaultError::Refused(words.to_owned()));
}

async fn a_namespace_that_is_not_there_holds_nothing(server: Server) {
    let server = server.with_ca().await;
    let place = Place {
        namespace: Some("nowhere".to_owned()),
        ..Place::at(&server.base)
    };
    let nowhere = VaultWriter::new(&place, login(&json!(server.token))).unwrap();
    let reader = nowhere.reader();
    for error in [
        signs(&nowhere).await.unwrap_err(),
        nowhere.revoke(MOUNT, "00:11:22").await.unwrap_err(),
        nowhere.keep_alive().await.unwrap_err(),
        reader.mounts().await.unwrap_err(),
        reader.crl(MOUNT).await.unwrap_err(),
    ] {
        assert_eq!(error, VaultError::NotFound("`namespace not found`".to_owned()));
    }
    // Seal and health are the node's, wherever one is.
    assert!(!reader.seal_status().await.unwrap().sealed);
    assert_eq!(reader.health().await.unwrap().status, 200);
    assert_eq!(server.put("sys/seal", Value::Null).await.0, 204);
    assert_eq!(signs(&nowhere).await.unwrap_err(), VaultError::Sealed);
    for key in &server.keys[..3] {
        nowhere.unseal(&Secret::new(key.clone())).await.unwrap();
    }
    assert!(!reader.seal_status().await.unwrap().sealed);
}

fn serial(pem: &str) -> String {
    let pem = pem::parse(pem).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(pem.contents()).unwrap();
    let serial = hex::encode(certificate.raw_serial());
    cmp_console::domain::certificate::normal_serial(&serial).unwrap()
}

/// Only where the server has namespaces, which Vault's community edition and ours don't.
#[tokio::test]
async fn what_is_in_a_namespace_is_reached_there() {
    let Some(server) = Server::real().await else {
        return;
    };
    let server = server.open().await;
    let (status, _) = server.post("sys/namespaces/team", json!({})).await;
    if status != 200 {
        eprintln!("skipped: this server has no namespaces");
        return;
    }
    for (path, body) in [
        ("team/sys/mounts/cmp-pki", json!({"type": "pki"})),
        (
            "team/cmp-pki/root/generate/internal",
            json!({"common_name": "team root", "key_type": "ec"}),
        ),
        (
            "team/cmp-pki/roles/cmp-role",
            json!({"allow_any_name": true, "key_type": "any"}),
        ),
    ] {
        server.must(path, body).await;
    }
    let place = Place {
        namespace: Some("team".to_owned()),
        ..Place::at(&server.base)
    };
    let inside = VaultWriter::new(&place, login(&json!(server.token))).unwrap();
    signs(&inside).await.unwrap();
    let reader = inside.reader();
    assert!(!reader.seal_status().await.unwrap().sealed);
    assert!(
        reader
            .mounts()
            .await
            .unwrap()
            .iter()
            .any(|mount| mount.path == MOUNT)
    );
    assert!(reader.crl(MOUNT).await.unwrap().contains("X509 CRL"));
    let outside = writer(&server, login(&json!(server.token)));
    assert!(signs(&outside).await.is_err());
}
