//! What the agent tells the platform: what is on disk at each managed path, and what a handshake
//! shows to be served. It looks; it changes nothing.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures::StreamExt;
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::host::Host;
use super::install::check::{first_certificate, server_name_in};
use crate::clients::tls_probe::probe;
use crate::wire::agents::{Report, ReportedInstallation};

/// So many handshakes at a time, so that a host with many paths isn't flooded by its own agent.
const AT_ONCE: usize = 8;
/// How long a handshake that agreed with the disk counts for routine reports.
const AGREED_FOR: Duration = Duration::from_mins(10);
/// A report must not wait long for a server that hangs.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);

/// All that a check-in says.
pub(super) async fn report(host: &Host, address: String) -> Report {
    let paths = host.managed.all();
    // Collected first: a lazy iterator in the stream would make the future impossible to spawn.
    let looks: Vec<_> = paths.iter().map(|(path, _)| look_again(host, path)).collect();
    let installations = futures::stream::iter(looks).buffered(AT_ONCE).collect().await;
    let keys = host.keys.held().unwrap_or_else(|error| {
        tracing::error!(%error, "the keys can't be listed");
        Vec::new()
    });
    Report {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        owner: host.config.owner.clone(),
        address,
        tls_address: host.config.tls_address.clone(),
        install_dirs: install_dirs(host),
        installations,
        keys,
        proofs: Vec::new(),
        identity_csr_pem: None,
    }
}

/// The configured directories, as text.
pub(super) fn install_dirs(host: &Host) -> Vec<String> {
    let dirs = host.config.install_dirs.iter();
    dirs.map(|dir| dir.to_string_lossy().into_owned()).collect()
}

/// What is at one path now; a handshake that agreed with the disk lately is not made again.
async fn look_again(host: &Host, path: &str) -> ReportedInstallation {
    let agreed = host
        .agreed
        .lock()
        .ok()
        .and_then(|agreed| agreed.get(path).cloned());
    if let Some((fingerprint, at)) = agreed
        && at.elapsed() < AGREED_FOR
        && tokio::fs::read(path)
            .await
            .ok()
            .and_then(|pem| first_certificate(&pem).ok())
            .is_some_and(|(_, on_disk)| on_disk == fingerprint)
    {
        return ReportedInstallation {
            path: path.to_owned(),
            on_disk_sha256: Some(fingerprint.clone()),
            served_sha256: Some(fingerprint),
            error: None,
        };
    }
    look(host, path).await
}

/// What is at one path now, and what is served.
pub(super) async fn look(host: &Host, path: &str) -> ReportedInstallation {
    let mut found = ReportedInstallation {
        path: path.to_owned(),
        on_disk_sha256: None,
        served_sha256: None,
        error: None,
    };
    let der = match tokio::fs::read(path)
        .await
        .map_err(|error| read_words(path, &error))
    {
        Ok(pem) => first_certificate(&pem).map_err(|why| format!("`{path}`: {why}")),
        Err(why) => Err(why),
    };
    match der {
        Err(why) => found.error = Some(why),
        Ok((der, fingerprint)) => {
            found.on_disk_sha256 = Some(fingerprint);
            if let Some(address) = &host.config.tls_address {
                let limit = host.config.handshake_attempt().min(HANDSHAKE_LIMIT);
                match probe(address, server_name_in(&der).as_deref(), limit).await {
                    Ok(served) => found.served_sha256 = Some(served.fingerprint_sha256),
                    Err(failure) => found.error = Some(failure.to_string()),
                }
            }
        }
    }
    if let Ok(mut agreed) = host.agreed.lock() {
        match (&found.on_disk_sha256, &found.served_sha256) {
            (Some(disk), Some(served)) if disk == served => {
                agreed.insert(path.to_owned(), (disk.clone(), Instant::now()));
            }
            _ => drop(agreed.remove(path)),
        }
    }
    found
}

/// The name to ask for to be shown the certificate at a path.
pub(super) fn server_name_at(path: &str) -> Option<String> {
    server_name_in(&read(path)?)
}

/// The key hash of the certificate at a path.
pub(super) fn spki_at(path: &str) -> Option<String> {
    let der = read(path)?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(hex::encode(digest(&SHA256, certificate.public_key().raw)))
}

fn read(path: &str) -> Option<Vec<u8>> {
    let pem = std::fs::read(Path::new(path)).ok()?;
    first_certificate(&pem).ok().map(|(der, _)| der)
}

fn read_words(path: &str, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        format!("nothing is at `{path}`")
    } else {
        format!("`{path}` can't be read: {error}")
    }
}
