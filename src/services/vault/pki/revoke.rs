//! Revocation, and reading one certificate with its time of revocation. There is no reason: Vault takes
//! none.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::super::{Core, Reply, storage};
use super::rule::Rule;
use super::{Ca, Revoked, Stored, certificate_path, crl};
use crate::domain::certificate::normal_serial;

/// What is shorter is no certificate in PEM, but rather the name of a file with one.
const SHORTEST_PEM: usize = 75;

/// Where a revocation is kept.
pub(super) fn path(mount: &str, serial: &str) -> String {
    format!("pki/{mount}/revoked/{}", serial.replace(':', "-"))
}

/// `revoke` with `serial_number` or `certificate`.
pub(super) fn revoke(core: &mut Core, mount: &str, body: &Value) -> Result<Reply, Reply> {
    let refused = |words: &str| Err(Reply::error(400, words));
    let (given, stored) = match (body.get("serial_number"), body.get("certificate")) {
        (Some(_), Some(_)) => {
            return refused("Must provide either the certificate or the serial to revoke; not both.");
        }
        (Some(serial), None) => {
            let serial = match serial {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            };
            if serial.is_empty() {
                return refused("The serial number must be provided");
            }
            let stored = kept(core, mount, &serial)?;
            (serial, stored)
        }
        (None, Some(pem)) => shown(core, mount, pem.as_str().unwrap_or_default())?,
        (None, None) => return refused("The serial number or certificate to revoke must be provided."),
    };
    let serial = normal_serial(&given).ok_or_else(|| unknown(&given))?;
    if stored.certificate_pem == Ca::read(core, mount)?.certificate_pem {
        return Err(Reply::error(400, "adding issuer to its own CRL is not allowed"));
    }
    let before: Option<Revoked> = core
        .barrier
        .read(&path(mount, &serial))
        .map_err(|error| storage(&error))?;
    let now = core.clock.now();
    if before.is_none() && stored.not_after <= now && !Rule::of(core, mount).expired_too {
        let words = format!(
            "certificate with serial {given} already expired; refusing to add to CRL. Enable 'AllowExpiredCertRevocation' to allow revoking expired certificates."
        );
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
        crl::after_revocation(core, mount)?;
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
        return Reply::error(404, "unsupported path");
    };
    match core.barrier.read::<Stored>(&certificate_path(mount, &serial)) {
        Ok(Some(stored)) => {
            let revoked: Option<Revoked> = core.barrier.read(&path(mount, &serial)).ok().flatten();
            Reply::data(json!({
                "certificate": stored.certificate_pem.trim(),
                "revocation_time": revoked.as_ref().map_or(0, |revoked| revoked.at.timestamp()),
                "revocation_time_rfc3339": revoked.map_or(String::new(), |revoked| revoked.at.to_rfc3339()),
            }))
        }
        Ok(None) => Reply::not_found(),
        Err(error) => storage(&error),
    }
}

fn unknown(serial: &str) -> Reply {
    Reply::error(400, &format!("certificate with serial {serial} not found."))
}

/// The certificate that the CA kept under a serial.
fn kept(core: &Core, mount: &str, serial: &str) -> Result<Stored, Reply> {
    let normal = normal_serial(serial).ok_or_else(|| unknown(serial))?;
    core.barrier
        .read(&certificate_path(mount, &normal))
        .map_err(|error| storage(&error))?
        .ok_or_else(|| unknown(serial))
}

/// The certificate that the caller shows: one of ours, which is kept from now on, or refused.
fn shown(core: &Core, mount: &str, text: &str) -> Result<(String, Stored), Reply> {
    let refused = |words: &str| Reply::error(500, &format!("1 error occurred:\n\t* {words}\n\n"));
    if text.len() < SHORTEST_PEM {
        return Err(refused(
            "provided certificate data was too short; perhaps a path was passed to the API rather than the contents of a PEM file",
        ));
    }
    let pem = pem::parse(text).map_err(|_| refused("certificate contains no PEM data"))?;
    let (_, certificate) = x509_parser::parse_x509_certificate(pem.contents())
        .map_err(|error| refused(&format!("certificate could not be parsed: {error}")))?;
    let serial = hex::encode(certificate.raw_serial());
    let normal =
        normal_serial(&serial).ok_or_else(|| refused("invalid serial number on presented certificate"))?;
    let path = certificate_path(mount, &normal);
    let same = |stored: &Stored| {
        pem::parse(&stored.certificate_pem).is_ok_and(|kept| kept.contents() == pem.contents())
    };
    match core
        .barrier
        .read::<Stored>(&path)
        .map_err(|error| storage(&error))?
    {
        Some(stored) if same(&stored) => return Ok((normal, stored)),
        Some(_) => {
            return Err(refused(
                "certificate with same serial but unequal value already present in this cluster's storage; refusing to revoke",
            ));
        }
        None => {}
    }
    let ca = pem::parse(Ca::read(core, mount)?.certificate_pem).map_err(|_| refused("the CA is damaged"))?;
    let (_, ca) =
        x509_parser::parse_x509_certificate(ca.contents()).map_err(|_| refused("the CA is damaged"))?;
    let end = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0);
    if certificate.verify_signature(Some(ca.public_key())).is_err() {
        return Err(refused(
            "unable to verify signature on presented cert from any present issuer in this mount; certificates from previous CAs will need to have their issuing CA and key re-imported if revocation is necessary",
        ));
    }
    let stored = Stored {
        certificate_pem: text.to_owned(),
        not_after: end.unwrap_or_default(),
    };
    core.barrier
        .write(&path, &stored)
        .map_err(|error| storage(&error))?;
    Ok((normal, stored))
}
