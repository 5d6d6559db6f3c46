//! Installations that fail bring the previous set back; what must not be installed changes nothing.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_reload_brings_the_previous_set_back_with_its_stderr() {
    let mut night = Night::start(None).await;
    let first = night.make_key("req_1", "ecdsa-p256").await;
    let old = night.ca.sign(&first, 30);
    assert!(night.install("job_1", &old, &first).await.done);

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

    // The set that is there, once more: there is no way back, and none is needed.
    let result = night.install("job_3", &old, &first).await;
    assert_eq!(result.failed_step.as_deref(), Some("reload"), "{result:?}");
    assert_eq!(result.leaves(), "the previous set is back in place");
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
        // This name, with another key.
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
