//! A database of size, filled once and copied.

use std::sync::OnceLock;

use cmp_console::clock::Clock;
use sqlx::{Connection, PgConnection};

use crate::audit_fill;
use crate::filled::Filled;
use crate::server::{self, Database};

pub(crate) const N: usize = 100_000;
/// Requests for agents, one of a thousand of which failed; a key that leaked; tokens, jobs and runs that ended long ago.
const MORE: &str = "INSERT INTO issuance_requests (id, common_name, sans, key_algorithm, adapter_id, agent_id, \
        status, error_message, requested_by, created_at, updated_at) \
    SELECT 'req_' || substr(a.id, 5), 'new-' || a.hostname, '[]', 'ecdsa-p256', 'adp_1', a.id, 'failed', \
        CASE WHEN a.id LIKE '%777' THEN 'no such role' ELSE 'the CA is away' END, 'kim', now(), now() \
    FROM agents a; \
    INSERT INTO tokens (id, name, purpose, role, hash, agent_id, looks_like, created_at) \
    SELECT 'tok_' || substr(a.id, 5), 'agent', 'bearer', 'agent', a.id, a.id, 'agent', now() FROM agents a \
        WHERE NOT EXISTS (SELECT FROM tokens t WHERE t.agent_id = a.id); \
    INSERT INTO jobs (id, kind, status, agent_id, installation_id, certificate_id, created_at, ended_at) \
    SELECT 'job_' || i.id, 'install', 'done', i.agent_id, i.id, i.certificate_id, now(), now() FROM installations i; \
    INSERT INTO runs (id, action, entity_type, entity_ids, plan, digest, actor, begun_with, outcome, started_at, ended_at) \
    SELECT 'run_' || n, 'revoke', 'certificate', '[]', '{}', '', 'kim', (SELECT min(id) FROM tokens), 'done', \
        now() - make_interval(secs => n), now() FROM generate_series(1, 20000) n; \
    UPDATE keys SET status = 'compromised', compromised_at = now() WHERE spki_sha256 IN (SELECT c.spki_sha256 \
        FROM certificates c WHERE c.not_after > now() + interval '100 days' ORDER BY c.id LIMIT 3)";

/// Held by who reads in the server's log what its statements cost: the log is one for all databases.
#[allow(dead_code, reason = "not every test binary reads the log")]
pub(crate) static LOG: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A copy of it.
pub(crate) fn filled() -> Option<Database> {
    static FILLED: OnceLock<Option<Database>> = OnceLock::new();
    FILLED.get_or_init(fill).as_ref()?.copy()
}

fn fill() -> Option<Database> {
    let it = server::fresh()?;
    it.psql(
        "INSERT INTO adapters (id, name, kind, config, status, created_at, updated_at) \
         VALUES ('adp_1', 'vault', 'vault', '{}', 'active', now(), now())",
    );
    let fill = Filled {
        certificates: N,
        agents: 8210,
        reporting: 200,
        requests: 0,
        port: 1,
        adapter: "adp_1",
        is_troubled: false,
    };
    it.try_psql("postgres", &fill.sql()).unwrap();
    it.psql(MORE);
    let url = it.server.url("postgres", &it.name);
    // The tests that wait for it have runtimes of their own.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut conn = PgConnection::connect(&url).await.unwrap();
            audit_fill::fill(&mut conn, N, Clock::system().now()).await;
        });
    })
    .join()
    .unwrap();
    it.try_psql("postgres", "VACUUM ANALYZE").unwrap();
    Some(it)
}
