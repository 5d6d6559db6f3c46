//! A plan before it is confirmed: what can't be undone, what changes, what breaks on which host and what is in
//! the way stay in sight. Names scroll; all losses and the commands are folded.

use super::sheet::{FieldCell, Line, Pinned, Section, Sheet, Thing, in_lines};
use crate::domain::id::EntityKind;
use crate::domain::listed;
use crate::plan::plan::{LossOnHost, Plan};
use crate::plan::tier::{Ask, Harm, Tier};
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::layer::{Detail, RunLayer};
use crate::state::run::Run;
use crate::widgets::text::{columns, wrap};
use crate::widgets::theme::Meaning;

/// With more of them, losses are told by what is lost, the hosts counted.
const LOSSES: usize = 4;
/// Names of things that a line holds; the rest is counted.
const NAMES: usize = 8;
/// Numbers of kinds of loss that are named, and of hosts of each, in fewer and fewer lines; the rest is counted.
const SHORTER: [(usize, usize); 7] = [(20, 12), (20, 8), (20, 5), (20, 3), (20, 1), (3, 1), (1, 1)];
/// The column that what is lost begins at.
const HOST: usize = 11;

/// The title's note: how many things, on how many hosts.
pub(super) fn reach(plan: &Plan) -> String {
    let reach = plan.reach();
    let kind = plan.targets.first().map_or("thing", |target| target.kind.word());
    if plan.targets.iter().any(|target| target.kind == EntityKind::Vault) {
        return String::new();
    }
    let things = counted(reach.things, kind);
    match (reach.harm, reach.hosts) {
        (Harm::None | Harm::Shares, _) | (_, 0) => things,
        (_, hosts) => format!("{things}, {}", counted(hosts, "host")),
    }
}

fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// The sheet of a plan that waits for a person.
pub(super) fn sheet<'a>(
    state: &State,
    run: &Run,
    plan: &'a Plan,
    layer: &'a RunLayer,
    width: usize,
) -> Sheet<'a> {
    let mut sheet = Sheet::default();
    above(&mut sheet, plan, width);
    // All of them have the room of those that are cut.
    if layer.detail != Detail::Losses {
        sheet.losses = losses(state, plan, width);
    }
    sheet.sections.extend(detail(plan, layer, width));
    sheet.in_the_way = in_the_way(&plan.in_the_way, width);
    sheet.below.push(Line::Rule("", String::new()));
    sheet.below.extend(in_lines(cells(plan, layer), width));
    let proof = crate::actions::find(run.action).map_or_else(String::new, |action| action.proof(plan));
    sheet.proof.0 = sheet.below.len();
    Sheet::hang(&mut sheet.proof.1, "Proof   ", &proof, width, Meaning::Dim);
    sheet.below.extend(asked(state, plan, layer, width));
    sheet.foot = foot(state, plan, layer);
    sheet.scrolled_by = state.keymap.hints(&[(InDialog::PageDown, "scrolls")]);
    sheet
}

/// The scrolling part: the names, or in their place the detail that `layer` asks for.
fn detail<'a>(plan: &'a Plan, layer: &RunLayer, width: usize) -> Option<Section<'a>> {
    let (heading, things): (_, Vec<Thing<'a>>) = match layer.detail {
        Detail::Names => {
            let line = |line: &String| vec![Line::Text(line.clone(), Meaning::Plain)];
            ("by name", plan.by_name.iter().map(line).collect())
        }
        Detail::Losses => {
            let all = largest_first(plan.losses_by_host());
            let thing = |loss: &LossOnHost<'_>| {
                Sheet::hung(&host(loss), &names(loss, plan, usize::MAX), width, Meaning::Warn)
            };
            ("all losses", all.iter().map(thing).collect())
        }
        Detail::Commands => {
            let commands = plan.steps.iter().map(|step| &step.command);
            let commands = commands.filter(|command| !command.is_empty());
            let line = |command: &String| vec![Line::Text(format!("$ {command}"), Meaning::Dim)];
            ("commands", commands.map(line).collect())
        }
    };
    (!things.is_empty()).then_some(Section { heading, things })
}

fn above<'a>(sheet: &mut Sheet<'a>, plan: &'a Plan, width: usize) {
    let for_good = match plan.reach().harm {
        Harm::Final => format!("CAN'T BE UNDONE. {}", plan.for_good),
        _ => plan.for_good.clone(),
    };
    if !for_good.is_empty() {
        sheet
            .above
            .push(Sheet::thing(for_good.trim_end(), width, Meaning::Bad));
    }
    let changes = plan.changes.iter();
    sheet
        .above
        .extend(changes.map(|change| Sheet::thing(change, width, Meaning::Plain)));
    if plan.left_out.is_empty() {
        return;
    }
    // It stays in sight behind what weighs most, in one line where there is no room for more.
    let whole = left_out(plan, usize::MAX);
    let shorter = (0..plan.left_out.len()).rev().map(|n| left_out(plan, n));
    let short = shorter.into_iter().find(|words| columns(words) <= width);
    let line = |words: String| vec![Line::Text(words, Meaning::Warn)];
    sheet.short = short.filter(|_| columns(&whole) > width).map(line);
    let at = sheet.above.len().min(1);
    sheet.above.insert(at, Sheet::thing(&whole, width, Meaning::Warn));
    sheet.kept = at + 1;
}

/// Things left out by their causes, the first `most` of them named and the things of the others counted.
fn left_out(plan: &Plan, most: usize) -> String {
    let causes = plan.left_out_by_cause();
    let named: Vec<String> = (causes.iter().take(most))
        .map(|(why, names)| match names.as_slice() {
            [one] => format!("{one} ({why})"),
            many => format!("{} {why}", many.len()),
        })
        .collect();
    let more: usize = causes.iter().skip(most).map(|(_, names)| names.len()).sum();
    format!("Left out: {}.", listed::listed(&named, named.len() + more))
}

/// Losses, whole and then shorter and shorter.
fn losses<'a>(state: &State, plan: &Plan, width: usize) -> Vec<Pinned<'a>> {
    let losses = largest_first(plan.losses_by_host());
    if losses.is_empty() && plan.reach().harm < Harm::Changes {
        return Vec::new();
    }
    if losses.is_empty() {
        return vec![Pinned {
            things: vec![Sheet::thing("Nothing known.", width, Meaning::Plain)],
            more: String::new(),
        }];
    }
    let shows = state.keymap.hints(&[(InDialog::Commands, "shows all")]);
    let more = |is_cut: bool| if is_cut { shows.clone() } else { String::new() };
    let mut shorter = Vec::new();
    if losses.len() <= LOSSES {
        let thing =
            |loss: &LossOnHost<'_>| Sheet::hung(&host(loss), &names(loss, plan, NAMES), width, Meaning::Warn);
        let is_cut = losses.iter().any(|loss| loss.names.len() > NAMES);
        shorter.push(Pinned {
            things: losses.iter().map(thing).collect(),
            more: more(is_cut),
        });
    }
    let causes = by_cause(&losses);
    shorter.extend(SHORTER.map(|(n_causes, n_hosts)| {
        let named = causes.iter().take(n_causes);
        let mut is_cut = causes.len() > n_causes;
        let mut things: Vec<Thing<'a>> = named
            .map(|(what, hosts)| {
                is_cut |= hosts.len() > n_hosts;
                Sheet::thing(&on_hosts(what, hosts, n_hosts), width, Meaning::Warn)
            })
            .collect();
        if causes.len() > n_causes {
            let words = format!("and {} more losses", causes.len() - n_causes);
            things.push(Sheet::thing(&words, width, Meaning::Warn));
        }
        Pinned {
            things,
            more: more(is_cut),
        }
    }));
    shorter
}

/// The host, and how many things of its are hit.
fn on_host(loss: &LossOnHost<'_>) -> String {
    match loss.names.len() {
        1 => loss.host.to_owned(),
        n => format!("{} ×{n}", loss.host),
    }
}

fn host(loss: &LossOnHost<'_>) -> String {
    let host = on_host(loss);
    format!("{host:<HOST$} ", HOST = HOST.max(columns(&host)))
}

/// Of one thing, the title has the name.
fn names(loss: &LossOnHost<'_>, plan: &Plan, most: usize) -> String {
    let own = plan.targets.first().map(|target| target.name.as_str());
    match (plan.targets.len(), loss.names.as_slice()) {
        (1, [name]) if own == Some(*name) => loss.what.to_owned(),
        _ => format!("{}: {}", up_to(&loss.names, most, ""), loss.what),
    }
}

/// The first `most` names, and the number of the others.
fn up_to(names: &[&str], most: usize, what: &str) -> String {
    let named = listed::first(names, most);
    match names.len() > most {
        true => format!("{named}{what}"),
        false => named,
    }
}

/// Losses of each cause, how many of what are hit.
fn weight(losses: &[LossOnHost<'_>], what: &str) -> usize {
    let same = losses.iter().filter(|loss| loss.what == what);
    same.map(|loss| loss.names.len()).sum()
}

/// Losses with the cause first that hits the most.
fn largest_first(mut losses: Vec<LossOnHost<'_>>) -> Vec<LossOnHost<'_>> {
    let mut weights: Vec<(usize, String)> = Vec::new();
    for loss in &losses {
        if !weights.iter().any(|(_, what)| what == loss.what) {
            weights.push((weight(&losses, loss.what), loss.what.to_owned()));
        }
    }
    weights.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    losses.sort_by_key(|loss| weights.iter().position(|(_, what)| what == loss.what));
    losses
}

/// Causes of losses in their order, each with the hosts that have it, those that lose most first.
fn by_cause<'a>(losses: &[LossOnHost<'a>]) -> Vec<(&'a str, Vec<String>)> {
    let mut causes: Vec<(&'a str, Vec<&LossOnHost<'a>>)> = Vec::new();
    for loss in losses {
        match causes.iter_mut().find(|(what, _)| *what == loss.what) {
            Some((_, hosts)) => hosts.push(loss),
            None => causes.push((loss.what, vec![loss])),
        }
    }
    let named = |(what, mut hosts): (&'a str, Vec<&LossOnHost<'a>>)| {
        hosts.sort_by_key(|loss| std::cmp::Reverse(loss.names.len()));
        (what, hosts.into_iter().map(on_host).collect())
    };
    causes.into_iter().map(named).collect()
}

/// `no longer served, on 14 hosts: web-01 ×4, web-02 and 12 more hosts`.
fn on_hosts(what: &str, hosts: &[String], most: usize) -> String {
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let more = if hosts.len() == most + 1 {
        " host"
    } else {
        " hosts"
    };
    let named = up_to(&names, most, more);
    format!("{what}, on {}: {named}", counted(hosts.len(), "host"))
}

/// What is known to go wrong.
pub(super) fn in_the_way<'a>(known: &[String], width: usize) -> Vec<Thing<'a>> {
    if known.is_empty() {
        return vec![Sheet::thing("Nothing known.", width, Meaning::Plain)];
    }
    let known = known.iter();
    known
        .map(|line| Sheet::hung("! ", line, width, Meaning::Warn))
        .collect()
}

fn cells<'a>(plan: &'a Plan, layer: &'a RunLayer) -> Vec<FieldCell<'a>> {
    let n = plan.fields.len();
    let own = plan
        .fields
        .iter()
        .zip(&layer.fields)
        .enumerate()
        .map(|(index, (field, value))| {
            let chosen = (!field.options.is_empty()).then_some(field.value.as_str());
            FieldCell::new(&field.label, value, chosen, layer.focus == index + 1)
        });
    let why = FieldCell::new("Why", &layer.comment, None, layer.focus == n + 1);
    let mut ticket = FieldCell::new("Ticket", &layer.ticket, None, layer.focus == n + 2);
    ticket.width = 10;
    own.chain([why, ticket]).collect()
}

/// What a person must do.
fn asked<'a>(state: &State, plan: &'a Plan, layer: &'a RunLayer, width: usize) -> Vec<Line<'a>> {
    let focused = layer.focus == 0;
    // The plan above was made with another text: it can't be confirmed, and says so.
    if let Some(field) = layer.changed(plan) {
        let plans = state.keymap.call(Cmd::Dialog(InDialog::Confirm));
        let label = field.label.to_lowercase();
        let made = match field.value.as_str() {
            "" => format!("This plan is without {label}"),
            value => format!("This plan is for {label} {value}"),
        };
        let words = format!("{made}; {plans} makes it anew for what is typed.");
        let lines = wrap(&words, width).into_iter();
        return lines.map(|line| Line::Text(line, Meaning::Warn)).collect();
    }
    match plan.asks(state.context.for_plans()) {
        Ask::Nothing => Vec::new(),
        Ask::Yes => {
            let meaning = if focused { Meaning::Key } else { Meaning::Dim };
            let words = match plan.in_the_way.is_empty() {
                true => "press y to carry it out",
                false => "press y to carry it out all the same",
            };
            vec![Line::Text(words.to_owned(), meaning)]
        }
        Ask::Type(wanted) => {
            let confirm = state.keymap.call(Cmd::Dialog(InDialog::Confirm));
            let what = match plan.tier() {
                Tier::Backward | Tier::Irreversible if !plan.phrase_is.is_empty() => {
                    format!("{} ({wanted})", plan.phrase_is)
                }
                _ => wanted,
            };
            let label = format!("Type {what}, then {confirm}:");
            let mut cell = FieldCell::new(&label, &layer.typed, None, focused);
            cell.width = width.saturating_sub(columns(&label) + 2).clamp(4, 24);
            vec![Line::Fields(vec![cell])]
        }
    }
}

fn foot(state: &State, plan: &Plan, layer: &RunLayer) -> String {
    let n = plan.n_commands();
    let next = match layer.detail.next(plan) {
        Detail::Names if plan.by_name.is_empty() => "hides them".to_owned(),
        Detail::Names => "names".to_owned(),
        Detail::Losses => "all losses".to_owned(),
        Detail::Commands => format!("commands ({n})"),
    };
    let mut hints = Vec::new();
    if layer.detail == Detail::Commands {
        hints.push((InDialog::CopyCommands, "copies them"));
    }
    hints.push((InDialog::NextField, "fields"));
    if layer.detail.next(plan) != layer.detail {
        hints.push((InDialog::Commands, next.as_str()));
    }
    hints.push((InDialog::Close, "cancels"));
    state.keymap.hints(&hints)
}
