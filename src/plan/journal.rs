//! The journal: runs on record before their first change. In the store, through the API; in a local
//! file where the API is what is broken, from which it is handed over when the API is back. Nothing
//! secret is in a plan, so nothing secret is in here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::confirm::Confirmed;
use super::outcome::Outcome;
use super::owner::Owner;
use super::ports::Changes;
use super::record;
use crate::clients::api::ApiWriter;
use crate::domain::audit::AuditOutcome;
use crate::domain::id::EntityKind;
use crate::problem::{Problem, ProblemKind};
use crate::wire::runs::{RunBegin, RunEnd, RunStepRecord};

/// How often a line is told before its answer counts as lost.
const TELL_AGAIN: u32 = 3;
/// Before it is told for the second time; twice that before the third.
const BEFORE_TELLING: Duration = Duration::from_millis(200);
/// For so long an agent's report is waited for of what was seen to be done.
const FOR_A_REPORT: Duration = Duration::from_secs(20);
/// Between two times that the end is told meanwhile.
const BETWEEN_REPORTS: Duration = Duration::from_millis(250);

/// Where a run is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// In the platform's audit.
    Audit,
    /// In the local file only, since the API doesn't answer.
    Locally,
}

/// The end that the record of a run has.
pub(super) struct OnRecord {
    /// It.
    pub(super) end: Outcome,
    /// The records deny another one only for as long as something is under way.
    pub(super) is_under_way: bool,
}

impl OnRecord {
    fn denied(end: &RunEnd, problem: &Problem, confirmed: &Confirmed) -> Self {
        Self {
            end: denied(end, Some(confirmed.plan().kind_of(0))),
            is_under_way: problem.kind == ProblemKind::NotYet,
        }
    }
}

/// Time that is given to what the records say is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as an agent takes to report.
    ForAReport,
    /// None: it is told again later.
    None,
}

/// Writes runs down.
#[derive(Clone, Debug)]
pub struct Journal {
    local: PathBuf,
    /// Set while an end lies in the file that this process put there.
    has_ends: Arc<AtomicBool>,
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

/// End of a run as its console has seen it.
pub(super) struct Ending<'a> {
    pub(super) confirmed: &'a Confirmed,
    pub(super) outcome: &'a Outcome,
    pub(super) at: DateTime<Utc>,
}

impl Journal {
    /// With the local file's path, used only while the API doesn't answer.
    #[must_use]
    pub fn new(local: &Path) -> Self {
        Self {
            local: local.to_owned(),
            has_ends: Arc::default(),
        }
    }

    /// Whether something lies in the local file since the last question that can be handed over.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.has_ends.swap(false, Ordering::Relaxed)
    }

    /// Records that a run begins; without an API that may be told, locally. Gives the end of a run that can't be put on
    /// record, since then nothing of it is sent.
    pub(super) async fn begin(
        &self,
        api: Option<&ApiWriter>,
        confirmed: &Confirmed,
    ) -> Result<Recorded, Outcome> {
        let plan = confirmed.plan();
        let body = record::of(plan, confirmed.comment(), confirmed.ticket()).map_err(Outcome::NotSent)?;
        let told = match api {
            Some(api) => tell(api, Word::Begin(&body)).await,
            None => Err(Problem::unavailable("the API is on another database")),
        };
        match told {
            Ok(()) => Ok(Recorded::Audit),
            Err(problem) if plan.works_without_api && is_away(&problem) => {
                let run = body.id.clone();
                let owner = Owner::this();
                let line = Line::Begin { run, body, owner };
                self.append(line).await.map_err(Outcome::NotSent)?;
                Ok(Recorded::Locally)
            }
            Err(problem) => {
                if problem.kind == ProblemKind::NoAnswer {
                    self.never_began(body).await;
                }
                Err(not_on_record(&problem))
            }
        }
    }

    /// The run may stand in the audit as one that began. That nothing was done is handed over once the API can be
    /// told.
    async fn never_began(&self, body: RunBegin) {
        let run = body.id.clone();
        let end = RunEnd {
            outcome: AuditOutcome::Refused,
            note: Some("nothing was done: it is not known whether the audit row was written".to_owned()),
        };
        let begin = Line::Begin {
            run: run.clone(),
            body,
            owner: Owner::this(),
        };
        for line in [
            begin,
            Line::End {
                run: run.clone(),
                end,
            },
        ] {
            if let Err(problem) = self.append(line).await {
                tracing::error!(%run, %problem, "that {run} did not begin could not be recorded");
            }
        }
    }

    /// A step's record; a failure to write it doesn't stop a run that has begun.
    pub(super) async fn step(&self, api: &ApiWriter, on: Recorded, run: &str, step: &RunStepRecord) {
        let written = match on {
            Recorded::Audit => match tell(api, Word::Step(run, step)).await {
                // As for the end: it looks so from here, and the records don't say that it is.
                Err(problem) if problem.kind == ProblemKind::Conflict && is_known(&step.status) => {
                    let note = step.note.as_deref().unwrap_or(&step.status);
                    let unknown = RunStepRecord {
                        status: "unknown".to_owned(),
                        note: Some(format!("{note}; but {}", problem.what)),
                        ..step.clone()
                    };
                    tell(api, Word::Step(run, &unknown)).await
                }
                told => told,
            },
            Recorded::Locally => {
                let (run, step) = (run.to_owned(), step.clone());
                self.append(Line::Step { run, step }).await
            }
        };
        if let Err(problem) = written {
            tracing::warn!(%run, index = step.index, %problem, "a step of {run} could not be recorded");
        }
    }

    /// Puts the end on record, and gives the one that the record has; what can't be told to the API is kept locally.
    pub(super) async fn end(
        &self,
        api: &ApiWriter,
        on: Recorded,
        ending: Ending<'_>,
        leaving: &watch::Receiver<bool>,
        patience: Patience,
    ) -> OnRecord {
        let Ending {
            confirmed,
            outcome,
            at,
        } = ending;
        let run = &confirmed.plan().run_id;
        let mut has = OnRecord {
            end: outcome.clone(),
            is_under_way: false,
        };
        let mut end = RunEnd {
            outcome: outcome.for_audit(),
            note: Some(outcome.for_record()),
        };
        let told = match on {
            Recorded::Audit => match tell_end(api, run, &end, leaving.clone(), patience).await {
                // The records say otherwise: another one's change proved it, say, or what had failed was tried again.
                Err(problem)
                    if matches!(problem.kind, ProblemKind::Conflict | ProblemKind::NotYet)
                        && is_known(end.outcome.word()) =>
                {
                    end = against_the_records(&end, &problem);
                    has = OnRecord::denied(&end, &problem, confirmed);
                    tell(api, Word::End(run, &end)).await
                }
                told => told,
            },
            Recorded::Locally => Err(Problem::unavailable("the API did not answer when the run began")),
        };
        if told.is_err() {
            // The audit row will have the time at which it is handed over, so the note has this one. What may
            // have been told already is told in the same words: it is the same end.
            if !told.is_err_and(|problem| problem.kind == ProblemKind::NoAnswer) {
                let note = end.note.as_deref().unwrap_or_default();
                end.note = Some(format!("{note} (ended at {})", at.format("%Y-%m-%d %H:%M:%SZ")));
            }
            let line = Line::End {
                run: run.to_owned(),
                end,
            };
            if let Err(problem) = self.append(line).await {
                tracing::error!(%run, %problem, "the end of {run} could not be recorded");
            }
        }
        has
    }

    /// Hands the ended runs of the local file over to the API, each once however often it is tried (the
    /// API knows them by their ids). One whose console is gone without saying its end has ended as unknown.
    /// What is under way, or refused, stays in the file. Gives the ends that the records deny, by the runs' ids.
    ///
    /// # Errors
    /// That the file can't be read or written, or that the API is away again.
    pub async fn hand_over(&self, changes: &Changes) -> Result<Vec<(String, Outcome)>, Problem> {
        let failed = |error: std::io::Error| self.unusable(&error);
        let lines = match tokio::fs::read_to_string(&self.local).await {
            Ok(text) => text.lines().map(str::to_owned).collect::<Vec<_>>(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
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
        let mut denied = Vec::new();
        for line in &parsed {
            if let Line::End { run, .. } = line {
                match hand_over_run(&changes.api, run, &parsed).await? {
                    HandedOver::No => continue,
                    HandedOver::AsItIs => {}
                    HandedOver::Denied(end) => denied.push((run.clone(), end)),
                }
                handed_over.insert(run.clone());
            }
        }
        if handed_over.is_empty() {
            return Ok(denied);
        }
        let local = self.local.clone();
        tokio::task::spawn_blocking(move || forget(&local, &handed_over))
            .await
            .map_err(|error| Problem::internal(error.to_string()))?
            .map_err(|error| self.unusable(&error))?;
        Ok(denied)
    }

    fn unusable(&self, error: &std::io::Error) -> Problem {
        Problem::unavailable(format!(
            "the local journal `{}` can't be used: {error}",
            self.local.display()
        ))
    }

    async fn append(&self, line: Line) -> Result<(), Problem> {
        let ends = matches!(line, Line::End { .. });
        let mut text = serde_json::to_string(&line)
            .map_err(|error| Problem::internal(format!("the run can't be written down: {error}")))?;
        text.push('\n');
        let local = self.local.clone();
        tokio::task::spawn_blocking(move || append(&local, &text))
            .await
            .map_err(|error| Problem::internal(error.to_string()))?
            .map_err(|error| self.unusable(&error))?;
        self.has_ends.fetch_or(ends, Ordering::Relaxed);
        Ok(())
    }
}

/// The end of a run whose record did not come about: nobody took it down, nobody knows whether somebody did, or the API
/// said no to it.
fn not_on_record(problem: &Problem) -> Outcome {
    let hint = problem.hint.clone();
    let but = |words: &str| {
        Problem::new(
            problem.kind,
            format!("nothing was changed, since {words}: {}", problem.what),
        )
    };
    let again = "try again when the API answers".to_owned();
    match problem.kind {
        ProblemKind::Unavailable | ProblemKind::BackendFailed | ProblemKind::Internal => {
            Outcome::NotSent(but("the audit row can't be written").hint(hint.unwrap_or(again)))
        }
        ProblemKind::NoAnswer => Outcome::NotSent(
            but("it is not known whether the audit row was written").hint(hint.unwrap_or(again)),
        ),
        _ => {
            let refused = but("the API refuses to put the run on record");
            Outcome::Refused(match hint {
                Some(hint) => refused.hint(hint),
                None => refused,
            })
        }
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
            body,
            owner: Some(owner),
        } if !ended.contains(run.as_str()) && owner.is_gone() => Some((run, body.entity_type)),
        _ => None,
    });
    gone.map(|(run, kind)| {
        let outcome = Outcome::Unknown(
            Problem::no_answer("the console was gone before its end").hint(kind.check_first()),
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

/// A run of the local file, as far as the API takes it.
enum HandedOver {
    /// It refuses the lines, so that they stay.
    No,
    /// It is on record as the file has it.
    AsItIs,
    /// The records deny its end, and have this one.
    Denied(Outcome),
}

/// Says one run's lines to the API.
async fn hand_over_run(api: &ApiWriter, run: &str, lines: &[Line]) -> Result<HandedOver, Problem> {
    let begun = lines.iter().find_map(|line| match line {
        Line::Begin { run: of, body, .. } if of == run => Some(body.entity_type),
        _ => None,
    });
    let mut handed_over = HandedOver::AsItIs;
    for line in lines.iter().filter(|line| line.run() == run) {
        let word = match line {
            Line::Begin { body, .. } => Word::Begin(body),
            Line::Step { step, .. } => Word::Step(run, step),
            Line::End { end, .. } => Word::End(run, end),
        };
        let told = match (word.once(api).await, line) {
            (Err(problem), Line::End { end, .. })
                if problem.kind == ProblemKind::Conflict && is_known(end.outcome.word()) =>
            {
                let unknown = against_the_records(end, &problem);
                handed_over = HandedOver::Denied(denied(&unknown, begun));
                Word::End(run, &unknown).once(api).await
            }
            (Err(problem), Line::Step { .. }) if problem.kind == ProblemKind::Conflict => {
                // Its end is what counts, and says more.
                tracing::warn!(%run, %problem, "a step of {run} could not be handed over");
                Ok(())
            }
            (told, _) => told,
        };
        match told {
            Ok(()) => {}
            Err(problem) if is_away(&problem) => return Err(problem),
            Err(problem) => {
                tracing::warn!(%run, %problem, "{run} could not be handed over and stays in the local journal");
                return Ok(HandedOver::No);
            }
        }
    }
    Ok(handed_over)
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

/// A line as it is told to the API. Each has a key of its own, so that telling it again tells it once.
#[derive(Clone, Copy)]
enum Word<'a> {
    Begin(&'a RunBegin),
    Step(&'a str, &'a RunStepRecord),
    End(&'a str, &'a RunEnd),
}

impl Word<'_> {
    async fn once(self, api: &ApiWriter) -> Result<(), Problem> {
        match self {
            Self::Begin(body) => api.begin_run(body).await,
            Self::Step(run, step) => api.record_step(run, step).await,
            Self::End(run, end) => api.end_run(run, end).await,
        }
    }
}

/// Tells it, again where the answer was lost.
async fn tell(api: &ApiWriter, word: Word<'_>) -> Result<(), Problem> {
    for attempt in 1..TELL_AGAIN {
        match word.once(api).await {
            Err(problem) if problem.kind == ProblemKind::NoAnswer => sleep(BEFORE_TELLING * attempt).await,
            told => return told,
        }
    }
    word.once(api).await
}

/// Tells the end, again where it is seen here and its agent has not reported it yet: it reports after its own proof, which
/// may take longer than ours. Who leaves the console waits for nobody.
async fn tell_end(
    api: &ApiWriter,
    run: &str,
    end: &RunEnd,
    mut leaving: watch::Receiver<bool>,
    patience: Patience,
) -> Result<(), Problem> {
    let until = Instant::now()
        + match patience {
            Patience::ForAReport => FOR_A_REPORT,
            Patience::None => Duration::ZERO,
        };
    loop {
        let told = tell(api, Word::End(run, end)).await;
        let is_early = matches!(&told, Err(problem) if problem.kind == ProblemKind::NotYet);
        if !is_early || Instant::now() >= until {
            return told;
        }
        tokio::select! {
            () = sleep(BETWEEN_REPORTS) => {}
            Ok(_) = leaving.wait_for(|leaving| *leaving) => return told,
        }
    }
}

/// True if this word says what came of it.
fn is_known(word: &str) -> bool {
    matches!(word, "proven" | "done" | "refused" | "failed")
}

/// The end, where the platform's records say otherwise: then nobody knows it yet.
fn against_the_records(end: &RunEnd, problem: &Problem) -> RunEnd {
    let said = end.note.as_deref().unwrap_or(end.outcome.word());
    RunEnd {
        outcome: AuditOutcome::Unknown,
        note: Some(format!("{said}; but {}", problem.what)),
    }
}

/// That end for a person who sees the run, with a place to look, which its things' kind says.
fn denied(unknown: &RunEnd, kind: Option<EntityKind>) -> Outcome {
    let problem = Problem::no_answer(unknown.note.as_deref().unwrap_or_default());
    Outcome::Unknown(match kind {
        Some(kind) => problem.hint(kind.check_first()),
        None => problem,
    })
}

fn is_away(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemKind::Unavailable | ProblemKind::NoAnswer | ProblemKind::BackendFailed
    )
}
