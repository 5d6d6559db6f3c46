//! Certificates: inserted and read. How one is revoked is in `revocation`.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use crate::domain::certificate::{Certificate, CertificateStatus, Revocation};
use crate::domain::id::{EntityKind, new_id};
use crate::domain::key::is_spki;
use crate::domain::reason::Reason;
use crate::domain::renewal::Renewal;
use crate::domain::x509;
use crate::problem::Problem;
use crate::wire::page::{Page, PageQuery};

use super::certificate_list::{LIST, STILL_MATTERS, asked, derived};
use super::in_use_sql::{of_agents, reissuable};
use super::row::{FromRow, Row, list, optional_word, word};
use super::select::Where;
use super::statement::{Json, Value, rows_of, sql};
use super::{Conn, StoreError, Tx, agents, keys};

/// What is read from an issued certificate, and where it came from.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// The subject's distinguished name.
    pub subject: String,
    /// Subject alternative names.
    pub sans: Vec<String>,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// Lower-case hex pairs with colons.
    pub serial: String,
    /// SHA-256 over the DER.
    pub fingerprint_sha256: String,
    /// SHA-256 over the SubjectPublicKeyInfo DER.
    pub spki_sha256: String,
    /// Such as `ecdsa-p256`.
    pub key_algorithm: String,
    /// First moment of validity.
    pub not_before: DateTime<Utc>,
    /// Last moment of validity.
    pub not_after: DateTime<Utc>,
    /// The adapter that it came through.
    pub adapter_id: Option<String>,
    /// In PEM.
    pub pem: String,
    /// Its issuers in PEM, the nearest first.
    pub chain_pem: String,
}

impl NewCertificate {
    /// The certificate in `pem`, of which `read` was read.
    #[must_use]
    pub fn of(read: x509::Facts, pem: &str, chain_pem: &str, adapter_id: Option<&str>) -> Self {
        Self {
            subject: read.subject,
            sans: read.sans,
            issuer: read.issuer,
            serial: read.serial,
            fingerprint_sha256: read.fingerprint_sha256,
            spki_sha256: read.spki_sha256,
            key_algorithm: read.key_algorithm,
            not_before: read.not_before,
            not_after: read.not_after,
            adapter_id: adapter_id.map(str::to_owned),
            pem: pem.to_owned(),
            chain_pem: chain_pem.to_owned(),
        }
    }
}

/// Puts a certificate, and its key, into the inventory.
///
/// # Errors
/// It is there already, or the database doesn't answer.
pub async fn insert(tx: &mut Tx, new: &NewCertificate) -> Result<Certificate, StoreError> {
    insert_from(tx, new, None, None).await
}

/// Records one that came out of a request.
pub(super) async fn insert_from(
    tx: &mut Tx,
    new: &NewCertificate,
    request_id: Option<&str>,
    replaces: Option<&str>,
) -> Result<Certificate, StoreError> {
    let one = Inserted {
        new,
        request_id,
        replaces,
    };
    match insert_all(tx, &[one]).await?.pop() {
        Some(id) => existing(tx, &id).await,
        None => Err(Problem::internal("a certificate was not recorded").into()),
    }
}

/// A certificate for the inventory, the request that it came out of, and what it replaces.
pub(super) struct Inserted<'a> {
    pub(super) new: &'a NewCertificate,
    pub(super) request_id: Option<&'a str>,
    pub(super) replaces: Option<&'a str>,
}

const N_COLUMNS: usize = 19;

/// Puts certificates and their keys, no two of which are the same, into the inventory; gives their ids, in their order.
pub(super) async fn insert_all(tx: &mut Tx, all: &[Inserted<'_>]) -> Result<Vec<String>, StoreError> {
    let keys: Vec<(&str, &str)> = all
        .iter()
        .map(|it| (it.new.spki_sha256.as_str(), it.new.key_algorithm.as_str()))
        .collect();
    keys::upsert_all(tx, &keys).await?;
    let now = tx.now();
    let text = format!(
        "INSERT INTO certificates (id, subject, sans, issuer, serial, fingerprint_sha256, spki_sha256, \
         key_algorithm, not_before, not_after, status, adapter_id, request_id, replaces, pem, chain_pem, \
         created_at, updated_at, fingerprint_sha1) VALUES {}",
        rows_of(all.len(), N_COLUMNS)
    );
    let mut insert = sql(AssertSqlSafe(text));
    let mut ids = Vec::with_capacity(all.len());
    for Inserted {
        new,
        request_id,
        replaces,
    } in all
    {
        let id = new_id(EntityKind::Certificate);
        insert = insert
            .bind(&id)
            .bind(&new.subject)
            .bind(Json(&new.sans))
            .bind(&new.issuer)
            .bind(&new.serial)
            .bind(&new.fingerprint_sha256)
            .bind(&new.spki_sha256)
            .bind(&new.key_algorithm)
            .bind(new.not_before)
            .bind(new.not_after)
            .bind(CertificateStatus::Active.word())
            .bind(&new.adapter_id)
            .bind(*request_id)
            .bind(*replaces)
            .bind(&new.pem)
            .bind(&new.chain_pem)
            .bind(now)
            .bind(now)
            .bind(sha1_of(&new.pem));
        ids.push(id);
    }
    insert
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("putting a certificate into the inventory"))?;
    for (id, it) in ids.iter().zip(all) {
        tx.changed(EntityKind::Certificate, id);
        tx.changed(EntityKind::Key, &it.new.spki_sha256);
    }
    Ok(ids)
}

/// The SHA-1 that Windows and Java show as a thumbprint: people come with it, and nothing is decided by it.
fn sha1_of(pem: &str) -> String {
    pem::parse(pem).map_or_else(
        |_| String::new(),
        |block| hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, block.contents())),
    )
}

/// One, with PEM and chain.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<Certificate>, StoreError> {
    let row: Option<Wrapped> = sql(concat!(
        "SELECT c.*, ",
        derived!(),
        " FROM certificates c JOIN certificate_states s ON s.id = c.id WHERE c.id = $1"
    ))
    .bind(id)
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("reading a certificate"))?;
    Ok(row.map(|row| row.0))
}

/// One that has to be there.
///
/// # Errors
/// There is no such certificate, or the database doesn't answer.
pub async fn existing(conn: &mut Conn, id: &str) -> Result<Certificate, StoreError> {
    read(conn, id)
        .await?
        .ok_or_else(|| StoreError::not_found(EntityKind::Certificate, id))
}

/// One that has to be there, kept from others until the transaction ends.
///
/// # Errors
/// There is no such certificate, or the database doesn't answer.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Certificate, StoreError> {
    sql("SELECT c.id FROM certificates c WHERE c.id = $1")
        .bind(id)
        .locking("c")
        .rows(tx.raw())
        .await
        .map_err(StoreError::because("waiting for a certificate"))?;
    existing(tx, id).await
}

/// All with this key, the ones that end last first, without PEM.
///
/// # Errors
/// The database doesn't answer.
pub async fn by_spki(conn: &mut Conn, spki: &str) -> Result<Vec<Certificate>, StoreError> {
    let rows: Vec<Wrapped> = sql(concat!(
        "SELECT c.*, ",
        derived!(),
        " FROM certificates c JOIN certificate_states s ON s.id = c.id WHERE c.spki_sha256 = $1 ORDER BY c.not_after DESC, c.id"
    ))
    .bind(spki)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading the certificates of a key"))?;
    Ok(rows.into_iter().map(|row| row.0.without_pem()).collect())
}

/// The one with this fingerprint, with PEM and chain.
///
/// # Errors
/// The database doesn't answer.
pub async fn by_fingerprint(conn: &mut Conn, fingerprint: &str) -> Result<Option<Certificate>, StoreError> {
    let row: Option<Wrapped> = sql(concat!(
        "SELECT c.*, ",
        derived!(),
        " FROM certificates c JOIN certificate_states s ON s.id = c.id WHERE c.fingerprint_sha256 = $1"
    ))
    .bind(fingerprint)
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("reading a certificate by its fingerprint"))?;
    Ok(row.map(|row| row.0))
}

/// Revoked ones of one CA, or of those that no adapter leads to, that no fetched CRL was seen to hold yet, the
/// oldest first: what the issuer looks for in each CRL that it fetches. What has expired needs to be
/// in none.
///
/// # Errors
/// The database doesn't answer.
pub async fn revoked_not_in_crl(
    conn: &mut Conn,
    adapter_id: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<Certificate>, StoreError> {
    let now = conn.now();
    let rows: Vec<Wrapped> = sql(
        "SELECT c.*, CAST(0 AS BIGINT) AS n_installations, CAST(0 AS BIGINT) AS n_reissues, CAST(0 AS BIGINT) AS n_reissuable, CAST(0 AS BIGINT) AS is_replaced, CAST(0 AS BIGINT) AS is_key_compromised, NULL AS host, NULL AS owner, NULL AS refusal FROM certificates c \
         WHERE c.status = 'revoked' AND c.in_crl_at IS NULL AND c.without_crl_at IS NULL \
         AND c.not_after > $2 AND c.adapter_id = $3 AND c.id > $4 ORDER BY c.id LIMIT $1",
    )
    .bind(limit)
    .bind(now)
    .bind(adapter_id)
    .bind(after)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because(
        "reading which certificates should be in the CRL",
    ))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// One page, what ends first first if nothing else is said.
///
/// # Errors
/// A bad query, or the database doesn't answer.
pub async fn page(conn: &mut Conn, query: &PageQuery) -> Result<Page<Certificate>, StoreError> {
    let mut filter = Where::default();
    if let Some(status) = &query.status {
        let status = CertificateStatus::from_word(status).ok_or_else(|| {
            Problem::bad_input(format!("`{status}` is not a status of certificates"))
                .hint("allowed: active, revocation_pending, revoked, held")
        })?;
        filter.and("s.status = ?", Value::from(status.word().to_owned()));
    }
    if let Some(before) = &query.expires_before {
        let before = DateTime::parse_from_rfc3339(before).map_err(|error| {
            Problem::bad_input(format!("`expires_before={before}` is not a moment: {error}"))
                .hint("write it as `2026-01-31T12:00:00Z`")
        })?;
        filter.and("s.not_after < ?", Value::from(before.with_timezone(&Utc)));
        filter.and_plain(STILL_MATTERS);
    }
    if let Some(spki) = &query.spki {
        let spki = spki.to_lowercase();
        if !is_spki(&spki) {
            return Err(Problem::bad_input(format!("`spki={spki}` is no key's hash"))
                .hint("a key is known by its SHA-256, 64 hex digits")
                .into());
        }
        filter.and("c.spki_sha256 = ?", Value::from(spki));
    }
    if let Some(agent) = &query.agent {
        filter.and(
            concat!("c.id IN (", of_agents!(), "a.id = ? OR a.hostname = ?)"),
            agents::id_or_host(agent)?,
        );
    }
    let page: Page<Wrapped> = LIST.page(conn, query, filter).await?;
    Ok(page.map(|row| row.0))
}

impl Certificate {
    /// The certificate without PEM and chain, as it is in a list.
    fn without_pem(self) -> Self {
        Self {
            pem: None,
            chain_pem: None,
            ..self
        }
    }
}

/// What its CA said of its renewal.
pub(super) fn renewal(row: &Row) -> Result<Option<Renewal>, sqlx::Error> {
    let start: Option<DateTime<Utc>> = row.try_get("renewal_window_start")?;
    let end: Option<DateTime<Utc>> = row.try_get("renewal_window_end")?;
    let asked_at: Option<DateTime<Utc>> = row.try_get("renewal_asked_at")?;
    let (Some(start), Some(end), Some(asked_at)) = (start, end, asked_at) else {
        return Ok(None);
    };
    Ok(Some(Renewal {
        start,
        end,
        moved_from: row.try_get("renewal_moved_from")?,
        explanation_url: row.try_get("renewal_explanation_url")?,
        asked_at,
    }))
}

struct Wrapped(Certificate);

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let reason = optional_word(row, "revocation_reason", Reason::parse)?;
        let asked_at: Option<DateTime<Utc>> = row.try_get("revocation_asked_at")?;
        let revocation = match (reason, asked_at) {
            (Some(reason), Some(asked_at)) => Some(Revocation {
                reason,
                asked_at,
                accepted_at: row.try_get("revocation_accepted_at")?,
                in_crl_by: row.try_get("in_crl_by")?,
                in_crl_at: row.try_get("in_crl_at")?,
                without_crl_at: row.try_get("without_crl_at")?,
                was_in_crl_at: row.try_get("was_in_crl_at")?,
                left_crl: row.try_get("left_crl")?,
                refusal: row.try_get("refusal")?,
            }),
            _ => None,
        };
        Ok(Self(Certificate {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            subject: row.try_get("subject")?,
            sans: list(row, "sans")?,
            issuer: row.try_get("issuer")?,
            serial: row.try_get("serial")?,
            fingerprint_sha256: row.try_get("fingerprint_sha256")?,
            spki_sha256: row.try_get("spki_sha256")?,
            key_algorithm: row.try_get("key_algorithm")?,
            not_before: row.try_get("not_before")?,
            not_after: row.try_get("not_after")?,
            status: word(row, "status", CertificateStatus::from_word)?,
            revocation,
            renewal: renewal(row)?,
            adapter_id: row.try_get("adapter_id")?,
            request_id: row.try_get("request_id")?,
            replaces: row.try_get("replaces")?,
            replaced_by: row.try_get("replaced_by")?,
            n_installations: row.try_get("n_installations")?,
            n_reissues: row.try_get("n_reissues")?,
            n_reissuable: row.try_get("n_reissuable")?,
            host: row.try_get("host")?,
            owner: row.try_get("owner")?,
            is_replaced: row.try_get::<i64>("is_replaced")? == 1,
            is_key_compromised: row.try_get::<i64>("is_key_compromised")? == 1,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            pem: row.try_get("pem")?,
            chain_pem: row.try_get("chain_pem")?,
        }))
    }
}
