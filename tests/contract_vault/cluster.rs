//! Three nodes of a real cluster: each has a seal of its own, and the console unseals them one by one. The bundled
//! server is one node.

use cmp_console::actions::{self, Action};
use cmp_console::clients::api::ApiReader;
use cmp_console::clients::vault::{Lasts, Login, Place, SealStatus, VaultWriter};
use cmp_console::clock::Clock;
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::secret::Secret;
use cmp_console::plan::known::KnownAgents;
use cmp_console::plan::plan::{Inputs, Plan, Target};
use cmp_console::plan::ports::Reads;
use cmp_console::plan::vault_nodes;
use serde_json::json;

use super::real::Process;
use super::server::{MOUNT, ROLE, Server};

struct Cluster {
    servers: Vec<Server>,
    writers: Vec<VaultWriter>,
    reads: Reads,
}

impl Cluster {
    /// Three nodes that know each other, the first of them open.
    async fn start() -> Option<Self> {
        let node = async |leader: Option<String>| {
            let process = tokio::task::spawn_blocking(move || Process::start_node(leader.as_deref()));
            process.await.unwrap().map(Server::of)
        };
        let first = node(None).await?.open().await;
        // A leader that has just been elected takes a moment.
        until(async || first.get("sys/health").await.0 == 200).await;
        first.found(MOUNT).await;
        let leader = Some(first.base.clone());
        let others = [node(leader.clone()).await?, node(leader).await?];
        let token = Login::Token(Secret::new(first.token.clone()));
        let servers: Vec<Server> = std::iter::once(first).chain(others).collect();
        let writers: Vec<VaultWriter> = servers
            .iter()
            .map(|server| VaultWriter::new(&Place::at(&server.base), token.clone()).unwrap())
            .collect();
        let reads = Reads {
            hosts: None,
            known: KnownAgents::default(),
            api: ApiReader::new("http://127.0.0.1:1", None).unwrap(),
            vault: Some(writers[0].reader()),
            vault_nodes: writers.iter().map(VaultWriter::reader).collect(),
            clock: Clock::system(),
            pki_mount: MOUNT.to_owned(),
            pki_test_role: ROLE.to_owned(),
        };
        let it = Self {
            servers,
            writers,
            reads,
        };
        for n in [1, 2] {
            until(async || it.status(n).await.initialized).await;
        }
        Some(it)
    }

    async fn status(&self, n: usize) -> SealStatus {
        self.writers[n].reader().seal_status().await.unwrap()
    }

    /// What the console plans when its unseal is started.
    async fn plan(&self, inputs: Inputs) -> Plan {
        let unseal = actions::ALL.iter().find(|action| action.spec().id == "unseal");
        let unseal: &dyn Action = *unseal.unwrap();
        let target = Target {
            kind: EntityKind::Vault,
            id: "http://vault.example.com".to_owned(),
            version: 0,
            name: "Vault".to_owned(),
            status: String::new(),
        };
        unseal.plan(vec![target], inputs, &self.reads).await.unwrap()
    }

    async fn unseal(&self, n: usize) {
        for key in &self.servers[0].keys[..3] {
            self.writers[n].unseal(&Secret::new(key.clone())).await.unwrap();
        }
        // One that joins a cluster opens a moment after the last share.
        until(async || !self.status(n).await.sealed).await;
    }
}

/// Looks until it is so.
async fn until(look: impl AsyncFn() -> bool) {
    let began = std::time::Instant::now();
    while !look().await {
        assert!(began.elapsed() < super::issuer::LIMIT, "waited in vain");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn each_node_of_a_real_cluster_is_unsealed_by_itself() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let address = |n: usize| cluster.servers[n].base.clone();
    let plan = cluster.plan(Inputs::new()).await;
    assert_eq!(plan.targets[0].id, address(1), "the first that is sealed");
    assert_eq!(plan.fields[0].options, [address(1), address(2)]);
    assert_eq!(plan.steps.len(), 3, "with it the cluster has more than half");
    let words = plan.changes.join("\n");
    assert!(words.contains(&format!("{} stays sealed", address(2))), "{words}");
    let wish = Inputs::from([("node".to_owned(), address(2))]);
    let plan = cluster.plan(wish).await;
    assert_eq!(plan.steps[0].args, json!({"node": address(2)}));
    cluster.unseal(2).await;
    assert!(!cluster.status(2).await.sealed && cluster.status(1).await.sealed);
    let plan = cluster.plan(Inputs::new()).await;
    assert_eq!(
        (plan.targets[0].id.as_str(), plan.fields.len()),
        (address(1).as_str(), 0)
    );
    cluster.unseal(1).await;
    let nodes = vault_nodes::look(&cluster.reads).await;
    let refused = vault_nodes::choose(&nodes, &address(0)).unwrap_err();
    assert!(
        refused.what.contains("no node of Vault that answers is sealed"),
        "{refused:?}"
    );
    // A standby says so, and passes on what it is asked.
    until(async || cluster.writers[2].reader().health().await.unwrap().status == 429).await;
    let mounts = cluster.writers[2].reader().mounts().await.unwrap();
    assert!(mounts.iter().any(|mount| mount.path == MOUNT));
    super::client::signs(&cluster.writers[2]).await.unwrap();
    let crl = cluster.writers[2].reader().crl(MOUNT).await.unwrap();
    assert!(crl.contains("X509 CRL"));
    let lasts = cluster.writers[2].keep_alive().await.unwrap();
    assert_eq!(lasts, Lasts::Endless);
}
