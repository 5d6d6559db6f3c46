//! Initialisation, the unseal ceremony, the seal, and health.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Server, errors};

contracts!(
    a_new_server_is_initialised_once,
    the_ceremony_counts_shares_and_a_reset_forgets_them,
    what_is_sealed_says_so_before_anything_else,
    a_wrong_share_is_noticed_at_the_threshold_and_drops_all,
    a_share_may_be_hex_or_base64_and_nothing_else,
    health_tells_by_its_status_and_the_asker_may_choose_it,
    who_may_seal_seals,
);

async fn a_new_server_is_initialised_once(server: Server) {
    let (status, health) = server.get("sys/health").await;
    assert_eq!((status, &health["initialized"]), (501, &json!(false)));
    let (status, answer) = server.get("sys/init").await;
    assert_eq!((status, &answer["initialized"]), (200, &json!(false)));
    let (status, seal) = server.get("sys/seal-status").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&seal["initialized"], &seal["sealed"], &seal["t"], &seal["n"]),
        (&json!(false), &json!(true), &json!(0), &json!(0))
    );
    let (status, answer) = server.put("sys/unseal", json!({"key": "00"})).await;
    assert_eq!(status, 400, "{answer}");
    let (status, _) = server.get("sys/mounts").await;
    assert_eq!(status, 503, "what needs the barrier says that it isn't there");
    for shape in [
        json!({"secret_shares": 3, "secret_threshold": 5}),
        json!({"secret_shares": 3, "secret_threshold": 1}),
        json!({"secret_shares": 3}),
        json!({"secret_shares": 0, "secret_threshold": 0}),
    ] {
        let (status, answer) = server.put("sys/init", shape.clone()).await;
        assert_eq!(status, 400, "{shape}: {answer}");
    }
    let server = server.initialised().await;
    assert_eq!(server.keys.len(), 5);
    let (_, answer) = server.get("sys/init").await;
    assert_eq!(answer["initialized"], json!(true));
    let shape = json!({"secret_shares": 5, "secret_threshold": 3});
    let (status, answer) = server.put("sys/init", shape).await;
    assert_eq!(status, 400);
    assert!(errors(&answer).contains("already initialized"), "{answer}");
}

async fn the_ceremony_counts_shares_and_a_reset_forgets_them(server: Server) {
    let server = server.initialised().await;
    let (status, answer) = server.get("sys/mounts").await;
    assert_eq!((status, errors(&answer)), (503, "Vault is sealed".to_owned()));
    let (_, before) = server.get("sys/seal-status").await;
    assert_eq!(
        (&before["t"], &before["n"], &before["progress"], &before["nonce"]),
        (&json!(3), &json!(5), &json!(0), &json!(""))
    );
    assert_eq!(
        (&before["type"], &before["sealed"]),
        (&json!("shamir"), &json!(true))
    );
    let enter = |n: usize| server.put("sys/unseal", json!({"key": server.keys[n]}));
    let (_, one) = enter(0).await;
    assert_eq!((&one["progress"], &one["sealed"]), (&json!(1), &json!(true)));
    assert_ne!(one["nonce"], json!(""));
    let (_, same) = enter(0).await;
    assert_eq!((&same["progress"], &same["nonce"]), (&json!(1), &one["nonce"]));
    let (_, two) = enter(1).await;
    assert_eq!((&two["progress"], &two["nonce"]), (&json!(2), &one["nonce"]));
    let (_, seen) = server.get("sys/seal-status").await;
    assert_eq!(seen["progress"], json!(2), "others see how far it is");
    let (status, reset) = server.put("sys/unseal", json!({"reset": true})).await;
    assert_eq!(
        (status, &reset["progress"], &reset["nonce"]),
        (200, &json!(0), &json!(""))
    );
    let (_, anew) = enter(2).await;
    assert_eq!(anew["progress"], json!(1));
    assert_ne!(anew["nonce"], one["nonce"], "another ceremony has another nonce");
    enter(3).await;
    let (status, open) = enter(4).await;
    assert_eq!((status, &open["sealed"]), (200, &json!(false)));
    assert_eq!((&open["progress"], &open["nonce"]), (&json!(0), &json!("")));
    assert!(
        open["cluster_name"].is_string() && open["cluster_id"].is_string(),
        "{open}"
    );
    // One too many does no harm.
    let (status, still) = enter(0).await;
    assert_eq!(
        (status, &still["sealed"], &still["progress"]),
        (200, &json!(false), &json!(0))
    );
    for key in ["not a share", ""] {
        let (status, answer) = server.put("sys/unseal", json!({"key": key})).await;
        assert_eq!(status, 400, "{key}: {answer}");
    }
    let (status, answer) = server.put("sys/unseal", json!({"reset": true})).await;
    assert_eq!((status, errors(&answer)), (400, "vault is unsealed".to_owned()));
}

async fn what_is_sealed_says_so_before_anything_else(server: Server) {
    let server = server.with_ca().await;
    assert_eq!(server.put("sys/seal", Value::Null).await.0, 204);
    for who in [server.token.as_str(), "", "hvs.nobody"] {
        let it = server.with_token(who);
        for (method, path) in [
            (Method::POST, "cmp-pki/sign/cmp-role"),
            (Method::POST, "cmp-pki/revoke"),
            (Method::GET, "cmp-pki/crl/pem"),
            (Method::GET, "cmp-pki/crl/rotate"),
            (Method::GET, "cmp-pki/ca_chain"),
            (Method::GET, "cmp-pki/cert/00"),
            (Method::GET, "cmp-pki/roles/cmp-role"),
            (Method::GET, "auth/token/lookup-self"),
            (Method::POST, "auth/token/renew-self"),
            (Method::POST, "auth/approle/login"),
            (Method::POST, "sys/capabilities-self"),
            (Method::GET, "sys/mounts"),
            (Method::GET, "nowhere"),
        ] {
            let (status, answer) = it.call(method, path, json!({})).await;
            assert_eq!(
                (status, errors(&answer).as_str()),
                (503, "Vault is sealed"),
                "{path} as {who:?}"
            );
        }
    }
    for (method, path) in [
        (Method::GET, "sys/unseal"),
        (Method::POST, "sys/seal-status"),
        (Method::POST, "sys/health"),
    ] {
        let (status, answer) = server.call(method, path, json!({})).await;
        assert_eq!((status, errors(&answer).as_str()), (405, ""), "{path}");
    }
    // A reset takes no share with it, and a ceremony that nobody began is reset without harm.
    let both = json!({"key": server.keys[0], "reset": true});
    for body in [both, json!({"reset": true})] {
        let (status, answer) = server.put("sys/unseal", body).await;
        assert_eq!((status, &answer["progress"]), (200, &json!(0)), "{answer}");
    }
}

async fn a_wrong_share_is_noticed_at_the_threshold_and_drops_all(server: Server) {
    let server = server.initialised().await;
    let mut wrong = STANDARD.decode(&server.keys[1]).unwrap();
    wrong[9] ^= 1;
    let enter = |key: String| server.put("sys/unseal", json!({"key": key}));
    enter(server.keys[0].clone()).await;
    let (status, two) = enter(STANDARD.encode(wrong)).await;
    assert_eq!((status, &two["progress"]), (200, &json!(2)), "nobody notices yet");
    let (status, refused) = enter(server.keys[2].clone()).await;
    assert_eq!(status, 400, "{refused}");
    assert!(errors(&refused).contains("invalid key"), "{refused}");
    let (_, after) = server.get("sys/seal-status").await;
    assert_eq!((&after["progress"], &after["nonce"]), (&json!(0), &json!("")));
    server.unseal().await;
    assert_eq!(server.get("sys/health").await.0, 200);
}

async fn a_share_may_be_hex_or_base64_and_nothing_else(server: Server) {
    let server = server.initialised().await;
    for key in ["not a share", "zz", "=", "0g"] {
        let (status, answer) = server.put("sys/unseal", json!({"key": key})).await;
        assert_eq!(status, 400, "{key}: {answer}");
        assert!(
            errors(&answer).contains("'key' must be a valid hex or base64 string"),
            "{answer}"
        );
    }
    for body in [json!({}), json!({"key": ""})] {
        let (status, answer) = server.put("sys/unseal", body).await;
        assert_eq!(status, 400, "{answer}");
    }
    // Too short and too long to be one.
    for length in [1, 15, 64, 200] {
        let (status, answer) = server
            .put("sys/unseal", json!({"key": STANDARD.encode(vec![7; length])}))
            .await;
        assert_eq!(status, 400, "{length} bytes: {answer}");
    }
    let (_, now) = server.get("sys/seal-status").await;
    assert_eq!(now["progress"], json!(0), "none of them counts");
    for key in &server.keys[..3] {
        let in_hex = hex::encode(STANDARD.decode(key).unwrap());
        let (status, answer) = server.post("sys/unseal", json!({"key": in_hex})).await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(server.get("sys/health").await.0, 200);
}

async fn health_tells_by_its_status_and_the_asker_may_choose_it(server: Server) {
    let (status, _) = server.get("sys/health?uninitcode=204").await;
    assert_eq!(status, 204);
    let server = server.initialised().await;
    let (status, health) = server.get("sys/health").await;
    assert_eq!((status, &health["sealed"]), (503, &json!(true)));
    assert_eq!(server.get("sys/health?sealedcode=299").await.0, 299);
    assert_eq!(server.get("sys/health?sealedcode=x").await.0, 400);
    let (status, _) = server.call(Method::HEAD, "sys/health", Value::Null).await;
    assert_eq!(status, 503);
    server.unseal().await;
    let (status, health) = server.get("sys/health").await;
    assert_eq!(
        (
            status,
            &health["initialized"],
            &health["sealed"],
            &health["standby"]
        ),
        (200, &json!(true), &json!(false), &json!(false))
    );
    assert!(
        health["version"].is_string() && health["server_time_utc"].is_i64(),
        "{health}"
    );
    assert_eq!(server.get("sys/health?activecode=218").await.0, 218);
}

async fn who_may_seal_seals(server: Server) {
    let server = server.open().await;
    let made = server
        .must("auth/token/create", json!({"policies": ["default"]}))
        .await;
    let other = server.with_token(made["auth"]["client_token"].as_str().unwrap());
    let (status, _) = other.put("sys/seal", Value::Null).await;
    assert_eq!(status, 403);
    // Sealing takes `sudo` beside `update`.
    for (name, capabilities, wanted) in [
        ("half", "[\"update\"]", 403),
        ("other-half", "[\"sudo\"]", 403),
        ("whole", "[\"update\", \"sudo\"]", 204),
    ] {
        let policy = format!("path \"sys/seal\" {{ capabilities = {capabilities} }}");
        server
            .must(&format!("sys/policies/acl/{name}"), json!({"policy": policy}))
            .await;
        let made = server
            .must("auth/token/create", json!({"policies": [name]}))
            .await;
        let sealer = server.with_token(made["auth"]["client_token"].as_str().unwrap());
        let (status, answer) = sealer.put("sys/seal", Value::Null).await;
        assert_eq!(status, wanted, "{name}: {answer}");
    }
    let (status, _) = server.get("sys/health").await;
    assert_eq!(status, 503);
    let (status, answer) = server.put("sys/seal", Value::Null).await;
    assert_eq!(status, 204, "what is sealed stays so: {answer}");
    server.unseal().await;
    assert_eq!(server.get("sys/mounts").await.0, 200, "and all is there again");
}
