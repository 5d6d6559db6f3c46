//! Keys: what the inventory knows of key pairs. Who holds the private halves is in `holders`.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use crate::domain::certificate::Certificate;
use crate::domain::csr::{Csr, PublicKey};
use crate::domain::id::EntityKind;
use crate::domain::key::{Key, KeyStatus};
use crate::domain::x509;
use crate::problem::Problem;
use crate::wire::page::{Page, PageQuery};

use super::row::{FromRow, Row, word};
use super::search::{By, Place, of_kind};
use super::select::{Is, List, SortColumn, Sorts, Where};
use super::statement::{Value, is_listed, listed, rows_of, sql};
use super::{Conn, StoreError, Tx, agents};

/// The present is the first bind; certificates that are revoked or over don't count.
macro_rules! columns {
    () => {
        "k.spki_sha256, k.version, k.algorithm, k.status, k.created_at, k.compromised_at, a.id AS agent_id, a.hostname, \
         CAST(CASE WHEN a.status = 'banned' THEN 1 ELSE 0 END AS bigint) AS is_holder_banned, \
         (SELECT COUNT(*) FROM certificates c WHERE c.spki_sha256 = k.spki_sha256 \
           AND c.status <> 'revoked' AND c.not_after > $1) AS n_certificates"
    };
}

/// The holder of a key: one that isn't banned before one that is.
macro_rules! holder {
    () => {
        "(SELECT o.id FROM key_holders h JOIN agents o ON o.id = h.agent_id \
           WHERE h.spki_sha256 = k.spki_sha256 AND h.proven_at IS NOT NULL \
           ORDER BY CASE WHEN o.status = 'banned' THEN 1 ELSE 0 END, o.id LIMIT 1)"
    };
}

/// Keys with one holder each. As a range of its index it is looked up key by key: to compare ids PostgreSQL may read all
/// agents first.
macro_rules! from {
    () => {
        concat!(
            "keys k LEFT JOIN agents a ON a.id >= ",
            holder!(),
            " AND a.id <= ",
            holder!()
        )
    };
}

/// The keys of which something holds by itself.
const OWN: &[&str] = &["SELECT k.spki_sha256 AS id FROM keys k WHERE ?if"];

const LIST: List = List {
    columns: columns!(),
    from: from!(),
    beside: None,
    id: "k.spki_sha256",
    number_as_id: false,
    sorts: &[
        SortColumn {
            name: "created_at",
            sql: "k.created_at",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "status",
            sql: "k.status",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "id",
            sql: "k.spki_sha256",
            sorts: Sorts::Text,
        },
    ],
    unsorted: &[],
    default_sort: "-created_at",
    words: Is::Text(&[
        Place::own(By::Hash("k.spki_sha256"), OWN),
        Place::own(
            By::Kind("k.algorithm"),
            &[of_kind!("keys", "spki_sha256", "algorithm")],
        ),
    ]),
    fields: &[],
    parameters: &["q", "status", "agent"],
    doing: "reading the keys",
};

/// Makes the key known if it isn't yet.
///
/// # Errors
/// The database doesn't answer.
pub async fn upsert(tx: &mut Tx, spki: &str, algorithm: &str) -> Result<(), StoreError> {
    upsert_all(tx, &[(spki, algorithm)]).await
}

/// Records keys that are new, no two of which are the same.
pub(super) async fn upsert_all(tx: &mut Tx, keys: &[(&str, &str)]) -> Result<(), StoreError> {
    let now = tx.now();
    let text = format!(
        "INSERT INTO keys (spki_sha256, algorithm, status, created_at) VALUES {} \
         ON CONFLICT (spki_sha256) DO NOTHING RETURNING spki_sha256",
        rows_of(keys.len(), 4)
    );
    let mut insert = sql(AssertSqlSafe(text));
    for (spki, algorithm) in keys {
        insert = insert
            .bind(*spki)
            .bind(*algorithm)
            .bind(KeyStatus::Active.word())
            .bind(now);
    }
    let made: Vec<String> = insert
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("recording a key"))?;
    for spki in made {
        tx.changed(EntityKind::Key, &spki);
    }
    Ok(())
}

/// One.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, spki: &str) -> Result<Option<Key>, StoreError> {
    let now = conn.now();
    let row: Option<Wrapped> = sql(concat!(
        "SELECT ",
        columns!(),
        " FROM ",
        from!(),
        " WHERE k.spki_sha256 = $2"
    ))
    .bind(now)
    .bind(spki)
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("reading a key"))?;
    Ok(row.map(|row| row.0))
}

/// One, kept from others until the transaction ends.
///
/// # Errors
/// The database doesn't answer.
pub async fn lock(tx: &mut Tx, spki: &str) -> Result<Option<Key>, StoreError> {
    sql("SELECT k.spki_sha256 FROM keys k WHERE k.spki_sha256 = $1")
        .bind(spki)
        .locking("k")
        .rows(tx.raw())
        .await
        .map_err(StoreError::because("waiting for a key"))?;
    read(tx, spki).await
}

/// One page.
///
/// # Errors
/// A bad query, or the database doesn't answer.
pub async fn page(conn: &mut Conn, query: &PageQuery) -> Result<Page<Key>, StoreError> {
    let mut filter = Where::default();
    // Always true; it puts `now` at `$1`, where the columns look for it.
    filter.and("? IS NOT NULL", Value::from(conn.now()));
    if let Some(status) = &query.status {
        let status = KeyStatus::from_word(status).ok_or_else(|| {
            Problem::bad_input(format!("`status={status}` is no status of a key"))
                .hint("allowed: active, compromised, retired")
        })?;
        filter.and("k.status = ?", Value::from(status.word().to_owned()));
    }
    if let Some(agent) = &query.agent {
        filter.and(
            "EXISTS (SELECT 1 FROM key_holders h JOIN agents o ON o.id = h.agent_id \
             WHERE h.spki_sha256 = k.spki_sha256 AND (o.id = ? OR o.hostname = ?) AND h.proven_at IS NOT NULL)",
            agents::id_or_host(agent)?,
        );
    }
    let page: Page<Wrapped> = LIST.page(conn, query, filter).await?;
    Ok(page.map(|row| row.0))
}

/// True if the key of this CSR is blocked, or its mirror image is: whoever has the one has the other too.
///
/// # Errors
/// The database doesn't answer.
pub async fn is_compromised(conn: &mut Conn, spki: &str, csr_pem: &str) -> Result<bool, StoreError> {
    let blocked: Option<String> =
        sql("SELECT spki_sha256 FROM keys WHERE spki_sha256 IN ($1, $2) AND status = 'compromised' LIMIT 1")
            .bind(spki)
            .bind(mirror_of(csr_pem).unwrap_or_default())
            .fetch_optional(conn.raw())
            .await
            .map_err(StoreError::because("reading whether a key is blocked"))?;
    Ok(blocked.is_some())
}

/// True if this certificate's key is blocked, or its mirror image is. The key is kept from others until the transaction
/// ends, so that whoever blocks it meanwhile finds what was asked for with it, and takes that back.
///
/// # Errors
/// The database doesn't answer.
pub(super) async fn is_blocked(tx: &mut Tx, certificate: &Certificate) -> Result<bool, StoreError> {
    let pem = certificate.pem.as_deref().unwrap_or_default();
    let keys = with_mirror(&certificate.spki_sha256, pem).into_iter().collect();
    Ok(!blocked(tx, keys).await?.is_empty())
}

/// The key of a certificate, and its mirror image, where there is one.
pub(super) fn with_mirror(spki: &str, pem: &str) -> Vec<String> {
    let content = x509::content(pem).ok();
    let key = content.and_then(|content| PublicKey::read(&content.spki_der).ok());
    let mirror = key.and_then(|key| key.mirror_sha256());
    [spki.to_owned()].into_iter().chain(mirror).collect()
}

/// Those of them that are blocked. All are kept from others until the transaction ends.
pub(super) async fn blocked(tx: &mut Tx, keys: BTreeSet<String>) -> Result<BTreeSet<String>, StoreError> {
    let text = format!(
        "SELECT k.spki_sha256, k.status FROM keys k WHERE {} ORDER BY k.spki_sha256",
        is_listed("k.spki_sha256", 1)
    );
    let keys: Vec<String> = keys.into_iter().collect();
    let found: Vec<(String, String)> = sql(AssertSqlSafe(text))
        .bind(listed(&keys))
        .locking("k")
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("reading whether keys are blocked"))?;
    let is_blocked = |status: &str| status == KeyStatus::Compromised.word();
    Ok(found
        .into_iter()
        .filter_map(|(key, status)| is_blocked(&status).then_some(key))
        .collect())
}

/// The name of the mirror image of a CSR's key, where there is one.
pub(super) fn mirror_of(csr_pem: &str) -> Option<String> {
    Csr::read(csr_pem).ok()?.key.mirror_sha256()
}

/// Blocks the key for ever; what follows from it is in `compromise`. Returns whether it wasn't blocked before.
///
/// # Errors
/// There is no such key, or the database doesn't answer.
pub(super) async fn mark_compromised(tx: &mut Tx, spki: &str) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE keys SET status = 'compromised', compromised_at = $2, version = version + 1 \
         WHERE spki_sha256 = $1 AND status <> 'compromised'",
    )
    .bind(spki)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("marking a key as compromised"))?;
    if done > 0 {
        tx.changed(EntityKind::Key, spki);
        return Ok(true);
    }
    match read(tx, spki).await? {
        Some(_) => Ok(false),
        None => Err(StoreError::not_found(EntityKind::Key, spki)),
    }
}

struct Wrapped(Key);

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self(Key {
            spki_sha256: row.try_get("spki_sha256")?,
            version: row.try_get("version")?,
            algorithm: row.try_get("algorithm")?,
            status: word(row, "status", KeyStatus::from_word)?,
            agent_id: row.try_get("agent_id")?,
            hostname: row.try_get("hostname")?,
            is_holder_banned: row.try_get::<i64>("is_holder_banned")? == 1,
            n_certificates: row.try_get("n_certificates")?,
            created_at: row.try_get("created_at")?,
            compromised_at: row.try_get("compromised_at")?,
        }))
    }
}
