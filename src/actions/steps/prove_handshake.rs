//! A step that changes nothing: it is proven when a real handshake serves the certificate that an
//! earlier step brought about, or the one that the plan names.
//!
//! [`planned`] makes the step for one place.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::json;

use super::expected::{Expected, Judged, Shown};
use super::standing::{Lists, Standing};
use crate::clients::anchors;
use crate::clients::tls_look::{Effort, Seen};
use crate::domain::certificate::Certificate;
use crate::domain::chain::{self, Fault, Known};
use crate::domain::installation::Installation;
use crate::domain::server_name::server_name;
use crate::plan::plan::PlannedStep;
use crate::plan::ports::Reads;
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::{Problem, ProblemKind};

/// Up to so many proofs of one plan are spread over a while each.
const FEW: usize = 3;

/// See the module.
pub(in crate::actions) struct ProveHandshake;

/// The place that the proof is for.
pub(in crate::actions) struct At<'a> {
    /// `host:port`
    pub(in crate::actions) address: &'a str,
    /// Its agent.
    pub(in crate::actions) agent: &'a str,
    /// The agent's host.
    pub(in crate::actions) hostname: &'a str,
    /// On that host.
    pub(in crate::actions) path: &'a str,
}

impl<'a> At<'a> {
    /// Place of an installation, where it is served.
    pub(in crate::actions) fn of(place: &'a Installation) -> Option<Self> {
        Some(Self {
            address: place.tls_address.as_deref()?,
            agent: &place.agent_id,
            hostname: &place.hostname,
            path: &place.path,
        })
    }
}

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
    /// The one that takes the place of this one.
    SuccessorOf {
        /// Which.
        old: &'a Certificate,
        /// The place, as it is now.
        place: &'a Installation,
        /// Other places of it that get one of their own are behind the same address.
        is_shared: bool,
    },
}

/// The step for this place and the plan's target at `target`.
pub(in crate::actions) fn planned(target: usize, at: &At<'_>, shows: &Shows<'_>) -> PlannedStep {
    let (certificate, key) = match shows {
        Shows::This { certificate, .. } => (certificate, "certificate"),
        Shows::SuccessorOf { old, .. } => (old, "old"),
    };
    let At {
        address,
        agent,
        hostname,
        path,
    } = at;
    let mut args = json!({
        "address": address,
        "name": server_name(certificate.sans.iter().map(String::as_str)),
        "agent": agent, "hostname": hostname, "path": path,
        key: certificate.id,
    });
    let mut title = format!("handshake with {address}");
    match shows {
        Shows::SuccessorOf {
            old,
            place,
            is_shared,
        } => {
            args["version"] = json!(place.version);
            args["before"] = json!(place.certificate_id);
            args["replaced_by"] = json!(old.replaced_by);
            args["shared"] = json!(is_shared);
            if *is_shared {
                title = format!("{title} for {path}");
            }
        }
        Shows::This {
            served_before,
            is_older,
            ..
        } => {
            args["served_before"] = json!(served_before);
            args["older"] = json!(is_older);
        }
    }
    PlannedStep::new(&ProveHandshake, target, title, args)
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
            let expected = Expected::of(cx, with).await?;
            let served = with.served(address, name).await;
            let served = served.as_ref().map(|it| it.fingerprint_sha256.as_str());
            match expected.judge(served.map_err(ToString::to_string), address) {
                Judged::Shown(shown) => everywhere(cx, &shown, address, with).await,
                Judged::NotYet(words) => Ok(Proof::NotYet(words)),
                Judged::Open(words) => Ok(Proof::Open(words)),
                Judged::Refuted(problem) => Ok(Proof::Refuted(problem)),
            }
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
    shown: &Shown<'_>,
    address: &str,
    with: &Reads,
) -> Result<Proof, Problem> {
    let certificate = shown.certificate;
    let effort = match cx.args["thorough"].as_bool() {
        Some(true) => Effort::PROOF,
        _ => Effort::AT_ONCE,
    };
    let known = pem::parse_many(certificate.chain_pem.as_deref().unwrap_or_default()).unwrap_or_default();
    let known: Vec<Vec<u8>> = known.into_iter().map(pem::Pem::into_contents).collect();
    let look = with
        .served_everywhere(address, cx.args["name"].as_str(), effort)
        .await;
    let seen = match look.and_then(|look| Seen::of(look, &shown.any_of, &known, with.now())) {
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
    let serves = match (is("served_before"), is("older"), &shown.instead) {
        (true, ..) => format!("{address} served before already, and still does, the certificate"),
        (_, true, _) => format!("{address} serves the older certificate"),
        (.., None) => format!("{address} serves the new certificate"),
        (.., Some(instead)) => format!("{},", instead.words(address)),
    };
    let mut words = format!(
        "{serves} {}… on all {} connections, with its chain",
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
