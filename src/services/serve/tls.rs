//! The server's own certificate: read from two files, and read again when they change. A pair that can't
//! be used never replaces one that can. Whom it asks for theirs is in `peer`.

use crate::domain::told::quoted;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpStream;
use tokio::signal::unix::Signal;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::patient::Patient;
use super::peer::{Asks, Peer};
use crate::clients::anchors;
use crate::clock::Clock;
use crate::config::pem_file;
use crate::domain::chain::{self, Known};

/// One record. By itself TLS keeps four of what a visitor doesn't take, of each of them.
const MAX_UNSENT: usize = 16 * 1024;
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a pair can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be used.
    #[error("`{path}`: {why}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The key isn't the certificate's.
    #[error("the key in `{key}` is not that of the first certificate in `{cert}`", key = key.display(), cert = cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Both are readable and rustls takes neither.
    #[error("the certificate in `{cert}` can't be served: {why}", cert = cert.display())]
    Refused {
        /// The certificate's file.
        cert: PathBuf,
        /// Why.
        why: String,
    },
}

/// A certificate with its key, as it is served now.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    clock: Clock,
    visitors: Option<Arc<dyn ClientCertVerifier>>,
    current: RwLock<Arc<ServerConfig>>,
}

/// What tells that a file was replaced or written to.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl Tls {
    /// Reads the chain, the server's own certificate first, and its key, both in PEM.
    ///
    /// `visitors` says whom to believe that shows a certificate; nobody is asked for one without it.
    ///
    /// # Errors
    /// They can't be read, or don't belong together.
    pub fn load(
        cert: &Path,
        key: &Path,
        visitors: Option<Arc<dyn ClientCertVerifier>>,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let config = read(cert, key, visitors.as_ref(), &clock)?;
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            clock,
            visitors,
            current: RwLock::new(config),
        })
    }

    /// A handshake with the pair as it is now.
    pub(super) async fn accept(
        &self,
        stream: Patient<TcpStream>,
    ) -> io::Result<TlsStream<Patient<TcpStream>>> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let mut stream = TlsAcceptor::from(current).accept(stream).await?;
        stream.get_mut().1.set_buffer_limit(Some(MAX_UNSENT));
        Ok(stream)
    }

    /// The certificate that the visitor showed, if it was asked and has one.
    pub(super) fn peer(&self, stream: &TlsStream<Patient<TcpStream>>) -> Option<Peer> {
        let (_, connection) = stream.get_ref();
        let chain = connection.peer_certificates()?;
        Peer::of(chain, self.visitors.as_deref()?, self.clock.now())
    }

    /// Reads the files again whenever they changed or `hangup` comes, for as long as it is polled.
    /// Connections that are open keep what they were opened with.
    pub async fn keep(&self, mut hangup: Signal) {
        let mut looked_at = self.stamp();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            let told = tokio::select! {
                _ = ticks.tick() => false,
                _ = hangup.recv() => true,
            };
            let stamp = self.stamp();
            if !told && stamp == looked_at {
                continue;
            }
            // Taken before reading: what changes meanwhile is seen at the next look.
            looked_at = stamp;
            match read(&self.cert, &self.key, self.visitors.as_ref(), &self.clock) {
                Ok(config) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                    tracing::info!(cert = %self.cert.display(), "the certificate as it is now is served");
                }
                Err(error) => tracing::error!(
                    %error,
                    "the new certificate is not used, the one before is served on; write certificate and \
                     key so that they belong together"
                ),
            }
        }
    }

    fn stamp(&self) -> Stamp {
        [&self.cert, &self.key].map(|path| {
            let it = fs::metadata(path).ok()?;
            Some((it.ino(), it.len(), it.mtime(), it.mtime_nsec()))
        })
    }
}

fn read(
    cert: &Path,
    key: &Path,
    visitors: Option<&Arc<dyn ClientCertVerifier>>,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |path: &Path, why: String| TlsError::File {
        path: path.to_owned(),
        why,
    };
    let certificates = pem_file::certificates(cert).map_err(|refusal| wrong(cert, refusal.to_string()))?;
    tell_chain(cert, &certificates, clock.now());
    let chain: Vec<CertificateDer<'static>> = certificates.into_iter().map(CertificateDer::from).collect();
    let Some(leaf) = chain.first() else {
        return Err(wrong(cert, "holds no certificate in PEM".to_owned()));
    };
    tell_validity(cert, leaf, clock.now())?;
    let pem = pem_file::private_key(key).map_err(|refusal| wrong(key, refusal.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| wrong(key, format!("holds no private key in PEM: {error}")))?;
    if fs::metadata(key).is_ok_and(|file| file.mode() & 0o004 != 0) {
        tracing::warn!(key = %key.display(), "everybody on this host can read the private key; chmod 0640");
    }
    let refused = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
        },
        other => TlsError::Refused {
            cert: cert.to_owned(),
            why: other.to_string(),
        },
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(refused)?;
    let builder = match visitors {
        Some(trust) => builder.with_client_cert_verifier(Arc::new(Asks(Arc::clone(trust)))),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, private).map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A chain that clients can't build is served all the same, since the certificate alone may do for some; the log says
/// first what is missing. A root is known to clients, or to nobody.
fn tell_chain(path: &Path, certificates: &[Vec<u8>], now: DateTime<Utc>) {
    let Some((leaf, rest)) = certificates.split_first() else {
        return;
    };
    if chain::above(leaf, rest) != rest {
        tracing::warn!(
            cert = %path.display(),
            "the certificates after the server's own are not its issuers in order; put the one that issued it second, \
             and so on"
        );
    }
    let known = Known {
        chain: &[],
        anchors: anchors::of_this_machine(),
        now,
    };
    if let Err(fault) = chain::complete(certificates, &known) {
        tracing::warn!(
            cert = %path.display(),
            "clients refuse the chain: {fault}; replace it in the file with the issuer's certificate of now"
        );
    }
    let missing = chain::ends_below(certificates).filter(|issuer| !is_trusted_here(issuer));
    if let Some(issuer) = missing {
        tracing::warn!(
            cert = %path.display(),
            "the chain is incomplete unless {} is a root that all clients have: it is not in the file, and this \
             host doesn't trust it either; append the intermediates to the file",
            quoted(&issuer)
        );
    }
}

/// Whether this host's trust store has a CA of that name.
fn is_trusted_here(name: &str) -> bool {
    let roots = anchors::of_this_machine();
    roots.iter().any(|root| chain::subject(root) == name)
}

/// A certificate outside its validity is served all the same, since nothing better is there; clients will
/// refuse it, so that the log says it first.
fn tell_validity(path: &Path, leaf: &CertificateDer<'_>, now: DateTime<Utc>) -> Result<(), TlsError> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| TlsError::File {
        path: path.to_owned(),
        why: format!("holds no certificate: {error}"),
    })?;
    let validity = leaf.validity();
    if validity.not_after.timestamp() < now.timestamp() {
        tracing::warn!(cert = %path.display(), "the server's own certificate expired at {}", validity.not_after);
    }
    if validity.not_before.timestamp() > now.timestamp() {
        tracing::warn!(cert = %path.display(), "the server's own certificate is not valid before {}", validity.not_before);
    }
    Ok(())
}
