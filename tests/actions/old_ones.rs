//! The old certificates of a bulk reissue are told in its plan: counted, each by what it is.

use cmp_console::actions;
use serde_json::json;

use super::demo::{self, Demo};
use super::{Hands, certificates};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_of_a_bulk_reissue_counts_what_becomes_of_the_old_ones() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let reissue = actions::find("reissue").unwrap();
    let names = [
        "www.example.com",
        "status.example.com",
        "imap.example.com",
        "docs.example.com",
    ];
    let all = certificates(&demo, &names).await;
    let of_old = |changes: &[String]| {
        let found: Vec<&String> = changes
            .iter()
            .filter(|line| line.contains("old certificates"))
            .collect();
        assert_eq!(found.len(), 1, "{changes:?}");
        let sentence = found[0].split("reload. ").last().unwrap();
        sentence.to_owned()
    };
    let plan = hands.plan(reissue, all.clone()).await;
    assert_eq!(
        of_old(&plan.changes),
        "The old certificates stay valid until they end."
    );

    // One is revoked, one has a key that leaked, two stay as they are.
    let revoke = format!("/api/v1/certs/{}/revoke", all[0].id);
    assert_eq!(demo.post(&revoke, json!({"reason": "superseded"})).await.0, 202);
    demo::eventually("the CA to revoke it", async || {
        let detail = demo.read(&format!("/api/v1/certs/{}", all[0].id)).await;
        (detail["certificate"]["status"] == "revoked").then_some(())
    })
    .await;
    let detail = demo.read(&format!("/api/v1/certs/{}", all[1].id)).await;
    let spki = detail["certificate"]["spki_sha256"].as_str().unwrap();
    let compromise = format!("/api/v1/keys/{spki}/compromise");
    assert_eq!(demo.post(&compromise, json!({})).await.0, 200);
    let plan = hands.plan(reissue, all.clone()).await;
    assert_eq!(
        of_old(&plan.changes),
        "Of the old certificates 2 stay valid until they end; 1 with a compromised key stays valid until it is \
         revoked, `X`; 1 is revoked."
    );
    // Of one it is said by itself.
    let one = hands.plan(reissue, all[..1].to_vec()).await.changes.join(" ");
    assert!(one.contains("The old certificate is revoked."), "{one}");
}
