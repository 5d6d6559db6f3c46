//! A database of size, filled once and copied.

use std::sync::OnceLock;

use crate::filled::Filled;
use crate::server::{self, Database};

pub(crate) const N: usize = 100_000;
/// Requests for agents, one of a thousand of which failed; and a key that leaked.
const MORE: &str = "INSERT INTO issuance_requests (id, common_name, sans, key_algorithm, adapter_id, agent_id, \
        status, error_message, requested_by, created_at, updated_at) \
    SELECT 'req_' || substr(a.id, 5), 'new-' || a.hostname, '[]', 'ecdsa-p256', 'adp_1', a.id, 'failed', \
        CASE WHEN a.id LIKE '%777' THEN 'no such role' ELSE 'the CA is away' END, 'kim', now(), now() \
    FROM agents a; \
    UPDATE keys SET status = 'compromised', compromised_at = now() WHERE spki_sha256 IN (SELECT c.spki_sha256 \
        FROM certificates c WHERE c.not_after > now() + interval '100 days' ORDER BY c.id LIMIT 3)";

/// Held by who reads in the server's log what its statements cost: the log is one for all databases.
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
    it.try_psql("postgres", "VACUUM ANALYZE").unwrap();
    Some(it)
}
