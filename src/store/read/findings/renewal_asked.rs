//! A certificate in use that its CA asks to renew now, as a person is told of it, and how much that presses
//! beside the certificate's end.

use chrono::{DateTime, Utc};

use super::words::name;
use crate::domain::certificate::{Urgency, urgency};
use crate::domain::finding::Severity;
use crate::domain::plain::plain;
use crate::domain::renewal::Renewal;
use crate::store::findings::InUse;

/// What a CA says of a certificate that it wants to be renewed now.
pub(super) struct AskedFor<'a> {
    pub(super) window: &'a Renewal,
    pub(super) severity: Severity,
    pub(super) what: String,
}

impl AskedFor<'_> {
    pub(super) fn why(&self) -> String {
        let url = self.window.explanation_url.as_deref();
        url.map_or(String::new(), |url| {
            format!("; the CA says why at {}", plain(url))
        })
    }
}

/// `None` where it hasn't begun, and where the certificate's end presses more. In a window that has moved
/// earlier the CA may revoke the certificate soon; one that is over was missed by whoever renews.
pub(super) fn asked_for(it: &InUse, now: DateTime<Utc>) -> Option<AskedFor<'_>> {
    let window = it.renewal.as_ref().filter(|window| window.has_begun(now))?;
    let left = urgency(it.not_after, now);
    let (severity, what) = match window.moved_from {
        Some(was) => (
            Severity::Critical,
            format!(
                "{}'s CA wants it renewed now instead of on {}, and may revoke it",
                name(&it.subject),
                was.format("%Y-%m-%d")
            ),
        ),
        None if left <= Urgency::Hours => return None,
        None if window.end <= now => (
            Severity::Warning,
            format!(
                "{}'s CA wanted it renewed by {}",
                name(&it.subject),
                window.end.format("%Y-%m-%d %H:%MZ")
            ),
        ),
        None => (
            Severity::of_end(left),
            format!(
                "{}'s CA suggests to renew it by {}",
                name(&it.subject),
                window.end.format("%Y-%m-%d %H:%MZ")
            ),
        ),
    };
    Some(AskedFor {
        window,
        severity,
        what,
    })
}
