//! JSON in its one canonical form (RFC 8785, without its rules for fractions, which nothing here has): no spaces,
//! names sorted. Two who have the same record get the same bytes, and so the same digest.

use aws_lc_rs::digest;
use serde_json::Value;

/// SHA-256 over the canonical form, lower-case hex.
#[must_use]
pub fn digest(record: &Value) -> String {
    let mut text = String::new();
    write(record, &mut text);
    hex::encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            // By UTF-16, as the RFC has it.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_sorted_at_every_depth_and_nothing_is_between() {
        let mut text = String::new();
        write(
            &json!({"b": [1, {"z": null, "a": true}], "a": "ä\n\"", "\u{10000}": 0, "\u{e000}": 0}),
            &mut text,
        );
        assert_eq!(
            text,
            "{\"a\":\"ä\\n\\\"\",\"b\":[1,{\"a\":true,\"z\":null}],\"\u{10000}\":0,\"\u{e000}\":0}"
        );
    }

    /// `printf '{"a":1,"b":2}' | sha256sum`
    #[test]
    fn anybody_can_compute_it() {
        let expected = "43258cff783fe7036d8a43033f830adfc60ec037382473548ac742b888292777";
        assert_eq!(digest(&json!({"b": 2, "a": 1})), expected);
    }
}
