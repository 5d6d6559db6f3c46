//! Times as people read them, coarse enough that a screen at rest stays at rest: hours and days are
//! counted, what is nearer is shown as a clock time that does not tick.

use chrono::{DateTime, Duration, Utc};

/// How long until `at`, or how long ago: `expired 3d ago`, `at 04:12Z`, `17h`, `5d`.
#[must_use]
pub fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let left = at - now;
    if left < -Duration::hours(24) {
        format!("{}d ago", (-left).num_days())
    } else if left < Duration::zero() {
        format!("since {}", at.format("%H:%MZ"))
    } else if left < Duration::hours(2) {
        format!("at {}", at.format("%H:%MZ"))
    } else if left < Duration::hours(48) {
        format!("{}h", left.num_hours())
    } else {
        format!("{}d", left.num_days())
    }
}

/// How long ago: `14:02Z` today, `17h ago`, `5d ago`.
#[must_use]
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let past = now - at;
    if past < Duration::hours(12) {
        at.format("%H:%M:%SZ").to_string()
    } else if past < Duration::hours(48) {
        format!("{}h ago", past.num_hours())
    } else {
        format!("{}d ago", past.num_days())
    }
}

/// The full time: `2026-11-23 20:17:05Z`.
#[must_use]
pub fn full(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_times_do_not_tick() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let soon = now + Duration::minutes(50);
        assert_eq!(until(soon, now), until(soon, now + Duration::minutes(20)));
        assert_eq!(until(now + Duration::hours(17), now), "17h");
        assert_eq!(until(now - Duration::days(3), now), "3d ago");
    }
}
