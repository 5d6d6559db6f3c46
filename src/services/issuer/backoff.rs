//! When a refused attempt is made again.

use chrono::{DateTime, Duration, Utc};

/// The first pause, in seconds; each further one is twice as long.
const FIRST_S: i64 = 2;
/// No pause is longer, in seconds.
const LONGEST_S: i64 = 600;

/// The moment of the next attempt after `attempt` ones that failed. `id` spreads many that failed
/// together over a quarter of the pause, always in the same way.
pub(super) fn next_attempt(now: DateTime<Utc>, attempt: i64, id: &str) -> DateTime<Utc> {
    let doublings = u32::try_from(attempt.clamp(0, 16)).unwrap_or(0);
    let pause_ms = 1000 * (FIRST_S << doublings).min(LONGEST_S);
    let spread = id
        .bytes()
        .fold(0_i64, |sum, byte| (sum * 31 + i64::from(byte)) % 1000);
    now + Duration::milliseconds(pause_ms + pause_ms / 4 * spread / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let pause = |attempt| (next_attempt(now, attempt, "") - now).num_seconds();
        assert_eq!(pause(0), 2);
        assert_eq!(pause(1), 4);
        assert_eq!(pause(3), 16);
        assert_eq!(pause(60), 600);
        assert_eq!(pause(-1), 2);
    }

    #[test]
    fn many_that_failed_together_are_spread() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        assert_ne!(next_attempt(now, 5, "req_a"), next_attempt(now, 5, "req_b"));
        let pause = (next_attempt(now, 5, "req_b") - now).num_seconds();
        assert!((64..=80).contains(&pause), "{pause}");
    }
}
