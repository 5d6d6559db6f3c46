//! The wish for a new certificate in the place of an old one; proven once each request that came of it is issued.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::await_agent;
use crate::actions::in_the_way::{Adapters, away};
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::Problem;
use crate::wire::certs::ReissueBody;

/// Asks for the new certificate; proven when every request that came of it is issued.
pub(in crate::actions) struct Reissue;

impl Step for Reissue {
    fn name(&self) -> &'static str {
        "reissue"
    }

    fn harm(&self) -> Harm {
        Harm::Changes
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let body = ReissueBody {
                key_algorithm: cx.args["key"].as_str().map(str::to_owned),
                comment: cx.comment.clone(),
                ticket: cx.ticket.clone(),
            };
            let reply = with
                .api
                .reissue(text(&cx.args, "certificate")?, &body, &cx.key)
                .await?;
            let requests: Vec<&str> = reply.requests.iter().map(|request| request.id.as_str()).collect();
            Ok(json!({"requests": requests}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let Some(ids) = cx.result["requests"].as_array() else {
                return found_out(cx, with).await;
            };
            let late: Vec<&str> = cx.args["late"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let mut requests = Vec::new();
            for id in ids.iter().filter_map(Value::as_str) {
                requests.push(with.api.request(id).await?);
            }
            // A step of its own looks after what waits for an agent that is away, unless that is all.
            let is_late =
                |request: &Request| request.agent_id.as_deref().is_some_and(|id| late.contains(&id));
            let all_late = requests.iter().all(is_late);
            let mut serials = Vec::new();
            for request in requests.iter().filter(|request| all_late || !is_late(request)) {
                match (request.status, &request.certificate_id) {
                    (RequestStatus::Issued, Some(certificate)) => {
                        serials.push(with.api.certificate(certificate).await?.certificate.serial);
                    }
                    (RequestStatus::Failed | RequestStatus::Denied | RequestStatus::Cancelled, _) => {
                        let hint = "the old certificate is untouched";
                        return Ok(await_agent::ended(request, Some(hint)));
                    }
                    _ => return not_issued(request, text(&cx.args, "certificate")?, with).await,
                }
            }
            // Names that were refused before are still not there: the finding about them ends with this.
            let without = cx.args["without"].as_str().map_or(String::new(), |names| {
                format!(
                    " for the present names only: {names}, which the last try asked for too, is not in it"
                )
            });
            Ok(issued(cx, &format!("{}{without}", serials.join(", "))))
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(90)
    }
}

/// Serials of a reissue, and the work that is left with the old certificate.
fn issued(cx: &StepContext, serials: &str) -> Proof {
    let left = match cx.args["leaked"].as_bool() {
        Some(true) => "; the old one's key is compromised: it still has to be revoked, `X` on it",
        _ => "",
    };
    let word = if serials.contains(", ") {
        "serials"
    } else {
        "serial"
    };
    Proof::Proven(format!("issued, {word} {serials}{left}"))
}

/// The answer was lost: another one in its place than when it was planned is what was asked for.
async fn found_out(cx: &StepContext, with: &Reads) -> Result<Proof, Problem> {
    let old = with
        .api
        .certificate(text(&cx.args, "certificate")?)
        .await?
        .certificate;
    match &old.replaced_by {
        Some(new) if cx.args["replaced_by"].as_str() != Some(new) => {
            let new = with.api.certificate(new).await?.certificate;
            Ok(issued(cx, &new.serial))
        }
        _ => Ok(Proof::NotYet(
            "it is not known whether the request was made".to_owned(),
        )),
    }
}

/// Party that a request waits for; nobody has to stay for one that is known to be away.
async fn not_issued(request: &Request, certificate: &str, with: &Reads) -> Result<Proof, Problem> {
    match (request.waiting_on, &request.agent_id) {
        (Some(WaitingOn::Approval), _) => {
            return Ok(Proof::Waits(format!(
                "asked: request {} waits for an approval",
                request.id
            )));
        }
        (Some(WaitingOn::Key | WaitingOn::Challenge), Some(agent)) => {
            let agent = with.api.agent(agent).await?.agent;
            if let Some(absence) = away(&agent, with.now()) {
                return Ok(Proof::Waits(await_agent::words(request, &agent, &absence)));
            }
        }
        (Some(WaitingOn::Ca), _) => {
            let old = with.api.certificate(certificate).await?.certificate;
            if let Some(cause) = Adapters::ask(with).await?.stopped(&old, with) {
                return Ok(Proof::Waits(format!(
                    "asked: request {} waits for the CA: {cause}. It is issued and installed by itself when that is over",
                    request.id
                )));
            }
        }
        _ => {}
    }
    Ok(Proof::Open(request.why()))
}
