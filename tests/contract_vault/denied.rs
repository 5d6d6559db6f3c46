//! Who is denied something, and in which words: a token that lives and may not, and one that is none, or none any
//! more. The client tells the two apart by them.

use cmp_console::clients::vault::{Login, Place, VaultReader};
use cmp_console::domain::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Server, csr, errors, warnings};
use super::tokens::{policy, token};

contracts!(
    who_may_not_and_who_is_nobody_are_told_apart,
    a_token_without_default_may_not_even_look_at_itself,
    a_token_of_so_many_uses_is_none_afterwards,
    a_token_that_has_ended_is_none,
    a_token_is_ended_by_its_accessor,
    the_missing_line_is_looked_up_by_whoever_may_ask,
    a_line_is_read_as_it_is_written,
);

/// What Vault says to a token that lives.
const BY_POLICY: &str = "1 error occurred:\n\t* permission denied\n\n";
/// What it says to one that is none.
const NOBODY: &str = "permission denied";
const SIGN: &str = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";

async fn signer(server: &Server, body: Value) -> Server {
    policy(server, "signer", SIGN).await;
    let mut whole = json!({"policies": ["signer"], "ttl": "1h"});
    whole
        .as_object_mut()
        .unwrap()
        .extend(body.as_object().unwrap().clone());
    token(server, whole).await
}

/// Every call of the issuer and the console that takes a policy, but for the signature.
fn calls() -> Vec<(Method, &'static str, Value)> {
    vec![
        (
            Method::POST,
            "cmp-pki/revoke",
            json!({"serial_number": "00:11:22"}),
        ),
        (Method::POST, "cmp-pki/sign/another", json!({"csr": "x"})),
        (Method::GET, "cmp-pki/roles/cmp-role", Value::Null),
        (Method::GET, "cmp-pki/config/crl", Value::Null),
        (Method::GET, "cmp-pki/crl/rotate", Value::Null),
        (Method::from_bytes(b"LIST").unwrap(), "cmp-pki/certs", Value::Null),
        (Method::GET, "sys/mounts", Value::Null),
        // Where nothing is, nobody learns that who may not look.
        (Method::POST, "nowhere/sign/cmp-role", json!({"csr": "x"})),
        (Method::GET, "cmp-pki/nothing/here", Value::Null),
    ]
}

async fn who_may_not_and_who_is_nobody_are_told_apart(server: Server) {
    let server = server.with_ca().await;
    let signer = signer(&server, json!({})).await;
    for (who, words) in [
        (signer.token.as_str(), BY_POLICY),
        ("", NOBODY),
        ("hvs.nobody", NOBODY),
        ("no token at all", NOBODY),
    ] {
        let it = server.with_token(who);
        for (method, path, body) in calls() {
            let (status, answer) = it.call(method, path, body).await;
            assert_eq!(
                (status, errors(&answer).as_str()),
                (403, words),
                "{path} as {who:?}"
            );
        }
    }
    for path in [
        "auth/token/lookup-self",
        "auth/token/renew-self",
        "sys/capabilities-self",
    ] {
        let method = if path.ends_with("lookup-self") {
            Method::GET
        } else {
            Method::POST
        };
        let nobody = server.with_token("hvs.nobody");
        let (status, answer) = nobody.call(method, path, json!({"paths": ["a"]})).await;
        assert_eq!((status, errors(&answer).as_str()), (403, NOBODY), "{path}");
    }
    // What is public is so for everybody, with whatever token.
    for who in [signer.token.as_str(), "", "hvs.nobody"] {
        let it = server.with_token(who);
        for path in ["cmp-pki/ca_chain", "cmp-pki/crl/pem", "cmp-pki/cert/ca"] {
            let (status, answer) = it.get(path).await;
            assert_eq!(status, 200, "{path} as {who:?}: {answer}");
        }
        assert_eq!(it.get("sys/seal-status").await.0, 200);
    }
}

async fn a_token_without_default_may_not_even_look_at_itself(server: Server) {
    let server = server.with_ca().await;
    let bare = signer(&server, json!({"no_default_policy": true})).await;
    assert_eq!(bare.sign("a.example.com", &[]).await.0, 200);
    for (method, path, body) in [
        (Method::GET, "auth/token/lookup-self", Value::Null),
        (Method::POST, "auth/token/renew-self", json!({})),
        (Method::POST, "auth/token/revoke-self", json!({})),
        (Method::POST, "sys/capabilities-self", json!({"paths": ["a"]})),
    ] {
        let (status, answer) = bare.call(method, path, body).await;
        assert_eq!((status, errors(&answer).as_str()), (403, BY_POLICY), "{path}");
    }
    assert_eq!(bare.sign("a.example.com", &[]).await.0, 200, "and it lives");
}

async fn a_token_of_so_many_uses_is_none_afterwards(server: Server) {
    let server = server.with_ca().await;
    let three = signer(&server, json!({"num_uses": 3})).await;
    let (_, own) = three.get("auth/token/lookup-self").await;
    assert_eq!(own["data"]["num_uses"], json!(2), "{own}");
    let (status, answer) = three.get("sys/mounts").await;
    assert_eq!((status, errors(&answer).as_str()), (403, BY_POLICY));
    assert_eq!(
        three.sign("a.example.com", &[]).await.0,
        200,
        "the last one is carried out"
    );
    let (status, answer) = three.sign("a.example.com", &[]).await;
    assert_eq!((status, errors(&answer).as_str()), (403, NOBODY));
    let parent = token(&server, json!({"policies": ["root"], "num_uses": 5})).await;
    let (status, answer) = parent.post("auth/token/create", json!({})).await;
    assert_eq!(status, 400);
    assert_eq!(
        errors(&answer),
        "restricted use token cannot generate child tokens"
    );
    let (status, answer) = server.post("auth/token/create", json!({"num_uses": -1})).await;
    assert_eq!(status, 400);
    assert_eq!(errors(&answer), "number of uses cannot be negative");
}

async fn a_token_that_has_ended_is_none(server: Server) {
    let server = server.with_ca().await;
    let short = signer(&server, json!({"ttl": "1s"})).await;
    loop {
        let (status, answer) = short.get("auth/token/lookup-self").await;
        if status != 200 {
            assert_eq!((status, errors(&answer).as_str()), (403, NOBODY));
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (status, answer) = short.sign("a.example.com", &[]).await;
    assert_eq!((status, errors(&answer).as_str()), (403, NOBODY));
    let (status, answer) = short.post("auth/token/renew-self", json!({})).await;
    assert_eq!((status, errors(&answer).as_str()), (403, NOBODY));
    // The root token never ends, and nothing renews it.
    let (status, answer) = server.post("auth/token/renew-self", json!({})).await;
    assert_eq!((status, errors(&answer).as_str()), (400, "invalid lease ID"));
    let hour = signer(&server, json!({})).await;
    let (status, answer) = hour
        .post("auth/token/renew-self", json!({"increment": "soon"}))
        .await;
    assert_eq!(status, 400);
    assert!(errors(&answer).contains("invalid duration \"soon\""), "{answer}");
}

async fn a_token_is_ended_by_its_accessor(server: Server) {
    let server = server.with_ca().await;
    let it = signer(&server, json!({})).await;
    let (_, own) = it.get("auth/token/lookup-self").await;
    let accessor = json!({"accessor": own["data"]["accessor"]});
    let seen = server.must("auth/token/lookup-accessor", accessor.clone()).await;
    assert_eq!(
        (&seen["data"]["id"], &seen["data"]["policies"]),
        (&json!(""), &json!(["default", "signer"])),
        "who knows the accessor doesn't learn the token"
    );
    let revoke = || server.post("auth/token/revoke-accessor", accessor.clone());
    assert_eq!(revoke().await.0, 204);
    let (status, answer) = it.sign("a.example.com", &[]).await;
    assert_eq!((status, errors(&answer).as_str()), (403, NOBODY));
    let (status, answer) = revoke().await;
    assert_eq!(status, 200);
    assert_eq!(warnings(&answer), "No token found with this accessor");
    let (status, answer) = server.post("auth/token/lookup-accessor", accessor).await;
    assert_eq!(status, 400, "{answer}");
    assert!(errors(&answer).contains("invalid accessor"), "{answer}");
}

async fn the_missing_line_is_looked_up_by_whoever_may_ask(server: Server) {
    let server = server.with_ca().await;
    let signer = signer(&server, json!({})).await;
    let ask = async |paths: Value| {
        signer
            .must("sys/capabilities-self", json!({"paths": paths}))
            .await
    };
    let one = ask(json!(["cmp-pki/revoke"])).await;
    for part in [&one, &one["data"]] {
        assert_eq!(part["cmp-pki/revoke"], json!(["deny"]), "{one}");
        assert_eq!(part["capabilities"], json!(["deny"]), "{one}");
    }
    let two = ask(json!(["cmp-pki/revoke", "cmp-pki/sign/cmp-role"])).await;
    for part in [&two, &two["data"]] {
        assert_eq!(part["cmp-pki/sign/cmp-role"], json!(["update"]), "{two}");
        assert_eq!(part["capabilities"], Value::Null, "{two}");
    }
    // What is given counts at once, also for who is logged in.
    let more = format!("{SIGN}\npath \"cmp-pki/revoke\" {{ capabilities = [\"update\"] }}");
    policy(&server, "signer", &more).await;
    let now = ask(json!(["cmp-pki/revoke"])).await;
    assert_eq!(now["data"]["cmp-pki/revoke"], json!(["update"]));
    let body = json!({"csr": csr("a.example.com", &[])});
    let signed = signer.must("cmp-pki/sign/cmp-role", body).await;
    let serial = json!({"serial_number": signed["data"]["serial_number"]});
    assert_eq!(signer.post("cmp-pki/revoke", serial).await.0, 200);
}

async fn a_line_is_read_as_it_is_written(server: Server) {
    let server = server.with_ca().await;
    let with = async |rules: &str| {
        policy(&server, "lines", rules).await;
        token(&server, json!({"policies": ["lines"], "ttl": "1h"})).await
    };
    // To revoke and to sign is to update: `create` is another word, though both are a POST.
    let creator = with("path \"cmp-pki/*\" { capabilities = [\"create\"] }").await;
    for path in ["cmp-pki/revoke", "cmp-pki/sign/cmp-role"] {
        let (status, answer) = creator.post(path, json!({"serial_number": "00"})).await;
        assert_eq!((status, errors(&answer).as_str()), (403, BY_POLICY), "{path}");
    }
    // Who lists may write the slash or not, and a list may end in a comma.
    for written in ["cmp-pki/certs", "cmp-pki/certs/"] {
        let lister = with(&format!("path \"{written}\" {{ capabilities = [\"list\",] }}")).await;
        assert_eq!(lister.list("cmp-pki/certs").await.0, 200, "{written}");
        assert_eq!(lister.get("cmp-pki/certs?list=true").await.0, 200, "{written}");
        let asked = json!({"paths": ["cmp-pki/certs", "cmp-pki/certs/", "/cmp-pki/certs/"]});
        let answer = lister.must("sys/capabilities-self", asked).await;
        let itself = if written.ends_with('/') { "deny" } else { "list" };
        for (path, wanted) in [
            ("cmp-pki/certs", itself),
            ("cmp-pki/certs/", "list"),
            ("/cmp-pki/certs/", "list"),
        ] {
            assert_eq!(answer["data"][path], json!([wanted]), "{path} of {written}");
        }
        let login = Login::Token(Secret::new(lister.token.clone()));
        let reader = VaultReader::new(&Place::at(&server.base), login).unwrap();
        assert!(reader.may("list", "cmp-pki/certs").await.unwrap(), "{written}");
        assert!(!reader.may("read", "cmp-pki/certs").await.unwrap(), "{written}");
    }
    // A block may grant nothing, a policy may not be nothing.
    let nobody = with("path \"cmp-pki/revoke\" { }").await;
    let (status, _) = nobody.post("cmp-pki/revoke", json!({})).await;
    assert_eq!(status, 403);
    for body in [json!({}), json!({"policy": ""})] {
        let (status, answer) = server.put("sys/policies/acl/lines", body).await;
        assert_eq!(status, 400);
        assert_eq!(errors(&answer), "'policy' parameter not supplied or empty");
    }
}
