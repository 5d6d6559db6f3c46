//! Effects become tasks, and what comes of them becomes events. Nothing here draws or decides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::asking::ask;
use super::backends::Backends;
use super::neighbours::Neighbours;
use super::rests::Rests;
use super::{databases, links, logs, saved_views, stream};
use crate::actions;
use crate::clients::tls_look::{Effort, Seen};
use crate::clients::tls_probe::ProbeFailure;
use crate::domain::secret::Secret;
use crate::plan::confirm::Confirmed;
use crate::plan::executor::{Means, RunEvent, execute};
use crate::plan::outcome::Outcome;
use crate::plan::ports::{Entered, Reads, SecretEntry};
use crate::problem::Problem;
use crate::state::effect::Effect;
use crate::state::event::{Event, ServedThere};
use crate::state::query::{Answer, Query};
use crate::state::served::{Endpoint, ServedNow};
use crate::state::snapshot::Snapshot;

/// Before a question that had no answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Between two looks at another context, while all are shown.
const LOOK_ASIDE: Duration = Duration::from_secs(10);
/// How long the last snapshot may take when the console ends.
const LAST_SNAPSHOT: Duration = Duration::from_millis(300);
/// How many events of one run may wait to be told.
const RUN_EVENTS: usize = 4096;

/// Carries effects out.
pub struct Effects {
    to: Sender<Event>,
    backends: Arc<OnceLock<Arc<Backends>>>,
    look: Arc<Notify>,
    prompts: BTreeMap<String, Sender<Entered>>,
    leaving: watch::Sender<bool>,
    runs: JoinSet<()>,
    rests: Arc<Rests>,
    /// Where saved views are kept.
    views: PathBuf,
    /// Where what is known is kept, if it is.
    snapshot: Option<PathBuf>,
    kept: Arc<Mutex<Snapshot>>,
    /// The other contexts, which are asked while they are shown.
    neighbours: Arc<Neighbours>,
    /// What watches the backends, as long as this is there.
    watchers: JoinSet<()>,
}

impl Effects {
    /// With where events go, where saved views are kept, and the other contexts; the backends come later.
    #[must_use]
    pub fn new(to: Sender<Event>, views: PathBuf, snapshot: Option<PathBuf>, neighbours: Neighbours) -> Self {
        Self {
            neighbours: Arc::new(neighbours),
            rests: Arc::default(),
            views,
            snapshot,
            kept: Arc::default(),
            to,
            backends: Arc::new(OnceLock::new()),
            look: Arc::new(Notify::new()),
            prompts: BTreeMap::new(),
            leaving: watch::Sender::new(false),
            runs: JoinSet::new(),
            watchers: JoinSet::new(),
        }
    }

    /// The console ends: runs that are under way are broken off, and their end is put on record as
    /// unknown, for which they have `limit`.
    pub async fn leave(mut self, limit: Duration) {
        self.leaving.send_replace(true);
        let all = async { while self.runs.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("the end of a run could not be recorded in time");
        }
    }

    /// The backends are known: watch their links and the event stream from now on.
    pub fn connect(&mut self, backends: Backends) {
        let backends = Arc::new(backends);
        if self.backends.set(Arc::clone(&backends)).is_err() {
            return;
        }
        self.watchers.spawn(links::watch(
            Arc::clone(&backends),
            self.to.clone(),
            Arc::clone(&self.look),
        ));
        if let Some(hosts) = backends.reads.hosts.clone() {
            self.watchers
                .spawn(databases::watch(hosts.clone(), self.to.clone()));
            self.watchers
                .spawn(databases::follow_changes(hosts, self.to.clone()));
        }
        let hosts = backends.reads.hosts.clone();
        // What is read from the database is told by the database: a replica may not have it yet.
        let told_elsewhere = move || hosts.as_ref().is_some_and(databases::is_read);
        self.watchers.spawn(stream::follow(
            backends.reads.api.clone(),
            told_elsewhere,
            stream::Times::default(),
            self.to.clone(),
        ));
    }

    /// Keeps what is known on disk, where it is another than what is there.
    fn keep_snapshot(&self, snapshot: Snapshot) {
        let Some(path) = self.snapshot.clone() else { return };
        let kept = Arc::clone(&self.kept);
        tokio::task::spawn_blocking(move || keep(&path, &kept, snapshot));
    }

    /// Keeps it before the console ends: it is on disk when this returns.
    pub async fn keep_last(&self, snapshot: Snapshot) {
        let Some(path) = self.snapshot.clone() else { return };
        let kept = Arc::clone(&self.kept);
        let done = tokio::task::spawn_blocking(move || keep(&path, &kept, snapshot));
        if tokio::time::timeout(LAST_SNAPSHOT, done).await.is_err() {
            tracing::warn!("the local snapshot could not be kept in time");
        }
    }

    /// Carries one effect out; what needs the terminal is given back.
    pub fn carry_out(&mut self, effect: Effect) -> Option<Effect> {
        match effect {
            // It is there when no backend is: that is when it is read.
            Effect::Ask {
                query: Query::Logs,
                asked,
                ..
            } => {
                let to = self.to.clone();
                tokio::spawn(async move {
                    let answer = Event::Answer {
                        query: Query::Logs,
                        asked,
                        from: None,
                        result: logs::newest().await,
                    };
                    let _closed = to.send(answer).await;
                });
            }
            // The other contexts' backends are not this one's.
            Effect::Ask { query, asked, .. } if query.neighbour().is_some() => {
                let (to, neighbours) = (self.to.clone(), Arc::clone(&self.neighbours));
                tokio::spawn(async move {
                    let result = or_defect(neighbours.ask(&query)).await;
                    let answer = Event::Answer {
                        query,
                        asked,
                        from: None,
                        result,
                    };
                    let _closed = to.send(answer).await;
                });
            }
            Effect::Ask { query, asked, rows } => {
                let backends = self.backends.get().cloned()?;
                let (to, rests) = (self.to.clone(), Arc::clone(&self.rests));
                tokio::spawn(async move {
                    if let Some(until) = rests.until(&query, rows) {
                        tokio::time::sleep_until(until).await;
                    }
                    let began = Instant::now();
                    let answered = or_defect(ask(&backends.reads, &query, rows)).await;
                    rests.answered(&query, rows, began, Instant::now());
                    let (result, from) = match answered {
                        Ok((answer, from)) => (Ok(answer), from),
                        Err(problem) => (Err(problem), None),
                    };
                    if let Ok(answer) = &result {
                        hear_of_agents(&backends, answer);
                    }
                    let answer = Event::Answer {
                        query,
                        asked,
                        from,
                        result,
                    };
                    let _closed = to.send(answer).await;
                });
            }
            Effect::AskLater { query, asked } => {
                let to = self.to.clone();
                let wait = match query.neighbour() {
                    Some(_) => LOOK_ASIDE,
                    None => ASK_AGAIN,
                };
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _closed = to.send(Event::AskAgain { query, asked }).await;
                });
            }
            Effect::Plan {
                run,
                action,
                on,
                inputs,
            } => {
                let backends = self.backends.get().cloned();
                let to = self.to.clone();
                tokio::spawn(async move {
                    let result = match (backends, actions::find(action)) {
                        (Some(backends), Some(action)) => {
                            or_defect(actions::plan(action, on, inputs, &backends.reads))
                                .await
                                .map(Box::new)
                        }
                        _ => Err(Problem::unavailable("the backends are still being started")),
                    };
                    let _closed = to.send(Event::Planned(run, result)).await;
                });
            }
            Effect::Execute { run, confirmed } => self.execute(run, *confirmed),
            Effect::ResetSecret(run) => self.enter(&run, Entered::Reset),
            Effect::StopSecret(run) => self.enter(&run, Entered::Stop),
            Effect::Export(export) => {
                let backends = self.backends.get().cloned()?;
                let to = self.to.clone();
                tokio::spawn(async move {
                    let result = backends.write_export(&export).await;
                    let _closed = to.send(Event::Exported(result)).await;
                });
            }
            Effect::ReadForExport(wanted) => {
                let backends = self.backends.get().cloned()?;
                let to = self.to.clone();
                tokio::spawn(async move {
                    let mut read = Vec::new();
                    for (query, rows) in &wanted.lists {
                        let answer = ask(&backends.reads, query, *rows).await;
                        read.push((query.clone(), answer.map(|(answer, _)| answer)));
                    }
                    let _closed = to.send(Event::ReadForExport(wanted, read)).await;
                });
            }
            Effect::Handshake(endpoint) => {
                let backends = self.backends.get().cloned()?;
                let to = self.to.clone();
                tokio::spawn(async move {
                    let served = served_now(&backends.reads, &endpoint).await;
                    let served = served.map_err(|why| why.to_string());
                    let _closed = to.send(Event::Handshake(endpoint, served)).await;
                });
            }
            Effect::FetchCrl => {
                let backends = self.backends.get().cloned()?;
                let to = self.to.clone();
                tokio::spawn(async move {
                    let crl = backends.reads.crl().await;
                    let crl = crl.map(Arc::new).map_err(|problem| problem.to_string());
                    let _closed = to.send(Event::Crl(crl)).await;
                });
            }
            Effect::FetchPem(id) => {
                let backends = self.backends.get().cloned()?;
                let to = self.to.clone();
                tokio::spawn(async move {
                    let pem = match ask(&backends.reads, &Query::Certificate(id), 1).await {
                        Ok((Answer::Certificate(detail), _)) => detail.certificate.pem,
                        Ok(_) => None,
                        Err(problem) => {
                            let _closed = to.send(Event::Pem(Err(problem))).await;
                            return;
                        }
                    };
                    let pem = pem.ok_or_else(|| Problem::not_found("the inventory keeps no PEM of it"));
                    let _closed = to.send(Event::Pem(pem)).await;
                });
            }
            Effect::KeepSnapshot(snapshot) => self.keep_snapshot(*snapshot),
            Effect::KeepViews(views) => {
                let (path, to) = (self.views.clone(), self.to.clone());
                tokio::spawn(async move {
                    if let Err(why) = saved_views::keep(&path, &views).await {
                        let _closed = to.send(Event::ViewsNotKept(why)).await;
                    }
                });
            }
            Effect::Probe(address) => {
                let backends = self.backends.get().cloned()?;
                let to = self.to.clone();
                tokio::spawn(async move {
                    let served = backends.reads.served(&address, None).await;
                    let result = served
                        .map(|served| ServedThere {
                            fingerprint_sha256: served.fingerprint_sha256,
                            spki_sha256: served.spki_sha256,
                        })
                        .map_err(|why| why.to_string());
                    let _closed = to.send(Event::Probed(address, result)).await;
                });
            }
            Effect::SetGuard(guard) => {
                if let Some(backends) = self.backends.get() {
                    backends.set_guard(guard);
                }
            }
            Effect::CheckLinks => {
                self.look.notify_one();
                if let Some(hosts) = self.backends.get().and_then(|it| it.reads.hosts.as_ref()) {
                    hosts.look();
                }
            }
            effect @ (Effect::Copy(_) | Effect::Suspend | Effect::SubmitSecret(_) | Effect::TakeShare(_)) => {
                return Some(effect);
            }
        }
        None
    }

    /// Hands a secret over to the run that waits for it.
    pub fn submit(&mut self, run: &str, secret: Secret) {
        self.enter(run, Entered::Secret(secret));
    }

    fn enter(&mut self, run: &str, entered: Entered) {
        if let Some(prompt) = self.prompts.get(run) {
            // Full: the person is faster than Vault; the key is dropped as any key too many.
            let _full = prompt.try_send(entered);
        }
    }

    fn execute(&mut self, run: String, confirmed: Confirmed) {
        let Some(backends) = self.backends.get().cloned() else {
            return;
        };
        let (prompt, entered) = mpsc::channel(8);
        self.prompts.insert(run.clone(), prompt);
        let (events, mut told) = mpsc::channel::<RunEvent>(RUN_EVENTS);
        let to = self.to.clone();
        let name = run.clone();
        let kind = confirmed.plan().kind_of(0);
        tokio::spawn(async move {
            let mut ended = false;
            while let Some(event) = told.recv().await {
                ended |= matches!(event, RunEvent::Ended(_));
                if to.send(Event::Run(name.clone(), event)).await.is_err() {
                    return;
                }
            }
            if !ended {
                // The task is gone without a word: it panicked. What it did is not known.
                let problem = Problem::internal("the task of this run crashed").hint(kind.check_first());
                let _closed = to
                    .send(Event::Run(name, RunEvent::Ended(Outcome::Unknown(problem))))
                    .await;
            }
        });
        let leaving = self.leaving.subscribe();
        while self.runs.try_join_next().is_some() {}
        self.runs.spawn(async move {
            let secrets = SecretEntry::new(entered);
            let means = Means {
                reads: &backends.reads,
                changes: &backends.changes,
                secrets: &secrets,
                journal: &backends.journal,
                guard: &|| backends.guard(),
                find_step: &actions::find_step,
                plan_again: &actions::plan_again,
                leaving,
            };
            let watch = |event: RunEvent| {
                if let Err(error) = events.try_send(event) {
                    tracing::error!(%run, %error, "an event of {run} was lost");
                }
            };
            let ended = execute(confirmed, &means, &watch).await;
            ended.follow(&means, &watch).await;
        });
    }
}

/// Where agents are is remembered, for when nobody else can say it.
pub(super) fn hear_of_agents(backends: &Backends, answer: &Answer) {
    match answer {
        Answer::Agents(window) => window
            .rows
            .iter()
            .for_each(|agent| backends.reads.known.hear(agent)),
        Answer::Agent(detail) => backends.reads.known.hear(&detail.agent),
        _ => {}
    }
}

/// Keeps a snapshot that differs from the last.
fn keep(path: &Path, last: &Mutex<Snapshot>, snapshot: Snapshot) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if *last == snapshot {
        return;
    }
    match super::snapshot::keep(path, &snapshot) {
        Ok(()) => *last = snapshot,
        Err(error) => tracing::warn!(path = %path.display(), %error, "the local snapshot can't be kept"),
    }
}

/// What `work` gives; that it panicked is an answer too, so that nothing waits for one for ever.
async fn or_defect<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let caught = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(Problem::internal("a background task crashed")))
}

/// Certificates that are served at a place now: a server has workers and addresses, and each may serve another one.
async fn served_now(reads: &Reads, endpoint: &Endpoint) -> Result<ServedNow, ProbeFailure> {
    let (address, name) = (&endpoint.address, Some(endpoint.name.as_str()));
    let look = reads.served_everywhere(address, name, Effort::ROUTINE).await?;
    let mut shown = BTreeMap::<String, usize>::new();
    for served in look
        .samples
        .iter()
        .filter_map(|sample| sample.outcome.as_ref().ok())
    {
        *shown.entry(served.fingerprint_sha256.to_lowercase()).or_default() += 1;
    }
    // All that was shown is taken here; which is expected is held against it where it is drawn.
    let all: Vec<String> = shown.keys().cloned().collect();
    let broken = Seen::of(look, &all, &[], reads.clock.now())?.disagreement(address);
    Ok(ServedNow { shown, broken })
}
