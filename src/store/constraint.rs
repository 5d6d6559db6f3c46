//! Named constraints of the schema, into words. The database has the last say on these rules, so a
//! race that slips past a check in code ends here.

use crate::problem::Problem;

/// How the database tells which one: by its name where it knows it, by its columns where SQLite says
/// only those.
const KNOWN: [(&str, &str); 13] = [
    ("adapters.name", "adapters_name_once"),
    ("agents.hostname", "agents_hostname_once"),
    (
        "certificates.issuer, certificates.serial",
        "certificates_serial_once",
    ),
    ("certificates.fingerprint_sha256", "certificates_fingerprint_once"),
    ("certificates.request_id", "certificates_request_once"),
    (
        "installations.agent_id, installations.path",
        "installations_path_once",
    ),
    ("issuance_requests.spki_sha256", "issuance_requests_key_once"),
    ("tokens.hash", "tokens_hash_once"),
    ("idempotency.caller, idempotency.key", "idempotency_once"),
    ("audit_logs_append_only", "audit_logs_append_only"),
    ("audit_logs_gap_free", "audit_logs_gap_free"),
    ("certificates_revoked_is_final", "certificates_revoked_is_final"),
    ("issuance_requests_end_is_final", "issuance_requests_end_is_final"),
];

/// The name of the constraint that a statement broke, if it is one of ours.
pub(super) fn broken(error: &sqlx::Error) -> Option<&'static str> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    let said = error.constraint().unwrap_or_else(|| error.message());
    KNOWN
        .into_iter()
        .find(|(sign, name)| said == *name || said.ends_with(sign))
        .map(|(_, name)| name)
}

/// What a person is told.
pub(super) fn words(name: &str) -> Problem {
    match name {
        "agents_hostname_once" => Problem::conflict("an agent of this host name is enrolled already")
            .hint("ask for a new enrolment token of that agent: `POST /api/v1/agents/{id}/token`"),
        "adapters_name_once" => Problem::conflict("there is an adapter of this name already"),
        "certificates_serial_once" | "certificates_fingerprint_once" => {
            Problem::conflict("this certificate is in the inventory already")
        }
        "certificates_request_once" => Problem::conflict("this request has its certificate already"),
        "installations_path_once" => Problem::conflict("something is expected at this path already"),
        "issuance_requests_key_once" => Problem::refused("this key was used in another request")
            .hint("make a fresh key for every request"),
        "idempotency_once" => Problem::conflict("a request with this Idempotency-Key was just carried out"),
        "certificates_revoked_is_final" => Problem::conflict("the certificate is revoked, and stays so"),
        "issuance_requests_end_is_final" => Problem::conflict("the request is at its end, and stays so"),
        "audit_logs_append_only" => Problem::refused("the audit trail can't be changed"),
        "audit_logs_gap_free" => Problem::unavailable("the audit trail takes only the row that comes next")
            .hint("nothing was changed; try again"),
        other => Problem::conflict(format!("the database refused it: `{other}`")),
    }
}
