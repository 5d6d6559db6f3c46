//! The agent over real sockets: enrolment, keys, installations proven by real handshakes, and what
//! comes back when a step fails. The API's four routes are a small stand-in here; everything else
//! is what runs on a host.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's helpers stop at the first surprise, and name what is skipped"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path as Params, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use cmp_console::clients::agent::wake;
use cmp_console::clients::tls_probe::{Served, probe};
use cmp_console::clock::Clock;
use cmp_console::config::agent::AgentConfig;
use cmp_console::config::secret::SecretSource;
use cmp_console::domain::csr::Csr;
use cmp_console::domain::secret::Secret;
use cmp_console::problem::Denial;
use cmp_console::services::agent::tls_server::{TlsServer, send_reload};
use cmp_console::services::agent::{Agent, AgentError, Schedule};
use cmp_console::wire::agents::{AgentJob, AgentWork, EnrolBody, JobResult, Report, ReportReply};
use cmp_console::wire::requests::CsrBody;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use sha2_of::sha256;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[path = "agent/ca.rs"]
mod ca;
#[path = "agent/install.rs"]
mod install;
#[path = "support/port.rs"]
mod port;
#[path = "agent/proof.rs"]
mod proof;
#[path = "agent/real.rs"]
mod real;
#[path = "agent/stand_in.rs"]
mod stand_in;
#[path = "agent/tokens.rs"]
mod tokens;
#[path = "agent/wake.rs"]
mod wake;

use ca::{Ca, Issued};
use stand_in::{Shared, csr, enrol, report, result};

const LIMIT: Duration = Duration::from_secs(20);

/// Hashes without a dependency of their own.
mod sha2_of {
    pub(crate) fn sha256(bytes: &[u8]) -> String {
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
    }
}

/// A host with an agent, a TLS server, and the platform's stand-in.
struct Night {
    dir: TempDir,
    platform: Shared,
    config: AgentConfig,
    ca: Ca,
    wake_address: String,
    stop: watch::Sender<bool>,
    agent: Option<JoinHandle<Result<(), AgentError>>>,
    tls: Option<TlsServer>,
    control: PathBuf,
}

impl Night {
    /// `reload` is what the agent runs; `None` for one that reaches the TLS server.
    async fn start(reload: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let platform = Shared::default();
        let routes = Router::new()
            .route("/api/v1/agents/enrol", post(enrol))
            .route("/api/v1/agents/{id}/report", post(report))
            .route("/api/v1/agents/{id}/jobs/{job_id}", post(result))
            .route("/api/v1/requests/{id}/csr", post(csr))
            .with_state(Arc::clone(&platform));
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_address = api.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(api, routes).await });

        let install = dir.path().join("ssl");
        std::fs::create_dir(&install).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls_address = tcp.local_addr().unwrap().to_string();
        let control = dir.path().join("control");
        let tls = TlsServer::start(tcp, install.join("site.pem"), control.clone()).unwrap();

        let mut config = AgentConfig::new(
            "web-01",
            dir.path().join("state"),
            format!("http://{api_address}"),
            vec![install],
        );
        config.tls_address = Some(tls_address);
        config.handshake_timeout_s = 2;
        config.handshake_spread_s = 0;
        config.reload_timeout_s = 10;
        let script = reload.map_or_else(|| reload_command(&control), str::to_owned);
        config.reload = Some(["/bin/sh", "-c", &script].map(str::to_owned).to_vec());
        let mut night = Self {
            dir,
            platform,
            config,
            ca: Ca::new(),
            wake_address: String::new(),
            stop: watch::channel(false).0,
            agent: None,
            tls: Some(tls),
            control,
        };
        night.start_agent(Some("one-time")).await;
        until("the first report", || {
            (!night.platform.lock().unwrap().reports.is_empty()).then_some(())
        })
        .await;
        night
    }

    async fn start_agent(&mut self, token: Option<&str>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.wake_address = format!("http://{}", listener.local_addr().unwrap());
        let mut config = self.config.clone();
        config.advertise = Some(self.wake_address.clone());
        let token = token.map(|token| Secret::new(token.to_owned()));
        let agent = Agent::new(config, Clock::system(), token).unwrap();
        let (stop, stopping) = watch::channel(false);
        self.stop = stop;
        self.agent = Some(tokio::spawn(agent.serve(listener, stopping)));
    }

    async fn stop_agent(&mut self) {
        self.stop.send(true).unwrap();
        let agent = self.agent.take().unwrap();
        tokio::time::timeout(LIMIT, agent)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    fn install_dir(&self) -> PathBuf {
        self.dir.path().join("ssl")
    }

    fn path(&self) -> String {
        self.install_dir().join("site.pem").display().to_string()
    }

    /// Hands out a job, wakes the agent and waits for the result.
    async fn job(&self, id: &str, work: AgentWork) -> JobResult {
        let n_before = {
            let mut platform = self.platform.lock().unwrap();
            platform.jobs.push(AgentJob {
                id: id.to_owned(),
                work,
            });
            platform.results.len()
        };
        let reply = wake(&self.wake_address, LIMIT).await.unwrap();
        assert!(reply.reported, "{reply:?}");
        let result = until("the job's result", || {
            let platform = self.platform.lock().unwrap();
            platform.results.get(n_before).cloned()
        })
        .await;
        assert_eq!(result.0, id);
        result.1
    }

    /// Hands out jobs that arrive together, wakes the agent and waits for all results, by job.
    async fn jobs(&self, jobs: Vec<(String, AgentWork)>) -> BTreeMap<String, JobResult> {
        let ids: Vec<String> = jobs.iter().map(|(id, _)| id.clone()).collect();
        let jobs = jobs.into_iter().map(|(id, work)| AgentJob { id, work });
        self.platform.lock().unwrap().jobs.extend(jobs);
        let reply = wake(&self.wake_address, LIMIT).await.unwrap();
        assert!(reply.reported, "{reply:?}");
        until("the jobs' results", || {
            let platform = self.platform.lock().unwrap();
            let of = |id: &String| platform.results.iter().rev().find(|(it, _)| it == id).cloned();
            ids.iter().map(of).collect()
        })
        .await
    }

    /// The same agent, whose host serves elsewhere.
    async fn serves_at(&mut self, address: String) {
        self.stop_agent().await;
        self.config.tls_address = Some(address);
        self.start_agent(None).await;
    }

    /// Has the agent make a key for a request and returns its CSR.
    async fn make_key(&self, request_id: &str, key_algorithm: &str) -> String {
        self.make_key_for(request_id, key_algorithm, "site.example").await
    }

    async fn make_key_for(&self, request_id: &str, key_algorithm: &str, name: &str) -> String {
        let work = AgentWork::MakeKey {
            request_id: request_id.to_owned(),
            key_algorithm: key_algorithm.to_owned(),
            common_name: name.to_owned(),
            sans: vec![name.to_owned(), "127.0.0.1".to_owned()],
        };
        let result = self.job(&format!("job_{request_id}"), work).await;
        assert!(result.done, "{result:?}");
        let platform = self.platform.lock().unwrap();
        platform.csrs[request_id].last().unwrap().clone()
    }

    fn install_work(&self, issued: &Issued, csr: &str, path: &str) -> AgentWork {
        let key = CertificateSigningRequestParams::from_pem(csr).unwrap().public_key;
        AgentWork::Install {
            certificate_id: "crt_1".to_owned(),
            path: path.to_owned(),
            certificate_pem: issued.pem.clone(),
            chain_pem: self.ca.pem.clone(),
            fingerprint_sha256: issued.fingerprint.clone(),
            spki_sha256: sha256(&rcgen::PublicKeyData::subject_public_key_info(&key)),
        }
    }

    async fn install(&self, id: &str, issued: &Issued, csr: &str) -> JobResult {
        self.job(id, self.install_work(issued, csr, &self.path())).await
    }

    async fn served(&self) -> Result<Served, String> {
        let address = self.config.tls_address.as_deref().unwrap();
        probe(address, Some("site.example"), LIMIT)
            .await
            .map_err(|failure| failure.to_string())
    }

    /// What a server would read: the pair must fit at any time.
    fn assert_whole(&self, fingerprint: &str) {
        let pem = std::fs::read_to_string(self.path()).unwrap();
        assert_eq!(sha256(pem::parse(&pem).unwrap().contents()), fingerprint);
        let key = std::fs::read_to_string(self.install_dir().join("site.key")).unwrap();
        let key = KeyPair::from_pem(&key).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        let der = pem::parse(&pem).unwrap();
        assert!(
            der.contents().windows(spki.len()).any(|window| window == spki),
            "the key is not the certificate's"
        );
    }
}

/// A reload command for `/bin/sh`: this very test program, running the one test below.
fn reload_command(control: &Path) -> String {
    format!(
        "CMP_TEST_CONTROL={} {} --exact tells_the_tls_server_to_load_again --ignored --nocapture",
        control.display(),
        std::env::current_exe().unwrap().display()
    )
}

#[tokio::test]
#[ignore = "it is the reload command that the other tests configure"]
async fn tells_the_tls_server_to_load_again() {
    if let Some(control) = std::env::var_os("CMP_TEST_CONTROL") {
        send_reload(Path::new(&control)).await.unwrap();
    }
}

/// Waits for a condition.
async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_platform_asks_about_is_proven_with_the_agents_own_id() {
    let night = Night::start(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let held = Csr::read(&csr).unwrap().key.spki_sha256();
    night.platform.lock().unwrap().prove = vec![held.clone(), "ab".repeat(32)];
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
    // At once, since it was asked for anew; nobody wakes it for that.
    let proofs = until("the proof", || {
        let platform = night.platform.lock().unwrap();
        platform
            .reports
            .iter()
            .find(|it| !it.proofs.is_empty())
            .map(|it| it.proofs.clone())
    })
    .await;
    let proof = Csr::read(&proofs[0]).unwrap();
    assert_eq!(
        (proofs.len(), proof.common_name.as_deref()),
        (1, Some("urn:cmp:agent:agt_1"))
    );
    assert_eq!(proof.key.spki_sha256(), held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_enrolment_to_a_handshake_with_the_new_certificate() {
    let mut night = Night::start(None).await;
    until("the first report", || {
        (!night.platform.lock().unwrap().reports.is_empty()).then_some(())
    })
    .await;
    {
        let platform = night.platform.lock().unwrap();
        let (body, _) = &platform.enrolments[0];
        assert_eq!(
            (body.hostname.as_str(), &body.address),
            ("web-01", &night.wake_address)
        );
        assert_eq!(body.install_dirs, [night.install_dir().display().to_string()]);
    }
    assert!(night.served().await.is_err());

    for (request, algorithm) in [
        ("req_1", "ecdsa-p256"),
        ("req_2", "rsa-2048"),
        ("req_3", "ecdsa-p384"),
    ] {
        let csr = night.make_key(request, algorithm).await;
        let issued = night.ca.sign(&csr, 90);
        let result = night
            .install(&format!("job_install_{request}"), &issued, &csr)
            .await;
        assert!(result.done, "{result:?}");
        let found = result.installation.unwrap();
        assert_eq!(found.on_disk_sha256.as_deref(), Some(issued.fingerprint.as_str()));
        assert_eq!(found.served_sha256.as_deref(), Some(issued.fingerprint.as_str()));
        let served = night.served().await.unwrap();
        assert_eq!(served.fingerprint_sha256, issued.fingerprint);
        // The certificate and its issuer; the root is the clients'.
        assert_eq!(served.chain_der.len(), 2);
        assert_eq!(found.chain_missing, None);
        night.assert_whole(&issued.fingerprint);
    }

    // It reports again by itself after the work, with all that it holds.
    until("the report after the last job", || {
        let platform = night.platform.lock().unwrap();
        let report = platform.reports.last()?;
        let found = report.installations.first()?;
        (report.keys.len() == 3 && found.served_sha256 == found.on_disk_sha256).then_some(())
    })
    .await;

    // A second life with the same identity: no new enrolment, no token needed.
    night.stop_agent().await;
    night.start_agent(None).await;
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
    assert_eq!(night.platform.lock().unwrap().enrolments.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_made_once_a_request_and_a_lost_result_is_handed_in_again() {
    let night = Night::start(None).await;
    let first = night.make_key("req_1", "ecdsa-p256").await;
    let again = night.make_key("req_1", "ecdsa-p256").await;
    let spki = |csr: &str| {
        let csr = CertificateSigningRequestParams::from_pem(csr).unwrap();
        rcgen::PublicKeyData::subject_public_key_info(&csr.public_key)
    };
    assert_eq!(spki(&first), spki(&again));

    let issued = night.ca.sign(&first, 90);
    night.platform.lock().unwrap().lose_results = 1;
    let result = night.install("job_lost", &issued, &first).await;
    assert!(result.done);
    // The follow-up report is given the job again and hands in what it kept.
    until("the second result", || {
        let platform = night.platform.lock().unwrap();
        let results: Vec<_> = platform
            .results
            .iter()
            .filter(|(id, _)| id == "job_lost")
            .collect();
        (results.len() == 2 && results[0] == results[1] && platform.jobs.is_empty()).then_some(())
    })
    .await;

    let refused = night
        .job(
            "job_dsa",
            AgentWork::MakeKey {
                request_id: "req_9".to_owned(),
                key_algorithm: "dsa-1024".to_owned(),
                common_name: String::new(),
                sans: Vec::new(),
            },
        )
        .await;
    assert_eq!(refused.failed_step.as_deref(), Some("make_key"));
    assert!(refused.error.unwrap().contains("ecdsa-p256"));
}

#[test]
fn a_check_tries_what_the_configuration_names() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, token) = (dir.path().join("ca.pem"), dir.path().join("enrol-token"));
    let file = dir.path().join("agent.toml");
    let text = format!(
        "state_dir = \"/var/lib/x\"\napi = \"https://api:8082\"\ninstall_dirs = [\"/etc/ssl/x\"]\n\
         server_ca = {ca:?}\nenrol_token = {{ file = {token:?} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let check = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cmp-agent"));
        let output = command
            .arg("--check")
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = check();
    assert_eq!(code, Some(2));
    assert!(
        said.starts_with("cmp-agent: `server_ca` is of no use: the CA file"),
        "{said}"
    );
    std::fs::write(&ca, Ca::new().pem).unwrap();
    assert_eq!(check(), (Some(0), String::new()));
    std::fs::write(&token, "one-time").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (code, said) = check();
    assert_eq!(code, Some(2));
    assert!(
        said.contains("chmod 600") && !said.contains("one-time\""),
        "{said}"
    );
}
