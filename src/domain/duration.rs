//! Lengths of time as Vault takes and gives them: seconds as a number, or text such as `1h30m`.

use serde_json::Value;

/// What Vault can count: 2^63 nanoseconds, some 292 years, in seconds.
const LONGEST_DURATION: i64 = i64::MAX / 1_000_000_000;

/// A duration in seconds: a number, digits, or `720h`, `30m`, `1h30m`, `7d`; `None` if it is none.
#[must_use]
pub fn duration(value: &Value) -> Option<i64> {
    let seconds = match value {
        Value::Number(number) => number.as_i64()?,
        Value::String(text) => parse_duration(text)?,
        _ => return None,
    };
    (0..=LONGEST_DURATION).contains(&seconds).then_some(seconds)
}

fn parse_duration(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds));
    }
    let mut total = 0_i64;
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<i64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    (digits.is_empty() && !text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_read_as_vault_reads_them() {
        assert_eq!(duration(&json!("720h")), Some(2_592_000));
        assert_eq!(duration(&json!("1h30m")), Some(5400));
        assert_eq!(duration(&json!("60")), Some(60));
        assert_eq!(duration(&json!(60)), Some(60));
        assert_eq!(duration(&json!("1x")), None);
        assert_eq!(duration(&json!("")), None);
        assert_eq!(duration(&json!(i64::MAX)), None);
        assert_eq!(duration(&json!("99999999999h")), None);
        assert_eq!(duration(&json!(-1)), None);
    }

    proptest! {
        #[test]
        fn no_duration_makes_it_panic(text in "\\PC{0,40}") {
            let _ = parse_duration(&text);
        }
    }
}
