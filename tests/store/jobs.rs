//! What follows from the end of an installation, and from a report.

use chrono::Duration;
use cmp_console::domain::certificate::Certificate;
use cmp_console::domain::finding::{FindingKind, Severity};
use cmp_console::domain::installation::Truth;
use cmp_console::domain::reason::Reason;
use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::{
    Tx, agents, ban, certificates, checkin, compromise, installations, job_end, jobs, queue, read, revocation,
};
use cmp_console::wire::agents::{JobResult, Report, ReportedInstallation};
use cmp_console::wire::page::PageQuery;

use super::fixture::{Fixture, certificate, enrol, noon};

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
        layout: None,
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
    let newest = certificates::insert(&mut tx, &renewed(3)).await.unwrap();
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
    let overtaken = queue::install(&mut tx, &first, &new).await.unwrap();
    let second = installations::expect(&mut tx, &it.agent.id, PATH, &newest)
        .await
        .unwrap();
    let job = queue::install(&mut tx, &second, &newest).await.unwrap();
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
    let detail = read::certificate(&mut tx, &newest.id).await.unwrap();
    assert_eq!(detail.failed[0].id, first.id, "the place that it belongs to");
}

/// One that is newer than the others.
fn renewed(n: u32) -> NewCertificate {
    NewCertificate {
        not_before: noon(),
        not_after: noon() + Duration::days(90),
        ..certificate(n)
    }
}

/// The finding about a failed installation: its certificate, how bad, and its sentence.
async fn could_not_be_installed(tx: &mut Tx) -> Option<(String, Severity, String)> {
    let found = read::findings(tx).await.unwrap().findings;
    let mut found = found.into_iter().filter(|it| it.matter == "install failed");
    let it = found.next()?;
    assert_eq!(found.next().map(|it| it.what), None);
    assert_eq!(it.answer.as_deref(), Some("install"));
    Some((it.entity_id, it.severity, it.what))
}

/// The end of its installation at [`PATH`].
async fn install(tx: &mut Tx, agent: &str, which: &Certificate, result: &JobResult) {
    let place = installations::expect(tx, agent, PATH, which).await.unwrap();
    let job = queue::install(tx, &place, which).await.unwrap();
    job_end::end(tx, agent, &job, result).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_could_not_be_installed_is_told_until_it_or_a_newer_one_is_there() {
    let Some(it) = Fixture::new().await else { return };
    let agent = &it.agent.id;
    let mut tx = it.store.begin().await.unwrap();
    let [oldest, old] = [1, 4].map(certificate);
    let oldest = certificates::insert(&mut tx, &oldest).await.unwrap();
    let old = certificates::insert(&mut tx, &old).await.unwrap();
    let new = certificates::insert(&mut tx, &renewed(5)).await.unwrap();
    let done = |n| JobResult {
        installation: Some(found(n)),
        ..JobResult::done()
    };
    let failed = JobResult {
        done: false,
        failed_step: Some("reload".to_owned()),
        error: Some("nginx: [emerg]".to_owned()),
        rolled_back: true,
        installation: Some(found(4)),
    };
    install(&mut tx, agent, &old, &done(4)).await;
    assert_eq!(could_not_be_installed(&mut tx).await, None);

    install(&mut tx, agent, &new, &failed).await;
    let (id, severity, what) = could_not_be_installed(&mut tx).await.unwrap();
    assert_eq!((id.as_str(), severity), (new.id.as_str(), Severity::Warning));
    assert!(
        what.contains("00:05 could not be installed and 00:04 is still in its place"),
        "{what}"
    );
    assert!(what.ends_with("`reload: nginx: [emerg]`"), "{what}");

    // Neither what was in its place written again nor an older one puts it where it belongs.
    for (which, n) in [(&old, 4), (&oldest, 1)] {
        install(&mut tx, agent, which, &done(n)).await;
        let (id, _, what) = could_not_be_installed(&mut tx).await.unwrap();
        assert_eq!(id, new.id);
        assert!(what.ends_with("`reload: nginx: [emerg]`"), "{what}");
        let there = installations::by_agent(&mut tx, agent).await.unwrap();
        assert_eq!(there[0].error.as_deref(), Some("reload: nginx: [emerg]"));
    }
    // An older one that fails too doesn't take its place either.
    install(&mut tx, agent, &old, &failed).await;
    assert_eq!(could_not_be_installed(&mut tx).await.unwrap().0, new.id);
    // The certificate in its place may end, or be another one than is expected.
    let report = report(vec![found(6)]);
    checkin::check_in(&mut tx, agent, &report).await.unwrap();
    let (id, severity, _) = could_not_be_installed(&mut tx).await.unwrap();
    assert_eq!((id.as_str(), severity), (new.id.as_str(), Severity::Critical));

    install(&mut tx, agent, &new, &done(5)).await;
    assert_eq!(could_not_be_installed(&mut tx).await, None);
    let there = installations::by_agent(&mut tx, agent).await.unwrap();
    assert_eq!(there[0].error, None);

    // So does a newer one, and so does its revocation: then nobody wants it there.
    for is_revoked in [false, true] {
        let newer = if is_revoked { 8 } else { 7 };
        let newer = certificates::insert(&mut tx, &renewed(newer)).await.unwrap();
        install(&mut tx, agent, &old, &done(4)).await;
        install(&mut tx, agent, &new, &failed).await;
        assert!(could_not_be_installed(&mut tx).await.is_some());
        if is_revoked {
            drop(
                revocation::ask(&mut tx, &new.id, Reason::Superseded)
                    .await
                    .unwrap(),
            );
        } else {
            install(&mut tx, agent, &newer, &done(7)).await;
        }
        assert_eq!(could_not_be_installed(&mut tx).await, None);
    }
}

#[tokio::test]
async fn a_banned_agent_may_not_check_in() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    assert!(ban::ban(&mut tx, &it.agent.id, "ops").await.unwrap().is_some());
    assert!(ban::ban(&mut tx, &it.agent.id, "ops").await.unwrap().is_none());
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
    let job = queue::install(&mut tx, &place, &certificate).await.unwrap();
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

    // It is on the other host, whose name comes later, and counts there alone.
    let counted = async |tx: &mut Tx| {
        let it = certificates::existing(tx, &certificate.id).await.unwrap();
        let page = certificates::page(tx, &PageQuery::default()).await.unwrap();
        let listed = page.items.iter().find(|listed| listed.id == it.id).unwrap();
        assert_eq!(
            (listed.n_installations, &listed.host),
            (it.n_installations, &it.host)
        );
        (it.n_installations, it.host)
    };
    assert_eq!(counted(&mut tx).await, (1, Some("web-01".to_owned())));
    let other = agents::insert(&mut tx, &enrol("web-04"), 60).await.unwrap();
    installations::expect(&mut tx, &other.id, PATH, &certificate)
        .await
        .unwrap();
    assert_eq!(counted(&mut tx).await, (1, Some("web-04".to_owned())));

    // The next one has nothing to go back to either.
    let second = certificates::insert(&mut tx, &super::fixture::certificate(2))
        .await
        .unwrap();
    let place = installations::expect(&mut tx, &it.agent.id, PATH, &second)
        .await
        .unwrap();
    let job = queue::install(&mut tx, &place, &second).await.unwrap();
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
    queue::install(&mut tx, &place, &new).await.unwrap();
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
        let job = queue::install(&mut tx, &place, &new).await.unwrap();
        match which {
            0 => drop(
                revocation::ask(&mut tx, &new.id, Reason::Superseded)
                    .await
                    .unwrap(),
            ),
            1 => assert!(compromise::mark(&mut tx, &new.spki_sha256).await.unwrap()),
            _ => assert!(ban::ban(&mut tx, &it.agent.id, "ops").await.unwrap().is_some()),
        }
        assert!(jobs::for_agent(&mut tx, &it.agent.id).await.unwrap().is_empty());
        let ended = jobs::read(&mut tx, &job).await.unwrap().unwrap();
        assert_eq!(ended.status, "failed");
        assert!(ended.error_message.is_some());
        let back = installations::read(&mut tx, &place.id).await.unwrap().unwrap();
        assert_eq!(back.certificate_id, old.id);
    }
}
