//! Lines that the command line can lead to, ranked by how well they fit what is typed: every command by its name
//! and aliases, and everything that the console knows by its name or id. Descriptions are never matched: the
//! letters of a wish are in one sooner or later. It carries nothing out.

use std::collections::BTreeSet;

use super::State;
use super::aliases::{aliases, named};
use super::cmd::Cmd;
use super::query::Answer;
use super::screen::{Place, ViewId};
use super::typed::{self, Usage};
use crate::domain::id::{EntityKind, kind_of};

/// How many fitting lines are of use.
const MOST: usize = 50;

/// Where a line leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To a command.
    Cmd(Cmd),
    /// To a thing's detail.
    Place(Place),
    /// To a list, filtered.
    List(ViewId, String),
    /// To a command that takes arguments.
    Typed(&'static Usage),
    /// To a whole line: a command with an argument that it can have.
    Line(String),
}

impl PartialEq for Usage {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Usage {}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What is matched: a command's name, or a thing's name and id.
    pub name: String,
    /// Its key, if it is a command that has one, or what sort of thing it is.
    pub note: String,
    /// What it does.
    pub what: String,
    /// Where it leads.
    pub leads: Leads,
}

/// All that fits `typed`, the best first; with nothing typed every command.
#[must_use]
pub fn candidates(state: &State, typed: &str) -> Vec<Candidate> {
    candidates_with(state, typed, &[])
}

/// Lines for what is typed, where the open list can be sorted by `sorts`.
#[must_use]
pub fn candidates_with(state: &State, typed: &str, sorts: &[&str]) -> Vec<Candidate> {
    let commands = commands(state);
    if typed.trim().is_empty() {
        return commands;
    }
    // While the arguments of a command are typed, only that command is meant.
    let name = named(typed.split_whitespace().next().unwrap_or_default());
    if typed.trim_start().contains(' ')
        && let Some(meant) = commands
            .iter()
            .find(|it| it.name == name && matches!(it.leads, Leads::Typed(_)))
    {
        let rest = typed
            .trim_start()
            .split_once(' ')
            .map_or("", |(_, rest)| rest)
            .trim()
            .to_lowercase();
        let lines = lines(state, sorts).into_iter();
        let fitting = lines.filter(|line| line.name.split(' ').next() == Some(name));
        let fitting: Vec<Candidate> = fitting
            .filter(|line| {
                let arguments = line.name[name.len()..].trim_start().to_lowercase();
                arguments.starts_with(&rest) || arguments.split(' ').any(|word| word.contains(&rest))
            })
            .collect();
        return if fitting.is_empty() {
            vec![meant.clone()]
        } else {
            fitting
        };
    }
    let wanted = typed.trim().to_lowercase();
    let mut ranked: Vec<(u8, usize, Candidate)> = commands
        .into_iter()
        .chain(lines(state, sorts))
        .chain(things(state))
        .enumerate()
        .filter_map(|(index, candidate)| Some((fits(&candidate, &wanted)?, index, candidate)))
        .collect();
    ranked.sort_by_key(|(rank, index, _)| (*rank, *index));
    let ranked = ranked.into_iter().take(MOST);
    let mut found: Vec<Candidate> = ranked.map(|(_, _, candidate)| candidate).collect();
    // An id says by itself where it leads, though nothing is known of it here yet.
    if let Some(by_id) = by_id(typed.trim())
        && !found.iter().any(|other| other.leads == by_id.leads)
    {
        found.insert(0, by_id);
    }
    // What isn't known here may be known to the server.
    if !typed.starts_with("find") {
        found.push(line("find", typed.trim(), "search all certificates".to_owned()));
    }
    found
}

/// How well a candidate fits, 0 being best: in full, by its beginning, by a word's beginning, or by a part of it.
fn fits(candidate: &Candidate, wanted: &str) -> Option<u8> {
    let aliases = match candidate.leads {
        Leads::Cmd(_) | Leads::Typed(_) => aliases(&candidate.name),
        Leads::Place(_) | Leads::List(..) | Leads::Line(_) => &[],
    };
    let names = std::iter::once(candidate.name.as_str()).chain(aliases.iter().copied());
    let rank = |name: &str| {
        let name = name.to_lowercase();
        let mut words = name.split([' ', '-', '.']);
        let is_thing = name.split(' ').any(|word| word == wanted);
        match () {
            () if name == wanted || is_thing => Some(0),
            () if name.starts_with(wanted) => Some(1),
            () if words.any(|word| word.starts_with(wanted)) => Some(2),
            () if name.contains(wanted) => Some(3),
            () => None,
        }
    };
    names.filter_map(rank).min()
}

/// The one that `typed` names in full: a command by its name or an alias, a thing by its name or id. Nothing
/// where it is only near, or several are called so.
#[must_use]
pub fn whole(state: &State, typed: &str) -> Option<Candidate> {
    let typed = typed.trim();
    let name = named(typed);
    if let Some(command) = commands(state).into_iter().find(|it| it.name == name) {
        return Some(command);
    }
    let things: Vec<Candidate> = things(state)
        .into_iter()
        .filter(|thing| thing.name.split(' ').any(|word| word.eq_ignore_ascii_case(typed)))
        .collect();
    match things.as_slice() {
        [one] => Some(one.clone()),
        [] => by_id(typed),
        _ => None,
    }
}

/// Commands that may have been meant by `typed`, which none is called.
#[must_use]
pub fn near(state: &State, typed: &str) -> Vec<Candidate> {
    let word = typed.split_whitespace().next().unwrap_or_default().to_lowercase();
    let is_near = |name: &str| {
        let shared = name
            .chars()
            .zip(word.chars())
            .take_while(|(one, other)| one == other)
            .count();
        shared >= 4 || (word.len() >= 3 && steps_between(name, &word) <= 1 + usize::from(word.len() > 5))
    };
    let mut near = commands(state);
    near.retain(|it| {
        std::iter::once(it.name.as_str())
            .chain(aliases(&it.name).iter().copied())
            .any(is_near)
    });
    near.truncate(3);
    near
}

/// How many letters have to be put in, taken out or changed to make one word of the other.
fn steps_between(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.chars().take(32).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Where a whole id leads.
fn by_id(id: &str) -> Option<Candidate> {
    let kind = kind_of(id)?;
    let detail = |view, subject: &str| {
        Leads::Place(Place {
            view,
            subject: Some(subject.to_owned()),
        })
    };
    let leads = match kind {
        EntityKind::Certificate => detail(ViewId::Certificate, id),
        EntityKind::Agent => detail(ViewId::Agent, id),
        EntityKind::Request => detail(ViewId::Request, id),
        EntityKind::Audit => {
            let seq: i64 = id.split_once('_')?.1.parse().ok()?;
            detail(ViewId::AuditRow, &seq.to_string())
        }
        EntityKind::Run => Leads::List(ViewId::Audit, format!("run:{id}")),
        _ => return None,
    };
    let what = match kind {
        EntityKind::Run => "its audit rows",
        _ => "by its id",
    };
    Some(Candidate {
        name: id.to_owned(),
        note: kind.word().to_owned(),
        what: what.to_owned(),
        leads,
    })
}

/// A command with an argument.
fn line(name: &str, argument: &str, what: String) -> Candidate {
    let line = format!("{name} {argument}");
    Candidate {
        name: line.clone(),
        note: String::new(),
        what,
        leads: Leads::Line(line),
    }
}

fn commands(state: &State) -> Vec<Candidate> {
    let rows = state.keymap.rows().iter();
    let rows = rows
        .filter(|row| !matches!(row.cmd, Cmd::CommandLine | Cmd::Dialog(_)))
        .map(|row| Candidate {
            name: row.name.to_owned(),
            note: row.keys.first().cloned().unwrap_or_default(),
            what: row.what.to_owned(),
            leads: Leads::Cmd(row.cmd),
        });
    let typed = typed::ALL.iter().map(|usage| Candidate {
        name: usage.name.to_owned(),
        note: usage.arguments.to_owned(),
        what: usage.what.to_owned(),
        leads: Leads::Typed(usage),
    });
    rows.chain(typed).collect()
}

/// The lines that commands with arguments can be, as far as the arguments are known; `sorts` is what the
/// open list can be sorted by.
fn lines(state: &State, sorts: &[&str]) -> Vec<Candidate> {
    let contexts = state.contexts.iter().map(|context| &context.name);
    let contexts = contexts.filter(|name| **name != state.context.name);
    let contexts = contexts.map(|name| line("context", name, "go on in this context".to_owned()));
    let saved = |command: &'static str| {
        state.saved.iter().map(move |(name, saved)| {
            let what = match saved.list.q.as_str() {
                "" => "the whole list".to_owned(),
                q => format!("/{q}"),
            };
            line(command, name, what)
        })
    };
    let orders = sorts.iter().flat_map(|column| {
        let falling = format!("-{column}");
        [
            line("sort", column, String::new()),
            line("sort", &falling, "falling".to_owned()),
        ]
    });
    // A ticket comes after it.
    let spans = ["15m", "30m", "1h", "4h"];
    let spans = spans
        .iter()
        .map(|span| line("unlock", span, "and a ticket".to_owned()));
    let formats = ["text", "csv", "json", "timeline"];
    let formats = formats.iter().map(|name| line("export", name, String::new()));
    contexts
        .chain(saved("view"))
        .chain(saved("forget"))
        .chain(formats)
        .chain(orders)
        .chain(spans)
        .collect()
}

/// Everything that was answered so far, each thing once.
fn things(state: &State) -> Vec<Candidate> {
    let mut seen = BTreeSet::new();
    let mut things = Vec::new();
    let mut add = |view, id: &str, name: &str, what: String| {
        if seen.insert(id.to_owned()) {
            things.push(Candidate {
                name: format!("{name} {id}"),
                note: match view {
                    ViewId::Agent => "agent",
                    ViewId::Request => "request",
                    _ => "certificate",
                }
                .to_owned(),
                what,
                leads: Leads::Place(Place {
                    view,
                    subject: Some(id.to_owned()),
                }),
            });
        }
    };
    for answer in state.data.values().filter_map(|loaded| loaded.value.as_ref()) {
        match answer {
            Answer::Certificates(window) => {
                for it in &window.rows {
                    let what = format!("serial {}", it.serial);
                    add(ViewId::Certificate, &it.id, it.name(), what);
                }
            }
            Answer::Agents(window) => {
                for it in &window.rows {
                    add(ViewId::Agent, &it.id, &it.hostname, it.address.clone());
                }
            }
            Answer::Requests(window) => {
                for it in &window.rows {
                    add(ViewId::Request, &it.id, &it.common_name, it.why());
                }
            }
            _ => {}
        }
    }
    things
}
