//! News of runs, in front of somebody who waits for it or who went on to something else.

use std::collections::BTreeSet;

use super::layers;
use super::wants::{heed_refusal, touch_own};
use crate::plan::executor::RunEvent;
use crate::plan::outcome::Outcome;
use crate::state::cmd::Cmd;
use crate::state::effect::Effect;
use crate::state::run::{Phase, Run};
use crate::state::screen::ViewId;
use crate::state::{LoggedCommand, State, Tone};

/// Takes what a run tells of itself; an end that nobody looks at is said in the bottom line.
pub(super) fn run_goes_on(state: &mut State, id: &str, event: &RunEvent, effects: &mut Vec<Effect>) {
    if let RunEvent::Command(command, how) = event {
        state.log(LoggedCommand {
            at: state.now,
            command: command.clone(),
            how: how.clone(),
            run: Some(id.to_owned()),
        });
    }
    let wanted_secret = state.run(id).is_some_and(Run::wants_secret);
    let now = state.now;
    let Some(run) = state.run_mut(id) else { return };
    let was_open = match &run.phase {
        Phase::Ended(outcome) => matches!(outcome, Outcome::Waiting(_) | Outcome::Unknown(_)),
        _ => false,
    };
    run.take(event.clone());
    if matches!(event, RunEvent::Ended(_)) {
        run.ended_at = Some(now);
    }
    let (title, count, is_awaited) = (run.title(), run.ends.len(), run.is_awaited);
    if let RunEvent::Ended(outcome) = event {
        touch_own(state);
        // Earlier handshakes are no news about now.
        state.handshakes.clear();
        state.crl = None;
        effects.push(Effect::CheckLinks);
        if let Some(problem) = outcome.problem() {
            heed_refusal(state, problem, effects);
        }
        // For whom it waits now is on its screen; that it waits still is no news.
        let is_news = !was_open || !matches!(outcome, Outcome::Waiting(_) | Outcome::Unknown(_));
        if is_news && !layers::is_open(state, id) {
            let (tone, words) = match outcome {
                Outcome::Proven(proof) => (Tone::Good, proof.clone()),
                Outcome::Waiting(words) => (Tone::Plain, words.clone()),
                _ if count > 1 => (Tone::Bad, outcome.what().to_owned()),
                _ => (Tone::Bad, outcome.words()),
            };
            // A run that isn't proven has more to say than a line holds. A dialog that opened by itself would take the keys
            // of whatever is done meanwhile, so it opens only for who did nothing else since.
            let opens = is_awaited && state.layers.is_empty() && !state.size.is_too_small();
            let more = match outcome.is_proven() || opens {
                true => String::new(),
                false => format!(" ({} shows it)", state.keymap.call(Cmd::Show(ViewId::Runs))),
            };
            if opens && !outcome.is_proven() {
                state.layers.push(layers::reopen(state, id.to_owned()));
            }
            state.say(tone, format!("{title}{more}: {words}"));
        }
    }
    if matches!(event, RunEvent::StepNote(..) | RunEvent::StepEnded(..)) && wanted_secret {
        effects.push(Effect::CheckLinks);
    }
}

/// Takes the end that the record of a run has in the place of the one that was said here before.
pub(super) fn on_record(state: &mut State, record: &str, end: Outcome, effects: &mut Vec<Effect>) {
    let run = state.runs.iter().find(|run| run.record_id() == Some(record));
    let id = run
        .filter(|run| matches!(run.phase, Phase::Ended(_)))
        .map(|run| run.id.clone());
    if let Some(id) = id {
        run_goes_on(state, &id, &RunEvent::Ended(end), effects);
    }
}

/// Notes after a key that nobody sits and waits for the runs that were there before it and have no dialog open.
pub(super) fn no_longer_awaited(state: &mut State, n_before: usize) {
    let open: BTreeSet<String> = (state.runs.iter())
        .filter(|run| layers::is_open(state, &run.id))
        .map(|run| run.id.clone())
        .collect();
    for run in state.runs.iter_mut().take(n_before) {
        run.is_awaited &= open.contains(&run.id);
    }
}
