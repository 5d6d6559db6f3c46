//! What a proof sees: workers, chains, hosts whose files hang, and installations that arrive together.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use tokio_rustls::LazyConfigAcceptor;

use super::*;

/// What a connection is shown: the set at this path, its first certificate alone or all.
struct Show {
    path: PathBuf,
    certificate_alone: bool,
}

/// A server that reads its files with each connection; which, is said by the connection's number and name.
async fn server(choose: impl Fn(usize, &str) -> Show + Send + Sync + 'static) -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let (choose, n) = (Arc::new(choose), AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let (choose, n) = (Arc::clone(&choose), n.fetch_add(1, Ordering::Relaxed));
            tokio::spawn(async move {
                let Ok(start) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else {
                    return;
                };
                let name = start.client_hello().server_name().unwrap_or_default().to_owned();
                if let Some(config) = config(&choose(n, &name)) {
                    let _ = start.into_stream(Arc::new(config)).await;
                }
            });
        }
    });
    address
}

fn config(show: &Show) -> Option<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&show.path).ok()?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().ok()?;
    let chain = chain
        .into_iter()
        .take(if show.certificate_alone { 1 } else { 9 })
        .collect();
    let key = PrivateKeyDer::from_pem_file(show.path.with_extension("key")).ok()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    builder.with_no_client_auth().with_single_cert(chain, key).ok()
}

/// A reload command that counts, and an agent with it.
async fn night(reloads: bool) -> Night {
    let mut night = Night::start(Some("exit 0")).await;
    if reloads {
        night.stop_agent().await;
        let script = format!("echo >> {}", night.dir.path().join("reloads").display());
        night.config.reload = Some(["/bin/sh", "-c", &script].map(str::to_owned).to_vec());
        night.start_agent(None).await;
    }
    night
}

fn n_reloads(night: &Night) -> usize {
    let lines = std::fs::read_to_string(night.dir.path().join("reloads")).unwrap_or_default();
    lines.lines().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_sends_the_certificate_alone_is_told_with_what_is_missing() {
    let mut night = night(false).await;
    let path = PathBuf::from(night.path());
    let address = server(move |_, _| Show {
        path: path.clone(),
        certificate_alone: true,
    });
    let address = address.await;
    night.serves_at(address).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let issued = night.ca.sign(&csr, 90);
    let result = night.install("job_1", &issued, &csr).await;
    assert!(
        result.done,
        "it is served, and the old one would be no better: {result:?}"
    );
    let missing = result.installation.unwrap().chain_missing;
    assert_eq!(missing.as_deref(), Some("CN=Test CA"));
    let reported = until("the report that says so", || {
        let platform = night.platform.lock().unwrap();
        platform
            .reports
            .last()?
            .installations
            .first()?
            .chain_missing
            .clone()
    });
    assert_eq!(reported.await, "CN=Test CA");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_of_three_with_the_old_certificate_is_found() {
    let mut night = night(false).await;
    let (live, stale) = (PathBuf::from(night.path()), night.dir.path().join("stale.pem"));
    let old = stale.clone();
    let address = server(move |n, _| Show {
        path: if n % 3 == 2 && old.exists() {
            old.clone()
        } else {
            live.clone()
        },
        certificate_alone: false,
    });
    let address = address.await;
    night.serves_at(address).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let first = night.ca.sign(&csr, 30);
    assert!(night.install("job_1", &first, &csr).await.done);
    // From now on every third connection meets a worker that loads nothing anew.
    for extension in ["key", "pem"] {
        std::fs::copy(
            night.install_dir().join("site").with_extension(extension),
            stale.with_extension(extension),
        )
        .unwrap();
    }
    let second = night.ca.sign(&csr, 90);
    let result = night.install("job_2", &second, &csr).await;
    assert_eq!(result.failed_step.as_deref(), Some("handshake"), "{result:?}");
    let error = result.error.unwrap();
    assert!(
        error.contains("connections to `127.0.0.1:") && error.contains("still show another certificate"),
        "{error}"
    );
    assert!(result.rolled_back);

    // A routine report finds it too: put there by hand, and not loaded by all.
    std::fs::copy(night.install_dir().join("site.pem"), stale.with_extension("was")).unwrap();
    std::fs::remove_file(&stale).unwrap();
    assert!(night.install("job_3", &second, &csr).await.done);
    std::fs::rename(stale.with_extension("was"), &stale).unwrap();
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
    let platform = night.platform.lock().unwrap();
    let found = &platform.reports.last().unwrap().installations[0];
    assert_eq!(found.on_disk_sha256.as_deref(), Some(second.fingerprint.as_str()));
    assert_eq!(found.served_sha256.as_deref(), Some(first.fingerprint.as_str()));
    let error = found.error.as_deref().unwrap();
    assert!(error.contains(" of 8 connections to "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_together_is_reloaded_once_and_goes_back_alone() {
    let mut night = night(true).await;
    let (dir, other) = (night.install_dir(), night.dir.path().join("other.pem"));
    let pinned = other.clone();
    let address = server(move |_, name| Show {
        path: match name.split_once('.') {
            Some(("f", _)) => pinned.clone(),
            Some((site, _)) => dir.join(format!("{site}.pem")),
            None => dir.join("none"),
        },
        certificate_alone: false,
    });
    let address = address.await;
    night.serves_at(address).await;
    let mut jobs = Vec::new();
    let mut expected = BTreeMap::new();
    for site in ["a", "b", "c", "d", "e", "f"] {
        let name = format!("{site}.example");
        let csr = night
            .make_key_for(&format!("req_{site}"), "ecdsa-p256", &name)
            .await;
        let issued = night.ca.sign(&csr, 90);
        let path = night.install_dir().join(format!("{site}.pem"));
        jobs.push((
            format!("job_{site}"),
            night.install_work(&issued, &csr, path.to_str().unwrap()),
        ));
        expected.insert(format!("job_{site}"), issued.fingerprint);
    }
    // What `f` shows is never what was installed.
    let by_hand = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["f.example".to_owned()]).unwrap();
    std::fs::write(
        &other,
        params.signed_by(&by_hand, &night.ca.issuer).unwrap().pem(),
    )
    .unwrap();
    std::fs::write(other.with_extension("key"), by_hand.serialize_pem()).unwrap();
    let results = night.jobs(jobs).await;
    for (id, result) in &results {
        if id == "job_f" {
            assert!(!result.done && result.rolled_back, "{result:?}");
            assert_eq!(result.failed_step.as_deref(), Some("handshake"));
            continue;
        }
        assert!(result.done, "{id}: {result:?}");
        let served = result.installation.as_ref().unwrap().served_sha256.as_ref();
        assert_eq!(served, expected.get(id), "{id}");
    }
    // One for all of them, one for the one that went back.
    assert_eq!(n_reloads(&night), 2);
    assert!(!night.install_dir().join("f.pem").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_spoils_the_reload_for_all_is_found_and_the_others_are_installed() {
    let mut night = night(false).await;
    let dir = night.install_dir();
    let served = dir.clone();
    let address = server(move |_, name| Show {
        path: served.join(format!("{}.pem", name.split('.').next().unwrap())),
        certificate_alone: false,
    });
    // As `nginx -t` would, it refuses the whole configuration for one file.
    let script = format!("test ! -e {}", dir.join("b.pem").display());
    night.config.reload = Some(["/bin/sh", "-c", &script].map(str::to_owned).to_vec());
    let address = address.await;
    night.serves_at(address).await;
    let mut jobs = Vec::new();
    for site in ["a", "b", "c"] {
        let name = format!("{site}.example");
        let csr = night
            .make_key_for(&format!("req_{site}"), "ecdsa-p256", &name)
            .await;
        let path = dir.join(format!("{site}.pem"));
        let issued = night.ca.sign(&csr, 90);
        jobs.push((
            format!("job_{site}"),
            night.install_work(&issued, &csr, path.to_str().unwrap()),
        ));
    }
    let results = night.jobs(jobs).await;
    for (id, result) in &results {
        assert_eq!(result.done, id != "job_b", "{id}: {result:?}");
    }
    assert_eq!(results["job_b"].failed_step.as_deref(), Some("reload"));
    assert!(results["job_b"].rolled_back);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_at_a_path_stops_no_other_job_and_no_report() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let night = Night::start(None).await;
    let csr = night.make_key("req_1", "ecdsa-p256").await;
    let issued = night.ca.sign(&csr, 90);
    let pipe = night.install_dir().join("pipe.pem");
    let make_pipe = |at: &Path| mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // Nobody ever writes into it: opened, it would wait for that for ever.
    make_pipe(&pipe);
    let results = night
        .jobs(vec![
            (
                "job_pipe".to_owned(),
                night.install_work(&issued, &csr, pipe.to_str().unwrap()),
            ),
            (
                "job_site".to_owned(),
                night.install_work(&issued, &csr, &night.path()),
            ),
        ])
        .await;
    assert!(results["job_site"].done, "{results:?}");
    let refused = &results["job_pipe"];
    assert!(!refused.done, "{refused:?}");
    assert!(
        refused.error.as_ref().unwrap().contains("plain file"),
        "{refused:?}"
    );

    // In the place of what was installed: the report says so, and comes.
    std::fs::remove_file(night.path()).unwrap();
    make_pipe(Path::new(&night.path()));
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
    let platform = night.platform.lock().unwrap();
    let found = &platform.reports.last().unwrap().installations[0];
    assert_eq!(found.on_disk_sha256, None);
    assert!(
        found
            .error
            .as_ref()
            .unwrap()
            .contains("it is a FIFO, not a plain file"),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_laid_out_as_the_host_says() {
    use std::os::unix::fs::PermissionsExt;

    use cmp_console::config::agent::Layout;
    let mut night = Night::start(None).await;
    night.stop_agent().await;
    night.config.tls_address = None;
    night.config.reload = None;
    let dir = night.install_dir();
    let tags = |file: &str| -> Vec<String> {
        let text = std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        pem::parse_many(text)
            .unwrap()
            .iter()
            .map(|block| block.tag().to_owned())
            .collect()
    };
    let layouts = [
        (Layout::Separate, vec!["CERTIFICATE"], vec!["PRIVATE KEY"], 2),
        (Layout::FullChain, vec!["CERTIFICATE"; 2], vec!["PRIVATE KEY"], 2),
        (
            Layout::Combined,
            vec!["CERTIFICATE", "CERTIFICATE", "PRIVATE KEY"],
            Vec::new(),
            0,
        ),
    ];
    let mut found = Vec::new();
    for (n, (layout, ..)) in layouts.iter().enumerate() {
        night.config.layout = *layout;
        night.start_agent(None).await;
        let csr = night.make_key(&format!("req_{n}"), "ecdsa-p256").await;
        let issued = night.ca.sign(&csr, 90);
        let result = night.install(&format!("job_{n}"), &issued, &csr).await;
        assert!(result.done, "{result:?}");
        let on_disk = result.installation.unwrap().on_disk_sha256;
        assert_eq!(on_disk.as_deref(), Some(issued.fingerprint.as_str()));
        let mode = std::fs::metadata(night.path()).unwrap().permissions().mode() & 0o777;
        found.push((
            tags("site.pem"),
            tags("site.key"),
            tags("site.chain.pem").len(),
            mode,
        ));
        night.stop_agent().await;
    }
    for ((layout, certificate, key, n_above), found) in layouts.iter().zip(&found) {
        assert_eq!(
            (&found.0, &found.1, found.2),
            (
                &certificate.iter().map(|tag| (*tag).to_owned()).collect(),
                &key.iter().map(|tag| (*tag).to_owned()).collect(),
                *n_above,
            ),
            "{layout:?}"
        );
    }
    // The file that has a key in it is not everybody's, though the one before it was.
    assert_eq!(found[1].3, 0o644);
    assert_eq!(found[2].3 & 0o007, 0, "{:o}", found[2].3);
}
