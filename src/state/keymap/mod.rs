//! The keymap as data: a row for each command with its name, keys, description and group. Help, hints,
//! the command line and the documentation are made from it; a person's own keys replace a row's. It
//! carries nothing out.

use std::collections::BTreeMap;

use super::cmd::{Cmd, InDialog};

pub use error::KeymapError;

mod error;
mod key;
mod table;

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
    /// Inside dialogs, where keys mean something of their own.
    Dialogs,
}

impl Group {
    /// All, in the order of help.
    pub const ALL: [Self; 6] = [
        Self::Act,
        Self::Move,
        Self::List,
        Self::Screens,
        Self::Console,
        Self::Dialogs,
    ];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Act => "Act",
            Self::Move => "Move",
            Self::List => "Lists",
            Self::Screens => "Screens",
            Self::Console => "Console",
            Self::Dialogs => "Dialogs",
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

/// The whole keymap: the console's own rows and one for each action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    rows: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { rows: table::rows() }
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
        if let Some((key, instead)) = keys.iter().find_map(|key| Some((key, key::instead(key)?))) {
            return Err(KeymapError::Never {
                name: name.to_owned(),
                key: key.clone(),
                instead,
            });
        }
        if let Some(key) = keys.iter().find(|key| !key::is_key(key)) {
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
            let (name, cmd) = (row.name, row.cmd);
            if is_needed(cmd) && row.keys.is_empty() {
                return Some((vec![name], KeymapError::Needed { name }));
            }
            for key in &row.keys {
                // What is pressed in a dialog is not pressed on the screen below it.
                let beside = |other: &&Binding| row.is_in_dialogs() == other.is_in_dialogs();
                if let Some(other) = self.rows[index + 1..]
                    .iter()
                    .filter(beside)
                    .find(|other| other.keys.contains(key))
                {
                    let (one, other) = (name, other.name);
                    let key = key.clone();
                    return Some((vec![one, other], KeymapError::Clash { key, one, other }));
                }
                let key = key.clone();
                let error = if key::answers(cmd, &key) {
                    KeymapError::Answers { name, key }
                } else if key::is_unsafe(cmd, &key) {
                    KeymapError::Unsafe { name, key }
                } else if key::is_typed(cmd, &key) {
                    KeymapError::Typed { name, key }
                } else {
                    continue;
                };
                return Some((vec![name], error));
            }
        }
        None
    }

    /// What `key` means on a screen.
    #[must_use]
    pub fn lookup(&self, key: &str) -> Option<Cmd> {
        let mut rows = self.rows.iter().filter(|row| !row.is_in_dialogs());
        let row = rows.find(|row| row.keys.iter().any(|it| it == key));
        row.map(|row| row.cmd)
    }

    /// What `key` means in a dialog, unless it is typed.
    #[must_use]
    pub fn in_dialog(&self, key: &str) -> Option<InDialog> {
        let mut rows = self.rows.iter().filter(|row| row.keys.iter().any(|it| it == key));
        rows.find_map(|row| match row.cmd {
            Cmd::Dialog(is) => Some(is),
            _ => None,
        })
    }

    /// What `key` means in a dialog that has no field: there the keys of lists move too.
    #[must_use]
    pub fn in_plain_dialog(&self, key: &str) -> Option<InDialog> {
        let as_on_screen = || match self.lookup(key)? {
            Cmd::Down => Some(InDialog::Next),
            Cmd::Up => Some(InDialog::Previous),
            Cmd::HalfDown => Some(InDialog::PageDown),
            Cmd::HalfUp => Some(InDialog::PageUp),
            Cmd::Quit | Cmd::Back | Cmd::Help => Some(InDialog::Close),
            _ => None,
        };
        self.in_dialog(key).or_else(as_on_screen)
    }

    /// The first key of a command, as hints show it; empty if it has none.
    #[must_use]
    pub fn key_of(&self, cmd: Cmd) -> &str {
        let row = self.rows.iter().find(|row| row.cmd == cmd);
        row.and_then(|row| row.keys.first()).map_or("", String::as_str)
    }

    /// How a command is called: by its first key, or else by its name.
    #[must_use]
    pub fn call(&self, cmd: Cmd) -> String {
        match self.rows.iter().find(|row| row.cmd == cmd) {
            Some(Binding { keys, .. }) if !keys.is_empty() => keys[0].clone(),
            // Nothing inside a dialog can be called by its name.
            Some(row) if !row.is_in_dialogs() => format!(":{}", row.name),
            _ => String::new(),
        }
    }

    /// `esc closes, tab completes`: how each is called and what it does.
    #[must_use]
    pub fn hints(&self, hints: &[(InDialog, &str)]) -> String {
        let hints = hints
            .iter()
            .map(|(is, does)| (self.key_of(Cmd::Dialog(*is)), does));
        let hints = hints.filter(|(key, _)| !key.is_empty());
        let hints: Vec<String> = hints.map(|(key, does)| format!("{key} {does}")).collect();
        hints.join(", ")
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

impl Binding {
    fn is_in_dialogs(&self) -> bool {
        self.group == Group::Dialogs
    }
}

/// Without these one could not get out, or on.
fn is_needed(cmd: Cmd) -> bool {
    use InDialog::{Close, Confirm};
    matches!(
        cmd,
        Cmd::Quit | Cmd::Back | Cmd::Help | Cmd::Dialog(Close | Confirm)
    )
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
        let keymap = with(&[("revoke", &["ctrl-x"]), ("down", &["e", "down"])]).unwrap();
        assert_eq!(keymap.lookup("ctrl-x"), Some(Cmd::Start("revoke")));
        assert_eq!(keymap.lookup("X"), None);
        assert_eq!(keymap.key_of(Cmd::Down), "e");
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
    fn what_never_comes_is_refused_with_what_comes_instead() {
        let words = |key| with(&[("sort", &[key])]).unwrap_err().1.to_string();
        for (key, instead) in [
            ("ctrl-i", "write `tab`"),
            ("ctrl-m", "write `enter`"),
            ("ctrl-[", "write `esc`"),
            ("ctrl-X", "write `ctrl-x`"),
        ] {
            assert!(words(key).ends_with(instead), "{}", words(key));
        }
        assert!(words("ctrl-1").contains("is no key"));
        assert!(with(&[("sort", &["ctrl-x"])]).is_ok());
    }

    #[test]
    fn no_action_is_started_by_a_key_that_answers_its_plan() {
        for key in ["y", "enter", "esc"] {
            let own = with(&[
                ("copy", &[]),
                ("open", &["d"]),
                ("back", &["b"]),
                ("reissue", &[key]),
            ]);
            let error = own.unwrap_err().1.to_string();
            assert!(error.contains("answered by the key that opened it"), "{error}");
        }
    }

    #[test]
    fn keys_in_dialogs_are_set_like_all_others_and_checked_among_themselves() {
        let keymap = with(&[("dialog-close", &["ctrl-g"])]).unwrap();
        assert_eq!(keymap.in_dialog("ctrl-g"), Some(InDialog::Close));
        assert_eq!(keymap.in_dialog("esc"), None);
        assert_eq!(keymap.lookup("esc"), Some(Cmd::Back), "the screen has its own");
        // One key on the screen and in a dialog is no clash.
        assert!(with(&[("quit", &["ctrl-p"])]).is_ok());
        let words = |rows: &[(&str, &[&str])]| with(rows).unwrap_err().1.to_string();
        let clash = words(&[("dialog-close", &["enter"])]);
        assert!(
            clash.contains("`dialog-close`") && clash.contains("`dialog-confirm`"),
            "{clash}"
        );
        assert!(words(&[("dialog-next", &["j"])]).contains("typed into a field"));
        assert!(words(&[("dialog-close", &["home"])]).contains("edits one"));
        assert!(words(&[("dialog-confirm", &[])]).contains("needs a key"));
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
