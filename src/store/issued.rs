//! Certificates that the CA signed, many at a time: each with its request, what it replaces, where it is expected, the job
//! that installs it, and its audit row, all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use crate::domain::agent::AgentStatus;
use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::domain::reason::Reason;
use crate::domain::request::{Request, RequestStatus};

use super::certificates::{self, Inserted, NewCertificate};
use super::claims::those;
use super::installations::{self, Expected};
use super::issuance::Issuing;
use super::issuing::by_issuer;
use super::keys;
use super::queue::{self, Install};
use super::requests::Wrapped;
use super::statement::{is_listed, listed, sql};
use super::{StoreError, Tx, audit, revocation};

/// Reason for the revocation of a certificate whose key was blocked while the CA was at it.
pub const BLOCKED_MEANWHILE: &str = "its key was marked as compromised while the CA signed";

/// A certificate that is on record.
pub(super) struct Recorded {
    pub(super) id: String,
    /// Its key is blocked: it is installed nowhere.
    is_blocked: bool,
}

/// Records what the CA signed for several requests, as far as nothing is against it. Gives the certificates' ids by
/// request; what is left out has to be ended by itself, with its reason: its agent is banned, its key is another one than the
/// CSR's, it isn't being issued any more, or another one of these is for the same place. One whose key was blocked
/// meanwhile is recorded and to be revoked.
///
/// # Errors
/// One of them is in the inventory already, or the database doesn't answer; then nothing is recorded.
pub async fn complete_all(
    tx: &mut Tx,
    signed: &[(&Issuing, &NewCertificate)],
) -> Result<BTreeMap<String, String>, StoreError> {
    // Held to the end: a ban comes before this, or finds the certificates issued.
    let text = format!(
        "SELECT r.* FROM issuance_requests r WHERE {} AND r.status = '{}' ORDER BY r.id",
        is_listed("r.id", 1),
        RequestStatus::Issuing.word()
    );
    let ids: Vec<String> = signed.iter().map(|(it, _)| it.request.id.clone()).collect();
    let rows: Vec<Wrapped> = sql(AssertSqlSafe(text))
        .bind(listed(&ids))
        .locking("r")
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("recording issued certificates"))?;
    let requests: Vec<Request> = rows.into_iter().map(|row| row.0).collect();
    let agents: Vec<String> = requests.iter().filter_map(|it| it.agent_id.clone()).collect();
    let text = format!(
        "SELECT id FROM agents WHERE {} AND status = '{}'",
        is_listed("id", 1),
        AgentStatus::Banned.word()
    );
    let banned = those(tx, &text, &agents).await?;
    let (mut places, mut known) = (BTreeSet::new(), BTreeSet::new());
    let mut chosen = Vec::new();
    for request in requests {
        let Some((_, new)) = signed.iter().find(|(it, _)| it.request.id == request.id) else {
            continue;
        };
        let is_banned = request.agent_id.as_ref().is_some_and(|id| banned.contains(id));
        let has_its_key = request.spki_sha256.as_ref() == Some(&new.spki_sha256);
        let place = request.agent_id.clone().zip(request.install_path.clone());
        let is_alone =
            known.insert(new.spki_sha256.clone()) && place.is_none_or(|place| places.insert(place));
        if has_its_key && is_alone && !is_banned {
            chosen.push((request, *new));
        }
    }
    let recorded = record(tx, &chosen).await?;
    for it in recorded.iter().filter(|it| it.is_blocked) {
        revocation::take_back(tx, &it.id, Reason::KeyCompromise, BLOCKED_MEANWHILE).await?;
    }
    let requests = chosen.into_iter().map(|(request, _)| request.id);
    Ok(requests.zip(recorded.into_iter().map(|it| it.id)).collect())
}

/// Records certificates, each with the key of its request, which is being issued and is locked; gives their ids, in their
/// order. One whose key is blocked is recorded, and installed nowhere.
pub(super) async fn record(
    tx: &mut Tx,
    signed: &[(Request, &NewCertificate)],
) -> Result<Vec<Recorded>, StoreError> {
    if signed.is_empty() {
        return Ok(Vec::new());
    }
    let news: Vec<NewCertificate> = signed
        .iter()
        .map(|(request, new)| {
            let mut new = (*new).clone();
            new.adapter_id.get_or_insert(request.adapter_id.clone());
            new
        })
        .collect();
    let inserted: Vec<Inserted<'_>> = signed
        .iter()
        .zip(&news)
        .map(|((request, _), new)| Inserted {
            new,
            request_id: Some(&request.id),
            replaces: request.replaces.as_deref(),
        })
        .collect();
    let ids = certificates::insert_all(tx, &inserted).await?;
    let now = tx.now();
    let requests: Vec<String> = signed.iter().map(|(request, _)| request.id.clone()).collect();
    let text = format!(
        "UPDATE issuance_requests SET status = 'issued', certificate_id = (SELECT c.id FROM certificates c \
         WHERE c.request_id = issuance_requests.id), error_message = NULL, \
         claimed_by = NULL, lease_until = NULL, version = version + 1, updated_at = $2 WHERE {}",
        is_listed("id", 1)
    );
    sql(AssertSqlSafe(text))
        .bind(listed(&requests))
        .bind(now)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording an issued certificate"))?;
    for ((request, new), id) in signed.iter().zip(&ids) {
        tx.changed(EntityKind::Request, &request.id);
        if let Some(old) = &request.replaces {
            replace(tx, old, id).await?;
        }
        let detail = format!("certificate `{id}`, serial {}", new.serial);
        let entry = by_issuer(
            "issue",
            EntityKind::Request,
            &request.id,
            AuditOutcome::Done,
            Some(detail),
        );
        audit::note(tx, entry);
    }
    // Held to the end, so that who blocks one now finds the installation and takes it back.
    let keys: Vec<Vec<String>> = news
        .iter()
        .map(|new| keys::with_mirror(&new.spki_sha256, &new.pem))
        .collect();
    let blocked = keys::blocked(tx, keys.iter().flatten().cloned().collect()).await?;
    let recorded: Vec<Recorded> = ids
        .into_iter()
        .zip(&keys)
        .map(|(id, keys)| Recorded {
            id,
            is_blocked: keys.iter().any(|key| blocked.contains(key)),
        })
        .collect();
    install(tx, signed, &recorded).await?;
    Ok(recorded)
}

/// Links a certificate with what it replaces.
async fn replace(tx: &mut Tx, old: &str, id: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql("UPDATE certificates SET replaced_by = $2, version = version + 1, updated_at = $3 WHERE id = $1")
        .bind(old)
        .bind(id)
        .bind(now)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("linking a certificate with what it replaces"))?;
    tx.changed(EntityKind::Certificate, old);
    Ok(())
}

/// Has them installed where their requests say so.
async fn install(
    tx: &mut Tx,
    signed: &[(Request, &NewCertificate)],
    recorded: &[Recorded],
) -> Result<(), StoreError> {
    let mut wanted = Vec::new();
    for ((request, new), it) in signed.iter().zip(recorded) {
        if let (Some(agent_id), Some(path), false) = (&request.agent_id, &request.install_path, it.is_blocked)
        {
            let expected = Expected {
                agent_id,
                path,
                certificate_id: &it.id,
                fingerprint_sha256: &new.fingerprint_sha256,
            };
            wanted.push((expected, *new));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let places: Vec<Expected<'_>> = wanted.iter().map(|(place, _)| *place).collect();
    let made = installations::expect_all(tx, &places).await?;
    let installs: Vec<Install<'_>> = made
        .iter()
        .filter_map(|(installation_id, agent_id, path)| {
            let (place, new) = wanted
                .iter()
                .find(|(place, _)| place.agent_id == agent_id && place.path == path)?;
            Some(Install {
                installation_id,
                agent_id,
                path,
                certificate_id: place.certificate_id,
                pem: &new.pem,
                chain_pem: &new.chain_pem,
                fingerprint_sha256: &new.fingerprint_sha256,
                spki_sha256: &new.spki_sha256,
            })
        })
        .collect();
    queue::installs(tx, &installs).await?;
    Ok(())
}
