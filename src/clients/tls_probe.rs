//! A real TLS handshake that reads what a server serves, without trusting it.
//!
//! It accepts any certificate on purpose: an expired or foreign one is exactly what has to be seen.
//! It sends no data, and whether what it saw is right is for the caller to say.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::domain::certificate::normal_serial;

/// What a server showed in its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// SHA-256 over the certificate's DER, lower-case hex.
    pub fingerprint_sha256: String,
    /// SHA-256 over its SubjectPublicKeyInfo, lower-case hex.
    pub spki_sha256: String,
    /// Its subject.
    pub subject: String,
    /// Its serial, lower-case hex pairs with colons.
    pub serial: String,
    /// Its first moment of validity.
    pub not_before: DateTime<Utc>,
    /// Its last moment of validity.
    pub not_after: DateTime<Utc>,
    /// All that was sent, the certificate itself first, in DER.
    pub chain_der: Vec<Vec<u8>>,
    /// Such as `TLSv1_3`.
    pub protocol: Option<String>,
}

/// Why no certificate was seen, by the step that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// The address isn't `host:port`.
    #[error("`{0}` is not `host:port`")]
    Address(String),
    /// The host's name did not resolve.
    #[error("the name `{host}` did not resolve: {why}")]
    Name {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// No connection came about.
    #[error("no connection to `{address}`: {why}")]
    Connect {
        /// Where to.
        address: String,
        /// Refused, unreachable, no answer in time.
        why: String,
    },
    /// Connected, but the handshake failed.
    #[error("connected to `{address}`, but the TLS handshake failed: {why}")]
    Tls {
        /// With whom.
        address: String,
        /// Which alert, or no answer in time.
        why: String,
    },
}

/// Shakes hands with `address` (`host:port`), asking for `server_name` (the host without it), all
/// within `limit`.
pub async fn probe(
    address: &str,
    server_name: Option<&str>,
    limit: Duration,
) -> Result<Served, ProbeFailure> {
    let began = Instant::now();
    let addresses = addresses(address, limit).await?;
    let left = limit.saturating_sub(began.elapsed());
    probe_at(address, &addresses, server_name, left).await
}

/// The addresses behind `address` (`host:port`).
pub(super) async fn addresses(address: &str, limit: Duration) -> Result<Vec<SocketAddr>, ProbeFailure> {
    let (host, port) = crate::domain::endpoint::split_host_port(address)
        .ok_or_else(|| ProbeFailure::Address(address.to_owned()))?;
    let failed = |why: String| ProbeFailure::Name {
        host: host.to_owned(),
        why,
    };
    let found = timeout(limit, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| failed(no_answer(limit)))?
        .map_err(|error| failed(error.to_string()))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Shakes hands with the first of `addresses` that takes a connection; they are those of `address`.
pub(super) async fn probe_at(
    address: &str,
    addresses: &[SocketAddr],
    server_name: Option<&str>,
    limit: Duration,
) -> Result<Served, ProbeFailure> {
    let until = Instant::now() + limit;
    let (host, _) = crate::domain::endpoint::split_host_port(address)
        .ok_or_else(|| ProbeFailure::Address(address.to_owned()))?;
    let failed_connect = |why: String| ProbeFailure::Connect {
        address: address.to_owned(),
        why,
    };
    let tcp = timeout_at(until, connect(addresses))
        .await
        .map_err(|_| failed_connect(no_answer(limit)))?
        .map_err(|error| failed_connect(connect_words(&error)))?;

    let failed_tls = |why: String| ProbeFailure::Tls {
        address: address.to_owned(),
        why,
    };
    let name = server_name.unwrap_or(host);
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| failed_tls(format!("`{name}` is not a name to ask for")))?;
    let config = accepting_config().map_err(|error| failed_tls(error.to_string()))?;
    let stream = timeout_at(until, TlsConnector::from(config).connect(name, tcp))
        .await
        .map_err(|_| failed_tls(no_answer(limit)))?
        .map_err(|error| failed_tls(error.to_string()))?;
    let connection = stream.get_ref().1;
    let chain = connection
        .peer_certificates()
        .ok_or_else(|| failed_tls("no certificate was sent".to_owned()))?;
    let protocol = connection
        .protocol_version()
        .map(|version| format!("{version:?}"));
    read(chain, protocol).map_err(failed_tls)
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {:.1} s", limit.as_secs_f32())
}

/// The words for a connection that did not come about.
#[must_use]
pub fn connect_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused, nothing listens there".to_owned(),
        io::ErrorKind::HostUnreachable => "the host is unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read(chain: &[CertificateDer<'_>], protocol: Option<String>) -> Result<Served, String> {
    let leaf = chain.first().ok_or("no certificate was sent")?;
    let (_, certificate) = X509Certificate::from_der(leaf)
        .map_err(|error| format!("what was sent is not a certificate: {error}"))?;
    let moment = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    Ok(Served {
        fingerprint_sha256: hex::encode(digest(&SHA256, leaf)),
        spki_sha256: hex::encode(digest(&SHA256, certificate.public_key().raw)),
        subject: certificate.subject().to_string(),
        serial: normal_serial(&hex::encode(certificate.raw_serial())).unwrap_or_default(),
        not_before: moment(certificate.validity().not_before.timestamp()),
        not_after: moment(certificate.validity().not_after.timestamp()),
        chain_der: chain.iter().map(|der| der.to_vec()).collect(),
        protocol,
    })
}

fn accepting_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(provider::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Accepts any certificate, but still checks that the server holds its private key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn each_step_that_fails_is_named() {
        assert!(matches!(
            probe("nonsense", None, LIMIT).await,
            Err(ProbeFailure::Address(_))
        ));
        assert!(matches!(
            probe("no-such-host.invalid:443", None, LIMIT).await,
            Err(ProbeFailure::Name { .. })
        ));
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap().to_string();
        let mute = tokio::spawn(async move {
            let (stream, _) = free.accept().await.unwrap();
            drop(stream);
        });
        assert!(matches!(
            probe(&address, None, LIMIT).await,
            Err(ProbeFailure::Tls { .. })
        ));
        mute.await.unwrap();
        // Held without listening, so that no other test gets the port meanwhile.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = held.local_addr().unwrap().to_string();
        let refused = probe(&address, None, LIMIT).await.unwrap_err();
        assert!(refused.to_string().contains("nothing listens there"), "{refused}");
    }
}
