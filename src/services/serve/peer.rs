//! Who a visitor proved to be with a certificate of its own. It is asked for one and never sent away for it:
//! a handshake that fails can't say why, and what a visitor must be is for the routes to say.
//!
//! That the visitor has the certificate's key is proven in the handshake, whoever issued it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// The certificate that a visitor has the key of; in a request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// It, in DER.
    pub certificate: CertificateDer<'static>,
    /// Why it proves nothing here, such as "has expired".
    pub distrusted: Option<String>,
}

impl Peer {
    /// The peer with this chain, its own certificate first.
    pub(super) fn of(
        chain: &[CertificateDer<'_>],
        trust: &dyn ClientCertVerifier,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let (certificate, above) = chain.split_first()?;
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let distrusted = trust.verify_client_cert(certificate, above, now).err();
        Some(Self {
            certificate: certificate.clone().into_owned(),
            distrusted: distrusted.map(|error| in_words(&error)),
        })
    }
}

fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet".to_owned()
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "is not from the platform's CA for agents".to_owned()
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "is not made for proving who connects".to_owned()
            }
            other => format!("can't be trusted: {other}"),
        },
        other => format!("can't be trusted: {other}"),
    }
}

/// Asks for a certificate of the CAs that `0` trusts, and takes any whose key the visitor has.
pub(super) struct Asks(pub(super) Arc<dyn ClientCertVerifier>);

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asks")
    }
}

impl ClientCertVerifier for Asks {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    /// Decided by [`Peer::of`], once there is somebody to tell.
    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
