//! The journal: runs on record before their first change. In the store, through the API; in a local
//! file where the API is what is broken, from which it is handed over when the API is back. Nothing
//! secret is in a plan, so nothing secret is in here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::confirm::Confirmed;
use super::outcome::Outcome;
use super::owner::Owner;
use super::ports::Changes;
use super::record;
use crate::clients::api::ApiWriter;
use crate::problem::{Problem, ProblemKind};
use crate::wire::runs::{RunBegin, RunEnd, RunStepRecord};

/// Where a run is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// In the platform's audit.
    Audit,
    /// In the local file only, since the API doesn't answer.
    Locally,
}

/// Writes runs down.
#[derive(Clone, Debug)]
pub struct Journal {
    local: PathBuf,
}

/// A line of the local file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Begin {
        run: String,
        body: RunBegin,
        /// Who carries it out; none where a process can't be told from others.
        owner: Option<Owner>,
    },
    Step {
        run: String,
        step: RunStepRecord,
    },
    End {
        run: String,
        end: RunEnd,
    },
}

impl Line {
    fn run(&self) -> &str {
        match self {
            Self::Begin { run, .. } | Self::Step { run, .. } | Self::End { run, .. } => run,
        }
    }
}

impl Journal {
    /// With the local file's path, used only while the API doesn't answer.
    #[must_use]
    pub fn new(local: &Path) -> Self {
        Self {
            local: local.to_owned(),
        }
    }

    pub(super) async fn begin(&self, api: &ApiWriter, confirmed: &Confirmed) -> Result<Recorded, Problem> {
        let plan = confirmed.plan();
        let body = record::of(plan, confirmed.comment(), confirmed.ticket())?;
        match api.begin_run(&body).await {
            Ok(()) => Ok(Recorded::Audit),
            Err(problem) if plan.works_without_api && is_away(&problem) => {
                let run = body.id.clone();
                let owner = Owner::this();
                self.append(Line::Begin { run, body, owner }).await?;
                Ok(Recorded::Locally)
            }
            Err(problem) => Err(Problem::new(
                problem.kind,
                format!(
                    "nothing was changed, since the audit row can't be written: {}",
                    problem.what
                ),
            )
            .hint(
                problem
                    .hint
                    .unwrap_or_else(|| "try again when the API answers".to_owned()),
            )),
        }
    }

    /// A step's record; a failure to write it doesn't stop a run that has begun.
    pub(super) async fn step(&self, api: &ApiWriter, on: Recorded, run: &str, step: &RunStepRecord) {
        let written = match on {
            Recorded::Audit => api.record_step(run, step).await,
            Recorded::Locally => {
                let (run, step) = (run.to_owned(), step.clone());
                self.append(Line::Step { run, step }).await
            }
        };
        if let Err(problem) = written {
            tracing::warn!(%run, index = step.index, %problem, "a step of {run} could not be recorded");
        }
    }

    /// The end; what can't be told to the API is kept locally.
    pub(super) async fn end(
        &self,
        api: &ApiWriter,
        on: Recorded,
        run: &str,
        outcome: &Outcome,
        at: DateTime<Utc>,
    ) {
        let mut end = RunEnd {
            outcome: outcome.for_audit(),
            note: Some(outcome.words()),
        };
        let told = match on {
            Recorded::Audit => api.end_run(run, &end).await,
            Recorded::Locally => Err(Problem::unavailable("the API did not answer when the run began")),
        };
        if told.is_err() {
            // The audit row will have the time at which it is handed over, so the note has this one.
            let note = format!(
                "{} (ended at {})",
                outcome.words(),
                at.format("%Y-%m-%d %H:%M:%SZ")
            );
            end.note = Some(note);
            let line = Line::End {
                run: run.to_owned(),
                end,
            };
            if let Err(problem) = self.append(line).await {
                tracing::error!(%run, %problem, "the end of {run} could not be recorded");
            }
        }
    }

    /// Hands the ended runs of the local file over to the API, each once however often it is tried (the
    /// API knows them by their ids). One whose console is gone without saying its end has ended as unknown.
    /// What is under way, or refused, stays in the file.
    ///
    /// # Errors
    /// That the file can't be read or written, or that the API is away again.
    pub async fn hand_over(&self, changes: &Changes) -> Result<(), Problem> {
        let failed = |error: std::io::Error| self.unusable(&error);
        let lines = match tokio::fs::read_to_string(&self.local).await {
            Ok(text) => text.lines().map(str::to_owned).collect::<Vec<_>>(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        // A last line that a crash cut off is none; its run never ended here.
        let mut parsed: Vec<Line> = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let broken_off = ends_of_the_gone(&parsed);
        parsed.extend(broken_off);
        let mut handed_over = BTreeSet::new();
        for line in &parsed {
            if let Line::End { run, .. } = line
                && hand_over_run(&changes.api, run, &parsed).await?
            {
                handed_over.insert(run.clone());
            }
        }
        if handed_over.is_empty() {
            return Ok(());
        }
        let local = self.local.clone();
        tokio::task::spawn_blocking(move || forget(&local, &handed_over))
            .await
            .map_err(|error| Problem::internal(error.to_string()))?
            .map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &std::io::Error) -> Problem {
        Problem::unavailable(format!(
            "the local journal `{}` can't be used: {error}",
            self.local.display()
        ))
    }

    async fn append(&self, line: Line) -> Result<(), Problem> {
        let mut text = serde_json::to_string(&line)
            .map_err(|error| Problem::internal(format!("the run can't be written down: {error}")))?;
        text.push('\n');
        let local = self.local.clone();
        tokio::task::spawn_blocking(move || append(&local, &text))
            .await
            .map_err(|error| Problem::internal(error.to_string()))?
            .map_err(|error| self.unusable(&error))
    }
}

/// The ends of what began and has none, and never will: its console was killed.
fn ends_of_the_gone(lines: &[Line]) -> Vec<Line> {
    let ended: BTreeSet<&str> = lines
        .iter()
        .filter(|line| matches!(line, Line::End { .. }))
        .map(Line::run)
        .collect();
    let gone = lines.iter().filter_map(|line| match line {
        Line::Begin {
            run,
            owner: Some(owner),
            ..
        } if !ended.contains(run.as_str()) && owner.is_gone() => Some(run),
        _ => None,
    });
    gone.map(|run| {
        let outcome = Outcome::Unknown(
            Problem::no_answer("the console was gone before its end")
                .hint("check the thing itself before you retry"),
        );
        Line::End {
            run: run.clone(),
            end: RunEnd {
                outcome: outcome.for_audit(),
                note: Some(outcome.words()),
            },
        }
    })
    .collect()
}

/// Says one run's lines to the API; false when the API refuses them, so that they stay.
async fn hand_over_run(api: &ApiWriter, run: &str, lines: &[Line]) -> Result<bool, Problem> {
    for line in lines.iter().filter(|line| line.run() == run) {
        let said = match line {
            Line::Begin { body, .. } => api.begin_run(body).await,
            Line::Step { step, .. } => api.record_step(run, step).await,
            Line::End { end, .. } => api.end_run(run, end).await,
        };
        match said {
            Ok(()) => {}
            Err(problem) if is_away(&problem) => return Err(problem),
            Err(problem) => {
                tracing::warn!(%run, %problem, "{run} could not be handed over and stays in the local journal");
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The file for its owner alone, locked against other consoles of the same person.
fn open(local: &Path) -> std::io::Result<File> {
    if let Some(folder) = local.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    let file = options
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(local)?;
    file.lock()?;
    Ok(file)
}

fn append(local: &Path, text: &str) -> std::io::Result<()> {
    let mut file = open(local)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Takes the lines of `runs` out, whatever was added meanwhile.
fn forget(local: &Path, runs: &BTreeSet<String>) -> std::io::Result<()> {
    let mut file = open(local)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let known = |line: &str| serde_json::from_str::<Line>(line).is_ok_and(|line| runs.contains(line.run()));
    let kept: String = text
        .lines()
        .filter(|line| !known(line))
        .map(|line| format!("{line}\n"))
        .collect();
    // In append mode what is written goes to the end, which is the beginning now.
    file.set_len(0)?;
    file.write_all(kept.as_bytes())?;
    file.sync_all()
}

fn is_away(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemKind::Unavailable | ProblemKind::NoAnswer | ProblemKind::BackendFailed
    )
}
