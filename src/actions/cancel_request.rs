//! Cancel: a request that failed, or that nobody wants any more, is taken back and no longer asks for anybody.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Action, Availability, Facts, Leaves, Refusal, Seen, Spec, by_hand, needs_api};
use crate::domain::follows::Follows;
use crate::domain::id::EntityKind;
use crate::domain::request::{Request, RequestStatus};
use crate::plan::plan::{Inputs, LeftOut, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::Problem;

/// See the module.
pub(super) struct CancelRequest;

static SPEC: Spec = Spec {
    id: "cancel",
    title: "Cancel a request",
    verb: "Cancel",
    key: "x",
    kinds: &[EntityKind::Request],
    help: "take a request back that failed or that nobody wants any more",
    proof: "the request is cancelled at the API",
    leaves: Some(Leaves::About("cancel", Follows::Nothing)),
};

impl Action for CancelRequest {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, facts: &Facts) -> Availability {
        needs_api(facts).unwrap_or(Availability::Ready)
    }

    fn refuses(&self, on: &Seen<'_>, _now: DateTime<Utc>) -> Option<Refusal> {
        match on {
            Seen::Request(request) => refused(request),
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
        &[&Cancel]
    }
}

/// Refusal for a request that can't be taken back.
fn refused(request: &Request) -> Option<Refusal> {
    let stands = match request.status {
        status if status.may_become(RequestStatus::Cancelled) => return None,
        RequestStatus::Issuing => "is at the CA now".to_owned(),
        status => format!("is {} already", status.word()),
    };
    let what = format!("the request for {} {stands}", request.common_name);
    Some(Refusal::new(request.status.word(), Problem::conflict(what)))
}

async fn plan(on: Vec<Target>, with: &Reads) -> Result<Plan, Problem> {
    let mut plan = Plan::new(SPEC.id, with.now());
    let mut requests: Vec<Request> = Vec::new();
    let alone = on.len() == 1;
    for target in on {
        let request = with.api.request(&target.id).await?;
        if let Some(refusal) = refused(&request) {
            if alone {
                return Err(refusal.problem);
            }
            plan.left_out.push(LeftOut {
                name: request.common_name,
                why: refusal.word.to_owned(),
            });
            continue;
        }
        let title = format!("cancel the request for {}", request.common_name);
        let command = by_hand::post(with.api.base(), &format!("requests/{}/cancel", request.id), None);
        plan.steps.push(
            PlannedStep::new(&Cancel, plan.targets.len(), title, json!({"request": request.id}))
                .by_hand(command),
        );
        plan.targets.push(Target {
            version: request.version,
            name: request.common_name.clone(),
            ..target
        });
        requests.push(request);
    }
    plan.title = match requests.as_slice() {
        [] => {
            return Err(Problem::conflict(
                "none of these requests can be cancelled: they are over",
            ));
        }
        [one] => format!("Cancel the request for {}", one.common_name),
        many => format!("Cancel {} requests", many.len()),
    };
    plan.changes = match requests.as_slice() {
        [one] => vec![format!(
            "{} is no longer asked for. It {}.",
            one.common_name,
            stands(one)
        )],
        many => vec![format!(
            "{} requests are taken back; nothing is issued for them.",
            many.len()
        )],
    };
    plan.changes
        .push("What is installed and served stays as it is; it can be asked for again.".to_owned());
    if requests.len() > 1 {
        plan.by_name = requests
            .iter()
            .map(|request| format!("{}: {}", request.common_name, stands(request)))
            .collect();
    }
    Ok(plan)
}

fn stands(request: &Request) -> String {
    match request.status {
        RequestStatus::Failed => format!("failed: {}", request.why()),
        _ => request.why(),
    }
}

/// Takes the request back.
struct Cancel;

impl Step for Cancel {
    fn name(&self) -> &'static str {
        "cancel_request"
    }

    fn harm(&self) -> Harm {
        Harm::Changes
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let request = text(&cx.args, "request")?;
            with.api.cancel(request, &cx.why(), &cx.key).await?;
            Ok(json!({}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let request = with.api.as_now().request(text(&cx.args, "request")?).await?;
            Ok(match request.status {
                RequestStatus::Cancelled => {
                    Proof::Proven(format!("the request for {} is cancelled", request.common_name))
                }
                _ => Proof::NotYet(request.why()),
            })
        })
    }
}
