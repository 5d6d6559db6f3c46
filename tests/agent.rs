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

#[path = "support/port.rs"]
mod port;
#[path = "agent/proof.rs"]
mod proof;
#[path = "agent/real.rs"]
mod real;

const LIMIT: Duration = Duration::from_secs(20);

/// Hashes without a dependency of their own.
mod sha2_of {
    pub(crate) fn sha256(bytes: &[u8]) -> String {
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
    }
}

/// A CA of its own for each test, below a root.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    /// The CA's certificate and its root's.
    pem: String,
    root_pem: String,
}

/// One certificate as a CA hands it out.
#[derive(Clone)]
struct Issued {
    pem: String,
    fingerprint: String,
}

impl Ca {
    fn new() -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params.use_authority_key_identifier_extension = name != "Test Root";
            params
        };
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root_pem = params("Test Root").self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(params("Test Root"), root_key);
        let certificate = params("Test CA").signed_by(&key, &root).unwrap();
        Self {
            pem: format!("{}{root_pem}", certificate.pem()),
            issuer: Issuer::new(params("Test CA"), key),
            root_pem,
        }
    }

    fn sign(&self, csr_pem: &str, days: i64) -> Issued {
        let mut csr = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let now = std::time::SystemTime::now();
        let day = Duration::from_secs(86_400);
        csr.params.not_before = (now - 10 * day).into();
        csr.params.not_after = if days < 0 {
            (now - day * u32::try_from(-days).unwrap()).into()
        } else {
            (now + day * u32::try_from(days).unwrap()).into()
        };
        let certificate = csr.signed_by(&self.issuer).unwrap();
        Issued {
            fingerprint: sha256(certificate.der()),
            pem: certificate.pem(),
        }
    }
}

/// What the stand-in was told, and the jobs that it hands out until their result arrives.
#[derive(Default)]
struct Platform {
    enrolments: Vec<(EnrolBody, String)>,
    reports: Vec<Report>,
    jobs: Vec<AgentJob>,
    csrs: BTreeMap<String, Vec<String>>,
    results: Vec<(String, JobResult)>,
    lose_results: usize,
    down: bool,
    /// What reports are refused with.
    denial: Option<&'static str>,
    /// The keys that it asks the agent to prove.
    prove: Vec<String>,
}

type Shared = Arc<Mutex<Platform>>;

fn bearer(headers: &HeaderMap) -> &str {
    headers["authorization"]
        .to_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap()
}

type Refusal = (StatusCode, [(HeaderName, &'static str); 1], Json<Value>);

fn refusal(status: StatusCode, body: Value) -> Refusal {
    (status, [(CONTENT_TYPE, "application/problem+json")], Json(body))
}

async fn enrol(
    State(platform): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<EnrolBody>,
) -> Result<Json<Value>, Refusal> {
    let mut platform = platform.lock().unwrap();
    if platform.down {
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, json!({})));
    }
    if !bearer(&headers).starts_with("one-time") {
        let body = json!({"type": "urn:cmp:problem:not_authenticated", "title": "the one-time token was spent",
            "status": 401, "code": "not_authenticated", "denial": "re_enrol"});
        return Err(refusal(StatusCode::UNAUTHORIZED, body));
    }
    platform.denial = None;
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    platform.enrolments.push((body, key));
    Ok(Json(
        json!({"agent_id": "agt_1", "token": "own-token", "checkin_interval_s": 3600}),
    ))
}

async fn report(
    State(platform): State<Shared>,
    Params(agent_id): Params<String>,
    headers: HeaderMap,
    Json(body): Json<Report>,
) -> Result<Json<ReportReply>, Refusal> {
    let mut platform = platform.lock().unwrap();
    assert_eq!((agent_id.as_str(), bearer(&headers)), ("agt_1", "own-token"));
    if platform.down {
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, json!({})));
    }
    if let Some(denial) = platform.denial {
        let body = json!({"type": "urn:cmp:problem:not_authenticated", "title": "the token was taken back",
            "status": 401, "code": "not_authenticated", "denial": denial});
        return Err(refusal(StatusCode::UNAUTHORIZED, body));
    }
    platform.reports.push(body);
    Ok(Json(ReportReply {
        checkin_interval_s: 3600,
        jobs: platform.jobs.clone(),
        identity_pem: None,
        prove: platform.prove.clone(),
    }))
}

async fn csr(
    State(platform): State<Shared>,
    Params(request_id): Params<String>,
    headers: HeaderMap,
    Json(body): Json<CsrBody>,
) -> Json<Value> {
    assert_eq!(bearer(&headers), "own-token");
    assert!(headers.contains_key("idempotency-key"));
    let mut platform = platform.lock().unwrap();
    platform
        .csrs
        .entry(request_id.clone())
        .or_default()
        .push(body.csr_pem);
    Json(json!({"id": request_id}))
}

async fn result(
    State(platform): State<Shared>,
    Params((_, job_id)): Params<(String, String)>,
    Json(body): Json<JobResult>,
) -> Result<Json<Value>, StatusCode> {
    let mut platform = platform.lock().unwrap();
    platform.results.push((job_id.clone(), body));
    if platform.lose_results > 0 {
        platform.lose_results -= 1;
        return Err(StatusCode::BAD_GATEWAY);
    }
    platform.jobs.retain(|job| job.id != job_id);
    Ok(Json(json!({"id": job_id})))
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_reload_brings_the_previous_set_back_with_its_stderr() {
    let mut night = Night::start(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let old = night.ca.sign(&csr, 30);
    assert!(night.install("job_1", &old, &csr).await.done);

    night.stop_agent().await;
    night.config.reload = Some(
        ["/bin/sh", "-c", "echo 'nginx: [emerg] no ssl' >&2; exit 3"]
            .map(str::to_owned)
            .to_vec(),
    );
    night.start_agent(None).await;
    let csr = night.make_key("req_2", "ecdsa-p256").await;
    let new = night.ca.sign(&csr, 90);
    let result = night.install("job_2", &new, &csr).await;
    assert!(!result.done);
    assert_eq!(result.failed_step.as_deref(), Some("reload"));
    assert!(result.rolled_back);
    let error = result.error.unwrap();
    assert!(
        error.contains("nginx: [emerg] no ssl") && error.contains("exit status: 3"),
        "{error}"
    );
    let found = result.installation.unwrap();
    assert_eq!(found.on_disk_sha256.as_deref(), Some(old.fingerprint.as_str()));
    assert_eq!(found.served_sha256.as_deref(), Some(old.fingerprint.as_str()));
    night.assert_whole(&old.fingerprint);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_shows_another_certificate_brings_the_previous_set_back() {
    // It says that it reloaded, and did not.
    let night = Night::start(Some("exit 0")).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let first = night.ca.sign(&csr, 30);
    let result = night.install("job_1", &first, &csr).await;
    assert_eq!(result.failed_step.as_deref(), Some("handshake"), "{result:?}");
    assert!(result.rolled_back);
    // There was nothing before: nothing is there now, not even a key.
    assert_eq!(result.installation.unwrap().on_disk_sha256, None);
    assert_eq!(visible(&night.install_dir()), Vec::<String>::new());

    // An operator's own set, put there by hand and loaded.
    let by_hand = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["site.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&by_hand, &night.ca.issuer).unwrap();
    std::fs::write(night.path(), certificate.pem()).unwrap();
    std::fs::write(night.install_dir().join("site.key"), by_hand.serialize_pem()).unwrap();
    send_reload(&night.control).await.unwrap();
    let result = night.install("job_2", &first, &csr).await;
    assert_eq!(result.failed_step.as_deref(), Some("handshake"), "{result:?}");
    assert!(result.rolled_back);
    let old = sha256(certificate.der());
    assert!(result.error.unwrap().contains(&old));
    let found = result.installation.unwrap();
    assert_eq!(found.on_disk_sha256.as_deref(), Some(old.as_str()));
    assert_eq!(found.served_sha256.as_deref(), Some(old.as_str()));
    night.assert_whole(&old);
    assert_eq!(visible(&night.install_dir()), ["site.key", "site.pem"]);
}

fn visible(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_installed_is_refused_and_nothing_changes() {
    let night = Night::start(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let issued = night.ca.sign(&csr, 30);
    let outside = night.dir.path().join("elsewhere.pem");
    let dots = night.install_dir().join("../elsewhere.pem");
    std::os::unix::fs::symlink(night.dir.path(), night.install_dir().join("escape")).unwrap();
    let escape = night.install_dir().join("escape/elsewhere.pem");
    let expect = async |id: &str, work: AgentWork, step: &str, words: &str| {
        let result = night.job(id, work).await;
        assert!(!result.done && !result.rolled_back, "{id}: {result:?}");
        assert_eq!(result.failed_step.as_deref(), Some(step), "{id}: {result:?}");
        let error = result.error.unwrap();
        assert!(error.contains(words), "{id}: {error}");
    };
    for (id, path, words) in [
        ("job_outside", &outside, "outside of the directories"),
        ("job_dots", &dots, "not normalised"),
        ("job_escape", &escape, "outside of the directories"),
    ] {
        let work = night.install_work(&issued, &csr, path.to_str().unwrap());
        expect(id, work, "path", words).await;
    }

    let stranger = KeyPair::generate().unwrap();
    let foreign = CertificateParams::new(vec!["site.example".to_owned()])
        .unwrap()
        .serialize_request(&stranger)
        .unwrap()
        .pem()
        .unwrap();
    let certificate = night.ca.sign(&foreign, 30);
    let work = night.install_work(&certificate, &foreign, &night.path());
    expect("job_key", work, "key", "does not hold the private key").await;

    // The right key hash, but the certificate of another key.
    let mut work = night.install_work(&issued, &csr, &night.path());
    if let AgentWork::Install {
        certificate_pem,
        fingerprint_sha256,
        ..
    } = &mut work
    {
        (*certificate_pem, *fingerprint_sha256) = (certificate.pem.clone(), certificate.fingerprint.clone());
    }
    expect("job_other", work, "check", "is for the key").await;

    let expired = night.ca.sign(&csr, -1);
    let work = night.install_work(&expired, &csr, &night.path());
    expect("job_expired", work, "check", "expired at").await;

    let mut work = night.install_work(&issued, &csr, &night.path());
    if let AgentWork::Install { chain_pem, .. } = &mut work {
        // The same name, another key.
        *chain_pem = Ca::new().pem;
    }
    expect("job_chain", work, "check", "chain does not verify").await;

    let mut work = night.install_work(&issued, &csr, &night.path());
    if let AgentWork::Install { certificate_pem, .. } = &mut work {
        certificate_pem.truncate(200);
    }
    expect("job_pem", work, "check", "certificate").await;

    assert_eq!(visible(&night.install_dir()), ["escape"]);
    assert!(!outside.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_job_again_is_harmless_and_cures_an_old_one_still_served() {
    let mut night = Night::start(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let old = night.ca.sign(&csr, 30);
    assert!(night.install("job_1", &old, &csr).await.done);
    let generations = || visible(&night.install_dir().join(".cmp/site"));
    let before = generations();
    assert!(night.install("job_1", &old, &csr).await.done);
    assert_eq!(generations(), before);

    // Renewed on disk, the old one still served: the reload got lost.
    let working = night.config.reload.clone();
    night.stop_agent().await;
    night.config.tls_address.take();
    night.config.reload = None;
    night.start_agent(None).await;
    let new = night.ca.sign(&csr, 90);
    let result = night.install("job_2", &new, &csr).await;
    assert!(result.done, "{result:?}");
    let address = night.tls.as_ref().unwrap().address().to_string();
    night.stop_agent().await;
    night.config.tls_address = Some(address);
    night.config.reload = working;
    night.start_agent(None).await;
    assert_eq!(night.served().await.unwrap().fingerprint_sha256, old.fingerprint);
    let result = night.install("job_2", &new, &csr).await;
    assert!(result.done, "{result:?}");
    assert_eq!(night.served().await.unwrap().fingerprint_sha256, new.fingerprint);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_keep_nobody_from_waking_the_agent() {
    let mut night = Night::start(None).await;
    let address = night.wake_address.trim_start_matches("http://").to_owned();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
    // The connections beyond the 128 that it holds have made room, the longest idle ones first.
    for mut stream in idle.into_iter().take(72) {
        let mut byte = [0];
        let n = tokio::time::timeout(LIMIT, stream.read(&mut byte)).await;
        assert_eq!(n.expect("it is closed").unwrap_or(0), 0);
    }
    night.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_backed_off_far_stays_quiet_until_it_is_woken() {
    let mut night = Night::start(None).await;
    until("the first report", || {
        (!night.platform.lock().unwrap().reports.is_empty()).then_some(())
    })
    .await;
    night.stop_agent().await;
    let far: DateTime<Utc> = Clock::system().now() + TimeDelta::hours(9);
    let schedule = Schedule {
        due_at: Some(far),
        n_failures: 7,
        interval_s: 60,
    };
    schedule.write(&night.config.state_dir).unwrap();
    let n_reports = night.platform.lock().unwrap().reports.len();
    night.start_agent(None).await;
    let healthy = TcpListener::bind("127.0.0.1:0").await.is_ok();
    assert!(healthy);
    assert_eq!(night.platform.lock().unwrap().reports.len(), n_reports);

    // A flood shares check-ins.
    let calls = (0..40).map(|_| wake(&night.wake_address, LIMIT));
    let replies = futures::future::join_all(calls).await;
    assert!(
        replies
            .iter()
            .all(|reply| reply.as_ref().is_ok_and(|reply| reply.reported))
    );
    let n_more = night.platform.lock().unwrap().reports.len() - n_reports;
    assert!((1..=5).contains(&n_more), "{n_more} check-ins for 40 calls");
    let schedule = Schedule::read(&night.config.state_dir);
    assert_eq!((schedule.n_failures, schedule.interval_s), (0, 3600));
    assert!(schedule.due_at.unwrap() < far);

    // With the platform down the caller is told, and the back-off begins.
    night.platform.lock().unwrap().down = true;
    let reply = wake(&night.wake_address, LIMIT).await.unwrap();
    assert!(!reply.reported);
    assert!(reply.problem.is_some());
    assert_eq!(Schedule::read(&night.config.state_dir).n_failures, 1);
}

#[tokio::test]
async fn an_agent_without_identity_and_token_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = AgentConfig::new(
        "web-01",
        dir.path().join("state"),
        "http://127.0.0.1:1",
        vec![dir.path().to_owned()],
    );
    assert!(matches!(
        Agent::new(config, Clock::system(), None),
        Err(AgentError::NotEnrolled)
    ));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_started_before_its_token_is_there_waits_for_it() {
    let mut night = Night::start(None).await;
    night.stop_agent().await;
    let token = night.dir.path().join("enrol-token");
    night.config.state_dir = night.dir.path().join("fresh");
    night.config.enrol_token = Some(SecretSource::file(&token));
    night.start_agent(None).await;
    let problem = wake(&night.wake_address, LIMIT).await.unwrap().problem.unwrap();
    let hint = problem.hint.unwrap();
    assert!(hint.contains(&token.display().to_string()), "{hint}");
    private(&token, "one-time-2");
    let reply = wake(&night.wake_address, LIMIT).await.unwrap();
    assert!(reply.reported, "{reply:?}");
    night.stop_agent().await;
}

/// A file for its owner alone, as a secret's has to be.
fn private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    std::io::Write::write_all(&mut options.open(path).unwrap(), text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_token_is_gone_says_what_to_do_and_enrols_again_without_a_restart() {
    let mut night = Night::start(None).await;
    until("the first report", || {
        (!night.platform.lock().unwrap().reports.is_empty()).then_some(())
    })
    .await;
    night.stop_agent().await;
    let file = night.dir.path().join("one-time-token");
    night.config.enrol_token = Some(SecretSource::file(&file));
    night.start_agent(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;

    night.platform.lock().unwrap().denial = Some("re_enrol");
    let reply = wake(&night.wake_address, LIMIT).await.unwrap();
    let problem = reply.problem.unwrap();
    assert_eq!(problem.denial, Some(Denial::ReEnrol));
    let hint = problem.hint.unwrap();
    assert!(hint.contains("/api/v1/agents/agt_1/token"), "{hint}");
    assert!(hint.contains(file.to_str().unwrap()), "{hint}");

    // A token that the platform doesn't know is tried, and changes nothing.
    private(&file, "of-another-platform");
    assert!(!wake(&night.wake_address, LIMIT).await.unwrap().reported);
    assert_eq!(night.platform.lock().unwrap().enrolments.len(), 1);

    private(&file, "one-time-2\n");
    let reply = wake(&night.wake_address, LIMIT).await.unwrap();
    assert!(reply.reported, "{reply:?}");
    assert_eq!(night.platform.lock().unwrap().enrolments.len(), 2);
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
    assert_eq!(night.platform.lock().unwrap().enrolments.len(), 2, "spent once");

    // The key that it made before is still its own.
    let issued = night.ca.sign(&csr, 90);
    assert!(night.install("job_after", &issued, &csr).await.done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_agent_asks_rarely_and_says_that_it_is_banned() {
    let night = Night::start(None).await;
    until("the first report", || {
        (!night.platform.lock().unwrap().reports.is_empty()).then_some(())
    })
    .await;
    night.platform.lock().unwrap().denial = Some("banned");
    let before = Clock::system().now();
    let reply = wake(&night.wake_address, LIMIT).await.unwrap();
    assert_eq!(reply.problem.unwrap().denial, Some(Denial::Banned));
    let due = Schedule::read(&night.config.state_dir).due_at.unwrap();
    assert!(due - before > TimeDelta::minutes(30), "{due}");

    // It was a mistake, and somebody wakes it.
    night.platform.lock().unwrap().denial = None;
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
}
