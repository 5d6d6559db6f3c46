//! What the agent tells the platform: what is on disk at each managed path, and what a handshake
//! shows to be served. It looks; it changes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures::StreamExt;
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::files::read_if_there;
use super::host::{Agreed, Host};
use super::install::check::{certificates_in, server_name_in};
use super::install::paths::Target;
use crate::clients::tls_look::{self, Effort, Seen};
use crate::domain::chain::Fault;
use crate::wire::agents::{Report, ReportedInstallation};

/// So many handshakes at a time, so that a host with many paths isn't flooded by its own agent.
const AT_ONCE: usize = 8;
/// How long handshakes that agreed with the disk count for routine reports.
const AGREED_FOR: Duration = Duration::from_mins(1);
/// A report must not wait long for a server that hangs.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);
/// Nor for a file system that does.
const FILES_LIMIT: Duration = Duration::from_secs(3);

/// All that a check-in says. Beside the paths that this agent has installed at it looks at those that it was `asked`
/// to look at.
pub(super) async fn report(host: &Host, address: String, asked: &BTreeSet<String>) -> Report {
    let managed: Vec<String> = host.managed.all().into_iter().map(|(path, _)| path).collect();
    let asked = asked.iter().filter(|path| !managed.contains(path));
    // Collected first: a lazy iterator in the stream would make the future impossible to spawn.
    let looks: Vec<_> = managed
        .iter()
        .map(|path| (path, false))
        .chain(asked.map(|path| (path, true)))
        .map(|(path, is_asked)| look_if_allowed(host, path, is_asked))
        .collect();
    let looked: Vec<_> = futures::stream::iter(looks).buffered(AT_ONCE).collect().await;
    let installations = looked.into_iter().flatten().collect();
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
        layout: Some(host.config.layout.word().to_owned()),
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

/// Files at one path as they are now. A path that the platform names is looked at only where this agent may install; of
/// another one nothing is said, since nobody has looked.
async fn look_if_allowed(host: &Host, path: &str, is_asked: bool) -> Option<ReportedInstallation> {
    if is_asked {
        let (owned, dirs) = (path.to_owned(), host.config.install_dirs.clone());
        let judged = host
            .patience
            .within(path, FILES_LIMIT, move |_| {
                Target::resolve(&owned, &dirs).map(|_| ())
            })
            .await;
        let refusal = match judged {
            Ok(Ok(())) => None,
            Ok(Err(refusal)) => Some(refusal.to_string()),
            Err(unfinished) => Some(unfinished.to_string()),
        };
        if let Some(why) = refusal {
            tracing::warn!(path, "a path that the platform names is not looked at: {why}");
            return None;
        }
    }
    Some(look_again(host, path).await)
}

/// What is at one path now; handshakes that agreed with the disk lately are not made again.
async fn look_again(host: &Host, path: &str) -> ReportedInstallation {
    let on_disk = on_disk_now(host, path).await;
    let agreed = agreed_before(host, path);
    match (agreed, &on_disk) {
        (Some(agreed), Ok(on_disk))
            if agreed.at.is_some_and(|at| at.elapsed() < AGREED_FOR)
                && on_disk.fingerprint == agreed.fingerprint =>
        {
            ReportedInstallation {
                served_sha256: Some(agreed.fingerprint.clone()),
                on_disk_sha256: Some(agreed.fingerprint),
                chain_missing: agreed.chain_missing,
                ..nothing_at(path)
            }
        }
        _ => shake_hands(host, path, on_disk).await,
    }
}

/// What is at one path now, and what is served.
pub(super) async fn look(host: &Host, path: &str) -> ReportedInstallation {
    let on_disk = on_disk_now(host, path).await;
    shake_hands(host, path, on_disk).await
}

async fn shake_hands(host: &Host, path: &str, on_disk: Result<OnDisk, String>) -> ReportedInstallation {
    let mut found = nothing_at(path);
    let mut asked = None;
    match on_disk {
        // A server goes on with what it has loaded; what that was is known from before.
        Err(why) => {
            if let Some(before) = agreed_before(host, path) {
                found.served_sha256 = still_served(host, &before).await;
            }
            found.error = Some(why);
        }
        Ok(on_disk) => {
            found.on_disk_sha256 = Some(on_disk.fingerprint.clone());
            asked.clone_from(&on_disk.server_name);
            if let Some(address) = &host.config.tls_address {
                let limit = host.config.handshake_attempt().min(HANDSHAKE_LIMIT);
                let name = on_disk.server_name.as_deref();
                let expected = [on_disk.fingerprint];
                let seen = tls_look::look(address, name, limit, Effort::ROUTINE).await;
                match seen.and_then(|seen| Seen::of(seen, &expected, &on_disk.above, host.clock.now())) {
                    Ok(seen) => note(seen, address, &mut found),
                    Err(failure) => found.error = Some(failure.to_string()),
                }
            }
        }
    }
    if let Ok(mut agreed) = host.agreed.lock() {
        match (&found.on_disk_sha256, &found.served_sha256) {
            (Some(disk), Some(served)) if disk == served && found.error.is_none() => {
                let now = Agreed {
                    fingerprint: disk.clone(),
                    chain_missing: found.chain_missing.clone(),
                    server_name: asked,
                    at: Some(Instant::now()),
                };
                agreed.insert(path.to_owned(), now);
            }
            _ => {
                if let Some(before) = agreed.get_mut(path) {
                    before.at = None;
                }
            }
        }
    }
    found
}

fn agreed_before(host: &Host, path: &str) -> Option<Agreed> {
    let agreed = host.agreed.lock().ok()?;
    agreed.get(path).cloned()
}

/// Fingerprint that handshakes show where the disk can't be read.
async fn still_served(host: &Host, before: &Agreed) -> Option<String> {
    let address = host.config.tls_address.as_ref()?;
    let limit = host.config.handshake_attempt().min(HANDSHAKE_LIMIT);
    let seen = tls_look::look(address, before.server_name.as_deref(), limit, Effort::ROUTINE).await;
    let seen = seen
        .and_then(|seen| {
            Seen::of(
                seen,
                std::slice::from_ref(&before.fingerprint),
                &[],
                host.clock.now(),
            )
        })
        .ok()?;
    seen.other
        .or(seen.expected)
        .map(|served| served.fingerprint_sha256)
}

/// What the handshakes showed. One that shows another certificate counts for all, and its words say how many did.
fn note(seen: Seen, address: &str, found: &mut ReportedInstallation) {
    let all_others = seen.n_other == seen.n;
    found.error = seen.disagreement(address).filter(|_| !all_others);
    match seen.fault {
        Some(Fault::Missing { missing, .. }) => found.chain_missing = Some(missing),
        Some(fault @ Fault::Unusable { .. }) => {
            let refused =
                || format!("`{address}` serves the certificate with a chain that clients refuse: {fault}");
            found.error.get_or_insert_with(refused);
        }
        None => {}
    }
    found.served_sha256 = seen
        .other
        .or(seen.expected)
        .map(|served| served.fingerprint_sha256);
}

fn nothing_at(path: &str) -> ReportedInstallation {
    ReportedInstallation {
        path: path.to_owned(),
        on_disk_sha256: None,
        served_sha256: None,
        chain_missing: None,
        error: None,
    }
}

/// The certificate at a path, and what stands above it there.
pub(super) struct OnDisk {
    pub(super) fingerprint: String,
    pub(super) spki_sha256: Option<String>,
    /// What a client asks for to be shown it.
    pub(super) server_name: Option<String>,
    above: Vec<Vec<u8>>,
}

/// Reads a path, but waits for no file system that hangs.
pub(super) async fn on_disk_now(host: &Host, path: &str) -> Result<OnDisk, String> {
    let owned = path.to_owned();
    let read = host
        .patience
        .within(path, FILES_LIMIT, move |_| read(&owned))
        .await;
    read.unwrap_or_else(|unfinished| Err(unfinished.to_string()))
}

fn read(path: &str) -> Result<OnDisk, String> {
    let pem = read_if_there(Path::new(path)).map_err(|error| error.to_string())?;
    let pem = Zeroizing::new(pem.ok_or_else(|| format!("nothing is at `{path}`"))?);
    let (mut certificates, fingerprint) = certificates_in(&pem).map_err(|why| format!("`{path}`: {why}"))?;
    let leaf = certificates.remove(0);
    // Where it can't be read, what the file itself holds is all that is known.
    let beside = read_if_there(&Path::new(path).with_extension("chain.pem"));
    if let Ok(Some(beside)) = beside
        && let Ok((chain, _)) = certificates_in(&beside)
    {
        certificates.extend(chain);
    }
    let spki = |(_, certificate): (_, X509Certificate<'_>)| {
        hex::encode(digest(&SHA256, certificate.public_key().raw))
    };
    Ok(OnDisk {
        fingerprint,
        spki_sha256: X509Certificate::from_der(&leaf).ok().map(spki),
        server_name: server_name_in(&leaf),
        above: certificates,
    })
}
