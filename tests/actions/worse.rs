//! A revocation that is over, with a worse reason: nothing but that changes, and the key is blocked.

use cmp_console::actions;
use cmp_console::domain::id::EntityKind;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::plan::Inputs;

use super::demo::Demo;
use super::{Hands, confirmed, target};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_already_is_told_as_that_and_its_key_is_blocked_before_it_is_proven() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let revoke = actions::find("revoke").unwrap();
    let reasons = [Some("superseded"), None];
    for (n, reason) in reasons.into_iter().enumerate() {
        // As it is now: a plan is for the version that it saw.
        let on = target(&demo, EntityKind::Certificate).await;
        let inputs = reason.map(|reason| ("reason".to_owned(), reason.to_owned()));
        let inputs = inputs.into_iter().collect::<Inputs>();
        let plan = revoke.plan(vec![on.clone()], inputs, &hands.reads).await.unwrap();
        let is_over =
            plan.changes[0].contains("is revoked already (superseded); its reason becomes keyCompromise");
        assert_eq!(is_over, n == 1, "{:?}", plan.changes);
        let offers_first = plan
            .in_the_way
            .iter()
            .any(|line| line.contains("Reissue it first"));
        assert_eq!(offers_first, n == 0, "{:?}", plan.in_the_way);
        let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
        assert!(outcome.is_proven(), "{outcome:?}\n{said}");
        let detail = demo.read(&format!("/api/v1/certs/{}", on.id)).await;
        let (reason, key) = match n {
            0 => ("superseded", "active"),
            _ => ("keyCompromise", "compromised"),
        };
        assert_eq!(detail["certificate"]["revocation"]["reason"], reason, "{detail}");
        assert_eq!(detail["key"]["status"], key, "{detail}");
    }
}
