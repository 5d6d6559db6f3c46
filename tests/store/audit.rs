//! The audit trail can be appended to and nothing else.

use chrono::Duration;
use cmp_console::domain::audit::{AuditEntry, AuditOutcome};
use cmp_console::domain::id::EntityKind;
use cmp_console::store::requests::NewRequest;
use cmp_console::store::{audit, certificates, requests};
use cmp_console::wire::page::PageQuery;

use super::fixture::{Fixture, certificate, entry};

#[tokio::test]
async fn rows_are_chained_and_verify() {
    let Some(it) = Fixture::new().await else { return };
    for n in 0..25 {
        let mut tx = it.store.begin().await.unwrap();
        let row = audit::append(&mut tx, entry(&format!("a{n}"))).await.unwrap();
        assert_eq!(row.seq, n + 1);
        tx.commit().await.unwrap();
    }
    assert_eq!(audit::verify(&it.store).await.unwrap().0, 25);
    let mut conn = it.store.read().await.unwrap();
    let page = audit::page(&mut conn, &PageQuery::default()).await.unwrap();
    assert_eq!(page.items[0].seq, 25);
    assert_eq!(page.total, 25);
}

#[tokio::test]
async fn the_trail_of_a_request_begins_with_who_asked_for_it() {
    let Some(it) = Fixture::new().await else { return };
    let asked = |entity_id: &str| AuditEntry {
        outcome: AuditOutcome::Asked,
        entity_id: entity_id.to_owned(),
        ..entry("reissue")
    };
    let mut tx = it.store.begin().await.unwrap();
    let old = certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    audit::append(&mut tx, asked(&old.id)).await.unwrap();
    tx.commit().await.unwrap();

    it.clock.set(it.clock.now() + Duration::minutes(1));
    let mut tx = it.store.begin().await.unwrap();
    let new = NewRequest {
        replaces: Some(old.id.clone()),
        ..it.request("www.example.com")
    };
    let request = requests::insert(&mut tx, &new).await.unwrap();
    let row = audit::append(&mut tx, asked(&old.id)).await.unwrap();
    tx.commit().await.unwrap();

    it.clock.set(it.clock.now() + Duration::minutes(1));
    let mut tx = it.store.begin().await.unwrap();
    let its_own = AuditEntry {
        entity_type: EntityKind::Request,
        entity_id: request.id.clone(),
        ..entry("cancel")
    };
    let own = audit::append(&mut tx, its_own).await.unwrap();
    audit::append(&mut tx, asked("crt_other")).await.unwrap();
    tx.commit().await.unwrap();

    let mut conn = it.store.read().await.unwrap();
    let query = |id: &str| PageQuery {
        entity: Some(id.to_owned()),
        ..PageQuery::default()
    };
    let page = audit::page(&mut conn, &query(&request.id)).await.unwrap();
    let seqs: Vec<i64> = page.items.iter().map(|row| row.seq).collect();
    assert_eq!((seqs, page.total), (vec![own.seq, row.seq], 2));
    assert_eq!(
        audit::page(&mut conn, &query(&old.id)).await.unwrap().total,
        2,
        "its own rows alone"
    );
}

#[tokio::test]
async fn a_run_is_found_by_the_word_that_is_shown_of_its_end() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let ends = [
        (AuditOutcome::Unknown, "waiting: the request is kept"),
        (AuditOutcome::Failed, "stopped: by its person"),
        (AuditOutcome::Done, "served"),
        (AuditOutcome::Unknown, "no answer"),
        (AuditOutcome::Refused, "unsent: this context is locked"),
    ];
    for (outcome, note) in ends {
        let end = AuditEntry {
            outcome,
            detail: Some(format!("plan `reissue`: {note}")),
            ..entry("run")
        };
        audit::append(&mut tx, end).await.unwrap();
    }
    audit::append(&mut tx, entry("revoke")).await.unwrap();
    tx.commit().await.unwrap();
    let mut conn = it.store.read().await.unwrap();
    for (word, found) in [
        ("waiting", vec![1]),
        ("stopped", vec![2]),
        ("unsent", vec![5]),
        ("refused", vec![5]),
        ("proven", vec![3]),
        ("unknown", vec![4, 1]),
        ("done", vec![6, 3]),
    ] {
        let query = PageQuery {
            filter: Some(format!("outcome:{word}")),
            ..PageQuery::default()
        };
        let page = audit::page(&mut conn, &query).await.unwrap();
        let seqs: Vec<i64> = page.items.iter().map(|row| row.seq).collect();
        assert_eq!(seqs, found, "{word}");
    }
    let read = async |filter: &str, conn: &mut _| {
        let query = PageQuery {
            filter: Some(filter.to_owned()),
            ..PageQuery::default()
        };
        audit::page(conn, &query).await
    };
    // A word by itself finds what a row shows.
    for (word, found) in [("proven", vec![3]), ("stopped", vec![2]), ("waiting", vec![1])] {
        let page = read(word, &mut conn).await.unwrap();
        let seqs: Vec<i64> = page.items.iter().map(|row| row.seq).collect();
        assert_eq!(seqs, found, "{word}");
    }
    let words = read("outcome:provn", &mut conn).await.unwrap_err().to_string();
    assert!(words.contains("proven, reported, waiting, stopped"), "{words}");
}

#[tokio::test]
async fn a_dropped_transaction_leaves_no_gap() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    audit::append(&mut tx, entry("gone")).await.unwrap();
    drop(tx);
    let mut tx = it.store.begin().await.unwrap();
    assert_eq!(audit::append(&mut tx, entry("kept")).await.unwrap().seq, 1);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_database_refuses_changes() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    audit::append(&mut tx, entry("first")).await.unwrap();
    audit::append(&mut tx, entry("second")).await.unwrap();
    tx.commit().await.unwrap();
    it.store.close().await;

    if let Some(database) = &it.postgres {
        // The owner, whom no grant stops.
        for sql in [
            "UPDATE audit_logs SET actor = 'x' WHERE seq = 1",
            "DELETE FROM audit_logs WHERE seq = 2",
            "TRUNCATE audit_logs",
            "TRUNCATE audit_logs_2026_05",
            "DELETE FROM audit_logs_2026_05",
            "INSERT INTO audit_logs SELECT * FROM audit_logs WHERE seq = 2",
            "INSERT INTO audit_logs SELECT 4, timestamp, actor, action, entity_type, entity_id, outcome, \
             reason, ticket, run_id, source, detail, hash, 'x' FROM audit_logs WHERE seq = 2",
            "INSERT INTO audit_logs SELECT 3, timestamp, actor, action, entity_type, entity_id, outcome, \
             reason, ticket, run_id, source, detail, 'x', 'y' FROM audit_logs WHERE seq = 2",
        ] {
            let said = database.try_psql(crate::server::OWNER, sql).unwrap_err();
            assert!(said.contains("audit_logs_"), "{sql}: {said}");
        }
        return;
    }
    let path = it.url.trim_start_matches("sqlite://").to_owned();
    for sql in [
        "UPDATE audit_logs SET actor = 'x' WHERE seq = 1",
        "DELETE FROM audit_logs WHERE seq = 2",
        "INSERT OR REPLACE INTO audit_logs (seq, timestamp, actor, action, entity_type, entity_id, outcome, source, \
             prev_hash, hash) \
         SELECT seq, timestamp, actor, action, entity_type, entity_id, outcome, source, prev_hash, hash \
         FROM audit_logs WHERE seq = 2",
    ] {
        let said = raw(&path, sql).await.unwrap_err().to_string();
        assert!(said.contains("audit_logs_"), "{sql}: {said}");
    }
}

/// Another program at the same file.
async fn raw(path: &str, sql: &'static str) -> Result<(), sqlx::Error> {
    use sqlx::Connection;
    let mut conn = sqlx::SqliteConnection::connect(&format!("sqlite://{path}")).await?;
    sqlx::query(sql).execute(&mut conn).await?;
    Ok(())
}
