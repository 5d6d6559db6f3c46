//! One request, from claimed to its certificate.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::adapters::{Adapter, AdapterError, SignedCertificate};
use super::backoff::next_attempt;
use super::way::pause_for;
use super::{Claimed, Issuer, LEASE, MARGIN};
use chrono::{DateTime, Utc};

use crate::domain::adapter::{Adapter as AdapterRow, Ca, StrangeCa};
use crate::domain::chain;
use crate::domain::csr::Csr;
use crate::domain::reason::Reason;
use crate::domain::told::said_by;
use crate::domain::wanted::{Validity, Wanted};
use crate::domain::x509;
use crate::store::certificates::NewCertificate;
use crate::store::issuance::{self, Issuing, SignedBy};
use crate::store::{
    StoreError, Work, adapters as rows, ban, issued, keys, orders, requests, revocation, serials,
};

/// A certificate that is what was asked for.
pub(super) struct Signed {
    issuing: Issuing,
    new: NewCertificate,
}

impl Issuer {
    /// Drives one claimed request to its next state; gives what was signed, which is to be recorded. `issuing` is durable
    /// before the CA is called.
    pub(super) async fn sign(&self, claimed: Claimed) -> Result<Option<Signed>, StoreError> {
        let new = self.signed(&claimed).await?;
        Ok(new.map(|new| Signed {
            issuing: claimed.issuing,
            new,
        }))
    }

    /// The certificate that the CA signed for a request.
    async fn signed(&self, claimed: &Claimed) -> Result<Option<NewCertificate>, StoreError> {
        let Claimed { adapter, issuing, at } = claimed;
        let request = &issuing.request;
        // An earlier attempt that ended without an answer may have been carried out all the same.
        if issuing.may_be_signed {
            match self.find(adapter, issuing).await? {
                Ok(Some(signed)) => {
                    tracing::info!(request = %request.id, "the CA had signed already; its certificate is taken");
                    return self.judge(adapter, issuing, &signed).await;
                }
                Ok(None) => {}
                Err(error) => return self.not_found_out(issuing, error).await.map(|()| None),
            }
        }
        if let Some(why) = issuing.no_signature {
            let words = format!("{}: nothing is signed for it; {}", why.why(), why.next());
            return self.fail(issuing, &words).await.map(|()| None);
        }
        // As strictly as when it came, whoever wrote it down: what the CA is sent is what was read.
        let csr = match readable(issuing) {
            Ok(csr) => csr.pem(),
            Err(words) => return self.fail(issuing, &words).await.map(|()| None),
        };
        // Looking, or those before it, may have taken so long that another worker has it meanwhile.
        if self.store.clock().now() + MARGIN > *at + LEASE && !self.is_still_ours(issuing).await? {
            tracing::warn!(request = %request.id, "another worker has it meanwhile; nothing is signed here");
            return Ok(None);
        }
        match self.drive(adapter, issuing, csr).await? {
            Ok(Some(signed)) if signed.made_anew().is_ok() => {
                return self.judge(adapter, issuing, &signed).await;
            }
            // Signed or not, this says neither.
            Ok(Some(_)) => {
                let words = "the CA's answer is no certificate";
                return self.look_after(adapter, issuing, words).await;
            }
            // It waits for its agent or for the CA, and is in another worker's hands maybe.
            Ok(None) => {}
            Err(AdapterError::Busy(words, pause)) => self.wait(issuing, &words, pause).await?,
            Err(
                error @ (AdapterError::Away(_)
                | AdapterError::Sealed(_)
                | AdapterError::Unsigned(_)
                | AdapterError::ClockOff { .. }
                | AdapterError::Denied(_)),
            ) => {
                let pause = pause_for(&error);
                let mut tx = self.store.begin_behind().await?;
                issuance::pause_issue(&mut tx, &request.id, &pause).await?;
                tx.commit().await?;
            }
            Err(AdapterError::Retry(error)) => self.retry_later(issuing, &error).await?,
            Err(AdapterError::Refused(words)) => {
                // The CA's own, and not ours: whoever holds the CA's answers could write what to do next.
                self.fail(issuing, &said_by("the CA", &words)).await?;
            }
            Err(AdapterError::Unknown(error)) => return self.look_after(adapter, issuing, &error).await,
        }
        Ok(None)
    }

    /// Searches the CA for a certificate with the request's key, among those that are not ours yet.
    async fn find(
        &self,
        adapter: &Arc<dyn Adapter>,
        issuing: &Issuing,
    ) -> Result<Result<Option<SignedCertificate>, AdapterError>, StoreError> {
        if let Some(ca_order) = &issuing.ca_order {
            return Ok(adapter.ordered(ca_order).await);
        }
        match adapter.capabilities().await {
            Ok(can) if !can.list => {
                // It is with nobody, then: not with the CA, and its answer reached no one.
                tracing::warn!(
                    request = %issuing.request.id,
                    "the CA keeps nothing of what it signs: what a lost answer held can't be looked for"
                );
                return Ok(Ok(None));
            }
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
        let kept: Vec<String> = match adapter.serials().await {
            Ok(serials) => serials.into_iter().collect(),
            Err(error) => return Ok(Err(error)),
        };
        let mut conn = self.store.ask(Work::Background).await?;
        let strange = serials::unknown(&mut conn, &kept).await?;
        drop(conn);
        Ok(adapter.find_by_spki(&issuing.spki_sha256, &strange).await)
    }

    /// Makes the claim last as long again, unless another worker has taken it over.
    async fn is_still_ours(&self, issuing: &Issuing) -> Result<bool, StoreError> {
        let mut tx = self.store.begin_behind().await?;
        let until = tx.now() + LEASE;
        let ours = orders::hold(&mut tx, &issuing.request.id, &self.owner, until).await?;
        tx.commit().await?;
        Ok(ours)
    }

    /// No answer to the signature: takes the certificate if it is there. If the CA says that it isn't,
    /// it answered with an error and is asked again later; if the CA can't be asked, the request stays
    /// `issuing` and is looked for when its lease ends.
    async fn look_after(
        &self,
        adapter: &Arc<dyn Adapter>,
        issuing: &Issuing,
        error: &str,
    ) -> Result<Option<NewCertificate>, StoreError> {
        match self.find(adapter, issuing).await? {
            Ok(Some(signed)) => self.judge(adapter, issuing, &signed).await,
            Ok(None) => self.retry_later(issuing, error).await.map(|()| None),
            Err(error) => self.not_found_out(issuing, error).await.map(|()| None),
        }
    }

    /// Whether the CA has signed could not be found out: the request stays as it is.
    async fn not_found_out(&self, issuing: &Issuing, error: AdapterError) -> Result<(), StoreError> {
        tracing::warn!(request = %issuing.request.id, %error, "whether the CA has signed is not known yet");
        match error {
            AdapterError::Away(_)
            | AdapterError::Sealed(_)
            | AdapterError::Unsigned(_)
            | AdapterError::ClockOff { .. }
            | AdapterError::Denied(_) => self.pause(&issuing.request.adapter_id, &pause_for(&error)).await,
            AdapterError::Busy(_, pause) => self.look_again(issuing, pause).await,
            _ => Ok(()),
        }
    }

    /// Judges what was signed; gives what is to be recorded, if it is what was asked for.
    async fn judge(
        &self,
        adapter: &Arc<dyn Adapter>,
        issuing: &Issuing,
        signed: &SignedCertificate,
    ) -> Result<Option<NewCertificate>, StoreError> {
        let anew = signed
            .made_anew()
            .and_then(|anew| Ok((x509::read(&anew.pem)?, anew)));
        let (read, anew) = match anew {
            Ok(anew) => anew,
            Err(error) => {
                let words = format!("the CA's answer is no certificate: {error}");
                return self.fail(issuing, &words).await.map(|()| None);
            }
        };
        let mut new = NewCertificate::of(
            read,
            &anew.pem,
            &anew.chain_pem,
            Some(&issuing.request.adapter_id),
        );
        let validity = Validity {
            now: self.store.clock().now(),
            longest: adapter.longest(),
        };
        // The certificate is judged as it was read, whoever signed it.
        let mut judged = as_asked(issuing, signed, validity);
        if adapter.keeps_ca() {
            let row = rows::read(&mut self.store.read().await?, &issuing.request.adapter_id).await?;
            let (strange, why) = match signer(signed, row.as_ref(), validity.now) {
                Ok(Signer::CameAlong(ca)) => (
                    self.strange(issuing, &ca, row, judged.is_ok()).await?,
                    String::new(),
                ),
                Ok(Signer::Known(ca)) => {
                    let words = "it is signed by the key of its adapter's CA, whose certificate did not come with it: the \
                                 CA's answer has none, or somebody else's";
                    judged = holds_as_asked(issuing, signed, validity).and(Err(words.to_owned()));
                    new.chain_pem = ca.pem.unwrap_or_default();
                    (None, String::new())
                }
                // Of whom it is can't be told; of no CA that is known.
                Err(why) => {
                    let nobodys = StrangeCa::untraced(&new.fingerprint_sha256, validity.now);
                    (Some(nobodys), why)
                }
            };
            if let Some(strange) = strange {
                return self
                    .refuse_strange(issuing, &new, &strange, &why)
                    .await
                    .map(|()| None);
            }
        }
        match judged {
            Err(words) => self.take_back(issuing, &new, &words).await.map(|()| None),
            Ok(()) => Ok(Some(new)),
        }
    }

    /// Records what was signed: together, and one by one what is left out of that.
    pub(super) async fn record(&self, signed: Vec<Signed>) {
        if signed.is_empty() {
            return;
        }
        let recorded = match self.record_together(&signed).await {
            Ok(recorded) => recorded,
            Err(error) => {
                tracing::warn!(%error, "certificates can't be recorded together; one by one");
                BTreeMap::new()
            }
        };
        for Signed { issuing, new } in &signed {
            let request = &issuing.request.id;
            match recorded.get(request) {
                Some(certificate) => tracing::info!(%request, %certificate, serial = %new.serial, "issued"),
                None => {
                    if let Err(error) = self.record_alone(issuing, new).await {
                        tracing::error!(%error, "a request could not be driven on");
                    }
                }
            }
        }
    }

    async fn record_together(&self, signed: &[Signed]) -> Result<BTreeMap<String, String>, StoreError> {
        let mut tx = self.store.begin_behind().await?;
        let signed: Vec<(&Issuing, &NewCertificate)> =
            signed.iter().map(|it| (&it.issuing, &it.new)).collect();
        let recorded = issued::complete_all(&mut tx, &signed).await?;
        tx.commit().await?;
        Ok(recorded)
    }

    async fn record_alone(&self, issuing: &Issuing, new: &NewCertificate) -> Result<(), StoreError> {
        let id = &issuing.request.id;
        let mut tx = self.store.begin_behind().await?;
        // Held to the end: a ban comes before this, or finds the certificate issued.
        requests::lock(&mut tx, id).await?;
        if ban::is_banned(&mut tx, issuing.request.agent_id.as_deref()).await? {
            let words = "its agent was banned before the CA's answer came";
            let certificate = issuance::refuse_issue(&mut tx, id, new, words, SignedBy::Known).await?;
            tx.commit().await?;
            tracing::warn!(request = %id, certificate, serial = %new.serial, words, "what the CA signed is refused");
            return Ok(());
        }
        let certificate = issuance::complete_issue(&mut tx, id, new).await?;
        if keys::is_compromised(&mut tx, &certificate.spki_sha256, &issuing.csr_pem).await? {
            let why = issued::BLOCKED_MEANWHILE;
            revocation::take_back(&mut tx, &certificate.id, Reason::KeyCompromise, why).await?;
        }
        tx.commit().await?;
        tracing::info!(request = %id, certificate = %certificate.id, serial = %certificate.serial, "issued");
        Ok(())
    }

    /// The CA signed something else than what was asked for: that is on record, and the CA is asked to revoke it.
    async fn take_back(
        &self,
        issuing: &Issuing,
        new: &NewCertificate,
        words: &str,
    ) -> Result<(), StoreError> {
        let id = &issuing.request.id;
        let words = format!("the CA's certificate is not what was asked for: {words}");
        let mut tx = self.store.begin_behind().await?;
        let certificate = issuance::refuse_issue(&mut tx, id, new, &words, SignedBy::Known).await?;
        tx.commit().await?;
        tracing::error!(request = %id, certificate, serial = %new.serial, words, "what the CA signed is refused");
        Ok(())
    }

    async fn retry_later(&self, issuing: &Issuing, error: &str) -> Result<(), StoreError> {
        let request = &issuing.request;
        let at = next_attempt(self.store.clock().now(), request.attempt, &request.id);
        let mut tx = self.store.begin_behind().await?;
        issuance::retry_issue_later(&mut tx, &request.id, error, at).await?;
        tx.commit().await?;
        tracing::warn!(request = %request.id, error, %at, "the CA refused for now");
        Ok(())
    }

    async fn fail(&self, issuing: &Issuing, words: &str) -> Result<(), StoreError> {
        let id = &issuing.request.id;
        let mut tx = self.store.begin_behind().await?;
        issuance::fail_issue(&mut tx, id, words).await?;
        tx.commit().await?;
        tracing::warn!(request = %id, words, "the CA refused");
        Ok(())
    }
}

/// The request's CSR, if it is still one that is taken for it.
fn readable(issuing: &Issuing) -> Result<Csr, String> {
    let csr = Csr::read(&issuing.csr_pem).map_err(|error| format!("the CSR is refused: {error}"))?;
    Wanted::of(&issuing.request)
        .asked_by(&csr)
        .map_err(|other| other.to_string())?;
    Ok(csr)
}

/// The CA whose key verifiably signed a certificate.
enum Signer {
    /// One whose certificate came with it.
    CameAlong(Ca),
    /// One that its adapter is known for, and whose certificate did not come with it.
    Known(Ca),
}

/// The CA whose key verifiably signed it, whatever its rights and dates are; or why it is none of those that came with it
/// and none that its adapter is known for.
fn signer(
    signed: &SignedCertificate,
    row: Option<&AdapterRow>,
    now: DateTime<Utc>,
) -> Result<Signer, String> {
    let read = |text: &str| x509::certificates(text).map_err(|error| error.to_string());
    let (leaf, given) = (read(&signed.pem)?, read(&signed.chain_pem)?);
    let leaf = leaf.first().ok_or("there is no certificate in it")?;
    if let Some(issuer) = chain::above(leaf, &given).first() {
        return Ca::of_der(issuer)
            .map(Signer::CameAlong)
            .map_err(|error| error.to_string());
    }
    // Certificates that came along are for whoever answers to choose.
    if let Some(known) = row.and_then(|row| row.signer(leaf)) {
        return Ok(Signer::Known(known.clone()));
    }
    match chain::issued(leaf, &given, now) {
        Err(why) => Err(why.to_string()),
        Ok(()) => Err("it says that it issued itself".to_owned()),
    }
}

/// Refuses a certificate unless it holds what was asked for and nothing else.
fn holds_as_asked(issuing: &Issuing, signed: &SignedCertificate, validity: Validity) -> Result<(), String> {
    let csr = readable(issuing)?;
    let content = x509::content(&signed.pem).map_err(|error| error.to_string())?;
    Wanted::of(&issuing.request)
        .certified_by(&content, &csr, validity)
        .map_err(|other| other.to_string())
}

/// Refuses a certificate unless it is signed by a CA that came with it, and holds what was asked for and nothing else.
fn as_asked(issuing: &Issuing, signed: &SignedCertificate, validity: Validity) -> Result<(), String> {
    holds_as_asked(issuing, signed, validity)?;
    let read = |text: &str| x509::certificates(text).map_err(|error| error.to_string());
    let leaf = read(&signed.pem)?;
    let leaf = leaf.first().ok_or("there is no certificate in it")?;
    chain::issued(leaf, &read(&signed.chain_pem)?, validity.now).map_err(|error| error.to_string())
}
