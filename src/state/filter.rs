//! What is typed to filter a list: words that a row must contain, and fields such as `status:active` or
//! `expires:<7d`. It is read here and filtered by the server, which knows all rows.

use chrono::{DateTime, Duration, Utc};

use crate::wire::page::PageQuery;

/// Every field that some list can be filtered by.
const FIELDS: &[&str] = &["status", "expires", "agent", "key", "entity", "open"];

/// A filter that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    words: Vec<String>,
    status: Option<String>,
    expires_within: Option<Duration>,
    agent: Option<String>,
    key: Option<String>,
    entity: Option<String>,
    open: Option<bool>,
}

impl Filter {
    /// Reads what was typed, for a list that knows `fields`. What only looks like a field, such as a
    /// serial, is a word.
    ///
    /// # Errors
    /// Which field is not known here, or what its value is not.
    pub fn read(text: &str, fields: &[&str]) -> Result<Self, String> {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            match word.split_once(':').filter(|(name, _)| FIELDS.contains(name)) {
                None => filter.words.push(word.to_owned()),
                Some((name, _)) if !fields.contains(&name) => {
                    return Err(format!(
                        "this list has no `{name}`; it has: {}",
                        fields.join(", ")
                    ));
                }
                Some((name, "")) => return Err(format!("`{name}:` wants something behind it")),
                Some((name, value)) => filter.set(name, value)?,
            }
        }
        Ok(filter)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = Some(value.to_owned());
        match name {
            "status" => self.status = text,
            "agent" => self.agent = text,
            "key" => self.key = text,
            "entity" => self.entity = text,
            "open" => {
                let yes = matches!(value, "yes" | "true");
                if !yes && !matches!(value, "no" | "false") {
                    return Err("write `open:yes` or `open:no`".to_owned());
                }
                self.open = Some(yes);
            }
            _ => {
                let within = span(value.trim_start_matches('<'));
                self.expires_within = Some(within.ok_or("write `expires:<7d`; the units are h, d and w")?);
            }
        }
        Ok(())
    }

    /// As the API takes it at `now`.
    #[must_use]
    pub fn page(self, now: DateTime<Utc>) -> PageQuery {
        PageQuery {
            q: (!self.words.is_empty()).then(|| self.words.join(" ")),
            status: self.status,
            expires_before: self.expires_within.map(|within| (now + within).to_rfc3339()),
            agent: self.agent,
            spki: self.key,
            entity: self.entity,
            open: self.open,
            ..PageQuery::default()
        }
    }
}

/// `36h`, `7d`, `2w`; at most a hundred years.
fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let n: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 7 * 24,
        _ => return None,
    };
    let hours = n.checked_mul(hours)?;
    (0..=100 * 366 * 24)
        .contains(&hours)
        .then(|| Duration::hours(hours))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<PageQuery, String> {
        let now = DateTime::from_timestamp(0, 0).unwrap();
        Filter::read(text, &["status", "expires", "agent"]).map(|filter| filter.page(now))
    }

    #[test]
    fn fields_and_words_go_together() {
        let page = read("status:active  shop expires:<7d web agent:web-01").unwrap();
        assert_eq!(page.q.as_deref(), Some("shop web"));
        assert_eq!(page.status.as_deref(), Some("active"));
        assert_eq!(page.agent.as_deref(), Some("web-01"));
        assert_eq!(page.expires_before.as_deref(), Some("1970-01-08T00:00:00+00:00"));
        assert_eq!(read("").unwrap(), PageQuery::default());
    }

    #[test]
    fn a_serial_is_a_word_and_a_field_of_another_list_is_told() {
        assert_eq!(read("4f:2a:00").unwrap().q.as_deref(), Some("4f:2a:00"));
        assert!(
            read("entity:crt_1")
                .unwrap_err()
                .contains("status, expires, agent")
        );
        for wrong in ["expires:soon", "expires:<", "expires:99999999999999w", "status:"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "((status|expires|open):)?\\PC{0,30}") {
            let _ = read(&text);
        }
    }
}
