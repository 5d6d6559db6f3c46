//! Layers: dialogs above the screen. The topmost one gets the keys. A dialog hears keys only after it
//! was painted: what was typed before it was on screen was not meant for it.

use tui_textarea::TextArea;

use super::screen::{Place, ViewId};
use crate::plan::plan::{Field, Plan};

/// A dialog.
#[derive(Clone, Debug)]
pub enum Layer {
    /// The keys.
    Help {
        /// The first line shown.
        scroll: u16,
    },
    /// The filter of a list.
    Filter(Box<FilterLine>),
    /// The line in a filter's place where there is nothing to filter: what is typed for one is no command.
    NoFilter,
    /// A choice by one key.
    Menu(Box<Menu>),
    /// The command line.
    CommandLine(Box<CommandLine>),
    /// A run: its plan, then its steps.
    Run(Box<RunLayer>),
}

/// What is typed as a filter.
#[derive(Clone, Debug, Default)]
pub struct FilterLine {
    /// What is typed.
    pub typed: TextArea<'static>,
    /// Place among the earlier filters, counted backwards; 0 for one that is typed anew.
    pub back: usize,
    /// The filter that was shown when it was opened.
    pub before: String,
    /// The text when it was looked at last; none before something was typed: until then the list stays as it was.
    pub noted: Option<String>,
    /// The filter that was asked ahead, while its answer is awaited.
    pub asked: Option<String>,
}

impl FilterLine {
    /// Earlier filters, the one that was shown first, then those that were `used`, the newest of them first.
    #[must_use]
    pub fn earlier<'a>(&'a self, used: &'a [String]) -> Vec<&'a str> {
        let shown = Some(self.before.as_str()).filter(|before| !before.is_empty());
        let used = used.iter().rev().map(String::as_str);
        shown
            .into_iter()
            .chain(used.filter(|used| *used != self.before))
            .collect()
    }
}

/// A choice: each item has a key of its own, and the cursor reaches all of them.
#[derive(Clone, Debug)]
pub struct Menu {
    /// What is chosen.
    pub title: String,
    /// What there is to choose from.
    pub items: Vec<MenuItem>,
    /// The one with the cursor.
    pub picked: usize,
}

impl Menu {
    /// With the cursor on the first item. What came by two ways is there once. Two items may want one key:
    /// the first has it, the other one gets a letter that none wants, one of its own words' if it can.
    #[must_use]
    pub fn new(title: &str, items: Vec<MenuItem>) -> Self {
        let mut once: Vec<MenuItem> = Vec::new();
        for item in items {
            let same = |other: &MenuItem| other.key == item.key && other.leads == item.leads;
            if !once.iter().any(same) {
                once.push(item);
            }
        }
        let mut taken: Vec<char> = once.iter().map(|item| item.key).collect();
        // These move and close.
        taken.extend("jkq".chars());
        let mut given = Vec::new();
        for item in &mut once {
            if given.contains(&item.key) {
                item.key = free_key(&item.what, &taken);
                taken.push(item.key);
            }
            given.push(item.key);
        }
        Self {
            title: title.to_owned(),
            items: once,
            picked: 0,
        }
    }
}

/// A letter that isn't taken, from `what` if it has one; where all are, none: the cursor still reaches it.
fn free_key(what: &str, taken: &[char]) -> char {
    let own = what.chars().map(|c| c.to_ascii_lowercase());
    let own = own.filter(char::is_ascii_lowercase);
    let mut keys = own.chain('a'..='z').chain('A'..='Z').chain('0'..='9');
    keys.find(|key| !taken.contains(key)).unwrap_or(' ')
}

/// One thing that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuItem {
    /// Its key.
    pub key: char,
    /// What it is.
    pub what: String,
    /// What comes of it.
    pub leads: Chosen,
}

/// What comes of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A list, filtered.
    List(ViewId, String),
    /// A screen.
    Place(Place),
    /// A text goes to the clipboard.
    Copy(String),
    /// The certificate with this id goes to the clipboard, in PEM.
    CopyPem(String),
}

/// What is typed on the command line, and which of the lines that fit is picked.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    /// What is typed.
    pub typed: TextArea<'static>,
    /// The picked line, from 1 for the best; 0 for what is typed.
    pub picked: usize,
    /// How far back among the lines that were typed, 0 for what is typed anew.
    pub back: usize,
    /// What is wrong with it, until the next letter.
    pub error: Option<String>,
}

/// How far a dialog has come on its way to the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Not sent yet.
    Not,
    /// Sent, with the frame of this number.
    Sent(u64),
    /// On the screen: what is typed now is meant for it.
    Seen,
}

/// The scrolling part of a plan's dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Each thing by name.
    Names,
    /// Everything that is lost, host by host.
    Losses,
    /// The equivalent commands.
    Commands,
}

impl Detail {
    /// The part that the key shows next; one that has nothing to show is passed over.
    #[must_use]
    pub fn next(self, plan: &Plan) -> Self {
        let has_losses = plan.losses.len() > 1;
        let has_commands = plan.n_commands() > 0;
        match self {
            Self::Names if has_losses => Self::Losses,
            Self::Names | Self::Losses if has_commands => Self::Commands,
            Self::Names | Self::Losses | Self::Commands => Self::Names,
        }
    }
}

/// The dialog of one run.
#[derive(Clone, Debug)]
pub struct RunLayer {
    /// Which run.
    pub run: String,
    /// Whether it is on the screen in its present phase; only then it hears keys.
    pub shown: Shown,
    /// Where the focus is: 0 is the confirmation, then the plan's fields, then reason, then ticket.
    pub focus: usize,
    /// What is typed to confirm.
    pub typed: TextArea<'static>,
    /// The text of the plan's fields, in their order.
    pub fields: Vec<TextArea<'static>>,
    /// Why, in the operator's words.
    pub comment: TextArea<'static>,
    /// The ticket.
    pub ticket: TextArea<'static>,
    /// How many characters the hidden field of a secret holds.
    pub secret_typed: usize,
    /// How many shares of a demo were taken so far.
    pub shares_taken: usize,
    /// How many keys came before it was on the screen.
    pub dropped: usize,
    /// What is wrong with what was entered.
    pub complaint: Option<String>,
    /// How far what scrolls is scrolled.
    pub scroll: u16,
    /// The scrolling part, while it is a plan.
    pub detail: Detail,
}

impl RunLayer {
    /// The first field whose text isn't the one that `plan` was made with.
    #[must_use]
    pub fn changed<'a>(&self, plan: &'a Plan) -> Option<&'a Field> {
        let mut fields = plan.fields.iter().zip(&self.fields);
        let changed = fields.find(|(field, area)| area.lines().first() != Some(&field.value));
        changed.map(|(field, _)| field)
    }

    /// For a run that was just started.
    #[must_use]
    pub fn new(run: String) -> Self {
        Self {
            run,
            shown: Shown::Not,
            focus: 0,
            typed: TextArea::default(),
            fields: Vec::new(),
            comment: TextArea::default(),
            ticket: TextArea::default(),
            secret_typed: 0,
            shares_taken: 0,
            dropped: 0,
            complaint: None,
            scroll: 0,
            detail: Detail::Names,
        }
    }

    /// Whether what is typed now was typed by somebody who could see it.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.shown == Shown::Seen
    }

    /// How many places the focus can be at.
    #[must_use]
    pub fn n_focus(&self) -> usize {
        self.fields.len() + 3
    }
}

/// The text of a one-line field.
#[must_use]
pub fn line(area: &TextArea<'_>) -> String {
    area.lines().first().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_choice_is_lost_where_two_want_one_key() {
        let item = |key, what: &str, copies: &str| MenuItem {
            key,
            what: what.to_owned(),
            leads: Chosen::Copy(copies.to_owned()),
        };
        let items = vec![
            item('c', "its certificate", "1"),
            item('c', "the certificate", "1"),
            item('c', "another", "2"),
            item('t', "ticket", "3"),
            item('c', "a jackal", "4"),
        ];
        let menu = Menu::new("Go to", items);
        let keys: String = menu.items.iter().map(|item| item.key).collect();
        assert_eq!(keys, "catl");
        let many = (0..70).map(|n| item('x', "x", &n.to_string())).collect();
        assert_eq!(Menu::new("Go to", many).items.len(), 70);
    }
}
