//! An ACME server (RFC 8555), seen with one account. It speaks and says what came of it; when to ask
//! again, and what belongs to which request, is the issuer's matter.

mod error;
mod http;
mod order;
mod renewal;

use std::path::Path;

use instant_acme::{
    Account, AccountCredentials, ExternalAccountKey, Identifier, Key, NewAccount, NewOrder, RevocationReason,
    RevocationRequest,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use zeroize::Zeroizing;

pub use error::AcmeError;
pub use order::{HttpChallenge, OpenOrder, OrderStatus};

use self::http::OverReqwest;
use super::body;
use crate::domain::reason::Reason;
use crate::domain::secret::Secret;

/// What binds a new account to one that the CA knows from elsewhere (RFC 8555 §7.3.4).
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    /// The key's name at the CA.
    pub key_id: String,
    /// The key, in base64url as CAs hand it out.
    pub hmac: Secret,
}

/// Where the CA is and how it is trusted.
#[derive(Clone, Debug)]
pub struct Directory {
    http: OverReqwest,
    url: String,
}

impl Directory {
    /// The directory at `url`, which has to be `https`. `ca_file` holds the only CAs to trust, in PEM;
    /// the system's are trusted without it.
    ///
    /// # Errors
    /// The address is not `https`, or the file can't be read.
    pub fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, AcmeError> {
        if !url.starts_with("https://") {
            return Err(AcmeError::Setup(format!(
                "the ACME directory `{url}` must start with `https://`"
            )));
        }
        Ok(Self {
            http: OverReqwest::new(ca_file)?,
            url: url.to_owned(),
        })
    }

    /// Whether the CA says when to renew what it signed.
    async fn has_renewal_info(&self) -> Result<bool, AcmeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Places {
            renewal_info: Option<String>,
        }
        let text = self.http.get(&self.url).await?;
        let places: Places = body::json(&text)
            .map_err(|error| AcmeError::Trouble(format!("the ACME directory is not understood: {error}")))?;
        Ok(places.renewal_info.is_some())
    }

    fn http(&self) -> Box<OverReqwest> {
        Box::new(self.http.clone())
    }
}

/// An account at the CA.
#[derive(Clone)]
pub struct AcmeAccount {
    account: Account,
    renewal_info: bool,
}

impl AcmeAccount {
    /// Makes a new account, agreeing to the CA's terms. The secret is all that is needed to use it again;
    /// it has to be kept before anything is ordered.
    ///
    /// # Errors
    /// The CA refused or can't be reached.
    pub async fn create(
        directory: &Directory,
        contact: &[String],
        external: Option<&ExternalAccount>,
    ) -> Result<(Self, Secret), AcmeError> {
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let external = external.map(binding).transpose()?;
        let (account, credentials) = Account::builder_with_http(directory.http())
            .create(&new, directory.url.clone(), external.as_ref())
            .await?;
        let text = serde_json::to_string(&credentials)
            .map_err(|error| AcmeError::Setup(format!("the new account can't be kept: {error}")))?;
        let renewal_info = directory.has_renewal_info().await?;
        Ok((
            Self {
                account,
                renewal_info,
            },
            Secret::new(text),
        ))
    }

    /// The account of a secret that was kept. The CA is asked whether it still knows it.
    ///
    /// # Errors
    /// The secret is damaged, the CA doesn't know the account, or can't be reached.
    pub async fn load(directory: &Directory, secret: &Secret) -> Result<Self, AcmeError> {
        let damaged = |error: String| AcmeError::Setup(format!("the kept account is damaged: {error}"));
        let credentials: AccountCredentials =
            serde_json::from_str(secret.expose()).map_err(|error| damaged(error.to_string()))?;
        let pkcs8 = credentials.private_key().clone_key();
        let key = Key::from_pkcs8_der(pkcs8.clone_key()).map_err(|error| damaged(error.to_string()))?;
        let (account, _) = Account::builder_with_http(directory.http())
            .from_key((key, PrivateKeyDer::Pkcs8(pkcs8)), directory.url.clone())
            .await?;
        let renewal_info = directory.has_renewal_info().await?;
        Ok(Self {
            account,
            renewal_info,
        })
    }

    /// Whether the CA says when to renew what it signed, as far as its directory said when the account
    /// was opened.
    #[must_use]
    pub fn has_renewal_info(&self) -> bool {
        self.renewal_info
    }

    /// Orders a certificate for these names. Nothing is signed before the order is finalized; the answer
    /// is its address, which finds it again. A CA that says when to renew is told what the order replaces,
    /// a certificate in DER.
    ///
    /// # Errors
    /// The CA refused or can't be reached.
    pub async fn new_order(&self, names: &[String], replaces: Option<&[u8]>) -> Result<String, AcmeError> {
        let names: Vec<Identifier> = names.iter().map(|name| identifier(name)).collect();
        if let Some(der) = replaces.filter(|_| self.renewal_info) {
            let told = match renewal::identifier(der) {
                Ok(old) => {
                    let order = NewOrder::new(&names).replaces(old);
                    self.account.new_order(&order).await.map_err(AcmeError::from)
                }
                Err(error) => Err(error),
            };
            match told {
                Ok(order) => return Ok(order.url().to_owned()),
                // It would say the same to the order without.
                Err(error @ (AcmeError::Busy { .. } | AcmeError::NoAccount(_))) => return Err(error),
                // It was replaced before, or the CA doesn't know it: what is asked for is a certificate all
                // the same. If the names are what it refuses, the order without says so.
                Err(error) => {
                    tracing::info!(%error, "the CA takes no order that says what it replaces: ordering without");
                }
            }
        }
        let order = self.account.new_order(&NewOrder::new(&names)).await?;
        Ok(order.url().to_owned())
    }

    /// The order at this address as it is now.
    ///
    /// # Errors
    /// The CA refused or can't be reached.
    pub async fn order(&self, url: &str) -> Result<OpenOrder, AcmeError> {
        Ok(OpenOrder(self.account.order(url.to_owned()).await?))
    }

    /// Revokes a certificate by the account that ordered it. That it is revoked already is fine.
    ///
    /// # Errors
    /// The CA refused or can't be reached.
    pub async fn revoke(&self, der: &[u8], reason: Reason) -> Result<(), AcmeError> {
        let certificate = CertificateDer::from(der);
        let request = RevocationRequest {
            certificate: &certificate,
            reason: Some(code(reason)),
        };
        match self.account.revoke(&request).await.map_err(AcmeError::from) {
            Err(AcmeError::Refused { kind, .. }) if kind == "alreadyRevoked" => Ok(()),
            other => other,
        }
    }
}

fn binding(external: &ExternalAccount) -> Result<ExternalAccountKey, AcmeError> {
    use base64::Engine;
    let text = external.hmac.expose().trim_end_matches('=');
    let key = base64::prelude::BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| AcmeError::Setup("the key of the external account is not in base64url".to_owned()))?;
    Ok(ExternalAccountKey::new(external.key_id.clone(), &key))
}

fn identifier(name: &str) -> Identifier {
    match name.parse() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(name.to_ascii_lowercase()),
    }
}

fn code(reason: Reason) -> RevocationReason {
    match reason {
        Reason::Unspecified => RevocationReason::Unspecified,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::CaCompromise => RevocationReason::CaCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::CertificateHold => RevocationReason::CertificateHold,
        Reason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        Reason::AaCompromise => RevocationReason::AaCompromise,
    }
}
