//! A step that changes nothing: it is proven when a real handshake serves the certificate that an
//! earlier step brought about, or the one that the plan names.
//!
//! [`planned`] makes the step for one place.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::await_agent::MEND;
use super::standing::{Lists, Standing};
use crate::clients::anchors;
use crate::clients::tls_look::{Effort, Seen};
use crate::domain::certificate::Certificate;
use crate::domain::chain::{self, Fault, Known};
use crate::domain::installation::Installation;
use crate::domain::server_name::server_name;
use crate::domain::told::{SAID, cited};
use crate::plan::plan::PlannedStep;
use crate::plan::ports::Reads;
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::{Problem, ProblemKind};

/// Words for an installation that failed, with what its agent gave as the reason.
fn agent_says(error: Option<&str>) -> String {
    match error {
        Some(error) => format!("the installation failed; its agent says {}", cited(error, SAID)),
        None => "the installation did not come about".to_owned(),
    }
}

/// Up to so many proofs of one plan are spread over a while each.
const FEW: usize = 3;

/// See the module.
pub(in crate::actions) struct ProveHandshake;

/// The certificate that the handshake must show.
pub(in crate::actions) enum Shows<'a> {
    /// This certificate.
    This {
        /// Which.
        certificate: &'a Certificate,
        /// A handshake before showed it already, so that another one proves no change.
        served_before: bool,
        /// A newer one has its place.
        is_older: bool,
    },
    /// The one that takes the place of this one, in an installation that has this version now.
    SuccessorOf(&'a Certificate, i64),
}

/// The step for `address` (`host:port`) and the plan's target at `target`.
pub(in crate::actions) fn planned(target: usize, address: &str, shows: &Shows<'_>) -> PlannedStep {
    let (certificate, key) = match shows {
        Shows::This { certificate, .. } => (certificate, "certificate"),
        Shows::SuccessorOf(certificate, _) => (certificate, "old"),
    };
    let mut args = json!({
        "address": address,
        "name": server_name(certificate.sans.iter().map(String::as_str)),
        key: certificate.id,
    });
    if let Shows::SuccessorOf(old, version) = shows {
        args["version"] = json!(version);
        args["replaced_by"] = json!(old.replaced_by);
    }
    if let Shows::This {
        served_before,
        is_older,
        ..
    } = shows
    {
        args["served_before"] = json!(served_before);
        args["older"] = json!(is_older);
    }
    PlannedStep::new(&ProveHandshake, target, format!("handshake with {address}"), args)
}

impl Step for ProveHandshake {
    fn name(&self) -> &'static str {
        "prove_handshake"
    }

    fn harm(&self) -> Harm {
        Harm::None
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let address = text(&cx.args, "address")?;
            let name = cx.args["name"].as_str();
            let wanted = wanted(cx, with, address).await?;
            let served = with.served(address, name).await;
            if let Some(certificate) = served
                .as_ref()
                .ok()
                .and_then(|it| wanted.of(&it.fingerprint_sha256))
            {
                return everywhere(cx, certificate, address, with).await;
            }
            // An installation that was rolled back will not come about by waiting.
            if let Some(back) = wanted.rolled_back {
                let problem = Problem::new(ProblemKind::BackendFailed, format!("{address}: {}", back.error))
                    .hint(match back.is_old_there {
                        true => "the old one is in its place; mend the cause and install again",
                        false => MEND,
                    });
                // Another reissue would make a third certificate: the new one is there, and has to be installed.
                return Ok(Proof::Refuted(match &back.new {
                    Some(new) => problem.remedy("install", new),
                    None => problem,
                }));
            }
            Ok(Proof::NotYet(match served {
                Ok(_) => format!("{address} still serves another certificate"),
                Err(error) => format!("no handshake with {address}: {error}"),
            }))
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Looked at over a while, since it is the only proof that is waited for; many of them would add up.
pub(in crate::actions) fn thorough_if_few(steps: &mut [PlannedStep]) {
    let is_proof = |step: &&mut PlannedStep| step.step == ProveHandshake.name();
    if steps.iter_mut().filter(is_proof).count() <= FEW {
        for step in steps.iter_mut().filter(is_proof) {
            step.args["thorough"] = json!(true);
        }
    }
}

/// One connection shows it: all others have to, with the chain that clients need, and the CA must not have revoked it.
async fn everywhere(
    cx: &StepContext,
    certificate: &Certificate,
    address: &str,
    with: &Reads,
) -> Result<Proof, Problem> {
    let effort = match cx.args["thorough"].as_bool() {
        Some(true) => Effort::PROOF,
        _ => Effort::AT_ONCE,
    };
    let expected = [certificate.fingerprint_sha256.clone()];
    let known = pem::parse_many(certificate.chain_pem.as_deref().unwrap_or_default()).unwrap_or_default();
    let known: Vec<Vec<u8>> = known.into_iter().map(pem::Pem::into_contents).collect();
    let look = with
        .served_everywhere(address, cx.args["name"].as_str(), effort)
        .await;
    let seen = match look.and_then(|look| Seen::of(look, &expected, &known, with.now())) {
        Ok(seen) => seen,
        Err(error) => return Ok(Proof::NotYet(format!("no handshake with {address}: {error}"))),
    };
    if let Some(words) = seen.disagreement(address) {
        return Ok(Proof::NotYet(words));
    }
    let refuted = |what: String, hint: &'static str, action: &'static str| {
        let problem = Problem::new(ProblemKind::BackendFailed, what).hint(hint);
        Ok(Proof::Refuted(problem.remedy(action, &certificate.id)))
    };
    match seen.fault {
        Some(gap @ Fault::Missing { .. }) => {
            return refuted(
                format!(
                    "{address} serves the certificate, but its chain is incomplete: {gap}; clients that have only the root refuse it"
                ),
                "have the server read the file with the full chain (`layout` in the agent's configuration), and install again",
                "install",
            );
        }
        // Installing once more sends the same where the inventory has no better chain.
        Some(fault @ Fault::Unusable { .. }) => {
            let kept: Vec<Vec<u8>> = certificate_der(certificate)
                .into_iter()
                .chain(known.clone())
                .collect();
            let is_kept = chain::complete(&kept, &kept_with(&known, with)).is_err();
            let (hint, action) = match is_kept {
                true => (
                    "the chain that is kept with it is no better: reissue it",
                    "reissue",
                ),
                false => (
                    "the chain that is kept with it is good: have the server read the file with the full chain (`layout` \
                     in the agent's configuration), and install again",
                    "install",
                ),
            };
            let what =
                format!("{address} serves the certificate, but with a chain that clients refuse: {fault}");
            return refuted(what, hint, action);
        }
        None => {}
    }
    let is = |fact: &str| cx.args[fact].as_bool() == Some(true);
    let serves = match (is("served_before"), is("older")) {
        (true, _) => "served before already, and still does, the certificate",
        (false, true) => "serves the older certificate",
        (false, false) => "serves the new certificate",
    };
    let mut words = format!(
        "{address} {serves} {}… on all {} connections, with its chain",
        certificate.fingerprint_sha256.get(..16).unwrap_or_default(),
        seen.n
    );
    match Lists::default().standing(certificate, with).await {
        Standing::Revoked => {
            return refuted(
                format!("{address} serves a certificate that its CA has revoked"),
                "reissue it",
                "reissue",
            );
        }
        Standing::Unknown(why) => words.push_str(&format!("; whether it is revoked isn't known: {why}")),
        Standing::Good | Standing::NoList => {}
    }
    Ok(Proof::Proven(words))
}

fn certificate_der(certificate: &Certificate) -> Option<Vec<u8>> {
    let pem = pem::parse(certificate.pem.as_deref()?).ok()?;
    Some(pem.into_contents())
}

fn kept_with<'a>(chain: &'a [Vec<u8>], with: &Reads) -> Known<'a> {
    Known {
        chain,
        anchors: anchors::of_this_machine(),
        now: with.now(),
    }
}

struct Wanted {
    certificates: Vec<Certificate>,
    rolled_back: Option<RolledBack>,
}

/// A place whose installation failed.
struct RolledBack {
    error: String,
    /// The old certificate is expected there again.
    is_old_there: bool,
    /// The certificate that could not be installed there.
    new: Option<String>,
}

impl Wanted {
    fn of(&self, fingerprint: &str) -> Option<&Certificate> {
        self.certificates
            .iter()
            .find(|certificate| certificate.fingerprint_sha256 == fingerprint)
    }
}

async fn wanted(cx: &StepContext, with: &Reads, address: &str) -> Result<Wanted, Problem> {
    let mut certificates: Vec<String> = Vec::new();
    if let Some(id) = cx.args["certificate"].as_str() {
        certificates.push(id.to_owned());
    }
    let requests = requests(&cx.earlier);
    for id in &requests {
        certificates.extend(with.api.request(id).await?.certificate_id);
    }
    // The answer that names the requests may have been lost: then the certificate that took the old one's place since
    // the plan is the one that was asked for.
    if let Some(old) = cx.args["old"].as_str().filter(|_| requests.is_empty()) {
        let by = with.api.certificate(old).await?.certificate.replaced_by;
        certificates.extend(by.filter(|by| cx.args["replaced_by"].as_str() != Some(by)));
    }
    let mut wanted = Wanted {
        certificates: Vec::new(),
        rolled_back: None,
    };
    let mut failed = Vec::new();
    for id in &certificates {
        let detail = with.api.certificate(id).await?;
        let here = |it: &&Installation| it.failed && it.tls_address.as_deref() == Some(address);
        if let Some(failed) = detail.installations.iter().find(here) {
            wanted.rolled_back = Some(RolledBack {
                error: agent_says(failed.error.as_deref()),
                is_old_there: false,
                new: Some(id.clone()),
            });
        }
        failed.extend(detail.failed.iter().map(|place| (place.id.clone(), id.clone())));
        wanted.certificates.push(detail.certificate);
    }
    // After a rollback the old certificate is the expected one again, in a later version of the
    // installation than the plan saw.
    if let (Some(old), Some(planned)) = (cx.args["old"].as_str(), cx.args["version"].as_i64()) {
        let installations = with.api.certificate(old).await?.installations;
        let back = installations
            .into_iter()
            .find(|here| here.tls_address.as_deref() == Some(address) && here.version > planned);
        let back = back.map(|installation| {
            let new = failed.into_iter().find(|(place, _)| *place == installation.id);
            let error = installation.error;
            RolledBack {
                error: agent_says(error.as_deref()),
                is_old_there: true,
                new: new.map(|(_, certificate)| certificate),
            }
        });
        wanted.rolled_back = back.or(wanted.rolled_back);
    }
    Ok(wanted)
}

/// The requests that earlier steps made.
pub(super) fn requests(earlier: &[Value]) -> Vec<String> {
    let lists = earlier.iter().filter_map(|result| result["requests"].as_array());
    lists
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
