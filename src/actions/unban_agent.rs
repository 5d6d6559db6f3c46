//! Unban: the agent may enrol again. Its tokens were taken back with the ban and stay so: it gets in by a one-time
//! token that somebody makes for it.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Action, Availability, Facts, Leaves, Refusal, Seen, Spec, by_hand, needs_api};
use crate::domain::agent::{Agent, AgentStatus};
use crate::domain::finding::FindingKind;
use crate::domain::follows::Follows;
use crate::domain::id::EntityKind;
use crate::plan::plan::{Inputs, LeftOut, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::Problem;

/// See the module.
pub(super) struct UnbanAgent;

static SPEC: Spec = Spec {
    id: "unban",
    title: "Unban",
    verb: "Unban",
    key: "U",
    kinds: &[EntityKind::Agent],
    help: "let a banned agent enrol again",
    proof: "the agent is active at the API",
    leaves: Some(Leaves::About("unban", Follows::Nothing)),
};

impl Action for UnbanAgent {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, facts: &Facts) -> Availability {
        needs_api(facts).unwrap_or(Availability::Ready)
    }

    fn refuses(&self, on: &Seen<'_>, _now: DateTime<Utc>) -> Option<Refusal> {
        match on {
            Seen::Agent(agent) => refused(agent),
            Seen::Finding(finding) if finding.kind == FindingKind::AgentBanned => None,
            // Most are not: it isn't offered before that is known.
            _ => {
                let what = "whether the agent is banned isn't known here; open it first";
                Some(Refusal::new("not known to be banned", Problem::refused(what)))
            }
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
        &[&Unban]
    }
}

/// Refusal for an agent that isn't banned.
fn refused(agent: &Agent) -> Option<Refusal> {
    let problem = || Problem::conflict(format!("{} is not banned", agent.hostname));
    (agent.status == AgentStatus::Active).then(|| Refusal::new("not banned", problem()))
}

async fn plan(on: Vec<Target>, with: &Reads) -> Result<Plan, Problem> {
    let mut plan = Plan::new(SPEC.id, with.now());
    let alone = on.len() == 1;
    for target in on {
        let agent = with.api.agent(&target.id).await?.agent;
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
        let command = by_hand::post(with.api.base(), &format!("agents/{}/unban", agent.id), None);
        plan.steps.push(
            PlannedStep::new(
                &Unban,
                plan.targets.len(),
                format!("unban {}", agent.hostname),
                json!({"agent": agent.id}),
            )
            .on_hosts([&agent.hostname])
            .by_hand(command),
        );
        plan.targets.push(Target {
            version: agent.version,
            name: agent.hostname,
            ..target
        });
    }
    let names: Vec<&str> = plan.targets.iter().map(|target| target.name.as_str()).collect();
    plan.title = match names.as_slice() {
        [] => return Err(Problem::conflict("none of these agents is banned")),
        [one] => format!("Unban {one}"),
        many => format!("Unban {} agents", many.len()),
    };
    plan.changes = vec![
        format!("{} may enrol and check in again.", names.join(", ")),
        "Tokens stay taken back: it enrols with a one-time token (`POST /api/v1/agents/{id}/token`)."
            .to_owned(),
    ];
    Ok(plan)
}

/// Takes the ban back.
struct Unban;

impl Step for Unban {
    fn name(&self) -> &'static str {
        "unban"
    }

    fn harm(&self) -> Harm {
        Harm::Changes
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            with.api
                .unban(text(&cx.args, "agent")?, &cx.why(), &cx.key)
                .await?;
            Ok(json!({}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let agent = with.api.as_now().agent(text(&cx.args, "agent")?).await?.agent;
            Ok(match agent.status {
                AgentStatus::Active => Proof::Proven(format!("{} is active", agent.hostname)),
                AgentStatus::Banned => Proof::NotYet(format!("{} is banned still", agent.hostname)),
            })
        })
    }
}
