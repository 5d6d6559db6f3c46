//! Mounts, and what is answered where nothing is mounted.

use reqwest::Method;
use serde_json::{Value, json};

use super::server::{MOUNT, Server, errors};

contracts!(
    the_table_is_given_twice_and_only_to_who_may_see_it,
    what_is_unmounted_is_gone_and_the_system_stays,
    an_unknown_path_and_a_wrong_method_are_told_apart,
    a_mount_can_be_tuned,
);

async fn the_table_is_given_twice_and_only_to_who_may_see_it(server: Server) {
    let server = server.with_ca().await;
    let (status, answer) = server.get("sys/mounts").await;
    assert_eq!(status, 200);
    for table in [&answer, &answer["data"]] {
        assert_eq!(table["cmp-pki/"]["type"], json!("pki"));
        assert_eq!(table["sys/"]["type"], json!("system"));
    }
    for token in ["", "hvs.nobody"] {
        let (status, answer) = server.with_token(token).get("sys/mounts").await;
        assert_eq!(status, 403, "{answer}");
        assert!(errors(&answer).contains("permission denied"), "{answer}");
    }
    let (status, answer) = server.get(&format!("sys/mounts/{MOUNT}")).await;
    assert_eq!((status, &answer["data"]["type"]), (200, &json!("pki")));
    let (status, answer) = server.get("sys/mounts/nowhere").await;
    assert_eq!(status, 400, "{answer}");
}

async fn what_is_unmounted_is_gone_and_the_system_stays(server: Server) {
    let server = server.open().await;
    let kv = || server.post("sys/mounts/box", json!({"type": "kv-v2"}));
    assert_eq!(kv().await.0, 204);
    let (status, answer) = kv().await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("path is already in use at box/"),
        "{answer}"
    );
    let (status, answer) = server.post("sys/mounts/box/in", json!({"type": "pki"})).await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("path is already in use at box/"),
        "{answer}"
    );
    super::kv::write(&server, "box/data/a").await;
    for _ in 0..2 {
        assert_eq!(server.delete("sys/mounts/box").await.0, 204);
    }
    assert_eq!(kv().await.0, 204);
    super::kv::write(&server, "box/data/b").await;
    assert_eq!(server.get("box/data/a").await.0, 404);
    let (status, answer) = server.delete("sys/mounts/sys").await;
    assert_eq!(status, 400);
    assert!(errors(&answer).contains("cannot unmount \"sys/\""), "{answer}");
    for kind in ["", "no-such-engine"] {
        let (status, answer) = server.post("sys/mounts/odd", json!({"type": kind})).await;
        assert_eq!(status, 400, "{kind}: {answer}");
    }
}

async fn an_unknown_path_and_a_wrong_method_are_told_apart(server: Server) {
    let server = server.with_ca().await;
    for (method, path, status, words) in [
        (
            Method::GET,
            "nowhere/x",
            404,
            "no handler for route \"nowhere/x\". route entry not found.",
        ),
        (Method::GET, "cmp-pki/nothing/here", 404, "unsupported path"),
        (Method::GET, "cmp-pki/sign/cmp-role", 405, "unsupported operation"),
        (Method::GET, "cmp-pki/revoke", 405, "unsupported operation"),
        (Method::DELETE, "cmp-pki/certs", 405, "unsupported operation"),
    ] {
        let (got, answer) = server.call(method, path, Value::Null).await;
        assert_eq!(got, status, "{path}: {answer}");
        assert!(errors(&answer).contains(words), "{path}: {answer}");
    }
    let (status, answer) = server.with_token("hvs.nobody").get("nowhere/x").await;
    assert_eq!(status, 403, "{answer}");
}

async fn a_mount_can_be_tuned(server: Server) {
    let server = server.open().await;
    server.must("sys/mounts/box", json!({"type": "pki"})).await;
    let (status, before) = server.get("sys/mounts/box/tune").await;
    assert_eq!(status, 200);
    assert_eq!(
        before["data"]["max_lease_ttl"],
        json!(2_764_800),
        "Vault's own 768h"
    );
    server
        .must("sys/mounts/box/tune", json!({"max_lease_ttl": "87600h"}))
        .await;
    let (_, after) = server.get("sys/mounts/box/tune").await;
    assert_eq!(after["data"]["max_lease_ttl"], json!(315_360_000));
    let (_, table) = server.get("sys/mounts").await;
    assert_eq!(
        table["data"]["box/"]["config"]["max_lease_ttl"],
        json!(315_360_000)
    );
}
