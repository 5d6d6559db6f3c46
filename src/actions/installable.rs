//! Certificates that can be installed, and why others are not.

use chrono::{DateTime, Utc};

use super::Refusal;
use crate::domain::certificate::{Certificate, CertificateStatus, Shown};
use crate::domain::moment::fixed;
use crate::problem::Problem;
use crate::wire::certs::CertificateDetail;

/// The agent that holds the certificate's private key, and may be given something.
pub(super) fn holder(detail: &CertificateDetail) -> Result<&str, Refusal> {
    let key = detail.key.as_ref();
    let held = key.and_then(|key| Some((key, key.agent_id.as_deref()?)));
    match held {
        None => Err(held_by_nobody(&detail.certificate)),
        Some((key, agent_id)) if key.is_holder_banned => {
            let agent = key.hostname.as_deref().unwrap_or(agent_id);
            Err(banned(agent, &detail.certificate))
        }
        Some((_, agent_id)) => Ok(agent_id),
    }
}

pub(super) fn banned(agent: &str, certificate: &Certificate) -> Refusal {
    let name = certificate.name();
    let what = format!("{agent}, which holds the private key of {name}, is banned and gets nothing");
    let hint = "unban it first: `U` on the agent; it then has to be enrolled again";
    Refusal::new(
        "whose key a banned agent holds",
        Problem::refused(what).hint(hint),
    )
}

pub(super) fn held_by_nobody(certificate: &Certificate) -> Refusal {
    let what = format!("no agent holds the private key of {}", certificate.name());
    let problem = Problem::refused(what).hint("reissue it: the agent then makes a key of its own");
    Refusal::new("whose key no agent holds", problem)
}

pub(super) const EXPIRED: &str = "which have expired";

pub(super) fn ended(name: &str, at: DateTime<Utc>, word: &'static str) -> Refusal {
    let problem = Problem::refused(format!("{name} ended {}", fixed(at))).hint("reissue it");
    Refusal::new(word, problem)
}

/// Refusal for a certificate that is not installed.
pub(super) fn unfit(certificate: &Certificate, is_listed: bool, now: DateTime<Utc>) -> Option<Refusal> {
    let name = certificate.name();
    let is_leaked = certificate.is_key_compromised
        && certificate.status == CertificateStatus::Active
        && certificate.not_after > now;
    if is_leaked {
        let what = format!("{name}'s key is compromised: it is not installed");
        let hint = match certificate.is_replaced {
            true => "install the one that replaced it",
            false => "reissue it: the new one has a key of its own",
        };
        return Some(Refusal::new(
            "whose keys are leaked",
            Problem::refused(what).hint(hint),
        ));
    }
    let (word, what) = if is_listed {
        (
            "which the CA's revocation list has",
            format!("{name} is on the CA's revocation list: it is not installed"),
        )
    } else if certificate.status != CertificateStatus::Active {
        let word = match certificate.shown(now) {
            Shown::Revoking => "which are revoking",
            Shown::Refused => "whose revocation the CA refused",
            Shown::Held => "which are held",
            _ => "which are revoked",
        };
        (
            word,
            format!(
                "{name} is {}: it is not installed",
                certificate.status.word().replace('_', " ")
            ),
        )
    } else if certificate.not_after <= now {
        let word = match certificate.shown(now) {
            Shown::Replaced => "which are replaced and have ended",
            _ => EXPIRED,
        };
        return Some(ended(name, certificate.not_after, word));
    } else {
        return None;
    };
    Some(Refusal::new(word, Problem::refused(what).hint("reissue it")))
}
