//! Keys inside dialogs. A run's dialog hears nothing before it was painted, confirms by the rule of its
//! plan's tier only, and never by the key that opened it.

use tui_textarea::{Input, Key, TextArea};

use super::layers::{self, field, fields};
use super::{clipboard, cursor, live_filter, starting, wiped};
use crate::domain::link::Backend;
use crate::plan::confirm::{Answer, confirm};
use crate::plan::plan::Plan;
use crate::plan::tier::Ask;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::effect::Effect;
use crate::state::event::Ignored;
use crate::state::layer::{Detail, FilterLine, Layer, RunLayer, Shown, line};
use crate::state::run::Phase;
use crate::state::screen::ViewId;
use crate::state::{State, Tone};
use crate::views;
use crate::wire::filter::Filter;

/// The longest text that a field takes, in characters.
const LONGEST: usize = 1024;

/// A key for the topmost dialog.
pub(super) fn key(state: &mut State, key: &str, effects: &mut Vec<Effect>) {
    match state.layers.pop() {
        None => {}
        Some(Layer::Help { scroll }) => {
            let scroll = match state.keymap.in_plain_dialog(key) {
                Some(InDialog::Close) => return,
                Some(InDialog::Next) => scroll.saturating_add(1),
                Some(InDialog::Previous) => scroll.saturating_sub(1),
                Some(InDialog::PageDown) => scroll.saturating_add(10),
                Some(InDialog::PageUp) => scroll.saturating_sub(10),
                _ => scroll,
            };
            let scroll = scroll.min(views::dialogs::last_scroll_of_help(state));
            state.layers.push(Layer::Help { scroll });
        }
        Some(Layer::Filter(layer)) => filter_key(state, layer, key),
        Some(Layer::NoFilter) => {
            let ends = matches!(
                state.keymap.in_dialog(key),
                Some(InDialog::Close | InDialog::Confirm)
            );
            if !ends {
                state.layers.push(Layer::NoFilter);
            }
        }
        // These have files of their own.
        Some(layer @ (Layer::CommandLine(_) | Layer::Menu(_))) => state.layers.push(layer),
        Some(Layer::Run(layer)) => run_key(state, layer, key, effects),
    }
}

fn filter_key(state: &mut State, mut layer: Box<FilterLine>, key: &str) {
    match state.keymap.in_dialog(key) {
        Some(InDialog::Close) => return live_filter::take_back(state, &layer),
        Some(is @ (InDialog::Previous | InDialog::Older | InDialog::Next | InDialog::Newer)) => {
            let earlier = layer.earlier(&state.filters_used);
            let back = match is {
                InDialog::Previous | InDialog::Older => (layer.back + 1).min(earlier.len()),
                _ => layer.back.saturating_sub(1),
            };
            let text = back.checked_sub(1).and_then(|at| earlier.get(at));
            layer.typed = field(text.map_or("", |text| text));
            layer.back = back;
        }
        Some(InDialog::Confirm) => {
            let typed = line(&layer.typed).trim().to_owned();
            match Filter::read(&typed, views::find(state.place().view).filters) {
                Ok(_) => {
                    if !typed.is_empty() {
                        state.filters_used.retain(|used| *used != typed);
                        state.filters_used.push(typed.clone());
                    }
                    // A list that was shown as its filter was typed stays as it is.
                    if state.screen().list.q != typed {
                        state.screen_mut().list.q = typed;
                        cursor::begin(state);
                    }
                    return;
                }
                Err(why) => state.say(Tone::Bad, why),
            }
        }
        _ => type_into(&mut layer.typed, key),
    }
    state.layers.push(Layer::Filter(layer));
}

/// Text was pasted: into the field that has the focus, or nowhere. A line break is never a key, a
/// confirmation is typed, and a private key never comes this far.
pub(super) fn paste(state: &mut State, text: &str) {
    // A certificate in PEM is a clue, and longer than anything else.
    let longest = match state.layers.last() {
        Some(Layer::CommandLine(_)) => 16 * LONGEST,
        _ => LONGEST,
    };
    let text = text.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
    let text: String = text
        .trim_end()
        .chars()
        .filter(|c| !c.is_control())
        .take(longest)
        .collect();
    match state.layers.last_mut() {
        Some(Layer::Filter(layer)) => drop(layer.typed.insert_str(text)),
        Some(Layer::CommandLine(layer)) => drop(layer.typed.insert_str(text)),
        Some(Layer::Run(layer)) if layer.hears() && layer.focus == 0 => {
            layer.complaint = Some("what was pasted was dropped: a confirmation is typed".to_owned());
        }
        Some(Layer::Run(layer)) if layer.hears() => {
            if let Some(area) = focused_area(layer) {
                area.insert_str(text);
            }
        }
        _ => state.say(Tone::Plain, "pasted text was ignored: no field is open"),
    }
}

/// Keys were dropped: that is said where the person looks.
pub(super) fn ignored(state: &mut State, n: usize, why: Ignored) {
    let asks_yes = match state.layers.last() {
        Some(Layer::Run(layer)) => {
            let plan = state.run(&layer.run).and_then(|run| run.plan.as_ref());
            plan.is_some_and(|plan| plan.asks(state.context.for_plans()) == Ask::Yes)
        }
        _ => false,
    };
    let keys = keys(n);
    let words = match why {
        Ignored::Paste if n == 0 => {
            "keys come as fast as a paste, and no field is open: they are ignored until it is quiet"
                .to_owned()
        }
        Ignored::Paste => format!("{keys} ignored: they came as fast as a paste, and no field is open"),
        Ignored::Unseen => match state.layers.last_mut() {
            Some(Layer::Run(layer)) => {
                layer.dropped += n;
                unseen(layer.dropped)
            }
            _ => unseen(n),
        },
        Ignored::Hasty if asks_yes => {
            "key ignored: pause half a second, press y, and nothing after it".to_owned()
        }
        Ignored::Hasty => "key ignored: it came together with another one; press it again".to_owned(),
        Ignored::Among => {
            format!("{keys} ignored: they came as fast as a paste, and what acts is pressed by itself")
        }
        Ignored::AtOnce => {
            let behind = match n {
                0 => String::new(),
                _ => format!("; {keys} behind it ignored"),
            };
            format!(
                "not run: the line came at once with its enter, as a paste does; press enter once more to run it{behind}"
            )
        }
        Ignored::Piece => {
            if n > 0 {
                wiped::with_paste(state);
            }
            format!("what was pasted was dropped: it {}", wiped::MAY_BE)
        }
        Ignored::Unread { characters } => {
            if n > 0 {
                wiped::with_paste(state);
            }
            format!(
                "{characters} characters were pasted and dropped: that {}",
                wiped::UNREAD
            )
        }
        Ignored::Rest => format!(
            "{keys} ignored: what was dropped may be a private key, a share or a token, and these came right behind it; pause for a second"
        ),
        Ignored::Behind => format!(
            "{keys} behind the paste ignored: what comes at once with a paste is a part of it; press a key once more if it was you"
        ),
        Ignored::NoShare => {
            "what was pasted was dropped: it is no share. A share is one word of base64 or hex".to_owned()
        }
        Ignored::NotSent => {
            "that is no share, and nothing was sent: a share is base64 or hex of 17 to 129 bytes".to_owned()
        }
        Ignored::TooLong => format!("a paste of {n} bytes was dropped: nothing here has room for it"),
    };
    complain(state, words);
}

/// Says what is wrong where the person looks.
pub(super) fn complain(state: &mut State, words: String) {
    match state.layers.last_mut() {
        Some(Layer::Run(layer)) => layer.complaint = Some(words),
        Some(Layer::CommandLine(layer)) => layer.error = Some(words),
        _ => state.say(Tone::Bad, words),
    }
}

fn keys(n: usize) -> String {
    match n {
        1 => "1 key".to_owned(),
        n => format!("{n} keys"),
    }
}

fn unseen(n: usize) -> String {
    format!("{} ignored: the dialog was not on screen yet", keys(n))
}

/// A private key was pasted: it is gone already, and only its public half's hash may be a clue.
pub(super) fn pasted_key(state: &mut State, spki: Option<String>) {
    match (state.layers.last_mut(), spki) {
        (Some(Layer::CommandLine(layer)), Some(spki)) => {
            layer.typed = field(&format!("find {spki}"));
        }
        _ => {
            wiped::with_paste(state);
            state.say(
                Tone::Bad,
                "a private key was pasted and dropped; treat it as seen, and as compromised if others saw it",
            );
        }
    }
}

/// The plan is there: fill the fields, or start what needs no confirmation.
pub(super) fn planned(state: &mut State, id: &str, effects: &mut Vec<Effect>) {
    let Some(plan) = state.run(id).and_then(|run| run.plan.clone()) else {
        return;
    };
    if plan.asks(state.context.for_plans()) == Ask::Nothing {
        for layer in &mut state.layers {
            if let Layer::Run(layer) = layer
                && layer.run == id
            {
                // What it shows next is a prompt, which nobody has seen yet.
                layer.shown = Shown::Not;
            }
        }
        return execute(state, id, &Answer::Started, None, None, effects);
    }
    if !layers::is_open(state, id) {
        state
            .layers
            .push(Layer::Run(Box::new(RunLayer::new(id.to_owned()))));
    }
    for layer in &mut state.layers {
        if let Layer::Run(layer) = layer
            && layer.run == id
        {
            layer.fields = fields(&plan);
            layer.shown = Shown::Not;
        }
    }
}

fn run_key(state: &mut State, mut layer: Box<RunLayer>, key: &str, effects: &mut Vec<Effect>) {
    let Some(run) = state.run(&layer.run) else { return };
    let (id, phase, secret) = (layer.run.clone(), run.phase.clone(), run.wants_secret());
    // The rest of a share, typed when somebody else's was the last one, closes nothing and is no command.
    let deaf = run.asks_for_secrets();
    let is = state.keymap.in_dialog(key);
    let closes = is == Some(InDialog::Close);
    match (is, &phase) {
        (Some(InDialog::Close), Phase::Planning | Phase::Planned) => {
            state.runs.retain(|run| run.id != id);
            return state.say(Tone::Plain, "cancelled, nothing was done");
        }
        (Some(InDialog::Close), Phase::Running) if secret => {
            effects.push(Effect::StopSecret(id));
            layer.secret_typed = 0;
        }
        (Some(InDialog::Close), Phase::Running) => {
            let runs = state.keymap.call(Cmd::Show(ViewId::Runs));
            return state.say(Tone::Plain, format!("it goes on; {runs} shows it"));
        }
        (_, Phase::Ended(_)) if closes => return,
        (Some(InDialog::PageDown), _) => {
            let (most, page) = scrolling(state, &layer);
            layer.scroll = layer.scroll.saturating_add(page).min(most);
        }
        (Some(InDialog::PageUp), _) => {
            let (_, page) = scrolling(state, &layer);
            layer.scroll = layer.scroll.saturating_sub(page);
        }
        (Some(InDialog::Commands), Phase::Planned) => {
            if let Some(plan) = &run.plan {
                (layer.detail, layer.scroll) = (layer.detail.next(plan), 0);
                // The part that was asked for is seen next, whatever had no room above it.
                if layer.detail != Detail::Names {
                    let scrolling = views::dialogs::scrolling(state, &layer);
                    let own = scrolling.own.min(scrolling.most);
                    layer.scroll = u16::try_from(own).unwrap_or(u16::MAX);
                }
            }
        }
        (Some(InDialog::CopyCommands), Phase::Planned) if layer.detail == Detail::Commands => {
            if let Some(plan) = run.plan.clone() {
                copy_commands(state, &plan, effects);
            }
        }
        (Some(InDialog::Retry), Phase::Ended(_)) if layer.hears() && !deaf && run.next_step().is_some() => {
            return starting::retry(state, &id, effects);
        }
        (_, Phase::Planning | Phase::Planned) if !layer.hears() => {
            // It was typed before this could be read, so it was not meant for it.
            layer.dropped += 1;
            layer.complaint = Some(unseen(layer.dropped));
        }
        _ if !layer.hears() => {}
        (Some(InDialog::Confirm), Phase::Ended(_)) if !deaf => return,
        (None, Phase::Ended(_)) if !deaf && state.keymap.in_plain_dialog(key) == Some(InDialog::Close) => {
            return;
        }
        (Some(InDialog::Confirm), Phase::Running) if secret => {
            effects.push(Effect::SubmitSecret(id));
            layer.secret_typed = 0;
            layer.complaint = None;
        }
        (Some(InDialog::Reset), Phase::Running) if secret => {
            effects.push(Effect::ResetSecret(id));
            (layer.secret_typed, layer.shares_taken) = (0, 0);
            layer.complaint = None;
        }
        (Some(InDialog::NextField), Phase::Running) if secret && state.context.shares_in.is_some() => {
            // Shares that Vault has may come from an earlier dialog.
            let seal = state
                .links
                .get(&Backend::Vault)
                .and_then(|link| link.seal.as_ref());
            let given = seal.filter(|seal| seal.sealed).map_or(0, |seal| seal.progress);
            let given = usize::try_from(given).unwrap_or(0);
            let next = layer.shares_taken.max(given);
            effects.push(Effect::TakeShare(next));
            layer.shares_taken = next + 1;
        }
        (_, Phase::Planned) => planned_key(state, &mut layer, key, effects),
        _ => {}
    }
    state.layers.push(Layer::Run(layer));
}

/// Lines that its text can be scrolled by in all, and at once without skipping any.
fn scrolling(state: &State, layer: &RunLayer) -> (u16, u16) {
    let scrolling = views::dialogs::scrolling(state, layer);
    let lines = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    (lines(scrolling.most), lines(scrolling.page))
}

fn planned_key(state: &mut State, layer: &mut RunLayer, key: &str, effects: &mut Vec<Effect>) {
    let Some(plan) = state.run(&layer.run).and_then(|run| run.plan.clone()) else {
        return;
    };
    layer.complaint = None;
    let n_fields = layer.fields.len();
    let is = state.keymap.in_dialog(key);
    let confirms = is == Some(InDialog::Confirm);
    match is {
        Some(InDialog::NextField | InDialog::Next) => {
            plan_again(state, layer, effects);
            layer.focus = (layer.focus + 1) % layer.n_focus();
        }
        Some(InDialog::PreviousField | InDialog::Previous) => {
            plan_again(state, layer, effects);
            layer.focus = (layer.focus + layer.n_focus() - 1) % layer.n_focus();
        }
        _ if layer.focus == 0 => {
            let asks = plan.asks(state.context.for_plans());
            let comment = Some(line(&layer.comment)).filter(|text| !text.trim().is_empty());
            let ticket = Some(line(&layer.ticket)).filter(|text| !text.trim().is_empty());
            match asks {
                // This one key is the same for everybody: no setting can make it another one's.
                Ask::Yes if key == "y" => {
                    layer.shown = Shown::Not;
                    execute(state, &layer.run, &Answer::Yes, comment, ticket, effects);
                }
                Ask::Type(ref wanted) if confirms => {
                    let typed = line(&layer.typed);
                    if asks.is_met_by(&typed) {
                        layer.shown = Shown::Not;
                        execute(
                            state,
                            &layer.run,
                            &Answer::Typed(&typed),
                            comment,
                            ticket,
                            effects,
                        );
                    } else {
                        layer.complaint = Some(match state.keymap.key_of(Cmd::Dialog(InDialog::Close)) {
                            "" => format!("type `{wanted}` to go on"),
                            close => format!("type `{wanted}` to go on, or {close} to cancel"),
                        });
                    }
                }
                Ask::Type(wanted) => layer.complaint = type_on(&mut layer.typed, key, &wanted),
                Ask::Yes | Ask::Nothing => {}
            }
        }
        _ if layer.focus <= n_fields => {
            let index = layer.focus - 1;
            let field = &plan.fields[index];
            if field.options.is_empty() {
                if confirms {
                    plan_again(state, layer, effects);
                    layer.focus = 0;
                } else {
                    type_into(&mut layer.fields[index], key);
                }
                return;
            }
            let n = field.options.len();
            let at = field
                .options
                .iter()
                .position(|option| *option == field.value)
                .unwrap_or(0);
            // Nothing is typed here, so the keys of panes and marks choose too.
            let at = match (is, state.keymap.lookup(key)) {
                (Some(InDialog::NextChoice), _) | (None, Some(Cmd::NextPane | Cmd::Mark)) => (at + 1) % n,
                (Some(InDialog::PreviousChoice), _) | (None, Some(Cmd::PreviousPane)) => (at + n - 1) % n,
                _ => return layer.focus = if confirms { 0 } else { layer.focus },
            };
            layer.fields[index] = TextArea::from([field.options[at].clone()]);
            plan_again(state, layer, effects);
        }
        _ if confirms => layer.focus = 0,
        _ => {
            if let Some(area) = focused_area(layer) {
                type_into(area, key);
            }
        }
    }
}

/// All commands of a plan go to the clipboard.
fn copy_commands(state: &mut State, plan: &Plan, effects: &mut Vec<Effect>) {
    let commands = plan.steps.iter().map(|step| step.command.as_str());
    let commands: Vec<&str> = commands.filter(|command| !command.is_empty()).collect();
    let text = commands.join("\n");
    if clipboard::takes(state, &text) {
        effects.push(Effect::Copy(text));
        state.say(Tone::Plain, format!("copied {} commands", commands.len()));
    }
}

/// Makes the plan again when a field says something else than the plan was made with.
fn plan_again(state: &mut State, layer: &mut RunLayer, effects: &mut Vec<Effect>) {
    let Some(run) = state.run_mut(&layer.run) else {
        return;
    };
    let Some(plan) = &run.plan else { return };
    if layer.changed(plan).is_none() {
        return;
    }
    run.inputs = plan
        .fields
        .iter()
        .zip(&layer.fields)
        .map(|(field, area)| (field.name.clone(), line(area)))
        .collect();
    run.phase = Phase::Planning;
    layer.typed = TextArea::default();
    layer.shown = Shown::Not;
    effects.push(Effect::Plan {
        run: run.id.clone(),
        action: run.action,
        on: run.on.clone(),
        inputs: run.inputs.clone(),
    });
}

fn execute(
    state: &mut State,
    id: &str,
    answer: &Answer<'_>,
    comment: Option<String>,
    ticket: Option<String>,
    effects: &mut Vec<Effect>,
) {
    let (context, at) = (state.context.clone(), state.now);
    // What is done while a context is unlocked is done under that ticket, unless another one is given.
    let unlocked = state.guard.unlocked(state.now);
    let ticket = ticket.or_else(|| unlocked.map(|unlocked| unlocked.ticket.clone()));
    let comment = comment.or_else(|| unlocked.and_then(|unlocked| unlocked.reason.clone()));
    let Some(run) = state.run_mut(id) else { return };
    let Some(plan) = run.plan.clone() else { return };
    match confirm(*plan, context.for_plans(), answer, comment, ticket) {
        Ok(confirmed) => {
            run.begin(at);
            run.comment = confirmed.comment().map(str::to_owned);
            run.ticket = confirmed.ticket().map(str::to_owned);
            // What was marked for it is not marked for the next key.
            if let Some((at, marked)) = run.marked.take()
                && let Some(screen) = state.screens.get_mut(&at)
            {
                screen.marks.retain(|id| !marked.contains(id));
            }
            effects.push(Effect::Execute {
                run: id.to_owned(),
                confirmed: Box::new(confirmed),
            });
        }
        Err((_, problem)) => state.say(Tone::Bad, problem.to_string()),
    }
}

fn focused_area(layer: &mut RunLayer) -> Option<&mut TextArea<'static>> {
    let n = layer.fields.len();
    match layer.focus {
        0 => Some(&mut layer.typed),
        focus if focus <= n => layer.fields.get_mut(focus - 1),
        focus if focus == n + 1 => Some(&mut layer.comment),
        _ => Some(&mut layer.ticket),
    }
}

/// A key for the line that confirms, which takes only what goes on the expected word: whatever else is typed
/// there, a share or a password, is not drawn. Gives what is wrong with the key.
fn type_on(area: &mut TextArea<'static>, key: &str, wanted: &str) -> Option<String> {
    let letters = |text: &str| -> String { text.split_whitespace().collect() };
    let before = area.clone();
    type_into(area, key);
    let typed = line(area);
    let has_room = !typed.contains(' ') || wanted.contains(' ');
    if letters(wanted).starts_with(&letters(&typed)) && has_room && typed.len() <= 2 * wanted.len() {
        return None;
    }
    *area = before;
    Some(format!("type `{wanted}` to go on; that key was ignored"))
}

/// A key for a one-line field; what would break the line is no key for it.
pub(super) fn type_into(area: &mut TextArea<'static>, key: &str) {
    let (ctrl, name) = key
        .strip_prefix("ctrl-")
        .map_or((false, key), |name| (true, name));
    // ctrl-u deletes the text before the cursor, as in a shell.
    if ctrl && name == "u" {
        area.delete_line_by_head();
        return;
    }
    let key = match name {
        "space" => Key::Char(' '),
        "backspace" => Key::Backspace,
        "delete" => Key::Delete,
        "left" => Key::Left,
        "right" => Key::Right,
        "home" => Key::Home,
        "end" => Key::End,
        name => match (name.chars().next(), name.chars().count()) {
            (Some(c), 1) if !(ctrl && matches!(c, 'm' | 'j')) && line(area).chars().count() < LONGEST => {
                Key::Char(c)
            }
            _ => return,
        },
    };
    area.input(Input {
        key,
        ctrl,
        alt: false,
        shift: false,
    });
}
