//! Steps that go on without the API, and those that end when the console is locked meanwhile.

use super::*;

/// Unsealing needs no API; what was done meanwhile is in the audit once there is one again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_without_the_api_is_handed_over_when_it_is_back() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    // Nobody listens there.
    let away = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let hands = Hands::new(&demo, &format!("http://{away}"), tmp.path());
    let action = actions::find("unseal").unwrap();
    let on = vec![target(&demo, EntityKind::Vault).await];
    let plan = hands.plan(action, on.clone()).await;
    let run = plan.run_id.clone();
    let (outcome, said) = hands
        .carry_out(confirmed(plan), Guard::ReadWrite, &shares(&demo)[..3])
        .await;
    assert!(
        outcome.is_proven() && said.contains("Began(Locally)"),
        "{outcome:?}\n{said}"
    );

    // A run that is under way in another console, and a line that a crash cut off, stay where they are.
    let local = tmp.path().join("journal.jsonl");
    let text = std::fs::read_to_string(&local).unwrap();
    let begun = text.lines().next().unwrap().replace(&run, "run_another");
    // One whose console was killed in the middle of a step.
    let mut killed = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = text.lines().take(2).map(|line| line.replace(&run, "run_killed"));
    let mut begin: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    begin["owner"]["pid"] = killed.id().into();
    // It was the other plan's.
    begin["body"].as_object_mut().unwrap().remove("digest");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let step = lines.next().unwrap();
    assert!(step.contains("\"event\":\"step\""), "{step}");
    std::fs::write(
        &local,
        format!("{text}{begun}\n{begin}\n{step}\n{{\"event\":\"ste"),
    )
    .unwrap();

    let back = Hands::new(&demo, &demo.text("/api"), tmp.path());
    assert!(
        hands.journal.hand_over(&hands.changes).await.is_err(),
        "the API is still away"
    );
    back.journal.hand_over(&back.changes).await.unwrap();
    back.journal.hand_over(&back.changes).await.unwrap();
    let record = demo.read(&format!("/api/v1/runs/{run}")).await;
    assert_eq!(record["outcome"], "done", "{record}");
    assert!(
        record["note"].as_str().unwrap().contains("(ended at "),
        "{record}"
    );
    let record = demo.read("/api/v1/runs/run_killed").await;
    assert_eq!(record["outcome"], "unknown", "{record}");
    assert!(
        record["note"]
            .as_str()
            .unwrap()
            .contains("the console was gone before its end"),
        "{record}"
    );
    let left = std::fs::read_to_string(&local).unwrap();
    assert!(!left.contains("run_killed"), "{left}");
    assert!(!left.contains(&run) && left.contains("run_another"), "{left}");
    for share in shares(&demo) {
        assert!(!text.contains(share.expose()));
    }
}

/// An agent is woken where it was last heard of, and its own answer is the proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_woken_without_the_api() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, "http://127.0.0.1:1", tmp.path());
    let action = actions::find("checkin").unwrap();
    let on = vec![target(&demo, EntityKind::Agent).await];
    let unknown = action.plan(on.clone(), Inputs::new(), &hands.reads).await;
    assert!(unknown.is_err(), "nobody said where it is");

    let path = format!("/api/v1/agents/{}", on[0].id);
    let agent = demo.read(&path).await["agent"].clone();
    hands.reads.known.hear(&serde_json::from_value(agent).unwrap());
    let plan = hands.plan(action, on).await;
    assert!(
        plan.in_the_way[0].contains("The API does not answer"),
        "{:?}",
        plan.in_the_way
    );
    let before = demo.read(&path).await["agent"]["last_checkin"].clone();
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(
        outcome.is_proven() && outcome.words().contains("says that it checked in"),
        "{outcome:?}"
    );
    assert!(said.contains("Began(Locally)"), "{said}");
    let after = demo.read(&path).await["agent"]["last_checkin"].clone();
    assert_ne!(after, before, "it really did");
}

/// The time that a context is unlocked for may end while an unseal attempt is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_locked_meanwhile_takes_no_share_any_more() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let action = actions::find("unseal").unwrap();
    let plan = hands
        .plan(action, vec![target(&demo, EntityKind::Vault).await])
        .await;
    let asked = std::sync::atomic::AtomicUsize::new(0);
    // Open for the start and for the first step, locked when the first share comes.
    let guard = || match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 | 1 => Guard::ReadWrite,
        _ => Guard::Protected(None),
    };
    let (outcome, said) = hands
        .carry_out_while(confirmed(plan), &guard, &shares(&demo)[..3])
        .await;
    assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?} {said}");
    assert!(outcome.words().contains("locked"), "{outcome:?}");
    assert!(hands.reads.vault().unwrap().seal_status().await.unwrap().sealed);
    assert_eq!(
        hands.reads.vault().unwrap().seal_status().await.unwrap().progress,
        0
    );
}
