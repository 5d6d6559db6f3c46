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

        holders_are_known(&demo).await;
        let before = world(&demo).await;
        let plan = hands.plan(action, on.clone()).await;
        assert_eq!(world(&demo).await, before, "planning {id} changed something");
        assert!(!plan.steps.is_empty() && !plan.changes.is_empty(), "{id}");

        let read_only = confirmed(hands.plan(action, on.clone()).await);
        let (outcome, _) = hands.carry_out(read_only, Guard::ReadOnly, &shares(&demo)).await;
        assert!(matches!(outcome, Outcome::NotSent(_)), "{id}: {outcome:?}");
        assert_eq!(world(&demo).await, before, "{id} changed something read-only");

        let mut old = hands.plan(action, on.clone()).await;
        if old.targets[0].kind == EntityKind::Certificate {
            old.targets[0].version -= 1;
            old.targets[0].status = "held".to_owned();
            let (outcome, _) = hands.carry_out(confirmed(old), Guard::ReadWrite, &[]).await;
            assert!(matches!(outcome, Outcome::NotSent(_)), "{id} on another version");
            let words = outcome.words();
            assert!(words.contains("it was held and is active now"), "{words}");
            assert_eq!(world(&demo).await, before, "{id} ran on another version");
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

/// Everything that an action could change, without what moves by itself.
async fn world(demo: &Demo) -> Value {
    let mut lists = Vec::new();
    for path in ["certs", "agents", "requests", "keys", "audit", "runs"] {
        let mut rows = demo.all(&format!("/api/v1/{path}")).await;
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            for moves in ["last_checkin", "updated_at", "next_try_at", "attempts"] {
                row.remove(moves);
            }
        }
        lists.push(Value::from(rows));
    }
    let (_, seal) = demo.vault("GET", "sys/seal-status", None).await;
    lists.push(seal);
    lists.into()
}

fn is_silent(agent: &Value) -> bool {
    let last = agent["last_checkin"].as_str().and_then(|at| at.parse().ok());
    let interval = agent["checkin_interval_s"].as_i64().unwrap_or(60);
    last.is_none_or(|last: chrono::DateTime<chrono::Utc>| {
        Clock::system().now() - last > chrono::Duration::seconds(interval * 3)
    })
}

/// Waits until it is known of each key that a live agent has in use, or has made for a request, who holds it: until
/// then that comes by itself, with the agent's next report.
async fn holders_are_known(demo: &Demo) {
    demo::eventually("the holders of all keys of live agents", async || {
        let keys = demo.all("/api/v1/keys").await;
        let held = |spki: &Value| {
            keys.iter()
                .any(|key| key["spki_sha256"] == *spki && !key["agent_id"].is_null())
        };
        let certificates = demo.all("/api/v1/certs").await;
        let requests = demo.all("/api/v1/requests").await;
        for agent in demo.all("/api/v1/agents?status=active").await {
            let detail = demo
                .read(&format!("/api/v1/agents/{}", agent["id"].as_str()?))
                .await;
            if is_silent(&detail["agent"]) {
                continue;
            }
            for place in detail["installations"].as_array()? {
                let its = certificates
                    .iter()
                    .find(|it| it["id"] == place["certificate_id"])?;
                if !held(&its["spki_sha256"]) {
                    return None;
                }
            }
            let mut made = requests
                .iter()
                .filter(|it| it["agent_id"] == agent["id"] && !it["spki_sha256"].is_null());
            if made.any(|request| !held(&request["spki_sha256"])) {
                return None;
            }
        }
        Some(())
    })
    .await;
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
