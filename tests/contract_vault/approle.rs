//! AppRole: a program logs in with a role's id and a secret id.

use serde_json::{Value, json};

use super::server::{Server, errors};

contracts!(
    a_program_logs_in_with_role_and_secret,
    a_wrong_or_destroyed_secret_is_refused,
    a_role_says_what_its_tokens_may_do_and_how_long,
    a_role_bounds_what_its_tokens_are_good_for,
    without_the_auth_method_there_is_no_login,
);

async fn with_role(server: Server) -> Server {
    let server = server.with_ca().await;
    let rules = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    server
        .must("sys/policies/acl/signer", json!({"policy": rules}))
        .await;
    server.must("sys/auth/approle", json!({"type": "approle"})).await;
    let role = json!({"token_policies": "signer", "token_ttl": "20m", "token_max_ttl": "1h"});
    server.must("auth/approle/role/issuer", role).await;
    server
}

/// The role's id and a secret id.
async fn credentials(server: &Server) -> (Value, Value) {
    let (_, role) = server.get("auth/approle/role/issuer/role-id").await;
    let secret = server.must("auth/approle/role/issuer/secret-id", json!({})).await;
    (
        role["data"]["role_id"].clone(),
        secret["data"]["secret_id"].clone(),
    )
}

async fn a_program_logs_in_with_role_and_secret(server: Server) {
    let server = with_role(server).await;
    let (role, secret) = credentials(&server).await;
    let body = json!({"role_id": role, "secret_id": secret});
    let (status, answer) = server
        .with_token("")
        .post("auth/approle/login", body.clone())
        .await;
    assert_eq!(status, 200, "{answer}");
    let auth = &answer["auth"];
    assert_eq!(auth["policies"], json!(["default", "signer"]));
    assert_eq!(
        (&auth["lease_duration"], &auth["renewable"]),
        (&json!(1200), &json!(true))
    );
    assert_eq!(auth["metadata"]["role_name"], json!("issuer"));
    let program = server.with_token(auth["client_token"].as_str().unwrap());
    assert_eq!(program.sign("a.example.com", &[]).await.0, 200);
    assert_eq!(program.get("sys/mounts").await.0, 403);
    let (status, renewed) = program.post("auth/token/renew-self", Value::Null).await;
    assert_eq!((status, &renewed["auth"]["lease_duration"]), (200, &json!(1200)));
    let (_, longest) = program
        .post("auth/token/renew-self", json!({"increment": "24h"}))
        .await;
    let lease = longest["auth"]["lease_duration"].as_i64().unwrap();
    assert!((3500..=3600).contains(&lease), "the role's end holds: {longest}");
    // A secret id may be used again unless the role says otherwise.
    let (status, again) = server.with_token("").post("auth/approle/login", body).await;
    assert_eq!(status, 200);
    assert_ne!(again["auth"]["client_token"], auth["client_token"]);
}

async fn a_wrong_or_destroyed_secret_is_refused(server: Server) {
    let server = with_role(server).await;
    let (role, secret) = credentials(&server).await;
    for (role, secret, wanted, words) in [
        (json!("nobody"), secret.clone(), 400, "invalid role or secret ID"),
        (role.clone(), json!("nonsense"), 400, "invalid role or secret ID"),
        (role.clone(), json!(""), 400, "missing secret_id"),
        (json!(""), secret.clone(), 500, "missing role_id"),
    ] {
        let body = json!({"role_id": role, "secret_id": secret});
        let (status, answer) = server.with_token("").post("auth/approle/login", body).await;
        assert_eq!(status, wanted, "{answer}");
        assert!(errors(&answer).contains(words), "{words}: {answer}");
    }
    let destroy = json!({"secret_id": secret});
    let (status, _) = server
        .post("auth/approle/role/issuer/secret-id/destroy", destroy)
        .await;
    assert_eq!(status, 204);
    let body = json!({"role_id": role, "secret_id": secret});
    let (status, answer) = server.with_token("").post("auth/approle/login", body).await;
    assert_eq!(status, 400, "{answer}");
    assert!(errors(&answer).contains("invalid role or secret ID"), "{answer}");
}

async fn a_role_says_what_its_tokens_may_do_and_how_long(server: Server) {
    let server = with_role(server).await;
    let (status, read) = server.get("auth/approle/role/issuer").await;
    assert_eq!(status, 200);
    let read = &read["data"];
    assert_eq!(read["token_policies"], json!(["signer"]));
    assert_eq!(
        (&read["token_ttl"], &read["token_max_ttl"], &read["token_period"]),
        (&json!(1200), &json!(3600), &json!(0))
    );
    assert_eq!(
        (
            &read["bind_secret_id"],
            &read["secret_id_num_uses"],
            &read["secret_id_ttl"]
        ),
        (&json!(true), &json!(0), &json!(0))
    );
    let (_, all) = server.list("auth/approle/role").await;
    assert_eq!(all["data"]["keys"], json!(["issuer"]));
    // A period makes tokens that live on; a number of uses ends a secret id.
    let role = json!({"token_policies": ["signer"], "token_period": "30m", "secret_id_num_uses": 1});
    server.must("auth/approle/role/issuer", role).await;
    server
        .must(
            "auth/approle/role/issuer/role-id",
            json!({"role_id": "issuer-eu"}),
        )
        .await;
    let (role, secret) = credentials(&server).await;
    assert_eq!(role, json!("issuer-eu"));
    let body = json!({"role_id": role, "secret_id": secret});
    let first = server
        .with_token("")
        .must("auth/approle/login", body.clone())
        .await;
    assert_eq!(first["auth"]["lease_duration"], json!(1800));
    let (status, answer) = server.with_token("").post("auth/approle/login", body).await;
    assert_eq!(status, 400, "{answer}");
    assert_eq!(server.delete("auth/approle/role/issuer").await.0, 204);
    let program = server.with_token(first["auth"]["client_token"].as_str().unwrap());
    assert_eq!(
        program.sign("a.example.com", &[]).await.0,
        200,
        "its tokens live on"
    );
    assert_eq!(server.get("auth/approle/role/issuer").await.0, 404);
}

async fn a_role_bounds_what_its_tokens_are_good_for(server: Server) {
    let server = with_role(server).await;
    let role = json!({
        "token_num_uses": 2, "token_no_default_policy": true, "token_explicit_max_ttl": "2h",
    });
    server.must("auth/approle/role/issuer", role).await;
    let (_, read) = server.get("auth/approle/role/issuer").await;
    for (field, wanted) in [
        ("token_num_uses", json!(2)),
        ("token_no_default_policy", json!(true)),
        ("token_explicit_max_ttl", json!(7200)),
    ] {
        assert_eq!(read["data"][field], wanted, "{field}");
    }
    let (role, secret) = credentials(&server).await;
    let body = json!({"role_id": role, "secret_id": secret});
    let answer = server.with_token("").must("auth/approle/login", body).await;
    let auth = &answer["auth"];
    assert_eq!(
        (&auth["policies"], &auth["num_uses"]),
        (&json!(["signer"]), &json!(2))
    );
    let program = server.with_token(auth["client_token"].as_str().unwrap());
    let (status, answer) = program.get("auth/token/lookup-self").await;
    assert_eq!(status, 403, "without `default`, and that was a use: {answer}");
    assert_eq!(program.sign("a.example.com", &[]).await.0, 200);
    assert_eq!(program.sign("a.example.com", &[]).await.0, 403);
    let uses = json!({"token_num_uses": -1});
    let (status, answer) = server.post("auth/approle/role/issuer", uses).await;
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = server.post("auth/approle/role/nobody/secret-id", json!({})).await;
    assert_eq!(
        (status, errors(&answer).as_str()),
        (404, "role \"nobody\" does not exist")
    );
}

async fn without_the_auth_method_there_is_no_login(server: Server) {
    let server = server.open().await;
    let (_, methods) = server.get("sys/auth").await;
    assert_eq!(methods["data"]["token/"]["type"], json!("token"));
    let body = json!({"role_id": "a", "secret_id": "b"});
    let (status, answer) = server.with_token("").post("auth/approle/login", body).await;
    assert_eq!(status, 403, "{answer}");
    server.must("sys/auth/machines", json!({"type": "approle"})).await;
    let (_, methods) = server.get("sys/auth").await;
    assert_eq!(methods["data"]["machines/"]["type"], json!("approle"));
    let (status, answer) = server.post("sys/auth/machines", json!({"type": "approle"})).await;
    assert_eq!(status, 400, "{answer}");
    server.must("auth/machines/role/r", json!({})).await;
    assert_eq!(server.get("auth/machines/role/r/role-id").await.0, 200);
    assert_eq!(server.delete("sys/auth/machines").await.0, 204);
    assert_eq!(server.get("auth/machines/role/r/role-id").await.0, 404);
}
