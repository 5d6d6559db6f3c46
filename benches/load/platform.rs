//! The parts that are loaded: PostgreSQL with a filled database, Vault with certificates that it really signed,
//! `cmp-server`, the hosts that don't answer, and the crowd.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use cmp_console::clock::Clock;
use cmp_console::domain::x509;
use cmp_console::services::issuer::adapters::vault_pki::KIND;
use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::{Store, adapters, certificates};
use serde_json::{Value, json};

use crate::filled::Filled;
use crate::postgres::{self, Database};
use crate::server::Server;
use crate::setting;
use crate::vault_process::Vault;

/// Of the role admin.
pub(crate) const TOKEN: &str = "cmp_a-token-for-the-load-bench";
/// Reports of agents: the files at their paths, and the keys that they hold.
const REPORTS: &str = "SELECT json_build_object('agent_version', a.agent_version, 'owner', a.owner, \
    'address', a.address, 'tls_address', a.tls_address, 'install_dirs', a.install_dirs::json, \
    'installations', (SELECT json_agg(json_build_object('path', i.path, 'on_disk_sha256', i.on_disk_sha256, \
        'served_sha256', i.served_sha256)) FROM installations i WHERE i.agent_id = a.id), \
    'keys', (SELECT json_agg(h.spki_sha256) FROM key_holders h WHERE h.agent_id = a.id)) \
    FROM agents a ORDER BY a.id LIMIT 200";

const N_IDLE: usize = 4096;
const N_QUESTIONS: usize = 10;
const N_JOBS: usize = 8000;
const N_REVOCATIONS: usize = 500;

pub(crate) struct Platform {
    database: Database,
    vault: Vault,
    dir: tempfile::TempDir,
    /// Reports of the agents that check in, from the first on.
    pub(crate) reports: Arc<Vec<String>>,
}

pub(crate) struct Crowd {
    child: Child,
    leash: ChildStdin,
    says: BufReader<ChildStdout>,
}

/// A process of this program that plays another part: one that has a machine of its own in life, and so gets what the
/// server and PostgreSQL leave of this machine's cores.
fn another(part: &[&str]) -> Child {
    Command::new("chrt")
        .args(["--idle", "0"])
        .arg(std::env::current_exe().unwrap())
        .args(part)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Platform {
    /// With as many certificates, and revocations for as many rounds; `None` where PostgreSQL isn't installed.
    pub(crate) fn fill(n_certificates: usize, rounds: usize) -> Option<Self> {
        let database = postgres::fresh()?;
        let began = Instant::now();
        let port = silent_hosts();
        let mut it = Self {
            database,
            reports: Arc::default(),
            vault: Vault::of(another(&["vault"])),
            dir: tempfile::tempdir().unwrap(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let adapter = runtime.block_on(it.sign(rounds * N_REVOCATIONS));
        let fill = Filled {
            certificates: n_certificates,
            agents: 8210,
            reporting: 200,
            requests: 0,
            port,
            adapter: &adapter,
            is_troubled: false,
        };
        let fill = fill.sql();
        it.as_superuser(&fill);
        it.as_superuser("VACUUM ANALYZE");
        it.reports = Arc::new(it.database.psql(REPORTS).lines().map(str::to_owned).collect());
        println!(
            "{n_certificates} certificates and 8,210 agents after {:.0?}",
            began.elapsed()
        );
        Some(it)
    }

    fn as_superuser(&self, sql: &str) {
        self.database.try_psql("postgres", sql).unwrap();
    }

    /// Has Vault sign as many, puts them into the inventory, and names their adapter.
    async fn sign(&self, n: usize) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["due.example.com".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "due.example.com");
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        let store = Store::open(&self.database.url, Clock::system()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let config = json!({"address": self.vault.address, "mount": "cmp-pki", "role": "cmp-role"});
        let adapter = adapters::upsert(&mut tx, "vault", KIND, &config)
            .await
            .unwrap()
            .id;
        let http = reqwest::Client::new();
        let url = format!("{}/v1/cmp-pki/sign/cmp-role", self.vault.address);
        for _ in 0..n {
            let body = json!({"csr": csr, "common_name": "due.example.com", "ttl": "240h"});
            let asked = http
                .post(&url)
                .header("X-Vault-Token", &self.vault.token)
                .body(body.to_string());
            let text = asked.send().await.unwrap().text().await.unwrap();
            let signed: Value = serde_json::from_str(&text).unwrap();
            let pem = signed["data"]["certificate"]
                .as_str()
                .unwrap_or_else(|| panic!("{text}"));
            let read = x509::read(pem).unwrap();
            let chain = signed["data"]["issuing_ca"].as_str().unwrap();
            let new = NewCertificate::of(read, pem, chain, Some(&adapter));
            certificates::insert(&mut tx, &new).await.unwrap();
        }
        tx.commit().await.unwrap();
        store.close().await;
        adapter
    }

    /// The server, with all its roles, with work before it or without.
    pub(crate) fn serve(&self, under_load: bool) -> Server {
        let n_revocations = setting("LOAD_REVOCATIONS", N_REVOCATIONS);
        let n_jobs = setting("LOAD_JOBS", N_JOBS);
        let due = format!(
            "WITH due AS (UPDATE certificates SET status = 'revocation_pending', revocation_reason = 'superseded', \
                 revocation_asked_at = now() WHERE id IN (SELECT id FROM certificates WHERE status = 'active' \
                 AND subject = 'CN=due.example.com' ORDER BY id LIMIT {n_revocations}) RETURNING id) \
             INSERT INTO jobs (id, kind, status, certificate_id, created_at) \
             SELECT 'job_' || substr(id, 5), 'revoke', 'queued', id, now() FROM due; \
             INSERT INTO jobs (id, kind, status, agent_id, installation_id, certificate_id, work, created_at) \
             SELECT 'job_' || substr(i.id, 5), 'install', 'queued', i.agent_id, i.id, c.id, json_build_object( \
                 'kind', 'install', 'certificate_id', c.id, 'path', i.path, 'certificate_pem', c.pem, \
                 'chain_pem', c.chain_pem, 'fingerprint_sha256', c.fingerprint_sha256, \
                 'spki_sha256', c.spki_sha256)::text, now() \
             FROM installations i JOIN certificates c ON c.id = i.certificate_id \
             JOIN agents a ON a.id = i.agent_id \
             WHERE a.last_checkin < now() - interval '1 day' AND i.path = '/etc/ssl/cmp/0.pem' LIMIT {n_jobs}"
        );
        let none = "UPDATE agents SET status = 'active'; DELETE FROM jobs WHERE kind = 'install'; \
                    UPDATE jobs SET status = 'done', ended_at = now() WHERE status = 'queued'";
        self.as_superuser(none);
        if under_load {
            self.as_superuser(&due);
        }
        self.as_superuser("CHECKPOINT");
        Server::start(
            &self.dir.path().join("log"),
            &["--database", &self.database.url, "--vault", &self.vault.address],
            &[("CMP_ADMIN_TOKEN", TOKEN), ("CMP_VAULT_TOKEN", &self.vault.token)],
        )
    }

    /// Revocations that the CA was not asked for yet.
    pub(crate) fn revocations_left(&self) -> String {
        self.database
            .psql("SELECT count(*) FROM jobs WHERE kind = 'revoke' AND status = 'queued'")
    }
}

/// Hosts that take a connection and say nothing, on any address of this machine.
fn silent_hosts() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut held: VecDeque<TcpStream> = VecDeque::new();
        for stream in listener.incoming().flatten() {
            held.push_back(stream);
            // More than a server calls at once; the earlier ones have hung up.
            if held.len() > 256 {
                held.pop_front();
            }
        }
    });
    port
}

impl Crowd {
    /// There once all of its connections are.
    pub(crate) fn gather(server: &Server) -> Self {
        let n_idle = setting("LOAD_IDLE", N_IDLE).to_string();
        let n_questions = setting("LOAD_QUESTIONS", N_QUESTIONS).to_string();
        let mut child = another(&["crowd", &server.api, TOKEN, &n_idle, &n_questions]);
        let mut it = Self {
            leash: child.stdin.take().unwrap(),
            says: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        assert_eq!(it.hears(), "ready");
        it
    }

    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Lets it go, and says how it fared.
    pub(crate) fn go(mut self) -> String {
        drop(self.leash);
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        self.child.wait().unwrap();
        line.trim().to_owned()
    }
}
