//! The facts that findings are worked out from. What they mean is decided in `services/api/findings`.

use chrono::{DateTime, Duration, Utc};

use crate::domain::agent::{Agent, AgentStatus, SILENT_AFTER_INTERVALS};
use crate::domain::certificate::CertificateStatus;
use crate::domain::key::KeyStatus;
use crate::domain::reason::Reason;
use crate::domain::renewal::Renewal;
use crate::domain::request::Request;

use super::row::{FromRow, Row, optional_word, word};
use super::statement::sql;
use super::{Conn, StoreError, agents, certificates, requests};

/// More findings of a kind than a person can look at are cut off here, the most urgent kept.
pub const AT_MOST: i64 = 500;

/// One installation that may be in trouble, with what is known about its certificate and agent.
#[derive(Clone, Debug)]
pub struct InUse {
    /// The installation.
    pub installation_id: String,
    /// Its version.
    pub installation_version: i64,
    /// Where.
    pub agent_id: String,
    /// The agent's host name.
    pub hostname: String,
    /// Where, on the agent.
    pub path: String,
    /// Where it is served, if it is.
    pub tls_address: Option<String>,
    /// The certificate expected there.
    pub certificate_id: String,
    /// Its version.
    pub certificate_version: i64,
    /// Its subject.
    pub subject: String,
    /// Its end.
    pub not_after: DateTime<Utc>,
    /// When its CA suggests to renew it.
    pub renewal: Option<Renewal>,
    /// Its status.
    pub status: CertificateStatus,
    /// Why it was revoked.
    pub revocation_reason: Option<Reason>,
    /// When that was asked for.
    pub revocation_asked_at: Option<DateTime<Utc>>,
    /// Its key's status.
    pub key_status: KeyStatus,
    /// Since when its key counts as compromised.
    pub compromised_at: Option<DateTime<Utc>>,
    /// Its fingerprint.
    pub expected_sha256: String,
    /// What the file holds.
    pub on_disk_sha256: Option<String>,
    /// What a handshake showed.
    pub served_sha256: Option<String>,
    /// The issuer that was not sent with it.
    pub chain_missing: Option<String>,
    /// Why there was none, or why the last installation failed.
    pub error: Option<String>,
    /// When the agent last looked.
    pub checked_at: Option<DateTime<Utc>>,
    /// When what is expected changed last.
    pub updated_at: DateTime<Utc>,
    /// An installation that isn't done yet was asked for then.
    pub installing_since: Option<DateTime<Utc>>,
    /// The newest request that is to replace the certificate failed.
    pub renewal_failing: bool,
    /// The agent's last check-in.
    pub last_checkin: Option<DateTime<Utc>>,
    /// Its interval.
    pub checkin_interval_s: i64,
}

impl InUse {
    /// Whether the agent missed its check-ins.
    #[must_use]
    pub fn agent_silent(&self, now: DateTime<Utc>) -> bool {
        let patience = Duration::seconds(self.checkin_interval_s) * SILENT_AFTER_INTERVALS;
        self.last_checkin.is_none_or(|at| now - at > patience)
    }
}

const IN_USE: &str = "SELECT i.id AS installation_id, i.version AS installation_version, i.agent_id, \
     a.hostname, i.path, a.tls_address, i.certificate_id, c.version AS certificate_version, c.subject, \
     c.not_after, c.renewal_window_start, c.renewal_window_end, c.renewal_moved_from, \
     c.renewal_explanation_url, c.renewal_asked_at, c.status, c.revocation_reason, c.revocation_asked_at, k.status AS key_status, \
     k.compromised_at, i.expected_sha256, i.on_disk_sha256, i.served_sha256, i.chain_missing, \
     COALESCE(i.install_error, i.report_error) AS error, i.checked_at, i.updated_at, \
     (SELECT MIN(j.created_at) FROM jobs j WHERE j.installation_id = i.id AND j.status = 'queued') \
       AS installing_since, \
     COALESCE((SELECT r.status FROM issuance_requests r WHERE r.replaces = c.id ORDER BY r.id DESC LIMIT 1), \
       '') AS renewal, a.last_checkin, a.checkin_interval_s \
     FROM installations i JOIN certificates c ON c.id = i.certificate_id \
     JOIN keys k ON k.spki_sha256 = c.spki_sha256 JOIN agents a ON a.id = i.agent_id WHERE ";

/// Installations whose certificate ends before `horizon`, is (being) revoked, or has a compromised key.
///
/// # Errors
/// The database doesn't answer.
pub async fn certificates_in_trouble(
    conn: &mut Conn,
    horizon: DateTime<Utc>,
) -> Result<Vec<InUse>, StoreError> {
    sql(sqlx::AssertSqlSafe(format!(
        "{IN_USE} a.status = 'active' AND (c.not_after < $1 OR c.status <> 'active' \
         OR k.status = 'compromised') ORDER BY c.not_after, i.id LIMIT $2"
    )))
    .bind(horizon)
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for certificates in trouble"))
}

/// Installations whose certificate is good, and whose CA asks to renew it now: what the CA wanted first
/// comes first.
///
/// # Errors
/// The database doesn't answer.
pub async fn renewals_asked_for(conn: &mut Conn) -> Result<Vec<InUse>, StoreError> {
    let now = conn.now();
    sql(sqlx::AssertSqlSafe(format!(
        "{IN_USE} a.status = 'active' AND c.renewal_window_start <= $1 AND c.status = 'active' \
         AND k.status <> 'compromised' ORDER BY c.renewal_window_end, i.id LIMIT $2"
    )))
    .bind(now)
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because(
        "looking for certificates that CAs want to be renewed",
    ))
}

/// Installations whose three truths may not agree, as far as their agents reported.
///
/// # Errors
/// The database doesn't answer.
pub async fn installations_in_trouble(conn: &mut Conn) -> Result<Vec<InUse>, StoreError> {
    sql(sqlx::AssertSqlSafe(format!(
        "{IN_USE} a.status = 'active' AND i.checked_at IS NOT NULL AND (i.on_disk_sha256 IS NULL \
         OR i.on_disk_sha256 <> i.expected_sha256 OR i.served_sha256 <> i.expected_sha256 \
         OR (i.served_sha256 IS NULL AND a.tls_address IS NOT NULL) OR i.install_error IS NOT NULL \
         OR i.chain_missing IS NOT NULL) \
         ORDER BY c.not_after, i.id LIMIT $1"
    )))
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for installations in trouble"))
}

/// Active agents that did not check in since `before`, the longest silence first.
///
/// # Errors
/// The database doesn't answer.
pub async fn agents_quiet_since(conn: &mut Conn, before: DateTime<Utc>) -> Result<Vec<Agent>, StoreError> {
    let rows: Vec<agents::Wrapped> = sql(
        "SELECT a.*, (SELECT COUNT(*) FROM installations i WHERE i.agent_id = a.id) AS n_installations \
         FROM agents a WHERE a.status = $1 \
         AND COALESCE(a.last_checkin, '1970-01-01T00:00:00+00:00') < $2 \
         ORDER BY COALESCE(a.last_checkin, '1970-01-01T00:00:00+00:00'), a.id LIMIT $3",
    )
    .bind(AgentStatus::Active.word())
    .bind(before)
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for silent agents"))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Subjects and paths of what is expected on an agent, by which a person knows what its loss means.
///
/// # Errors
/// The database doesn't answer.
pub async fn names_on_agent(conn: &mut Conn, agent_id: &str) -> Result<Vec<String>, StoreError> {
    sql(
        "SELECT DISTINCT c.subject FROM installations i JOIN certificates c ON c.id = i.certificate_id \
         WHERE i.agent_id = $1 ORDER BY c.subject LIMIT 20",
    )
    .bind(agent_id)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading what an agent serves"))
}

/// Requests that failed, and after which nobody asked for the same certificate again.
///
/// # Errors
/// The database doesn't answer.
pub async fn failed_requests(conn: &mut Conn) -> Result<Vec<Request>, StoreError> {
    let rows: Vec<requests::Wrapped> = sql(
        "SELECT r.* FROM issuance_requests r WHERE r.status = 'failed' AND NOT EXISTS ( \
           SELECT 1 FROM issuance_requests n WHERE n.id > r.id \
             AND n.status IN ('pending', 'issuing', 'issued', 'failed') \
             AND ((r.replaces IS NOT NULL AND n.replaces = r.replaces \
                   AND COALESCE(n.install_path, '') = COALESCE(r.install_path, '')) \
               OR (r.replaces IS NULL AND n.replaces IS NULL AND n.common_name = r.common_name \
                   AND COALESCE(n.agent_id, '') = COALESCE(r.agent_id, '')))) \
         ORDER BY r.id DESC LIMIT $1",
    )
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for failed requests"))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Requests under way that nothing happened to since `before`, the oldest first.
///
/// # Errors
/// The database doesn't answer.
pub async fn waiting_requests(conn: &mut Conn, before: DateTime<Utc>) -> Result<Vec<Request>, StoreError> {
    let rows: Vec<requests::Wrapped> = sql(
        "SELECT r.* FROM issuance_requests r WHERE r.status IN ('pending', 'issuing') \
         AND r.created_at < $1 ORDER BY r.id LIMIT $2",
    )
    .bind(before)
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for requests that wait"))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// A revocation that the CA has not confirmed.
#[derive(Clone, Debug)]
pub struct Unconfirmed {
    /// The certificate.
    pub certificate_id: String,
    /// Its version.
    pub version: i64,
    /// Its subject.
    pub subject: String,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// Why.
    pub reason: Option<Reason>,
    /// The CA's last word.
    pub error: Option<String>,
    /// Whether it is still under way: asked again it would only be refused as being under way.
    pub queued: bool,
    /// Why its adapter is paused.
    pub paused_reason: Option<String>,
}

/// Revocations asked for before `before` that the CA has not confirmed.
///
/// # Errors
/// The database doesn't answer.
pub async fn unconfirmed_revocations(
    conn: &mut Conn,
    before: DateTime<Utc>,
) -> Result<Vec<Unconfirmed>, StoreError> {
    sql(
        "SELECT c.id, c.version, c.subject, c.revocation_asked_at, c.revocation_reason, a.paused_reason, \
         (SELECT j.error_message FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' \
          ORDER BY j.id DESC LIMIT 1) AS error_message, \
         (SELECT COUNT(*) FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' \
          AND j.status = 'queued') AS n_queued \
         FROM certificates c LEFT JOIN adapters a ON a.id = c.adapter_id \
         WHERE c.status = 'revocation_pending' AND c.revocation_asked_at < $1 ORDER BY c.id LIMIT $2",
    )
    .bind(before)
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for unconfirmed revocations"))
}

/// What revocations that are under way wait for, where that is known, and how many do: the oldest one's words.
///
/// # Errors
/// The database doesn't answer.
pub async fn waiting_revocations(conn: &mut Conn) -> Result<Option<(i64, String)>, StoreError> {
    let row: Option<Waiting> = sql(
        "SELECT j.error_message, (SELECT COUNT(*) FROM jobs o WHERE o.kind = 'revoke' \
           AND o.status = 'queued' AND o.error_message IS NOT NULL) AS n_waiting \
         FROM jobs j WHERE j.kind = 'revoke' AND j.status = 'queued' AND j.error_message IS NOT NULL \
         ORDER BY j.id LIMIT 1",
    )
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("looking for revocations that wait"))?;
    Ok(row.map(|row| (row.n, row.words)))
}

struct Waiting {
    n: i64,
    words: String,
}

impl FromRow for Waiting {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            n: row.try_get("n_waiting")?,
            words: row.try_get("error_message")?,
        })
    }
}

/// A key in several certificates that are neither revoked, nor replaced and gone, nor over.
#[derive(Clone, Debug)]
pub struct SharedKey {
    /// The key.
    pub spki_sha256: String,
    /// Its version.
    pub version: i64,
    /// In how many.
    pub n_certificates: i64,
    /// Since when.
    pub since: DateTime<Utc>,
    /// One of them, which a fresh key would do good.
    pub certificate_id: String,
}

/// Keys in several live certificates.
///
/// # Errors
/// The database doesn't answer.
pub async fn shared_keys(conn: &mut Conn) -> Result<Vec<SharedKey>, StoreError> {
    let now = conn.now();
    sql(
        // First the few keys in question, in the order of an index, then what is to be said of them.
        "WITH several AS (SELECT s.spki_sha256 FROM certificates s \
           WHERE s.status = 'active' AND s.not_after > $1 GROUP BY s.spki_sha256 HAVING COUNT(*) > 1) \
         SELECT c.spki_sha256, k.version, COUNT(*) AS n_certificates, MAX(c.created_at) AS since, \
         MAX(c.id) AS certificate_id \
         FROM several JOIN certificates c ON c.spki_sha256 = several.spki_sha256 \
         JOIN keys k ON k.spki_sha256 = c.spki_sha256 \
         WHERE c.status = 'active' AND c.not_after > $1 AND (c.replaced_by IS NULL \
           OR EXISTS (SELECT 1 FROM installations i WHERE i.certificate_id = c.id)) \
         GROUP BY c.spki_sha256, k.version HAVING COUNT(*) > 1 ORDER BY n_certificates DESC LIMIT $2",
    )
    .bind(now)
    .bind(AT_MOST)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("looking for shared keys"))
}

impl FromRow for InUse {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let renewal: String = row.try_get("renewal")?;
        Ok(Self {
            installation_id: row.try_get("installation_id")?,
            installation_version: row.try_get("installation_version")?,
            agent_id: row.try_get("agent_id")?,
            hostname: row.try_get("hostname")?,
            path: row.try_get("path")?,
            tls_address: row.try_get("tls_address")?,
            certificate_id: row.try_get("certificate_id")?,
            certificate_version: row.try_get("certificate_version")?,
            subject: row.try_get("subject")?,
            not_after: row.try_get("not_after")?,
            renewal: certificates::renewal(row)?,
            status: word(row, "status", CertificateStatus::from_word)?,
            revocation_reason: optional_word(row, "revocation_reason", Reason::parse)?,
            revocation_asked_at: row.try_get("revocation_asked_at")?,
            key_status: word(row, "key_status", KeyStatus::from_word)?,
            compromised_at: row.try_get("compromised_at")?,
            expected_sha256: row.try_get("expected_sha256")?,
            on_disk_sha256: row.try_get("on_disk_sha256")?,
            served_sha256: row.try_get("served_sha256")?,
            chain_missing: row.try_get("chain_missing")?,
            error: row.try_get("error")?,
            checked_at: row.try_get("checked_at")?,
            updated_at: row.try_get("updated_at")?,
            installing_since: row.try_get("installing_since")?,
            renewal_failing: renewal == "failed",
            last_checkin: row.try_get("last_checkin")?,
            checkin_interval_s: row.try_get("checkin_interval_s")?,
        })
    }
}

impl FromRow for SharedKey {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            spki_sha256: row.try_get("spki_sha256")?,
            version: row.try_get("version")?,
            n_certificates: row.try_get("n_certificates")?,
            since: row.try_get("since")?,
            certificate_id: row.try_get("certificate_id")?,
        })
    }
}

impl FromRow for Unconfirmed {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            certificate_id: row.try_get("id")?,
            version: row.try_get("version")?,
            subject: row.try_get("subject")?,
            asked_at: row.try_get("revocation_asked_at")?,
            reason: optional_word(row, "revocation_reason", Reason::parse)?,
            error: row.try_get("error_message")?,
            queued: row.try_get::<i64>("n_queued")? > 0,
            paused_reason: row.try_get("paused_reason")?,
        })
    }
}
