//! What the command line can lead to, ranked by how well it fits what is typed: every command by its
//! name, and everything that the console knows by its name or id. It carries nothing out.

use std::collections::BTreeSet;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::State;
use super::cmd::Cmd;
use super::query::Answer;
use super::screen::{Place, ViewId};
use super::typed::{self, Usage};
use crate::actions;

/// How many fitting lines are of use.
const MOST: usize = 50;

/// Where a line leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To a command.
    Cmd(Cmd),
    /// To a thing's detail.
    Place(Place),
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
    let commands = commands(state);
    if typed.trim().is_empty() {
        return commands;
    }
    // While the arguments of a command are typed, only that command is meant.
    let name = typed.split_whitespace().next().unwrap_or_default();
    if typed.trim_start().contains(' ')
        && let Some(meant) = commands
            .iter()
            .find(|it| it.name == name && matches!(it.leads, Leads::Typed(_)))
    {
        let rest = typed.trim_start()[name.len()..].trim().to_lowercase();
        let lines = lines(state).into_iter();
        let fitting = lines.filter(|line| line.name.split(' ').next() == Some(name));
        let fitting: Vec<Candidate> = fitting
            .filter(|line| {
                line.name
                    .to_lowercase()
                    .split(' ')
                    .any(|word| word.contains(&rest))
            })
            .collect();
        return if fitting.is_empty() {
            vec![meant.clone()]
        } else {
            fitting
        };
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(typed.trim(), CaseMatching::Smart, Normalization::Smart);
    let mut room = Vec::new();
    let mut ranked: Vec<(u32, usize, Candidate)> = commands
        .into_iter()
        .chain(lines(state))
        .chain(things(state))
        .enumerate()
        .filter_map(|(index, candidate)| {
            let text = match &candidate.leads {
                Leads::Cmd(Cmd::Start(id)) => {
                    let title = actions::find(id).map_or("", |action| action.spec().title);
                    format!("{} {title} {}", candidate.name, candidate.what)
                }
                Leads::Cmd(_) | Leads::Typed(_) => format!("{} {}", candidate.name, candidate.what),
                Leads::Place(_) | Leads::Line(_) => candidate.name.clone(),
            };
            let mut score = pattern.score(Utf32Str::new(&text, &mut room), &mut matcher)?;
            // A name typed in full, or its beginning, is meant.
            if candidate.name == typed.trim() {
                score += 10_000;
            } else if candidate.name.starts_with(typed.trim()) {
                score += 1_000;
            }
            Some((score, index, candidate))
        })
        .collect();
    ranked.sort_by_key(|(score, index, _)| (std::cmp::Reverse(*score), *index));
    let ranked = ranked.into_iter().take(MOST);
    let mut found: Vec<Candidate> = ranked.map(|(_, _, candidate)| candidate).collect();
    // What isn't known here may be known to the server.
    if !typed.starts_with("find") {
        found.push(line(
            "find",
            typed.trim(),
            "look for it among all certificates".to_owned(),
        ));
    }
    found
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
        .filter(|row| row.cmd != Cmd::CommandLine)
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

/// The lines that commands with arguments can be, as far as the arguments are known.
fn lines(state: &State) -> Vec<Candidate> {
    let contexts = state.contexts.iter().filter(|name| **name != state.context.name);
    let contexts = contexts.map(|name| line("context", name, "go on in this context".to_owned()));
    let saved = state.saved.iter().map(|(name, saved)| {
        let what = match saved.list.q.as_str() {
            "" => "the whole list".to_owned(),
            q => format!("/{q}"),
        };
        line("view", name, what)
    });
    let formats = ["text", "csv", "json", "timeline"];
    let formats = formats.iter().map(|name| line("export", name, String::new()));
    contexts.chain(saved).chain(formats).collect()
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
