//! What follows from the end of an installation, and from a report.

use cmp_console::domain::finding::FindingKind;
use cmp_console::domain::installation::Truth;
use cmp_console::domain::reason::Reason;
use cmp_console::store::{
    agents, ban, certificates, checkin, compromise, installations, job_end, jobs, read, revocation,
};
use cmp_console::wire::agents::{JobResult, Report, ReportedInstallation};

use super::fixture::{Fixture, certificate};

const PATH: &str = "/srv/tls/cert.pem";

fn found(n: u32) -> ReportedInstallation {
    ReportedInstallation {
        path: PATH.to_owned(),
        on_disk_sha256: Some(certificate(n).fingerprint_sha256),
        served_sha256: None,
        chain_missing: None,
        error: None,
    }
}

fn report(found: Vec<ReportedInstallation>) -> Report {
    Report {
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
        address: "http://127.0.0.1:1".to_owned(),
        tls_address: None,
        install_dirs: vec!["/srv/tls".to_owned()],
        installations: found,
        keys: vec![certificate(1).spki_sha256],
        proofs: Vec::new(),
    }
}

#[tokio::test]
async fn a_rolled_back_installation_expects_the_old_one_again() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let old = certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    let new = certificates::insert(&mut tx, &certificate(2)).await.unwrap();
    let newest = certificates::insert(&mut tx, &certificate(3)).await.unwrap();
    installations::expect(&mut tx, &it.agent.id, PATH, &old)
        .await
        .unwrap();
    let agent = checkin::check_in(&mut tx, &it.agent.id, &report(vec![found(1)]))
        .await
        .unwrap();
    assert_eq!(agent.version, it.agent.version, "a check-in is no change");
    let there = installations::by_agent(&mut tx, &it.agent.id).await.unwrap();
    assert_eq!(there[0].truth(), Truth::OnDisk);

    let first = installations::expect(&mut tx, &it.agent.id, PATH, &new)
        .await
        .unwrap();
    let overtaken = jobs::queue_install(&mut tx, &first, &new).await.unwrap();
    let second = installations::expect(&mut tx, &it.agent.id, PATH, &newest)
        .await
        .unwrap();
    let job = jobs::queue_install(&mut tx, &second, &newest).await.unwrap();
    assert_eq!(first.id, second.id);
    assert_eq!(
        jobs::read(&mut tx, &overtaken).await.unwrap().unwrap().status,
        "failed"
    );
    assert_eq!(jobs::for_agent(&mut tx, &it.agent.id).await.unwrap().len(), 1);

    let result = JobResult {
        done: false,
        failed_step: Some("reload".to_owned()),
        error: Some("nginx: [emerg]".to_owned()),
        rolled_back: true,
        installation: Some(found(1)),
    };
    assert!(job_end::end(&mut tx, "agt_other", &job, &result).await.is_err());
    assert!(
        job_end::end(&mut tx, &it.agent.id, &job, &result)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        job_end::end(&mut tx, &it.agent.id, &job, &result)
            .await
            .unwrap()
            .is_none()
    );
    let back = installations::read(&mut tx, &first.id).await.unwrap().unwrap();
    assert_eq!(back.certificate_id, old.id);
    assert_eq!(back.error.as_deref(), Some("reload: nginx: [emerg]"));
    assert_eq!(back.truth(), Truth::OnDisk);
}

#[tokio::test]
async fn a_banned_agent_may_not_check_in() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    assert!(ban::ban(&mut tx, &it.agent.id).await.unwrap());
    assert!(!ban::ban(&mut tx, &it.agent.id).await.unwrap());
    assert!(
        checkin::check_in(&mut tx, &it.agent.id, &report(vec![]))
            .await
            .is_err()
    );
    assert_eq!(agents::headcount(&mut tx).await.unwrap().n_all, 0);
}

#[tokio::test]
async fn a_first_installation_that_failed_stays_with_its_error() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let certificate = certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    let place = installations::expect(&mut tx, &it.agent.id, PATH, &certificate)
        .await
        .unwrap();
    let job = jobs::queue_install(&mut tx, &place, &certificate).await.unwrap();
    let result = JobResult {
        failed_step: Some("path".to_owned()),
        ..JobResult::withdrawn("outside")
    };
    let ended = job_end::end(&mut tx, &it.agent.id, &job, &result)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.result.unwrap().error.as_deref(), Some("outside"));
    let there = installations::by_agent(&mut tx, &it.agent.id).await.unwrap();
    assert_eq!(there[0].error.as_deref(), Some("path: outside"));
    let found = read::findings(&mut tx).await.unwrap().findings;
    // No worker runs here.
    let found = found.iter().filter(|it| it.kind != FindingKind::NobodyWorks);
    let found: Vec<_> = found.map(|it| (it.kind, it.matter.as_str())).collect();
    assert_eq!(found, [(FindingKind::NotServed, "install failed")]);

    // The next one has nothing to go back to either.
    let second = certificates::insert(&mut tx, &super::fixture::certificate(2))
        .await
        .unwrap();
    let place = installations::expect(&mut tx, &it.agent.id, PATH, &second)
        .await
        .unwrap();
    let job = jobs::queue_install(&mut tx, &place, &second).await.unwrap();
    job_end::end(&mut tx, &it.agent.id, &job, &result).await.unwrap();
    let there = installations::by_agent(&mut tx, &it.agent.id).await.unwrap();
    assert_eq!(there[0].certificate_id, second.id);
}

#[tokio::test]
async fn a_first_installation_that_was_taken_back_leaves_nothing() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let new = certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    let place = installations::expect(&mut tx, &it.agent.id, PATH, &new)
        .await
        .unwrap();
    jobs::queue_install(&mut tx, &place, &new).await.unwrap();
    compromise::mark(&mut tx, &new.spki_sha256).await.unwrap();
    let there = installations::by_agent(&mut tx, &it.agent.id).await.unwrap();
    assert!(there.is_empty());
}

#[tokio::test]
async fn what_must_not_be_installed_any_more_is_taken_back() {
    for which in 0..3 {
        let Some(it) = Fixture::new().await else { return };
        let mut tx = it.store.begin().await.unwrap();
        let old = certificates::insert(&mut tx, &certificate(2)).await.unwrap();
        let new = certificates::insert(&mut tx, &certificate(3)).await.unwrap();
        installations::expect(&mut tx, &it.agent.id, PATH, &old)
            .await
            .unwrap();
        let place = installations::expect(&mut tx, &it.agent.id, PATH, &new)
            .await
            .unwrap();
        let job = jobs::queue_install(&mut tx, &place, &new).await.unwrap();
        match which {
            0 => drop(
                revocation::ask(&mut tx, &new.id, Reason::Superseded)
                    .await
                    .unwrap(),
            ),
            1 => assert!(compromise::mark(&mut tx, &new.spki_sha256).await.unwrap()),
            _ => assert!(ban::ban(&mut tx, &it.agent.id).await.unwrap()),
        }
        assert!(jobs::for_agent(&mut tx, &it.agent.id).await.unwrap().is_empty());
        let ended = jobs::read(&mut tx, &job).await.unwrap().unwrap();
        assert_eq!(ended.status, "failed");
        assert!(ended.error_message.is_some());
        let back = installations::read(&mut tx, &place.id).await.unwrap().unwrap();
        assert_eq!(back.certificate_id, old.id);
    }
}
