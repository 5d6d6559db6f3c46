//! The states of certificates that triggers keep are those that the other tables say, whatever happens in whatever order.

use proptest::prelude::*;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::fixture::Fixture;

/// Certificates, keys, agents and places that things happen to.
const N: u8 = 4;
/// Rows that are kept and not due, or due and not kept.
const OFF: &str = "SELECT COUNT(*) AS n FROM (SELECT * FROM (SELECT * FROM certificate_states \
    EXCEPT SELECT * FROM certificate_states_due) a UNION ALL SELECT * FROM (SELECT * FROM certificate_states_due \
    EXCEPT SELECT * FROM certificate_states) b) off";
const AT: &str = "'2026-01-01T00:00:00+00:00'";

fn key(n: u8) -> String {
    format!(
        "INSERT INTO keys (spki_sha256, algorithm, status, created_at) VALUES ('key{n}', 'ecdsa-p256', 'active', {AT})"
    )
}

fn agent(n: u8) -> String {
    format!(
        "INSERT INTO agents (id, hostname, address, install_dirs, agent_version, owner, status, checkin_interval_s, \
         enrolled_at, updated_at) VALUES ('agt{n}', 'host{n}', 'http://127.0.0.1:1', '[]', '1', 'team{}', 'active', \
         60, {AT}, {AT})",
        n % 2
    )
}

fn certificate(n: u8) -> String {
    format!(
        "INSERT INTO certificates (id, subject, sans, issuer, serial, fingerprint_sha256, spki_sha256, key_algorithm, \
         not_before, not_after, status, pem, chain_pem, created_at, updated_at) \
         VALUES ('crt{n}', 'CN=a', '[]', 'CN=CA', '0{n}', 'sha{n}', 'key{}', 'ecdsa-p256', {AT}, {AT}, 'active', '', \
         '', {AT}, {AT})",
        n % 3
    )
}

/// One thing that happens, to `a` and `b`.
fn happens(what: u8, a: u8, b: u8) -> String {
    let place = format!("agent_id = 'agt{}' AND path = '/{}'", a % N, b % 2);
    // The last certificate is there later than a host may serve it.
    let (of, by) = (a % (N - 1), b % (N - 1));
    match what {
        0 => format!(
            "INSERT INTO installations (id, agent_id, path, certificate_id, expected_sha256, served_sha256, \
             created_at, updated_at) SELECT 'ins{a}{b}', 'agt{}', '/{}', 'crt{by}', 'sha{by}', 'sha{}', {AT}, {AT} \
             WHERE NOT EXISTS (SELECT 1 FROM installations WHERE id = 'ins{a}{b}' OR {place})",
            a % N,
            b % 2,
            (a + b) % N,
        ),
        1 => format!("DELETE FROM installations WHERE {place}"),
        2 => format!(
            "UPDATE installations SET served_sha256 = 'sha{}' WHERE {place}",
            (a + b) % N
        ),
        3 => format!("UPDATE installations SET served_sha256 = NULL WHERE {place}"),
        4 => format!(
            "UPDATE installations SET on_disk_sha256 = 'sha{}' WHERE {place}",
            (a + b) % N
        ),
        5 => format!(
            "UPDATE installations SET certificate_id = 'crt{by}', expected_sha256 = 'sha{by}' WHERE agent_id = 'agt{}'",
            a % N
        ),
        6 => format!("UPDATE certificates SET replaced_by = 'crt{by}' WHERE id = 'crt{of}'"),
        7 => format!("UPDATE certificates SET replaced_by = NULL WHERE id = 'crt{of}'"),
        8 => format!(
            "UPDATE certificates SET status = 'revoked', revocation_reason = 'superseded', \
             revocation_asked_at = {AT} WHERE id = 'crt{of}'"
        ),
        9 => format!(
            "UPDATE keys SET status = 'compromised', compromised_at = {AT} WHERE spki_sha256 = 'key{by}'"
        ),
        10 => {
            format!("UPDATE keys SET status = 'active', compromised_at = NULL WHERE spki_sha256 = 'key{by}'")
        }
        11 => format!(
            "UPDATE agents SET hostname = 'host{a}{b}' WHERE id = 'agt{}'",
            a % N
        ),
        12 => format!("UPDATE agents SET owner = NULL WHERE id = 'agt{}'", a % N),
        _ => format!("UPDATE agents SET owner = 'team{b}' WHERE id = 'agt{}'", a % N),
    }
}

async fn off(it: &Fixture, script: &[String]) -> String {
    if let Some(postgres) = &it.postgres {
        return postgres.psql(&format!("{}; {OFF}", script.join(";\n")));
    }
    let mut conn = SqliteConnection::connect(&it.url).await.unwrap();
    for statement in script {
        conn.execute(AssertSqlSafe(statement.clone())).await.unwrap();
    }
    let n: i64 = conn.fetch_one(OFF).await.unwrap().get("n");
    n.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_kept_state_is_what_the_tables_say(
        happen in proptest::collection::vec((0_u8..14, 0_u8..9, 0_u8..9), 40..80)
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let Some(it) = Fixture::new().await else { return Ok(()) };
            let mut script: Vec<String> = (0..N).map(key).chain((0..N).map(agent)).collect();
            script.extend((0..N - 1).map(certificate));
            let half = happen.len() / 2;
            script.extend(happen[..half].iter().map(|&(what, a, b)| happens(what, a, b)));
            script.push(certificate(N - 1));
            script.extend(happen[half..].iter().map(|&(what, a, b)| happens(what, a, b)));
            prop_assert_eq!(off(&it, &script).await, "0", "{:#?}", script);
            Ok(())
        })?;
    }
}
