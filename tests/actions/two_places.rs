//! Reissues of a certificate that has two places behind one TLS address: each place gets a certificate of its own, and the
//! run is done only where each has it.

use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::plan::{Inputs, Plan, Target};
use serde_json::Value;

use super::belongs::obstacle;
use super::demo::Demo;
use super::{Hands, confirmed, target};

/// A certificate that is installed in a second place of its host too, with both paths, the first one first.
async fn in_two_places(demo: &Demo, hands: &Hands) -> (Target, [String; 2]) {
    let on = target(demo, EntityKind::Certificate).await;
    let detail = demo.read(&format!("/api/v1/certs/{}", on.id)).await;
    let first = detail["installations"][0]["path"].as_str().unwrap().to_owned();
    let second = first.replace(".pem", "zz.pem");
    let install = actions::find("install").unwrap();
    let inputs = Inputs::from([("path".to_owned(), second.clone())]);
    let plan = install
        .plan(vec![on.clone()], inputs, &hands.reads)
        .await
        .unwrap();
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    (on, [first, second])
}

/// Paths where the agent has what the reissue made for them, as the platform has it.
async fn have_theirs(demo: &Demo, old: &str) -> Vec<String> {
    let agent = demo.agent("web-01")["id"].as_str().unwrap().to_owned();
    let there = demo.read(&format!("/api/v1/agents/{agent}")).await;
    let mut have = Vec::new();
    for place in there["installations"].as_array().unwrap() {
        let id = place["certificate_id"].as_str().unwrap();
        let certificate = demo.read(&format!("/api/v1/certs/{id}")).await;
        let is_there = place["on_disk_sha256"] == place["expected_sha256"];
        if certificate["certificate"]["replaces"] == old && is_there {
            have.push(place["path"].as_str().unwrap().to_owned());
        }
    }
    have
}

/// Paths whose handshakes were said to be proven.
fn proven(plan: &Plan, said: &str) -> Vec<String> {
    let steps = plan.steps.iter().enumerate();
    steps
        .filter(|(index, step)| {
            step.step == "prove_handshake" && said.contains(&format!("StepEnded({index}, Proven("))
        })
        .map(|(_, step)| step.args["path"].as_str().unwrap().to_owned())
        .collect()
}

async fn outcome_on_record(demo: &Demo, plan: &Plan) -> Value {
    demo.read(&format!("/api/v1/runs/{}", plan.run_id)).await["outcome"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reissue_of_two_places_behind_one_address_is_done_only_where_both_have_their_own() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let (on, paths) = in_two_places(&demo, &hands).await;

    let plan = hands
        .plan(actions::find("reissue").unwrap(), vec![on.clone()])
        .await;
    let steps: Vec<&str> = plan.steps.iter().map(|it| it.step.as_str()).collect();
    assert_eq!(steps, ["reissue", "prove_handshake", "prove_handshake"]);
    let said = plan.changes.join(" ");
    assert!(
        said.contains(" gets 2 new ecdsa-p256 keys and certificates, one for each of its places: ")
            && paths.iter().all(|path| said.contains(path)),
        "{said}"
    );
    let said = plan.in_the_way.join(" ");
    assert!(said.contains(" is one address for "), "{said}");

    // Its server shows one of the two for the name. What arrives together is looked at together, and then the agent takes the
    // other one back; what arrives one after the other was shown in its turn, and both stay.
    let carried_out = confirmed(plan.clone());
    let (outcome, said) = hands.carry_out_and_follow(carried_out).await;
    let have = have_theirs(&demo, &on.id).await;
    for path in proven(&plan, &said) {
        assert!(have.contains(&path), "{path} was proven\n{said}");
    }
    assert_eq!(
        outcome.is_proven(),
        have.len() == 2,
        "{have:?}: {outcome:?}\n{said}"
    );
    if outcome.is_proven() {
        assert_eq!(outcome_on_record(&demo, &plan).await, "done", "{said}");
        return;
    }
    assert_eq!(have.len(), 1, "{have:?}\n{said}");
    let last = said.lines().rfind(|line| line.starts_with("Ended(")).unwrap();
    assert!(
        last.starts_with("Ended(Failed(") && last.contains("the installation failed; its agent says"),
        "{said}"
    );
    assert_eq!(outcome_on_record(&demo, &plan).await, "failed", "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_could_not_be_written_fails_though_the_address_serves_the_new_certificate_of_another() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let (on, [first, second]) = in_two_places(&demo, &hands).await;
    std::fs::create_dir_all(obstacle(&second)).unwrap();

    let plan = hands
        .plan(actions::find("reissue").unwrap(), vec![on.clone()])
        .await;
    let (outcome, said) = hands.carry_out_and_follow(confirmed(plan.clone())).await;
    assert_eq!(have_theirs(&demo, &on.id).await, std::slice::from_ref(&first));
    assert_eq!(proven(&plan, &said), std::slice::from_ref(&first), "{said}");
    let words = outcome.words();
    assert!(
        words.contains("the installation failed; its agent says")
            && words.contains(&format!("what is served there is the new certificate of {first}")),
        "{words}\n{said}"
    );
    assert_eq!(outcome_on_record(&demo, &plan).await, "failed", "{said}");
}
