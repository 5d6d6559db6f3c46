//! What happens becomes what is known: `update` takes one event in and says what is to be done about
//! it. Pure: it asks nobody and draws nothing.

use super::clipboard::takes;
use super::command_line::{self, Asked};
use super::run_told::{no_longer_awaited, on_record, run_goes_on};
use super::wants::{ask, can_read, heed_refusal, is_held, remember, touch, touch_own};
use super::{
    clues, cursor, dialogs, exporting, layers, leaving, lists, live_filter, menu, starting, verify, wiped,
};
use crate::actions::{self, Availability};
use crate::domain::database::sources;
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::domain::worker::Worker;
use crate::plan::guard::Guard;
use crate::plan::outcome::Outcome;
use crate::plan::plan::{Inputs, LeftOut, Plan};
use crate::problem::Problem;
use crate::state::cmd::Cmd;
use crate::state::databases;
use crate::state::effect::Effect;
use crate::state::event::{Event, Timed};
use crate::state::history::Visit;
use crate::state::layer::{Layer, Shown};
use crate::state::own_findings;
use crate::state::query::Query;
use crate::state::run::{Phase, Run};
use crate::state::screen::{Place, ViewId};
use crate::state::snapshot::Snapshot;
use crate::state::typed::Typed;
use crate::state::{Held, Looked, State, Tone, contexts};
use crate::views;

/// How long a screen does without the times of healthy check-ins.
const HEALTH_FRESH: chrono::Duration = chrono::Duration::seconds(15);

/// Less is no other time.
const CLOCK_NEWS: chrono::Duration = chrono::Duration::seconds(5);

/// Takes one event in; returns whether the screen may look different now.
pub fn update(state: &mut State, timed: Timed, effects: &mut Vec<Effect>) -> bool {
    state.now = timed.at;
    let mut visible = !matches!(timed.event, Event::Changed(_));
    match timed.event {
        Event::Key(key) => {
            let n_before = state.runs.len();
            on_key(state, &key, effects);
            no_longer_awaited(state, n_before);
            wiped::as_it_grows(state);
            live_filter::typed(state);
        }
        Event::Paste(text) => {
            dialogs::paste(state, &text);
            wiped::as_it_grows(state);
            live_filter::typed(state);
        }
        Event::SecretTyped(n) => {
            if let Some(Layer::Run(layer)) = state.layers.last_mut() {
                layer.secret_typed = n;
                // A complaint about an earlier one says nothing of this.
                if n > 0 {
                    layer.complaint = None;
                }
            }
        }
        Event::NoShare(why) => dialogs::complain(state, why),
        Event::Resize(size) => {
            state.size = size;
            // What was on the screen isn't any more.
            for layer in &mut state.layers {
                if let Layer::Run(layer) = layer {
                    layer.shown = Shown::Not;
                }
            }
        }
        Event::Painted(n) => {
            visible = false;
            // On a screen that is too small for it, no dialog was drawn.
            let drawn = !state.size.is_too_small();
            if let Some(Layer::Run(layer)) = state.layers.last_mut()
                && layer.shown == Shown::Not
                && drawn
            {
                layer.shown = Shown::Sent(n);
            }
        }
        Event::Seen(n) => {
            visible = false;
            if let Some(Layer::Run(layer)) = state.layers.last_mut()
                && matches!(layer.shown, Shown::Sent(sent) if sent <= n)
            {
                layer.shown = Shown::Seen;
            }
        }
        Event::Wire(wire) => {
            // The figure alone is no reason to write.
            visible = state.wire.poor != wire.poor;
            state.wire = wire;
        }
        Event::Relocked => relock(state, effects),
        Event::Rested => state.moving = false,
        Event::TypingPaused => live_filter::paused(state),
        Event::Minute => {
            touch(state, |query| matches!(query, Query::Findings | Query::Trends));
            if state.keeps_snapshot {
                remember(state, effects);
                effects.push(Effect::KeepSnapshot(Box::new(Snapshot::of(state))));
            }
        }
        Event::Answer {
            query,
            asked,
            from,
            mut result,
        } => {
            let now = state.now;
            let is_own = query.neighbour().is_none();
            // Nobody tells what changes in another context.
            if result.is_err() || !is_own {
                let query = query.clone();
                effects.push(Effect::AskLater { query, asked });
            }
            // Its finding is about what is asked again until it is answered: looked at once is enough.
            if let Err(problem) = &result
                && is_own
                && state.token_refused.is_none()
            {
                heed_refusal(state, problem, effects);
            }
            let held = is_held(state);
            if let Some(loaded) = state.data.get_mut(&query) {
                // What was never shown can't change under anybody's eyes.
                visible = if state.frozen.is_some() || (held && loaded.value.is_some()) {
                    // It was on its way when the screen was held: asked again afterwards.
                    loaded.waiting = false;
                    loaded.dirty = true;
                    false
                } else {
                    if let Ok(answer) = &mut result {
                        contexts::steady(loaded.value.as_ref(), answer);
                    }
                    loaded.take(asked, result, from, now)
                };
            }
        }
        Event::AskAgain { query, asked } => {
            visible = false;
            if let Some(loaded) = state.data.get_mut(&query)
                && loaded.asked == asked
            {
                loaded.dirty |= loaded.trouble.is_some() || query.neighbour().is_some();
            }
        }
        Event::Changed(changes) => {
            let now = state.now;
            for (query, loaded) in &mut state.data {
                // A healthy agent's check-in moves nothing that is shown, as long as it is known
                // often enough for the agent not to look late.
                let is_fresh = || loaded.as_of.is_some_and(|at| now - at < HEALTH_FRESH);
                let rests = matches!(query, Query::AgentHealth | Query::Agents(_) | Query::Agent(_))
                    && changes
                        .iter()
                        .all(|change| change.routine || !query.concerns(change))
                    && is_fresh();
                loaded.dirty |= !rests && changes.iter().any(|change| query.concerns(change));
            }
        }
        Event::StreamBack => touch_own(state),
        Event::StreamLost => {
            visible = false;
            touch_own(state);
        }
        // The console's own look at the database counts, not the API's.
        Event::Link(Backend::Database, link) if !state.hosts.is_empty() => {
            state.api_database = link.state;
            state.api_database_note = link.note;
        }
        Event::Link(backend, mut link) => {
            let was = state.link(backend);
            let could_read = can_read(state);
            if backend == Backend::Database {
                state.api_database = link.state;
                state.api_database_note.clone_from(&link.note);
            }
            let sealed = state.vault_sealed();
            let now = link.state;
            if matches!(now, LinkState::Down | LinkState::Unknown) {
                // The last that was known, which the screen marks as such.
                link.seal = state.links.get(&backend).and_then(|link| link.seal.clone());
            }
            state.links.insert(backend, link);
            let at = state.now;
            match now {
                LinkState::Down => {
                    state.down_since.entry(backend).or_insert(at);
                }
                // Behind an API that is away nothing else is seen.
                LinkState::Unknown => {}
                _ => {
                    state.down_since.remove(&backend);
                }
            }
            if state.vault_sealed() {
                state.sealed_since.get_or_insert(at);
            } else if backend == Backend::Vault
                && matches!(now, LinkState::Up | LinkState::Degraded)
                && state.sealed_since.take().is_some()
            {
                state.unsealed_at = Some(at);
            }
            // Findings about a backend that went or came back are asked for now, not with the next look.
            if was != now {
                touch(state, |query| *query == Query::Findings);
            }
            let back = was != LinkState::Up && now == LinkState::Up && backend == Backend::Api;
            // Lost: what isn't asked for can't be marked as what it was before.
            if back || could_read != can_read(state) || sealed != state.vault_sealed() {
                touch_own(state);
            }
        }
        Event::ApiOn(on) => {
            let before = state.divided();
            // One that can't be asked is where it was.
            state.api_on = on.or(state.api_on.take());
            visible = before != state.divided();
        }
        Event::Token(refused) => {
            visible = state.token_refused != refused;
            state.token_refused = refused;
        }
        Event::Workers(workers) => {
            let told = |workers: &[Worker]| -> Vec<(String, bool, Option<i64>)> {
                let words = |it: &Worker| format!("{} {} {}", it.duty.word(), it.name, it.version);
                let told = |it: &Worker| (words(it), it.is_there, it.clock_ahead_s);
                workers.iter().map(told).collect()
            };
            // That one was seen again a moment ago is no news.
            visible = told(&state.workers) != told(&workers);
            state.workers = workers;
            if visible {
                touch(state, |query| *query == Query::Findings);
            }
        }
        Event::Clock(ahead) => {
            // What jitters by the second is no news either.
            visible = (ahead - state.clock_ahead).abs() > CLOCK_NEWS;
            if visible {
                state.clock_ahead = ahead;
                touch_own(state);
            }
        }
        Event::Hosts(hosts) => {
            let before = sources(&state.hosts);
            state.hosts = hosts;
            if let Some(mut link) = databases::link(&state.hosts, state.now) {
                // A host that is read well may still take no changes, which the API sees.
                if link.state == LinkState::Up && state.api_database == LinkState::Degraded {
                    link.state = LinkState::Degraded;
                    link.note.clone_from(&state.api_database_note);
                }
                state.links.insert(Backend::Database, link);
            }
            // Not the first alone: which one answers hangs on those before it.
            if before != sources(&state.hosts) {
                touch_own(state);
            }
        }
        Event::Me(role) => {
            visible = state.role != Some(role);
            state.role = Some(role);
        }
        Event::Planned(run, result) => planned(state, &run, result, effects),
        Event::Run(run, event) => run_goes_on(state, &run, &event, effects),
        Event::OnRecord(id, end) => on_record(state, &id, end, effects),
        Event::Starting(what) => {
            state.starting = what;
            touch(state, |_| true);
        }
        Event::ReadForExport(wanted, read) => exporting::with_rows(state, &wanted, read, effects),
        Event::Exported(Ok(path)) => state.say(Tone::Good, format!("written to {path}")),
        Event::Exported(Err(why)) => state.say(Tone::Bad, why),
        Event::Handshake(endpoint, served) => {
            let (now, served) = (state.now, Some(served));
            visible = false;
            if let Some(made) = state.handshakes.get_mut(&endpoint) {
                visible = made.served != served;
                made.served = served;
                made.at = now;
            }
        }
        Event::Crl(crl) => {
            let at = state.now;
            state.crl = Some(Looked { crl: Some(crl), at });
        }
        Event::Pem(Ok(pem)) => {
            if takes(state, &pem) {
                state.say(Tone::Plain, "copied the certificate in PEM");
                effects.push(Effect::Copy(pem));
            }
        }
        Event::Pem(Err(problem)) => state.say(Tone::Bad, problem.to_string()),
        Event::ViewsNotKept(why) => state.say(Tone::Bad, why),
        Event::Probed(address, served) => clues::found_served(state, &address, served, effects),
        Event::KeysIgnored(n, why) => dialogs::ignored(state, n, why),
        Event::PasteBroke => state.say(
            Tone::Bad,
            "a paste broke off and was dropped; what still comes of it is too, until esc is pressed",
        ),
        Event::PastedKey(spki) => dialogs::pasted_key(state, spki),
        Event::Defect(report) => state.say(Tone::Bad, format!("a background task crashed; report: {report}")),
        Event::HangUp => state.quit = true,
    }
    let visit = Visit {
        places: state.places.clone(),
        list: state.screen().list,
    };
    // A filter that is still being typed is no place to come back to.
    if !matches!(state.layers.last(), Some(Layer::Filter(_))) {
        state.history.note(visit);
    }
    live_filter::answered(state);
    ask(state, effects);
    while clues::follow_clue(state, effects) {
        ask(state, effects);
    }
    ask(state, effects);
    verify::go_on(state, effects);
    if is_held(state) {
        if state.held.is_none() {
            state.held = Some(Held {
                at: state.now,
                findings: state.findings(),
            });
        }
    } else {
        visible |= state.held.take().is_some();
    }
    if visible {
        cursor::hold(state);
    }
    visible
}

/// Whether the top dialog takes characters as a secret, so that they must not become events.
#[must_use]
pub fn wants_secret(state: &State) -> bool {
    match state.layers.last() {
        Some(Layer::Run(layer)) => layer.hears() && state.run(&layer.run).is_some_and(Run::wants_secret),
        _ => false,
    }
}

fn on_key(state: &mut State, key: &str, effects: &mut Vec<Effect>) {
    let leaving = std::mem::take(&mut state.leaving);
    state.toast = None;
    if wiped::before(state, key) {
        return;
    }
    match state.layers.last() {
        None => {}
        Some(Layer::CommandLine(_)) => {
            return match command_line::key(state, key) {
                Some(Asked::Cmd(cmd)) => carry_out(state, cmd, "it", leaving, effects),
                Some(Asked::Place(place)) => lists::go(state, place),
                Some(Asked::List(view, filter)) => lists::go_filtered(state, view, &filter),
                Some(Asked::Typed(Typed::Context(name))) => leaving::switch(state, name),
                Some(Asked::Typed(Typed::Contexts)) => {
                    carry_out(state, Cmd::Show(ViewId::Contexts), "it", leaving, effects);
                }
                Some(Asked::Typed(typed)) => command_line::run(state, typed, effects),
                None => {}
            };
        }
        Some(Layer::Menu(_)) => return menu::key(state, key, effects),
        Some(_) => return dialogs::key(state, key, effects),
    }
    match state.keymap.lookup(key) {
        Some(cmd) => carry_out(state, cmd, key, leaving, effects),
        None => {
            let help = state.keymap.call(Cmd::Help);
            state.say(
                Tone::Plain,
                format!("{key} does nothing here; {help} shows the keys"),
            );
        }
    }
}

/// Carries a command out, by whatever route it came; `by` is what the person pressed or typed for it.
fn carry_out(state: &mut State, cmd: Cmd, by: &str, leaving: bool, effects: &mut Vec<Effect>) {
    match cmd {
        Cmd::Quit => leaving::quit(state, by, leaving),
        Cmd::Related => menu::related(state),
        Cmd::Copy => menu::copy(state),
        Cmd::Verify => verify::begin(state, effects),
        Cmd::HistoryBack => travel(state, -1),
        Cmd::HistoryForward => travel(state, 1),
        Cmd::CommandLine => state.layers.push(Layer::CommandLine(Box::default())),
        Cmd::Help => state.layers.push(Layer::Help { scroll: 0 }),
        Cmd::Show(view) => {
            let is_there = state.place().view == view;
            state.places = vec![Place {
                view: ViewId::Triage,
                subject: None,
            }];
            if view != ViewId::Triage {
                state.places.push(Place { view, subject: None });
            }
            if !is_there {
                // Another visit begins at the top.
                state.screen_mut().release_cursors();
            }
            if view == ViewId::Logs {
                // It grows by itself and nobody says so; what counts is its end.
                touch(state, |query| *query == Query::Logs);
                cursor::begin(state);
            }
        }
        Cmd::Refresh => {
            state.handshakes.clear();
            state.crl = None;
            touch(state, |_| true);
            effects.push(Effect::CheckLinks);
            state.say(Tone::Plain, "asked again");
        }
        Cmd::Freeze => {
            state.frozen = match state.frozen {
                None => Some(state.now),
                Some(_) => {
                    touch(state, |_| true);
                    None
                }
            };
        }
        Cmd::Suspend => effects.push(Effect::Suspend),
        Cmd::Start(id) => start(state, id, effects),
        cmd => lists::on(state, cmd),
    }
}

/// The time that the context was unlocked for is over.
fn relock(state: &mut State, effects: &mut Vec<Effect>) {
    if let Guard::Protected(Some(unlocked)) = &state.guard
        && unlocked.until <= state.now
    {
        let words = format!("locked again: the time under {} is over", unlocked.ticket);
        state.guard = Guard::Protected(None);
        effects.push(Effect::SetGuard(state.guard.clone()));
        state.say(Tone::Plain, words);
    }
}

/// Goes back or forward.
fn travel(state: &mut State, by: isize) {
    match state.history.travel(by) {
        Some(visit) => {
            state.places = visit.places;
            if state.screen().list != visit.list {
                state.screen_mut().list = visit.list;
                cursor::begin(state);
            }
        }
        None => state.say(Tone::Plain, "there is nothing further that way"),
    }
}

/// Starts an action on what is selected now; from here on only the frozen targets count.
fn start(state: &mut State, id: &'static str, effects: &mut Vec<Effect>) {
    let Some(action) = actions::find(id) else { return };
    if state.size.is_too_small() {
        return state.say(Tone::Bad, "nothing is started on a screen that can't show it");
    }
    let selected = views::selected(state);
    let again = state.runs.last().is_some_and(|run| run.action == id);
    // Vault is what it is, whatever is under the cursor.
    let is_of_a_row = !action.spec().kinds.contains(&EntityKind::Vault);
    if again && is_of_a_row && views::is_adrift(state) {
        let words = "what you acted on is not under the cursor any more: move to the row you mean";
        return state.say(Tone::Plain, words);
    }
    let hidden = views::n_hidden_marks(state);
    if hidden > 0 {
        let marked = state.screen().marks.len();
        let (clears, unmarks) = (state.keymap.call(Cmd::Back), state.keymap.call(Cmd::Unmark));
        return state.say(
            Tone::Bad,
            format!(
                "{hidden} of {marked} marked rows are hidden by the filter: {clears} clears it, {unmarks} unmarks"
            ),
        );
    }
    if let Availability::Disabled(why) = state.availability(action, &selected) {
        return state.say(Tone::Bad, format!("{}: {why}", action.spec().title));
    }
    let on = state.targets_for(action, &selected);
    let (place, mut marked) = (state.at(), state.screen().marks);
    // Vault is what it is, whatever is marked.
    let others = match on.first() {
        Some(first) if first.kind != EntityKind::Vault => {
            views::others_marked(state, &actions::fitting(action, &selected))
        }
        _ => Vec::new(),
    };
    marked.retain(|id| !others.iter().any(|(other, _)| other == id));
    let why = match (others.len(), action.spec().kinds) {
        (1, [kind]) => format!("no {}", kind.word()),
        (_, [kind]) => format!("that are no {}s", kind.word()),
        _ => "of another kind".to_owned(),
    };
    let left_out = others.into_iter();
    let left_out = left_out
        .map(|(_, name)| LeftOut {
            name,
            why: why.clone(),
        })
        .collect();
    if marked.is_empty() {
        let mut screen = state.screen();
        screen.note_action(views::focused_rows(state).ids());
        *state.screen_mut() = screen;
    }
    let run = starting::begin(state, action, on, Inputs::new(), left_out, effects);
    if let Some(run) = state.run_mut(&run) {
        run.marked = Some((place, marked));
    }
}

fn planned(state: &mut State, id: &str, result: Result<Box<Plan>, Problem>, effects: &mut Vec<Effect>) {
    let cannot_change = result
        .as_ref()
        .ok()
        .and_then(|plan| own_findings::in_the_way(state, plan));
    // A plan that comes late, for a run that is cancelled or under way, is nobody's plan.
    let Some(run) = state.run_mut(id).filter(|run| run.phase == Phase::Planning) else {
        return;
    };
    match result {
        Err(problem) => {
            run.phase = Phase::Ended(Outcome::NotSent(problem.clone()));
            heed_refusal(state, &problem, effects);
            if !layers::is_open(state, id) {
                state.say(Tone::Bad, problem.to_string());
            }
        }
        Ok(mut plan) => {
            plan.left_out.extend(run.left_out.iter().cloned());
            plan.in_the_way.extend(cannot_change);
            run.phase = Phase::Planned;
            run.plan = Some(plan);
            dialogs::planned(state, id, effects);
        }
    }
}
