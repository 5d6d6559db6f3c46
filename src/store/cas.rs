//! The CAs that an adapter knows: the first that was seen is kept, one that answers in its place stops the adapter
//! until somebody accepts or dismisses it.

use crate::domain::adapter::{Adapter, Ca, StrangeCa};
use crate::domain::audit::AuditOutcome;
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::told::quoted;
use crate::domain::{chain, x509};
use crate::problem::Problem;

use super::issuance::pause_adapter;
use super::issuing::by_issuer;
use super::statement::{Json, sql};
use super::{StoreError, Tx, adapters, audit, certificates, revocation};

/// Keeps the first CA that was seen at an adapter; one that has one keeps that, and its certificate if it had none yet.
///
/// # Errors
/// There is no such adapter, or the database doesn't answer.
pub async fn keep_first(tx: &mut Tx, adapter_id: &str, ca: &Ca) -> Result<Adapter, StoreError> {
    let adapter = adapters::lock(tx, adapter_id).await?;
    if adapter.lacks_certificate_of(ca) {
        let with_it = |known: Ca| match known.is_same(ca) {
            true => Ca {
                pem: ca.pem.clone(),
                ..known
            },
            false => known,
        };
        let cas: Vec<Ca> = adapter.cas.into_iter().map(with_it).collect();
        write(tx, adapter_id, &cas, adapter.strange_ca.as_ref()).await?;
        return adapters::lock(tx, adapter_id).await;
    }
    if !adapter.cas.is_empty() {
        return Ok(adapter);
    }
    write(tx, adapter_id, std::slice::from_ref(ca), None).await?;
    let detail = Some(format!(
        "the first CA that was seen: the key {} (SHA-256), which calls itself {}",
        ca.spki_sha256,
        quoted(&ca.subject)
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
        told.signed && !strange.signed || told.signed == strange.signed && told.is_same(strange)
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

/// Name of what is decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided<'a> {
    /// A CA, by its key.
    Key(&'a str),
    /// Somebody whose key isn't known, by the certificate that they signed.
    Certificate(&'a str),
}

/// An operator has compared it: from now on its signature counts too. The audit row is the caller's.
///
/// # Errors
/// Another CA than that one waits for a decision, one whose key isn't known, or none; or the database doesn't answer.
pub async fn accept(tx: &mut Tx, adapter_id: &str, which: Decided<'_>) -> Result<Adapter, StoreError> {
    let adapter = adapters::lock(tx, adapter_id).await?;
    let strange = waiting(&adapter, which)?;
    let Some(ca) = strange.ca else {
        let words = format!(
            "what was signed at `{}` came without the certificate of its key: there is no key that could be accepted",
            adapter.name
        );
        return Err(Problem::conflict(words)
            .hint("if that is your CA, have it send its chain along; then `dismiss-ca`, with `certificate_sha256`")
            .into());
    };
    let mut cas = adapter.cas;
    cas.push(Ca {
        accepted_at: Some(tx.now()),
        ..ca
    });
    write(tx, adapter_id, &cas, None).await?;
    judge_next(tx, adapter_id).await
}

/// An operator says that it is not the adapter's CA, whether it waits for a decision or was accepted before. Those of its
/// certificates that wait to be revoked are revoked here, and the known CA isn't asked about them. Returns the adapter and
/// how many certificates that were; the audit row is the caller's.
///
/// # Errors
/// Another CA than that one waits for a decision, or none, and it is no CA that is known, or the only one; or the database
/// doesn't answer.
pub async fn dismiss(
    tx: &mut Tx,
    adapter_id: &str,
    which: Decided<'_>,
) -> Result<(Adapter, usize), StoreError> {
    // Certificates and jobs are locked before adapters.
    let n = end_without_ca(tx, adapter_id, which).await?;
    let adapter = adapters::lock(tx, adapter_id).await?;
    let others: Vec<Ca> = adapter
        .cas
        .iter()
        .filter(|ca| !is_key(ca, which))
        .cloned()
        .collect();
    if others.len() == adapter.cas.len() {
        waiting(&adapter, which)?;
        write(tx, adapter_id, &others, None).await?;
    } else if others.is_empty() {
        let words = format!(
            "it is the only CA that `{}` is known for: without it whichever is seen next would count",
            adapter.name
        );
        return Err(Problem::conflict(words)
            .hint("accept the right one first, once it answers")
            .into());
    } else {
        write(tx, adapter_id, &others, adapter.strange_ca.as_ref()).await?;
    }
    Ok((judge_next(tx, adapter_id).await?, n))
}

/// Puts forward who has to be judged next, where something that no known CA has signed waits to be revoked: one decision
/// is about one of them, and the CA isn't asked about the others either.
async fn judge_next(tx: &mut Tx, adapter_id: &str) -> Result<Adapter, StoreError> {
    let adapter = adapters::lock(tx, adapter_id).await?;
    if adapter.strange_ca.is_some() {
        return Ok(adapter);
    }
    // One that was issued has been traced to its CA.
    let refused: Vec<String> = sql("SELECT c.id FROM certificates c WHERE c.adapter_id = $1 \
         AND c.status = 'revocation_pending' AND c.request_id IS NULL ORDER BY c.id")
    .bind(adapter_id)
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because("reading what a strange CA has signed"))?;
    for id in refused {
        let certificate = certificates::existing(tx, &id).await?;
        let now = tx.now();
        let strange = match signer(&certificate, &adapter.cas) {
            Some(Signer::Shown(ca)) if !adapter.knows(&ca) => StrangeCa::signed(ca, now),
            Some(Signer::Nobody) => StrangeCa::untraced(&certificate.fingerprint_sha256, now),
            _ => continue,
        };
        write(tx, adapter_id, &adapter.cas, Some(&strange)).await?;
        pause_adapter(tx, adapter_id, &adapter.another_ca(&strange)).await?;
        return adapters::lock(tx, adapter_id).await;
    }
    Ok(adapter)
}

/// Ends the revocations that wait for a CA which has not signed what is to be revoked.
async fn end_without_ca(tx: &mut Tx, adapter_id: &str, which: Decided<'_>) -> Result<usize, StoreError> {
    let known = adapters::read(tx, adapter_id)
        .await?
        .map_or(Vec::new(), |adapter| adapter.cas);
    let waiting_for_a_ca: Vec<String> = sql(
        "SELECT c.id FROM certificates c WHERE c.adapter_id = $1 AND c.status = 'revocation_pending' \
         AND c.fingerprint_sha256 = COALESCE($2, c.fingerprint_sha256) ORDER BY c.id",
    )
    .bind(adapter_id)
    .bind(match which {
        Decided::Certificate(sha256) => Some(sha256),
        Decided::Key(_) => None,
    })
    .fetch_all(tx.raw())
    .await
    .map_err(StoreError::because("reading what a strange CA has signed"))?;
    let mut n = 0;
    for id in waiting_for_a_ca {
        let certificate = certificates::lock(tx, &id).await?;
        if is_signed_by(&certificate, which, &known) {
            let why = "another CA than its adapter's has signed it: nobody is asked to revoke it, and no CRL lists it";
            revocation::end_without_ca(tx, &id, why).await?;
            n += 1;
        }
    }
    Ok(n)
}

fn is_key(ca: &Ca, which: Decided<'_>) -> bool {
    which == Decided::Key(&ca.spki_sha256)
}

/// The CA that waits for a decision, if it is the one that was decided about.
fn waiting(adapter: &Adapter, which: Decided<'_>) -> Result<StrangeCa, StoreError> {
    let Some(strange) = &adapter.strange_ca else {
        let words = format!("no other CA waits for a decision at `{}`", adapter.name);
        return Err(Problem::conflict(words).into());
    };
    let its = match (&strange.ca, &strange.certificate_sha256) {
        (Some(ca), _) => Decided::Key(&ca.spki_sha256),
        (None, certificate) => Decided::Certificate(certificate.as_deref().unwrap_or_default()),
    };
    if its == which {
        return Ok(strange.clone());
    }
    let (words, field) = match its {
        Decided::Key(key) => (format!("has another key: {key}"), "spki_sha256"),
        Decided::Certificate(certificate) => (
            format!("is known by nothing but what it signed: {certificate}"),
            "certificate_sha256",
        ),
    };
    Err(
        Problem::conflict(format!("the CA that waits at `{}` {words}", adapter.name))
            .hint(format!("compare that one, and send its `{field}`"))
            .into(),
    )
}

/// Owner of the key that signed a certificate.
enum Signer {
    /// The CA whose certificate is kept with it.
    Shown(Ca),
    /// A CA that is known, whose certificate isn't kept with it.
    Known,
    /// None of these.
    Nobody,
}

/// By the chain that is kept with it, and by the keys of the known CAs, since what came along was for whoever answered to
/// choose; none where there is no certificate to be read. Rights and dates are no matter here.
fn signer(certificate: &Certificate, known: &[Ca]) -> Option<Signer> {
    let read =
        |text: &Option<String>| x509::certificates(text.as_deref().unwrap_or_default()).unwrap_or_default();
    let (leaf, given) = (read(&certificate.pem), read(&certificate.chain_pem));
    let leaf = leaf.first()?;
    let shown = chain::above(leaf, &given).first().map(|der| Ca::of_der(der));
    match shown {
        Some(shown) => shown.ok().map(Signer::Shown),
        None if known.iter().any(|ca| ca.has_signed(leaf)) => Some(Signer::Known),
        None => Some(Signer::Nobody),
    }
}

fn is_signed_by(certificate: &Certificate, which: Decided<'_>, known: &[Ca]) -> bool {
    match (which, signer(certificate, known)) {
        // One that was issued has been traced to its CA.
        (Decided::Certificate(sha256), Some(Signer::Nobody)) => {
            certificate.fingerprint_sha256 == sha256 && certificate.request_id.is_none()
        }
        (Decided::Key(key), Some(Signer::Shown(ca))) => ca.spki_sha256 == key,
        _ => false,
    }
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
