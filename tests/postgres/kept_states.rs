//! The states of certificates under two changes at once, neither of which sees the other.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::server;

const AT: &str = "'2026-01-01T00:00:00+00:00'";
const OFF: &str =
    "SELECT COUNT(*) FROM (SELECT * FROM certificate_states EXCEPT SELECT * FROM certificate_states_due) a";
const WAITING: &str =
    "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

fn certificate(n: u8) -> String {
    format!(
        "INSERT INTO certificates (id, subject, sans, issuer, serial, fingerprint_sha256, spki_sha256, key_algorithm, \
         not_before, not_after, status, pem, chain_pem, created_at, updated_at) \
         VALUES ('crt{n}', 'CN=a', '[]', 'CN=CA', '0{n}', 'sha{n}', 'key', 'ecdsa-p256', {AT}, {AT}, 'active', '', \
         '', {AT}, {AT})"
    )
}

fn moved(agent: u8) -> String {
    format!(
        "UPDATE installations SET certificate_id = 'crt2', expected_sha256 = 'sha2' WHERE agent_id = 'agt{agent}'"
    )
}

#[tokio::test]
async fn two_changes_at_once_are_both_in_the_state() {
    let replaced = "UPDATE certificates SET replaced_by = 'crt2' WHERE id = 'crt1'".to_owned();
    let leaked = format!("UPDATE keys SET status = 'compromised', compromised_at = {AT}");
    for (before, one, other) in [
        // The last two places that have it go over to its replacement.
        (replaced.clone(), moved(1), moved(2)),
        (
            "SELECT 1".to_owned(),
            format!("{}; {}", moved(1), moved(2)),
            replaced.clone(),
        ),
        (format!("{}; {}", moved(1), "SELECT 1"), replaced, moved(2)),
        // A certificate of a key that leaks meanwhile.
        ("SELECT 1".to_owned(), leaked.clone(), certificate(3)),
        ("SELECT 1".to_owned(), certificate(3), leaked),
    ] {
        let Some(it) = server::fresh() else { return };
        let store = cmp_console::store::Store::open(&it.url, cmp_console::clock::Clock::system()).await;
        drop(store.unwrap());
        let mut script = vec![format!(
            "INSERT INTO keys (spki_sha256, algorithm, status, created_at) \
             VALUES ('key', 'ecdsa-p256', 'active', {AT})"
        )];
        script.extend([certificate(1), certificate(2)]);
        for n in [1, 2] {
            script.push(format!(
                "INSERT INTO agents (id, hostname, address, install_dirs, agent_version, status, checkin_interval_s, \
                 enrolled_at, updated_at) VALUES ('agt{n}', 'host{n}', 'http://127.0.0.1:1', '[]', '1', 'active', 60, \
                 {AT}, {AT}); \
                 INSERT INTO installations (id, agent_id, path, certificate_id, expected_sha256, created_at, \
                 updated_at) VALUES ('ins{n}', 'agt{n}', '/', 'crt1', 'sha1', {AT}, {AT})"
            ));
        }
        script.push(before);
        it.psql(&script.join(";\n"));

        let mut first = PgConnection::connect(&it.url).await.unwrap();
        let mut begun = first.begin().await.unwrap();
        begun.execute(AssertSqlSafe(one.clone())).await.unwrap();
        let (url, second) = (it.url.clone(), other.clone());
        let second = tokio::spawn(async move {
            let mut conn = PgConnection::connect(&url).await.unwrap();
            conn.execute(AssertSqlSafe(second)).await.unwrap();
        });
        // It waits for the first one, or is through already.
        while it.psql(WAITING) == "0" && !second.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.commit().await.unwrap();
        second.await.unwrap();
        assert_eq!(it.psql(OFF), "0", "{one}, then {other}");
    }
}
