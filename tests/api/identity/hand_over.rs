//! From an agent's certificate to its next one: whatever is cut off or repeated meanwhile, one of them counts.

use super::*;

#[tokio::test]
async fn the_former_certificate_counts_until_the_next_one_is_shown() {
    let Some(site) = Site::start().await else { return };
    let config = site.enrolled("web-02").await;
    let former = identity(&config);
    let agent = site.run(&config).await;
    site.it.clock.set(site.it.clock.now() + Duration::days(14));
    agent.reports().await;
    assert_eq!(site.row(&former.agent_id).await.next_identity, None, "too early");

    site.it.clock.set(site.it.clock.now() + Duration::days(2));
    agent.reports().await;
    let row = site.row(&former.agent_id).await;
    let next = row.next_identity.unwrap();
    assert_ne!(row.identity.unwrap().serial, next.serial);
    assert!(!begun(&config).exists(), "done");
    // The agent may have been cut off before it had it.
    site.report(&former, Some(&former)).await.unwrap();

    agent.reports().await;
    let row = site.row(&former.agent_id).await;
    assert_eq!((row.identity, row.next_identity), (Some(next), None));
    let said = re_enrol(site.report(&former, Some(&former)).await);
    assert!(said.contains("is not the one that counts"), "{said}");
    assert_eq!(site.renewals().await, 1);
    agent.reports().await;
    assert_eq!(site.renewals().await, 1);
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_cut_off_during_the_hand_over_goes_on() {
    let Some(site) = Site::start().await else { return };
    let config = site.enrolled("web-02").await;
    site.it.clock.set(site.it.clock.now() + Duration::days(16));

    // The next one is begun while the platform isn't there.
    let mut lost = config.clone();
    lost.api = "https://127.0.0.1:1".to_owned();
    let agent = site.run(&lost).await;
    assert!(!agent.wake().await.reported);
    agent.stop().await;
    assert!(begun(&config).exists());
    let before = site.it.dir.path().join("before");
    copy(&config.state_dir, &before);

    // It is signed and answered, and nothing of that is on the disk after the power is back.
    let agent = site.run(&config).await;
    agent.reports().await;
    agent.stop().await;
    let id = identity(&config).agent_id;
    let signed = site.row(&id).await.next_identity.unwrap();
    copy(&before, &config.state_dir);
    let agent = site.run(&config).await;
    agent.reports().await;
    assert_eq!(site.row(&id).await.next_identity.unwrap().serial, signed.serial);
    assert_eq!(site.renewals().await, 1, "signed twice, it is one");
    agent.reports().await;
    assert_eq!(site.row(&id).await.identity.unwrap().serial, signed.serial);
    agent.stop().await;
    // Started once more, it shows what it has.
    let agent = site.run(&config).await;
    agent.reports().await;
    agent.stop().await;
}

#[tokio::test]
async fn a_late_repetition_changes_nothing_and_no_key_is_certified_twice() {
    let Some(site) = Site::start().await else { return };
    let who = identity(&site.enrolled("web-02").await);
    let (key, csr) = csr();
    site.it.clock.set(site.it.clock.now() + Duration::days(16));
    let ask = async |by: &Identity| {
        site.report_at(&site.base, &who, Some(by), Some(csr.clone()))
            .await
    };
    let pem = ask(&who).await.unwrap().unwrap();
    let next = with(&who, pem, &key);
    let offered = site.row(&who.agent_id).await.next_identity.unwrap();
    site.report(&who, Some(&next)).await.unwrap();
    assert_eq!(ask(&next).await.unwrap(), None);
    site.it.clock.set(site.it.clock.now() + Duration::days(16));
    assert_eq!(ask(&next).await.unwrap(), None);
    let row = site.row(&who.agent_id).await;
    assert_eq!(row.identity.map(|it| it.serial), Some(offered.serial));
    assert_eq!(row.next_identity, None);
    let nonsense = site
        .report_at(&site.base, &who, Some(&next), Some("no CSR".to_owned()))
        .await;
    assert_eq!(nonsense.unwrap_err().kind.status(), 400);
}

#[tokio::test]
async fn what_shows_the_next_certificate_first_may_be_several_requests_at_once() {
    let Some(site) = Site::start().await else { return };
    let who = identity(&site.enrolled("web-02").await);
    site.it.clock.set(site.it.clock.now() + Duration::days(16));
    let (key, csr) = csr();
    let pem = site.report_at(&site.base, &who, Some(&who), Some(csr)).await;
    let next = with(&who, pem.unwrap().unwrap(), &key);
    let offered = site.row(&who.agent_id).await.next_identity;
    // A report, and the ends of jobs beside it.
    let answers = futures::future::join_all((0..12).map(|_| site.report(&who, Some(&next)))).await;
    for answer in answers {
        assert_eq!(answer.unwrap(), None);
    }
    assert_eq!(site.row(&who.agent_id).await.identity, offered);
}

#[tokio::test]
async fn a_certificate_that_can_not_be_shown_yet_is_shown_later() {
    let Some(site) = Site::start().await else { return };
    let config = site.enrolled("web-02").await;
    let id = identity(&config).agent_id;
    let agent = site.run(&config).await;
    agent.reports().await;
    site.it.clock.set(site.it.clock.now() + Duration::days(16));
    // Without this file no connection can be made that shows another one.
    let away = site.it.dir.path().join("away");
    std::fs::rename(&site.ca.file, &away).unwrap();
    agent.reports().await;
    let offered = site.row(&id).await.next_identity;
    assert!(offered.is_some());
    std::fs::rename(&away, &site.ca.file).unwrap();
    agent.reports().await;
    agent.reports().await;
    let row = site.row(&id).await;
    assert_eq!(
        (
            row.identity.map(|it| it.serial),
            row.next_identity,
            site.renewals().await
        ),
        (offered.map(|it| it.serial), None, 1)
    );
    agent.stop().await;
}
