//! Times as people read them: in UTC with a `Z`, and absolute, so that nothing on a screen ticks. Today is a clock
//! time, the coming six days have their weekday, all other days are a date, and what is far off is a month.

use chrono::{DateTime, Duration, Utc};

/// As a list has it: `13:16Z`, `Tue 08:16Z`, `27 Nov`, `Dec 2034`. A weekday never means the past.
#[must_use]
pub fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let days = (at.date_naive() - now.date_naive()).num_days();
    match days {
        0 => at.format("%H:%MZ").to_string(),
        1..=6 => at.format("%a %H:%MZ").to_string(),
        _ if days.abs() <= MONTHS_11 => at.format("%-d %b").to_string(),
        _ => at.format("%b %Y").to_string(),
    }
}

/// Days within which a day and its month name one day only.
const MONTHS_11: i64 = 334;

/// How far off, coarsely, as a sentence says it once: `in 5 h`, `2 days ago`.
#[must_use]
pub fn distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let left = at - now;
    let is_past = left < Duration::zero();
    let by = if is_past { -left } else { left };
    let words = match (by.num_hours(), by.num_days()) {
        // What would change each minute is said by the clock time beside it.
        (0, _) if is_past => return "within the last hour".to_owned(),
        (0, _) => return "within the hour".to_owned(),
        (hours @ ..48, _) => format!("{hours} h"),
        (_, days) => format!("{days} days"),
    };
    match is_past {
        true => format!("{words} ago"),
        false => format!("in {words}"),
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
    fn a_list_has_absolute_times_and_a_weekday_only_for_what_comes() {
        // A Sunday.
        let now = "2026-11-29T08:17:00Z".parse().unwrap();
        let said = |text: &str| when(text.parse().unwrap(), now);
        assert_eq!(said("2026-11-29T13:16:45Z"), "13:16Z");
        assert_eq!(said("2026-11-29T02:16:45Z"), "02:16Z");
        assert_eq!(said("2026-12-01T08:16:45Z"), "Tue 08:16Z");
        assert_eq!(said("2026-12-05T08:16:45Z"), "Sat 08:16Z");
        assert_eq!(said("2026-12-06T08:16:45Z"), "6 Dec");
        assert_eq!(said("2026-11-27T08:16:45Z"), "27 Nov");
        assert_eq!(said("2034-12-06T08:16:45Z"), "Dec 2034");
        assert_eq!(said("2025-11-29T08:16:45Z"), "Nov 2025");
    }

    #[test]
    fn a_sentence_adds_the_distance() {
        let now = "2026-11-29T08:17:00Z".parse().unwrap();
        let said = |text: &str| distance(text.parse().unwrap(), now);
        assert_eq!(said("2026-11-29T13:16:45Z"), "in 4 h");
        assert_eq!(said("2026-11-27T08:16:45Z"), "2 days ago");
        assert_eq!(said("2026-11-29T08:17:10Z"), "within the hour");
    }
}
