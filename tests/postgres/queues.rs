//! A queue that filled since PostgreSQL last looked at it: for all it knows, it is empty, and any index over it will do.

use chrono::Duration;
use cmp_console::clock::Clock;
use cmp_console::domain::reason::Reason;
use cmp_console::store::{Store, ban, jobs, revocation, unlisted};

use crate::{lists, sized};

/// Upper bound for the blocks that it touches to read something of one agent, one certificate or one job.
const BLOCKS: u64 = 40;
/// Upper bound where a row is written, with what its triggers and its indexes touch.
const BLOCKS_TO_WRITE: u64 = 200;
/// Requests and jobs that ended, which PostgreSQL looks at, and then as many for agents and for the issuer that are not.
const FILL: &str = "\
    DELETE FROM request_words; DELETE FROM issuance_requests; \
    INSERT INTO issuance_requests (id, common_name, sans, key_algorithm, adapter_id, agent_id, status, requested_by, \
            created_at, updated_at) \
        SELECT 'req_0' || n, 'a', '[]', 'ecdsa-p256', 'adp_1', 'agt_' || '01k' || lpad((1 + n % 8200)::text, 23, '0'), \
            'denied', 'kim', now(), now() FROM generate_series(1, 24600) n; \
    ANALYZE issuance_requests; \
    INSERT INTO issuance_requests (id, common_name, sans, key_algorithm, adapter_id, agent_id, status, waiting_on, \
            requested_by, created_at, updated_at) \
        SELECT 'req_1' || n, 'a', '[]', 'ecdsa-p256', 'adp_1', 'agt_' || '01k' || lpad(n::text, 23, '0'), \
            'pending', 'ca', 'kim', now(), now() FROM generate_series(1, 8000) n; \
    INSERT INTO jobs (id, kind, status, agent_id, created_at, ended_at) \
        SELECT 'job_0' || n, 'install', 'done', 'agt_' || '01k' || lpad((1 + n % 8000)::text, 23, '0'), now(), now() \
        FROM generate_series(1, 4000) n; \
    ANALYZE jobs; \
    INSERT INTO jobs (id, kind, status, agent_id, work, created_at) \
        SELECT 'job_1' || n, 'install', 'queued', 'agt_' || '01k' || lpad((1 + n)::text, 23, '0'), '{}', now() \
        FROM generate_series(1, 8000) n; \
    INSERT INTO jobs (id, kind, status, certificate_id, created_at) \
        SELECT 'job_2' || lpad(n::text, 6, '0'), 'revoke', 'queued', 'crt_' || '01k' || lpad(n::text, 23, '0'), now() \
        FROM generate_series(1, 8000) n";

#[tokio::test]
async fn a_long_queue_costs_only_who_works_on_it() {
    let Some(it) = sized::filled() else { return };
    let _log = sized::LOG.lock().await;
    it.try_psql("postgres", FILL).unwrap();
    lists::measured(&it);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let began = it.server.log().len();
    let mut tx = store.begin().await.unwrap();
    // One that nothing is queued for, and nothing asked.
    let agent = "agt_01k00000000000000000008100";
    assert!(jobs::for_agent(&mut tx, agent).await.unwrap().is_empty());
    assert!(ban::ban(&mut tx, agent, "kim").await.unwrap().is_some());
    let certificate = it.psql(
        "SELECT max(id) FROM certificates WHERE status = 'active' AND not_after > now() + interval '9 days'",
    );
    revocation::ask(&mut tx, certificate.trim(), Reason::Superseded)
        .await
        .unwrap();
    assert!(jobs::whom(&mut tx, "job_17").await.unwrap().is_some());
    assert!(
        !unlisted::fell_out(&mut tx, certificate.trim(), "a list")
            .await
            .unwrap()
    );
    assert!(
        !unlisted::ask_again(&mut tx, certificate.trim(), Clock::system().now())
            .await
            .unwrap()
    );
    let claimed = jobs::claim_revoke(&mut tx, Some("adp_1"), "me", Duration::minutes(1)).await;
    assert!(claimed.unwrap().is_some());
    tx.commit().await.unwrap();
    let log = it.server.log().split_off(began);
    let touched = lists::touched(&log);
    assert!(touched.len() > 8, "{touched:#?}");
    let dear: Vec<_> = touched
        .into_iter()
        .filter(|(blocks, text)| {
            let writes = ["UPDATE", "INSERT"]
                .iter()
                .any(|verb| text.trim().starts_with(verb));
            *blocks > if writes { BLOCKS_TO_WRITE } else { BLOCKS }
        })
        .collect();
    assert!(dear.is_empty(), "{dear:#?}");
}
