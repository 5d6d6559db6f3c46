//! The API over TLS with a CA of one's own: who trusts whom, and a certificate that changes under way.

use std::fs;

use cmp_console::clients::agent_api::AgentApi;
use cmp_console::clients::api::ApiReader;
use cmp_console::domain::secret::Secret;
use cmp_console::problem::Problem;
use cmp_console::wire::agents::Report;
use rustix::process::Signal;

use crate::ca::Ca;
use crate::daemon::{Daemon, TOKEN, eventually};

/// What a new connection that trusts only `ca` comes to.
async fn me(base: &str, ca: &Ca) -> Result<(), Problem> {
    let token = Some(Secret::new(TOKEN.to_owned()));
    let reader = ApiReader::trusting(base, token, Some(&ca.file))?;
    reader.me().await.map(drop)
}

async fn report(base: &str, ca: &Ca) -> Problem {
    let api = AgentApi::trusting(base, Some(&ca.file)).unwrap();
    let report = Report {
        agent_version: "1".to_owned(),
        owner: None,
        address: String::new(),
        tls_address: None,
        install_dirs: Vec::new(),
        layout: None,
        installations: Vec::new(),
        keys: Vec::new(),
        proofs: Vec::new(),
        identity_csr_pem: None,
    };
    let token = Secret::new(TOKEN.to_owned());
    api.report(&token, "agt_1", &report).await.unwrap_err()
}

#[tokio::test]
async fn a_changed_certificate_is_served_without_a_restart_and_a_wrong_one_never() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Ca::new(dir.path(), "old"), Ca::new(dir.path(), "new"));
    let (cert, key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
    let put = |(certificate, private): &(String, String)| {
        fs::write(&key, private).unwrap();
        fs::write(&cert, certificate).unwrap();
    };
    put(&old.issue(2090));
    let arguments = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let it = Daemon::start(dir.path(), &arguments).await;
    let base = format!("https://{}", it.address);
    me(&base, &old).await.unwrap();

    let problem = me(&base, &new).await.unwrap_err();
    assert!(
        problem.what.ends_with("is from a CA that isn't trusted here"),
        "{problem}"
    );
    assert!(problem.hint.unwrap().contains("`api_ca`"));
    let problem = report(&base, &new).await;
    assert!(
        problem.what.ends_with("is from a CA that isn't trusted here"),
        "{problem}"
    );
    // The agent trusts the right one, and then the API says that it knows no such agent's token.
    assert_eq!(report(&base, &old).await.kind.status(), 403);
    let by_name = base.replace("127.0.0.1", "localhost");
    let problem = me(&by_name, &old).await.unwrap_err();
    assert!(problem.what.contains("is for another name"), "{problem}");
    let plain = me(&base.replace("https", "http"), &old).await;
    assert!(plain.is_err(), "nothing is answered without TLS");

    // Half of a pair: what was served is served on.
    let next = new.issue(2090);
    fs::write(&cert, &next.0).unwrap();
    let line = it.logged("the new certificate is not used", 1).await;
    assert!(line.contains("is not that of the first certificate"), "{line}");
    me(&base, &old).await.unwrap();
    // The other half.
    fs::write(&key, &next.1).unwrap();
    eventually("the new certificate is served", async || {
        me(&base, &new).await.ok()
    })
    .await;
    assert!(me(&base, &old).await.is_err());

    // One that signed itself, as `openssl req -x509` makes it.
    let itself = (fs::read_to_string(&new.file).unwrap(), new.key.clone());
    put(&itself);
    let told = eventually("the CA's own is served", async || {
        me(&base, &new)
            .await
            .err()
            .filter(|it| it.what.contains("is that of a CA"))
    })
    .await;
    assert!(told.hint.unwrap().contains("CA:FALSE"));

    put(&new.issue(2021));
    it.signal(Signal::HUP);
    let expired = eventually("the expired certificate is served", async || {
        me(&base, &new)
            .await
            .err()
            .filter(|it| !it.what.contains("is that of a CA"))
    })
    .await;
    assert!(expired.what.ends_with("has expired"), "{expired}");
    assert!(expired.hint.unwrap().contains("clock"));
    it.logged("the server's own certificate expired", 1).await;
}

#[tokio::test]
async fn a_ca_for_agents_that_is_none_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, agents) = (Ca::new(dir.path(), "ca"), Ca::new(dir.path(), "agents"));
    let (certificate, key) = ca.issue(2090);
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let cert = file("tls.pem", &certificate);
    let tls = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        file("tls.key", &key).to_str().unwrap(),
    ]
    .map(str::to_owned);
    let check = |cert: &std::path::Path, key: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cmp-server"));
        command.args(["--check", "--roles", "api", "--database", "sqlite::memory:"]);
        command.args(&tls).arg("--agent-ca-cert").arg(cert);
        command.envs(key.map(|key| ("CMP_AGENT_CA_KEY", key)));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(check(&agents.file, Some(&agents.key)).0);
    for (cert, key, said) in [
        (&agents.file, None, "needs its key, in CMP_AGENT_CA_KEY"),
        (&agents.file, Some("no key"), "it is no private key in PEM"),
        (
            &agents.file,
            Some(&*ca.key),
            "is not that of the first certificate",
        ),
        (&cert, Some(&*key), "is not that of a CA"),
    ] {
        let (fine, told) = check(cert, key);
        assert!(!fine && told.contains(said), "{said}: {told}");
        assert!(!told.contains("PRIVATE"), "{told}");
    }
}

#[tokio::test]
async fn a_pair_that_does_not_fit_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new(dir.path(), "ca");
    let (cert, key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
    fs::write(&cert, ca.issue(2090).0).unwrap();
    fs::write(&key, ca.issue(2090).1).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cmp-server"))
        .args([
            "--database",
            "sqlite::memory:",
            "--listen",
            "127.0.0.1:0",
            "--roles",
            "api",
        ])
        .args([
            "--tls-cert",
            cert.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not that of the first certificate in"), "{said}");
}

/// Clients that trust the root alone need the intermediates from the server: whoever starts it is told what is missing.
#[tokio::test]
async fn a_chain_without_its_intermediate_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let root = Ca::new(dir.path(), "root");
    let (intermediate, leaf, private) = root.issue_below("lower", "127.0.0.1");
    let (cert, key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
    fs::write(&key, private).unwrap();
    let arguments = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let incomplete = "the chain is incomplete";
    for (chain, n_told) in [
        (leaf.clone(), 1),
        (format!("{leaf}{intermediate}"), 1),
        (
            format!("{leaf}{intermediate}{}", fs::read_to_string(&root.file).unwrap()),
            0,
        ),
    ] {
        fs::write(&cert, &chain).unwrap();
        let it = Daemon::start(dir.path(), &arguments).await;
        let lines: Vec<String> = it
            .log()
            .lines()
            .filter(|it| it.contains(incomplete))
            .map(str::to_owned)
            .collect();
        assert_eq!(lines.len(), n_told, "{}", it.log());
        // The intermediate is missing, or only the root, which this host doesn't trust either.
        let missing = if chain == leaf { "CN=lower" } else { "CN=root" };
        assert!(lines.iter().all(|line| line.contains(missing)), "{lines:?}");
    }
    fs::write(
        &cert,
        format!("{leaf}{}{intermediate}", fs::read_to_string(&root.file).unwrap()),
    )
    .unwrap();
    let it = Daemon::start(dir.path(), &arguments).await;
    it.logged("are not its issuers in order", 1).await;
}
