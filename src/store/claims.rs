//! Claims of the issuer: requests that are due, taken many at a time, so that no two issuers have the same one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use sqlx::AssertSqlSafe;

use crate::domain::agent::AgentStatus;
use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::domain::key::KeyStatus;
use crate::domain::request::{Request, RequestStatus};

use super::issuance::{Issuing, NoSignature};
use super::issuing::by_issuer;
use super::requests::Wrapped;
use super::row::{FromRow, Row};
use super::statement::{is_listed, listed, sql};
use super::{Conn, StoreError, Tx, audit, keys, orders};

/// Ids of the requests at the CA `$2` that may be begun at `$1`: those that wait for it and are due, and those whose
/// worker was cut off. Each of the three is the beginning of an index, `$4` rows of it.
const DUE: &str = "SELECT id FROM (SELECT id FROM issuance_requests WHERE adapter_id = $2 AND status = 'pending' \
         AND waiting_on = 'ca' AND next_attempt_at IS NULL ORDER BY id LIMIT $4) never \
     UNION ALL SELECT id FROM (SELECT id FROM issuance_requests WHERE adapter_id = $2 AND status = 'pending' \
         AND waiting_on = 'ca' AND next_attempt_at <= $1 ORDER BY next_attempt_at, id LIMIT $4) again \
     UNION ALL SELECT id FROM (SELECT id FROM issuance_requests WHERE adapter_id = $2 AND status = 'issuing' \
         AND COALESCE(lease_until, $1) <= $1 ORDER BY id LIMIT $4) cut_off";

/// Issuers that may be at the beginning of the same queue, while each gets as many as it asks for.
const OTHERS: u32 = 8;

/// A request that may be begun, before it is.
struct Due {
    request: Request,
    csr_pem: Option<String>,
    asked_ca_at: Option<DateTime<Utc>>,
    ca_order: Option<String>,
}

impl FromRow for Due {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            request: Wrapped::from_row(row)?.0,
            csr_pem: row.try_get("csr_pem")?,
            asked_ca_at: row.try_get("asked_ca_at")?,
            ca_order: row.try_get("ca_order")?,
        })
    }
}

/// True if there is something to claim at one CA.
///
/// # Errors
/// The database doesn't answer.
pub async fn is_due(conn: &mut Conn, adapter_id: &str) -> Result<bool, StoreError> {
    let now = conn.now();
    let due: Option<String> = sql(AssertSqlSafe(format!("SELECT id FROM ({DUE}) due LIMIT $3")))
        .bind(now)
        .bind(adapter_id)
        .bind(1_i64)
        .bind(1_i64)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading whether requests are due"))?;
    Ok(due.is_some())
}

/// Claims for `owner` what is due at one CA, `limit` of it at most and the oldest first, and writes `issuing`, before the CA
/// is called. What another issuer is at is passed over.
///
/// # Errors
/// The database doesn't answer.
pub async fn claim(
    tx: &mut Tx,
    adapter_id: &str,
    owner: &str,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Issuing>, StoreError> {
    let now = tx.now();
    let due: Vec<Due> = sql(AssertSqlSafe(format!(
        "SELECT r.* FROM issuance_requests r \
         WHERE r.id IN ({DUE}) AND EXISTS (SELECT 1 FROM adapters a WHERE a.id = $2 AND a.status = 'active') \
         ORDER BY r.id LIMIT $3"
    )))
    .bind(now)
    .bind(adapter_id)
    .bind(limit)
    // Others are at the first ones maybe.
    .bind(limit * OTHERS)
    .skipping_locked("r")
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because("claiming requests"))?;
    begin(tx, due, owner, lease).await
}

/// Claims a request for `owner` as [`claim`] does. `None` if another worker has it, or it isn't due any more.
///
/// # Errors
/// The database doesn't answer.
pub async fn begin_issue(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    lease: Duration,
) -> Result<Option<Issuing>, StoreError> {
    let due: Option<Due> = sql("SELECT r.* FROM issuance_requests r WHERE r.id = $1")
        .bind(id)
        .skipping_locked("r")
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("beginning to issue"))?;
    Ok(begin(tx, due, owner, lease).await?.pop())
}

/// Begins those that may be begun.
async fn begin(
    tx: &mut Tx,
    due: impl IntoIterator<Item = Due>,
    owner: &str,
    lease: Duration,
) -> Result<Vec<Issuing>, StoreError> {
    let doing = "beginning to issue";
    let now = tx.now();
    let due: BTreeMap<String, Due> = due.into_iter().map(|due| (due.request.id.clone(), due)).collect();
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = due.keys().cloned().collect();
    let text = format!(
        "UPDATE issuance_requests SET status = 'issuing', waiting_on = NULL, claimed_by = $2, \
         lease_until = $3, next_attempt_at = NULL, asked_ca_at = COALESCE(asked_ca_at, $4), \
         version = version + 1, updated_at = $4 \
         WHERE {} AND csr_pem IS NOT NULL AND spki_sha256 IS NOT NULL AND ( \
           (status = 'pending' AND waiting_on = 'ca' AND (next_attempt_at IS NULL OR next_attempt_at <= $4)) \
           OR (status = 'issuing' AND (lease_until IS NULL OR lease_until <= $4))) RETURNING *",
        is_listed("id", 1)
    );
    let mut begun: Vec<Request> = sql(AssertSqlSafe(text))
        .bind(listed(&ids))
        .bind(owner)
        .bind(now + lease)
        .bind(now)
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because(doing))?
        .into_iter()
        .map(|row: Wrapped| row.0)
        .collect();
    begun.sort_by(|a, b| a.id.cmp(&b.id));
    let without = without_signature(tx, &begun, &due).await?;
    let mut all = Vec::with_capacity(begun.len());
    for request in begun {
        let Some((before, csr_pem)) = due
            .get(&request.id)
            .and_then(|before| Some((before, before.csr_pem.clone()?)))
        else {
            continue;
        };
        let no_signature = without.get(&request.id).copied();
        // Only where the CA signs in steps was anything ordered before, or answered.
        let answered = match before.asked_ca_at.is_some() || before.ca_order.is_some() {
            true => orders::tokens_answered(tx, &request.id).await?,
            false => Vec::new(),
        };
        let detail = if let Some(why) = no_signature {
            format!("{}: the CA is only asked whether it signed before", why.why())
        } else if before.request.status == RequestStatus::Issuing {
            format!("driven on by {owner} after an earlier worker was cut off")
        } else {
            format!("asks the CA for `{}`", request.common_name)
        };
        tx.changed(EntityKind::Request, &request.id);
        let entry = by_issuer(
            "issue",
            EntityKind::Request,
            &request.id,
            AuditOutcome::Asked,
            Some(detail),
        );
        audit::note(tx, entry);
        all.push(Issuing {
            csr_pem,
            spki_sha256: request.spki_sha256.clone().unwrap_or_default(),
            may_be_signed: before.asked_ca_at.is_some(),
            ca_order: before.ca_order.clone(),
            answered,
            no_signature,
            request,
        });
    }
    Ok(all)
}

/// Those of them that nothing is signed for any more.
async fn without_signature(
    tx: &mut Tx,
    begun: &[Request],
    due: &BTreeMap<String, Due>,
) -> Result<BTreeMap<String, NoSignature>, StoreError> {
    let mut keys_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for request in begun {
        let mirror = due
            .get(&request.id)
            .and_then(|due| keys::mirror_of(due.csr_pem.as_deref()?));
        let both = request.spki_sha256.iter().cloned().chain(mirror).collect();
        keys_of.insert(&request.id, both);
    }
    let all: Vec<String> = keys_of.values().flatten().cloned().collect();
    let blocked = those(
        tx,
        &format!(
            "SELECT spki_sha256 FROM keys WHERE {} AND status = '{}'",
            is_listed("spki_sha256", 1),
            KeyStatus::Compromised.word()
        ),
        &all,
    )
    .await?;
    let agents: Vec<String> = begun
        .iter()
        .filter_map(|request| request.agent_id.clone())
        .collect();
    let banned = those(
        tx,
        &format!(
            "SELECT id FROM agents WHERE {} AND status = '{}'",
            is_listed("id", 1),
            AgentStatus::Banned.word()
        ),
        &agents,
    )
    .await?;
    let mut without = BTreeMap::new();
    for request in begun {
        let keys = keys_of.get(request.id.as_str());
        let is_banned = |agent: &String| banned.contains(agent);
        if keys.is_some_and(|keys| keys.iter().any(|key| blocked.contains(key))) {
            without.insert(request.id.clone(), NoSignature::Compromised);
        } else if request.agent_id.as_ref().is_some_and(is_banned) {
            without.insert(request.id.clone(), NoSignature::Banned);
        }
    }
    Ok(without)
}

/// The texts that a statement over a list of others gives.
pub(super) async fn those(tx: &mut Tx, text: &str, of: &[String]) -> Result<BTreeSet<String>, StoreError> {
    if of.is_empty() {
        return Ok(BTreeSet::new());
    }
    let found: Vec<String> = sql(AssertSqlSafe(text.to_owned()))
        .bind(listed(of))
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("reading what is blocked"))?;
    Ok(found.into_iter().collect())
}

/// Gives back what was claimed and not begun: nothing was sent to the CA for it.
///
/// # Errors
/// The database doesn't answer.
pub async fn give_back(tx: &mut Tx, not_begun: &[Issuing], owner: &str) -> Result<(), StoreError> {
    let now = tx.now();
    for (is_known, text) in [
        // Whether the CA has signed before is still to be found out.
        (
            true,
            "UPDATE issuance_requests SET claimed_by = NULL, lease_until = $2 \
             WHERE status = 'issuing' AND claimed_by = $3 AND ",
        ),
        (
            false,
            "UPDATE issuance_requests SET status = 'pending', waiting_on = 'ca', asked_ca_at = NULL, claimed_by = NULL, \
             lease_until = NULL, version = version + 1, updated_at = $2 \
             WHERE status = 'issuing' AND claimed_by = $3 AND ",
        ),
    ] {
        let ids: Vec<String> = not_begun
            .iter()
            .filter(|issuing| issuing.may_be_signed == is_known)
            .map(|issuing| issuing.request.id.clone())
            .collect();
        if ids.is_empty() {
            continue;
        }
        sql(AssertSqlSafe(format!("{text}{}", is_listed("id", 1))))
            .bind(listed(&ids))
            .bind(now)
            .bind(owner)
            .execute(tx.raw())
            .await
            .map_err(StoreError::because("giving requests back"))?;
        for id in &ids {
            tx.changed(EntityKind::Request, id);
        }
    }
    Ok(())
}
