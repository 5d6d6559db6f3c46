//! `deploy/postgres/roles.sql`: what the two accounts may and may not.

use cmp_console::clock::Clock;
use cmp_console::store::{Store, agents, audit};

use crate::fixture::{Fixture, enrol, entry};

#[tokio::test]
async fn each_account_can_what_it_must_and_nothing_else() {
    let Some(it) = Fixture::new().await else { return };
    let database = it.postgres.as_ref().unwrap();
    // Twice, as after an upgrade.
    database.make_roles();
    database.make_roles();

    // The server works with it: a change, its audit row, the coming months.
    let url = database.server.url("cmp_server", &database.name);
    let store = Store::open(&url, Clock::system()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    agents::insert(&mut tx, &enrol("web-02"), 60).await.unwrap();
    audit::append(&mut tx, entry("enrol")).await.unwrap();
    tx.commit().await.unwrap();
    audit::make_room(&store).await.unwrap();
    assert_eq!(audit::verify(&store).await.unwrap().0, 1);

    let refused = |user: &str, sql: &str| {
        let said = database.try_psql(user, sql).unwrap_err();
        assert!(
            said.contains("permission denied") || said.contains("must be owner"),
            "{user}: {sql}: {said}"
        );
    };
    let month = database.psql("SELECT min(tablename) FROM pg_tables WHERE tablename LIKE 'audit_logs_2%'");
    for sql in [
        "UPDATE audit_logs SET actor = 'x'",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
        "UPDATE audit_head SET seq = 0",
        "DROP TABLE audit_logs",
        "ALTER TABLE audit_logs DISABLE TRIGGER ALL",
        "CREATE TABLE mine (n int)",
        "DELETE FROM _sqlx_migrations",
        &format!("INSERT INTO {month} SELECT * FROM audit_logs"),
        &format!("DELETE FROM {month}"),
    ] {
        refused("cmp_server", sql);
    }

    let clock = "INSERT INTO clocks_off VALUES ('issuer@x', 1, now()); DELETE FROM clocks_off";
    database.try_psql("cmp_server", clock).unwrap();

    let console = |sql: &str| database.try_psql("cmp_console", sql);
    assert_eq!(console("SELECT count(*) FROM agents").unwrap(), "2");
    assert_eq!(console("SELECT count(*) FROM audit_logs").unwrap(), "1");
    for sql in [
        "SELECT * FROM tokens",
        "SELECT * FROM idempotency",
        "SELECT * FROM audit_head_hold()",
        "SELECT audit_logs_make_partitions(now(), 100)",
    ] {
        refused("cmp_console", sql);
    }
    // Whatever the session says about itself.
    for sql in [
        "UPDATE agents SET status = 'banned'",
        "DELETE FROM runs",
        "INSERT INTO key_holders SELECT id, 'x', now() FROM agents",
        "SELECT * FROM agents FOR UPDATE",
        "CREATE TABLE mine (n int)",
    ] {
        refused("cmp_console", &format!("BEGIN READ WRITE; {sql}; COMMIT"));
        let said = console(sql).unwrap_err();
        assert!(
            said.contains("read-only transaction") || said.contains("permission denied"),
            "{said}"
        );
    }
}
