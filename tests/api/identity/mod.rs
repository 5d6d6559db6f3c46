//! Real agents over real TLS: what their token is worth without their certificate, and how one certificate
//! follows another.

mod copies;
mod hand_over;
mod time;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration as Limit;

use chrono::Duration;
use cmp_console::clients::agent::wake;
use cmp_console::clients::agent_api::AgentApi;
use cmp_console::clock::Clock;
use cmp_console::config::agent::AgentConfig;
use cmp_console::config::limits::Limits;
use cmp_console::config::secret::SecretSource;
use cmp_console::domain::agent::Agent as Row;
use cmp_console::domain::role::Role;
use cmp_console::domain::secret::Secret;
use cmp_console::problem::{Denial, Problem};
use cmp_console::services::agent::{Agent, AgentError, Identity, Proof};
use cmp_console::services::api::{ApiState, IdentityCa, serve_over};
use cmp_console::services::serve::Tls;
use cmp_console::services::wake::OverHttp;
use cmp_console::store::agents;
use cmp_console::store::tokens::Purpose;
use cmp_console::wire::agents::{JobResult, Report, WakeReply};
use rcgen::{CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::support::Server;
use crate::ca::Ca;

const LIMIT: Limit = Limit::from_secs(60);

/// The API over TLS, beside the one without, over one database.
struct Site {
    it: Server,
    ca: Ca,
    agents: Ca,
    base: String,
}

impl Site {
    async fn start() -> Option<Self> {
        let it = Server::start().await?;
        let ca = Ca::new(it.dir.path(), "api");
        let agents = Ca::new(it.dir.path(), "agents");
        let mut site = Self {
            it,
            ca,
            agents,
            base: String::new(),
        };
        site.base = site.serve(true).await;
        Some(site)
    }

    /// One more server; gives its address.
    async fn serve(&self, certifies: bool) -> String {
        self.serve_within(certifies, Limits::default()).await
    }

    async fn serve_within(&self, certifies: bool, limits: Limits) -> String {
        let (certificate, key) = self.ca.issue(2090);
        let files = [
            self.it.dir.path().join("tls.pem"),
            self.it.dir.path().join("tls.key"),
        ];
        std::fs::write(&files[0], certificate).unwrap();
        std::fs::write(&files[1], key).unwrap();
        let key = Secret::new(self.agents.key.clone());
        let agents = certifies.then(|| Arc::new(IdentityCa::load(&self.agents.file, &key).unwrap()));
        let trust = agents.as_ref().map(|ca| ca.trust());
        let tls = Tls::load(&files[0], &files[1], trust, self.it.clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let state = ApiState::new(self.it.store.clone(), Arc::new(OverHttp::default()))
            .limits(limits)
            .identity_ca(agents);
        tokio::spawn(serve_over(
            listener,
            Some(Arc::new(tls)),
            state,
            std::future::pending(),
        ));
        base
    }

    async fn one_time(&self, name: &str, agent: Option<&str>) -> Secret {
        let token = self
            .it
            .make_token(name, Role::Agent, Purpose::Enrol, agent, None)
            .await;
        Secret::new(token)
    }

    fn config(&self, hostname: &str) -> AgentConfig {
        let dir = self.it.dir.path().join(hostname);
        let install = dir.join("ssl");
        std::fs::create_dir_all(&install).unwrap();
        let mut config = AgentConfig::new(hostname, dir.join("state"), &self.base, vec![install]);
        config.server_ca = Some(self.ca.file.clone());
        config
    }

    /// Enrolled as a host of this name, and not running.
    async fn enrolled(&self, hostname: &str) -> AgentConfig {
        let config = self.config(hostname);
        let token = self.one_time(&format!("enrol:{hostname}"), None).await;
        let mut agent = Agent::new(config.clone(), self.it.clock.clone(), Some(token)).unwrap();
        agent.enrol(8084).await.unwrap();
        config
    }

    async fn run(&self, config: &AgentConfig) -> Running {
        self.run_at(config, self.it.clock.clone()).await
    }

    /// With a clock of its own.
    async fn run_at(&self, config: &AgentConfig, clock: Clock) -> Running {
        let agent = Agent::new(config.clone(), clock, None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopping) = watch::channel(false);
        Running {
            address,
            stop,
            task: tokio::spawn(async move { agent.serve(listener, stopping).await.unwrap() }),
        }
    }

    async fn row(&self, id: &str) -> Row {
        let mut conn = self.it.store.read().await.unwrap();
        agents::existing(&mut conn, id).await.unwrap()
    }

    /// A report with this agent's token by who shows `proof`.
    async fn report(&self, who: &Identity, proof: Option<&Identity>) -> Result<Option<String>, Problem> {
        self.report_at(&self.base, who, proof, None).await
    }

    async fn report_at(
        &self,
        base: &str,
        who: &Identity,
        proof: Option<&Identity>,
        csr: Option<String>,
    ) -> Result<Option<String>, Problem> {
        report_over(&self.shown(base, proof), who, csr).await
    }

    fn shown(&self, base: &str, proof: Option<&Identity>) -> AgentApi {
        let api = AgentApi::trusting(base, Some(&self.ca.file)).unwrap();
        if let Some(proof) = proof.and_then(|it| it.proof.as_ref()) {
            api.show(&proof.certificate_pem, &proof.key_pem).unwrap();
        }
        api
    }

    async fn renewals(&self) -> usize {
        let rows = self.it.rows().await;
        rows.iter().filter(|row| row.action == "renew-identity").count()
    }
}

struct Running {
    address: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn wake(&self) -> WakeReply {
        wake(&self.address, LIMIT).await.unwrap()
    }

    async fn reports(&self) {
        let reply = self.wake().await;
        assert!(reply.reported, "{:?}", reply.problem);
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

/// A report over the connection that `api` has, if it has one still.
async fn report_over(api: &AgentApi, who: &Identity, csr: Option<String>) -> Result<Option<String>, Problem> {
    let report = Report {
        agent_version: "1".to_owned(),
        owner: None,
        address: "http://127.0.0.1:9".to_owned(),
        tls_address: None,
        install_dirs: Vec::new(),
        layout: None,
        installations: Vec::new(),
        keys: Vec::new(),
        proofs: Vec::new(),
        identity_csr_pem: csr,
    };
    let reply = api.report(&who.token, &who.agent_id, &report).await?;
    Ok(reply.identity_pem)
}

/// The same agent with the certificate that it was given for `key`.
fn with(who: &Identity, certificate_pem: String, key: &KeyPair) -> Identity {
    Identity {
        proof: Some(Proof {
            certificate_pem,
            key_pem: Secret::new(key.serialize_pem()),
        }),
        ..who.clone()
    }
}

fn identity(config: &AgentConfig) -> Identity {
    Identity::read(&config.state_dir).unwrap().unwrap()
}

fn begun(config: &AgentConfig) -> PathBuf {
    config.state_dir.join("next-identity.json")
}

/// The state directory as it is now, put somewhere else.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn csr() -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap();
    (key, csr.pem().unwrap())
}

fn re_enrol(answer: Result<Option<String>, Problem>) -> String {
    let problem = answer.unwrap_err();
    assert_eq!(problem.kind.status(), 401, "{problem}");
    assert_eq!(problem.denial, Some(Denial::ReEnrol), "{problem}");
    problem.what
}

#[tokio::test]
async fn a_token_is_worth_nothing_without_its_agents_certificate() {
    let Some(site) = Site::start().await else { return };
    let config = site.enrolled("web-02").await;
    let who = identity(&config);
    let proof = who.proof.clone().unwrap();
    let row = site.row(&who.agent_id).await;
    let known = row.identity.unwrap();
    assert_eq!(known.not_after, site.it.clock.now() + Duration::days(30));
    assert_eq!(row.next_identity, None);
    let rows = site.it.rows().await;
    let detail = rows.last().unwrap().detail.clone().unwrap();
    assert!(detail.contains(&known.serial), "the audit names it: {detail}");

    let agent = site.run(&config).await;
    agent.reports().await;
    let said = re_enrol(site.report(&who, None).await);
    assert!(said.contains("which was not shown"), "{said}");

    // Another agent's, though it is from the same CA.
    let other = identity(&site.enrolled("web-03").await);
    let said = re_enrol(site.report(&who, Some(&other)).await);
    assert!(said.contains("is not the one that counts"), "{said}");

    // One with the same serial and names, from a CA of one's own.
    let mut forged = CertificateSigningRequestParams::from_pem(&csr().1).unwrap();
    let key = KeyPair::generate().unwrap();
    let serial = hex::decode(known.serial.replace(':', "")).unwrap();
    forged.params.serial_number = Some(serial.into());
    forged.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mine = rcgen::Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
    let certificate = forged.params.signed_by(&key, &mine).unwrap();
    let mut thief = who.clone();
    if let Some(proof) = &mut thief.proof {
        proof.certificate_pem = certificate.pem();
        proof.key_pem = Secret::new(key.serialize_pem());
    }
    let said = re_enrol(site.report(&who, Some(&thief)).await);
    assert!(said.contains("not from the platform's CA"), "{said}");

    // What is asked for and answered with the token is refused as well, and that is on record.
    let n_before = site.it.rows().await.len();
    let result = site.shown(&site.base, None);
    let problem = result
        .result(&who.token, &who.agent_id, "job_1", &JobResult::done())
        .await
        .unwrap_err();
    assert_eq!(problem.denial, Some(Denial::ReEnrol));
    let rows = site.it.rows().await;
    assert_eq!(rows.len(), n_before + 1);
    assert!(
        rows.last()
            .unwrap()
            .detail
            .clone()
            .unwrap()
            .contains("which was not shown")
    );

    // None of it kept the agent itself from anything.
    agent.reports().await;
    agent.stop().await;
    assert_eq!(
        identity(&config).proof.unwrap().certificate_pem,
        proof.certificate_pem
    );
}

#[tokio::test]
async fn a_server_without_the_ca_does_not_take_the_token_alone() {
    let Some(site) = Site::start().await else { return };
    let who = identity(&site.enrolled("web-02").await);
    let other = site.serve(false).await;
    let problem = site.report_at(&other, &who, Some(&who), None).await.unwrap_err();
    assert_eq!(
        (problem.kind.status(), problem.denial),
        (503, Some(Denial::Retry)),
        "{problem}"
    );
    site.report(&who, Some(&who)).await.unwrap();
}

#[tokio::test]
async fn an_agent_from_before_the_ca_gets_its_certificate_with_a_report() {
    let Some(site) = Site::start().await else { return };
    let mut config = site.config("web-02");
    config.api = site.serve(false).await;
    let token = site.one_time("enrol:web-02", None).await;
    let mut agent = Agent::new(config.clone(), site.it.clock.clone(), Some(token)).unwrap();
    agent.enrol(8084).await.unwrap();
    let before = identity(&config);
    assert!(before.proof.is_none());

    config.api.clone_from(&site.base);
    let agent = site.run(&config).await;
    agent.reports().await;
    let row = site.row(&before.agent_id).await;
    assert!(row.identity.is_some() || row.next_identity.is_some());
    agent.reports().await;
    assert!(site.row(&before.agent_id).await.identity.is_some());
    re_enrol(site.report(&before, None).await);
    agent.stop().await;
}

#[tokio::test]
async fn no_agent_enrols_without_a_request_for_its_certificate() {
    let Some(site) = Site::start().await else { return };
    let known = identity(&site.enrolled("web-02").await);
    for (agent, name) in [(None, "web-03"), (Some(known.agent_id.as_str()), "web-04")] {
        let token = site.one_time("enrol:web-02", agent).await;
        let mut body = super::support::enrol("web-02");
        let api = site.shown(&site.base, None);
        let problem = api.enrol(&token, "k", &body).await.unwrap_err();
        assert_eq!(problem.kind.status(), 422, "{problem}");
        assert!(problem.hint.unwrap().contains("https://"));
        // The one-time token is still good.
        body.identity_csr_pem = Some(csr().1);
        body.hostname = name.to_owned();
        api.enrol(&token, "k2", &body).await.unwrap();
    }
    let rows = site.it.rows().await;
    assert!(
        rows.iter()
            .any(|row| row.action == "enrol" && row.outcome.word() == "refused")
    );
}
