//! Reissues for hosts that are away when the plan is made: what is proven is what the host has, and not that there is
//! a certificate for it.

use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::plan::{Inputs, Plan, Target};
use serde_json::json;

use super::belongs::obstacle;
use super::demo::Demo;
use super::{Hands, certificates, confirmed};

fn steps(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.step.as_str()).collect()
}

fn ends(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with("Ended(")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reissue_for_a_silent_host_is_proven_by_what_that_host_serves_and_fails_with_its_installation() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let reissue = actions::find("reissue").unwrap();
    let on = certificates(&demo, &["payments.example.com"]).await;
    let detail = demo.read(&format!("/api/v1/certs/{}", on[0].id)).await;
    let path = detail["installations"][0]["path"].as_str().unwrap();
    std::fs::create_dir_all(obstacle(path)).unwrap();

    let plan = hands.plan(reissue, on.clone()).await;
    assert!(
        plan.in_the_way.join(" ").contains("api-02 is silent since"),
        "{:?}",
        plan.in_the_way
    );
    assert_eq!(steps(&plan), ["reissue", "await_agent", "prove_handshake"]);
    assert_eq!(reissue.proof(&plan), "a handshake serves the new fingerprint");
    // No handshake is promised where nothing is installed, or nothing serves it.
    let with = |steps: &[usize]| Plan {
        steps: steps.iter().map(|at| plan.steps[*at].clone()).collect(),
        ..plan.clone()
    };
    assert!(reissue.proof(&with(&[0])).contains("installed nowhere"));
    assert!(reissue.proof(&with(&[0, 1])).contains("on its disk"));
    let (outcome, said) = hands.carry_out_and_follow(confirmed(plan)).await;
    assert!(!outcome.is_proven(), "{outcome:?}\n{said}");
    let last = *ends(&said).last().unwrap();
    assert!(
        last.starts_with("Ended(Failed(") && last.contains("its installation on api-02 failed"),
        "{last}\n{said}"
    );

    // Another one of the same host, which is there by now.
    let on = certificates(&demo, &["invoices.example.com"]).await;
    let plan = hands.plan(reissue, on).await;
    assert_eq!(steps(&plan), ["reissue", "prove_handshake"]);
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_of_a_host_whose_ban_was_lifted_waits_until_somebody_enrols_it() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let id = demo.agent("web-03")["id"].as_str().unwrap().to_owned();
    for verb in ["ban", "unban"] {
        let (status, reply) = demo.post(&format!("/api/v1/agents/{id}/{verb}"), json!({})).await;
        assert_eq!(status, 200, "{reply}");
    }
    let agent = demo.read(&format!("/api/v1/agents/{id}")).await;
    assert_eq!(agent["agent"]["has_no_token"], true, "{agent}");

    let on = certificates(&demo, &["docs.example.com"]).await;
    let plan = hands.plan(actions::find("reissue").unwrap(), on).await;
    let told = plan.in_the_way.join(" ");
    assert!(
        told.contains("web-03 has no token, so enrol it") && told.contains("until it is enrolled again"),
        "{told}"
    );
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    let words = outcome.words();
    assert_eq!(outcome.word(), "waiting", "{outcome:?}\n{said}");
    assert!(
        words.contains("goes on when web-03 is enrolled again") && !words.contains("is back"),
        "{words}"
    );

    // It would be refused, however often it is woken.
    let agent = Target {
        kind: EntityKind::Agent,
        id,
        version: 0,
        name: "web-03".to_owned(),
        status: "active".to_owned(),
    };
    let checkin = actions::find("checkin").unwrap();
    let refused = checkin.plan(vec![agent], Inputs::new(), &hands.reads).await;
    let words = refused.unwrap_err().to_string();
    assert!(words.starts_with("web-03 has no token"), "{words}");

    // A request that a person takes back has not failed.
    let requests = demo.all("/api/v1/requests?filter=docs.example.com").await;
    let open = requests.iter().find(|it| it["status"] == "pending").unwrap();
    let cancel = format!("/api/v1/requests/{}/cancel", open["id"].as_str().unwrap());
    let on = certificates(&demo, &["help.example.com"]).await;
    assert_eq!(demo.post(&cancel, json!({"comment": "a drill"})).await.0, 200);
    let plan = hands.plan(actions::find("reissue").unwrap(), on).await;
    let ban = async {
        super::demo::eventually("the run waits", async || {
            let said = hands.said.lock().unwrap();
            said.lines()
                .any(|line| line.starts_with("Ended(Waiting("))
                .then_some(())
        })
        .await;
        let ban = format!("/api/v1/agents/{}/ban", plan_agent(&demo));
        assert_eq!(demo.post(&ban, json!({})).await.0, 200);
    };
    let ((_, said), ()) = tokio::join!(hands.carry_out_and_follow(confirmed(plan)), ban);
    let last = *ends(&said).last().unwrap();
    assert!(
        last.starts_with("Ended(Stopped(") && last.contains("(ban of web-03)"),
        "{last}\n{said}"
    );
    let request = demo
        .read(&format!("/api/v1/requests/{}", open["id"].as_str().unwrap()))
        .await;
    let said = request["error_message"].as_str().unwrap();
    assert!(
        said.starts_with("cancelled by ") && said.ends_with("(a drill)"),
        "{said}"
    );
}

fn plan_agent(demo: &Demo) -> String {
    demo.agent("web-03")["id"].as_str().unwrap().to_owned()
}
