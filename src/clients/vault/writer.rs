//! What changes something at Vault: unseal, sign, revoke, keep the token alive.

use std::sync::Arc;

use vaultrs::api::pki::requests::SignCertificateRequest;
use vaultrs::error::ClientError;
use zeroize::Zeroizing;

use super::error::VaultError;
use super::link::Link;
use super::reader::{SealStatus, VaultReader};
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
    /// A writer at `address`; an unseal needs no token.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(address: &str, token: Option<&Secret>) -> Result<Self, VaultError> {
        Ok(Self(Arc::new(Link::new(address, token)?)))
    }

    /// The same connection, for reading.
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
        let mut options = SignCertificateRequest::builder();
        let (ips, names): (Vec<&str>, Vec<&str>) = alt_names
            .iter()
            .map(String::as_str)
            .partition(|name| name.parse::<std::net::IpAddr>().is_ok());
        if !names.is_empty() {
            options.alt_names(names.join(","));
        }
        if !ips.is_empty() {
            options.ip_sans(ips.join(","));
        }
        if let Some(ttl) = ttl {
            options.ttl(ttl);
        }
        let reply = vaultrs::pki::cert::ca::sign(
            &self.0.vault,
            mount,
            role,
            csr_pem,
            common_name,
            Some(&mut options),
        )
        .await
        .map_err(VaultError::from_client)?;
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
        match vaultrs::pki::cert::revoke(&self.0.vault, mount, serial).await {
            Ok(_) => Ok(Revoked::Accepted),
            // 200 with a warning and no data: that is how Vault says that it has expired.
            Err(ClientError::ResponseDataEmptyError | ClientError::ResponseEmptyError) => {
                Ok(Revoked::AlreadyExpired)
            }
            Err(error) => Err(VaultError::from_client(error)),
        }
    }

    /// Prolongs our own token.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn renew_token(&self) -> Result<(), VaultError> {
        // The answer repeats the token; it is dropped here.
        vaultrs::token::renew_self(&self.0.vault, None)
            .await
            .map(drop)
            .map_err(VaultError::from_client)
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
