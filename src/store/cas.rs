//! The CAs that an adapter knows: the first that was seen is kept, one that answers in its place stops the adapter
//! until somebody accepts or dismisses it.

use crate::domain::adapter::{Adapter, Ca, StrangeCa};
use crate::domain::audit::AuditOutcome;
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::{chain, x509};
use crate::problem::Problem;

use super::issuance::pause_adapter;
use super::issuing::by_issuer;
use super::statement::{Json, sql};
use super::{StoreError, Tx, adapters, audit, certificates, revocation};

/// Keeps the first CA that was seen at an adapter; one that has one keeps that.
///
/// # Errors
/// There is no such adapter, or the database doesn't answer.
pub async fn keep_first(tx: &mut Tx, adapter_id: &str, ca: &Ca) -> Result<Adapter, StoreError> {
    let adapter = adapters::lock(tx, adapter_id).await?;
    if !adapter.cas.is_empty() {
        return Ok(adapter);
    }
    write(tx, adapter_id, std::slice::from_ref(ca), None).await?;
    let detail = Some(format!(
        "the first CA that was seen: `{}` with the key {} (SHA-256)",
        ca.subject, ca.spki_sha256
    ));
    let entry = by_issuer(
        "keep-ca",
        EntityKind::Adapter,
        adapter_id,
        AuditOutcome::Done,
        detail,
    );
    audit::note(tx, entry);
    adapters::lock(tx, adapter_id).await
}

/// Another CA answers: that is on record, and the adapter pauses. One that has signed stays there until somebody judges
/// it, whatever is shown afterwards.
///
/// # Errors
/// There is no such adapter, or the database doesn't answer.
pub async fn stop_for(tx: &mut Tx, adapter_id: &str, strange: &StrangeCa) -> Result<(), StoreError> {
    let adapter = adapters::lock(tx, adapter_id).await?;
    let is_told = adapter.strange_ca.as_ref().is_some_and(|told| {
        told.signed && !strange.signed || told.signed == strange.signed && told.ca.is_same(&strange.ca)
    });
    let told = match adapter.strange_ca.clone().filter(|_| is_told) {
        Some(told) => told,
        None => {
            write(tx, adapter_id, &adapter.cas, Some(strange)).await?;
            strange.clone()
        }
    };
    pause_adapter(tx, adapter_id, &adapter.another_ca(&told)).await
}

/// The known CA is shown again: one that was only shown in its place is forgotten. Returns whether nothing has to be
/// judged any more.
///
/// # Errors
/// There is no such adapter, or the database doesn't answer.
pub async fn is_back(tx: &mut Tx, adapter_id: &str) -> Result<bool, StoreError> {
    let adapter = adapters::lock(tx, adapter_id).await?;
    match &adapter.strange_ca {
        None => Ok(true),
        Some(strange) if strange.signed => Ok(false),
        Some(_) => {
            write(tx, adapter_id, &adapter.cas, None).await?;
            Ok(true)
        }
    }
}

/// An operator has compared it: from now on its signature counts too. The audit row is the caller's.
///
/// # Errors
/// Another CA than that one waits for a decision, or none; or the database doesn't answer.
pub async fn accept(tx: &mut Tx, adapter_id: &str, spki_sha256: &str) -> Result<Adapter, StoreError> {
    let (adapter, strange) = waiting(tx, adapter_id, spki_sha256).await?;
    let mut cas = adapter.cas;
    cas.push(strange.ca);
    write(tx, adapter_id, &cas, None).await?;
    adapters::lock(tx, adapter_id).await
}

/// An operator says that it is not the adapter's CA. What it signed is revoked here, and the known CA isn't asked about
/// it. Returns the adapter and how many certificates that were; the audit row is the caller's.
///
/// # Errors
/// Another CA than that one waits for a decision, or none; or the database doesn't answer.
pub async fn dismiss(
    tx: &mut Tx,
    adapter_id: &str,
    spki_sha256: &str,
) -> Result<(Adapter, usize), StoreError> {
    // Certificates and jobs are locked before adapters.
    let waiting_for_a_ca: Vec<String> = sql(
        "SELECT c.id FROM certificates c WHERE c.adapter_id = $1 AND c.status = 'revocation_pending' ORDER BY c.id",
    )
    .bind(adapter_id)
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because("reading what a strange CA has signed"))?;
    let mut n = 0;
    for id in waiting_for_a_ca {
        let certificate = certificates::lock(tx, &id).await?;
        if is_signed_by(&certificate, spki_sha256) {
            let why = "another CA than its adapter's has signed it: nobody is asked to revoke it, and no CRL lists it";
            revocation::end_without_ca(tx, &id, why).await?;
            n += 1;
        }
    }
    let (adapter, _) = waiting(tx, adapter_id, spki_sha256).await?;
    write(tx, adapter_id, &adapter.cas, None).await?;
    Ok((adapters::lock(tx, adapter_id).await?, n))
}

/// The CA that waits for a decision, if it is the one that was decided about.
async fn waiting(
    tx: &mut Tx,
    adapter_id: &str,
    spki_sha256: &str,
) -> Result<(Adapter, StrangeCa), StoreError> {
    let adapter = adapters::lock(tx, adapter_id).await?;
    let strange = adapter.strange_ca.clone();
    match strange {
        Some(strange) if strange.ca.spki_sha256 == spki_sha256 => Ok((adapter, strange)),
        Some(strange) => Err(Problem::conflict(format!(
            "the CA that waits at `{}` has another key: {}",
            adapter.name, strange.ca.spki_sha256
        ))
        .hint("compare that one, and send its `spki_sha256`")
        .into()),
        None => {
            Err(Problem::conflict(format!("no other CA waits for a decision at `{}`", adapter.name)).into())
        }
    }
}

/// By the chain that is kept with it.
fn is_signed_by(certificate: &Certificate, spki_sha256: &str) -> bool {
    let read =
        |text: &Option<String>| x509::certificates(text.as_deref().unwrap_or_default()).unwrap_or_default();
    let (leaf, given) = (read(&certificate.pem), read(&certificate.chain_pem));
    let Some(leaf) = leaf.first() else { return false };
    // Its rights and dates are no matter here.
    let above = chain::above(leaf, &given);
    above
        .first()
        .and_then(|der| x509::of_der(der).ok())
        .is_some_and(|facts| facts.spki_sha256 == spki_sha256)
}

async fn write(
    tx: &mut Tx,
    adapter_id: &str,
    cas: &[Ca],
    strange: Option<&StrangeCa>,
) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE adapters SET cas = $2, strange_ca = $3, version = version + 1, updated_at = $4 WHERE id = $1",
    )
    .bind(adapter_id)
    .bind(Json(cas))
    .bind(strange.map(Json))
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("recording the CAs of an adapter"))?;
    tx.changed(EntityKind::Adapter, adapter_id);
    Ok(())
}
