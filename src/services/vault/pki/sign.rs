//! Signing: a CSR, or a key made here, becomes a certificate within a role's bounds. It is stored before
//! the answer leaves, so that a lost answer can be looked up among the certificates.

use std::net::IpAddr;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SanType,
    SerialNumber,
};
use serde_json::{Value, json};

use super::super::reply::random;
use super::super::{Core, Reply, mounts, storage};
use super::role::{FORBID, PERMIT, Role, TTL_LIMITED};
use super::{Ca, Stored, certificate_path, names, to_time, urls};
use crate::domain::csr::{Csr, PublicKey};
use crate::domain::duration::duration;
use crate::domain::key::KeyAlgorithm;
use crate::domain::name;
use crate::services::certify::{certify, usages};

/// 20 octets, positive (RFC 5280 §4.1.2.2).
pub(super) fn new_serial() -> [u8; 20] {
    let mut serial: [u8; 20] = random();
    serial[0] = serial[0] & 0x7f | 0x01;
    serial
}

/// Lower-case hex pairs with colons.
pub(super) fn serial_text(serial: &[u8]) -> String {
    serial
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(":")
}

/// The names that were asked for.
struct Names {
    common_name: String,
    dns: Vec<String>,
    ips: Vec<IpAddr>,
}

/// `sign/<role>`.
pub(super) fn sign(core: &mut Core, mount: &str, role: &str, body: &Value) -> Result<Reply, Reply> {
    let role = Role::read(core, mount, role)?;
    let pem = body["csr"].as_str().unwrap_or_default();
    if pem.trim().is_empty() {
        return Err(Reply::error(400, "\"csr\" is empty"));
    }
    if pem::parse(pem).is_err() {
        return Err(Reply::error(400, "csr contains no data"));
    }
    // Where Vault takes the last of two names, and the first of two extensions, this server refuses.
    let csr = Csr::read(pem.trim())
        .map_err(|error| Reply::error(400, &format!("certificate request could not be parsed: {error}")))?;
    check_key(&role, csr.key.algorithm)?;
    let mut names = asked(body)?;
    if role.use_csr_common_name
        && let Some(name) = csr.common_name.filter(|name| !name.is_empty())
    {
        names.common_name = name;
    }
    if role.use_csr_sans {
        (names.dns, names.ips) = (csr.dns, csr.ips);
    }
    let (data, mut warnings) = finish(core, mount, &role, names, &csr.key, body)?;
    for (field, option, counts) in [
        ("alt_names", "use_csr_sans", role.use_csr_sans),
        ("common_name", "use_csr_common_name", role.use_csr_common_name),
    ] {
        let given = body[field].as_str().is_some_and(|given| !given.is_empty());
        if given && counts {
            let words =
                format!("the {field} field was provided but the role is set with \"{option}\" set to true");
            let mut all = vec![json!(words)];
            all.extend(warnings.as_array().cloned().unwrap_or_default());
            warnings = json!(all);
        }
    }
    Ok(Reply::enveloped(&data, &warnings, &Value::Null))
}

/// `issue/<role>`: the key is made here and leaves with the answer.
pub(super) fn issue(core: &mut Core, mount: &str, role: &str, body: &Value) -> Result<Reply, Reply> {
    let role = Role::read(core, mount, role)?;
    let rsa = role.key_type == "rsa";
    let key = match (role.key_type.as_str(), role.key_bits) {
        ("any", _) => {
            return Err(Reply::error(
                400,
                "role key type \"any\" not allowed for issuing certificates, only signing",
            ));
        }
        ("rsa", 0 | 2048) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        ("rsa", 3072) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
        ("rsa", 4096) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        ("ec", 0 | 256) => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        ("ec", 384) => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        (kind, bits) => {
            let words = format!("this server makes no {kind} keys of {bits} bits");
            return Err(Reply::error(400, &words));
        }
    };
    let key = key.map_err(|error| Reply::error(500, &format!("no key can be made: {error}")))?;
    let public = PublicKey::read(&key.subject_public_key_info())
        .map_err(|error| Reply::error(500, &format!("no key can be made: {error}")))?;
    let (mut data, warnings) = finish(core, mount, &role, asked(body)?, &public, body)?;
    data["private_key"] = json!(key.serialize_pem().trim());
    data["private_key_type"] = json!(if rsa { "rsa" } else { "ec" });
    Ok(Reply::enveloped(&data, &warnings, &Value::Null))
}

fn asked(body: &Value) -> Result<Names, Reply> {
    let list = |name: &str| -> Vec<String> {
        match &body[name] {
            Value::String(text) => text
                .split(',')
                .map(str::trim)
                .filter(|n| !n.is_empty())
                .map(str::to_owned)
                .collect(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let ips: Result<Vec<IpAddr>, Reply> = list("ip_sans")
        .iter()
        .map(|ip| {
            ip.parse()
                .map_err(|_| Reply::error(400, &format!("the value {ip:?} is not a valid IP address")))
        })
        .collect();
    Ok(Names {
        common_name: body["common_name"].as_str().unwrap_or_default().to_owned(),
        dns: list("alt_names"),
        ips: ips?,
    })
}

/// The CSR's key must be of the role's type and size.
fn check_key(role: &Role, algorithm: KeyAlgorithm) -> Result<(), Reply> {
    let (kind, bits) = match algorithm {
        KeyAlgorithm::EcdsaP256 => ("ec", 256),
        KeyAlgorithm::EcdsaP384 => ("ec", 384),
        KeyAlgorithm::Rsa2048 => ("rsa", 2048),
        KeyAlgorithm::Rsa3072 => ("rsa", 3072),
        KeyAlgorithm::Rsa4096 => ("rsa", 4096),
    };
    if role.key_type != "any" && role.key_type != kind {
        let words = format!("role requires keys of type {}", role.key_type);
        return Err(Reply::error(400, &words));
    }
    let least = match (role.key_bits, role.key_type.as_str(), kind) {
        (0, _, "rsa") => 2048,
        (0, "any", "ec") => 224,
        (0, _, "ec") => 256,
        (bits, "rsa" | "ec", _) => usize::try_from(bits).unwrap_or(usize::MAX),
        _ => 0,
    };
    if bits < least {
        let words = format!("role requires a minimum of a {least}-bit key, but CSR's key is {bits} bits");
        return Err(Reply::error(400, &words));
    }
    Ok(())
}

fn finish(
    core: &mut Core,
    mount: &str,
    role: &Role,
    mut names: Names,
    key: &PublicKey,
    body: &Value,
) -> Result<(Value, Value), Reply> {
    if names.common_name.is_empty() && role.require_cn {
        return Err(Reply::error(
            400,
            "the common_name field is required, or must be provided in a CSR with \"use_csr_common_name\" set to true, unless \"require_cn\" is set to false",
        ));
    }
    let is_host = !names.common_name.is_empty() && names.common_name.parse::<IpAddr>().is_err();
    if is_host
        && body["exclude_cn_from_sans"].as_bool() != Some(true)
        && !names.dns.contains(&names.common_name)
    {
        names.dns.insert(0, names.common_name.clone());
    }
    once(&mut names.dns);
    once(&mut names.ips);
    names::check(role, &names.common_name, &names.dns, &names.ips)
        .map_err(|words| Reply::error(400, &words))?;
    if name::common_name(&names.common_name).is_none() {
        let words = format!(
            "common name {} is longer than 64 characters: leave it out, and allow that in the role by \"require_cn\" set to false",
            names.common_name
        );
        return Err(Reply::error(400, &words));
    }
    if names.common_name.is_empty() && names.dns.is_empty() && names.ips.is_empty() {
        return Err(Reply::error(
            400,
            "neither a common name nor a subject alternate name is asked for",
        ));
    }
    let ca = Ca::read(core, mount)?;
    let now = core.clock.now();
    let (not_after, warnings) = end(role, &ca, mounts::lifetimes(core, mount), body, now)?;
    let serial = new_serial();
    let broken =
        |error: rcgen::Error| Reply::error(400, &format!("the certificate can't be signed: {error}"));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Without one the subject is empty, and the alternative names are critical (RFC 5280 §4.1.2.6).
    if !names.common_name.is_empty() {
        params
            .distinguished_name
            .push(DnType::CommonName, names.common_name.as_str());
    }
    for name in &names.dns {
        params
            .subject_alt_names
            .push(SanType::DnsName(name.as_str().try_into().map_err(broken)?));
    }
    params
        .subject_alt_names
        .extend(names.ips.iter().map(|ip| SanType::IpAddress(*ip)));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = usages(key.algorithm);
    let purposes = [
        (role.server_flag, ExtendedKeyUsagePurpose::ServerAuth),
        (role.client_flag, ExtendedKeyUsagePurpose::ClientAuth),
    ];
    params.extended_key_usages = purposes
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, usage)| usage)
        .collect();
    params.use_authority_key_identifier_extension = true;
    params.not_before = to_time(now - Duration::seconds(role.not_before_duration));
    params.not_after = to_time(not_after);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    urls::apply(core, mount, &mut params);
    let certificate = certify(&params, key, &ca.issuer()?).map_err(broken)?;
    let serial = serial_text(&serial);
    if !role.no_store {
        let stored = Stored {
            certificate_pem: certificate.pem(),
            not_after,
        };
        core.barrier
            .write(&certificate_path(mount, &serial), &stored)
            .map_err(|error| storage(&error))?;
    }
    let data = json!({
        "certificate": certificate.pem().trim(),
        "issuing_ca": ca.certificate_pem.trim(),
        "ca_chain": ca.chain(),
        "serial_number": serial,
        "not_before": (now - Duration::seconds(role.not_before_duration)).timestamp(),
        "expiration": not_after.timestamp(),
    });
    Ok((data, warnings))
}

/// Each once, in their order.
fn once<T: PartialEq + Clone>(list: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for item in list.drain(..) {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    *list = kept;
}

/// A lifetime within a bound, and the warning where it was cut to it.
pub(super) fn cut(ttl: i64, most: i64) -> (i64, Value) {
    if ttl <= most {
        return (ttl, Value::Null);
    }
    let go = |seconds: i64| format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let words = format!(
        "TTL {:?} is longer than permitted maxTTL {:?}, so maxTTL is being used",
        go(ttl),
        go(most)
    );
    (most, json!([words]))
}

/// The time that a request names, where the role lets it; `longest` is when its `max_ttl` ends.
fn within(role: &Role, end: DateTime<Utc>, longest: DateTime<Utc>) -> Result<DateTime<Utc>, Reply> {
    let refused = |words: &str| Err(Reply::error(400, words));
    let bound = match role.not_after_bound.as_str() {
        PERMIT => return Ok(end),
        FORBID => return refused("not_after is not allowed by this role: not_after_bound is forbid"),
        TTL_LIMITED => longest,
        // Looked at when the role was written.
        time => match DateTime::parse_from_rfc3339(time) {
            Ok(time) => time.with_timezone(&Utc),
            Err(_) => return refused("the role's not_after_bound is not a time"),
        },
    };
    match end <= bound {
        true => Ok(end),
        false => refused(&format!(
            "not_after is later than this role allows, which is {}",
            bound.to_rfc3339_opts(SecondsFormat::Secs, true)
        )),
    }
}

/// When it ends: what is asked for, within the bounds of role, mount and CA; with a warning where it was cut.
fn end(
    role: &Role,
    ca: &Ca,
    (usual, most): (i64, i64),
    body: &Value,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, Value), Reply> {
    let mut warnings = Value::Null;
    let longest = if role.max_ttl > 0 { role.max_ttl } else { most };
    let wanted = match &body["not_after"] {
        Value::String(text) if !text.is_empty() => {
            let end = DateTime::parse_from_rfc3339(text)
                .map_err(|_| Reply::error(400, &format!("the not_after value {text:?} is not a time")))?
                .with_timezone(&Utc);
            within(role, end, now + Duration::seconds(longest))?
        }
        _ => {
            let given = match &body["ttl"] {
                Value::Null => 0,
                Value::String(text) if text.is_empty() => 0,
                ttl => duration(ttl).ok_or_else(|| Reply::error(400, "the ttl is not a duration"))?,
            };
            let ttl = [given, role.ttl]
                .into_iter()
                .find(|ttl| *ttl > 0)
                .unwrap_or(usual);
            let (ttl, warning) = cut(ttl, longest);
            warnings = warning;
            now + Duration::seconds(ttl)
        }
    };
    if wanted <= now {
        return Err(Reply::error(400, "the certificate would end before it begins"));
    }
    if wanted > ca.not_after {
        let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        return Err(Reply::error(
            400,
            &format!(
                "cannot satisfy request, as TTL would result in notAfter of {} that is beyond the expiration of the CA certificate at {}",
                at(wanted),
                at(ca.not_after)
            ),
        ));
    }
    Ok((wanted, warnings))
}
