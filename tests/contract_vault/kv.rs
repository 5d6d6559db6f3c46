//! KV version 2: versions, check-and-set, deletion and destruction.

use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Server, errors};

contracts!(
    kv_keeps_versions,
    kv_forgets_softly_and_for_good,
    kv_merges_patches_and_takes_a_number_as_text,
);

async fn with_box(server: Server) -> Server {
    let server = server.open().await;
    let body = json!({"type": "kv", "options": {"version": "2"}});
    server.must("sys/mounts/box", body).await;
    write(&server, "box/data/first").await;
    server.delete("box/metadata/first").await;
    server
}

/// Writes something, as soon as the mount is ready: a real one makes a new mount ready in the background, and
/// refuses until that is done.
pub(crate) async fn write(server: &Server, path: &str) {
    loop {
        let (status, answer) = server.post(path, json!({"data": {"x": 1}})).await;
        if status == 200 {
            return;
        }
        assert!(errors(&answer).contains("Upgrading"), "{answer}");
        tokio::task::yield_now().await;
    }
}

async fn kv_keeps_versions(server: Server) {
    let server = with_box(server).await;
    let put =
        |data: Value, cas: u64| server.post("box/data/app/x", json!({"data": data, "options": {"cas": cas}}));
    let (status, written) = put(json!({"a": 1}), 0).await;
    assert_eq!((status, &written["data"]["version"]), (200, &json!(1)));
    let (status, answer) = put(json!({"a": 2}), 0).await;
    assert_eq!(status, 400);
    assert!(
        errors(&answer).contains("check-and-set parameter did not match the current version"),
        "{answer}"
    );
    assert_eq!(put(json!({"a": 2}), 1).await.0, 200);
    let (_, read) = server.get("box/data/app/x").await;
    assert_eq!(read["data"]["data"], json!({"a": 2}));
    assert_eq!(read["data"]["metadata"]["version"], json!(2));
    let (_, old) = server.get("box/data/app/x?version=1").await;
    assert_eq!(old["data"]["data"], json!({"a": 1}));
    assert_eq!(server.get("box/data/app/x?version=9").await.0, 404);
    for answer in [
        server.get("box/metadata/app?list=true").await,
        server.list("box/metadata/app").await,
    ] {
        assert_eq!(answer.1["data"]["keys"], json!(["x"]));
    }
    let (_, top) = server.list("box/metadata").await;
    assert_eq!(top["data"]["keys"], json!(["app/"]));
    let (status, empty) = server.list("box/metadata/none").await;
    assert_eq!((status, errors(&empty).as_str()), (404, ""));
    let (_, metadata) = server.get("box/metadata/app/x").await;
    assert_eq!(
        (
            &metadata["data"]["current_version"],
            &metadata["data"]["oldest_version"]
        ),
        (&json!(2), &json!(0))
    );
    assert_eq!(server.get("box/data/nothing").await.0, 404);
    let (status, answer) = server.post("box/data/app/x", json!({})).await;
    assert_eq!(status, 400, "{answer}");
}

async fn kv_forgets_softly_and_for_good(server: Server) {
    let server = with_box(server).await;
    for n in 1..=2 {
        server.must("box/data/x", json!({"data": {"n": n}})).await;
    }
    assert_eq!(server.delete("box/data/x").await.0, 204);
    let (status, gone) = server.get("box/data/x").await;
    assert_eq!((status, &gone["data"]["data"]), (404, &Value::Null));
    assert_ne!(gone["data"]["metadata"]["deletion_time"], json!(""));
    assert_eq!(server.get("box/data/x?version=1").await.0, 200);
    assert_eq!(
        server.post("box/undelete/x", json!({"versions": [2]})).await.0,
        204
    );
    assert_eq!(server.get("box/data/x").await.0, 200);
    assert_eq!(server.post("box/delete/x", json!({"versions": [1]})).await.0, 204);
    assert_eq!(server.get("box/data/x?version=1").await.0, 404);
    assert_eq!(server.put("box/destroy/x", json!({"versions": [2]})).await.0, 204);
    let (status, gone) = server.get("box/data/x").await;
    assert_eq!(
        (status, &gone["data"]["metadata"]["destroyed"]),
        (404, &json!(true))
    );
    assert_eq!(
        server.post("box/undelete/x", json!({"versions": [2]})).await.0,
        204
    );
    assert_eq!(server.get("box/data/x").await.0, 404, "that one never comes back");
    assert_eq!(server.delete("box/metadata/x").await.0, 204);
    assert_eq!(server.get("box/metadata/x").await.0, 404);
    for n in 1..=12 {
        server.must("box/data/y", json!({"data": {"n": n}})).await;
    }
    let (_, metadata) = server.get("box/metadata/y").await;
    assert_eq!(metadata["data"]["versions"].as_object().unwrap().len(), 10);
    assert_eq!(metadata["data"]["oldest_version"], json!(3));
}

async fn kv_merges_patches_and_takes_a_number_as_text(server: Server) {
    let server = with_box(server).await;
    let patch = |body: Value| server.call(Method::PATCH, "box/data/a", body);
    assert_eq!(patch(json!({"data": {"x": 1}})).await.0, 404);
    server.must("box/data/a", json!({"data": {"x": 1, "y": 2}})).await;
    let body = json!({"data": {"x": null, "z": 3}, "options": {"cas": "1"}});
    assert_eq!(patch(body).await.0, 200);
    let (_, read) = server.get("box/data/a").await;
    assert_eq!(read["data"]["data"], json!({"y": 2, "z": 3}));
    for cas in ["1", "one"] {
        let (status, answer) = patch(json!({"data": {"x": 1}, "options": {"cas": cas}})).await;
        assert_eq!(status, 400, "{cas}: {answer}");
    }
}
