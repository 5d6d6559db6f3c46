//! The operators' SQL, as it is written in their runbooks, and a backup that is restored.

use std::process::Stdio;
use std::time::Duration;

use cmp_console::clock::Clock;
use cmp_console::domain::audit::AuditEntry;
use cmp_console::store::{Store, audit, certificates};

use crate::fixture::{Fixture, certificate, entry};
use crate::server::{self, OWNER};

#[tokio::test]
async fn every_line_runs_as_written() {
    let Some(it) = Fixture::new().await else { return };
    let database = it.postgres.as_ref().unwrap();
    let mut tx = it.store.begin().await.unwrap();
    let held = certificates::insert(&mut tx, &certificate(3)).await.unwrap();
    let about = AuditEntry {
        entity_id: held.id.clone(),
        ..entry("issue")
    };
    audit::append(&mut tx, about).await.unwrap();
    tx.commit().await.unwrap();
    // The fixture's time is a fixed one, and the runbook asks for what ends soon after now.
    database.psql("UPDATE certificates SET not_after = now() + INTERVAL '3 days'");

    let affected = "SELECT id, subject, not_after FROM certificates \n\
                    WHERE subject LIKE '%affected-domain%' AND status = 'active';"
        .replace("affected-domain", "host-003");
    assert!(database.psql(&affected).starts_with(&held.id));

    let agent = "SELECT id, hostname, last_checkin, status FROM agents \nWHERE id = 'agent-id';"
        .replace("agent-id", &it.agent.id);
    assert_eq!(database.psql(&agent), format!("{}|web-01||active", it.agent.id));

    let review = "SELECT * FROM audit_logs \n\
                  WHERE entity_type = 'certificate' \n\
                  AND entity_id IN (compromised-ids)\n\
                  ORDER BY timestamp DESC;"
        .replace("compromised-ids", &format!("'{}', 'crt_none'", held.id));
    assert_eq!(database.psql(&review).lines().count(), 1);

    let expiring = "SELECT id, subject, not_after FROM certificates \n\
                    WHERE not_after < NOW() + INTERVAL '30 days' \n\
                    AND status = 'active';";
    assert!(database.psql(expiring).starts_with(&held.id));
    assert_eq!(database.psql("SELECT COUNT(*) FROM certificates;"), "1");
    assert_eq!(database.psql("SELECT error_message FROM issuance_requests;"), "");
    assert_eq!(database.psql("SELECT config::jsonb FROM adapters;"), "{}");
}

#[tokio::test]
async fn a_backup_is_restored_and_its_chain_goes_on() {
    let Some(it) = Fixture::new().await else { return };
    let database = it.postgres.as_ref().unwrap();
    for n in 0..5 {
        let mut tx = it.store.begin().await.unwrap();
        certificates::insert(&mut tx, &certificate(n)).await.unwrap();
        audit::append(&mut tx, entry("issue")).await.unwrap();
        tx.commit().await.unwrap();
    }
    let head = audit::verify(&it.store).await.unwrap();

    // pg_dump -U cmp_user -d cmp_db > backup.sql; psql -U cmp_user -d cmp_db < backup.sql
    let fresh = server::empty().unwrap();
    let mut dump = database
        .server
        .program("pg_dump")
        .args(["-U", OWNER, "-d", &database.name])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let restored = fresh
        .server
        .program("psql")
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            OWNER,
            "-d",
            &fresh.name,
        ])
        .stdin(dump.stdout.take().unwrap())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(dump.wait().unwrap().success());
    assert!(
        restored.status.success(),
        "{}",
        String::from_utf8_lossy(&restored.stderr)
    );
    assert_eq!(fresh.psql("SELECT COUNT(*) FROM certificates;"), "5");

    let store = Store::open(&fresh.url, Clock::system()).await.unwrap();
    assert_eq!(audit::verify(&store).await.unwrap(), head);
    let mut tx = store.begin().await.unwrap();
    let next = audit::append(&mut tx, entry("restored")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((next.seq, &next.prev_hash), (head.0 + 1, &head.1));
    assert_eq!(audit::verify(&store).await.unwrap(), (next.seq, next.hash));
    // It still can't be changed, and each month has a partition of its own.
    assert!(fresh.try_psql(OWNER, "DELETE FROM audit_logs").is_err());
    let month = fresh.psql("SELECT tableoid::regclass FROM audit_logs ORDER BY seq DESC LIMIT 1");
    assert!(month.starts_with("audit_logs_2"), "{month}");
}

#[tokio::test]
async fn a_replica_is_promoted_and_takes_over() {
    let Some(it) = Fixture::new().await else { return };
    let database = it.postgres.as_ref().unwrap();
    let mut tx = it.store.begin().await.unwrap();
    audit::append(&mut tx, entry("before")).await.unwrap();
    tx.commit().await.unwrap();
    let replica = server::replica().unwrap();
    let url = replica.url(OWNER, &database.name);
    // What the primary is told later arrives as well, behind what other tests write meanwhile.
    let mut tx = it.store.begin().await.unwrap();
    audit::append(&mut tx, entry("streamed")).await.unwrap();
    tx.commit().await.unwrap();
    let count = "SELECT COUNT(*) FROM audit_logs;";
    let arriving = async {
        while replica.psql(OWNER, &database.name, count) != "2" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), arriving)
        .await
        .unwrap();

    let Err(error) = Store::open(&url, Clock::system()).await else {
        panic!("a server can't work on a replica");
    };
    let said = error.to_string();
    assert!(
        said.contains("is a replica that streams from") && said.contains("DB_HOST"),
        "{said}"
    );
    // Its primary lives: what is promoted beside it is a second one.
    assert!(!said.contains("pg_promote"), "{said}");

    assert_eq!(replica.psql("postgres", "postgres", "SELECT pg_promote();"), "t");
    let store = Store::open(&url, Clock::system()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let next = audit::append(&mut tx, entry("promoted")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(audit::verify(&store).await.unwrap(), (3, next.hash));
    store.close().await;
}
