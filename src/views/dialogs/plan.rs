//! A plan before it is confirmed: what can't be undone, what changes, what breaks on which host and what is in
//! the way stay in sight. Names scroll, commands are folded.

use super::sheet::{FieldCell, Line, Sheet, in_lines};
use crate::domain::id::EntityKind;
use crate::plan::plan::{LossOnHost, Plan};
use crate::plan::tier::{Ask, Harm, Tier};
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::layer::RunLayer;
use crate::state::run::Run;
use crate::widgets::text::columns;
use crate::widgets::theme::Meaning;

/// With more of them, losses are told by what is lost, the hosts counted.
const LOSSES: usize = 4;
/// Hosts that a line names; the rest is counted.
const HOSTS: usize = 12;
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
    if layer.commands {
        sheet.heading = "commands";
        let commands = plan.steps.iter().map(|step| &step.command);
        let commands = commands.filter(|command| !command.is_empty());
        sheet.scrolls = commands
            .map(|command| Line::Text(format!("$ {command}"), Meaning::Dim))
            .collect();
    } else {
        sheet.heading = "by name";
        let names = plan.by_name.iter();
        sheet.scrolls = names
            .map(|line| Line::Text(line.clone(), Meaning::Plain))
            .collect();
    }
    in_the_way(&mut sheet.below, &plan.in_the_way, width);
    sheet.below.push(Line::Rule("", String::new()));
    sheet.below.extend(in_lines(cells(plan, layer), width));
    let proof = crate::actions::find(run.action).map_or("", |action| action.spec().proof);
    sheet.proof.0 = sheet.below.len();
    Sheet::hang(&mut sheet.proof.1, "Proof   ", proof, width, Meaning::Dim);
    sheet.below.extend(asked(state, plan, layer, width));
    sheet.foot = foot(state, plan, layer);
    sheet.scrolled_by = state.keymap.hints(&[(InDialog::PageDown, "scrolls")]);
    sheet
}

fn above<'a>(sheet: &mut Sheet<'a>, plan: &'a Plan, width: usize) {
    if !plan.for_good.is_empty() || plan.reach().harm == Harm::Final {
        let words = format!("CAN'T BE UNDONE. {}", plan.for_good);
        Sheet::add(&mut sheet.above, words.trim_end(), width, Meaning::Bad);
    }
    for change in &plan.changes {
        Sheet::add(&mut sheet.above, change, width, Meaning::Plain);
    }
    if !plan.left_out.is_empty() {
        let causes = plan.left_out_by_cause().into_iter();
        let causes: Vec<String> = causes
            .map(|(why, names)| match names.as_slice() {
                [one] => format!("{one} ({why})"),
                many => format!("{} {why}", many.len()),
            })
            .collect();
        let words = format!("Left out: {}.", causes.join(", "));
        Sheet::add(&mut sheet.above, &words, width, Meaning::Warn);
    }
    let losses = plan.losses_by_host();
    if losses.is_empty() && plan.reach().harm < Harm::Changes {
        return;
    }
    sheet.above.push(Line::Rule("breaks", String::new()));
    match losses.as_slice() {
        [] => sheet
            .above
            .push(Line::Text("Nothing known.".to_owned(), Meaning::Plain)),
        few if few.len() <= LOSSES => {
            for loss in few {
                Sheet::hang(
                    &mut sheet.above,
                    &host(loss),
                    &names(loss, plan),
                    width,
                    Meaning::Warn,
                );
            }
        }
        many => by_cause(sheet, many, width),
    }
}

fn host(loss: &LossOnHost<'_>) -> String {
    let host = match loss.names.len() {
        1 => loss.host.to_owned(),
        n => format!("{} ×{n}", loss.host),
    };
    format!("{host:<HOST$} ", HOST = HOST.max(columns(&host)))
}

/// Of one thing, the title has the name.
fn names(loss: &LossOnHost<'_>, plan: &Plan) -> String {
    let own = plan.targets.first().map(|target| target.name.as_str());
    match (plan.targets.len(), loss.names.as_slice()) {
        (1, [name]) if own == Some(*name) => loss.what.to_owned(),
        _ => format!("{}: {}", loss.names.join(", "), loss.what),
    }
}

/// A line for each thing that is lost, with the hosts that lose it.
fn by_cause(sheet: &mut Sheet<'_>, losses: &[LossOnHost<'_>], width: usize) {
    let mut causes: Vec<(&str, Vec<String>)> = Vec::new();
    for loss in losses {
        let host = match loss.names.len() {
            1 => loss.host.to_owned(),
            n => format!("{} ×{n}", loss.host),
        };
        match causes.iter_mut().find(|(what, _)| *what == loss.what) {
            Some((_, hosts)) => hosts.push(host),
            None => causes.push((loss.what, vec![host])),
        }
    }
    for (what, hosts) in causes {
        let more = hosts.len().saturating_sub(HOSTS);
        let named = hosts[..hosts.len() - more].join(", ");
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let words = format!("{what}, on {}: {named}{more}", counted(hosts.len(), "host"));
        Sheet::add(&mut sheet.above, &words, width, Meaning::Warn);
    }
}

/// What is known to go wrong.
pub(super) fn in_the_way(lines: &mut Vec<Line<'_>>, known: &[String], width: usize) {
    lines.push(Line::Rule("in the way", String::new()));
    if known.is_empty() {
        lines.push(Line::Text("Nothing known.".to_owned(), Meaning::Plain));
    }
    for line in known {
        Sheet::hang(lines, "! ", line, width, Meaning::Warn);
    }
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
                Tier::Irreversible if !plan.phrase_is.is_empty() => format!("{} ({wanted})", plan.phrase_is),
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
    let n = plan.steps.iter().filter(|step| !step.command.is_empty()).count();
    let commands = match (layer.commands, n) {
        (true, _) => "names".to_owned(),
        (false, n) => format!("commands ({n})"),
    };
    let copies = state.keymap.call(Cmd::Copy);
    let copies = layer.commands.then(|| format!("{copies} copies them"));
    let mut hints = vec![(InDialog::NextField, "fields")];
    if n > 0 {
        hints.push((InDialog::Commands, commands.as_str()));
    }
    hints.push((InDialog::Close, "cancels"));
    let hints = state.keymap.hints(&hints);
    copies.into_iter().chain([hints]).collect::<Vec<_>>().join(", ")
}
