//! Force check-in: the agent is woken and dials out now; proven by a newer `last_checkin`. When it
//! can't be reached, the step of reaching it that failed is named.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::in_the_way::{away, names};
use super::{Action, Availability, Facts, Refusal, Seen, Spec};
use crate::clients::agent::WakeStep;
use crate::domain::agent::{Agent, AgentStatus};
use crate::domain::finding::FindingKind;
use crate::domain::id::EntityKind;
use crate::domain::matter;
use crate::domain::plain::shell_word;
use crate::domain::told::{SAID, cited};
use crate::plan::plan::{Inputs, LeftOut, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::{Problem, ProblemKind};

/// See the module.
pub(super) struct ForceCheckin;

static SPEC: Spec = Spec {
    id: "checkin",
    title: "Force check-in",
    verb: "Check-in of",
    key: "c",
    kinds: &[EntityKind::Agent],
    help: "wake the agent, so that it checks in now",
    proof: "a newer last check-in, or which step of reaching it failed",
    leaves: None,
};

impl Action for ForceCheckin {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    // Without the API it is woken where it was last heard of, and says itself whether it checked in.
    fn available(&self, _facts: &Facts) -> Availability {
        Availability::Ready
    }

    fn refuses(&self, on: &Seen<'_>, _now: DateTime<Utc>) -> Option<Refusal> {
        match on {
            Seen::Agent(agent) => refused(agent),
            Seen::Finding(finding) if finding.kind == FindingKind::AgentBanned => {
                Some(banned(&finding.subject))
            }
            Seen::Finding(finding) if finding.matter == matter::NO_TOKEN => {
                Some(without_token(&finding.subject, &finding.entity_id))
            }
            _ => None,
        }
    }

    fn plan<'a>(
        &'a self,
        on: Vec<Target>,
        _inputs: Inputs,
        with: &'a Reads,
    ) -> BoxFuture<'a, Result<Plan, Problem>> {
        Box::pin(plan(on, with))
    }

    fn steps(&self) -> &'static [&'static dyn Step] {
        &[&Wake]
    }
}

/// Refusal for an agent that isn't woken.
fn refused(agent: &Agent) -> Option<Refusal> {
    match agent.status {
        AgentStatus::Banned => Some(banned(&agent.hostname)),
        AgentStatus::Active => agent
            .has_no_token
            .then(|| without_token(&agent.hostname, &agent.id)),
    }
}

fn banned(hostname: &str) -> Refusal {
    let problem = Problem::refused(format!("{hostname} is banned")).hint("unban it first: `U`");
    Refusal::new("banned", problem)
}

/// Refusal for an agent that the API would turn away, however often it is woken.
fn without_token(hostname: &str, id: &str) -> Refusal {
    let problem = Problem::refused(format!("{hostname} has no token: it can't check in"))
        .hint(format!("enrol it again: `POST /api/v1/agents/{id}/token`"));
    Refusal::new("without a token", problem)
}

async fn plan(on: Vec<Target>, with: &Reads) -> Result<Plan, Problem> {
    let mut plan = Plan::new(SPEC.id, with.now());
    let (mut unsaid, mut silent) = (Vec::new(), Vec::new());
    let alone = on.len() == 1;
    for target in on {
        let (agent, from_api) = find(&target.id, with).await?;
        plan.works_without_api |= !from_api;
        if let Some(refusal) = refused(&agent) {
            if alone {
                return Err(refusal.problem);
            }
            plan.left_out.push(LeftOut {
                name: agent.hostname,
                why: refusal.word.to_owned(),
            });
            continue;
        }
        if let Some(absence) = away(&agent, with.now()) {
            silent.push(format!("{} {}", agent.hostname, absence.is));
        }
        if !from_api {
            unsaid.push(format!("{} at {}", agent.hostname, cited(&agent.address, SAID)));
        }
        let args = json!({
            "agent": agent.id,
            "hostname": agent.hostname,
            "address": agent.address,
            "before": agent.last_checkin,
            "from_api": from_api,
        });
        plan.steps.push(
            PlannedStep::new(
                &Wake,
                plan.targets.len(),
                format!("wake {}", agent.hostname),
                args,
            )
            .by_hand(command(&agent)),
        );
        plan.targets.push(Target {
            version: agent.version,
            name: agent.hostname,
            ..target
        });
    }
    let named: Vec<&str> = plan.targets.iter().map(|target| target.name.as_str()).collect();
    match named.as_slice() {
        [] => {
            return Err(Problem::refused(
                "none of these agents can check in: each is banned or has no token",
            )
            .hint("unban them first, `U`; then enrol them again"));
        }
        [one] => {
            plan.title = format!("Check-in of {one}");
            plan.changes.push(format!("{one} checks in now."));
        }
        many => {
            plan.title = format!("Check-in of {} agents", many.len());
            plan.changes.push(format!("{} agents check in now.", many.len()));
            plan.by_name = many.iter().map(|&name| name.to_owned()).collect();
        }
    }
    if !silent.is_empty() {
        let silent: Vec<&str> = silent.iter().map(String::as_str).collect();
        let so = if silent.len() == 1 { "it" } else { "they" };
        plan.in_the_way
            .push(format!("{}: {so} may not answer.", names(&silent)));
    }
    if !unsaid.is_empty() {
        plan.in_the_way.push(format!(
            "The API does not answer. They are woken where they were last: {}.",
            unsaid.join(", ")
        ));
    }
    Ok(plan)
}

/// The agent, and whether the API said so; else as it was last heard of.
async fn find(id: &str, with: &Reads) -> Result<(Agent, bool), Problem> {
    match with.api.agent(id).await {
        Ok(detail) => Ok((detail.agent, true)),
        Err(problem) if problem.kind.may_be_retried() => {
            with.known.get(id).map(|agent| (agent, false)).ok_or(problem)
        }
        Err(problem) => Err(problem),
    }
}

/// Command that does it by hand; what the agent says of itself is only a word in it.
fn command(agent: &Agent) -> String {
    let wake_up = format!("{}/checkin", agent.address.trim_end_matches('/'));
    format!("curl -X POST {}", shell_word(&wake_up))
}

/// Wakes the agent.
struct Wake;

impl Step for Wake {
    fn name(&self) -> &'static str {
        "wake_agent"
    }

    fn harm(&self) -> Harm {
        Harm::None
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let reply = match with.wake(text(&cx.args, "address")?).await {
                Ok(reply) => reply,
                Err(failure) => {
                    let what = format!("{} failed: {failure}", failure.step.word());
                    // The agent was reached and may have checked in all the same: the API knows.
                    if failure.step == WakeStep::Http {
                        return Ok(json!({"lost": format!("{what} (hint: {})", failure.hint)}));
                    }
                    return Err(Problem::new(ProblemKind::BackendFailed, what).hint(failure.hint));
                }
            };
            if let Some(problem) = reply.not_reported() {
                return match problem.kind {
                    ProblemKind::NoAnswer => Ok(json!({"lost": problem.what})),
                    _ => Err(problem),
                };
            }
            Ok(json!({"jobs": reply.n_jobs, "reported": reply.reported}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let before: Option<DateTime<Utc>> =
                serde_json::from_value(cx.args["before"].clone()).unwrap_or_default();
            let agent = match with.api.agent(text(&cx.args, "agent")?).await {
                Ok(detail) => detail.agent,
                Err(problem)
                    if cx.args["from_api"] == false
                        && cx.result["reported"] == true
                        && problem.kind.may_be_retried() =>
                {
                    return Ok(Proof::Proven(format!(
                        "{} says that it checked in; the API, which would know, does not answer",
                        text(&cx.args, "hostname")?
                    )));
                }
                Err(problem) => return Err(problem),
            };
            Ok(match agent.last_checkin {
                Some(at) if before.is_none_or(|before| at > before) => Proof::Proven(format!(
                    "{} checked in at {}",
                    agent.hostname,
                    at.format("%Y-%m-%d %H:%M:%SZ")
                )),
                _ => Proof::NotYet(match cx.result["lost"].as_str() {
                    Some(lost) => format!("{lost}; no check-in has arrived"),
                    None => "woken; its check-in has not arrived yet".to_owned(),
                }),
            })
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(20)
    }
}
