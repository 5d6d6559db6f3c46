//! Actions, driven over the real embedded platform. What holds for every registered one is in `every`; nothing secret
//! leaves the prompt.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic"
)]

#[path = "actions/after.rs"]
mod after;
#[path = "actions/banned.rs"]
mod banned;
#[path = "actions/belongs.rs"]
mod belongs;
#[path = "actions/beside.rs"]
mod beside;
#[path = "actions/between.rs"]
mod between;
mod demo;
#[path = "actions/denied.rs"]
mod denied;
#[path = "actions/every.rs"]
mod every;
#[path = "actions/late.rs"]
mod late;
#[path = "actions/leaked.rs"]
mod leaked;
#[path = "actions/lost.rs"]
mod lost;
#[path = "actions/old_ones.rs"]
mod old_ones;
#[path = "actions/plans.rs"]
mod plans;
#[path = "actions/two_places.rs"]
mod two_places;
#[path = "actions/without_api.rs"]
mod without_api;
#[path = "actions/worse.rs"]
mod worse;

use std::path::Path;
use std::sync::Mutex;

use cmp_console::actions::{self, Action};
use cmp_console::clients::api::{ApiReader, ApiWriter};
use cmp_console::clients::vault::{Login, Place, VaultWriter};
use cmp_console::clock::Clock;
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::secret::Secret;
use cmp_console::plan::confirm::{Answer, Confirmed, confirm};
use cmp_console::plan::executor::{Means, RunEvent, execute};
use cmp_console::plan::guard::Guard;
use cmp_console::plan::journal::Journal;
use cmp_console::plan::known::KnownAgents;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Inputs, Plan, Target};
use cmp_console::plan::ports::{Changes, Entered, Reads, SecretEntry};
use cmp_console::plan::tier::{Ask, InContext};
use demo::Demo;
use serde_json::Value;

const DEMO: InContext<'_> = InContext {
    name: "demo",
    protected: false,
};

/// A console's means over one demo, without a screen.
struct Hands {
    reads: Reads,
    changes: Changes,
    journal: Journal,
    /// What the last run said so far.
    said: Mutex<String>,
}

impl Hands {
    fn new(demo: &Demo, api: &str, home: &Path) -> Self {
        Self::at(demo, api, &demo.text("/vault"), home)
    }

    /// The person or agent whose token this is.
    fn with_token(demo: &Demo, token: &str, home: &Path) -> Self {
        let api = demo.text("/api");
        let reader = ApiReader::new(&api, Some(Secret::new(token.to_owned()))).unwrap();
        let mut it = Self::new(demo, &api, home);
        it.reads.api = reader.clone();
        it.changes = Changes::new(ApiWriter::new(reader), None);
        it
    }

    /// The same where Vault is somewhere else too.
    fn at(demo: &Demo, api: &str, vault: &str, home: &Path) -> Self {
        let token = |name: &str| Some(Secret::new(demo.text(name)));
        let login = Login::of(token("/vault_root_token"), None, None);
        let vault_writer = VaultWriter::new(&Place::at(vault), login).unwrap();
        let reader = ApiReader::new(api, token("/operator_token")).unwrap();
        Self {
            reads: Reads {
                hosts: None,
                known: KnownAgents::default(),
                api: reader.clone(),
                vault: Some(vault_writer.reader()),
                vault_nodes: Vec::new(),
                clock: Clock::system(),
                pki_mount: "cmp-pki".to_owned(),
                pki_test_role: "cmp-test-role".to_owned(),
            },
            changes: Changes::new(ApiWriter::new(reader), Some(vault_writer)),
            journal: Journal::new(&home.join("journal.jsonl")),
            said: Mutex::default(),
        }
    }

    async fn plan(&self, action: &dyn Action, on: Vec<Target>) -> Plan {
        let id = action.spec().id;
        let plan = action.plan(on, Inputs::new(), &self.reads).await;
        plan.unwrap_or_else(|problem| panic!("{id}: {problem}"))
    }

    /// Carries it out; gives how it ended and everything that was said meanwhile.
    async fn carry_out(&self, confirmed: Confirmed, guard: Guard, shares: &[Secret]) -> (Outcome, String) {
        self.carry_out_while(confirmed, &|| guard.clone(), shares).await
    }

    /// The same where it may change meanwhile what is allowed.
    async fn carry_out_while(
        &self,
        confirmed: Confirmed,
        guard: &(dyn Fn() -> Guard + Send + Sync),
        shares: &[Secret],
    ) -> (Outcome, String) {
        self.all_of(confirmed, guard, shares, false).await
    }

    /// Execution, and what becomes of the run after its end, until all of it is known.
    async fn carry_out_and_follow(&self, confirmed: Confirmed) -> (Outcome, String) {
        self.all_of(confirmed, &|| Guard::ReadWrite, &[], true).await
    }

    async fn all_of(
        &self,
        confirmed: Confirmed,
        guard: &(dyn Fn() -> Guard + Send + Sync),
        shares: &[Secret],
        follows: bool,
    ) -> (Outcome, String) {
        let (prompt, entered) = tokio::sync::mpsc::channel(64);
        for share in shares {
            prompt.send(Entered::Secret(share.clone())).await.unwrap();
        }
        let (_stays, leaving) = tokio::sync::watch::channel(false);
        let secrets = SecretEntry::new(entered);
        let means = Means {
            reads: &self.reads,
            changes: &self.changes,
            secrets: &secrets,
            journal: &self.journal,
            guard,
            find_step: &actions::find_step,
            plan_again: &actions::plan_again,
            leaving,
        };
        self.said.lock().unwrap().clear();
        let watch = |event: RunEvent| self.said.lock().unwrap().push_str(&format!("{event:?}\n"));
        let ended = execute(confirmed, &means, &watch).await;
        let outcome = ended.outcome.clone();
        if follows {
            ended.follow(&means, &watch).await;
        }
        (outcome, self.said.lock().unwrap().clone())
    }
}

fn confirmed(plan: Plan) -> Confirmed {
    let asks = plan.asks(DEMO);
    let answer = match &asks {
        Ask::Nothing => Answer::Started,
        Ask::Yes => Answer::Yes,
        Ask::Type(wanted) => Answer::Typed(wanted),
    };
    let why = Some("a drill".to_owned());
    confirm(plan, DEMO, &answer, why, Some("INC-1".to_owned())).unwrap()
}

/// Something that the action can work on: a certificate in use on a healthy agent, that agent, Vault.
async fn target(demo: &Demo, kind: EntityKind) -> Target {
    target_on(demo, kind, "web-01").await
}

/// On this host.
async fn target_on(demo: &Demo, kind: EntityKind, host: &str) -> Target {
    let agent = demo.agent(host)["id"].as_str().unwrap().to_owned();
    let (id, name) = match kind {
        EntityKind::Certificate => {
            let detail = demo.read(&format!("/api/v1/agents/{agent}")).await;
            // The last one: no trouble of the demo's own is on it.
            let installed = detail["installations"].as_array().unwrap().last().unwrap();
            let id = installed["certificate_id"].as_str().unwrap().to_owned();
            (id, installed["subject"].as_str().unwrap().to_owned())
        }
        EntityKind::Agent => (agent, host.to_owned()),
        EntityKind::Vault => (demo.text("/vault"), "Vault".to_owned()),
        other => panic!("no action works on a {other} yet: say here which one it may have"),
    };
    Target {
        kind,
        id,
        version: 0,
        name,
        status: "active".to_owned(),
    }
}

/// Something that this action can work on, which may need it in a state of its own.
async fn target_of(demo: &Demo, action: &dyn Action) -> Target {
    match action.spec().id {
        "unban" => {
            let agent = demo.agent("cdn-03")["id"].as_str().unwrap().to_owned();
            let (status, reply) = demo
                .post(&format!("/api/v1/agents/{agent}/ban"), serde_json::json!({}))
                .await;
            assert_eq!(status, 200, "{reply}");
            Target {
                kind: EntityKind::Agent,
                id: agent,
                version: 0,
                name: "cdn-03".to_owned(),
                status: "banned".to_owned(),
            }
        }
        "cancel" => {
            let failed = demo.all("/api/v1/requests?status=failed").await;
            Target {
                kind: EntityKind::Request,
                id: failed[0]["id"].as_str().unwrap().to_owned(),
                version: 0,
                name: failed[0]["common_name"].as_str().unwrap().to_owned(),
                status: "failed".to_owned(),
            }
        }
        _ => target(demo, action.spec().kinds[0]).await,
    }
}

fn shares(demo: &Demo) -> Vec<Secret> {
    let keys = demo.ready["unseal_keys"].as_array().unwrap();
    keys.iter()
        .map(|key| Secret::new(key.as_str().unwrap().to_owned()))
        .collect()
}

/// Where the issuer may not revoke, the run says what is missing while it waits, and is proven once it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_says_why_the_ca_has_not_revoked_yet() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Demo::start(tmp.path(), None);
    demo.unseal().await;
    let hands = Hands::new(&demo, &demo.text("/api"), tmp.path());
    let path = "sys/policies/acl/issuer";
    let (_, policy) = demo.vault("GET", path, None).await;
    let whole = policy["data"]["policy"].as_str().unwrap().to_owned();
    let lines = whole.lines().filter(|line| !line.contains("revoke"));
    let less = lines.collect::<Vec<_>>().join("\n");
    let write = async |rules: &str| {
        let body = serde_json::json!({"policy": rules});
        assert_eq!(demo.vault("PUT", path, Some(body)).await.0, 204);
    };
    write(&less).await;
    // Until the issuer is back at the CA that was sealed, that is the reason.
    demo::eventually("the issuer is back at its CA", async || {
        let all = demo.read("/api/v1/adapters").await;
        let is_active = |row: &Value| row["status"] == "active";
        all.as_array().unwrap().iter().all(is_active).then_some(())
    })
    .await;

    let action = actions::find("revoke").unwrap();
    let on = target(&demo, EntityKind::Certificate).await;
    let certificate = on.id.clone();
    let plan = hands.plan(action, vec![on]).await;
    let words = "the CA has not accepted yet: Vault denied it: the policy of the issuer's credential lacks";
    let mend = async {
        demo::eventually(words, async || {
            let is_said = hands.said.lock().unwrap().contains(words);
            is_said.then_some(())
        })
        .await;
        write(&whole).await;
    };
    let ((outcome, said), ()) = tokio::join!(hands.carry_out(confirmed(plan), Guard::ReadWrite, &[]), mend);
    assert!(outcome.is_proven(), "{outcome:?}\n{said}");
    let now = demo.read(&format!("/api/v1/certs/{certificate}")).await;
    assert_eq!(now["certificate"]["status"], "revoked");
}

/// The certificates with these common names, as targets.
async fn certificates(demo: &Demo, names: &[&str]) -> Vec<Target> {
    let all = demo.all("/api/v1/certs").await;
    let found = names.iter().map(|name| {
        let is = |row: &&Value| {
            row["subject"].as_str().unwrap().contains(&format!("CN={name}")) && row["n_installations"] != 0
        };
        let row = all
            .iter()
            .find(is)
            .unwrap_or_else(|| panic!("{name} is not there"));
        Target {
            kind: EntityKind::Certificate,
            id: row["id"].as_str().unwrap().to_owned(),
            version: 0,
            name: (*name).to_owned(),
            status: "active".to_owned(),
        }
    });
    found.collect()
}
