//! Facts into what needs a person, ranked. Nothing is stored, so what is cured is gone.

mod accepted_cas;
mod agents;
#[cfg(test)]
mod answers_tests;
mod crl_expired;
mod in_use;
mod installations;
#[cfg(test)]
mod place_tests;
mod renewal_asked;
mod requests;
mod revocations;
mod shared_keys;
#[cfg(test)]
mod tests;
mod unlisted;
mod unreadable;
mod unrevoked;
mod waiting;
mod words;
mod workers;

use std::collections::BTreeSet;

use chrono::Duration;

use self::waiting::Waiting;
use crate::domain::finding::{Finding, FindingKind, LeftOut, rank};
use crate::store::findings::{self as facts, Expected, Foremost, Unconfirmed};
use crate::store::{Conn, StoreError, adapters};
use crate::wire::health::Findings;

/// So long before its end a certificate in use is worth knowing of.
const HORIZON_D: i64 = 30;
/// So long an installation, a request or a revocation may take without anybody having to look.
const PATIENCE_S: i64 = 60;

/// Findings, and how much of them isn't told one by one.
#[derive(Default)]
struct Found(Findings);

impl Found {
    fn push(&mut self, finding: Finding) {
        self.0.findings.push(finding);
    }

    fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.findings.extend(findings);
    }

    /// The rows of `foremost`; what is left out of it is counted as of this kind.
    fn rows<T>(&mut self, kind: FindingKind, foremost: Foremost<T>) -> Vec<T> {
        if foremost.more != LeftOut::default() {
            let more = self.0.more.entry(kind).or_default();
            more.warning += foremost.more.warning;
            more.notice += foremost.more.notice;
        }
        foremost.rows
    }
}

/// The findings, the worst first: all that is critical, the most urgent of the others, and how many more there are.
///
/// # Errors
/// The database doesn't answer.
pub async fn findings(conn: &mut Conn) -> Result<Findings, StoreError> {
    let now = conn.now();
    let [soon, week, horizon] = [1, 7, HORIZON_D].map(|days| now + Duration::days(days));
    let since = now - Duration::seconds(PATIENCE_S);
    let mut found = Found::default();
    let at = Expected { now, since };
    let mut in_trouble = facts::compromised_in_use(conn, at).await?;
    in_trouble.extend(facts::revoked_in_use(conn, at).await?);
    in_trouble.extend(facts::ends_or_is_wanted_now(conn, soon).await?);
    let suggested = facts::renewals_suggested(conn, soon, week).await?;
    in_trouble.extend(found.rows(FindingKind::RenewalAsked, suggested));
    let ending = facts::ending_in_use(conn, [soon, week, horizon]).await?;
    in_trouble.extend(found.rows(FindingKind::ExpiringInUse, ending));
    in_use::certificates(&in_trouble, now, &mut found);

    let at_odds = facts::installations_at_odds(conn, at).await?;
    let in_doubt = facts::installations_in_doubt(conn, at).await?;
    let in_doubt = found.rows(FindingKind::NotServed, in_doubt);
    installations::at_odds(at_odds.iter().chain(&in_doubt), now, &mut found);

    agents::silent(conn, now, &mut found).await?;
    agents::banned(conn, now, &mut found).await?;
    // What failed to be renewed and is told as such needs no second line.
    let told = in_trouble.iter().filter(|it| it.renewal_failing);
    let told: BTreeSet<&str> = told.map(|it| it.certificate_id.as_str()).collect();
    requests::failed(conn, now, &told, &mut found).await?;
    let (waiting, own) = Waiting::of(facts::unconfirmed_revocations(conn, now).await?);
    let has_issuer = workers::idle(conn, since, &waiting, &mut found).await?;
    requests::waiting(conn, now, since, has_issuer, &waiting, &mut found).await?;
    // Without an issuer none goes on, and that is told once.
    let is_told = |it: &Unconfirmed| it.queued && !has_issuer;
    // A refusal is told at once: nothing comes of waiting any more.
    let is_due = |it: &Unconfirmed| it.asked_at < since || it.refusal().is_some();
    for it in own.into_iter().filter(|it| is_due(it) && !is_told(it)) {
        found.push(revocations::unconfirmed(it, now));
    }
    shared_keys::shared(conn, now, &mut found).await?;
    unrevoked::unrevoked(conn, now, &mut found).await?;
    for adapter in adapters::all(conn).await? {
        let (first, n) = facts::unlisted(conn, &adapter.id).await?;
        found.extend(unlisted::one(&adapter.name, &first, n, now));
        found.extend(accepted_cas::accepted(&adapter, now));
        found.extend(crl_expired::one(conn, &adapter, now).await?);
    }
    rank(&mut found.0.findings);
    Ok(found.0)
}
