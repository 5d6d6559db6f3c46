//! Sentences about the certificates that a reissue replaces: until when they stay valid, and who else keeps their keys.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::in_the_way;
use super::steps::standing::{Lists, Standing};
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::moment::fixed;
use crate::domain::told::{SAID, cited};
use crate::plan::ports::Reads;
use crate::wire::certs::CertificateDetail;

/// Others that go on with a key that these give up; what the plan itself reissues isn't among them.
pub(super) fn keep_the_key(all: &[CertificateDetail], now: DateTime<Utc>) -> Option<String> {
    let own: BTreeSet<&str> = all.iter().map(|detail| detail.certificate.id.as_str()).collect();
    let others = all.iter().flat_map(|detail| &detail.same_key);
    let others = others.filter(|other| other.is_live(now) && !own.contains(other.id.as_str()));
    let others: BTreeMap<&str, &Certificate> = others.map(|other| (other.id.as_str(), other)).collect();
    let banned: Vec<&str> = (others.values())
        .filter(|other| other.is_banned_everywhere())
        .map(|other| other.name())
        .collect();
    let banned = match banned.as_slice() {
        [] => String::new(),
        banned => format!(
            " Only banned agents have {}: that can't be.",
            in_the_way::names(banned)
        ),
    };
    let others: Vec<&str> = others.into_values().map(Certificate::name).collect();
    let key = match all {
        [_] => "the old key",
        _ => "one of the old keys",
    };
    match others.as_slice() {
        [] => None,
        [one] => Some(format!(
            "1 other certificate keeps {key}: {one}. Reissue it too to be rid of the key.{banned}"
        )),
        many => Some(format!(
            "{} other certificates keep {key}: {}. Reissue them too to be rid of the key.{banned}",
            many.len(),
            in_the_way::names(many)
        )),
    }
}

/// Sentence about the old certificates, counted by what becomes of each.
pub(super) fn old_ones(all: &[CertificateDetail], now: DateTime<Utc>) -> String {
    let (mut good, mut leaked, mut asked, mut refused, mut revoked, mut ended) = (0, 0, 0, 0, 0, 0);
    for certificate in all.iter().map(|detail| &detail.certificate) {
        match certificate.status {
            _ if certificate.not_after <= now => ended += 1,
            CertificateStatus::Revoked => revoked += 1,
            CertificateStatus::RevocationPending if certificate.refusal().is_some() => refused += 1,
            CertificateStatus::RevocationPending => asked += 1,
            CertificateStatus::Active | CertificateStatus::Held if certificate.is_key_compromised => {
                leaked += 1;
            }
            CertificateStatus::Active | CertificateStatus::Held => good += 1,
        }
    }
    if good == all.len() {
        return "The old certificates stay valid until they end.".to_owned();
    }
    let of = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let counts = [
        of(good, "stays valid until it ends", "stay valid until they end"),
        of(
            leaked,
            "with a compromised key stays valid until it is revoked, `X`",
            "with compromised keys stay valid until they are revoked, `X`",
        ),
        of(
            asked,
            "waits for its CA to be revoked",
            "wait for their CA to be revoked",
        ),
        of(
            refused,
            "that its CA refused to revoke stays valid until it ends: mend the cause, then `X`",
            "that their CA refused to revoke stay valid until they end: mend the cause, then `X`",
        ),
        of(revoked, "is revoked", "are revoked"),
        of(ended, "has ended", "have ended"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    format!("Of the old certificates {}.", counts.join("; "))
}

/// Sentence about what becomes of the old certificate.
pub(super) fn old(certificate: &Certificate, now: DateTime<Utc>) -> String {
    let end = fixed(certificate.not_after);
    match certificate.status {
        _ if certificate.not_after <= now => format!("The old certificate ended {end}."),
        CertificateStatus::Revoked => "The old certificate is revoked.".to_owned(),
        CertificateStatus::RevocationPending => match certificate.refusal() {
            Some(words) => format!(
                "The CA refused to revoke the old certificate; it stays valid until {end}. Mend the cause, then `X` on \
                 it. The CA says {}.",
                cited(words, SAID)
            ),
            None => format!(
                "The old certificate's revocation is asked for and waits for its CA; without it it stays valid until \
                 {end}."
            ),
        },
        CertificateStatus::Active | CertificateStatus::Held if certificate.is_key_compromised => format!(
            "The old certificate's key is compromised, and it stays valid until {end} unless it is revoked: `X` on it, \
             once the new one is served."
        ),
        CertificateStatus::Active | CertificateStatus::Held => {
            format!("The old certificate stays valid until {end}.")
        }
    }
}

/// Names that the CA has revoked though the inventory calls them good, as after a restore. They count as revoked in all that
/// is said of them from then on.
pub(super) async fn revoked_at_ca(all: &mut [CertificateDetail], with: &Reads) -> Option<String> {
    let mut lists = Lists::default();
    let mut names = Vec::new();
    for detail in all {
        let certificate = &mut detail.certificate;
        if certificate.status == CertificateStatus::Active
            && lists.standing(certificate, with).await == Standing::Revoked
        {
            certificate.status = CertificateStatus::Revoked;
            names.push(certificate.name());
        }
    }
    (!names.is_empty()).then(|| {
        format!(
            "{}: revoked at the CA already, though the inventory says active.",
            in_the_way::names(&names)
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::revocation_reach::tests::certificate;
    use super::*;

    /// A certificate whose revocation is asked for, and refused with these words.
    fn revoking(name: &str, refusal: Option<&str>, now: DateTime<Utc>) -> CertificateDetail {
        let end = now + chrono::Duration::days(1);
        let mut certificate = certificate(name, "revocation_pending", end);
        certificate["revocation"] = json!({
            "reason": "superseded", "asked_at": now, "accepted_at": null, "in_crl_at": null, "refusal": refusal
        });
        serde_json::from_value(json!({
            "certificate": certificate, "key": null, "installations": [], "same_key": [], "chain": []
        }))
        .unwrap()
    }

    #[test]
    fn what_the_ca_refused_to_revoke_waits_for_nobody() {
        let now = DateTime::from_timestamp(1_795_403_220, 0).unwrap();
        let refused = |name| revoking(name, Some("unknown serial"), now);
        let end = fixed(now + chrono::Duration::days(1));
        assert_eq!(
            old(&refused("a").certificate, now),
            format!(
                "The CA refused to revoke the old certificate; it stays valid until {end}. Mend the cause, then `X` on \
                 it. The CA says `unknown serial`."
            )
        );
        let waits = revoking("b", None, now);
        assert!(old(&waits.certificate, now).contains("is asked for and waits for its CA"));
        assert_eq!(
            old_ones(&[waits, refused("a")], now),
            "Of the old certificates 1 waits for its CA to be revoked; 1 that its CA refused to revoke stays valid until it \
             ends: mend the cause, then `X`."
        );
        assert_eq!(
            old_ones(&[refused("a"), refused("b")], now),
            "Of the old certificates 2 that their CA refused to revoke stay valid until they end: mend the cause, then `X`."
        );
    }
}
