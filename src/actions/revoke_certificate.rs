//! Revoke: the CA is asked to revoke, and the proof is the serial in a CRL fetched afterwards. It does
//! not replace the certificate; that is `reissue`.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Action, Availability, Facts, Spec, needs_ca};
use crate::domain::certificate::Certificate;
use crate::domain::id::{EntityKind, new_id};
use crate::domain::installation::{Installation, Truth};
use crate::domain::plain::shell_word;
use crate::domain::reason::Reason;
use crate::plan::plan::{Field, Inputs, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Tier;
use crate::problem::Problem;
use crate::wire::certs::RevokeBody;

/// See the module.
pub(super) struct RevokeCertificate;

static SPEC: Spec = Spec {
    id: "revoke",
    title: "Revoke",
    key: "X",
    kinds: &[EntityKind::Certificate],
    tier: Tier::Irreversible,
    help: "have the CA revoke the certificate, with a reason of RFC 5280",
    proof: "the serial is in the CRL that was fetched afterwards",
};

/// No run waits longer for a CA that makes its list by itself.
const LONGEST: Duration = Duration::from_secs(30 * 60);

impl Action for RevokeCertificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, on: &[Target], facts: &Facts) -> Availability {
        if let [one] = on
            && one.status == "revoked"
        {
            return Availability::Disabled("it is revoked already".to_owned());
        }
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
        &[&Revoke]
    }
}

async fn plan(on: Vec<Target>, inputs: Inputs, with: &Reads) -> Result<Plan, Problem> {
    let reason = inputs
        .get("reason")
        .map_or(Some(Reason::KeyCompromise), |text| Reason::parse(text));
    let reason = reason.ok_or_else(|| Problem::bad_input("that is no reason of RFC 5280"))?;
    let mut targets = Vec::new();
    let mut changes = Vec::new();
    let mut breaks = Vec::new();
    let mut steps = Vec::new();
    let mut phrase = String::new();
    let wait = list_waits(with).await;
    for target in on {
        let detail = with.api.certificate(&target.id).await?;
        let certificate = &detail.certificate;
        refuse_expired(certificate, with)?;
        changes.push(format!(
            "{} serial {} becomes revoked ({reason})",
            certificate.name(),
            certificate.serial
        ));
        if reason == Reason::KeyCompromise {
            changes.push(format!(
                "its key {}… is never certified again{}",
                certificate.spki_sha256.get(..12).unwrap_or_default(),
                others(&detail.same_key)
            ));
        }
        breaks.extend(
            detail
                .installations
                .iter()
                .filter_map(|installation| broken(installation, certificate)),
        );
        phrase = certificate.serial_tail();
        steps.push(PlannedStep {
            step: Revoke.name().to_owned(),
            title: format!("revoke {}", certificate.name()),
            target: targets.len(),
            args: json!({
                "certificate": certificate.id, "serial": certificate.serial, "reason": reason.name(),
                "listed_within_s": wait.map(|wait| wait.as_secs()),
            }),
            command: format!(
                "curl -X POST {} -H \"Authorization: Bearer $TOKEN\" -d {}",
                shell_word(&format!(
                    "{}/api/v1/certs/{}/revoke",
                    with.api.base(),
                    certificate.id
                )),
                shell_word(&format!("{{\"reason\": \"{reason}\"}}"))
            ),
        });
        targets.push(Target {
            version: certificate.version,
            name: certificate.name().to_owned(),
            ..target
        });
    }
    changes.extend(wait.map(|wait| waits(wait, with)));
    let title = match targets.as_slice() {
        [one] => format!("Revoke {}", one.name),
        many => format!("Revoke {} certificates", many.len()),
    };
    Ok(Plan {
        run_id: new_id(EntityKind::Run),
        action: SPEC.id.to_owned(),
        title,
        tier: SPEC.tier.of_many(targets.len()),
        targets,
        phrase,
        phrase_is: "the last four of the serial".to_owned(),
        fields: vec![Field {
            name: "reason".to_owned(),
            label: "Reason".to_owned(),
            value: reason.name().to_owned(),
            options: Reason::FOR_LEAVES
                .iter()
                .map(|reason| reason.name().to_owned())
                .collect(),
        }],
        changes,
        breaks,
        steps,
        works_without_api: false,
        made_at: with.clock.now(),
    })
}

/// How long the CA's list may wait for its own time; nothing where it is made with each revocation, or where
/// this console may not look.
async fn list_waits(with: &Reads) -> Option<Duration> {
    let rule = with.vault.crl_rule(&with.pki_mount).await.ok()?;
    rule.longest_wait().filter(|_| !rule.disable)
}

fn waits(wait: Duration, with: &Reads) -> String {
    let by = chrono::Duration::from_std(wait)
        .ok()
        .and_then(|wait| with.clock.now().checked_add_signed(wait));
    format!(
        "the CA makes its CRL by itself: the proof may come as late as {}; this run waits {} min for it, and the \
         issuer as long as it takes",
        by.map(|by| by.format("%Y-%m-%d %H:%MZ").to_string())
            .unwrap_or_default(),
        wait.min(LONGEST).as_secs() / 60
    )
}

/// A CA needn't list what has expired (RFC 5280 §3.3), so that the proof would never come.
fn refuse_expired(certificate: &Certificate, with: &Reads) -> Result<(), Problem> {
    if certificate.not_after > with.clock.now() {
        return Ok(());
    }
    let problem = Problem::conflict(format!(
        "{} expired at {}: no CRL has to list it any more",
        certificate.name(),
        certificate.not_after.format("%Y-%m-%d %H:%MZ")
    ));
    Err(problem.hint("reissue it where it is still served; what expired is refused without a revocation"))
}

fn others(same_key: &[Certificate]) -> String {
    match same_key {
        [] => String::new(),
        [one] => format!("; {} has the same key and is NOT revoked by this", one.name()),
        many => format!(
            "; {} other certificates have the same key and are NOT revoked by this",
            many.len()
        ),
    }
}

fn broken(installation: &Installation, certificate: &Certificate) -> Option<String> {
    let served = installation.served_sha256.as_deref() == Some(certificate.fingerprint_sha256.as_str());
    match (served, installation.truth()) {
        (true, _) => Some(format!(
            "{} serves it now at {}: clients that check revocation will refuse it",
            installation.hostname,
            installation.tls_address.as_deref().unwrap_or(&installation.path)
        )),
        (false, Truth::Missing) => None,
        (false, _) => Some(format!(
            "{} has it at {}",
            installation.hostname, installation.path
        )),
    }
}

/// Asks for the revocation; proven by the CRL.
struct Revoke;

impl Step for Revoke {
    fn name(&self) -> &'static str {
        "revoke"
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let body = RevokeBody {
                reason: text(&cx.args, "reason")?.to_owned(),
                comment: cx.comment.clone(),
                ticket: cx.ticket.clone(),
            };
            let reply = with
                .api
                .revoke(text(&cx.args, "certificate")?, &body, &cx.key)
                .await?;
            Ok(json!({"job": reply.job_id, "audit": reply.audit_seq}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let serial = text(&cx.args, "serial")?;
            // A CRL fetched before the CA accepted proves nothing, so acceptance comes first.
            let certificate = with
                .api
                .certificate(text(&cx.args, "certificate")?)
                .await?
                .certificate;
            let Some(revocation) = certificate.revocation else {
                return Ok(Proof::NotYet("the wish is not on record yet".to_owned()));
            };
            if revocation.accepted_at.is_none() {
                return not_accepted(cx, with).await;
            }
            if let (Some(at), Some(_)) = (revocation.accepted_at, revocation.without_crl_at) {
                return Ok(Proof::Proven(format!(
                    "the CA accepted it at {}; the certificate names no CRL, so that this is all the proof there is",
                    at.format("%Y-%m-%d %H:%M:%SZ")
                )));
            }
            let crl = with.crl().await;
            // An external CA's CRL is where the certificate says, and the issuer looks there.
            if let Some(at) = revocation.in_crl_at
                && !crl.as_ref().is_ok_and(|crl| crl.lists(serial))
            {
                return Ok(Proof::Proven(format!(
                    "serial {serial} was in the CRL that the issuer fetched at {}",
                    at.format("%Y-%m-%d %H:%M:%SZ")
                )));
            }
            let crl = crl?;
            Ok(if crl.lists(serial) {
                Proof::Proven(format!(
                    "serial {serial} is in the CRL{} of {}",
                    crl.number.map(|number| format!(" #{number}")).unwrap_or_default(),
                    crl.this_update.format("%Y-%m-%d %H:%M:%SZ")
                ))
            } else {
                Proof::NotYet(match crl.next_update {
                    Some(next) => format!(
                        "accepted by the CA, not in its CRL yet; the next one is due by {}",
                        next.format("%Y-%m-%d %H:%MZ")
                    ),
                    None => "accepted by the CA, not in its CRL yet".to_owned(),
                })
            })
        })
    }

    fn limit_of(&self, args: &Value) -> Duration {
        let wait = args["listed_within_s"].as_u64().map(Duration::from_secs);
        self.limit() + wait.unwrap_or_default().min(LONGEST)
    }
}

/// Why the CA has not accepted yet, in its own words: that is what somebody has to mend.
async fn not_accepted(cx: &StepContext, with: &Reads) -> Result<Proof, Problem> {
    let words = "asked; the CA has not accepted yet";
    let Some(job) = cx.result["job"].as_str() else {
        return Ok(Proof::NotYet(words.to_owned()));
    };
    let job = with.api.job(job).await?;
    Ok(match (job.error, job.ended_at) {
        (None, _) => Proof::NotYet(words.to_owned()),
        (Some(why), None) => Proof::NotYet(format!("{words}: {why}")),
        (Some(why), Some(_)) => Proof::Refuted(
            Problem::refused(format!("the CA refused the revocation: {why}"))
                .hint("its key stays blocked; mend the cause, then revoke it again"),
        ),
    })
}
