//! Moments in UTC as lists and sentences write them: absolute, so that nothing ticks.

use chrono::{DateTime, Days, Months, SecondsFormat, Utc};

/// A moment beside `now`: `13:16Z` today, `Tue 08:16Z` within the six days to come, `27 Nov` else, and
/// `Dec 2034` beyond eleven months. A day of the week never means the past.
#[must_use]
pub fn short(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let (day, today) = (at.date_naive(), now.date_naive());
    let week = today.checked_add_days(Days::new(6)).unwrap_or(today);
    let far = Months::new(11);
    let (later, earlier) = (today.checked_add_months(far), today.checked_sub_months(far));
    let format = if day == today {
        "%H:%MZ"
    } else if day > today && day <= week {
        "%a %H:%MZ"
    } else if later.is_some_and(|later| day > later) || earlier.is_some_and(|earlier| day < earlier) {
        "%b %Y"
    } else {
        "%-d %b"
    };
    at.format(format).to_string()
}

/// A moment that reads alike whenever it is read: `1 Dec 2026 08:16Z`.
#[must_use]
pub fn fixed(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y %H:%MZ").to_string()
}

/// A moment as programs read it: `2026-12-01T08:16:00Z` (RFC 3339, UTC).
#[must_use]
pub fn whole(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_short_as_it_can_be_without_being_mistaken() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let now = at("2026-11-29T08:17:45Z");
        for (moment, shown) in [
            ("2026-11-29T13:16:45Z", "13:16Z"),
            ("2026-11-29T02:16:00Z", "02:16Z"),
            ("2026-12-01T08:16:00Z", "Tue 08:16Z"),
            ("2026-12-05T23:59:00Z", "Sat 23:59Z"),
            ("2026-12-06T00:00:00Z", "6 Dec"),
            ("2026-11-27T06:16:00Z", "27 Nov"),
            ("2027-10-29T00:00:00Z", "29 Oct"),
            ("2034-12-01T00:00:00Z", "Dec 2034"),
            ("2025-12-01T00:00:00Z", "Dec 2025"),
        ] {
            assert_eq!(short(at(moment), now), shown, "{moment}");
        }
        assert_eq!(fixed(now), "29 Nov 2026 08:17Z");
        assert_eq!(whole(now), "2026-11-29T08:17:45Z");
    }
}
