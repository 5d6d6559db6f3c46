//! Certificates, CAs and connections that end, and clocks that are apart.

use super::*;

#[tokio::test]
async fn an_expired_identity_is_told_and_ends_with_a_one_time_token() {
    let Some(site) = Site::start().await else { return };
    let mut config = site.enrolled("web-02").await;
    let former = identity(&config);
    let token = site.it.dir.path().join("one-time");
    config.enrol_token = Some(SecretSource::file(&token));
    site.it.clock.set(site.it.clock.now() + Duration::days(31));
    let agent = site.run(&config).await;
    let reply = agent.wake().await;
    let problem = reply.problem.unwrap();
    assert_eq!(problem.what, "the agent's certificate has expired");
    assert!(problem.hint.unwrap().contains(&token.display().to_string()));

    let one_time = site.one_time("enrol:web-02", Some(&former.agent_id)).await;
    std::fs::write(&token, one_time.expose()).unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    agent.reports().await;
    let now = identity(&config);
    assert_eq!(now.agent_id, former.agent_id);
    let serial = site.row(&now.agent_id).await.identity.unwrap().serial;
    re_enrol(site.report(&now, Some(&former)).await);
    agent.reports().await;
    assert_eq!(site.row(&now.agent_id).await.identity.unwrap().serial, serial);
    agent.stop().await;
}

#[tokio::test]
async fn a_ca_that_ended_certifies_nobody_and_keeps_no_agent_from_reporting() {
    let Some(mut site) = Site::start().await else {
        return;
    };
    let mut config = site.config("web-02");
    config.api = site.serve(false).await;
    let token = site.one_time("enrol:web-02", None).await;
    let mut agent = Agent::new(config.clone(), site.it.clock.clone(), Some(token)).unwrap();
    agent.enrol(8084).await.unwrap();
    let before = identity(&config);

    site.agents = Ca::until(site.it.dir.path(), "ending", 2027);
    site.base = site.serve(true).await;
    let day = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    site.it.clock.set(day("2026-12-20T00:00:00Z"));
    let who = identity(&site.enrolled("web-03").await);
    let ends = site.row(&who.agent_id).await.identity.unwrap().not_after;
    assert_eq!(
        ends,
        day("2027-01-01T00:00:00Z"),
        "nothing is good for longer than its CA"
    );

    site.it.clock.set(day("2027-01-02T00:00:00Z"));
    let answer = site.report_at(&site.base, &before, None, Some(csr().1)).await;
    assert_eq!(answer.unwrap(), None);
    let token = site.one_time("enrol:web-04", None).await;
    let mut agent = Agent::new(site.config("web-04"), site.it.clock.clone(), Some(token)).unwrap();
    let Err(AgentError::Platform(problem)) = agent.enrol(8084).await else {
        panic!("certified by a CA that ended")
    };
    assert_eq!(problem.kind.status(), 503);
    assert!(problem.what.contains("ended at 2027-01-01"), "{problem}");
}

#[tokio::test]
async fn a_connection_that_stays_open_does_not_outlive_the_certificate() {
    let Some(site) = Site::start().await else { return };
    let who = identity(&site.enrolled("web-02").await);
    let api = site.shown(&site.base, Some(&who));
    report_over(&api, &who, None).await.unwrap();
    site.it.clock.set(site.it.clock.now() + Duration::days(31));
    let said = re_enrol(report_over(&api, &who, None).await);
    assert_eq!(said, "the agent's certificate has expired");
}

#[tokio::test]
async fn servers_whose_clocks_are_apart_send_no_agent_to_enrol_again() {
    let Some(site) = Site::start().await else { return };
    let who = identity(&site.enrolled("web-02").await);
    site.it.clock.set(site.it.clock.now() - Duration::minutes(30));
    let problem = site.report(&who, Some(&who)).await.unwrap_err();
    assert_eq!(
        (problem.kind.status(), problem.denial),
        (503, Some(Denial::Retry)),
        "{problem}"
    );
    assert!(problem.hint.unwrap().contains("clocks"));
}

#[tokio::test]
async fn an_agent_whose_clock_is_ahead_is_not_certified_with_every_report() {
    let Some(site) = Site::start().await else { return };
    let config = site.enrolled("web-02").await;
    let ahead = Clock::fixed(site.it.clock.now() + Duration::days(40));
    let agent = site.run_at(&config, ahead).await;
    let first = identity(&config).proof.unwrap().certificate_pem;
    for _ in 0..3 {
        agent.reports().await;
    }
    assert_eq!(site.renewals().await, 0);
    assert_eq!(identity(&config).proof.unwrap().certificate_pem, first);
    // Once there is something to renew, it goes on as for everybody.
    site.it.clock.set(site.it.clock.now() + Duration::days(16));
    agent.reports().await;
    agent.reports().await;
    assert_eq!(site.renewals().await, 1);
    agent.stop().await;
}
