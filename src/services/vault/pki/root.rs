//! The CA of a mount: made once, self-signed.

use chrono::Duration;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
};
use serde_json::{Value, json};

use super::super::{Core, Reply, mounts, storage};
use super::{Ca, Stored, certificate_path, crl, sign, to_time};
use crate::domain::duration::duration;

/// `root/generate/{internal,exported}`.
pub(super) fn generate(core: &mut Core, mount: &str, body: &Value, exported: bool) -> Result<Reply, Reply> {
    let name = body["common_name"].as_str().filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(Reply::error(400, "the common_name field is required"));
    };
    if Ca::read(core, mount).is_ok() {
        return Err(Reply::error(
            400,
            "this mount has a root already; this server keeps one issuer a mount",
        ));
    }
    let broken = |error: rcgen::Error| Reply::error(500, &format!("the root can't be made: {error}"));
    let key = key_of(body)?;
    let now = core.clock.now();
    let (ttl, warnings) = lifetime(core, mount, body)?;
    let not_after = now + Duration::seconds(ttl);
    let serial = sign::new_serial();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = to_time(now - Duration::seconds(30));
    params.not_after = to_time(not_after);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let certificate = params.self_signed(&key).map_err(broken)?;
    let ca = Ca {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        not_after,
        above: Vec::new(),
    };
    let text = sign::serial_text(&serial);
    let stored = Stored {
        certificate_pem: ca.certificate_pem.clone(),
        not_after,
    };
    core.barrier
        .write(&certificate_path(mount, &text), &stored)
        .and_then(|()| core.barrier.write(&format!("pki/{mount}/ca"), &ca))
        .map_err(|error| storage(&error))?;
    crl::rebuild(core, mount)?;
    let pem = ca.certificate_pem.trim();
    let mut data = json!({
        "certificate": pem,
        "issuing_ca": pem,
        "expiration": not_after.timestamp(),
        "serial_number": text,
        "issuer_name": "",
    });
    if exported {
        export(&mut data, &ca.key_pem, body);
    }
    Ok(Reply::enveloped(&data, &warnings, &Value::Null))
}

/// The key of a new CA, of the type that is asked for.
pub(super) fn key_of(body: &Value) -> Result<KeyPair, Reply> {
    let key = match body["key_type"].as_str() {
        Some("rsa") => {
            let size = if body["key_bits"].as_i64() == Some(4096) {
                RsaKeySize::_4096
            } else {
                RsaKeySize::_2048
            };
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)
        }
        _ if body["key_bits"].as_i64() == Some(384) => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        _ => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
    };
    key.map_err(|error| Reply::error(500, &format!("no key can be made: {error}")))
}

/// Puts the key into an answer.
pub(super) fn export(data: &mut Value, key_pem: &str, body: &Value) {
    let rsa = body["key_type"].as_str() == Some("rsa");
    data["private_key"] = json!(key_pem.trim());
    data["private_key_type"] = json!(if rsa { "rsa" } else { "ec" });
}

/// How long a CA's certificate is to live, in seconds, within the mount's bounds; with a warning where it was cut.
pub(super) fn lifetime(core: &Core, mount: &str, body: &Value) -> Result<(i64, Value), Reply> {
    let (usual, most) = mounts::lifetimes(core, mount);
    let asked = match &body["ttl"] {
        Value::Null => 0,
        given => duration(given).ok_or_else(|| {
            let words = format!("error converting input for field \"ttl\": invalid duration {given}");
            Reply::error(400, &words)
        })?,
    };
    Ok(sign::cut(if asked == 0 { usual } else { asked }, most))
}
