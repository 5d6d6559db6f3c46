//! A banned host is given nothing: the plan says so before anything is sent, whoever planned before the ban.

use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Inputs, Target};
use serde_json::json;

use super::demo::Demo;
use super::{Hands, confirmed, target, target_on};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_installed_on_a_banned_host() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let install = actions::find("install").unwrap();
    let there = target_on(&demo, EntityKind::Certificate, "cdn-02").await;
    let detail = demo.read(&format!("/api/v1/certs/{}", there.id)).await;
    let path = detail["installations"][0]["path"].as_str().unwrap().to_owned();
    let inputs = || Inputs::from([("path".to_owned(), path.clone())]);
    let before = install
        .plan(vec![there.clone()], inputs(), &hands.reads)
        .await
        .unwrap();

    let agent = demo.agent("cdn-02")["id"].as_str().unwrap().to_owned();
    let jobs = async || {
        let rows = demo.all(&format!("/api/v1/audit?entity={agent}")).await;
        rows.iter().filter(|row| row["action"] == "install").count()
    };
    let ban = format!("/api/v1/agents/{agent}/ban");
    assert_eq!(demo.post(&ban, json!({})).await.0, 200);
    let asked = jobs().await;

    // Alone it can't be planned, and is told with the way out.
    let refused = install.plan(vec![there.clone()], inputs(), &hands.reads).await;
    let problem = refused.unwrap_err();
    assert!(
        problem.what.contains("cdn-02") && problem.what.contains("is banned and gets nothing"),
        "{problem}"
    );
    assert!(
        problem.hint.as_deref().unwrap_or_default().contains("`U`"),
        "{problem:?}"
    );
    // Among others it is left out, by name.
    let other = target(&demo, EntityKind::Certificate).await;
    let both: Vec<Target> = vec![there.clone(), other.clone()];
    let plan = hands.plan(install, both).await;
    assert_eq!(
        plan.left_out_by_cause(),
        [(
            "whose key a banned agent holds",
            vec![there.name.trim_start_matches("CN=")]
        )]
    );
    assert!(plan.targets.iter().all(|it| it.id == other.id));

    // A plan of before the ban is not carried out.
    let (outcome, said) = hands.carry_out(confirmed(before), Guard::ReadWrite, &[]).await;
    assert!(
        matches!(outcome, Outcome::NotSent(_) | Outcome::Refused(_)),
        "{outcome:?}\n{said}"
    );
    assert_eq!(jobs().await, asked, "nothing was asked of it");
    let (status, problem) = demo
        .post(
            &format!("/api/v1/agents/{agent}/install"),
            json!({"cert_id": there.id, "path": path}),
        )
        .await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem["title"].to_string().contains("banned"), "{problem}");
}
