//! What can be read from Vault. Nothing here changes anything.

use std::sync::Arc;

use serde::Deserialize;
use vaultrs::api;

use super::error::VaultError;
use super::link::{Link, parse};
use crate::domain::secret::Secret;

/// `GET sys/seal-status`, and the answer to a share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SealStatus {
    /// `shamir`, or how else it is sealed.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it was initialised.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// How many shares open it.
    pub t: u64,
    /// How many shares there are.
    pub n: u64,
    /// How many were given.
    pub progress: u64,
    /// Names the ceremony; changes when somebody resets it.
    pub nonce: String,
    /// Vault's version.
    pub version: String,
}

/// `GET sys/health`, whose status code is the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The status code: 200 active, 429 standby, 501 not initialised, 503 sealed.
    pub status: u16,
    /// Whether it was initialised.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether it stands by for another node.
    pub standby: bool,
    /// Vault's version.
    pub version: String,
}

/// One mounted engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where, without the slash at the end.
    pub path: String,
    /// `pki`, `kv` and so on.
    pub kind: String,
}

/// A certificate as the CA keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// In PEM.
    pub pem: String,
    /// Seconds since 1970 when it was revoked, if it was.
    pub revoked_at: Option<i64>,
}

/// Reads from one Vault. Clones share the connection.
#[derive(Clone)]
pub struct VaultReader(pub(super) Arc<Link>);

impl VaultReader {
    /// A reader of the Vault at `address`; seal status, health, chain and CRL need no token.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(address: &str, token: Option<&Secret>) -> Result<Self, VaultError> {
        Ok(Self(Arc::new(Link::new(address, token)?)))
    }

    /// Whether it is sealed, and how far an unseal is.
    ///
    /// # Errors
    /// No answer, or none that makes sense.
    pub async fn seal_status(&self) -> Result<SealStatus, VaultError> {
        let path = "sys/seal-status";
        parse(path, self.0.fetch_text(path).await?.as_bytes())
    }

    /// How it is; a sealed or standby Vault is an answer, not an error.
    ///
    /// # Errors
    /// No answer, or none that makes sense.
    pub async fn health(&self) -> Result<Health, VaultError> {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Body {
            initialized: bool,
            sealed: bool,
            standby: bool,
            version: String,
        }
        let path = "sys/health";
        let (status, body) = self.0.fetch(path).await?;
        let body: Body = parse(path, &body)?;
        Ok(Health {
            status,
            initialized: body.initialized,
            sealed: body.sealed,
            standby: body.standby,
            version: body.version,
        })
    }

    /// The mounted engines, by path.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn mounts(&self) -> Result<Vec<Mount>, VaultError> {
        let mounts = vaultrs::sys::mount::list(&self.0.vault)
            .await
            .map_err(VaultError::from_client)?;
        let mut mounts: Vec<Mount> = mounts
            .into_iter()
            .map(|(path, mount)| Mount {
                path: path.trim_end_matches('/').to_owned(),
                kind: mount.mount_type,
            })
            .collect();
        mounts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(mounts)
    }

    /// The CA's chain in PEM, the issuing CA first.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn ca_chain(&self, mount: &str) -> Result<String, VaultError> {
        self.0.fetch_text(&format!("{mount}/ca_chain")).await
    }

    /// The CRL in PEM, as anybody gets it.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn crl(&self, mount: &str) -> Result<String, VaultError> {
        self.0.fetch_text(&format!("{mount}/crl/pem")).await
    }

    /// The serials of all certificates that the CA keeps, its own among them.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn certificates(&self, mount: &str) -> Result<Vec<String>, VaultError> {
        match vaultrs::pki::cert::list(&self.0.vault, mount).await {
            Ok(serials) => Ok(serials),
            // Vault's way of saying that a list is empty.
            Err(vaultrs::error::ClientError::APIError { code: 404, errors }) if errors.is_empty() => {
                Ok(Vec::new())
            }
            Err(error) => Err(VaultError::from_client(error)),
        }
    }

    /// One certificate by its serial.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn certificate(&self, mount: &str, serial: &str) -> Result<CaCertificate, VaultError> {
        let request = api::pki::requests::ReadCertificateRequest::builder()
            .mount(mount)
            .serial(serial)
            .build()
            .map_err(|error| VaultError::Garbled(error.to_string()))?;
        let body = api::exec_with_result(&self.0.vault, request)
            .await
            .map_err(VaultError::from_client)?;
        Ok(CaCertificate {
            pem: body.certificate,
            revoked_at: Some(body.revocation_time).filter(|at| *at > 0),
        })
    }
}
