//! A step that changes nothing: it says what an earlier step asked of an agent that is away. It waits for
//! nobody; the request goes on by itself once the agent is back.

use futures::future::BoxFuture;
use serde_json::json;

use super::prove_handshake::requests;
use crate::actions::in_the_way::away;
use crate::domain::agent::Agent;
use crate::domain::request::{Request, RequestStatus};
use crate::plan::plan::PlannedStep;
use crate::plan::ports::Reads;
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::{Problem, ProblemKind};

/// See the module.
pub(in crate::actions) struct AwaitAgent;

/// The step for `agent` and the plan's target at `target`.
pub(in crate::actions) fn planned(target: usize, agent: &Agent) -> PlannedStep {
    let title = format!("leave {}'s part to it", agent.hostname);
    let args = json!({"agent": agent.id, "hostname": agent.hostname});
    PlannedStep::new(&AwaitAgent, target, title, args)
}

/// What a request that waits for an agent has come to.
pub(in crate::actions) fn words(request: &Request, agent: &Agent, since: &str) -> String {
    format!(
        "asked, waits for the agent: request {} goes on when {} is back, {since}",
        request.id, agent.hostname
    )
}

/// Fate of the request's certificate at its agent.
async fn installed(request: &Request, agent: &str, hostname: &str, with: &Reads) -> Result<Proof, Problem> {
    let there = with.api.agent(agent).await?.installations;
    let mut there = there
        .iter()
        .filter(|it| Some(&it.certificate_id) == request.certificate_id.as_ref());
    Ok(match there.next() {
        Some(it) if it.on_disk_sha256.as_ref() == Some(&it.expected_sha256) => {
            Proof::Proven(format!("issued, and on {hostname}'s disk as it reports"))
        }
        _ => Proof::Waits(format!("issued; {hostname} installs it when it checks in")),
    })
}

impl Step for AwaitAgent {
    fn name(&self) -> &'static str {
        "await_agent"
    }

    fn harm(&self) -> Harm {
        Harm::None
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let agent = text(&cx.args, "agent")?;
            let hostname = text(&cx.args, "hostname")?;
            for id in requests(&cx.earlier) {
                let request = with.api.request(&id).await?;
                if request.agent_id.as_deref() != Some(agent) {
                    continue;
                }
                return Ok(match request.status {
                    RequestStatus::Issued => installed(&request, agent, hostname, with).await?,
                    RequestStatus::Failed | RequestStatus::Denied | RequestStatus::Cancelled => {
                        let what = format!("{}: {}", request.id, request.why());
                        Proof::Refuted(Problem::new(ProblemKind::Refused, what))
                    }
                    RequestStatus::Pending | RequestStatus::Issuing => {
                        let agent = with.api.agent(agent).await?.agent;
                        let since =
                            away(&agent, with.now()).unwrap_or_else(|| "which is back now".to_owned());
                        Proof::Waits(words(&request, &agent, &since))
                    }
                });
            }
            Ok(Proof::Waits(format!("{hostname} has a request for it already")))
        })
    }
}
