//! By when a revocation that a CA accepted has to be in its CRL. The CA's own word on that comes from its address, where
//! somebody may stand before it: it makes the time shorter, and never longer than the longest that any CA takes.

use chrono::{DateTime, Duration, Utc};

use super::adapters::Published;
use crate::clients::crl::LONGEST_WAIT;
use crate::domain::certificate::Certificate;
use crate::domain::x509;
use crate::store::known_crl::KnownCrl;

/// Time after which a list is seen to hold what it is to hold by now: it is looked into every two minutes.
const SOON: Duration = Duration::minutes(5);
/// Time that a public CA has for its list (CA/Browser Forum, Baseline Requirements §4.9.7).
const PUBLIC: Duration = Duration::hours(24);

/// The proof that there will be of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// None: its CA has no CRL, and the certificate names none.
    Nowhere,
    /// Its serial is in a CRL then.
    By {
        at: DateTime<Utc>,
        /// Words for the record.
        words: Option<String>,
    },
}

/// Expectation of a revocation that was accepted at `now`, by a CA that says when it publishes, and whose CRL is
/// `known`, if one of it was ever read. The next one is made before that one ends, which the CA has signed.
pub(super) fn expected(
    certificate: &Certificate,
    published: Published,
    known: Option<KnownCrl>,
    now: DateTime<Utc>,
) -> Expected {
    let is_named = || certificate.pem.as_deref().and_then(x509::crl_url).is_some();
    let (within, words) = match (published, known) {
        (Published::AtOnce, _) => (Duration::zero(), None),
        (Published::Within(wait), _) => {
            let wait = Duration::from_std(wait.min(LONGEST_WAIT)).unwrap_or(PUBLIC);
            let next = known.and_then(|it| it.ends_at).filter(|end| *end > now);
            let wait = next.map_or(wait, |end| wait.min(end - now));
            let by = at(now, wait, certificate);
            let words = format!(
                "the CA makes its CRL by itself: the serial is to be in it by {} at the latest",
                by.to_rfc3339()
            );
            (wait, Some(words))
        }
        (Published::Never, Some(crl)) => {
            let words = format!(
                "the CA says that it has no CRL, and one was read at {}: the serial is to be in that. Where it was switched \
                 off, say so with `crl = false` in the issuer's `[vault]`",
                crl.since.to_rfc3339()
            );
            (Duration::zero(), Some(words))
        }
        (Published::Never | Published::SwitchedOff, _) if is_named() => (PUBLIC, None),
        (Published::Never | Published::SwitchedOff, _) => return Expected::Nowhere,
    };
    Expected::By {
        at: at(now, within + SOON, certificate),
        words,
    }
}

/// So much later; no list has to hold a certificate beyond its end.
fn at(now: DateTime<Utc>, within: Duration, certificate: &Certificate) -> DateTime<Utc> {
    now.checked_add_signed(within)
        .map_or(certificate.not_after, |at| at.min(certificate.not_after))
}
