//! The certificate revocation list: made anew on every revocation, from the revoked entries alone, so
//! that a crash in between leaves a list that can be made again.

use chrono::{DateTime, Duration, Utc};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use serde::{Deserialize, Serialize};

use super::super::{Core, Reply, storage};
use super::{Ca, Revoked, to_time};

/// How long a list is valid, as Vault's default.
const VALID_HOURS: i64 = 72;

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

/// The list in PEM; made anew when it is due, or when a crash kept a revocation out of it.
pub(super) fn current(core: &Core, mount: &str) -> Result<String, Reply> {
    let kept: Option<Crl> = core.barrier.read(&path(mount)).map_err(|error| storage(&error))?;
    let n_revoked = core.barrier.list(&format!("pki/{mount}/revoked")).len();
    match kept {
        Some(crl) if crl.n_revoked == n_revoked && crl.next_update > core.clock.now() => Ok(crl.pem),
        _ => rebuild(core, mount),
    }
}

/// Makes the list anew, with the next number (RFC 5280 §5.2.3); gives it in PEM.
pub(super) fn rebuild(core: &Core, mount: &str) -> Result<String, Reply> {
    let ca = Ca::read(core, mount)?;
    let before: Option<Crl> = core.barrier.read(&path(mount)).map_err(|error| storage(&error))?;
    let now = core.clock.now();
    let mut revoked = Vec::new();
    for name in core.barrier.list(&format!("pki/{mount}/revoked")) {
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
    let n_revoked = revoked.len();
    let next_update = now + Duration::hours(VALID_HOURS);
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
