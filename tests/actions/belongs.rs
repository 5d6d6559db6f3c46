//! Certificates that belong on a host: one whose installation failed there, and the place that a replaced one had.

use std::path::{Path, PathBuf};

use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::plan::{Inputs, Plan, Target};
use serde_json::Value;

use super::demo::{Demo, eventually};
use super::{Hands, confirmed, target};

/// Something in the way of the next swap of the files at `path`.
pub(crate) fn obstacle(path: &str) -> PathBuf {
    let path = Path::new(path);
    let site = path.file_stem().unwrap();
    path.parent().unwrap().join(".cmp").join(site).join("unproven")
}

fn path_of(plan: &Plan) -> &str {
    &plan
        .fields
        .iter()
        .find(|field| field.name == "path")
        .unwrap()
        .value
}

async fn failed(demo: &Demo) -> Option<Value> {
    let findings = demo.read("/api/v1/findings").await;
    let all = findings["findings"].as_array().unwrap();
    all.iter().find(|it| it["matter"] == "install failed").cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_that_could_not_be_installed_is_what_its_finding_installs() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let [install, reissue] = ["install", "reissue"].map(|id| actions::find(id).unwrap());
    let old = target(&demo, EntityKind::Certificate).await;
    let detail = demo.read(&format!("/api/v1/certs/{}", old.id)).await;
    let path = detail["installations"][0]["path"].as_str().unwrap().to_owned();

    let obstacle = obstacle(&path);
    std::fs::create_dir_all(&obstacle).unwrap();
    let plan = hands.plan(reissue, vec![old.clone()]).await;
    let run = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]);
    let found = async { eventually("the finding", async || failed(&demo).await).await };
    // The run goes on looking; what is told doesn't wait for it.
    let finding = tokio::select! {
        finding = found => finding,
        (outcome, said) = run => {
            assert!(!outcome.is_proven(), "{outcome:?}\n{said}");
            eventually("the finding", async || failed(&demo).await).await
        }
    };
    let detail = demo.read(&format!("/api/v1/certs/{}", old.id)).await;
    let new = detail["certificate"]["replaced_by"].as_str().unwrap();
    assert_eq!(finding["entity_id"], new, "{finding}");
    assert_eq!(finding["answer"], "install");

    // Its plan puts it where it belongs, with a letter: what is there is older.
    let answer = Target {
        id: new.to_owned(),
        ..old.clone()
    };
    let plan = hands.plan(install, vec![answer.clone()]).await;
    assert_eq!(path_of(&plan), path);
    assert!(plan.for_good.is_empty(), "{}", plan.for_good);
    let new = demo.read(&format!("/api/v1/certs/{new}")).await;
    assert_eq!(new["failed"][0]["path"], path.as_str(), "{new}");
    let serial = new["certificate"]["serial"].as_str().unwrap();
    let tail = &serial[serial.len() - 11..];
    assert!(
        plan.changes[0].contains(&format!("serial …{tail}   ends ")),
        "{:?}",
        plan.changes
    );

    // The old one written again is no answer.
    std::fs::remove_dir(&obstacle).unwrap();
    let again = Inputs::from([("path".to_owned(), path.clone())]);
    let again = install
        .plan(vec![old.clone()], again, &hands.reads)
        .await
        .unwrap();
    let (outcome, said) = hands.carry_out(confirmed(again), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    assert_eq!(
        failed(&demo).await.unwrap()["entity_id"],
        new["certificate"]["id"]
    );

    let plan = hands.plan(install, vec![answer]).await;
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    assert_eq!(failed(&demo).await, None);

    // A replaced one goes where it was, and is typed for: a newer one has that place.
    let plan = hands.plan(install, vec![old]).await;
    assert_eq!(path_of(&plan), path);
    assert!(plan.for_good.contains("OLDER"), "{}", plan.for_good);
}

/// The others that keep a shared key are named by the plan that takes one of them away from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reissue_from_a_shared_key_names_who_keeps_it() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let findings = demo.read("/api/v1/findings").await;
    let shared = findings["findings"].as_array().unwrap().iter();
    let mut shared = shared.filter(|it| it["kind"] == "shared_key");
    let shared = shared.next().unwrap();
    let id = shared["entity_id"].as_str().unwrap();
    let detail = demo.read(&format!("/api/v1/certs/{id}")).await;
    let others: Vec<Target> = detail["same_key"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| Target {
            kind: EntityKind::Certificate,
            id: it["id"].as_str().unwrap().to_owned(),
            version: 0,
            name: it["subject"]
                .as_str()
                .unwrap()
                .trim_start_matches("CN=")
                .to_owned(),
            status: "active".to_owned(),
        })
        .collect();
    let one = Target {
        id: id.to_owned(),
        name: shared["subject"].as_str().unwrap().to_owned(),
        ..others[0].clone()
    };
    let reissue = actions::find("reissue").unwrap();
    let plan = hands.plan(reissue, vec![one.clone()]).await;
    let said = plan.changes.join(" ");
    assert_eq!(others.len(), 2);
    assert!(said.contains("2 other certificates keep the old key: "), "{said}");
    assert!(others.iter().all(|it| said.contains(&it.name)), "{said}");
    let two = hands.plan(reissue, vec![one.clone(), others[0].clone()]).await;
    let said = two.changes.join(" ");
    let last = format!(
        "1 other certificate keeps one of the old keys: {}.",
        others[1].name
    );
    assert!(said.contains(&last), "{said}");
    let all = [vec![one], others].concat();
    let said = hands.plan(reissue, all).await.changes.join(" ");
    assert!(!said.contains("keep"), "{said}");
}
