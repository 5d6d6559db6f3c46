//! Whatever is tried on a request in whatever order, it only moves as the domain allows, gets one
//! certificate at most, and every move of the issuer's has its audit row.

use chrono::Duration;
use cmp_console::domain::adapter::Pause;
use cmp_console::domain::request::{Request, RequestStatus, WaitingOn};
use cmp_console::store::claims::begin_issue;
use cmp_console::store::issuance::{
    complete_issue, fail_issue, pause_issue, resume_adapter, retry_issue_later,
};
use cmp_console::store::{StoreError, Tx, audit, certificates, jobs, requests};
use cmp_console::wire::page::PageQuery;
use proptest::prelude::*;

use super::fixture::{Fixture, certificate, noon};

async fn attempt(tx: &mut Tx, it: &Fixture, id: &str, what: u8) -> Result<(), StoreError> {
    let spki = certificate(1).spki_sha256;
    match what {
        0 => requests::set_csr(tx, id, "csr", &spki, "ecdsa-p256")
            .await
            .map(drop),
        1 => begin_issue(tx, id, "w", Duration::seconds(30)).await.map(drop),
        2 => complete_issue(tx, id, &certificate(1)).await.map(drop),
        3 => pause_issue(tx, id, &Pause::sealed()).await,
        4 => resume_adapter(tx, &it.adapter.id).await,
        5 => retry_issue_later(tx, id, "busy", tx.now() + Duration::seconds(5)).await,
        6 => fail_issue(tx, id, "no").await,
        7 => requests::cancel(tx, id, "ops", None).await.map(drop),
        8 => requests::retry(tx, id).await.map(drop),
        9 => requests::deny(tx, id, "ops", Some("why")).await.map(drop),
        _ => {
            let now = tx.now();
            jobs::release(tx, "w", now).await.map(drop)
        }
    }
}

fn legal(before: &Request, after: &Request) -> bool {
    before.status == after.status || before.status.may_become(after.status)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn only_as_the_domain_allows(tries in proptest::collection::vec((0_u8..11, 0_i64..40), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Some(it) = Fixture::new().await else { return };
            let mut tx = it.store.begin().await.unwrap();
            let id = requests::insert(&mut tx, &it.request("a.example.com")).await.unwrap().id;
            tx.commit().await.unwrap();
            let mut now = noon();
            for (what, seconds) in tries {
                now += Duration::seconds(seconds);
                it.clock.set(now);
                let mut tx = it.store.begin().await.unwrap();
                let before = requests::existing(&mut tx, &id).await.unwrap();
                match attempt(&mut tx, &it, &id, what).await {
                    Ok(()) => tx.commit().await.unwrap(),
                    Err(error) => {
                        assert!(matches!(error, StoreError::Refused(_)), "{what}: {error:?}");
                        tx.rollback().await.unwrap();
                    }
                }
                let mut conn = it.store.read().await.unwrap();
                let after = requests::existing(&mut conn, &id).await.unwrap();
                assert!(legal(&before, &after), "{what}: {:?} -> {:?}", before.status, after.status);
                assert!(after.version >= before.version);
                assert_eq!(after.status == RequestStatus::Pending, after.waiting_on.is_some());
                assert_eq!(after.status == RequestStatus::Issued, after.certificate_id.is_some());
                if after.waiting_on == Some(WaitingOn::Key) {
                    let work = jobs::for_agent(&mut conn, &it.agent.id).await.unwrap();
                    assert_eq!(work.len(), 1, "a key is waited for, so somebody must make it");
                }
            }
            let mut conn = it.store.read().await.unwrap();
            let page = certificates::page(&mut conn, &PageQuery::default()).await.unwrap();
            assert!(page.total <= 1);
            audit::verify(&it.store).await.unwrap();
        });
    }
}
