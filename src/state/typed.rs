//! Commands of the command line that take arguments, and how these are read. Those without are in the
//! keymap.

use super::aliases::named;

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Unlock a protected context.
    Unlock {
        /// For how many minutes.
        minutes: i64,
        /// Under which ticket.
        ticket: String,
        /// Why, for every audit row meanwhile.
        reason: Option<String>,
    },
    /// Lock it again.
    Lock,
    /// Write what is on screen into a file.
    Export(Format),
    /// Look for the certificates that a clue leads to.
    Find(String),
    /// Sort the list by this column, `-` in front for falling.
    Sort(String),
    /// Save the list's filter and order under this name.
    Save(String),
    /// Open a saved view.
    View(String),
    /// Forget a saved view.
    Forget(String),
    /// Go on in another context.
    Context(String),
    /// Show all contexts.
    Contexts,
}

/// What an export looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns of text.
    Text,
    /// Comma-separated values.
    Csv,
    /// JSON.
    Json,
    /// What was carried out, in Markdown.
    Timeline,
}

/// How a command is written.
#[derive(Debug)]
pub struct Usage {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, as an example; none if empty.
    pub arguments: &'static str,
    /// What it does, no period.
    pub what: &'static str,
    read: fn(&[&str]) -> Option<Typed>,
}

/// Every command with arguments.
pub static ALL: &[Usage] = &[
    Usage {
        name: "find",
        arguments: "CLUE",
        what: "certificates by serial, fingerprint, pin, name, host, host:port, or a pasted PEM",
        read: |arguments| (!arguments.is_empty()).then(|| Typed::Find(arguments.join(" "))),
    },
    Usage {
        name: "export",
        arguments: "text|csv|json|timeline",
        what: "the rows on screen, or what was carried out, into a file",
        read: |arguments| {
            let format = match arguments {
                ["text"] => Format::Text,
                ["csv"] => Format::Csv,
                ["json"] => Format::Json,
                ["timeline"] => Format::Timeline,
                _ => return None,
            };
            Some(Typed::Export(format))
        },
    },
    Usage {
        name: "sort",
        arguments: "COLUMN, or -COLUMN for falling",
        what: "sort the list by a column",
        read: |arguments| one(arguments).map(Typed::Sort),
    },
    Usage {
        name: "view",
        arguments: "NAME",
        what: "open a saved view",
        read: |arguments| one(arguments).map(Typed::View),
    },
    Usage {
        name: "save",
        arguments: "NAME",
        what: "save the list's filter and order as a view",
        read: |arguments| one(arguments).map(Typed::Save),
    },
    Usage {
        name: "forget",
        arguments: "NAME",
        what: "forget a saved view",
        read: |arguments| one(arguments).map(Typed::Forget),
    },
    Usage {
        name: "context",
        arguments: "[NAME]",
        what: "go on in another context; without a name all are shown",
        read: |arguments| match arguments {
            [] => Some(Typed::Contexts),
            arguments => one(arguments).map(Typed::Context),
        },
    },
    Usage {
        name: "unlock",
        arguments: "15m INC-1234 [why]",
        what: "allow changes in a protected context for a while, under a ticket",
        read: unlock,
    },
    Usage {
        name: "lock",
        arguments: "",
        what: "forbid changes in a protected context again",
        read: |arguments| arguments.is_empty().then_some(Typed::Lock),
    },
];

fn one(arguments: &[&str]) -> Option<String> {
    match arguments {
        [one] => Some((*one).to_owned()),
        _ => None,
    }
}

/// Longer than this a context isn't unlocked at once, in minutes.
const LONGEST: i64 = 8 * 60;

fn unlock(arguments: &[&str]) -> Option<Typed> {
    let [time, ticket, why @ ..] = arguments else {
        return None;
    };
    let minutes = match (time.strip_suffix('m'), time.strip_suffix('h')) {
        (Some(minutes), _) => minutes.parse::<i64>().ok()?,
        (None, Some(hours)) => hours.parse::<i64>().ok()?.checked_mul(60)?,
        (None, None) => return None,
    };
    (1..=LONGEST).contains(&minutes).then(|| Typed::Unlock {
        minutes,
        ticket: (*ticket).to_owned(),
        reason: Some(why.join(" ")).filter(|why| !why.is_empty()),
    })
}

/// Reads a line; `None` if it begins with no command of these.
///
/// # Errors
/// How the command is written.
#[must_use]
pub fn read(line: &str) -> Option<Result<Typed, String>> {
    let mut words = line.split_whitespace();
    let name = named(words.next()?);
    let usage = ALL.iter().find(|usage| usage.name == name)?;
    let arguments: Vec<&str> = words.collect();
    Some((usage.read)(&arguments).ok_or_else(|| {
        let line = format!("{} {}", usage.name, usage.arguments);
        format!("usage: {}", line.trim_end())
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unlock_wants_a_time_and_a_ticket() {
        let unlocked = |minutes| {
            Some(Ok(Typed::Unlock {
                minutes,
                ticket: "INC-1".to_owned(),
                reason: None,
            }))
        };
        assert_eq!(read("unlock 15m INC-1"), unlocked(15));
        assert_eq!(read(" unlock 2h INC-1 "), unlocked(120));
        for wrong in [
            "unlock",
            "unlock 15m",
            "unlock 15 INC-1",
            "unlock 0m INC-1",
            "unlock 99h INC-1",
            "unlock m x",
            "sort",
            "view a b",
        ] {
            assert!(matches!(read(wrong), Some(Err(_))), "{wrong}");
        }
        assert_eq!(read("lock"), Some(Ok(Typed::Lock)));
        assert_eq!(read("context"), Some(Ok(Typed::Contexts)));
        assert_eq!(read("context x"), Some(Ok(Typed::Context("x".to_owned()))));
        assert_eq!(read("find 4f 2a"), Some(Ok(Typed::Find("4f 2a".to_owned()))));
        assert!(matches!(read("find"), Some(Err(_))));
        assert_eq!(read("revoke"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "(unlock|lock)? ?\\PC{0,40}") {
            let _ = read(&line);
        }
    }
}
