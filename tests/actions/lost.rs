//! A law over all actions: whatever becomes of the answer to any one of their calls, nothing that was done is called
//! failed or refused, nothing that wasn't is called proven, it is done once, and the record says the same.

use std::path::Path;

use cmp_console::actions;
use cmp_console::clients::crl;
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::secret::Secret;
use cmp_console::plan::guard::Guard;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::Target;
use serde_json::{Value, json};

use super::between::{Between, Call, Loss};
use super::demo::{Demo, eventually};
use super::{Hands, confirmed, shares};

/// Losses in a row: as often as a change is sent before somebody looks what came of it.
const IN_A_ROW: usize = 3;

/// Actions and their hosts.
type Trials<const N: usize> = [(&'static str, &'static [&'static str]); N];

/// Actions that need no host to answer. `vpn-01` is silent.
const PLATFORM: Trials<2> = [("cancel", &["vpn-01"]), ("unban", &["cdn-03"])];

/// Actions that wait for a host, and so take their time.
const HOSTS: Trials<3> = [
    ("reissue", &["web-01", "db-01"]),
    ("install", &["web-02", "web-03", "db-02", "mail-02"]),
    ("checkin", &["web-04"]),
];

/// One action on its own host, with its own way to the backends.
struct Trial<'a> {
    demo: &'a Demo,
    action: &'static str,
    host: &'static str,
    between: Between,
    hands: Hands,
    /// A way around, for looking and for what was left to be told.
    around: Hands,
}

/// One run of it.
struct Ran {
    run: String,
    target: Target,
    outcome: Outcome,
    said: String,
    before: Value,
}

impl<'a> Trial<'a> {
    async fn new(demo: &'a Demo, action: &'static str, host: &'static str, home: &Path) -> Self {
        let between = Between::new();
        let api = between.stand_before(&demo.text("/api")).await;
        let vault = between.stand_before(&demo.text("/vault")).await;
        let agent = demo.read(&format!("/api/v1/agents/{}", id_of(demo, host))).await;
        between
            .stand_before(agent["agent"]["address"].as_str().unwrap())
            .await;
        let home = home.join(format!("{action}-{host}"));
        std::fs::create_dir(&home).unwrap();
        Self {
            demo,
            action,
            host,
            hands: Hands::at(demo, &api, &vault, &home),
            around: Hands::new(demo, &demo.text("/api"), &home),
            between,
        }
    }

    async fn agent(&self) -> Value {
        self.demo
            .read(&format!("/api/v1/agents/{}", id_of(self.demo, self.host)))
            .await
    }

    /// A change that makes something for the action to be done to.
    async fn make(&self, path: &str) -> Value {
        let (status, reply) = self.demo.post(path, json!({})).await;
        assert!((200..300).contains(&status), "{path}: {status} {reply}");
        reply
    }

    /// A new request, for what replaces this certificate.
    async fn ask_for(&self, certificate: &str) -> Value {
        let reply = self.make(&format!("/api/v1/certs/{certificate}/reissue")).await;
        reply["requests"][0].clone()
    }

    /// What it is done to next.
    async fn target(&self) -> Target {
        let agent = self.agent().await;
        let (kind, id, name) = match self.action {
            "unseal" => (EntityKind::Vault, self.demo.text("/vault"), "Vault".to_owned()),
            "checkin" | "unban" => (
                EntityKind::Agent,
                id_of(self.demo, self.host),
                self.host.to_owned(),
            ),
            "revoke" => {
                let used = ["vpn-01", "cdn-03"].map(|host| id_of(self.demo, host));
                let mut free = None;
                for certificate in self.demo.all("/api/v1/certs?status=active&sort=-not_after").await {
                    let id = certificate["id"].as_str().unwrap().to_owned();
                    let detail = self.demo.read(&format!("/api/v1/certs/{id}")).await;
                    let holder = detail["key"]["agent_id"].as_str().unwrap_or_default().to_owned();
                    let is_alone = detail["same_key"].as_array().unwrap().is_empty();
                    // One is silent, the other banned.
                    if is_alone && !used.contains(&holder) {
                        free = Some((id, certificate["subject"].as_str().unwrap().to_owned()));
                        break;
                    }
                }
                let (id, subject) = free.expect("there is one left to revoke");
                (EntityKind::Certificate, id, subject)
            }
            "cancel" => {
                // Its agent is silent: what is asked for waits for the key until somebody takes it back.
                let here = agent["installations"].as_array().unwrap().last().unwrap();
                let certificate = here["certificate_id"].as_str().unwrap();
                let waiting = self.demo.all("/api/v1/requests?status=pending").await;
                let request = match waiting.into_iter().find(|it| it["replaces"] == certificate) {
                    Some(request) => request,
                    None => self.ask_for(certificate).await,
                };
                let word = |name: &str| request[name].as_str().unwrap().to_owned();
                (EntityKind::Request, word("id"), word("common_name"))
            }
            _ => {
                let here = agent["installations"].as_array().unwrap().last().unwrap();
                let word = |name: &str| here[name].as_str().unwrap().to_owned();
                (EntityKind::Certificate, word("certificate_id"), word("subject"))
            }
        };
        Target {
            kind,
            id,
            version: 0,
            name,
            status: "active".to_owned(),
        }
    }

    /// Carries it out once, while `losses` befall the answers to `at`.
    async fn run(&self, at: Option<&Call>, losses: &[Loss]) -> Ran {
        if self.action == "unseal" {
            self.demo.vault("PUT", "sys/seal", Some(json!({}))).await;
        }
        if self.action == "unban" && self.agent().await["agent"]["status"] == "active" {
            let id = id_of(self.demo, self.host);
            self.make(&format!("/api/v1/agents/{id}/ban")).await;
        }
        self.between.begin(None, &[]);
        let target = self.target().await;
        let before = self.agent().await;
        let action = actions::find(self.action).unwrap();
        let plan = self.hands.plan(action, vec![target.clone()]).await;
        let run = plan.run_id.clone();
        self.between.begin(at, losses);
        let (outcome, said) = self
            .hands
            .carry_out(confirmed(plan), Guard::ReadWrite, &entered(self.demo))
            .await;
        Ran {
            run,
            target,
            outcome,
            said,
            before,
        }
    }

    /// How many times it was taken on: changes of the run that the platform put on record, or calls where nothing
    /// is put on record.
    async fn n_done(&self, ran: &Ran) -> usize {
        let audit = self
            .demo
            .all(&format!("/api/v1/audit?filter=run:{}", ran.run))
            .await;
        let here = |row: &&Value| row["run_id"] == ran.run.as_str() && row["actor"] != "issuer";
        match self.action {
            "unseal" => {
                let (_, seal) = self.demo.vault("GET", "sys/seal-status", None).await;
                usize::from(seal["sealed"] == false)
            }
            "checkin" => usize::from(self.between.calls().iter().any(|call| call.contains("/checkin"))),
            // At once; the end of the others follows in a row of its own.
            action @ ("cancel" | "unban") => audit
                .iter()
                .filter(here)
                .filter(|row| row["action"] == action && row["outcome"] == "done")
                .count(),
            action => audit
                .iter()
                .filter(here)
                .filter(|row| row["action"] == action && row["outcome"] == "asked")
                .count(),
        }
    }

    /// Whether what the proof says is so.
    async fn is_so(&self, ran: &Ran) -> bool {
        let agent = self.agent().await;
        let list = |agent: &Value| agent["installations"].as_array().unwrap().clone();
        match self.action {
            "revoke" => {
                let detail = self.demo.read(&format!("/api/v1/certs/{}", ran.target.id)).await;
                let pem = self.demo.vault_text("cmp-pki/crl/pem").await;
                let serial = detail["certificate"]["serial"].as_str().unwrap().to_owned();
                detail["certificate"]["status"] == "revoked"
                    && crl::parse(pem.as_bytes()).unwrap().lists(&serial)
            }
            "reissue" => {
                let path = list(&ran.before).last().unwrap()["path"].clone();
                let there = list(&agent).into_iter().find(|it| it["path"] == path).unwrap();
                let now = there["certificate_id"].as_str().unwrap().to_owned();
                let new = self.demo.read(&format!("/api/v1/certs/{now}")).await;
                let address = agent["agent"]["tls_address"].as_str().unwrap();
                let name = new["certificate"]["sans"][0].as_str();
                let served = self.around.reads.served(address, name).await.unwrap();
                now != ran.target.id && new["certificate"]["fingerprint_sha256"] == served.fingerprint_sha256
            }
            "install" => list(&agent)
                .iter()
                .any(|it| it["certificate_id"] == ran.target.id.as_str()),
            "checkin" => agent["agent"]["last_checkin"] != ran.before["agent"]["last_checkin"],
            "cancel" => {
                let detail = self
                    .demo
                    .read(&format!("/api/v1/requests/{}", ran.target.id))
                    .await;
                detail["status"] == "cancelled"
            }
            "unban" => agent["agent"]["status"] == "active" && ran.before["agent"]["status"] == "banned",
            _ => self.n_done(ran).await == 1,
        }
    }

    /// The law.
    async fn must_hold(&self, ran: &Ran, at: &str) {
        let what = format!(
            "{} with the answer to `{at}` lost: {:?}\n{}",
            self.action, ran.outcome, ran.said
        );
        let n_done = self.n_done(ran).await;
        assert!(n_done <= 1, "done {n_done} times: {what}");
        match &ran.outcome {
            Outcome::Proven(_) => assert!(n_done == 1 && self.is_so(ran).await, "not so: {what}"),
            Outcome::Failed(_) | Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Stopped(_) => {
                assert_eq!(n_done, 0, "it was done: {what}");
            }
            Outcome::Unknown(_) | Outcome::Waiting(_) => {}
        }
        // What could not be told is told later, and then there is no other word about it anywhere.
        self.around.journal.hand_over(&self.around.changes).await.unwrap();
        match self.demo.look(&format!("/api/v1/runs/{}", ran.run)).await {
            Some(record) => assert_eq!(
                record["outcome"],
                ran.outcome.for_audit().word(),
                "{record} {what}"
            ),
            None => assert!(
                matches!(ran.outcome, Outcome::Refused(_) | Outcome::NotSent(_)),
                "no record: {what}"
            ),
        }
    }

    /// All losses at all calls.
    async fn all(&self) -> String {
        self.share(0, 1).await
    }

    /// All losses at each `of`th call, from number `n` on: the rest is for others, on other hosts. Calls have the
    /// same names everywhere.
    async fn share(&self, n: usize, of: usize) -> String {
        let clean = self.run(None, &[]).await;
        assert!(
            clean.outcome.is_proven(),
            "{}: {:?}\n{}",
            self.action,
            clean.outcome,
            clean.said
        );
        let calls = self.between.calls();
        self.must_hold(&clean, "nothing").await;
        let (mut n_runs, mut n_proven) = (0, 0);
        for call in calls.iter().skip(n).step_by(of) {
            let mut losses = Loss::ALL.to_vec();
            while !losses.is_empty() {
                let ran = self.run(Some(call), &losses[..losses.len().min(IN_A_ROW)]).await;
                let at = format!("{call} ({losses:?})");
                let n_lost = self.between.n_lost();
                self.must_hold(&ran, &at).await;
                n_runs += 1;
                n_proven += usize::from(ran.outcome.is_proven());
                // A call that one run needs another may not: of polls there are more or fewer.
                if n_lost == 0 {
                    assert!(call.contains('#'), "{at} was never made");
                    break;
                }
                losses.drain(..n_lost);
            }
        }
        format!(
            "{} on {}: {} calls, {n_runs} runs, {n_proven} proven",
            self.action,
            self.host,
            calls.len().saturating_sub(n).div_ceil(of)
        )
    }
}

/// Three shares, and again by somebody who sees that one was not taken.
fn entered(demo: &Demo) -> Vec<Secret> {
    let three = shares(demo).into_iter().take(3).collect::<Vec<_>>();
    three.iter().cycle().take(12).cloned().collect()
}

fn id_of(demo: &Demo, host: &str) -> String {
    demo.agent(host)["id"].as_str().unwrap().to_owned()
}

/// It seals Vault again and again, so that it has a platform of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_never_called_failed_and_never_proven_at_any_call_of_an_unseal() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    println!(
        "{}",
        Trial::new(&demo, "unseal", "web-01", tmp.path())
            .await
            .all()
            .await
    );
}

/// Nearly each run uses a certificate up, and one platform has too few for all calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_never_called_failed_and_never_proven_at_any_call_of_a_revocation() {
    let half = async |n| {
        let tmp = tempfile::tempdir().unwrap();
        let demo = Demo::start(tmp.path(), None);
        demo.unseal().await;
        eventually("the issuer is back at its CA", async || {
            let all = demo.read("/api/v1/adapters").await;
            all.as_array()
                .unwrap()
                .iter()
                .all(|it| it["status"] == "active")
                .then_some(())
        })
        .await;
        let trial = Trial::new(&demo, "revoke", "web-01", tmp.path()).await;
        trial.share(n, 2).await
    };
    let (one, other) = futures::future::join(half(0), half(1)).await;
    println!("{one}\n{other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_never_called_failed_and_never_proven_at_any_call_of_what_asks_the_platform() {
    every_call_of(&PLATFORM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_never_called_failed_and_never_proven_at_any_call_of_what_waits_for_a_host() {
    every_call_of(&HOSTS).await;
}

#[test]
fn the_law_knows_every_action() {
    let known: Vec<&str> = PLATFORM
        .iter()
        .chain(&HOSTS)
        .map(|it| it.0)
        .chain(["unseal", "revoke"])
        .collect();
    for action in actions::ALL {
        let id = action.spec().id;
        assert!(
            known.contains(&id),
            "{id} is an action that this law does not know yet"
        );
    }
}

/// Each of these actions, on each of its hosts a part of its calls, all beside each other on one platform.
async fn every_call_of(actions: &[(&'static str, &[&'static str])]) {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let mut trials = Vec::new();
    for (action, hosts) in actions {
        for (n, host) in hosts.iter().enumerate() {
            trials.push((Trial::new(&demo, action, host, tmp.path()).await, n, hosts.len()));
        }
    }
    let shares = trials.iter().map(|(trial, n, of)| trial.share(*n, *of));
    println!("{}", futures::future::join_all(shares).await.join("\n"));
}
