//! A step that changes nothing: it is proven when the agent reports the certificate that an earlier step asked for on
//! its disk. One that is away is waited for by nobody: the request goes on by itself once it is back.

use futures::future::BoxFuture;
use serde_json::json;

use super::expected::requests;
use crate::actions::in_the_way::{Absence, away};
use crate::domain::agent::Agent;
use crate::domain::installation::Installation;
use crate::domain::request::{Request, RequestStatus};
use crate::domain::told::{SAID, cited};
use crate::plan::plan::PlannedStep;
use crate::plan::ports::Reads;
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::{Problem, ProblemKind};
use crate::wire::agents::AgentDetail;

/// See the module.
pub(in crate::actions) struct AwaitAgent;

/// The step for what takes the place of the certificate that belongs at `place`.
pub(in crate::actions) fn planned(target: usize, place: &Installation) -> PlannedStep {
    let title = format!("installation on {}", place.hostname);
    let args = json!({
        "agent": place.agent_id, "hostname": place.hostname, "path": place.path,
        "installation": place.id, "before": place.certificate_id,
    });
    PlannedStep::new(&AwaitAgent, target, title, args)
}

/// Hint of an installation that failed: another reissue would make a third certificate.
pub(super) const MEND: &str = "mend the cause on the host, and install the new one there again";

/// What a request that waits for an agent has come to.
pub(in crate::actions) fn words(request: &Request, agent: &Agent, absence: &Absence) -> String {
    let host = &agent.hostname;
    format!(
        "asked, waits for the agent: request {} goes on when {host} {}; it {}",
        request.id, absence.until, absence.is
    )
}

/// Proof of a request that came to nothing: one that a person took back has not failed.
pub(in crate::actions) fn ended(request: &Request, hint: Option<&str>) -> Proof {
    let problem = Problem::new(ProblemKind::Refused, format!("{}: {}", request.id, request.why()));
    let problem = match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    };
    match request.status {
        RequestStatus::Cancelled => Proof::Stopped(problem),
        _ => Proof::Refuted(problem),
    }
}

/// Request of the earlier step for this place, where its answer named it.
async fn asked(cx: &StepContext, with: &Reads) -> Result<Option<Request>, Problem> {
    for id in requests(&cx.earlier) {
        let request = with.api.request(&id).await?;
        let is_here = request.agent_id.as_deref() == cx.args["agent"].as_str();
        if is_here && request.install_path.as_deref() == cx.args["path"].as_str() {
            return Ok(Some(request));
        }
    }
    Ok(None)
}

/// Fate of the new certificate at its place; without an answer that names it, of what is expected there since.
fn installed(
    cx: &StepContext,
    certificate: Option<&str>,
    there: &AgentDetail,
    with: &Reads,
) -> Result<Proof, Problem> {
    let (hostname, path) = (text(&cx.args, "hostname")?, text(&cx.args, "path")?);
    let place = there.installations.iter().find(|it| it.path == path);
    let is_new = place.is_some_and(|it| match certificate {
        Some(id) => it.certificate_id == id,
        None => cx.args["before"].as_str() != Some(it.certificate_id.as_str()),
    });
    // A file on disk may be taken back while it is being installed.
    if let Some(new) = place.filter(|it| is_new && !it.under_way)
        && new.on_disk_sha256.as_ref() == Some(&new.expected_sha256)
    {
        return Ok(Proof::Proven(format!(
            "issued, and on {hostname}'s disk as it reports"
        )));
    }
    // A certificate that is expected anew has not failed: an earlier failure is over with it.
    if let Some(failed) = place.filter(|it| it.failed && (is_new || certificate.is_some())) {
        let why = failed.error.as_deref().map_or_else(
            || "its agent gave no reason".to_owned(),
            |error| format!("its agent says {}", cited(error, SAID)),
        );
        let what = format!("issued, but its installation on {hostname} failed; {why}");
        let problem = Problem::new(ProblemKind::BackendFailed, what).hint(MEND);
        return Ok(Proof::Refuted(match certificate {
            Some(new) => problem.remedy("install", new),
            None => problem,
        }));
    }
    let words = match (certificate, place.and_then(|it| it.tls_address.as_ref())) {
        (Some(_), Some(_)) => format!("issued, not yet served by {hostname}"),
        (Some(_), None) => format!("issued, not yet installed on {hostname}"),
        (None, _) => format!("{hostname} has a request for it already, and has not installed it yet"),
    };
    Ok(match away(&there.agent, with.now()) {
        Some(Absence { is, until }) => {
            Proof::Waits(format!("{words}: it goes on when {hostname} {until}; it {is}"))
        }
        None => Proof::Open(words),
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
            let there = with.api.agent(text(&cx.args, "agent")?).await?;
            let Some(request) = asked(cx, with).await? else {
                return installed(cx, None, &there, with);
            };
            Ok(match request.status {
                RequestStatus::Issued => installed(cx, request.certificate_id.as_deref(), &there, with)?,
                RequestStatus::Failed | RequestStatus::Denied | RequestStatus::Cancelled => {
                    ended(&request, None)
                }
                RequestStatus::Pending | RequestStatus::Issuing => match away(&there.agent, with.now()) {
                    Some(absence) => Proof::Waits(words(&request, &there.agent, &absence)),
                    None => Proof::Open(request.why()),
                },
            })
        })
    }
}
