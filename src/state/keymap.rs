//! The keymap as data: a row for each command with its name, keys, description and group. Help, hints,
//! the command line and the documentation are made from it; a person's own keys replace a row's. It
//! carries nothing out.

use std::collections::BTreeMap;

use super::cmd::Cmd;
use super::screen::ViewId;
use crate::actions;
use crate::plan::tier::Tier;

/// Where a row stands in help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Changes something.
    Act,
    /// Moves about.
    Move,
    /// Lists.
    List,
    /// Screens.
    Screens,
    /// The console itself.
    Console,
}

impl Group {
    /// All, in the order of help.
    pub const ALL: [Self; 5] = [Self::Act, Self::Move, Self::List, Self::Screens, Self::Console];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Act => "Act",
            Self::Move => "Move",
            Self::List => "Lists",
            Self::Screens => "Screens",
            Self::Console => "Console",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The command's name, in the configuration and on the command line.
    pub name: &'static str,
    /// The keys, such as `j`, `down`, `ctrl-d`.
    pub keys: Vec<String>,
    /// What they mean.
    pub cmd: Cmd,
    /// What it does, no period.
    pub what: &'static str,
    /// Where it stands in help.
    pub group: Group,
}

/// Why a person's own keys can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// No command is called so.
    #[error("`{name}` is no command; there are: {known}")]
    UnknownCommand {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// No key is called so.
    #[error("`{key}`, for `{name}`, is no key; write a character, ctrl-x, or one of: {known}", known = NAMED.join(" "))]
    UnknownKey {
        /// The command.
        name: String,
        /// What was written.
        key: String,
    },
    /// One key would mean two things.
    #[error("`{key}` would mean both `{one}` and `{other}`")]
    Clash {
        /// The key.
        key: String,
        /// A command.
        one: &'static str,
        /// The other one.
        other: &'static str,
    },
    /// A broken escape sequence could press it.
    #[error(
        "`{key}` can't be the key for `{name}`, which can't be taken back: on a bad link an escape sequence \
         that ends in it can press it"
    )]
    Unsafe {
        /// The command.
        name: &'static str,
        /// The key.
        key: String,
    },
    /// Without it one could not get out.
    #[error("`{name}` needs a key")]
    Needed {
        /// The command.
        name: &'static str,
    },
}

/// The keys that are not characters.
const NAMED: &[&str] = &[
    "space",
    "enter",
    "esc",
    "tab",
    "backtab",
    "backspace",
    "delete",
    "up",
    "down",
    "left",
    "right",
    "home",
    "end",
    "pageup",
    "pagedown",
];
/// A split escape sequence ends in one of these.
const ENDS_OF_SEQUENCES: &str = "[]ABCDFHOPQRS~";

/// The whole keymap: the console's own rows and one for each action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    rows: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { rows: rows() }
    }
}

impl Keymap {
    /// With a person's own keys, by the names of the commands; each list replaces the row's.
    ///
    /// # Errors
    /// The first name whose keys can't be used, and why.
    pub fn with(own: &BTreeMap<String, Vec<String>>) -> Result<Self, (String, KeymapError)> {
        let mut keymap = Self::default();
        for (name, keys) in own {
            keymap.set(name, keys).map_err(|error| (name.clone(), error))?;
        }
        match keymap.wrong() {
            // Told where the person wrote it, if it is one of theirs.
            Some((names, error)) => {
                let name = names.into_iter().find(|name| own.contains_key(*name));
                Err((name.unwrap_or_default().to_owned(), error))
            }
            None => Ok(keymap),
        }
    }

    fn set(&mut self, name: &str, keys: &[String]) -> Result<(), KeymapError> {
        let known = || {
            self.rows
                .iter()
                .map(|row| row.name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let Some(index) = self.rows.iter().position(|row| row.name == name) else {
            return Err(KeymapError::UnknownCommand {
                name: name.to_owned(),
                known: known(),
            });
        };
        if let Some(key) = keys.iter().find(|key| !is_key(key)) {
            return Err(KeymapError::UnknownKey {
                name: name.to_owned(),
                key: key.clone(),
            });
        }
        self.rows[index].keys = keys.to_vec();
        Ok(())
    }

    /// What is wrong with the whole, and whose rows it is about.
    fn wrong(&self) -> Option<(Vec<&'static str>, KeymapError)> {
        for (index, row) in self.rows.iter().enumerate() {
            let name = row.name;
            if matches!(row.cmd, Cmd::Quit | Cmd::Back | Cmd::Help) && row.keys.is_empty() {
                return Some((vec![name], KeymapError::Needed { name }));
            }
            for key in &row.keys {
                if let Some(other) = self.rows[index + 1..]
                    .iter()
                    .find(|other| other.keys.contains(key))
                {
                    let (one, other) = (name, other.name);
                    let key = key.clone();
                    return Some((vec![one, other], KeymapError::Clash { key, one, other }));
                }
                if is_irreversible(row.cmd) && ENDS_OF_SEQUENCES.contains(key.as_str()) {
                    let key = key.clone();
                    return Some((vec![name], KeymapError::Unsafe { name, key }));
                }
            }
        }
        None
    }

    /// What `key` means.
    #[must_use]
    pub fn lookup(&self, key: &str) -> Option<Cmd> {
        let row = self.rows.iter().find(|row| row.keys.iter().any(|it| it == key));
        row.map(|row| row.cmd)
    }

    /// The first key of a command, as hints show it; empty if it has none.
    #[must_use]
    pub fn key_of(&self, cmd: Cmd) -> &str {
        let row = self.rows.iter().find(|row| row.cmd == cmd);
        row.and_then(|row| row.keys.first()).map_or("", String::as_str)
    }

    /// Every row, in the order of help.
    #[must_use]
    pub fn rows(&self) -> &[Binding] {
        &self.rows
    }

    /// The page of the documentation that lists the keys.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page =
            "# Keys\n\nMade from the keymap by a test; don't edit. In the configuration, `[keys]` gives a \
                        command other keys\nby its name.\n"
                .to_owned();
        for group in Group::ALL {
            page.push_str(&format!(
                "\n## {}\n\n| keys | command | |\n|---|---|---|\n",
                group.title()
            ));
            for row in self.rows.iter().filter(|row| row.group == group) {
                let keys: Vec<String> = row
                    .keys
                    .iter()
                    .map(|key| format!("`{}`", key.replace('|', "\\|")))
                    .collect();
                page.push_str(&format!(
                    "| {} | `{}` | {} |\n",
                    keys.join(" "),
                    row.name,
                    row.what
                ));
            }
        }
        page
    }
}

fn is_key(key: &str) -> bool {
    let one = |text: &str| {
        let mut chars = text.chars();
        matches!((chars.next(), chars.next()), (Some(c), None) if !c.is_whitespace() && !c.is_control())
    };
    NAMED.contains(&key)
        || one(key)
        || key
            .strip_prefix("ctrl-")
            .is_some_and(|rest| one(rest) && rest != "[")
}

fn is_irreversible(cmd: Cmd) -> bool {
    let Cmd::Start(id) = cmd else { return false };
    actions::find(id).is_some_and(|action| action.spec().tier >= Tier::Irreversible)
}

fn rows() -> Vec<Binding> {
    let row = |name, keys: &[&str], cmd, what, group| Binding {
        name,
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        cmd,
        what,
        group,
    };
    let mut rows: Vec<Binding> = actions::ALL
        .iter()
        .map(|action| action.spec())
        .map(|spec| row(spec.id, &[spec.key], Cmd::Start(spec.id), spec.help, Group::Act))
        .collect();
    let show = |name, key: &str, view| row(name, &[key], Cmd::Show(view), name, Group::Screens);
    rows.extend([
        row("down", &["j", "down"], Cmd::Down, "one row down", Group::Move),
        row("up", &["k", "up"], Cmd::Up, "one row up", Group::Move),
        row("top", &["g", "home"], Cmd::Top, "first row", Group::Move),
        row("bottom", &["G", "end"], Cmd::Bottom, "last row", Group::Move),
        row(
            "half-down",
            &["ctrl-d", "pagedown"],
            Cmd::HalfDown,
            "half a page down",
            Group::Move,
        ),
        row(
            "half-up",
            &["ctrl-u", "pageup"],
            Cmd::HalfUp,
            "half a page up",
            Group::Move,
        ),
        row(
            "next-pane",
            &["tab", "l", "right"],
            Cmd::NextPane,
            "next pane",
            Group::Move,
        ),
        row(
            "previous-pane",
            &["backtab", "h", "left"],
            Cmd::PreviousPane,
            "pane before",
            Group::Move,
        ),
        row("open", &["enter", "d"], Cmd::Open, "open, describe", Group::Move),
        row("back", &["esc"], Cmd::Back, "back, or end a filter", Group::Move),
        row(
            "related",
            &["o"],
            Cmd::Related,
            "go to what the row touches",
            Group::Move,
        ),
        row(
            "history-back",
            &["["],
            Cmd::HistoryBack,
            "to the place before",
            Group::Move,
        ),
        row(
            "history-forward",
            &["]"],
            Cmd::HistoryForward,
            "to the place that one came back from",
            Group::Move,
        ),
        row(
            "verify",
            &["V"],
            Cmd::Verify,
            "shake hands where it is installed, and look at the CRL, now",
            Group::Move,
        ),
        row("filter", &["/"], Cmd::Filter, "filter", Group::List),
        row("sort", &["s"], Cmd::Sort, "sort by the next column", Group::List),
        row(
            "reverse",
            &["S"],
            Cmd::Reverse,
            "turn the order round",
            Group::List,
        ),
        row("mark", &["space"], Cmd::Mark, "mark, unmark", Group::List),
        row(
            "mark-range",
            &["v"],
            Cmd::MarkRange,
            "mark from the last mark to here",
            Group::List,
        ),
        row(
            "mark-all",
            &["ctrl-a"],
            Cmd::MarkAll,
            "mark all rows",
            Group::List,
        ),
        row("unmark", &["\\"], Cmd::Unmark, "unmark all", Group::List),
        row(
            "copy",
            &["y"],
            Cmd::Copy,
            "copy: twice for the row's own, or choose what",
            Group::List,
        ),
        show("triage", "1", ViewId::Triage),
        show("certificates", "2", ViewId::Certificates),
        show("agents", "3", ViewId::Agents),
        show("requests", "4", ViewId::Requests),
        show("audit", "5", ViewId::Audit),
        show("services", "6", ViewId::Services),
        show("runs", "7", ViewId::Runs),
        show("trends", "8", ViewId::Trends),
        row(
            "command-log",
            &["@"],
            Cmd::Show(ViewId::CommandLog),
            "command log",
            Group::Screens,
        ),
        row(
            "command",
            &[":"],
            Cmd::CommandLine,
            "any command, or anything by its name",
            Group::Console,
        ),
        row("refresh", &["ctrl-r"], Cmd::Refresh, "ask again", Group::Console),
        row(
            "freeze",
            &["f"],
            Cmd::Freeze,
            "hold the screen still, or let it go on",
            Group::Console,
        ),
        row("help", &["?"], Cmd::Help, "help", Group::Console),
        row("suspend", &["ctrl-z"], Cmd::Suspend, "suspend", Group::Console),
        row("quit", &["q", "ctrl-c"], Cmd::Quit, "quit", Group::Console),
    ]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rows: &[(&str, &[&str])]) -> Result<Keymap, (String, KeymapError)> {
        let own = rows.iter().map(|(name, keys)| {
            let keys = keys.iter().map(|&key| key.to_owned()).collect();
            ((*name).to_owned(), keys)
        });
        Keymap::with(&own.collect())
    }

    #[test]
    fn no_key_has_two_meanings() {
        assert_eq!(Keymap::default().wrong(), None);
    }

    #[test]
    fn a_persons_own_keys_replace_a_rows() {
        let keymap = with(&[("revoke", &["ctrl-x"]), ("down", &["n", "down"])]).unwrap();
        assert_eq!(keymap.lookup("ctrl-x"), Some(Cmd::Start("revoke")));
        assert_eq!(keymap.lookup("X"), None);
        assert_eq!(keymap.key_of(Cmd::Down), "n");
    }

    #[test]
    fn what_can_not_be_is_refused_with_its_names() {
        let words = |rows: &[(&str, &[&str])]| {
            let (name, error) = with(rows).unwrap_err();
            format!("{name}: {error}")
        };
        assert_eq!(
            words(&[("install", &["X"])]),
            "install: `X` would mean both `revoke` and `install`"
        );
        assert!(words(&[("fly", &["f"])]).contains("there are: revoke"));
        assert!(words(&[("sort", &["ctrl"])]).contains("no key"));
        assert!(words(&[("revoke", &["A"])]).contains("bad link"));
        assert!(words(&[("quit", &[])]).contains("needs a key"));
        assert!(with(&[("copy", &[])]).is_ok());
    }

    #[test]
    fn the_documentation_lists_every_command() {
        let page = Keymap::default().markdown();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/keys.md is not what the keymap says: UPDATE_DOCS=1 cargo test --lib"
        );
    }
}
