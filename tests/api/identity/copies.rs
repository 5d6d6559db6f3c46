//! Copies of a token, and of a whole host.

use super::*;

#[tokio::test]
async fn a_copied_token_does_not_use_up_what_the_agent_may_send() {
    let Some(site) = Site::start().await else { return };
    let who = identity(&site.enrolled("web-02").await);
    let base = site.serve_within(true, "reports=2".parse().unwrap()).await;
    for _ in 0..2 {
        re_enrol(site.report_at(&base, &who, None, None).await);
    }
    let flood = site.report_at(&base, &who, None, None).await.unwrap_err();
    assert_eq!(flood.kind.status(), 429, "{flood}");
    site.report_at(&base, &who, Some(&who), None).await.unwrap();
}

#[tokio::test]
async fn of_a_host_and_its_copy_one_goes_on_and_the_other_says_why_not() {
    let Some(site) = Site::start().await else { return };
    let config = site.enrolled("web-02").await;
    let mut copied = config.clone();
    copied.state_dir = site.it.dir.path().join("copied");
    copy(&config.state_dir, &copied.state_dir);
    site.it.clock.set(site.it.clock.now() + Duration::days(16));
    let agent = site.run(&config).await;
    agent.reports().await;
    agent.reports().await;
    let other = site.run(&copied).await;
    let problem = other.wake().await.problem.unwrap();
    assert_eq!(problem.denial, Some(Denial::ReEnrol));
    let hint = problem.hint.unwrap();
    let look = hint.find("find out which before it enrols again").unwrap();
    let token = hint.find(&format!("/api/v1/agents/{}/token", identity(&config).agent_id));
    assert!(look < token.unwrap(), "{hint}");
    agent.reports().await;
    agent.stop().await;
    other.stop().await;
}
