//! The check-ins: by schedule, when woken, and once more after jobs were done. One at a time.
//!
//! Jobs are carried out beside the check-ins, so that a slow reload never delays an answer to
//! whoever woke the agent.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::host::Host;
use super::identity::Identity;
use super::jobs::{Worked, Worker};
use super::next_identity::NextIdentity;
use super::report::report;
use super::schedule::Schedule;
use super::wake::Caller;
use super::{Agent, AgentError, enrol, stopped};
use crate::clients::agent_api::AgentApi;
use crate::domain::agent::proof_name;
use crate::domain::key::is_spki;
use crate::domain::secret::Secret;
use crate::problem::{Denial, Problem};
use crate::wire::agents::{AgentJob, WakeReply};

/// At least so long between two check-ins that callers asked for; they share one meanwhile.
const WAKE_GAP: Duration = Duration::from_millis(200);
/// The clock may be set while we sleep: look again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// So many check-ins in a row may follow at once on jobs; after that the interval holds again.
const MAX_FOLLOW_UPS: u32 = 5;
/// When to look for the installation that follows a handed-in CSR, if nobody wakes the agent.
const EXPECTED_AFTER_S: [i64; 4] = [1, 2, 4, 8];
/// The most keys that are proven with one report.
const PROOFS_AT_ONCE: usize = 8;
/// The most paths that are looked at since the platform named them.
const PATHS_AT_MOST: usize = 2000;
/// How long a job may go on once the agent is told to stop; it is safe to cut it off.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// The check-ins of one agent.
pub(super) struct CheckIns {
    host: Arc<Host>,
    api: AgentApi,
    identity: Option<Identity>,
    /// Still to be spent.
    enrol_token: Option<Secret>,
    /// Names the one-time token that the platform refused for good: it is not sent again.
    refused_token: Option<String>,
    /// Why it may not report as it is, until a report arrives.
    denied: Option<Denial>,
    schedule: Schedule,
    address: String,
    worker: Worker,
    working: Option<JoinHandle<Worked>>,
    /// Jobs that are being carried out or wait for it.
    taken: BTreeSet<String>,
    waiting: Vec<AgentJob>,
    n_follow_ups: u32,
    expected_after_s: VecDeque<i64>,
    /// Keys that the platform wants to have proven with the next report.
    to_prove: Vec<String>,
    /// Paths that the platform expects something at and this agent hadn't reported, since its state was lost.
    to_look: BTreeSet<String>,
}

impl CheckIns {
    pub(super) fn new(agent: Agent, port: u16) -> Self {
        let Agent {
            host,
            api,
            identity,
            enrol_token,
        } = agent;
        let spent = identity
            .as_ref()
            .and_then(|identity| identity.enrolled_with.clone());
        let enrol_token = enrol_token.filter(|token| spent != Some(enrol::name_of(token)));
        Self {
            address: host.config.advertised(port),
            schedule: Schedule::read(&host.config.state_dir),
            worker: Worker::new(Arc::clone(&host), api.clone()),
            host,
            api,
            identity,
            enrol_token,
            refused_token: None,
            denied: None,
            working: None,
            taken: BTreeSet::new(),
            waiting: Vec::new(),
            n_follow_ups: 0,
            expected_after_s: VecDeque::new(),
            to_prove: Vec::new(),
            to_look: BTreeSet::new(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut callers: mpsc::Receiver<Caller>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        tokio::select! {
            () = stopped(&mut shutdown) => {}
            () = self.go_on(&mut callers) => {}
        }
        // Whoever still waits is told that the agent stops.
        drop(callers);
        if let Some(mut working) = self.working.take()
            && timeout(STOP_LIMIT, &mut working).await.is_err()
        {
            working.abort();
        }
    }

    async fn go_on(&mut self, callers: &mut mpsc::Receiver<Caller>) {
        let mut not_before = Instant::now();
        loop {
            let pause = self.schedule.wait(self.host.clock.now()).min(LONGEST_SLEEP);
            tokio::select! {
                Some(first) = callers.recv() => {
                    self.host.forget_handshakes();
                    sleep_until(not_before).await;
                    let mut sharing = vec![first];
                    while let Ok(caller) = callers.try_recv() {
                        sharing.push(caller);
                    }
                    self.schedule.woken();
                    self.n_follow_ups = 0;
                    let reply = self.check_in().await;
                    not_before = Instant::now() + WAKE_GAP;
                    for caller in sharing {
                        // A caller that hung up needs no answer.
                        let _ = caller.send(reply.clone());
                    }
                }
                worked = ended(&mut self.working) => self.worked(worked),
                () = sleep(pause) => {
                    if self.schedule.wait(self.host.clock.now()).is_zero() {
                        self.check_in().await;
                    }
                }
            }
        }
    }

    /// One check-in, noted in the schedule.
    async fn check_in(&mut self) -> WakeReply {
        let outcome = self.report().await;
        let now = self.host.clock.now();
        let jitter = self.host.config.checkin_jitter_percent;
        let (n_jobs, problem) = match outcome {
            Ok((interval_s, jobs)) => {
                self.denied = None;
                self.schedule.succeeded(now, interval_s, jitter);
                let n_jobs = jobs.len();
                if n_jobs == 0 {
                    self.n_follow_ups = 0;
                    if let Some(after_s) = self.expected_after_s.pop_front() {
                        self.schedule.no_later_than(now + TimeDelta::seconds(after_s));
                    }
                }
                self.take(jobs);
                (n_jobs, None)
            }
            Err(problem) => {
                self.denied = problem.denial;
                match problem.denial {
                    Some(Denial::Banned) => self.schedule.banned(now, jitter),
                    Some(Denial::Retry | Denial::ReEnrol) | None => self.schedule.failed(now, jitter),
                }
                let problem = self.in_words(problem);
                tracing::warn!(
                    %problem, n_failures = self.schedule.n_failures, next = ?self.schedule.due_at,
                    "the check-in failed: {problem}"
                );
                (0, Some(problem))
            }
        };
        if let Err(error) = self.schedule.write(&self.host.config.state_dir) {
            tracing::error!(%error, "the schedule can't be kept");
        }
        WakeReply {
            agent_id: self.identity.as_ref().map(|identity| identity.agent_id.clone()),
            reported: problem.is_none(),
            n_jobs,
            problem,
        }
    }

    async fn report(&mut self) -> Result<(i64, Vec<AgentJob>), Problem> {
        self.enrol_if_needed().await?;
        let Some(identity) = &self.identity else {
            return Err(Problem::refused("this agent is not enrolled").denial(Denial::ReEnrol));
        };
        let mut report = report(&self.host, self.address.clone(), &self.to_look).await;
        let next = self.next_identity(identity);
        report.identity_csr_pem = next.as_ref().map(|next| next.csr_pem.clone());
        report.proofs = self.proofs(&identity.agent_id);
        let reply = self
            .api
            .report(&identity.token, &identity.agent_id, &report)
            .await?;
        if let (Some(next), Some(pem)) = (next, reply.identity_pem)
            && let Err(error) = self.follow(next, pem)
        {
            tracing::error!(%error, "the agent's next certificate is not used, the one before goes on: {error}");
        }
        self.asked_to_prove(reply.prove.into_iter().filter(|spki| is_spki(spki)).collect());
        self.asked_to_look(reply.look);
        Ok((reply.checkin_interval_s, reply.jobs))
    }

    /// The agent's own id, signed by each key that the platform asks about.
    fn proofs(&self, agent_id: &str) -> Vec<String> {
        let keys = self.to_prove.iter().take(PROOFS_AT_ONCE);
        keys.filter_map(|spki| match self.host.keys.find(spki) {
            Ok(Some(key)) => key.csr(&proof_name(agent_id), &[]).ok(),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "the key {spki} can't be proven");
                None
            }
        })
        .collect()
    }

    /// What is asked for anew is answered at once; what was answered before, with the next report.
    fn asked_to_prove(&mut self, keys: Vec<String>) {
        if keys.iter().any(|key| !self.to_prove.contains(key)) && self.n_follow_ups < MAX_FOLLOW_UPS {
            self.n_follow_ups += 1;
            self.expected_after_s.push_front(0);
        }
        self.to_prove = keys;
    }

    /// Paths that are asked for anew are looked at and told at once, and from now on with every report.
    fn asked_to_look(&mut self, paths: Vec<String>) {
        let before = self.to_look.len();
        let room = PATHS_AT_MOST.saturating_sub(before);
        let new: Vec<String> = paths
            .into_iter()
            .filter(|path| !self.to_look.contains(path))
            .collect();
        self.to_look.extend(new.into_iter().take(room));
        if self.to_look.len() > before && self.n_follow_ups < MAX_FOLLOW_UPS {
            self.n_follow_ups += 1;
            self.expected_after_s.push_front(0);
        }
    }

    /// What is to follow the agent's certificate, when it is time. Not while a job is carried out: what that
    /// sends with the former one could arrive after the next one was shown, and be refused.
    fn next_identity(&self, identity: &Identity) -> Option<NextIdentity> {
        let now = self.host.clock.now();
        let due = identity
            .proof
            .as_ref()
            .is_none_or(|proof| proof.is_to_be_renewed(now));
        if !due || self.working.is_some() || !self.api.speaks_tls() {
            return None;
        }
        match NextIdentity::begin(&self.host.config.state_dir, identity.proof.as_ref()) {
            Ok(next) => Some(next),
            Err(error) => {
                tracing::error!(%error, "the agent's next certificate can't be asked for: {error}");
                None
            }
        }
    }

    /// Goes over to the next certificate: on disk first, then shown.
    fn follow(&mut self, next: NextIdentity, certificate_pem: String) -> Result<(), AgentError> {
        let Some(identity) = &mut self.identity else {
            return Ok(());
        };
        let proof = next.certified(certificate_pem).map_err(enrol::not_begun)?;
        let followed = Identity {
            proof: Some(proof.clone()),
            ..identity.clone()
        };
        followed.write(&self.host.config.state_dir)?;
        // If it can't be shown, it is asked for again, rather than believed to be in use.
        self.api.show(&proof.certificate_pem, &proof.key_pem)?;
        *identity = followed;
        next.done()?;
        tracing::info!(agent = %identity.agent_id, "the agent proves itself with its next certificate");
        Ok(())
    }

    /// With what a person has to do where the agent can't help itself.
    fn in_words(&self, problem: Problem) -> Problem {
        if problem.denial != Some(Denial::ReEnrol) {
            return problem;
        }
        let route = match &self.identity {
            Some(identity) => format!("`POST /api/v1/agents/{}/token`", identity.agent_id),
            None => "`POST /api/v1/tokens` with `\"purpose\":\"enrol\"`".to_owned(),
        };
        let place = match &self.host.config.enrol_token {
            Some(from) => format!("put it where the agent looks for it on its host, {from}"),
            None => "write it into a file, name that in `enrol_token` of its configuration and start \
                     the agent again"
                .to_owned(),
        };
        let enrol = format!(
            "make a one-time token for this agent with {route} and {place}; keys and installations stay"
        );
        // What the platform says to look at comes first: a token is no cure for a copy or a proxy.
        let hint = match &problem.hint {
            Some(first) => format!("{first}; to enrol it again, {enrol}"),
            None => enrol,
        };
        problem.hint(hint)
    }

    /// Looks for a one-time token that was put there meanwhile, so that nobody has to start the agent again.
    async fn look_for_token(&mut self) {
        if self.identity.is_some() && self.denied != Some(Denial::ReEnrol) {
            return;
        }
        let spent = self.identity.as_ref().and_then(|it| it.enrolled_with.as_ref());
        match enrol::one_time_token(self.host.config.enrol_token.as_ref()).await {
            Ok(Some(token)) => {
                let name = enrol::name_of(&token);
                if spent != Some(&name) && self.refused_token.as_ref() != Some(&name) {
                    self.enrol_token = Some(token);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the one-time token can't be read: {error}"),
        }
    }

    async fn enrol_if_needed(&mut self) -> Result<(), Problem> {
        self.look_for_token().await;
        let Some(token) = &self.enrol_token else {
            return Ok(());
        };
        let before = self
            .identity
            .as_ref()
            .and_then(|identity| identity.proof.as_ref());
        match enrol::enrol(&self.host, &self.api, token, before, self.address.clone()).await {
            Ok((identity, interval_s)) => {
                self.identity = Some(identity);
                self.schedule.interval_s = interval_s;
                self.enrol_token = None;
                Ok(())
            }
            Err(AgentError::Platform(problem)) if problem.kind.may_be_retried() => Err(problem),
            Err(AgentError::Platform(problem)) if problem.denial == Some(Denial::ReEnrol) => {
                // It will never do again, and each attempt with it leaves a row in the audit.
                self.refused_token = self.enrol_token.take().map(|token| enrol::name_of(&token));
                if self.identity.is_none() {
                    return Err(problem);
                }
                tracing::warn!(%problem, "the new one-time token was refused; going on as before");
                Ok(())
            }
            Err(AgentError::Platform(problem)) if self.identity.is_some() => {
                tracing::warn!(%problem, "the new one-time token was refused; going on as before");
                self.enrol_token = None;
                Ok(())
            }
            Err(AgentError::Platform(problem)) => Err(problem),
            Err(error) => Err(Problem::internal(format!("the enrolment can't be kept: {error}"))
                .hint("check the disk and the rights of `state_dir`; the agent tries again by itself")),
        }
    }

    /// Takes the jobs that aren't taken yet: a job is given again until its result arrived.
    fn take(&mut self, jobs: Vec<AgentJob>) {
        for job in jobs {
            if self.taken.insert(job.id.clone()) {
                self.waiting.push(job);
            }
        }
        if self.working.is_none() && !self.waiting.is_empty() {
            let Some(identity) = self.identity.clone() else {
                return;
            };
            let jobs = std::mem::take(&mut self.waiting);
            self.taken = jobs.iter().map(|job| job.id.clone()).collect();
            self.working = Some(tokio::spawn(self.worker.clone().work(identity, jobs)));
        }
    }

    fn worked(&mut self, worked: Result<Worked, JoinError>) {
        self.working = None;
        self.taken = self.waiting.iter().map(|job| job.id.clone()).collect();
        let worked = worked.unwrap_or_else(|error| {
            tracing::error!(%error, "a job ended in a defect of the agent");
            Worked::default()
        });
        if worked.expects_more {
            self.expected_after_s = EXPECTED_AFTER_S.into();
        }
        if worked.changed && self.n_follow_ups < MAX_FOLLOW_UPS && self.schedule.n_failures == 0 {
            self.n_follow_ups += 1;
            self.schedule.no_later_than(self.host.clock.now());
        }
        self.take(Vec::new());
    }
}

/// The end of the jobs, or never if there are none.
async fn ended(working: &mut Option<JoinHandle<Worked>>) -> Result<Worked, JoinError> {
    match working {
        Some(working) => working.await,
        None => std::future::pending().await,
    }
}
