//! Install: a certificate at a path on the agent that holds its key; proven by the agent's report and
//! by a handshake of our own. On failure the agent puts the old set back and says why.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::steps::prove_handshake::{self, ProveHandshake, Shows};
use super::{Action, Availability, Facts, Spec, needs_api};
use crate::domain::certificate::CertificateStatus;
use crate::domain::id::{EntityKind, new_id};
use crate::domain::plain::shell_word;
use crate::plan::plan::{Field, Inputs, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Tier;
use crate::problem::{Problem, ProblemKind};
use crate::wire::agents::InstallBody;
use crate::wire::certs::CertificateDetail;

/// See the module.
pub(super) struct InstallCertificate;

static SPEC: Spec = Spec {
    id: "install",
    title: "Install",
    key: "i",
    kinds: &[EntityKind::Certificate],
    tier: Tier::Reversible,
    help: "install the certificate on the agent that holds its key, at a path",
    proof: "a handshake serves it, or the old one is back and the reason is shown",
};

impl Action for InstallCertificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, on: &[Target], facts: &Facts) -> Availability {
        if let [one] = on
            && !one.status.is_empty()
            && one.status != CertificateStatus::Active.word()
        {
            return Availability::Disabled(format!("it is {}", one.status.replace('_', " ")));
        }
        needs_api(facts).unwrap_or(Availability::Ready)
    }

    fn plan<'a>(
        &'a self,
        on: Vec<Target>,
        inputs: Inputs,
        with: &'a Reads,
    ) -> BoxFuture<'a, Result<Plan, Problem>> {
        Box::pin(plan(on, inputs, with))
    }

    fn steps(&self) -> &'static [&'static dyn Step] {
        &[&Install, &ProveHandshake]
    }
}

async fn plan(on: Vec<Target>, inputs: Inputs, with: &Reads) -> Result<Plan, Problem> {
    let mut targets = Vec::new();
    let mut changes = Vec::new();
    let mut breaks = Vec::new();
    let mut steps = Vec::new();
    let mut path_field = None;
    let one = on.len() == 1;
    for target in on {
        let detail = with.api.certificate(&target.id).await?;
        let certificate = &detail.certificate;
        let agent_id = detail
            .key
            .as_ref()
            .and_then(|key| key.agent_id.clone())
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::Refused,
                    format!("no agent holds the private key of {}", certificate.name()),
                )
                .hint("reissue it: the agent then makes a key of its own")
            })?;
        let agent = with.api.agent(&agent_id).await?;
        let path = match inputs.get("path").filter(|_| one) {
            Some(path) => path.clone(),
            None => default_path(&detail, &agent_id, with, &agent.agent.install_dirs).await?,
        };
        let hostname = &agent.agent.hostname;
        changes.push(format!(
            "{hostname} has {} at {path}, reloads, and is asked by handshake",
            certificate.name()
        ));
        let there = agent
            .installations
            .iter()
            .find(|installation| installation.path == path);
        match there {
            Some(there) if there.certificate_id != certificate.id => {
                breaks.push(format!(
                    "{hostname} no longer serves {} from {path}",
                    there.subject
                ));
            }
            Some(_) => changes.push(format!(
                "{path} is expected to hold it already: written and loaded again"
            )),
            None => {}
        }
        steps.push(PlannedStep {
            step: Install.name().to_owned(),
            title: format!("install {} on {hostname}", certificate.name()),
            target: targets.len(),
            args: json!({"certificate": certificate.id, "agent": agent_id, "path": path}),
            command: command(with.api.base(), &agent_id, &certificate.id, &path),
        });
        match there.map_or(&agent.agent.tls_address, |there| &there.tls_address) {
            Some(address) => {
                let shows = Shows::This(certificate);
                steps.push(prove_handshake::planned(targets.len(), address, &shows));
            }
            None => changes.push(format!(
                "{hostname} serves nothing from {path}: the proof is the agent's report alone"
            )),
        }
        path_field = Some(path);
        targets.push(Target {
            version: certificate.version,
            name: certificate.name().to_owned(),
            ..target
        });
    }
    let title = match targets.as_slice() {
        [one] => format!("Install {}", one.name),
        many => format!("Install {} certificates", many.len()),
    };
    let fields = path_field.filter(|_| one).map(|value| Field {
        name: "path".to_owned(),
        label: "Path".to_owned(),
        value,
        options: Vec::new(),
    });
    Ok(Plan {
        run_id: new_id(EntityKind::Run),
        action: SPEC.id.to_owned(),
        title,
        targets,
        tier: SPEC.tier,
        phrase: String::new(),
        phrase_is: String::new(),
        fields: fields.into_iter().collect(),
        changes,
        breaks,
        steps,
        works_without_api: false,
        made_at: with.clock.now(),
    })
}

/// Where it is expected now, where the one that it replaces is, or under its name in the agent's first
/// directory.
async fn default_path(
    detail: &CertificateDetail,
    agent_id: &str,
    with: &Reads,
    install_dirs: &[String],
) -> Result<String, Problem> {
    let mut places = detail.installations.clone();
    if places.is_empty()
        && let Some(replaced) = &detail.certificate.replaces
    {
        places = with.api.certificate(replaced).await?.installations;
    }
    let there = places
        .into_iter()
        .find(|installation| installation.agent_id == agent_id);
    if let Some(installation) = there {
        return Ok(installation.path);
    }
    let folder = install_dirs.first().ok_or_else(|| {
        Problem::new(
            ProblemKind::Refused,
            "the agent allows no directory to install in".to_owned(),
        )
        .hint("add one to `install_dirs` in the agent's configuration")
    })?;
    let name: String = detail
        .certificate
        .name()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    Ok(format!("{}/{name}.pem", folder.trim_end_matches('/')))
}

/// The same by hand; a path is only a word in it, whatever characters it has.
fn command(api: &str, agent: &str, certificate: &str, path: &str) -> String {
    format!(
        "curl -X POST {} -H \"Authorization: Bearer $TOKEN\" -d {}",
        shell_word(&format!("{api}/api/v1/agents/{agent}/install")),
        shell_word(&json!({"cert_id": certificate, "path": path}).to_string())
    )
}

/// Asks for the installation; proven when the agent reports that it was done.
struct Install;

impl Step for Install {
    fn name(&self) -> &'static str {
        "install"
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let body = InstallBody {
                cert_id: text(&cx.args, "certificate")?.to_owned(),
                path: text(&cx.args, "path")?.to_owned(),
                comment: cx.comment.clone(),
                ticket: cx.ticket.clone(),
            };
            let reply = with.api.install(text(&cx.args, "agent")?, &body, &cx.key).await?;
            Ok(json!({"job": reply.job_id}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let Some(job) = cx.result["job"].as_str() else {
                return Ok(Proof::NotYet(
                    "it is not known whether the job was queued".to_owned(),
                ));
            };
            let Some(result) = with.api.job(job).await?.result else {
                return Ok(Proof::NotYet("the agent has not reported yet".to_owned()));
            };
            if result.done {
                return Ok(Proof::Proven(
                    "the agent reports it installed and loaded".to_owned(),
                ));
            }
            let step = result.failed_step.as_deref().unwrap_or("installing");
            let why = result.error.as_deref().unwrap_or("no reason given");
            let after = result.leaves();
            Ok(Proof::Refuted(
                Problem::new(
                    ProblemKind::BackendFailed,
                    format!("{step} failed: {}; {after}", why.trim()),
                )
                .hint("mend the cause on the host, then install again"),
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_command() {
        let command = command("http://api", "agt_1", "crt_1", "/srv/it's $(id).pem");
        assert_eq!(
            command,
            r#"curl -X POST http://api/api/v1/agents/agt_1/install -H "Authorization: Bearer $TOKEN" -d '{"cert_id":"crt_1","path":"/srv/it'\''s $(id).pem"}'"#
        );
    }
}
