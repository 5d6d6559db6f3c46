//! The token that an agent comes in with: not there yet, gone, or of a banned one.

use super::*;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_state_was_lost_looks_where_it_is_told_to_and_nowhere_else() {
    let mut night = Night::start(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let issued = night.ca.sign(&csr, 30);
    assert!(night.install("job_1", &issued, &csr).await.done);
    night.stop_agent().await;
    let elsewhere = night.dir.path().join("other.pem");
    std::fs::write(&elsewhere, &issued.pem).unwrap();
    night.config.state_dir = night.dir.path().join("fresh");
    let n = {
        let mut platform = night.platform.lock().unwrap();
        platform.look = vec![night.path(), elsewhere.display().to_string()];
        platform.reports.len()
    };
    night.start_agent(Some("one-time-2")).await;
    // At once, since nobody knows otherwise what is there.
    let reports = until("the second report", || {
        let platform = night.platform.lock().unwrap();
        (platform.reports.len() > n + 1).then(|| platform.reports[n..].to_vec())
    })
    .await;
    assert!(reports[0].installations.is_empty(), "{:?}", reports[0]);
    let [there] = reports[1].installations.as_slice() else {
        panic!("{:?}", reports[1].installations);
    };
    let found = Some(issued.fingerprint.clone());
    assert_eq!(there.path, night.path());
    assert_eq!((&there.on_disk_sha256, &there.served_sha256), (&found, &found));
    night.stop_agent().await;
}
