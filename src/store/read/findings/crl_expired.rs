//! A CA whose CRL has ended, and that made no new one.

use chrono::{DateTime, Utc};

use crate::domain::adapter::{Adapter, VAULT_PKI};
use crate::domain::finding::{Finding, FindingKind, RiskFacts, Severity, risk};
use crate::domain::id::EntityKind;
use crate::domain::{matter, moment};
use crate::store::findings::{Relying, relying};
use crate::store::{Conn, StoreError};

/// The finding about one adapter, as long as it has certificates that haven't ended.
pub(super) async fn one(
    conn: &mut Conn,
    adapter: &Adapter,
    now: DateTime<Utc>,
) -> Result<Option<Finding>, StoreError> {
    let Some(ended) = adapter.crl_ends_at.filter(|end| *end < now) else {
        return Ok(None);
    };
    let relying = relying(conn, &adapter.id).await?;
    Ok(told(adapter, ended, relying, now))
}

pub(super) fn told(
    adapter: &Adapter,
    ended: DateTime<Utc>,
    relying: Relying,
    now: DateTime<Utc>,
) -> Option<Finding> {
    // A program that verifies by a CRL that has ended refuses everything, or takes what is revoked, as it is configured.
    let (severity, then) = match relying {
        Relying {
            good: false,
            revoked: false,
        } => return None,
        Relying { revoked: true, .. } => (
            Severity::Critical,
            "who verifies by it refuses each certificate of this CA, or takes the revoked ones for good",
        ),
        Relying { revoked: false, .. } => (
            Severity::Warning,
            "who verifies by it may refuse each certificate of this CA; none is revoked that has not ended",
        ),
    };
    let facts = RiskFacts {
        due: Some(now),
        served: true,
        ..RiskFacts::default()
    };
    Some(Finding {
        kind: FindingKind::CrlExpired,
        severity,
        risk: risk(&facts, now),
        entity: EntityKind::Adapter,
        entity_id: adapter.id.clone(),
        version: adapter.version,
        what: format!(
            "{}'s CRL expired {}, and the issuer has read no newer one: {then}. {}",
            adapter.name,
            moment::short(ended, now),
            mend(adapter)
        ),
        subject: adapter.name.clone(),
        host: None,
        agent: None,
        matter: matter::CRL_EXPIRED.to_owned(),
        since: Some(ended),
        due: Some(ended),
        takes_down: Vec::new(),
        n_takes_down: 0,
        answer: None,
        answer_for: Vec::new(),
        under_way: false,
    })
}

/// Way to a new one.
fn mend(adapter: &Adapter) -> String {
    let mount = adapter.config.get("mount").and_then(|mount| mount.as_str());
    match mount.filter(|_| adapter.kind == VAULT_PKI) {
        Some(mount) => format!(
            "Make one: `vault read {mount}/crl/rotate`; by itself it does so with `vault write {mount}/config/crl \
             auto_rebuild=true`"
        ),
        None => "Have the CA make one".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;
    use crate::domain::adapter::Pause;
    use crate::domain::finding::assert_is_whole;

    #[test]
    fn it_is_critical_while_it_keeps_something_revoked_out_and_none_once_nobody_relies_on_it() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let adapter = Adapter {
            config: serde_json::json!({"mount": "cmp-pki"}),
            kind: VAULT_PKI.to_owned(),
            ..super::super::tests::adapter(Pause::sealed())
        };
        let told = |good, revoked| {
            let relying = Relying { good, revoked };
            told(&adapter, now - Duration::hours(2), relying, now)
        };
        assert_eq!(told(false, false), None);
        for (good, revoked, severity) in [
            (true, false, Severity::Warning),
            (false, true, Severity::Critical),
            (true, true, Severity::Critical),
        ] {
            let it = told(good, revoked).unwrap();
            assert_eq!(it.severity, severity);
            assert!(it.what.contains("cmp-pki/crl/rotate"), "{}", it.what);
            assert_is_whole(&it);
        }
    }
}
