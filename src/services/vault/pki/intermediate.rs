//! A CA below another one: its key is made in its own mount, its certificate is signed in the other's, and comes back.

use chrono::Duration;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose, PublicKeyData,
    SerialNumber,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::reply::uuid;
use super::super::{Core, Reply, storage};
use super::{Ca, Stored, certificate_path, crl, root, sign as leaf, to_time, urls};
use crate::domain::chain;
use crate::domain::csr::Csr;
use crate::services::certify::certify;

/// A key whose certificate is still to come.
#[derive(Serialize, Deserialize)]
struct Pending {
    key_pem: String,
    spki: Vec<u8>,
}

fn folder(mount: &str) -> String {
    format!("pki/{mount}/pending")
}

/// `intermediate/generate/{internal,exported}`: a key, and the request to have it certified.
pub(super) fn generate(core: &mut Core, mount: &str, body: &Value, exported: bool) -> Result<Reply, Reply> {
    let name = body["common_name"].as_str().filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(Reply::error(400, "the common_name field is required"));
    };
    let key = root::key_of(body)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let csr = params
        .serialize_request(&key)
        .and_then(|csr| csr.pem())
        .map_err(|error| Reply::error(500, &format!("the request can't be made: {error}")))?;
    let (id, pending) = (
        uuid(),
        Pending {
            key_pem: key.serialize_pem(),
            spki: key.subject_public_key_info(),
        },
    );
    core.barrier
        .write(&format!("{}/{id}", folder(mount)), &pending)
        .map_err(|error| storage(&error))?;
    let mut data = json!({"csr": csr.trim(), "key_id": id});
    if exported {
        root::export(&mut data, &pending.key_pem, body);
    }
    Ok(Reply::data(data))
}

/// `root/sign-intermediate`: this mount's CA certifies another one.
pub(super) fn sign(core: &mut Core, mount: &str, body: &Value) -> Result<Reply, Reply> {
    let refused = |words: &str| Reply::error(400, words);
    let pem = body["csr"].as_str().unwrap_or_default().trim();
    if pem.is_empty() {
        return Err(refused("\"csr\" is empty"));
    }
    if pem::parse(pem).is_err() {
        return Err(refused("csr contains no data"));
    }
    let csr = Csr::read(pem)
        .map_err(|error| refused(&format!("certificate request could not be parsed: {error}")))?;
    let given = body["common_name"].as_str().filter(|name| !name.is_empty());
    let subject = match (body["use_csr_values"].as_bool(), given) {
        (Some(true), _) => csr.common_name.clone(),
        (_, given) => given.map(str::to_owned),
    };
    let Some(name) = subject.filter(|name| !name.is_empty()) else {
        return Err(refused("the common_name field is required"));
    };
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    let room = match body["max_path_length"].as_i64() {
        None | Some(..=-1) => BasicConstraints::Unconstrained,
        Some(length) => BasicConstraints::Constrained(
            u8::try_from(length).map_err(|_| refused("max_path_length is too large"))?,
        ),
    };
    let ca = Ca::read(core, mount)?;
    let now = core.clock.now();
    let (ttl, mut warnings) = root::lifetime(core, mount, body)?;
    // No CA lives longer than what certifies it: cut, as Vault does here, where it refuses a leaf.
    let mut not_after = now + Duration::seconds(ttl);
    if not_after > ca.not_after {
        not_after = ca.not_after;
        warnings = json!(["the certificate would outlive its issuer, so it ends with it"]);
    }
    let serial = leaf::new_serial();
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(room);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = to_time(now - Duration::seconds(30));
    params.not_after = to_time(not_after);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    urls::apply(core, mount, &mut params);
    let certificate = certify(&params, &csr.key, &ca.issuer()?)
        .map_err(|error| refused(&format!("the certificate can't be signed: {error}")))?
        .pem();
    let serial = leaf::serial_text(&serial);
    let stored = Stored {
        certificate_pem: certificate.clone(),
        not_after,
    };
    core.barrier
        .write(&certificate_path(mount, &serial), &stored)
        .map_err(|error| storage(&error))?;
    let mut shown = certificate.trim().to_owned();
    if body["format"].as_str() == Some("pem_bundle") {
        shown = [&[shown.as_str()], ca.chain().as_slice()].concat().join("\n");
    }
    let data = json!({
        "certificate": shown,
        "issuing_ca": ca.certificate_pem.trim(),
        "ca_chain": ca.chain(),
        "serial_number": serial,
        "expiration": not_after.timestamp(),
    });
    Ok(Reply::enveloped(&data, &warnings, &Value::Null))
}

/// `intermediate/set-signed`: the certificate for a key that was made here, and those above it.
pub(super) fn set_signed(core: &mut Core, mount: &str, body: &Value) -> Result<Reply, Reply> {
    let refused = |words: &str| Reply::error(400, words);
    let text = body["certificate"].as_str().unwrap_or_default();
    if text.is_empty() {
        return Err(refused(
            "no certificate provided in the \"certificate\" parameter",
        ));
    }
    if Ca::read(core, mount).is_ok() {
        return Err(refused(
            "this mount has an issuer already; this server keeps one issuer a mount",
        ));
    }
    let blocks = pem::parse_many(text).map_err(|_| refused("unable to parse the certificate: no PEM"))?;
    let given: Vec<Vec<u8>> = blocks.into_iter().map(pem::Pem::into_contents).collect();
    let mut ours = None;
    for id in core.barrier.list(&folder(mount)) {
        let path = format!("{}/{id}", folder(mount));
        let pending: Option<Pending> = core.barrier.read(&path).map_err(|error| storage(&error))?;
        let Some(pending) = pending else { continue };
        let fits = |der: &&Vec<u8>| {
            X509Certificate::from_der(der.as_slice())
                .is_ok_and(|(_, read)| read.public_key().raw == pending.spki && read.is_ca())
        };
        if let Some(der) = given.iter().find(fits) {
            ours = Some((id, pending, der.clone()));
            break;
        }
    }
    let Some((id, pending, der)) = ours else {
        return Err(refused(
            "the certificate is for no key of this mount: it has to be signed for a CSR of intermediate/generate",
        ));
    };
    let others: Vec<Vec<u8>> = given.into_iter().filter(|other| *other != der).collect();
    let encode = |der: &Vec<u8>| pem::encode(&pem::Pem::new("CERTIFICATE", der.clone()));
    let above: Vec<String> = chain::above(&der, &others).iter().map(encode).collect();
    let not_after = X509Certificate::from_der(&der)
        .ok()
        .and_then(|(_, read)| chrono::DateTime::from_timestamp(read.validity().not_after.timestamp(), 0))
        .ok_or_else(|| refused("the certificate's end is out of range"))?;
    let n_issuers = 1 + above.len();
    let ca = Ca {
        certificate_pem: encode(&der),
        key_pem: pending.key_pem,
        not_after,
        above,
    };
    core.barrier
        .write(&super::ca_path(mount), &ca)
        .map_err(|error| storage(&error))?;
    core.barrier
        .remove(&format!("{}/{id}", folder(mount)))
        .map_err(|error| storage(&error))?;
    crl::rebuild(core, mount)?;
    let issuers: Vec<String> = (0..n_issuers).map(|_| uuid()).collect();
    let mapping: serde_json::Map<String, Value> = issuers
        .iter()
        .enumerate()
        .map(|(i, issuer)| (issuer.clone(), json!(if i == 0 { id.as_str() } else { "" })))
        .collect();
    Ok(Reply::data(json!({
        "imported_issuers": issuers, "imported_keys": null, "mapping": mapping,
        "existing_issuers": null, "existing_keys": [id],
    })))
}
