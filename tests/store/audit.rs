//! The audit trail can be appended to and nothing else.

use cmp_console::store::audit;
use cmp_console::wire::page::PageQuery;

use super::fixture::{Fixture, entry};

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
        "INSERT OR REPLACE INTO audit_logs SELECT * FROM audit_logs WHERE seq = 2",
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
