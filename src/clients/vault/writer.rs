//! What changes something at Vault: unseal, sign, revoke, keep the token alive.

use std::sync::Arc;

use serde_json::json;
use vaultrs::api::pki::requests::{RevokeCertificateRequest, SignCertificateRequest};
use zeroize::Zeroizing;

use super::error::VaultError;
use super::link::Link;
use super::place::{Login, Place};
use super::reader::{SealStatus, VaultReader};
use super::session::Lasts;
use crate::domain::secret::Secret;

/// What came back from a signature. Serial and dates are taken from the certificate itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// In PEM.
    pub certificate_pem: String,
    /// Its issuers in PEM, the nearest first.
    pub chain: Vec<String>,
}

/// Changes one Vault. Clones share the connection.
#[derive(Clone)]
pub struct VaultWriter(Arc<Link>);

impl VaultWriter {
    /// A writer at `place`; an unseal needs no login.
    ///
    /// # Errors
    /// The address is none, or the CA file can't be used.
    pub fn new(place: &Place, login: Login) -> Result<Self, VaultError> {
        Ok(Self(Arc::new(Link::new(place, login)?)))
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.place.address
    }

    /// A reader over this connection.
    #[must_use]
    pub fn reader(&self) -> VaultReader {
        VaultReader(Arc::clone(&self.0))
    }

    /// Gives one share. A wrong one is only noticed at the threshold, and then all are dropped.
    ///
    /// # Errors
    /// [`VaultError::Refused`] with Vault's words when the shares don't fit together.
    pub async fn unseal(&self, share: &Secret) -> Result<SealStatus, VaultError> {
        let key = serde_json::to_string(share.expose())
            .map(Zeroizing::new)
            .map_err(|error| VaultError::Garbled(error.to_string()))?;
        let body = Zeroizing::new(format!("{{\"key\":{}}}", *key));
        self.0.put("sys/unseal", body.as_bytes().to_vec()).await
    }

    /// Drops the shares that were given so far.
    ///
    /// # Errors
    /// [`VaultError::Refused`] when Vault is not sealed.
    pub async fn reset_unseal(&self) -> Result<SealStatus, VaultError> {
        self.0.put("sys/unseal", br#"{"reset":true}"#.to_vec()).await
    }

    /// Has a CSR signed.
    ///
    /// # Errors
    /// See [`VaultError`]; after [`VaultError::Unknown`] look for the certificate before asking again.
    pub async fn sign(
        &self,
        mount: &str,
        role: &str,
        csr_pem: &str,
        common_name: &str,
        alt_names: &[String],
        ttl: Option<&str>,
    ) -> Result<Signed, VaultError> {
        let (ips, names): (Vec<&str>, Vec<&str>) = alt_names
            .iter()
            .map(String::as_str)
            .partition(|name| name.parse::<std::net::IpAddr>().is_ok());
        let mut call = SignCertificateRequest::builder();
        let call = call.mount(mount).role(role).csr(csr_pem).common_name(common_name);
        if !names.is_empty() {
            call.alt_names(names.join(","));
        }
        if !ips.is_empty() {
            call.ip_sans(ips.join(","));
        }
        if !alt_names.is_empty() {
            // Among them already, as what it is: Vault makes a DNS name of an address.
            call.exclude_cn_from_sans(true);
        }
        if let Some(ttl) = ttl {
            call.ttl(ttl);
        }
        let reply = self
            .0
            .call(|session| {
                let call = call.build();
                async move {
                    let call = call.map_err(|error| VaultError::Garbled(error.to_string()))?;
                    let nothing = || VaultError::Garbled("the answer holds no certificate".to_owned());
                    session.ask(call).await?.data.ok_or_else(nothing)
                }
            })
            .await?;
        let chain = reply
            .ca_chain
            .filter(|chain| !chain.is_empty())
            .unwrap_or_else(|| vec![reply.issuing_ca]);
        Ok(Signed {
            certificate_pem: reply.certificate,
            chain,
        })
    }

    /// Revokes by serial. Doing it twice is doing it once.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn revoke(&self, mount: &str, serial: &str) -> Result<Revoked, VaultError> {
        self.0
            .call(|session| async move {
                let call = RevokeCertificateRequest {
                    mount: mount.to_owned(),
                    serial_number: serial.to_owned(),
                };
                Ok(match session.ask(call).await?.data {
                    Some(_) => Revoked::Accepted,
                    // 200 with a warning and no data: that is how Vault says that it has expired.
                    None => Revoked::AlreadyExpired,
                })
            })
            .await
    }

    /// Revokes by the certificate itself: the only way where the CA did not keep it.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn revoke_certificate(&self, mount: &str, pem: &str) -> Result<Revoked, VaultError> {
        // `vaultrs` knows the serial only.
        self.0
            .post(&format!("{mount}/revoke"), &json!({"certificate": pem}))
            .await
            .map(|data| match data {
                Some(_) => Revoked::Accepted,
                None => Revoked::AlreadyExpired,
            })
            .map_err(|error| match error {
                // Said with a 500, though asking again gives the same answer.
                VaultError::Unknown(words) if words.contains("unable to verify signature") => {
                    VaultError::Refused(words)
                }
                error => error,
            })
    }

    /// Keeps our own login alive.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn keep_alive(&self) -> Result<Lasts, VaultError> {
        self.0.sessions.keep_alive().await
    }
}

/// What the CA said to a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is revoked.
    Accepted,
    /// It had expired, and Vault puts expired ones on no CRL.
    AlreadyExpired,
}
