//! Keys that several live certificates share.

use chrono::{DateTime, Duration, Utc};

use super::Found;
use super::words::{counted, number};
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::finding::{Finding, FindingKind, NAMED, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::store::findings::{self as facts, SharedKey};
use crate::store::{Conn, StoreError, certificates};

/// The thing to act on is one of the certificates; with a fresh key for it there is one less.
pub(super) async fn shared(conn: &mut Conn, now: DateTime<Utc>, found: &mut Found) -> Result<(), StoreError> {
    let several = facts::shared_keys(conn).await?;
    for it in found.rows(FindingKind::SharedKey, several) {
        let certificate = certificates::existing(conn, &it.certificate_id).await?;
        let all = certificates::by_spki(conn, &it.spki_sha256).await?;
        // As many as are counted: what is replaced and gone can't be shown to anybody.
        let counts = |it: &&Certificate| it.status == CertificateStatus::Active && it.is_live(now);
        let names: Vec<String> = all.iter().filter(counts).map(|it| it.name().to_owned()).collect();
        found.push(shares(&it, &certificate, names, now));
    }
    Ok(())
}

pub(super) fn shares(
    it: &SharedKey,
    certificate: &Certificate,
    names: Vec<String>,
    now: DateTime<Utc>,
) -> Finding {
    let facts = RiskFacts {
        due: Some(now + Duration::days(20)),
        n_hosts: it.n_certificates,
        ..RiskFacts::default()
    };
    Finding {
        kind: FindingKind::SharedKey,
        severity: Severity::Notice,
        risk: risk(&facts, now),
        entity: EntityKind::Certificate,
        subject: certificate.name().to_owned(),
        entity_id: certificate.id.clone(),
        version: certificate.version,
        host: None,
        agent: None,
        matter: matter::shared(it.n_certificates),
        what: format!(
            "{}'s key is in {}",
            certificate.name(),
            counted(it.n_certificates, "certificate")
        ),
        since: Some(it.since),
        due: None,
        n_takes_down: number(names.len()),
        takes_down: names.into_iter().take(NAMED).collect(),
        // Banned agents get nothing.
        answer: (!certificate.is_banned_everywhere()).then(|| "reissue".to_owned()),
        answer_for: Vec::new(),
        under_way: certificate.is_being_reissued(),
    }
}
