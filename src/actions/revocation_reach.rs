//! Reach of a revocation, in sentences of its plan: what becomes of these certificates, of their keys, and of others
//! that have the same key.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::by_name;
use super::in_the_way::names;
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::moment::fixed;
use crate::domain::reason::Reason;
use crate::domain::told::{NAMED, cited};
use crate::wire::certs::CertificateDetail;

/// Keys of these, each with the number of its certificates among them.
fn keys(all: &[CertificateDetail]) -> BTreeMap<&str, usize> {
    let mut keys = BTreeMap::new();
    for detail in all {
        *keys.entry(detail.certificate.spki_sha256.as_str()).or_insert(0) += 1;
    }
    keys
}

/// The warning of what can't be undone.
pub(super) fn for_good(all: &[CertificateDetail], reason: Reason) -> String {
    if reason != Reason::KeyCompromise {
        return "What is revoked stays revoked.".to_owned();
    }
    match (all.len(), keys(all).into_keys().collect::<Vec<_>>().as_slice()) {
        (1, _) => "No certificate will be issued for its key again.".to_owned(),
        (_, [key]) => format!(
            "No certificate will be issued for key {} again.",
            key.get(..8).unwrap_or(key)
        ),
        (_, keys) => format!(
            "No certificate will be issued for these {} keys again.",
            keys.len()
        ),
    }
}

/// The changes that the plan names.
pub(super) fn changes(all: &[CertificateDetail], reason: Reason, now: DateTime<Utc>) -> Vec<String> {
    let mut changes = match all {
        [one] => {
            let certificate = &one.certificate;
            let owner = one.in_use().find_map(|place| place.owner.as_deref());
            let owner = owner.map(|owner| format!("   owner {}", cited(owner, NAMED)));
            let becomes = match (certificate.missed_in_crl(now), revoked_before(certificate, now)) {
                (Some(_), _) => format!("is revoked at the CA once more ({reason})"),
                (None, Some(before)) => {
                    format!("is revoked already ({before}); its reason becomes {reason}")
                }
                (None, None) => format!("becomes revoked ({reason})"),
            };
            vec![format!(
                "{} {becomes}   serial {}   ends {}{}",
                certificate.name(),
                by_name::tail(&certificate.serial),
                fixed(certificate.not_after),
                owner.unwrap_or_default()
            )]
        }
        many => {
            let before = many
                .iter()
                .filter(|it| revoked_before(&it.certificate, now).is_some());
            match (many.len(), before.count()) {
                (n, 0) => vec![format!("{n} certificates become revoked ({reason}).")],
                (n, m) if n == m => {
                    vec![format!(
                        "{n} certificates are revoked already; their reason becomes {reason}."
                    )]
                }
                (n, m) => vec![format!(
                    "{} become revoked ({reason}); {m} of these {n} certificates are revoked already, and get it as their reason.",
                    n - m
                )],
            }
        }
    };
    if reason == Reason::KeyCompromise {
        changes.push(same_key(all, now));
    }
    changes
}

/// The reason of a revocation that is over: nothing but that can change.
pub(super) fn revoked_before(certificate: &Certificate, now: DateTime<Utc>) -> Option<Reason> {
    let is_over =
        certificate.status == CertificateStatus::Revoked && certificate.missed_in_crl(now).is_none();
    certificate
        .revocation
        .as_ref()
        .filter(|_| is_over)
        .map(|revocation| revocation.reason)
}

/// Other certificates with one of these keys, by what becomes of them; what the plan itself revokes and what has
/// ended isn't among them.
fn same_key(all: &[CertificateDetail], now: DateTime<Utc>) -> String {
    let own: Vec<&str> = all.iter().map(|detail| detail.certificate.id.as_str()).collect();
    let others = all.iter().flat_map(|detail| &detail.same_key);
    let others = others.filter(|other| other.not_after > now && !own.contains(&other.id.as_str()));
    let others: BTreeMap<&str, &Certificate> = others.map(|other| (other.id.as_str(), other)).collect();
    let of = |is: fn(CertificateStatus) -> bool| -> Vec<&str> {
        let found = others.values().filter(|other| is(other.status));
        found.map(|other| other.name()).collect()
    };
    let good = of(|status| matches!(status, CertificateStatus::Active | CertificateStatus::Held));
    let with_ca = |is_refused: bool| -> Vec<&str> {
        let pending = others
            .values()
            .filter(|other| other.status == CertificateStatus::RevocationPending);
        let those = pending.filter(|other| other.refusal().is_some() == is_refused);
        those.map(|other| other.name()).collect()
    };
    let (refused, pending) = (with_ca(true), with_ca(false));
    let revoked = of(|status| status == CertificateStatus::Revoked);
    let mut said = Vec::new();
    if !good.is_empty() || (pending.is_empty() && refused.is_empty() && revoked.is_empty()) {
        said.push(stay_good(all, &good));
    }
    if !refused.is_empty() {
        said.push(format!(
            "Revocation refused by the CA before: {}, with the same key.",
            names(&refused)
        ));
    }
    if !pending.is_empty() {
        said.push(format!(
            "Revocation asked for before, and still with the CA: {}, with the same key.",
            names(&pending)
        ));
    }
    if !revoked.is_empty() {
        said.push(format!("Revoked before: {}, with the same key.", names(&revoked)));
    }
    said.join(" ")
}

/// Sentence about the key's other certificates that this leaves good.
fn stay_good(all: &[CertificateDetail], others: &[&str]) -> String {
    let key = if keys(all).len() == 1 {
        "the key"
    } else {
        "one of the keys"
    };
    match (others, all) {
        ([], [_]) => "No other certificate has the key.".to_owned(),
        ([], _) if keys(all).len() == 1 => "These are all that have the key.".to_owned(),
        ([], _) => "These are all that have one of the keys.".to_owned(),
        ([one], _) => format!("{one} has {key} too and is NOT revoked by this."),
        (many, _) => format!(
            "{} others have {key} too and are NOT revoked by this: {}.",
            many.len(),
            names(many)
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::actions) fn certificate(name: &str, status: &str, not_after: DateTime<Utc>) -> Value {
        json!({
            "id": format!("crt_{name}"), "version": 1, "subject": format!("CN={name}.example.com"),
            "sans": [format!("{name}.example.com")], "issuer": "CN=ca", "serial": "01", "fingerprint_sha256": "aa",
            "spki_sha256": "bb", "key_algorithm": "ecdsa-p256", "not_before": not_after, "not_after": not_after,
            "status": status, "created_at": not_after, "updated_at": not_after, "n_installations": 1,
            "n_reissuable": 1, "is_replaced": false
        })
    }

    #[test]
    fn an_owner_is_short_and_in_quotes() {
        let now = DateTime::from_timestamp(1_795_403_220, 0).unwrap();
        let owner = "nobody, host is switched off since 12 Nov; nothing breaks there, safe to revoke";
        let detail: CertificateDetail = serde_json::from_value(json!({
            "certificate": certificate("imap", "active", now), "key": null, "same_key": [], "chain": [],
            "installations": [{
                "id": "ins_1", "version": 1, "agent_id": "agt_1", "hostname": "web-01", "owner": owner,
                "path": "/srv/tls/a.pem", "tls_address": null, "certificate_id": "crt_imap", "subject": "CN=imap",
                "not_after": now, "expected_sha256": "aa", "on_disk_sha256": "aa", "served_sha256": null,
                "error": null, "checked_at": null, "updated_at": now, "created_at": now
            }]
        }))
        .unwrap();
        let [change] = changes(&[detail], Reason::Superseded, now).try_into().unwrap();
        let change: String = change;
        let (_, said) = change.split_once("   owner ").unwrap();
        assert_eq!(
            said,
            "`nobody, host is switched off since 12 Nov; nothing breaks t…`"
        );
    }

    #[test]
    fn others_with_the_key_are_told_by_what_became_of_them() {
        let now = DateTime::from_timestamp(1_795_403_220, 0).unwrap();
        let end = now + chrono::Duration::days(1);
        let said = |others: &[(&str, &str)]| {
            let others = others.iter().map(|(name, status)| certificate(name, status, end));
            let detail: CertificateDetail = serde_json::from_value(json!({
                "certificate": certificate("imap", "active", end), "key": null, "installations": [],
                "same_key": others.collect::<Vec<_>>(), "chain": []
            }))
            .unwrap();
            same_key(&[detail], now)
        };
        assert_eq!(said(&[]), "No other certificate has the key.");
        assert_eq!(
            said(&[("mx1", "revocation_pending"), ("smtp", "revoked")]),
            "Revocation asked for before, and still with the CA: mx1.example.com, with the same key. Revoked before: \
             smtp.example.com, with the same key."
        );
        assert_eq!(
            said(&[("mx1", "active"), ("smtp", "revoked")]),
            "mx1.example.com has the key too and is NOT revoked by this. Revoked before: smtp.example.com, with the \
             same key."
        );
    }
}
