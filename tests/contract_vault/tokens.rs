//! Tokens and policies: what a token may do, how long it lives, what renews it.

use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Server, errors};

contracts!(
    a_token_may_do_what_its_policy_says_and_only_while_it_lives,
    a_periodic_token_lives_on_and_another_ends_for_good,
    a_token_renews_itself,
    a_token_may_ask_what_it_may,
    a_child_may_do_no_more_than_its_parent,
    policies_are_written_read_listed_and_removed,
    the_most_specific_rule_counts,
);

pub(crate) async fn token(server: &Server, body: Value) -> Server {
    let made = server.must("auth/token/create", body).await;
    server.with_token(made["auth"]["client_token"].as_str().unwrap())
}

pub(crate) async fn policy(server: &Server, name: &str, rules: &str) {
    let path = format!("sys/policies/acl/{name}");
    // A name with capitals is answered with a warning.
    server.must(&path, json!({"policy": rules})).await;
}

async fn a_token_may_do_what_its_policy_says_and_only_while_it_lives(server: Server) {
    let server = server.with_ca().await;
    let rules = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    policy(&server, "signer", rules).await;
    let signer = token(&server, json!({"policies": ["signer"], "ttl": "1h"})).await;
    assert_eq!(signer.sign("a.example.com", &[]).await.0, 200);
    assert_eq!(signer.get("sys/mounts").await.0, 403);
    let (status, own) = signer.get("auth/token/lookup-self").await;
    assert_eq!(status, 200);
    let own = &own["data"];
    assert!(
        own["ttl"].as_i64().is_some_and(|ttl| ttl > 3500 && ttl <= 3600),
        "{own}"
    );
    assert_eq!(own["policies"], json!(["default", "signer"]));
    assert_eq!(
        (&own["id"], &own["creation_ttl"], &own["renewable"], &own["type"]),
        (
            &json!(signer.token),
            &json!(3600),
            &json!(true),
            &json!("service")
        )
    );
    assert_eq!(own["explicit_max_ttl"], json!(0));
    assert_eq!(signer.post("auth/token/revoke-self", Value::Null).await.0, 204);
    let (status, answer) = signer.sign("a.example.com", &[]).await;
    assert_eq!(status, 403, "{answer}");
    assert_eq!(signer.get("auth/token/lookup-self").await.0, 403);
    let (_, root) = server.get("auth/token/lookup-self").await;
    assert_eq!(
        (
            &root["data"]["policies"],
            &root["data"]["ttl"],
            &root["data"]["renewable"]
        ),
        (&json!(["root"]), &json!(0), &Value::Null)
    );
}

async fn a_token_may_ask_what_it_may(server: Server) {
    let server = server.open().await;
    let rules = "path \"a/*\" { capabilities = [\"update\", \"read\"] }\n\
                 path \"a/secret\" { capabilities = [\"deny\"] }";
    policy(&server, "some", rules).await;
    let some = token(&server, json!({"policies": ["some"]})).await;
    let asked = json!({"paths": ["a/b", "a/secret", "b"]});
    let answer = some.must("sys/capabilities-self", asked.clone()).await;
    let data = &answer["data"];
    assert_eq!(data["a/b"], json!(["read", "update"]), "{answer}");
    assert_eq!(data["a/secret"], json!(["deny"]), "{answer}");
    assert_eq!(data["b"], json!(["deny"]), "{answer}");
    let answer = server.must("sys/capabilities-self", asked).await;
    assert_eq!(answer["data"]["a/b"], json!(["root"]), "{answer}");
    let (status, answer) = some.post("sys/capabilities-self", json!({})).await;
    assert_eq!(status, 400, "{answer}");
}

async fn a_periodic_token_lives_on_and_another_ends_for_good(server: Server) {
    let server = server.open().await;
    let made = async |body: Value| server.must("auth/token/create", body).await["auth"].clone();
    let periodic = made(json!({"policies": ["x"], "period": "1h"})).await;
    assert_eq!(
        (&periodic["lease_duration"], &periodic["renewable"]),
        (&json!(3600), &json!(true))
    );
    assert_eq!(periodic["policies"], json!(["default", "x"]));
    let look =
        async |token: &Value| server.must("auth/token/lookup", json!({"token": token})).await["data"].clone();
    let itself = look(&periodic["client_token"]).await;
    assert_eq!(
        (&itself["id"], &itself["period"]),
        (&periodic["client_token"], &json!(3600))
    );
    let short = made(json!({"policies": ["x"], "ttl": "2h", "explicit_max_ttl": "1h"})).await;
    assert_eq!(short["lease_duration"], json!(3600));
    let itself = look(&short["client_token"]).await;
    assert_eq!(itself["explicit_max_ttl"], 3600);
    assert!(itself["ttl"].as_i64().unwrap() <= 3600, "{itself}");
    let usual = made(json!({"policies": ["x"]})).await;
    assert_eq!(usual["lease_duration"], json!(2_764_800));
    let (status, answer) = server
        .post("auth/token/lookup", json!({"token": "hvs.nobody"}))
        .await;
    assert_eq!(status, 403, "{answer}");
}

async fn a_token_renews_itself(server: Server) {
    let server = server.open().await;
    let lasting = token(&server, json!({"policies": ["default"], "ttl": "1h"})).await;
    let (status, renewed) = lasting.post("auth/token/renew-self", Value::Null).await;
    assert_eq!(status, 200, "{renewed}");
    let auth = &renewed["auth"];
    assert_eq!(auth["client_token"], json!(lasting.token));
    assert_eq!(
        (&auth["lease_duration"], &auth["renewable"]),
        (&json!(3600), &json!(true))
    );
    let (_, longer) = lasting
        .post("auth/token/renew-self", json!({"increment": "2h"}))
        .await;
    assert_eq!(longer["auth"]["lease_duration"], json!(7200));
    let fixed = token(
        &server,
        json!({"policies": ["default"], "renewable": false, "ttl": "1h"}),
    )
    .await;
    let (status, answer) = fixed.post("auth/token/renew-self", Value::Null).await;
    assert_eq!(
        (status, errors(&answer)),
        (400, "lease is not renewable".to_owned())
    );
    let capped = json!({"policies": ["default"], "ttl": "1h", "explicit_max_ttl": "90m"});
    let capped = token(&server, capped).await;
    let (_, renewed) = capped
        .post("auth/token/renew-self", json!({"increment": "24h"}))
        .await;
    let lease = renewed["auth"]["lease_duration"].as_i64().unwrap();
    assert!((5000..=5400).contains(&lease), "{renewed}");
    let (status, answer) = server
        .with_token("hvs.nobody")
        .post("auth/token/renew-self", Value::Null)
        .await;
    assert_eq!(status, 403, "{answer}");
}

async fn a_child_may_do_no_more_than_its_parent(server: Server) {
    let server = server.open().await;
    let rules = "path \"auth/token/create\" { capabilities = [\"update\"] }";
    policy(&server, "parent", rules).await;
    let parent = token(&server, json!({"policies": ["parent"]})).await;
    let (status, answer) = parent
        .post("auth/token/create", json!({"policies": ["root"]}))
        .await;
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = parent
        .post("auth/token/create", json!({"policies": ["parent", "other"]}))
        .await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("child policies must be subset of parent"),
        "{answer}"
    );
    let (status, answer) = parent.post("auth/token/create", json!({"period": "1h"})).await;
    assert_eq!(status, 400, "a period takes more than that: {answer}");
    let (status, child) = parent.post("auth/token/create", json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(child["auth"]["policies"], json!(["default", "parent"]));
    let child = server.with_token(child["auth"]["client_token"].as_str().unwrap());
    parent.post("auth/token/revoke-self", Value::Null).await;
    let (status, answer) = child.get("auth/token/lookup-self").await;
    assert_eq!(status, 403, "a child goes with its parent: {answer}");
}

async fn policies_are_written_read_listed_and_removed(server: Server) {
    let server = server.open().await;
    let rules = "# comment\npath \"a/*\" {\n  capabilities = [\"read\", \"list\"]\n}\n";
    policy(&server, "Some-Name", rules).await;
    let (status, read) = server.get("sys/policies/acl/some-name").await;
    assert_eq!((status, &read["data"]["policy"]), (200, &json!(rules)));
    assert_eq!(read["data"]["name"], json!("some-name"), "names have no capitals");
    let (_, all) = server.list("sys/policies/acl").await;
    assert_eq!(all["data"]["keys"], json!(["default", "some-name", "root"]));
    for text in ["path \"x\" { capabilities = [\"fly\"] }", "nonsense {"] {
        let (status, answer) = server.put("sys/policies/acl/bad", json!({"policy": text})).await;
        assert_eq!(status, 400, "{text}: {answer}");
    }
    assert_eq!(server.get("sys/policies/acl/bad").await.0, 404);
    for name in ["root", "default"] {
        let (status, answer) = server.delete(&format!("sys/policies/acl/{name}")).await;
        assert_eq!(status, 400, "{name}: {answer}");
    }
    assert_eq!(server.delete("sys/policies/acl/some-name").await.0, 204);
    assert_eq!(server.get("sys/policies/acl/some-name").await.0, 404);
}

async fn the_most_specific_rule_counts(server: Server) {
    let server = server.open().await;
    server.must("sys/mounts/box", json!({"type": "kv-v2"})).await;
    for name in ["a", "b", "c"] {
        super::kv::write(&server, &format!("box/data/{name}")).await;
    }
    let rules = "path \"box/data/*\" { capabilities = [\"read\"] }\n\
                 path \"box/data/b\" { capabilities = [\"deny\"] }\n\
                 path \"box/+/c\" { capabilities = [\"update\"] }";
    policy(&server, "reader", rules).await;
    let reader = token(&server, json!({"policies": ["reader"]})).await;
    assert_eq!(reader.get("box/data/a").await.0, 200);
    assert_eq!(reader.get("box/data/b").await.0, 403);
    assert_eq!(
        reader.get("box/data/c").await.0,
        200,
        "what is literal for longer counts"
    );
    let (status, _) = reader.post("box/data/a", json!({"data": {}})).await;
    assert_eq!(status, 403);
    let (status, _) = reader
        .call(Method::from_bytes(b"LIST").unwrap(), "box/metadata", Value::Null)
        .await;
    assert_eq!(status, 403);
}
