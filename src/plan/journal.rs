//! The journal: runs on record before their first change. In the store, through the API; in a local
//! file where the API is what is broken. Nothing secret is in a plan, so nothing secret is in here.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::io::AsyncWriteExt;

use super::confirm::Confirmed;
use super::outcome::Outcome;
use crate::clients::api::ApiWriter;
use crate::domain::id::EntityKind;
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

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Begin(&'a RunBegin),
    Step { run: &'a str, step: &'a RunStepRecord },
    End { run: &'a str, end: &'a RunEnd },
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
        let body = RunBegin {
            id: plan.run_id.clone(),
            action: plan.action.clone(),
            entity_type: plan.targets.first().map_or(EntityKind::Run, |target| target.kind),
            entity_ids: plan.targets.iter().map(|target| target.id.clone()).collect(),
            comment: confirmed.comment().map(str::to_owned),
            ticket: confirmed.ticket().map(str::to_owned),
            plan: serde_json::to_value(plan)
                .map_err(|error| Problem::internal(format!("the plan can't be written down: {error}")))?,
            digest: plan.digest(),
        };
        match api.begin_run(&body).await {
            Ok(()) => Ok(Recorded::Audit),
            Err(problem) if plan.works_without_api && is_away(&problem) => {
                self.append(&Line::Begin(&body)).await?;
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
            Recorded::Locally => self.append(&Line::Step { run, step }).await,
        };
        if let Err(problem) = written {
            tracing::warn!(%run, index = step.index, %problem, "a step of {run} could not be recorded");
        }
    }

    /// The end; what can't be told to the API is kept locally.
    pub(super) async fn end(&self, api: &ApiWriter, on: Recorded, run: &str, outcome: &Outcome) {
        let end = RunEnd {
            outcome: outcome.for_audit(),
            note: Some(outcome.words()),
        };
        let told = match on {
            Recorded::Audit => api.end_run(run, &end).await,
            Recorded::Locally => Err(Problem::unavailable("the API did not answer when the run began")),
        };
        if told.is_err()
            && let Err(problem) = self.append(&Line::End { run, end: &end }).await
        {
            tracing::error!(%run, %problem, "the end of {run} could not be recorded");
        }
    }

    async fn append(&self, line: &Line<'_>) -> Result<(), Problem> {
        let failed = |error: std::io::Error| {
            Problem::unavailable(format!(
                "the local journal `{}` can't be written: {error}",
                self.local.display()
            ))
        };
        let mut text = serde_json::to_string(line)
            .map_err(|error| Problem::internal(format!("the run can't be written down: {error}")))?;
        text.push('\n');
        if let Some(folder) = self.local.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        }
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.local)
            .await
            .map_err(failed)?;
        file.write_all(text.as_bytes()).await.map_err(failed)?;
        file.sync_all().await.map_err(failed)
    }
}

fn is_away(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemKind::Unavailable | ProblemKind::NoAnswer | ProblemKind::BackendFailed
    )
}
