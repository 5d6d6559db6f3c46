//! Laws of every registered action: planning changes nothing, read-only refuses it, it is proven and on record.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_action_plans_without_a_change_is_refused_read_only_and_is_proven_and_on_record() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let mut secrets: Vec<String> = shares(&demo)
        .iter()
        .map(|share| share.expose().to_owned())
        .collect();
    secrets.extend(["/vault_root_token", "/operator_token", "/viewer_token"].map(|name| demo.text(name)));
    for action in in_order() {
        let id = action.spec().id;
        let on = vec![target_of(&demo, action).await];

        let plan = changes_nothing(&demo, &format!("planning {id}"), async || {
            hands.plan(action, on.clone()).await
        })
        .await;
        assert!(!plan.steps.is_empty() && !plan.changes.is_empty(), "{id}");

        changes_nothing(&demo, &format!("{id}, read-only,"), async || {
            let read_only = confirmed(hands.plan(action, on.clone()).await);
            let (outcome, _) = hands.carry_out(read_only, Guard::ReadOnly, &shares(&demo)).await;
            assert!(matches!(outcome, Outcome::NotSent(_)), "{id}: {outcome:?}");
        })
        .await;

        if plan.targets[0].kind == EntityKind::Certificate {
            changes_nothing(&demo, &format!("{id} on another version"), async || {
                let mut old = hands.plan(action, on.clone()).await;
                old.targets[0].version -= 1;
                old.targets[0].status = "held".to_owned();
                let (outcome, _) = hands.carry_out(confirmed(old), Guard::ReadWrite, &[]).await;
                assert!(matches!(outcome, Outcome::NotSent(_)), "{id} on another version");
                let words = outcome.words();
                assert!(words.contains("it was held and is active now"), "{words}");
            })
            .await;
        }

        let digest = plan.digest();
        let (run, steps) = (plan.run_id.clone(), plan.steps.len());
        let plan_text = serde_json::to_string(&plan).unwrap();
        let (outcome, said) = hands
            .carry_out(confirmed(plan), Guard::ReadWrite, &shares(&demo)[..3])
            .await;
        assert!(outcome.is_proven(), "{id}: {outcome:?}\n{said}");

        let record = demo.read(&format!("/api/v1/runs/{run}")).await;
        assert_eq!(record["digest"], digest.as_str(), "{id}");
        assert_eq!(record["outcome"], "done", "{id}: {record}");
        assert_eq!(
            (&record["comment"], &record["ticket"]),
            (&"a drill".into(), &"INC-1".into())
        );
        let recorded = record["steps"].as_array().unwrap();
        assert_eq!(recorded.len(), steps, "{id}");
        assert!(
            recorded.iter().all(|step| step["status"] == "proven"),
            "{id}: {record}"
        );
        let audit = demo.all("/api/v1/audit").await;
        let rows: Vec<&Value> = audit
            .iter()
            .filter(|row| row["run_id"] == run.as_str() && row["action"] == "run")
            .collect();
        assert!(rows.iter().all(|row| row["actor"] == OPERATOR), "{id}: {rows:?}");
        let words: Vec<&str> = rows.iter().filter_map(|row| row["outcome"].as_str()).collect();
        assert_eq!(words.len(), 2, "{id}: a row before and a row after, not {rows:?}");
        assert!(
            words.contains(&"asked") && words.contains(&"done"),
            "{id}: {words:?}"
        );

        // Whoever did it, and for whom: every row of the run says under which ticket, and why.
        for row in audit.iter().filter(|row| row["run_id"] == run.as_str()) {
            assert_eq!(row["ticket"], "INC-1", "{id}: {row}");
            assert!(
                row["reason"].as_str().is_some_and(|why| !why.is_empty()),
                "{id}: {row}"
            );
        }

        let by_issuer = |row: &&Value| row["run_id"] == run.as_str() && row["actor"] == "issuer";
        let issuer_acts = matches!(id, "revoke" | "reissue");
        assert_eq!(audit.iter().any(|row| by_issuer(&row)), issuer_acts, "{id}");

        let everything = format!("{plan_text}{said}{record}{}", Value::from(audit));
        for secret in &secrets {
            assert!(!everything.contains(secret.as_str()), "{id} told a secret");
        }
    }
    assert!(
        !tmp.path().join("journal.jsonl").exists(),
        "all of it went to the API"
    );
}

/// Name of the token that the demo's console has.
const OPERATOR: &str = "operator";

/// Times that something is tried again where the platform itself changed something meanwhile.
const TRIES: usize = 10;

/// Result of `act`, which changes nothing. Agents report and the issuer works meanwhile: where something is another
/// one afterwards, it is tried again, and has to change nothing once; what a person does is never among it.
async fn changes_nothing<T>(demo: &Demo, what: &str, act: impl AsyncFn() -> T) -> T {
    let mut left = TRIES;
    loop {
        let before = world(demo).await;
        let given = act().await;
        let after = world(demo).await;
        if before == after {
            return given;
        }
        assert_eq!(
            done_by_people(&after),
            done_by_people(&before),
            "{what} did something"
        );
        left -= 1;
        assert!(
            left > 0,
            "{what} changed something {TRIES} times: {before}\n{after}"
        );
    }
}

/// Everything that an action could change, without what moves by itself.
async fn world(demo: &Demo) -> Value {
    let mut lists = serde_json::Map::new();
    for path in ["certs", "agents", "requests", "keys", "audit", "runs"] {
        let mut rows = demo.all(&format!("/api/v1/{path}")).await;
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            for moves in ["last_checkin", "updated_at", "next_try_at", "attempts"] {
                row.remove(moves);
            }
        }
        lists.insert(path.to_owned(), rows.into());
    }
    let (_, seal) = demo.vault("GET", "sys/seal-status", None).await;
    lists.insert("seal".to_owned(), seal);
    lists.into()
}

/// The audit rows of whoever presses keys here.
fn done_by_people(world: &Value) -> Vec<&Value> {
    let rows = world["audit"].as_array().unwrap();
    rows.iter().filter(|row| row["actor"] == OPERATOR).collect()
}

/// The registry, unseal first: the others need an open Vault.
fn in_order() -> Vec<&'static dyn Action> {
    let mut all = actions::ALL.to_vec();
    all.sort_by_key(|action| match action.spec().id {
        "unseal" => 0,
        "revoke" => 2,
        _ => 1,
    });
    all
}
