//! Carries out the jobs that a report brought, in order, and hands in how each ended.
//!
//! A job whose result did not get through is given again by the platform; its result is kept and
//! handed in again instead of doing the work twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::host::Host;
use super::identity::Identity;
use super::install::{Wish, install_all};
use crate::clients::agent_api::AgentApi;
use crate::problem::Problem;
use crate::wire::agents::{AgentJob, AgentWork, ChallengeAnswer, JobResult};
use crate::wire::requests::CsrBody;

/// Results that are kept for handing in again; more than any agent is ever given.
const MAX_KEPT: usize = 256;

/// How long making a key may take: RSA keys take seconds.
const KEY_LIMIT: Duration = Duration::from_mins(2);

/// Does jobs, none of which holds up another.
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

    /// Carries out all, whatever becomes of one. Installations are carried out together, beside all else: what one
    /// waits for holds up no other.
    pub(super) async fn work(self, identity: Identity, jobs: Vec<AgentJob>) -> Worked {
        let (mut installations, mut others) = (Vec::new(), Vec::new());
        for AgentJob { id, work } in jobs {
            match (self.take_unsent(&id), work) {
                (Some(result), _) => self.hand_in_result(&identity, id, result).await,
                (None, work) => match wish(&work) {
                    Some(wish) => installations.push((id, wish)),
                    None => others.push((id, work)),
                },
            }
        }
        let changed = !installations.is_empty();
        let rest = async {
            let mut worked = Worked::default();
            for (id, work) in others {
                if let Some(result) = self.carry_out(&identity, &id, work, &mut worked).await {
                    self.hand_in_result(&identity, id, result).await;
                }
            }
            worked
        };
        let (mut worked, ()) = tokio::join!(rest, self.install(&identity, installations));
        worked.changed |= changed;
        worked
    }

    /// Each result is handed in as soon as it is there.
    async fn install(&self, identity: &Identity, jobs: Vec<(String, Wish)>) {
        let (ids, wishes): (Vec<String>, Vec<Wish>) = jobs.into_iter().unzip();
        for (id, wish) in ids.iter().zip(&wishes) {
            tracing::info!(job = %id, path = %wish.path, "carrying out `{id}`");
        }
        // Room for all: each ends once.
        let (ended, mut results) = mpsc::channel(wishes.len().max(1));
        // The sender goes with it, so that the end of one is the end of the other.
        let installing = async move { install_all(&self.host, wishes, &ended).await };
        let handing_in = async {
            while let Some((index, result)) = results.recv().await {
                let Some(id) = ids.get(index) else { continue };
                if let (Some(step), Some(why)) = (&result.failed_step, &result.error) {
                    tracing::error!(
                        job = %id, step, rolled_back = result.rolled_back, "`{id}` failed at `{step}`: {why}"
                    );
                }
                self.hand_in_result(identity, id.clone(), result).await;
            }
        };
        tokio::join!(installing, handing_in);
    }

    async fn hand_in_result(&self, identity: &Identity, id: String, result: JobResult) {
        let handed_in = self.api.result(&identity.token, &identity.agent_id, &id, &result);
        if let Err(problem) = handed_in.await {
            tracing::warn!(job = %id, %problem, "the result of `{id}` did not get through; it is kept");
            self.keep_unsent(id, result);
        }
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
            // Carried out together with others, see `install`.
            AgentWork::Install { .. } => None,
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
        let place = self.host.config.state_dir.display().to_string();
        let making = move |_: &_| {
            host.keys
                .for_request(&request_id, &algorithm)
                .and_then(|key| key.csr(&common_name, &sans))
        };
        match self.host.patience.within(&place, KEY_LIMIT, making).await {
            Ok(made) => made.map_err(|error| error.to_string()),
            Err(unfinished) => Err(unfinished.to_string()),
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

/// The installation that a job asks for.
fn wish(work: &AgentWork) -> Option<Wish> {
    let AgentWork::Install {
        path,
        certificate_pem,
        chain_pem,
        fingerprint_sha256,
        spki_sha256,
        certificate_id: _,
    } = work
    else {
        return None;
    };
    Some(Wish {
        path: path.clone(),
        certificate_pem: certificate_pem.clone(),
        chain_pem: chain_pem.clone(),
        fingerprint_sha256: fingerprint_sha256.clone(),
        spki_sha256: spki_sha256.clone(),
    })
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
