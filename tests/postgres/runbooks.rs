//! The operators' SQL, as it is written in their runbooks, and a backup that is restored.

use std::process::Stdio;

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
    // On a primary there is nothing to promote, which is what it says.
    let said = database.try_psql("postgres", "SELECT pg_promote();").unwrap_err();
    assert!(said.contains("recovery is not in progress"), "{said}");
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
