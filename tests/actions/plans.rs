//! Plans count over all that they are about, and say what is in the way before anybody says yes.

use cmp_console::plan::tier::Harm;

use super::*;

/// Facts of a plan are those of all that it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_counts_what_is_left_over_all_of_it_and_says_what_waits_before_it_is_asked() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let revoke = actions::find("revoke").unwrap();
    let names = ["smtp.example.com", "mx1.example.com", "imap.example.com"];
    let all = certificates(&demo, &names).await;
    let plan = hands.plan(revoke, all.clone()).await;
    let words = plan.changes.join(" ");
    assert!(
        !words.contains("NOT revoked") && words.contains("These are all"),
        "{words}"
    );
    assert_eq!(plan.asks(DEMO), Ask::Type("3 demo".to_owned()));
    let two = hands.plan(revoke, all[..2].to_vec()).await;
    let words = two.changes.join(" ");
    assert_eq!(words.matches("NOT revoked").count(), 1, "{words}");
    assert!(words.contains("imap.example.com has the key too"), "{words}");

    // Vault is sealed: the API takes it, the key is blocked at once, and nobody waits for the rest.
    let one = hands.plan(revoke, all[..1].to_vec()).await;
    assert!(one.in_the_way[0].contains("is paused"), "{:?}", one.in_the_way);
    let began = std::time::Instant::now();
    let (outcome, said) = hands.carry_out(confirmed(one), Guard::ReadWrite, &[]).await;
    assert!(matches!(outcome, Outcome::Waiting(_)), "{outcome:?}\n{said}");
    let detail = demo.read(&format!("/api/v1/certs/{}", all[0].id)).await;
    assert_eq!(detail["key"]["status"], "compromised", "{}", detail["key"]);

    // No revocation waits for what replaces the certificate, and the plan of one and of several says so.
    let on = certificates(&demo, &["img.example.com", "status.example.com"]).await;
    for on in [on[..1].to_vec(), on] {
        let words = hands.plan(revoke, on).await.in_the_way.join(" ");
        assert!(
            words.contains(
                "What replaces img.example.com is asked for, and not there yet. The revocation doesn't wait for that: an \
                 outage until it is served. Wait for it, then `X`: no outage."
            ),
            "{words}"
        );
    }

    // A reissue that is under way can't begin again, and the plan says so by name before anybody says yes.
    let reissue = actions::find("reissue").unwrap();
    let on = certificates(&demo, &["img.example.com", "status.example.com"]).await;
    let alone = reissue.plan(on[..1].to_vec(), Inputs::new(), &hands.reads).await;
    let words = alone.unwrap_err().to_string();
    assert!(
        words.starts_with("img.example.com is being reissued already: its request waits for the CA"),
        "{words}"
    );
    assert!(words.contains("`:cancel`") && !words.contains("req_"), "{words}");
    let both = hands.plan(reissue, on).await;
    assert_eq!(
        both.left_out_by_cause(),
        [("being reissued already", vec!["img.example.com"])]
    );

    // A check-in names who may not answer.
    let checkin = actions::find("checkin").unwrap();
    let agents = ["vpn-01", "web-01"].map(|host| Target {
        kind: EntityKind::Agent,
        id: demo.agent(host)["id"].as_str().unwrap().to_owned(),
        version: 0,
        name: host.to_owned(),
        status: "active".to_owned(),
    });
    let plan = hands.plan(checkin, agents.to_vec()).await;
    assert!(
        plan.in_the_way[0].starts_with("vpn-01 is silent since ")
            && plan.in_the_way[0].ends_with("may not answer."),
        "{:?}",
        plan.in_the_way
    );

    // An agent that is away is told before, and holds up nothing that comes after it.
    demo.unseal().await;
    let on = certificates(&demo, &["vpn.example.com", "status.example.com"]).await;
    let plan = hands.plan(reissue, on).await;
    // The issuer looks every few seconds, and until then its row says sealed of a Vault that is open.
    assert!(
        !plan.in_the_way.iter().any(|line| line.contains("sealed")),
        "{:?}",
        plan.in_the_way
    );
    assert!(
        plan.in_the_way
            .iter()
            .any(|line| line.contains("vpn-01 is silent since")),
        "{:?}",
        plan.in_the_way
    );
    let of_vpn: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| step.target == 0)
        .map(|step| step.step.as_str())
        .collect();
    assert_eq!(
        of_vpn,
        ["reissue", "await_agent", "prove_handshake"],
        "it isn't proven before the host serves it"
    );
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    let words = outcome.words();
    assert!(
        words.starts_with("1 proven, 1 waiting. waiting: vpn.example.com (asked, waits for the agent"),
        "{words}\n{said}"
    );
    assert!(
        began.elapsed() < std::time::Duration::from_secs(90),
        "nobody waited for the limit of a step"
    );
    // Of a plan nothing is on record yet.
    let on = certificates(&demo, &["vpn.example.com"]).await;
    let plan = hands.plan(actions::find("install").unwrap(), on).await;
    let words = plan.in_the_way.join(" ");
    assert!(
        words.contains("The job will be on record; nothing is installed there until it"),
        "{words}"
    );
}

/// The database may be behind what hosts serve and what the CA has done, as after a restore: the plan reads the dates
/// and the CA's own list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_certificate_is_typed_for_and_one_that_the_ca_has_revoked_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let (install, reissue) = (
        actions::find("install").unwrap(),
        actions::find("reissue").unwrap(),
    );
    let old = target(&demo, EntityKind::Certificate).await;
    let detail = demo.read(&format!("/api/v1/certs/{}", old.id)).await;
    let path = detail["installations"][0]["path"].as_str().unwrap().to_owned();
    let serial = detail["certificate"]["serial"].as_str().unwrap().to_owned();
    let plan = hands.plan(reissue, vec![old.clone()]).await;
    let told = |plan: &Plan| plan.in_the_way.join(" ");
    let words = format!("{} {}", plan.changes.join(" "), plan.for_good);
    assert!(
        words.contains("The old certificate stays valid until ") && !words.contains("taken back"),
        "{words}"
    );
    assert!(
        !told(&plan).contains("revoked at the CA"),
        "{:?}",
        plan.in_the_way
    );
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");

    // The new one is there: it may be written again with a letter, and the old one over it may not.
    let detail = demo.read(&format!("/api/v1/certs/{}", old.id)).await;
    let new = Target {
        id: detail["certificate"]["replaced_by"].as_str().unwrap().to_owned(),
        ..old.clone()
    };
    let at_path = Inputs::from([("path".to_owned(), path.clone())]);
    let same = install
        .plan(vec![new.clone()], at_path.clone(), &hands.reads)
        .await
        .unwrap();
    assert_eq!(same.asks(DEMO), Ask::Yes, "{same:?}");
    let older = install
        .plan(vec![old.clone()], at_path.clone(), &hands.reads)
        .await
        .unwrap();
    let last_four = serial.replace(':', "");
    let last_four = &last_four[last_four.len() - 4..];
    let mut wrong = Vec::new();
    let puts_back = "An OLDER certificate takes a newer one's place; `i` on the newer one puts it back: ";
    if older.asks(DEMO) != Ask::Type(last_four.to_owned())
        || older.reach().harm == Harm::Final
        || !older.for_good.starts_with(puts_back)
    {
        wrong.push(format!(
            "an older one over a newer one: {:?}, {}",
            older.asks(DEMO),
            older.for_good
        ));
    }

    // At a path of its own it still has a successor, which is named.
    let elsewhere = Inputs::from([("path".to_owned(), format!("{path}.old.pem"))]);
    let beside = install
        .plan(vec![old.clone()], elsewhere, &hands.reads)
        .await
        .unwrap();
    if beside.asks(DEMO) != Ask::Type(last_four.to_owned()) || !beside.for_good.contains("what replaced it") {
        wrong.push(format!(
            "an older one beside a newer one: {:?}, {}",
            beside.asks(DEMO),
            beside.for_good
        ));
    }
    if !beside.changes[0].contains("serial …") || !beside.changes[0].contains("ends ") {
        wrong.push(format!("what is installed: {:?}", beside.changes));
    }
    // It is served already, so that a handshake afterwards says nothing of what was done.
    let (outcome, said) = hands.carry_out(confirmed(same), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    if !said.contains("served before already") || said.contains("serves the new certificate") {
        wrong.push(format!("written again: {said}"));
    }

    // The CA revokes it, and the database never hears of that.
    let body = serde_json::json!({"serial_number": serial});
    let (status, reply) = demo.vault("POST", "cmp-pki/revoke", Some(body)).await;
    assert_eq!(status, 200, "{reply}");
    let detail = demo.read(&format!("/api/v1/certs/{}", old.id)).await;
    assert_eq!(detail["certificate"]["status"], "active");
    match install.plan(vec![old.clone()], at_path, &hands.reads).await {
        Err(problem) if problem.what.contains("is on the CA's revocation list") => {}
        other => wrong.push(format!("one that the list has: {other:?}")),
    }
    // An earlier plan of it is made anew before it is carried out.
    let (outcome, _) = hands.carry_out(confirmed(older), Guard::ReadWrite, &[]).await;
    if !matches!(outcome, Outcome::NotSent(_)) {
        wrong.push(format!("planned before: {outcome:?}"));
    }
    // To reissue is the way out of that, and says so.
    let detail = demo.read(&format!("/api/v1/certs/{}", new.id)).await;
    let body = serde_json::json!({"serial_number": detail["certificate"]["serial"]});
    assert_eq!(demo.vault("POST", "cmp-pki/revoke", Some(body)).await.0, 200);
    let plan = reissue.plan(vec![new], Inputs::new(), &hands.reads).await;
    match plan {
        Ok(plan) if told(&plan).contains("revoked at the CA already") => {}
        other => wrong.push(format!("to be reissued: {other:?}")),
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
