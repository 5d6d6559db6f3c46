//! Things go beside each other, a few at a time: a host that doesn't answer holds up no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use cmp_console::domain::agent::{Agent, AgentStatus};
use cmp_console::plan::plan::PlannedStep;
use cmp_console::plan::ports::Writes;
use cmp_console::plan::step::{Proof, Step, StepContext};
use cmp_console::plan::tier::Harm;
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::wire::agents::WakeReply;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use super::*;

/// Number of steps that go at once.
const AT_ONCE: usize = 8;

/// An agent that answers its wake-up when as many are being woken as may be.
async fn agent(n: usize, all: &Arc<Barrier>, under_way: &Arc<(AtomicUsize, AtomicUsize)>) -> Agent {
    let (all, under_way) = (Arc::clone(all), Arc::clone(under_way));
    let woken = move || async move {
        let now = under_way.0.fetch_add(1, Ordering::SeqCst) + 1;
        under_way.1.fetch_max(now, Ordering::SeqCst);
        all.wait().await;
        under_way.0.fetch_sub(1, Ordering::SeqCst);
        Json(WakeReply {
            agent_id: None,
            reported: true,
            n_jobs: 0,
            problem: None,
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/checkin", post(woken));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Agent {
        id: format!("agt_{n}"),
        version: 1,
        hostname: format!("web-{n:02}"),
        address,
        tls_address: None,
        install_dirs: Vec::new(),
        agent_version: "0.1.0".to_owned(),
        owner: None,
        status: AgentStatus::Active,
        identity: None,
        next_identity: None,
        last_checkin: None,
        reported_from: None,
        checkin_interval_s: 60,
        has_no_token: false,
        n_installations: 0,
        enrolled_at: DateTime::<Utc>::UNIX_EPOCH,
        updated_at: DateTime::<Utc>::UNIX_EPOCH,
    }
}

/// Means of a console that has no API.
fn without_api(home: &Path) -> Hands {
    let api = ApiReader::new("http://127.0.0.1:1", None).unwrap();
    Hands {
        reads: Reads {
            hosts: None,
            known: KnownAgents::default(),
            api: api.clone(),
            vault: None,
            vault_nodes: Vec::new(),
            clock: Clock::system(),
            pki_mount: String::new(),
            pki_test_role: String::new(),
        },
        changes: Changes::new(ApiWriter::new(api), None),
        journal: Journal::new(&home.join("journal.jsonl")),
        said: Mutex::default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_in_of_many_waits_for_none_and_wakes_a_few_at_once() {
    let home = tempfile::tempdir().unwrap();
    let hands = without_api(home.path());
    let (all, under_way) = (Arc::new(Barrier::new(AT_ONCE)), Arc::default());
    let mut on = Vec::new();
    for n in 0..2 * AT_ONCE {
        let agent = agent(n, &all, &under_way).await;
        hands.reads.known.hear(&agent);
        on.push(Target {
            kind: EntityKind::Agent,
            id: agent.id,
            version: 1,
            name: agent.hostname,
            status: "active".to_owned(),
        });
    }
    let plan = hands.plan(actions::find("checkin").unwrap(), on).await;
    let (outcome, said) = hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]).await;
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    assert_eq!(under_way.1.load(Ordering::SeqCst), AT_ONCE);
    let ended = said.lines().filter(|line| line.starts_with("ThingEnded"));
    assert_eq!(ended.count(), 2 * AT_ONCE, "{said}");
}

/// Changes something, and is proven at once, but at the dead host.
struct Change;

/// Host of which nothing is heard.
const DEAD: &str = "web-00";
/// Changes that were sent.
static SENT: AtomicUsize = AtomicUsize::new(0);

impl Step for Change {
    fn name(&self) -> &'static str {
        "change"
    }

    fn harm(&self) -> Harm {
        Harm::Changes
    }

    fn run<'a>(&'a self, _: &'a StepContext, _: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async {
            SENT.fetch_add(1, Ordering::SeqCst);
            Ok(Value::Null)
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, _: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async {
            Ok(match cx.args["host"] == DEAD {
                // Its time is over when nobody else is waited for any more.
                true => Proof::NotYet("nothing is heard of it".to_owned()),
                false => Proof::Proven("loaded".to_owned()),
            })
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// A step behind the change.
struct Look;

impl Step for Look {
    fn name(&self) -> &'static str {
        "look"
    }

    fn harm(&self) -> Harm {
        Harm::None
    }

    fn prove<'a>(&'a self, _: &'a StepContext, _: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async {
            let sent = SENT.load(Ordering::SeqCst);
            Ok(Proof::Proven(format!("served, {sent} sent")))
        })
    }
}

/// Is answered as the step's arguments say: with nothing, and then with a problem of this kind.
struct Call;

/// Times that the call was sent which gets no answer at first.
static ASKED: AtomicUsize = AtomicUsize::new(0);

impl Step for Call {
    fn name(&self) -> &'static str {
        "call"
    }

    fn harm(&self) -> Harm {
        Harm::Changes
    }

    fn run<'a>(&'a self, cx: &'a StepContext, _: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async {
            if cx.args["lost"] == true && ASKED.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(Problem::no_answer("the connection broke"));
            }
            let kind: Option<ProblemKind> = serde_json::from_value(cx.args["kind"].clone()).unwrap();
            kind.map_or(Ok(Value::Null), |kind| Err(Problem::new(kind, "so it is")))
        })
    }

    fn prove<'a>(&'a self, _: &'a StepContext, _: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async { Ok(Proof::Proven("so it is".to_owned())) })
    }
}

/// Carries a plan of these steps out; its end, and what was told of it.
async fn carry_out(hands: &Hands, plan: Plan) -> (Outcome, Vec<RunEvent>) {
    let (_prompt, entered) = tokio::sync::mpsc::channel(1);
    let (_stays, leaving) = tokio::sync::watch::channel(false);
    let find = |name: &str| -> Option<&'static dyn Step> {
        let all: [&'static dyn Step; 3] = [&Change, &Look, &Call];
        all.into_iter().find(|step| step.name() == name)
    };
    let means = Means {
        reads: &hands.reads,
        changes: &hands.changes,
        secrets: &SecretEntry::new(entered),
        journal: &hands.journal,
        guard: &|| Guard::ReadWrite,
        find_step: &find,
        plan_again: &actions::plan_again,
        leaving,
    };
    let told: Mutex<Vec<RunEvent>> = Mutex::default();
    let watch = |event: RunEvent| told.lock().unwrap().push(event);
    let outcome = execute(confirmed(plan), &means, &watch).await.outcome;
    (outcome, told.into_inner().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_has_one_word_in_the_log_of_commands_and_in_its_result() {
    let home = tempfile::tempdir().unwrap();
    let hands = without_api(home.path());
    for (kind, lost, word) in [
        (None, false, "done"),
        (Some("conflict"), false, "refused"),
        (Some("bad_input"), false, "refused"),
        (Some("too_many"), false, "refused"),
        (Some("backend_failed"), false, "failed"),
        (Some("unavailable"), false, "failed"),
        // A call's second answer is its first one's.
        (Some("refused"), true, "refused"),
    ] {
        let args = serde_json::json!({"kind": kind, "lost": lost});
        let plan = Plan {
            title: "Call".to_owned(),
            works_without_api: true,
            steps: vec![PlannedStep::new(&Call, 0, "call", args).by_hand("curl -X POST")],
            targets: vec![Target {
                kind: EntityKind::Agent,
                id: "agt_1".to_owned(),
                version: 1,
                name: "web-01".to_owned(),
                status: String::new(),
            }],
            ..Plan::new("checkin", hands.reads.clock.now())
        };
        let (outcome, told) = carry_out(&hands, plan).await;
        let how = told.iter().find_map(|event| match event {
            RunEvent::Command(_, how) => Some(how.as_str()),
            _ => None,
        });
        assert_eq!(outcome.of_run(), word, "{kind:?}: {outcome:?}");
        assert_eq!(how.unwrap().split(':').next(), Some(word), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_dead_holds_up_no_other_change_and_is_named_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    let hands = without_api(home.path());
    let mut plan = Plan {
        title: "Change 20 hosts".to_owned(),
        // Recorded locally, so that nothing but this run is looked at.
        works_without_api: true,
        ..Plan::new("checkin", hands.reads.clock.now())
    };
    for n in 0..20 {
        let host = format!("web-{n:02}");
        let args = serde_json::json!({"host": host});
        plan.steps
            .push(PlannedStep::new(&Change, n, "change it", args.clone()).on_hosts([&host]));
        plan.steps.push(PlannedStep::new(&Look, n, "look", args));
        plan.targets.push(Target {
            kind: EntityKind::Agent,
            id: format!("agt_{n}"),
            version: 1,
            name: host,
            status: String::new(),
        });
    }
    let (outcome, told) = carry_out(&hands, plan).await;
    let at = |wanted: &dyn Fn(&RunEvent) -> bool| told.iter().position(wanted).unwrap();
    let dead = at(&|event| matches!(event, RunEvent::ThingEnded(0, _)));
    for n in 1..20 {
        let its = at(&|event| matches!(event, RunEvent::ThingEnded(target, _) if *target == n));
        assert!(its < dead, "{n} waited for the dead one: {told:#?}");
        // Of one thing the steps go one after the other.
        let changed = at(&|event| matches!(event, RunEvent::StepEnded(step, _) if *step == 2 * n));
        let looked = at(&|event| matches!(event, RunEvent::StepStarted(step) if *step == 2 * n + 1));
        assert!(changed < looked, "{n}: {told:#?}");
    }
    // A thing that was not proven goes no further, and is counted and named.
    assert!(told.contains(&RunEvent::StepSkipped(1)), "{told:#?}");
    assert_eq!(outcome.word(), "unknown");
    assert!(
        outcome
            .what()
            .starts_with("19 proven, 1 unknown. unknown: web-00 ("),
        "{outcome:?}"
    );
}
