//! How much one token may ask of the API within a time, as it is written in a file or an argument. Who counts
//! is the API.

use std::str::FromStr;

use serde::Deserialize;

/// The time that is counted within, in seconds.
pub const WINDOW_S: u32 = 10;

/// How many requests one token may send within ten seconds. What has no limit isn't counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Limits {
    /// What only reads.
    pub reads: Option<u32>,
    /// What changes something.
    pub changes: Option<u32>,
    /// What agents report.
    pub reports: Option<u32>,
}

impl Limits {
    /// None at all: for the embedded platform.
    #[must_use]
    pub fn none() -> Self {
        Self {
            reads: None,
            changes: None,
            reports: None,
        }
    }
}

/// Far more than people and their scripts do, far less than one runaway loop would.
impl Default for Limits {
    fn default() -> Self {
        Self {
            reads: Some(5_000),
            changes: Some(2_000),
            reports: Some(200),
        }
    }
}

/// `off`, or `reads=5000,changes=2000,reports=200`; what isn't named stays as it is by default.
impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::none());
        }
        let mut limits = Self::default();
        for word in text.split(',') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let limit = match name {
                "reads" => &mut limits.reads,
                "changes" => &mut limits.changes,
                "reports" => &mut limits.reports,
                _ => {
                    return Err(format!(
                        "`{name}` can't be limited: reads, changes or reports can"
                    ));
                }
            };
            *limit = match value {
                "off" => None,
                _ => Some(value.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                    format!("`{word}` is no limit: give a number of requests within {WINDOW_S} s, or `off`")
                })?),
            };
        }
        Ok(limits)
    }
}

impl TryFrom<String> for Limits {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_words() {
        let default = Limits::default();
        assert_eq!("off".parse(), Ok(Limits::none()));
        assert_eq!(
            "reads=7,reports=off".parse(),
            Ok(Limits {
                reads: Some(7),
                reports: None,
                ..default
            })
        );
        for (text, said) in [
            ("", "`` can't be limited"),
            ("writes=3", "`writes` can't be limited"),
            ("reads", "`reads` is no limit"),
            ("reads=0", "`reads=0` is no limit"),
            ("reads=-1", "`reads=-1` is no limit"),
        ] {
            let error = text.parse::<Limits>().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
