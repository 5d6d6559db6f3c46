//! A leaked key from its first answer to the last: reissued, then revoked; and what is not installed any more.

use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::plan::{Inputs, Target};
use cmp_console::plan::tier::Ask;
use serde_json::{Value, json};

use super::demo::{self, Demo};
use super::{DEMO, Hands, confirmed, target};

async fn unrevoked(demo: &Demo, id: &str) -> Option<Value> {
    let reply = demo.read("/api/v1/findings").await;
    let all = reply["findings"].as_array().unwrap().iter();
    all.filter(|it| it["kind"] == "compromised_not_revoked")
        .find(|it| {
            it["answer_for"]
                .as_array()
                .unwrap()
                .iter()
                .any(|it| it["id"] == id)
        })
        .cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaked_key_is_not_over_before_its_certificates_are_revoked() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let action = |id: &str| actions::find(id).unwrap();
    let old = target(&demo, EntityKind::Certificate).await;
    let detail = demo.read(&format!("/api/v1/certs/{}", old.id)).await;
    let spki = detail["certificate"]["spki_sha256"].as_str().unwrap().to_owned();
    let path = detail["installations"][0]["path"].as_str().unwrap().to_owned();
    let at_path = Inputs::from([("path".to_owned(), path)]);
    let compromise = format!("/api/v1/keys/{spki}/compromise");
    let (status, reply) = demo.post(&compromise, json!({})).await;
    assert_eq!(status, 200, "{reply}");

    // In use, it is reissued first; what is left is said in the plan and in the result.
    assert_eq!(unrevoked(&demo, &old.id).await, None);
    let plan = hands.plan(action("reissue"), vec![old.clone()]).await;
    let words = plan.changes.join(" ");
    assert!(
        words.contains("key is compromised") && words.contains("unless it is revoked: `X`"),
        "{words}"
    );
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    assert!(said.contains("it still has to be revoked"), "{said}");
    assert!(said.contains("serves the new certificate"), "{said}");

    let found = demo::eventually("the old one to be out of use", async || {
        unrevoked(&demo, &old.id).await
    })
    .await;
    assert_eq!(
        (&found["severity"], &found["answer"]),
        (&json!("critical"), &json!("revoke"))
    );
    let list = demo.all("/api/v1/certs?filter=!status:replaced").await;
    assert!(
        list.iter().any(|it| it["id"] == json!(old.id)),
        "it is not hidden"
    );

    // It is not put back.
    let refused = action("install")
        .plan(vec![old.clone()], at_path, &hands.reads)
        .await;
    let problem = refused.expect_err("a leaked key's certificate is not installed");
    assert!(problem.what.contains("key is compromised"), "{problem}");

    let these = found["answer_for"].as_array().unwrap().iter().map(|it| Target {
        id: it["id"].as_str().unwrap().to_owned(),
        name: it["name"].as_str().unwrap().to_owned(),
        ..old.clone()
    });
    let plan = hands.plan(action("revoke"), these.collect()).await;
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    assert_eq!(unrevoked(&demo, &old.id).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_certificate_that_is_put_back_is_not_called_new() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let old = target(&demo, EntityKind::Certificate).await;
    let detail = demo.read(&format!("/api/v1/certs/{}", old.id)).await;
    let path = detail["installations"][0]["path"].as_str().unwrap().to_owned();
    let plan = hands
        .plan(actions::find("reissue").unwrap(), vec![old.clone()])
        .await;
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");

    let install = actions::find("install").unwrap();
    let at_path = Inputs::from([("path".to_owned(), path)]);
    let plan = install.plan(vec![old], at_path, &hands.reads).await.unwrap();
    assert!(matches!(plan.asks(DEMO), Ask::Type(_)), "{plan:?}");
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    assert!(said.contains("serves the older certificate"), "{said}");
    assert!(!said.contains("serves the new certificate"), "{said}");
}
