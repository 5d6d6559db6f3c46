//! Revocation, and reading one certificate with its time of revocation. There is no reason: Vault takes
//! none.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::super::{Core, Reply, storage};
use super::{Ca, Revoked, Stored, certificate_path, crl};
use crate::domain::certificate::normal_serial;

/// Where a revocation is kept.
pub(super) fn path(mount: &str, serial: &str) -> String {
    format!("pki/{mount}/revoked/{}", serial.replace(':', "-"))
}

/// `revoke` with `serial_number` or `certificate`.
pub(super) fn revoke(core: &mut Core, mount: &str, body: &Value) -> Result<Reply, Reply> {
    let given = match (body["serial_number"].as_str(), body["certificate"].as_str()) {
        (Some(serial), None) if !serial.is_empty() => serial.to_owned(),
        (None, Some(pem)) => {
            serial_of(pem).ok_or_else(|| Reply::error(400, "certificate contains no PEM data"))?
        }
        (Some(_), Some(_)) => {
            return Err(Reply::error(
                400,
                "must provide either the certificate or the serial to revoke; not both",
            ));
        }
        _ => {
            return Err(Reply::error(
                400,
                "The serial number or certificate to revoke must be provided.",
            ));
        }
    };
    let unknown = || Reply::error(400, &format!("certificate with serial {given} not found."));
    let serial = normal_serial(&given).ok_or_else(unknown)?;
    let stored: Stored = core
        .barrier
        .read(&certificate_path(mount, &serial))
        .map_err(|error| storage(&error))?
        .ok_or_else(unknown)?;
    if stored.certificate_pem == Ca::read(core, mount)?.certificate_pem {
        return Err(Reply::error(400, "adding issuer to its own CRL is not allowed"));
    }
    let before: Option<Revoked> = core
        .barrier
        .read(&path(mount, &serial))
        .map_err(|error| storage(&error))?;
    let now = core.clock.now();
    if before.is_none() && stored.not_after <= now {
        let words = format!("certificate with serial {given} already expired; refusing to add to CRL");
        return Ok(Reply::enveloped(&Value::Null, &json!([words]), &Value::Null));
    }
    let revoked = before.clone().unwrap_or(Revoked {
        serial: serial.clone(),
        at: now,
    });
    if before.is_none() {
        core.barrier
            .write(&path(mount, &serial), &revoked)
            .map_err(|error| storage(&error))?;
        crl::rebuild(core, mount)?;
    }
    Ok(Reply::data(json!({
        "revocation_time": revoked.at.timestamp(),
        "revocation_time_rfc3339": revoked.at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "state": "revoked",
    })))
}

/// `cert/<serial>`.
pub(super) fn read(core: &Core, mount: &str, serial: &str) -> Reply {
    let Some(serial) = normal_serial(serial) else {
        return Reply::not_found();
    };
    match core.barrier.read::<Stored>(&certificate_path(mount, &serial)) {
        Ok(Some(stored)) => {
            let revoked: Option<Revoked> = core.barrier.read(&path(mount, &serial)).ok().flatten();
            Reply::data(json!({
                "certificate": stored.certificate_pem.trim(),
                "revocation_time": revoked.as_ref().map_or(0, |revoked| revoked.at.timestamp()),
                "revocation_time_rfc3339": revoked.map_or(String::new(), |revoked| revoked.at.to_rfc3339()),
                "issuer_id": "",
            }))
        }
        Ok(None) => Reply::not_found(),
        Err(error) => storage(&error),
    }
}

fn serial_of(pem: &str) -> Option<String> {
    let pem = pem::parse(pem).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(pem.contents()).ok()?;
    Some(hex::encode(certificate.raw_serial()))
}
