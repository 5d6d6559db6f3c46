//! Rows of the keymap: keys, command, description, group. Help, hints and the clash check read them.

use super::cmd::Cmd;
use super::screen::ViewId;
use crate::actions;

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
    /// The keys, such as `j`, `down`, `ctrl-d`.
    pub keys: Vec<&'static str>,
    /// What they mean.
    pub cmd: Cmd,
    /// What it does, no period.
    pub what: &'static str,
    /// Where it stands in help.
    pub group: Group,
}

/// The whole keymap: the console's own rows and one for each action.
#[must_use]
pub fn keymap() -> Vec<Binding> {
    let row = |keys: &[&'static str], cmd, what, group| Binding {
        keys: keys.to_vec(),
        cmd,
        what,
        group,
    };
    let mut rows: Vec<Binding> = actions::ALL
        .iter()
        .map(|action| action.spec())
        .map(|spec| row(&[spec.key], Cmd::Start(spec.id), spec.help, Group::Act))
        .collect();
    rows.extend([
        row(&["j", "down"], Cmd::Down, "one row down", Group::Move),
        row(&["k", "up"], Cmd::Up, "one row up", Group::Move),
        row(&["g", "home"], Cmd::Top, "first row", Group::Move),
        row(&["G", "end"], Cmd::Bottom, "last row", Group::Move),
        row(
            &["ctrl-d", "pagedown"],
            Cmd::HalfDown,
            "half a page down",
            Group::Move,
        ),
        row(&["ctrl-u", "pageup"], Cmd::HalfUp, "half a page up", Group::Move),
        row(&["tab", "l", "right"], Cmd::NextPane, "next pane", Group::Move),
        row(
            &["backtab", "h", "left"],
            Cmd::PreviousPane,
            "pane before",
            Group::Move,
        ),
        row(&["enter", "d"], Cmd::Open, "open, describe", Group::Move),
        row(&["esc"], Cmd::Back, "back, or end a filter", Group::Move),
        row(&["/"], Cmd::Filter, "filter", Group::List),
        row(&["s"], Cmd::Sort, "sort by the next column", Group::List),
        row(&["S"], Cmd::Reverse, "turn the order round", Group::List),
        row(&["space"], Cmd::Mark, "mark, unmark", Group::List),
        row(&["\\"], Cmd::Unmark, "unmark all", Group::List),
        row(&["y"], Cmd::Copy, "copy", Group::List),
        row(&["1"], Cmd::Show(ViewId::Triage), "triage", Group::Screens),
        row(
            &["2"],
            Cmd::Show(ViewId::Certificates),
            "certificates",
            Group::Screens,
        ),
        row(&["3"], Cmd::Show(ViewId::Agents), "agents", Group::Screens),
        row(&["4"], Cmd::Show(ViewId::Requests), "requests", Group::Screens),
        row(&["5"], Cmd::Show(ViewId::Audit), "audit", Group::Screens),
        row(&["6"], Cmd::Show(ViewId::Services), "services", Group::Screens),
        row(&["7"], Cmd::Show(ViewId::Runs), "runs", Group::Screens),
        row(
            &["@"],
            Cmd::Show(ViewId::CommandLog),
            "command log",
            Group::Screens,
        ),
        row(&["ctrl-r"], Cmd::Refresh, "ask again", Group::Console),
        row(&["?"], Cmd::Help, "help", Group::Console),
        row(&["ctrl-z"], Cmd::Suspend, "suspend", Group::Console),
        row(&["q", "ctrl-c"], Cmd::Quit, "quit", Group::Console),
    ]);
    rows
}

/// Keys that stand in two rows, with both descriptions.
#[must_use]
pub fn clashes(rows: &[Binding]) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut clashes = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for key in &row.keys {
            clashes.extend(
                rows[index + 1..]
                    .iter()
                    .filter(|other| other.keys.contains(key))
                    .map(|other| (*key, row.what, other.what)),
            );
        }
    }
    clashes
}

/// What `key` means.
#[must_use]
pub fn lookup(rows: &[Binding], key: &str) -> Option<Cmd> {
    rows.iter().find(|row| row.keys.contains(&key)).map(|row| row.cmd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings() {
        assert_eq!(clashes(&keymap()), []);
    }

    #[test]
    fn a_clash_is_found_with_both_names() {
        let mut rows = keymap();
        rows.push(Binding {
            keys: vec!["X"],
            cmd: Cmd::Help,
            what: "other",
            group: Group::Console,
        });
        assert_eq!(clashes(&rows).len(), 1);
    }
}
