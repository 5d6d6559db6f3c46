//! Installations whose certificate, or whose three truths, need somebody.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use sqlx::AssertSqlSafe;

use super::{AT_MOST, Asked, Foremost, count};
use crate::domain::agent::SILENT_AFTER_INTERVALS;
use crate::domain::certificate::{CertificateStatus, is_being_reissued};
use crate::domain::finding::LeftOut;
use crate::domain::key::KeyStatus;
use crate::domain::layout::Layout;
use crate::domain::reason::Reason;
use crate::domain::renewal::Renewal;
use crate::store::in_use_sql::{has_no_token, reissuable};
use crate::store::statement::{Value, is_listed, listed, sql};
use crate::store::{Conn, StoreError};

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
    /// Address at which it is served, if it is.
    pub tls_address: Option<String>,
    /// The certificate expected there, or found there instead.
    pub certificate_id: String,
    /// Its version.
    pub certificate_version: i64,
    /// Its subject.
    pub subject: String,
    /// Its serial.
    pub serial: String,
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
    /// It is what is expected there.
    pub is_expected: bool,
    /// A handshake showed it.
    pub is_served: bool,
    /// The fingerprint of what is expected there.
    pub expected_sha256: String,
    /// Fingerprint of what the file holds.
    pub on_disk_sha256: Option<String>,
    /// Fingerprint of what a handshake showed.
    pub served_sha256: Option<String>,
    /// The issuer that was not sent with it.
    pub chain_missing: Option<String>,
    /// Layout of its agent's files, if it told.
    pub layout: Option<Layout>,
    /// Why there was none, or why the last installation failed.
    pub error: Option<String>,
    /// The last installation failed.
    pub install_failed: bool,
    /// Reason that the place could not be looked at, or something seen there that isn't as it should be.
    pub report_error: Option<String>,
    /// The first installation there failed: nothing is in use by it.
    pub never_there: bool,
    /// The good certificate whose installation failed there, where another one is expected again.
    pub owed: Option<Owed>,
    /// The certificate that belongs there, where this one is not what is expected.
    pub instead: Option<Instead>,
    /// When the agent last looked.
    pub checked_at: Option<DateTime<Utc>>,
    /// Since when what is there isn't what is expected.
    pub differs_since: DateTime<Utc>,
    /// Requests under way that are to replace the certificate.
    pub n_reissues: i64,
    /// Places for which a reissue would make a request.
    pub n_reissuable: i64,
    /// The newest request that is to replace the certificate failed.
    pub renewal_failing: bool,
    /// Why.
    pub renewal_error: Option<String>,
    /// The agent's last check-in.
    pub last_checkin: Option<DateTime<Utc>>,
    /// Its agent is banned: what is there stays there, and it gets nothing.
    pub agent_banned: bool,
    /// Its agent has no token: it can't check in until it is enrolled again.
    pub agent_has_no_token: bool,
    /// Its interval.
    pub checkin_interval_s: i64,
}

impl InUse {
    /// Each place of the certificate has a request that is under way.
    #[must_use]
    pub fn is_being_reissued(&self) -> bool {
        is_being_reissued(self.n_reissues, self.n_reissuable)
    }

    /// True if the agent missed its check-ins.
    #[must_use]
    pub fn agent_silent(&self, now: DateTime<Utc>) -> bool {
        let patience = Duration::seconds(self.checkin_interval_s) * SILENT_AFTER_INTERVALS;
        self.last_checkin.is_none_or(|at| now - at > patience)
    }

    /// Its agent isn't banned, and can't come by itself, nor when it is woken.
    #[must_use]
    pub fn agent_lacks_token(&self) -> bool {
        self.agent_has_no_token && !self.agent_banned
    }

    /// Its agent may come, and missed its check-ins: it can be asked to.
    #[must_use]
    pub fn agent_may_be_woken(&self, now: DateTime<Utc>) -> bool {
        !self.agent_banned && !self.agent_has_no_token && self.agent_silent(now)
    }

    /// Time of its agent's last look, if a check-in is overdue since and the agent isn't banned: what is known of the place
    /// is of then, and may have changed with what the agent was at.
    #[must_use]
    pub fn unheard_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let interval = Duration::seconds(self.checkin_interval_s);
        let heard = self.last_checkin?;
        let is_overdue = now - heard > interval + interval / 2;
        (is_overdue && !self.agent_banned).then(|| self.checked_at.unwrap_or(heard))
    }

    /// Time of the last look at the place, if its agent has reported since and said nothing of it.
    #[must_use]
    pub fn left_out_since(&self) -> Option<DateTime<Utc>> {
        let heard = self.last_checkin?;
        self.checked_at.filter(|checked| *checked < heard)
    }
}

/// A certificate that belongs at a place and could not be installed there.
#[derive(Clone, Debug)]
pub struct Owed {
    /// Which.
    pub certificate_id: String,
    /// Its version.
    pub version: i64,
    /// Its subject.
    pub subject: String,
    /// Its serial.
    pub serial: String,
    /// Its end.
    pub not_after: DateTime<Utc>,
    /// Its fingerprint.
    pub sha256: String,
    /// Why its installation failed.
    pub error: Option<String>,
}

/// The certificate that belongs at a place where another one was found: the one that could not be installed, where that
/// is good, or else what is expected.
#[derive(Clone, Debug)]
pub struct Instead {
    /// Which.
    pub certificate_id: String,
    /// Its version.
    pub version: i64,
    /// Its subject.
    pub subject: String,
    /// It can be installed: it and its key are good, and an agent that isn't banned holds that.
    pub is_good: bool,
    /// It is on its way there.
    pub is_queued: bool,
    /// Each of its places has a request that is under way.
    pub is_being_reissued: bool,
}

/// Times by which a certificate that is expected on an agent is judged.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The present.
    pub now: DateTime<Utc>,
    /// Installations that were asked for since then have their time.
    pub since: DateTime<Utc>,
}

const COLUMNS: &str = concat!(
    "i.id AS installation_id, i.version AS installation_version, i.agent_id, \
     a.hostname, i.path, a.tls_address, a.layout, c.id AS certificate_id, c.version AS certificate_version, c.subject, c.serial, \
     c.not_after, c.renewal_window_start, c.renewal_window_end, c.renewal_moved_from, \
     c.renewal_explanation_url, c.renewal_asked_at, c.status, c.revocation_reason, c.revocation_asked_at, \
     k.status AS key_status, k.compromised_at, i.expected_sha256, i.on_disk_sha256, i.served_sha256, \
     CAST(CASE WHEN i.certificate_id = c.id THEN 1 ELSE 0 END AS bigint) AS is_expected, \
     CAST(CASE WHEN i.served_sha256 = c.fingerprint_sha256 THEN 1 ELSE 0 END AS bigint) AS is_served, \
     i.chain_missing, COALESCE(i.install_error, i.report_error) AS error, i.report_error, i.checked_at, COALESCE(i.differs_since, i.updated_at) AS differs_since, \
     CAST(CASE WHEN i.install_error IS NOT NULL THEN 1 ELSE 0 END AS bigint) AS install_failed, \
     CAST(CASE WHEN i.never_there THEN 1 ELSE 0 END AS bigint) AS never_there, \
     COALESCE((SELECT r.status FROM issuance_requests r WHERE r.replaces = c.id ORDER BY r.id DESC LIMIT 1), \
       '') AS renewal, \
     (SELECT r.error_message FROM issuance_requests r WHERE r.replaces = c.id ORDER BY r.id DESC LIMIT 1) \
       AS renewal_error, \
     (SELECT COUNT(*) FROM issuance_requests r WHERE r.replaces = c.id AND r.status IN ('pending', 'issuing')) \
       AS n_reissues, ",
    reissuable!(),
    " AS n_reissuable, a.last_checkin, a.checkin_interval_s, \
     CAST(CASE WHEN a.status = 'banned' THEN 1 ELSE 0 END AS bigint) AS agent_banned, \
     CAST(CASE WHEN ",
    has_no_token!("a.id"),
    " THEN 1 ELSE 0 END AS bigint) AS agent_has_no_token, \
     f.id AS owed_id, f.version AS owed_version, f.subject AS owed_subject, f.serial AS owed_serial, \
     f.not_after AS owed_until, f.fingerprint_sha256 AS owed_sha256, i.failed_error, "
);

/// Columns where the certificate itself is what is expected.
const ITSELF: &str = "CAST(NULL AS text) AS instead_id, CAST(0 AS bigint) AS instead_version, '' AS instead_subject, \
     CAST(0 AS bigint) AS instead_good, CAST(0 AS bigint) AS instead_queued, CAST(0 AS bigint) AS instead_reissues, \
     CAST(0 AS bigint) AS instead_reissuable";

/// Columns of the certificate that belongs there instead, `x`.
const INSTEAD: &str = concat!(
    "x.id AS instead_id, x.version AS instead_version, x.subject AS instead_subject, \
     CAST(CASE WHEN x.status = 'active' AND x.not_after > $1 AND EXISTS (SELECT 1 FROM keys k \
       JOIN key_holders h ON h.spki_sha256 = k.spki_sha256 WHERE k.spki_sha256 = x.spki_sha256 \
       AND k.status = 'active' AND a.status = 'active' AND h.agent_id = i.agent_id AND h.proven_at IS NOT NULL) THEN 1 ELSE 0 END AS bigint) \
       AS instead_good, \
     (SELECT COUNT(*) FROM jobs j WHERE j.installation_id = i.id AND j.status = 'queued' AND j.created_at > $2) \
       AS instead_queued, \
     (SELECT COUNT(*) FROM issuance_requests r WHERE r.replaces = x.id AND r.status IN ('pending', 'issuing')) \
       AS instead_reissues, (SELECT ",
    reissuable!(),
    " FROM certificates c WHERE c.id = x.id) AS instead_reissuable"
);

/// A ban changes nothing of what a host serves, so that banned agents' places count as any other.
const IN_USE: &str = "FROM installations i JOIN certificates c ON c.id = i.certificate_id \
     JOIN certificate_states s ON s.id = c.id JOIN keys k ON k.spki_sha256 = c.spki_sha256 JOIN agents a ON a.id = i.agent_id \
     LEFT JOIN certificates f ON f.id = i.failed_certificate_id AND f.id <> i.certificate_id \
       AND f.status = 'active' \
       AND (SELECT o.status FROM keys o WHERE o.spki_sha256 = f.spki_sha256) = 'active' \
     WHERE ";

/// The certificate whose installation failed there still belongs there: it hasn't ended.
const OWED: &str = "(f.id IS NOT NULL AND f.not_after > $1)";

/// Certificates that an agent found where another one is expected, with what belongs there.
const FOUND: &str = "FROM installations i JOIN certificates c \
       ON c.fingerprint_sha256 IN (i.served_sha256, i.on_disk_sha256) AND c.fingerprint_sha256 <> i.expected_sha256 \
     JOIN keys k ON k.spki_sha256 = c.spki_sha256 JOIN agents a ON a.id = i.agent_id \
     LEFT JOIN certificates f ON f.id = i.failed_certificate_id AND f.id <> i.certificate_id \
       AND f.status = 'active' AND f.not_after > $1 \
       AND (SELECT o.status FROM keys o WHERE o.spki_sha256 = f.spki_sha256) = 'active' \
     JOIN certificates x ON x.id = COALESCE(f.id, i.certificate_id) WHERE ";

/// Certificates in use with a key that is in nobody else's hands, as far as is known.
const GOOD: &str = "FROM certificate_states s JOIN certificates c ON c.id = s.id \
     WHERE s.status = 'active' AND NOT s.is_key_compromised AND NOT s.is_replaced AND s.n_installations > 0 \
       AND (SELECT 1 FROM installations i WHERE i.certificate_id = c.id AND NOT i.never_there LIMIT 1) = 1 AND ";

/// Ids that a statement gives. What has to be looked at is found first, by an index that holds little else, and then
/// looked up: PostgreSQL takes each of its conditions for true of nearly all rows, and would read whole tables.
async fn ids(conn: &mut Conn, text: &str, bound: Vec<Value>) -> Result<Vec<String>, StoreError> {
    sql(AssertSqlSafe(text.to_owned()))
        .bind_all(bound)
        .fetch_all(conn.raw())
        .await
        .map_err(StoreError::because(LOOKING))
}

/// Said when a statement fails.
const LOOKING: &str = "looking for certificates in trouble";

/// Places that are known to be looked at.
struct Among {
    column: &'static str,
    ids: Vec<String>,
}

impl Among {
    /// Those where these certificates are expected.
    fn certificates(ids: Vec<String>) -> Self {
        let column = "i.certificate_id";
        Self { column, ids }
    }

    /// These, by their ids.
    fn places(ids: Vec<String>) -> Self {
        Self { column: "i.id", ids }
    }

    /// The condition on `i`, with what it binds next.
    fn condition(&self, bound: &mut Vec<Value>) -> String {
        bound.push(listed(&self.ids));
        is_listed(self.column, bound.len())
    }
}

/// Those of these places that fulfil `condition`.
async fn all(
    conn: &mut Conn,
    among: &Among,
    condition: &str,
    order: &str,
    mut bound: Vec<Value>,
) -> Result<Vec<InUse>, StoreError> {
    if among.ids.is_empty() {
        return Ok(Vec::new());
    }
    let is_one = among.condition(&mut bound);
    sql(AssertSqlSafe(format!(
        "SELECT {COLUMNS} {ITSELF} {IN_USE} {is_one} AND {condition} ORDER BY {order}, i.id"
    )))
    .bind_all(bound)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because(LOOKING))
}

/// Places of the most urgent good certificates that fulfil `condition`, however many places each has,
/// and how many certificates more do; `warns` says which of them are as bad as a warning.
async fn foremost(
    conn: &mut Conn,
    condition: &str,
    warns: &str,
    order: &str,
    bound: Vec<Value>,
) -> Result<Foremost<InUse>, StoreError> {
    let doing = "looking for certificates in trouble";
    let first = format!("SELECT c.id {GOOD} {condition} ORDER BY {order}, c.id LIMIT {AT_MOST}");
    let first = Among::certificates(ids(conn, &first, bound.clone()).await?);
    let n_first = count(&first.ids);
    let mut rows = all(conn, &first, "NOT i.never_there", "i.certificate_id", Vec::new()).await?;
    let places: BTreeMap<&str, usize> = first.ids.iter().map(String::as_str).zip(0..).collect();
    rows.sort_by_key(|row| places.get(row.certificate_id.as_str()).copied());
    let mut more = LeftOut::default();
    if n_first >= AT_MOST {
        let (n_warnings, n_all): (i64, i64) = sql(AssertSqlSafe(format!(
            "SELECT COUNT(*) FILTER (WHERE {warns}), COUNT(*) {GOOD} {condition}"
        )))
        .bind_all(bound)
        .fetch_one(conn.raw())
        .await
        .map_err(StoreError::because(doing))?;
        // They come first in the order.
        more.warning = (n_warnings - AT_MOST).max(0);
        more.notice = n_all - AT_MOST - more.warning;
    }
    Ok(Foremost { rows, more })
}

/// All whose key is compromised, the one that has been for longest first.
///
/// # Errors
/// The database doesn't answer.
pub async fn compromised_in_use(conn: &mut Conn, at: Expected) -> Result<Vec<InUse>, StoreError> {
    let leaked = "SELECT s.id FROM certificate_states s WHERE s.is_key_compromised AND s.n_installations > 0";
    wherever(conn, leaked, "k.status = 'compromised'", "k.compromised_at", at).await
}

/// All that are (being) revoked, or held, with a key that is good.
///
/// # Errors
/// The database doesn't answer.
pub async fn revoked_in_use(conn: &mut Conn, at: Expected) -> Result<Vec<InUse>, StoreError> {
    let gone = "SELECT s.id FROM certificate_states s WHERE s.status <> 'active' AND s.n_installations > 0";
    let condition = "c.status IN ('revocation_pending', 'revoked', 'held') AND k.status <> 'compromised'";
    wherever(conn, gone, condition, "c.revocation_asked_at", at).await
}

/// All that fulfil `condition`, which are among these, where they are expected; then those that an agent found instead
/// of what is expected.
async fn wherever(
    conn: &mut Conn,
    among: &str,
    condition: &str,
    order: &str,
    at: Expected,
) -> Result<Vec<InUse>, StoreError> {
    let certificates = ids(conn, among, Vec::new()).await?;
    let in_place = format!("NOT i.never_there AND {condition}");
    let mut found = all(
        conn,
        &Among::certificates(certificates),
        &in_place,
        order,
        Vec::new(),
    )
    .await?;
    let places = ids(conn, THAT_DIFFER, Vec::new()).await?;
    if places.is_empty() {
        return Ok(found);
    }
    let elsewhere: Vec<InUse> = sql(AssertSqlSafe(format!(
        "SELECT {COLUMNS} {INSTEAD} {FOUND} {} AND {condition} ORDER BY {order}, i.id",
        is_listed("i.id", 3)
    )))
    .bind(at.now)
    .bind(at.since)
    .bind(listed(&places))
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because(LOOKING))?;
    found.extend(elsewhere);
    Ok(found)
}

/// All that have ended or end before `soon`, and all that their CA moved to now.
///
/// # Errors
/// The database doesn't answer.
pub async fn ends_or_is_wanted_now(conn: &mut Conn, soon: DateTime<Utc>) -> Result<Vec<InUse>, StoreError> {
    // Each is the beginning of an index.
    let among = "SELECT m.id FROM certificate_states m \
                   WHERE m.status = 'active' AND m.n_installations > 0 AND m.not_after <= $2 \
                 UNION SELECT w.id FROM certificates w \
                   WHERE w.renewal_window_start <= $1 AND w.renewal_moved_from IS NOT NULL";
    let certificates = ids(conn, among, vec![conn.now().into(), soon.into()]).await?;
    let condition = "NOT i.never_there AND s.status = 'active' AND NOT s.is_key_compromised";
    all(
        conn,
        &Among::certificates(certificates),
        condition,
        "c.not_after",
        Vec::new(),
    )
    .await
}

/// Those that their CA suggests to renew by now and that end after `soon`: first those for which the suggested
/// time is over or that end before `week`.
///
/// # Errors
/// The database doesn't answer.
pub async fn renewals_suggested(
    conn: &mut Conn,
    soon: DateTime<Utc>,
    week: DateTime<Utc>,
) -> Result<Foremost<InUse>, StoreError> {
    foremost(
        conn,
        "c.renewal_window_start <= $1 AND c.renewal_moved_from IS NULL AND c.not_after > $2",
        "c.renewal_window_end <= $1 OR c.not_after <= $3",
        "CASE WHEN c.renewal_window_end <= $1 OR c.not_after <= $3 THEN 0 ELSE 1 END, c.renewal_window_end",
        vec![conn.now().into(), soon.into(), week.into()],
    )
    .await
}

/// Those that end after `soon` and before `horizon`, and that no CA asks to renew: first to end, first told.
///
/// # Errors
/// The database doesn't answer.
pub async fn ending_in_use(
    conn: &mut Conn,
    [soon, week, horizon]: [DateTime<Utc>; 3],
) -> Result<Foremost<InUse>, StoreError> {
    foremost(
        conn,
        "s.not_after > $2 AND s.not_after < $4 AND (c.renewal_window_start IS NULL \
         OR c.renewal_window_start > $1)",
        "s.not_after <= $3",
        "s.not_after",
        vec![conn.now().into(), soon.into(), week.into(), horizon.into()],
    )
    .await
}

/// A good certificate that belongs there and is not being installed just now; another finding says what is wrong with
/// one that isn't good, and installing that again is no help.
fn could_be_served() -> String {
    format!(
        "({OWED} OR (c.status = 'active' AND k.status = 'active' AND c.not_after > $1)) \
         AND (i.checked_at IS NOT NULL OR i.install_error IS NOT NULL) \
         AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.installation_id = i.id AND j.status = 'queued' \
           AND j.created_at > $2)"
    )
}

/// Places that are not as expected, as their trigger keeps it.
const THAT_DIFFER: &str = "SELECT i.id FROM installations i WHERE i.differs_since IS NOT NULL";

/// One of the reasons for doubt may hold.
const MAY_BE_IN_DOUBT: &str = "(i.served_sha256 IS NULL OR i.install_error IS NOT NULL \
     OR i.failed_certificate_id IS NOT NULL OR i.chain_missing IS NOT NULL)";

const AT_ODDS: &str = "(i.on_disk_sha256 IS NULL OR i.on_disk_sha256 <> i.expected_sha256 \
     OR i.served_sha256 <> i.expected_sha256)";

/// All where another certificate is on disk or served than is expected, or none is.
///
/// # Errors
/// The database doesn't answer.
pub async fn installations_at_odds(conn: &mut Conn, at: Expected) -> Result<Vec<InUse>, StoreError> {
    let condition = format!("{AT_ODDS} AND {} AND NOT i.never_there", could_be_served());
    let places = Among::places(ids(conn, THAT_DIFFER, Vec::new()).await?);
    let bound = vec![at.now.into(), at.since.into()];
    all(conn, &places, &condition, "c.not_after", bound).await
}

/// Those with what is expected on disk that no handshake shows, or without an issuer that clients need, where the
/// installation of another one failed, or the first one; the first to end first.
///
/// # Errors
/// The database doesn't answer.
pub async fn installations_in_doubt(conn: &mut Conn, at: Expected) -> Result<Foremost<InUse>, StoreError> {
    // Not NOT: with nothing served the comparison is neither true nor false.
    let condition = format!(
        "{MAY_BE_IN_DOUBT} AND {} AND (i.never_there OR (i.on_disk_sha256 = i.expected_sha256 \
         AND (i.served_sha256 IS NULL OR i.served_sha256 = i.expected_sha256) \
         AND ((i.served_sha256 IS NULL AND a.tls_address IS NOT NULL) OR {OWED} \
         OR (i.install_error IS NOT NULL AND i.failed_certificate_id = i.certificate_id) \
         OR i.chain_missing IS NOT NULL)))",
        could_be_served()
    );
    let places = Among::places(ids(conn, THAT_DIFFER, Vec::new()).await?);
    if places.ids.is_empty() {
        return Ok(Foremost::of_warnings(Vec::new(), 0));
    }
    let mut bound = vec![at.now.into(), at.since.into()];
    let is_one = places.condition(&mut bound);
    let asked = Asked {
        columns: &format!("{COLUMNS} {ITSELF}"),
        from: &format!("{IN_USE} {is_one} AND {condition}"),
        order: "c.not_after, i.id",
        bound,
        doing: "looking for installations in trouble",
    };
    Foremost::ask(conn, asked).await
}
