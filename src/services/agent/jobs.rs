//! Carries out the jobs that a report brought, in order, and hands in how each ended.
//!
//! A job whose result did not get through is given again by the platform; its result is kept and
//! handed in again instead of doing the work twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::host::Host;
use super::identity::Identity;
use super::install::{Wish, install};
use crate::clients::agent_api::AgentApi;
use crate::problem::Problem;
use crate::wire::agents::{AgentJob, AgentWork, ChallengeAnswer, JobResult};
use crate::wire::requests::CsrBody;

/// Results that are kept for handing in again; more than any agent is ever given.
const MAX_KEPT: usize = 256;

/// Does jobs one after the other.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    host: Arc<Host>,
    api: AgentApi,
    unsent: Arc<Mutex<BTreeMap<String, JobResult>>>,
}

/// What came of a row of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Worked {
    /// Something on this host is not as it was reported.
    pub(super) changed: bool,
    /// A CSR was handed in: an installation is likely to follow soon.
    pub(super) expects_more: bool,
}

impl Worker {
    pub(super) fn new(host: Arc<Host>, api: AgentApi) -> Self {
        Self {
            host,
            api,
            unsent: Arc::default(),
        }
    }

    /// Carries out all, whatever becomes of one.
    pub(super) async fn work(self, identity: Identity, jobs: Vec<AgentJob>) -> Worked {
        let mut worked = Worked::default();
        for AgentJob { id, work } in jobs {
            let result = match self.take_unsent(&id) {
                Some(result) => result,
                None => match self.carry_out(&identity, &id, work, &mut worked).await {
                    Some(result) => result,
                    None => continue,
                },
            };
            if let Err(problem) = self
                .api
                .result(&identity.token, &identity.agent_id, &id, &result)
                .await
            {
                tracing::warn!(job = %id, %problem, "the result of `{id}` did not get through; it is kept");
                self.keep_unsent(id, result);
            }
        }
        worked
    }

    /// `None`: not done for a reason that passes; the job is given again.
    async fn carry_out(
        &self,
        identity: &Identity,
        id: &str,
        work: AgentWork,
        worked: &mut Worked,
    ) -> Option<JobResult> {
        tracing::info!(job = %id, "carrying out `{id}`");
        match work {
            AgentWork::MakeKey {
                request_id,
                key_algorithm,
                common_name,
                sans,
            } => {
                let made = self.make_csr(&request_id, key_algorithm, common_name, sans).await;
                let handed_in = match made {
                    Ok(csr_pem) => self.hand_in(identity, &request_id, csr_pem).await,
                    Err(why) => Err(Some(why)),
                };
                worked.changed = true;
                match handed_in {
                    Ok(()) => {
                        worked.expects_more = true;
                        Some(done())
                    }
                    Err(Some(why)) => {
                        tracing::error!(job = %id, request = %request_id, "`{id}` failed: {why}");
                        Some(not_done("make_key", why))
                    }
                    Err(None) => None,
                }
            }
            AgentWork::Challenge {
                request_id,
                answers,
                until,
            } => match self.answer_challenges(&answers, until) {
                Ok(()) => {
                    worked.expects_more = true;
                    Some(done())
                }
                Err(why) => {
                    tracing::error!(job = %id, request = %request_id, "`{id}` failed: {why}");
                    Some(not_done("challenge", why))
                }
            },
            AgentWork::Install {
                certificate_id,
                path,
                certificate_pem,
                chain_pem,
                fingerprint_sha256,
                spki_sha256,
            } => {
                let wish = Wish {
                    path,
                    certificate_pem,
                    chain_pem,
                    fingerprint_sha256,
                    spki_sha256,
                };
                let result = install(&self.host, wish).await;
                worked.changed = true;
                if let (Some(step), Some(why)) = (&result.failed_step, &result.error) {
                    tracing::error!(
                        job = %id, certificate = %certificate_id, step, rolled_back = result.rolled_back,
                        "`{id}` failed at `{step}`: {why}"
                    );
                }
                Some(result)
            }
        }
    }

    fn answer_challenges(&self, answers: &[ChallengeAnswer], until: DateTime<Utc>) -> Result<(), String> {
        if self.host.config.acme_listen.is_none() {
            return Err(format!(
                "this agent answers no challenges; write where it shall into its configuration, such as \
                 `acme_listen = \"0.0.0.0:80\"`, start it again, and try the request again ({})",
                self.host.config.hostname
            ));
        }
        self.host.challenges.keep(answers, until, self.host.clock.now())
    }

    async fn make_csr(
        &self,
        request_id: &str,
        algorithm: String,
        common_name: String,
        sans: Vec<String>,
    ) -> Result<String, String> {
        let (host, request_id) = (Arc::clone(&self.host), request_id.to_owned());
        // RSA keys take seconds to make.
        let making = tokio::task::spawn_blocking(move || {
            host.keys
                .for_request(&request_id, &algorithm)
                .and_then(|key| key.csr(&common_name, &sans))
        });
        match making.await {
            Ok(made) => made.map_err(|error| error.to_string()),
            Err(_) => Err("the agent was stopped while it made the key".to_owned()),
        }
    }

    /// `Err(None)` when asking again may help.
    async fn hand_in(
        &self,
        identity: &Identity,
        request_id: &str,
        csr_pem: String,
    ) -> Result<(), Option<String>> {
        let body = CsrBody { csr_pem };
        match self.api.csr(&identity.token, request_id, &body).await {
            Ok(()) => Ok(()),
            Err(problem) if problem.kind.may_be_retried() => {
                tracing::warn!(request = %request_id, %problem, "the CSR of `{request_id}` did not get through");
                Err(None)
            }
            Err(problem) => Err(Some(refused(&problem))),
        }
    }

    fn take_unsent(&self, id: &str) -> Option<JobResult> {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        unsent.remove(id)
    }

    fn keep_unsent(&self, id: String, result: JobResult) {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        // Ids sort by time: the oldest is the least likely to be asked for again.
        if unsent.len() >= MAX_KEPT {
            unsent.pop_first();
        }
        unsent.insert(id, result);
    }
}

fn refused(problem: &Problem) -> String {
    format!("the platform refused the CSR: {problem}")
}

fn done() -> JobResult {
    JobResult {
        done: true,
        failed_step: None,
        error: None,
        rolled_back: false,
        installation: None,
    }
}

fn not_done(step: &str, why: String) -> JobResult {
    JobResult {
        done: false,
        failed_step: Some(step.to_owned()),
        error: Some(why),
        rolled_back: false,
        installation: None,
    }
}
