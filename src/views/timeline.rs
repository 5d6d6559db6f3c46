//! What was carried out from this console as one list in Markdown, by time, for an incident's record: runs,
//! their commands as they could be typed, and when the context was unlocked and locked.

use chrono::{DateTime, Utc};

use crate::domain::moment::whole;
use crate::plan::plan::Target;
use crate::state::run::Run;
use crate::state::{LoggedCommand, State};

/// Things that a line names; a run of more says how many.
const NAMED: usize = 5;

/// The oldest first.
pub(super) fn timeline(state: &State) -> String {
    let runs = state.runs.iter().map(|run| (run.asked_at(), began(run)));
    let ends = state
        .runs
        .iter()
        .filter_map(|run| Some((run.ended_at?, ended(run))));
    let commands = state
        .command_log
        .iter()
        .map(|logged| (logged.at, carried_out(state, logged)));
    let mut entries: Vec<(DateTime<Utc>, String)> = runs.chain(commands).chain(ends).collect();
    // Stable: what has one time stays in the order of a run's life.
    entries.sort_by_key(|(at, _)| *at);
    let mut out = format!(
        "# {} on {}\n\n",
        whole(state.by_platform(state.now)),
        state.context.name
    );
    if entries.is_empty() {
        out.push_str("Nothing was carried out from this console.\n");
    }
    for (at, words) in entries {
        out.push_str(&format!("- {} {words}\n", whole(state.by_platform(at))));
    }
    out
}

/// A run when it was asked for: what, on what, why, under which ticket, and by which id it is on record.
fn began(run: &Run) -> String {
    let mut words = format!("**{}**", one_line(&run.title()));
    words.push_str(&format!(" on {}", on(run.things())));
    if run.ended_at.is_none() {
        words.push_str(&format!(": {}", one_line(&run.words())));
    }
    words + &marks(run)
}

fn ended(run: &Run) -> String {
    format!(
        "**{}** ended, {}{}",
        one_line(&run.title()),
        one_line(&run.words()),
        marks(run)
    )
}

fn marks(run: &Run) -> String {
    let marks = [
        ("reason", run.comment.as_deref()),
        ("ticket", run.ticket.as_deref()),
        ("run", run.record_id()),
    ];
    let marks = marks.into_iter().filter_map(|(name, text)| Some((name, text?)));
    marks
        .map(|(name, text)| format!("; {name}: {}", one_line(text)))
        .collect()
}

fn on(targets: &[Target]) -> String {
    let named: Vec<String> = targets
        .iter()
        .take(NAMED)
        .map(|target| match target.name == target.id {
            true => format!("{} `{}`", target.kind, target.id),
            false => format!("{} {} (`{}`)", target.kind, one_line(&target.name), target.id),
        })
        .collect();
    let more = match targets.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    match named.is_empty() {
        true => "nothing".to_owned(),
        false => named.join(", ") + &more,
    }
}

fn carried_out(state: &State, logged: &LoggedCommand) -> String {
    let how = one_line(&logged.how);
    let of = logged
        .run
        .as_deref()
        .and_then(|id| state.run(id))
        .and_then(Run::record_id);
    let of = of.map_or(String::new(), |run| format!("; run: {run}"));
    // Indented, so that nothing in a command can end the block.
    let command = logged.command.replace('\n', "\n      ");
    format!("command, {how}{of}\n\n      {command}\n")
}

/// What somebody typed can't begin a line of its own.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
