//! The certificate revocation list: made anew on every revocation, or by itself before it ends, from the revoked
//! entries alone, so that a crash in between leaves a list that can be made again.

use chrono::{DateTime, Duration, Utc};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use serde::{Deserialize, Serialize};

use super::super::{Core, Reply, storage};
use super::rule::Rule;
use super::{Ca, Revoked, to_time};

#[derive(Clone, Serialize, Deserialize)]
struct Crl {
    number: u64,
    pem: String,
    n_revoked: usize,
    next_update: DateTime<Utc>,
}

fn path(mount: &str) -> String {
    format!("pki/{mount}/crl")
}

/// The list in PEM; made anew when `auto_rebuild` says so, or when a crash kept a revocation out of it.
pub(super) fn current(core: &Core, mount: &str) -> Result<String, Reply> {
    let kept: Option<Crl> = core.barrier.read(&path(mount)).map_err(|error| storage(&error))?;
    let n_revoked = core.barrier.list(&format!("pki/{mount}/revoked")).len();
    let rule = Rule::of(core, mount);
    let now = core.clock.now();
    match kept {
        Some(crl) if rule.disabled => Ok(crl.pem),
        Some(crl) => match rule.grace {
            Some(grace) if crl.next_update - Duration::seconds(grace) > now => Ok(crl.pem),
            // One that has ended stays, as in Vault, until something is revoked or somebody asks for a new one.
            None if crl.n_revoked == n_revoked => Ok(crl.pem),
            _ => rebuild(core, mount),
        },
        None => rebuild(core, mount),
    }
}

/// After a revocation: makes the list anew, unless that is done by itself.
pub(super) fn after_revocation(core: &Core, mount: &str) -> Result<(), Reply> {
    if Rule::of(core, mount).grace.is_none() {
        rebuild(core, mount)?;
    }
    Ok(())
}

/// Makes the list anew, with the next number (RFC 5280 §5.2.3); gives it in PEM.
pub(super) fn rebuild(core: &Core, mount: &str) -> Result<String, Reply> {
    let ca = Ca::read(core, mount)?;
    let before: Option<Crl> = core.barrier.read(&path(mount)).map_err(|error| storage(&error))?;
    let now = core.clock.now();
    let rule = Rule::of(core, mount);
    let mut revoked = Vec::new();
    let names = core.barrier.list(&format!("pki/{mount}/revoked"));
    let n_revoked = names.len();
    for name in names.into_iter().filter(|_| !rule.disabled) {
        let entry = core
            .barrier
            .read::<Revoked>(&format!("pki/{mount}/revoked/{name}"));
        if let Some(entry) = entry.map_err(|error| storage(&error))? {
            revoked.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(
                    &hex::decode(entry.serial.replace(':', "")).unwrap_or_default(),
                ),
                revocation_time: to_time(entry.at),
                reason_code: None,
                invalidity_date: None,
            });
        }
    }
    let number = before.map_or(1, |crl| crl.number + 1);
    let next_update = now + Duration::seconds(rule.valid);
    let params = CertificateRevocationListParams {
        this_update: to_time(now),
        next_update: to_time(next_update),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let pem = params
        .signed_by(&ca.issuer()?)
        .and_then(|list| list.pem())
        .map_err(|error| Reply::error(500, &format!("error building CRL: {error}")))?;
    let crl = Crl {
        number,
        pem: pem.clone(),
        n_revoked,
        next_update,
    };
    core.barrier
        .write(&path(mount), &crl)
        .map_err(|error| storage(&error))?;
    Ok(pem)
}
