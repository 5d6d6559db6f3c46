//! Reissue: a certificate for the same names with a fresh key, installed where the old one was; the
//! proof is a handshake that serves the new one. The old one is not revoked.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::steps::prove_handshake::{self, ProveHandshake, Shows};
use super::{Action, Availability, Facts, Spec, needs_ca};
use crate::domain::id::{EntityKind, new_id};
use crate::domain::key::KeyAlgorithm;
use crate::domain::plain::shell_word;
use crate::domain::request::RequestStatus;
use crate::plan::plan::{Field, Inputs, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Tier;
use crate::problem::{Problem, ProblemKind};
use crate::wire::certs::ReissueBody;

/// See the module.
pub(super) struct ReissueCertificate;

static SPEC: Spec = Spec {
    id: "reissue",
    title: "Reissue",
    key: "r",
    kinds: &[EntityKind::Certificate],
    tier: Tier::Reversible,
    help: "issue it anew with a fresh key and install it where the old one is",
    proof: "a handshake serves the new fingerprint",
};

impl Action for ReissueCertificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, _on: &[Target], facts: &Facts) -> Availability {
        needs_ca(facts).unwrap_or(Availability::Ready)
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
        &[&Reissue, &ProveHandshake]
    }
}

const SAME: &str = "as before";

async fn plan(on: Vec<Target>, inputs: Inputs, with: &Reads) -> Result<Plan, Problem> {
    let algorithm = inputs.get("key").map_or(SAME, String::as_str);
    if algorithm != SAME && KeyAlgorithm::from_word(algorithm).is_none() {
        return Err(Problem::bad_input(format!("`{algorithm}` is no key algorithm")));
    }
    let mut targets = Vec::new();
    let mut changes = Vec::new();
    let mut breaks = Vec::new();
    let mut steps = Vec::new();
    for target in on {
        let detail = with.api.certificate(&target.id).await?;
        let certificate = &detail.certificate;
        let key = if algorithm == SAME {
            certificate.key_algorithm.as_str()
        } else {
            algorithm
        };
        changes.push(format!(
            "{} gets a new certificate with a fresh {key} key",
            certificate.name()
        ));
        if detail.installations.is_empty() {
            breaks.push(format!(
                "{} is installed nowhere: the new one waits on its agent",
                certificate.name()
            ));
        }
        for installation in &detail.installations {
            let path = &installation.path;
            changes.push(format!(
                "{} gets it at {path}, reloads, and is asked by handshake",
                installation.hostname
            ));
        }
        let body = match algorithm {
            SAME => String::new(),
            other => format!(" -d {}", shell_word(&json!({"key_algorithm": other}).to_string())),
        };
        steps.push(PlannedStep {
            step: Reissue.name().to_owned(),
            title: format!("issue {} anew", certificate.name()),
            target: targets.len(),
            args: json!({"certificate": certificate.id, "key": (algorithm != SAME).then_some(algorithm)}),
            command: format!(
                "curl -X POST {} -H \"Authorization: Bearer $TOKEN\"{body}",
                shell_word(&format!(
                    "{}/api/v1/certs/{}/reissue",
                    with.api.base(),
                    certificate.id
                ))
            ),
        });
        for installation in &detail.installations {
            if let Some(address) = &installation.tls_address {
                let shows = Shows::SuccessorOf(certificate, installation.version);
                steps.push(prove_handshake::planned(targets.len(), address, &shows));
            }
        }
        targets.push(Target {
            version: certificate.version,
            name: certificate.name().to_owned(),
            ..target
        });
    }
    let title = match targets.as_slice() {
        [one] => format!("Reissue {}", one.name),
        many => format!("Reissue {} certificates", many.len()),
    };
    let mut options = vec![SAME.to_owned()];
    options.extend(
        KeyAlgorithm::ALL
            .iter()
            .map(|algorithm| algorithm.word().to_owned()),
    );
    Ok(Plan {
        run_id: new_id(EntityKind::Run),
        action: SPEC.id.to_owned(),
        title,
        targets,
        tier: SPEC.tier,
        phrase: String::new(),
        phrase_is: String::new(),
        fields: vec![Field {
            name: "key".to_owned(),
            label: "Key".to_owned(),
            value: algorithm.to_owned(),
            options,
        }],
        changes,
        breaks,
        steps,
        works_without_api: false,
        made_at: with.clock.now(),
    })
}

/// Asks for the new certificate; proven when every request that came of it is issued.
struct Reissue;

impl Step for Reissue {
    fn name(&self) -> &'static str {
        "reissue"
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
                return Ok(Proof::NotYet(
                    "it is not known whether the request was made".to_owned(),
                ));
            };
            let mut serials = Vec::new();
            for id in ids.iter().filter_map(Value::as_str) {
                let request = with.api.request(id).await?;
                match (request.status, &request.certificate_id) {
                    (RequestStatus::Issued, Some(certificate)) => {
                        serials.push(with.api.certificate(certificate).await?.certificate.serial);
                    }
                    (RequestStatus::Failed | RequestStatus::Denied | RequestStatus::Cancelled, _) => {
                        return Ok(Proof::Refuted(
                            Problem::new(ProblemKind::Refused, format!("{id}: {}", request.why()))
                                .hint("the old certificate is untouched"),
                        ));
                    }
                    _ => return Ok(Proof::NotYet(request.why())),
                }
            }
            Ok(Proof::Proven(format!("issued, serial {}", serials.join(", "))))
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(90)
    }
}
