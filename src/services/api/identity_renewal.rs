//! The certificate that follows the one by which an agent proves itself: signed, offered, on record. Which of
//! the two counts is asked in `identity`.

use super::ApiState;
use super::caller::Caller;
use super::csr;
use super::identity_ca::{IdentityCa, Signed, too_early};
use crate::domain::agent::{Agent, AgentIdentity};
use crate::domain::audit::{AuditEntry, AuditOutcome};
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::store::{StoreError, Tx, audit, identities, keys};

/// Signs the certificate that is to follow the one that counts, for an agent that asked for it with its
/// report. Nothing where there is no CA for that, where the key is the one in use (a renewal is of a new key),
/// or while it is too early by this server's clock, whatever the agent's own says: each one leaves an audit row.
pub(super) async fn renew(
    api: &ApiState,
    tx: &mut Tx,
    agent: &Agent,
    csr_pem: &str,
    caller: &Caller,
) -> Result<Option<String>, StoreError> {
    let Some(ca) = &api.identity_ca else {
        return Ok(None);
    };
    if agent.identity.as_ref().is_some_and(|it| too_early(it, tx.now())) {
        return Ok(None);
    }
    if tx.now() >= ca.ends() {
        // What agents have is good for its own time, and their check-ins are worth more than this.
        tracing::error!(agent = %agent.id, "no next identity: the CA for agents ended at {}", ca.ends());
        return Ok(None);
    }
    let signed = certify(ca, tx, &agent.id, csr_pem).await?;
    let is = |it: &Option<AgentIdentity>| it.as_ref().is_some_and(|it| it.serial == signed.identity.serial);
    if is(&agent.identity) {
        return Ok(None);
    }
    identities::offer(tx, &agent.id, &signed.identity).await?;
    // Asked again because the answer was lost, it is the same one.
    if !is(&agent.next_identity) {
        let entry = AuditEntry {
            actor: caller.token.name.clone(),
            action: "renew-identity".to_owned(),
            entity_type: EntityKind::Agent,
            entity_id: agent.id.clone(),
            outcome: AuditOutcome::Done,
            reason: None,
            ticket: None,
            run_id: None,
            source: caller.source.clone(),
            detail: Some(told(&signed.identity)),
        };
        audit::append(tx, entry).await?;
    }
    Ok(Some(signed.pem))
}

/// Signs for the key in a CSR, unless that is blocked.
pub(super) async fn certify(
    ca: &IdentityCa,
    tx: &mut Tx,
    agent_id: &str,
    csr_pem: &str,
) -> Result<Signed, StoreError> {
    let csr = csr::read(csr_pem)?;
    if keys::is_compromised(tx, &csr.key.spki_sha256(), csr_pem).await? {
        return Err(
            Problem::refused("this key is compromised: no certificate will be issued for it again")
                .hint("make a fresh key")
                .into(),
        );
    }
    Ok(ca.sign(agent_id, &csr, tx.now())?)
}

/// For an audit row.
pub(super) fn told(identity: &AgentIdentity) -> String {
    format!(
        "identity {} until {}",
        identity.serial,
        identity.not_after.format("%F %TZ")
    )
}
