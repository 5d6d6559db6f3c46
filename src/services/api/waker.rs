//! Wakes agents as soon as a job for them is durable, whoever queued it, so that nobody who queues one
//! waits for a host that may be gone.
//!
//! A number of them at a time: after an outage there may be thousands to wake, most of them not there. Who
//! was heard of lately goes first and never waits for one that is silent.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinSet;

use crate::domain::id::EntityKind;
use crate::store::jobs::{Listening, Whom};
use crate::store::{StoreError, Work, jobs};
use crate::wire::page::Change;

use super::ApiState;

/// Wake-ups under way at once, each a connection for as long as the agent takes to answer.
pub(super) const AT_ONCE: usize = 64;
/// As many of them may be to agents that were not heard of lately.
const SILENT_AT_ONCE: usize = 32;
/// More jobs than this are looked up all together.
const MANY: usize = 64;

/// What to look at.
enum Heard {
    Jobs(BTreeSet<String>),
    /// Anything may have changed.
    Anything,
}

/// Runs until the store is gone.
pub(super) async fn run(state: ApiState) {
    let mut changes = state.store.changes();
    let mut bells = Bells::default();
    let mut under_way = JoinSet::new();
    // What was queued before this server began.
    let mut heard = Some(Heard::Anything);
    loop {
        if let Some(heard) = heard.take() {
            match whom(&state, &heard).await {
                Ok(all) => all.into_iter().for_each(|whom| bells.wants(whom)),
                Err(error) => {
                    tracing::warn!(%error, "agents with jobs are not woken, they wait for their check-in");
                }
            }
        }
        while let Some(agent) = bells.next() {
            under_way.spawn(wake(state.clone(), agent));
        }
        tokio::select! {
            biased;
            Some(ended) = under_way.join_next() => match ended {
                Ok(agent) => bells.ended(&agent),
                Err(error) => {
                    // Which one it was is not known, so that they all begin anew.
                    tracing::error!(%error, "a wake-up ended in a defect");
                    under_way.shutdown().await;
                    bells = Bells::default();
                    heard = Some(Heard::Anything);
                }
            },
            change = changes.recv() => match change {
                Ok(change) if change.entity == EntityKind::Job => heard = Some(more(&mut changes, change)),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => heard = Some(Heard::Anything),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Takes all that is there already.
fn more(changes: &mut Receiver<Change>, first: Change) -> Heard {
    let mut ids = BTreeSet::from([first.id]);
    loop {
        match changes.try_recv() {
            Ok(change) if change.entity == EntityKind::Job => {
                ids.insert(change.id);
            }
            Ok(_) => {}
            Err(TryRecvError::Lagged(_)) => return Heard::Anything,
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    match ids.len() > MANY || ids.contains(Change::ALL) {
        true => Heard::Anything,
        false => Heard::Jobs(ids),
    }
}

async fn whom(state: &ApiState, heard: &Heard) -> Result<Vec<Whom>, StoreError> {
    match heard {
        Heard::Anything => jobs::all_whom(&mut state.store.ask(Work::Background).await?).await,
        Heard::Jobs(ids) => {
            let mut conn = state.store.read().await?;
            let mut all = Vec::new();
            for id in ids {
                all.extend(jobs::whom(&mut conn, id).await?);
            }
            Ok(all)
        }
    }
}

async fn wake(state: ApiState, agent: Listening) -> Listening {
    if let Err(unreached) = state.wake.wake(agent.clone()).await {
        let address = &agent.address;
        tracing::info!(
            address,
            step = unreached.failed_step,
            "agent at {address} not woken, its jobs wait for its check-in: {}",
            unreached.problem
        );
    }
    agent
}

/// Where one who is to be woken stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// In the queue of those that were heard of lately.
    Near,
    /// In the queue of those that were not.
    Far,
    /// It is being woken; `again` if it got another job since that began.
    Ringing { far: bool, again: Option<bool> },
}

/// Who is to be woken, and who is being woken.
#[derive(Default)]
struct Bells {
    stands: HashMap<Listening, Stands>,
    near: VecDeque<Listening>,
    far: VecDeque<Listening>,
    n_ringing: usize,
    n_far_ringing: usize,
}

impl Bells {
    fn wants(&mut self, whom: Whom) {
        let Whom {
            listening: agent,
            heard_of,
        } = whom;
        match self.stands.get_mut(&agent) {
            Some(Stands::Near) => {}
            Some(Stands::Far) if !heard_of => {}
            Some(Stands::Ringing { again, .. }) => *again = Some(heard_of),
            Some(Stands::Far) => {
                self.far.retain(|it| *it != agent);
                self.queue(agent, heard_of);
            }
            None => self.queue(agent, heard_of),
        }
    }

    fn queue(&mut self, agent: Listening, near: bool) {
        let (stands, queue) = match near {
            true => (Stands::Near, &mut self.near),
            false => (Stands::Far, &mut self.far),
        };
        self.stands.insert(agent.clone(), stands);
        queue.push_back(agent);
    }

    /// The next one to be woken now, if there may be one more.
    fn next(&mut self) -> Option<Listening> {
        if self.n_ringing >= AT_ONCE {
            return None;
        }
        let (agent, far) = match self.near.pop_front() {
            Some(agent) => (agent, false),
            None if self.n_far_ringing < SILENT_AT_ONCE => (self.far.pop_front()?, true),
            None => return None,
        };
        self.n_ringing += 1;
        self.n_far_ringing += usize::from(far);
        let ringing = Stands::Ringing { far, again: None };
        self.stands.insert(agent.clone(), ringing);
        Some(agent)
    }

    fn ended(&mut self, agent: &Listening) {
        let Some(Stands::Ringing { far, again }) = self.stands.remove(agent) else {
            return;
        };
        self.n_ringing -= 1;
        self.n_far_ringing -= usize::from(far);
        if let Some(near) = again {
            self.queue(agent.clone(), near);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use futures::future::BoxFuture;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::clock::Clock;
    use crate::services::api::{Unreached, Wake};
    use crate::store::requests::NewRequest;
    use crate::store::{Store, adapters, agents, keys, requests};
    use crate::wire::agents::{EnrolBody, WakeReply};

    fn at(address: &str) -> Listening {
        Listening {
            address: address.to_owned(),
            reported_from: None,
        }
    }

    fn whom(address: &str, heard_of: bool) -> Whom {
        Whom {
            listening: at(address),
            heard_of,
        }
    }

    #[test]
    fn who_was_heard_of_goes_first_and_the_silent_leave_room() {
        let mut bells = Bells::default();
        for n in 0..8000 {
            bells.wants(whom(&format!("silent-{n}"), false));
        }
        let ringing: Vec<_> = std::iter::from_fn(|| bells.next()).collect();
        assert_eq!(ringing.len(), SILENT_AT_ONCE);
        bells.wants(whom("web-01", true));
        // It had a job before, when it was silent.
        bells.wants(whom("silent-7000", true));
        assert_eq!(bells.next(), Some(at("web-01")));
        assert_eq!(bells.next(), Some(at("silent-7000")));
        assert_eq!(bells.next(), None);
        for n in 0..100 {
            bells.wants(whom(&format!("web-{n}"), true));
        }
        while bells.next().is_some() {}
        assert_eq!(bells.n_ringing, AT_ONCE);
    }

    #[test]
    fn who_gets_a_job_while_it_is_woken_is_woken_again_and_else_once() {
        let mut bells = Bells::default();
        bells.wants(whom("a", true));
        bells.wants(whom("a", true));
        assert_eq!(bells.next(), Some(at("a")));
        assert_eq!(bells.next(), None);
        bells.wants(whom("a", true));
        assert_eq!(bells.next(), None, "one at a time");
        bells.ended(&at("a"));
        assert_eq!(bells.next(), Some(at("a")));
        bells.ended(&at("a"));
        assert_eq!(bells.next(), None);
        assert!(bells.stands.is_empty() && bells.n_ringing == 0);
    }

    #[test]
    fn that_anything_may_have_changed_is_heard_as_such() {
        let (changes, mut listener) = tokio::sync::broadcast::channel(8);
        let one = Change::of(EntityKind::Job, "job_1");
        assert!(matches!(more(&mut listener, one.clone()), Heard::Jobs(ids) if ids.len() == 1));
        for change in Change::everything() {
            let _ = changes.send(change);
        }
        assert!(matches!(more(&mut listener, one), Heard::Anything));
    }

    /// Hosts that take a connection and never answer; how many hold one, and the most that did.
    #[derive(Clone, Default)]
    struct Void {
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
        woken: Arc<Mutex<Vec<String>>>,
        go: Option<Arc<Semaphore>>,
    }

    impl Wake for Void {
        fn wake(&self, agent: Listening) -> BoxFuture<'static, Result<WakeReply, Unreached>> {
            let it = self.clone();
            Box::pin(async move {
                let now = it.now.fetch_add(1, Ordering::SeqCst) + 1;
                it.most.fetch_max(now, Ordering::SeqCst);
                it.woken.lock().unwrap().push(agent.address);
                if let Some(go) = &it.go {
                    go.acquire().await.unwrap().forget();
                }
                it.now.fetch_sub(1, Ordering::SeqCst);
                Err(Unreached {
                    failed_step: "connect".to_owned(),
                    problem: crate::problem::Problem::unavailable("no answer"),
                })
            })
        }
    }

    async fn with_silent(n: usize) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let store = Store::open(&url, Clock::system()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let config = serde_json::json!({});
        let ca = adapters::upsert(&mut tx, "ca", "vault_pki", &config)
            .await
            .unwrap();
        for n in 0..n {
            let host = EnrolBody {
                hostname: format!("h-{n}"),
                address: format!("http://h-{n}:8084"),
                tls_address: None,
                install_dirs: Vec::new(),
                agent_version: "1".to_owned(),
                owner: None,
                identity_csr_pem: None,
            };
            let agent = agents::insert(&mut tx, &host, 60).await.unwrap();
            // Its first job is to make a key.
            let new = NewRequest {
                common_name: host.hostname,
                sans: Vec::new(),
                key_algorithm: "ecdsa-p256".to_owned(),
                adapter_id: ca.id.clone(),
                agent_id: agent.id,
                install_path: None,
                replaces: None,
                requested_by: "ops".to_owned(),
                needs_approval: false,
            };
            requests::insert(&mut tx, &new).await.unwrap();
        }
        tx.commit().await.unwrap();
        (dir, store)
    }

    async fn until(what: impl Fn() -> bool) {
        let waiting = async {
            while !what() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_start_with_a_long_queue_opens_a_bounded_number_of_connections_and_all_get_their_turn() {
        let (_dir, store) = with_silent(500).await;
        let go = Arc::new(Semaphore::new(0));
        let void = Void {
            go: Some(Arc::clone(&go)),
            ..Void::default()
        };
        let state = ApiState::new(store.clone(), Arc::new(void.clone()));
        let running = tokio::spawn(run(state));
        until(|| void.now.load(Ordering::SeqCst) == SILENT_AT_ONCE).await;
        go.add_permits(1000);
        until(|| void.woken.lock().unwrap().len() == 500).await;
        assert!(void.most.load(Ordering::SeqCst) <= AT_ONCE);

        // More changes than it can hear of.
        until(|| void.now.load(Ordering::SeqCst) == 0).await;
        let mut tx = store.begin().await.unwrap();
        for n in 0..5000 {
            keys::upsert(&mut tx, &format!("k{n}"), "ecdsa-p256")
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        until(|| void.woken.lock().unwrap().len() == 1000).await;
        running.abort();
    }
}
