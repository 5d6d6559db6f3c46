//! When a CA suggests to renew a certificate (RFC 9773, ACME Renewal Information), and which of its
//! answers make sense. Asking it, and when, is the issuer's matter.

use std::time::Duration as Pause;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plain::is_hidden;

/// No CA is asked about one certificate more often, nor less often, whatever it says (RFC 9773 §4.3.2).
const SOONEST: Pause = Pause::from_secs(60);
const LATEST: Pause = Pause::from_secs(24 * 3600);
/// A page that explains something has a shorter address.
const LONGEST_URL: usize = 300;
/// A window further than this outside of the certificate's own lifetime is a mistake.
const OUTSIDE_D: i64 = 366;
/// A CA shifts its windows by some hours to spread its load; further than this is something else.
const MOVED_AT_LEAST_H: i64 = 24;

/// The time in which a CA suggests to renew a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Renewal {
    /// From when on.
    pub start: DateTime<Utc>,
    /// Until when.
    pub end: DateTime<Utc>,
    /// When it was to begin before the CA moved it earlier, as it does before a mass revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<DateTime<Utc>>,
    /// Where the CA says why. It is the CA's word: text to show, nothing to open unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
    /// When the CA said so last.
    pub asked_at: DateTime<Utc>,
}

/// A CA's answer, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// From when on.
    pub start: DateTime<Utc>,
    /// Until when.
    pub end: DateTime<Utc>,
    /// Where it says why.
    pub explanation_url: Option<String>,
    /// For how long it wants not to be asked again.
    pub again_in: Pause,
}

/// Why an answer counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// As RFC 9773 §4.2 calls invalid.
    #[error("its window ends before it begins")]
    Backwards,
    /// Renewed then, it would have been over for a while.
    #[error("its window begins after the certificate's end")]
    TooLate,
    /// No such moment is meant.
    #[error("its window is more than a year outside of the certificate's lifetime")]
    FarOff,
}

impl Suggestion {
    /// Whether it makes sense for a certificate that is valid from `not_before` to `not_after`.
    ///
    /// # Errors
    /// It doesn't, and why.
    pub fn check(&self, not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> Result<(), Nonsense> {
        let outside = Duration::days(OUTSIDE_D);
        if self.end <= self.start {
            Err(Nonsense::Backwards)
        } else if self.start >= not_after {
            Err(Nonsense::TooLate)
        } else if not_before - self.start > outside || self.end - not_after > outside {
            Err(Nonsense::FarOff)
        } else {
            Ok(())
        }
    }

    /// What of the address can be shown: one that is whole, and text through and through.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.explanation_url.as_deref().filter(|url| {
            let is_web = url.starts_with("https://") || url.starts_with("http://");
            is_web && url.len() <= LONGEST_URL && !url.contains(|c: char| is_hidden(c) || c.is_whitespace())
        })
    }

    /// How long to wait before the CA is asked again, within what is sensible.
    #[must_use]
    pub fn pause(&self) -> Pause {
        self.again_in.clamp(SOONEST, LATEST)
    }
}

impl Renewal {
    /// Whether it is time.
    #[must_use]
    pub fn has_begun(&self, now: DateTime<Utc>) -> bool {
        self.start <= now
    }
}

/// When the window was to begin before it was moved earlier, now that it begins at `start`: `before` is
/// when it began until now, `moved_from` what was known of an earlier move. One that is moved back to where
/// it was is as if it had never moved.
#[must_use]
pub fn moved_from(
    before: Option<DateTime<Utc>>,
    moved_from: Option<DateTime<Utc>>,
    start: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let at_least = Duration::hours(MOVED_AT_LEAST_H);
    moved_from.or(before).filter(|was| *was - start >= at_least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + Duration::days(day)
    }

    fn suggested(start: DateTime<Utc>, end: DateTime<Utc>) -> Suggestion {
        Suggestion {
            start,
            end,
            explanation_url: None,
            again_in: Pause::from_secs(6 * 3600),
        }
    }

    /// Of a certificate that is valid for ninety days.
    fn checked(start: i64, end: i64) -> Result<(), Nonsense> {
        suggested(at(start), at(end)).check(at(0), at(90))
    }

    #[test]
    fn what_makes_no_sense_is_told_from_what_is_only_urgent() {
        assert_eq!(checked(59, 61), Ok(()));
        // Wholly in the past, even before the certificate: at once, that means.
        assert_eq!(checked(-3, -2), Ok(()));
        assert_eq!(checked(60, 60), Err(Nonsense::Backwards));
        assert_eq!(checked(61, 59), Err(Nonsense::Backwards));
        assert_eq!(checked(90, 91), Err(Nonsense::TooLate));
        assert_eq!(checked(4000, 4001), Err(Nonsense::TooLate));
        assert_eq!(checked(60, 4000), Err(Nonsense::FarOff));
        assert_eq!(checked(-400, 60), Err(Nonsense::FarOff));
        let ever = suggested(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
        assert_eq!(ever.check(at(0), at(90)), Err(Nonsense::FarOff));
    }

    #[test]
    fn a_ca_is_asked_again_neither_at_once_nor_never() {
        let pause = |seconds| {
            let again_in = Pause::from_secs(seconds);
            Suggestion {
                again_in,
                ..suggested(at(1), at(2))
            }
            .pause()
            .as_secs()
        };
        assert_eq!(pause(0), 60);
        assert_eq!(pause(21_600), 21_600);
        assert_eq!(pause(u64::MAX), 86_400);
    }

    #[test]
    fn an_address_is_shown_whole_or_not_at_all() {
        let url = |text: &str| {
            let explanation_url = Some(text.to_owned());
            let suggestion = Suggestion {
                explanation_url,
                ..suggested(at(1), at(2))
            };
            suggestion.url().map(str::to_owned)
        };
        let good = "https://ca.example.test/incidents/7?lang=en";
        assert_eq!(url(good).as_deref(), Some(good));
        for bad in [
            "",
            "javascript:alert(1)",
            "https://ca.example.test/\u{1b}[2J",
            "https://ca.example.test/\u{202e}gpj.exe",
            "https://ca.example.test/\0",
            "https://ca.example.test/ and more",
        ] {
            assert_eq!(url(bad), None, "{bad:?}");
        }
        assert_eq!(url(&format!("https://ca.example.test/{}", "a".repeat(400))), None);
    }

    #[test]
    fn a_window_that_moved_earlier_remembers_where_it_was() {
        assert_eq!(moved_from(None, None, at(60)), None);
        assert_eq!(moved_from(Some(at(60)), None, at(60)), None);
        assert_eq!(moved_from(Some(at(60)), None, at(61)), None);
        assert_eq!(moved_from(Some(at(60)), None, at(60) - Duration::hours(9)), None);
        assert_eq!(moved_from(Some(at(60)), None, at(5)), Some(at(60)));
        assert_eq!(moved_from(Some(at(5)), Some(at(60)), at(4)), Some(at(60)));
        assert_eq!(moved_from(Some(at(5)), Some(at(60)), at(6)), Some(at(60)));
        assert_eq!(moved_from(Some(at(5)), Some(at(60)), at(60)), None);
    }
}
