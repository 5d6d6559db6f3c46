//! Several servers at work on one database: what is done is done once, nobody overtakes anybody, and the
//! audit chain has no gap.

use std::collections::BTreeMap;

use chrono::Duration;
use cmp_console::domain::adapter::{Pause, PauseKind};
use cmp_console::domain::reason::Reason;
use cmp_console::domain::role::Role;
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::store::tokens::{NewToken, Purpose};
use cmp_console::store::{
    Store, adapters, agents, audit, certificates, claims, compromise, installations, issuance, job_end, jobs,
    queue, requests, revocation, tokens,
};
use cmp_console::wire::agents::JobResult;
use futures::future::join_all;

use crate::fixture::{Fixture, certificate, enrol, entry};

async fn stores(it: &Fixture, n: usize) -> Vec<Store> {
    join_all((0..n).map(|_| Store::open(&it.url, it.clock.clone())))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

fn lease() -> Duration {
    Duration::seconds(30)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuers_share_the_requests_and_issue_each_once() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let mut numbers = BTreeMap::new();
    for n in 0..40 {
        let new = requests::NewRequest {
            install_path: Some(format!("/srv/tls/{}.pem", n % 3)),
            ..it.request("a.example.com")
        };
        let request = requests::insert(&mut tx, &new).await.unwrap();
        let spki = certificate(n).spki_sha256;
        requests::set_csr(&mut tx, &request.id, "csr", &spki, "ecdsa-p256")
            .await
            .unwrap();
        numbers.insert(request.id, n);
    }
    tx.commit().await.unwrap();

    let issuers = stores(&it, 3).await.into_iter().enumerate().map(|(who, store)| {
        let (numbers, adapter) = (&numbers, it.adapter.id.as_str());
        async move {
            let mut issued = 0;
            loop {
                let mut tx = store.begin().await.unwrap();
                let claimed = claims::claim(&mut tx, adapter, &format!("issuer-{who}"), lease(), 8)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                if claimed.is_empty() {
                    return issued;
                }
                issued += join_all(claimed.iter().map(|issuing| async {
                    assert!(!issuing.may_be_signed, "somebody else had it");
                    let mut tx = store.begin().await.unwrap();
                    let id = &issuing.request.id;
                    issuance::complete_issue(&mut tx, id, &certificate(numbers[id]))
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                    1
                }))
                .await
                .into_iter()
                .sum::<u32>();
            }
        }
    });
    let issued = join_all(issuers).await;
    assert_eq!(issued.iter().sum::<u32>(), 40, "{issued:?}");
    // Each has `asked` and `done`.
    assert_eq!(audit::verify(&it.store).await.unwrap().0, 80);
    let mut conn = it.store.read().await.unwrap();
    assert_eq!(
        installations::by_agent(&mut conn, &it.agent.id)
            .await
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_are_claimed_by_one_each() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    for n in 0..30 {
        let mut new = certificate(n);
        new.not_after = it.clock.now() + Duration::days(9);
        let held = certificates::insert(&mut tx, &new).await.unwrap();
        revocation::ask(&mut tx, &held.id, Reason::Superseded)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let stores = stores(&it, 3).await;
    let workers = (0..9_usize).map(|who| {
        let store = &stores[who % 3];
        async move {
            let mut claimed = Vec::new();
            loop {
                let mut tx = store.begin().await.unwrap();
                let job = jobs::claim_revoke(&mut tx, None, &format!("w{who}"), lease())
                    .await
                    .unwrap();
                let Some(job) = job else { break };
                revocation::accept_revocation(&mut tx, &job, store.clock().now())
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                claimed.push(job.id);
            }
            claimed
        }
    });
    let mut claimed: Vec<String> = join_all(workers).await.concat();
    claimed.sort();
    claimed.dedup();
    assert_eq!(claimed.len(), 30);
    assert_eq!(audit::verify(&it.store).await.unwrap().0, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_contradicts_itself_happens_once() {
    let Some(it) = Fixture::new().await else { return };
    let mut new = certificate(1);
    new.not_after = it.clock.now() + Duration::days(9);
    let mut tx = it.store.begin().await.unwrap();
    let held = certificates::insert(&mut tx, &new).await.unwrap();
    let waiting = requests::NewRequest {
        needs_approval: true,
        ..it.request("a.example.com")
    };
    let request = requests::insert(&mut tx, &waiting).await.unwrap();
    tx.commit().await.unwrap();
    let stores = stores(&it, 2).await;

    // One certificate, two wishes: the second is told that there is one already.
    let asked = join_all((0..8).map(|n| {
        let (store, id) = (&stores[n % 2], &held.id);
        async move {
            let mut tx = store.begin().await.unwrap();
            let asked = revocation::ask(&mut tx, id, Reason::Superseded).await;
            tx.commit().await.unwrap();
            asked.map_err(Problem::from).map_err(|problem| problem.kind).err()
        }
    }))
    .await;
    assert_eq!(asked.iter().filter(|kind| kind.is_none()).count(), 1, "{asked:?}");
    assert!(asked.iter().flatten().all(|kind| *kind == ProblemKind::Conflict));

    // Approved and denied at once: one of the two, and the other is told so.
    let decided = join_all((0..8).map(|n| {
        let (store, id) = (&stores[n % 2], &request.id);
        async move {
            let mut tx = store.begin().await.unwrap();
            let decided = match n % 2 {
                0 => requests::approve(&mut tx, id).await,
                _ => requests::deny(&mut tx, id, "ops", None).await,
            };
            tx.commit().await.unwrap();
            decided.is_ok()
        }
    }))
    .await;
    // An approved one may still be denied; a denied one not approved; neither twice.
    assert!(
        (1..=2).contains(&decided.iter().filter(|ok| **ok).count()),
        "{decided:?}"
    );

    // A one-time token is spent once.
    let secret = tokens::mint().unwrap();
    let once = NewToken {
        name: "enrol".to_owned(),
        purpose: Purpose::Enrol,
        role: Role::Agent,
        agent_id: None,
        parent: None,
        expires_at: None,
    };
    let mut tx = it.store.begin().await.unwrap();
    let token = tokens::create(&mut tx, &once, &secret).await.unwrap();
    tx.commit().await.unwrap();
    let spent = join_all((0..8).map(|n| {
        let (store, id) = (&stores[n % 2], &token.id);
        async move {
            let mut tx = store.begin().await.unwrap();
            let spent = tokens::spend(&mut tx, id).await.unwrap();
            tx.commit().await.unwrap();
            spent
        }
    }))
    .await;
    assert_eq!(spent.iter().filter(|spent| **spent).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_ends_in_one_chain_without_a_circle() {
    let Some(it) = Fixture::new().await else { return };
    let stores = stores(&it, 3).await;
    let mut tx = it.store.begin().await.unwrap();
    let mut held = Vec::new();
    for n in 0..12 {
        let mut new = certificate(n);
        new.not_after = it.clock.now() + Duration::days(9);
        new.adapter_id = Some(it.adapter.id.clone());
        held.push(certificates::insert(&mut tx, &new).await.unwrap());
    }
    tx.commit().await.unwrap();
    let path = |n: usize| format!("/srv/tls/{}.pem", n % 2);
    let work = (0..48_usize).map(|n| {
        let (store, it, certificate) = (&stores[n % 3], &it, &held[n % 12]);
        async move {
            let mut tx = store.begin().await?;
            match n % 6 {
                0 => {
                    let current = certificates::lock(&mut tx, &certificate.id).await?;
                    let place = installations::expect(&mut tx, &it.agent.id, &path(n / 6), &current).await?;
                    queue::install(&mut tx, &place, &current).await?;
                }
                1 => {
                    for job in jobs::for_agent(&mut tx, &it.agent.id).await? {
                        job_end::end(&mut tx, &it.agent.id, &job.id, &JobResult::withdrawn("no")).await?;
                    }
                }
                2 => {
                    compromise::mark(&mut tx, &certificate.spki_sha256).await?;
                }
                3 => {
                    issuance::pause_adapter(
                        &mut tx,
                        &it.adapter.id,
                        &Pause::new(PauseKind::Stopped, format!("stopped {n}")),
                    )
                    .await?;
                }
                4 => issuance::resume_adapter(&mut tx, &it.adapter.id).await?,
                _ => {
                    let asked = revocation::ask(&mut tx, &certificate.id, Reason::KeyCompromise).await;
                    if let Err(error) = asked {
                        let problem = Problem::from(error);
                        assert_eq!(problem.kind, ProblemKind::Conflict, "{problem}");
                    }
                }
            }
            audit::append(&mut tx, entry("crowd")).await?;
            tx.commit().await
        }
    });
    for result in join_all(work).await {
        result.unwrap();
    }
    assert!(audit::verify(&it.store).await.unwrap().0 >= 48);
}

#[tokio::test]
async fn a_deadlock_may_be_tried_again_and_changes_nothing() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let other = agents::insert(&mut tx, &enrol("web-02"), 60).await.unwrap();
    tx.commit().await.unwrap();
    let (mut first, mut second) = (it.store.begin().await.unwrap(), it.store.begin().await.unwrap());
    agents::lock(&mut first, &it.agent.id).await.unwrap();
    agents::lock(&mut second, &other.id).await.unwrap();
    let (one, two) = tokio::join!(
        agents::lock(&mut first, &other.id),
        agents::lock(&mut second, &it.agent.id)
    );
    let failed: Vec<Problem> = [one.err(), two.err()]
        .into_iter()
        .flatten()
        .map(Problem::from)
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].kind, ProblemKind::Unavailable, "{}", failed[0]);
    assert!(failed[0].kind.may_be_retried());
    assert!(failed[0].hint.is_some());
}

#[tokio::test]
async fn servers_that_start_at_once_agree_on_their_rows() {
    let Some(it) = Fixture::new().await else { return };
    let secret = tokens::mint().unwrap();
    let admin = NewToken {
        name: "admin".to_owned(),
        purpose: Purpose::Bearer,
        role: Role::Admin,
        agent_id: None,
        parent: None,
        expires_at: None,
    };
    let starts = stores(&it, 4).await;
    join_all(starts.iter().map(|store| async {
        let mut tx = store.begin().await.unwrap();
        tx.alone("configure").await.unwrap();
        adapters::upsert(&mut tx, "second", "vault_pki", &serde_json::json!({}))
            .await
            .unwrap();
        if tokens::find(&mut tx, secret.expose()).await.unwrap().is_none() {
            tokens::replace(&mut tx, &admin, &secret).await.unwrap();
        }
        tx.commit().await.unwrap();
    }))
    .await;
    let mut conn = it.store.read().await.unwrap();
    assert_eq!(adapters::all(&mut conn).await.unwrap().len(), 2);
    assert!(tokens::find(&mut conn, secret.expose()).await.unwrap().is_some());
}
