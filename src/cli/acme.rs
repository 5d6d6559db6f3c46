//! How `cmp-server` is told of an external CA behind ACME.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::clients::acme::ExternalAccount;
use crate::domain::secret::Secret;

/// The key's name at the CA that a new account is bound to.
const EAB_KEY_ID: &str = "CMP_ACME_EAB_KID";
/// The key, in base64url.
const EAB_HMAC: &str = "CMP_ACME_EAB_HMAC";

/// The adapter `acme`.
#[derive(Debug, Args)]
pub(super) struct AcmeArguments {
    /// The directory of an ACME CA, such as https://acme-v02.api.letsencrypt.org/directory; makes or changes
    /// the adapter `acme`. Using it agrees to the CA's terms
    #[arg(long, value_name = "URL", requires = "acme_account_file")]
    acme: Option<String>,
    /// Where the account at the ACME CA is kept, with its key; registered and made with mode 0600 where
    /// there is none. All issuers of a platform need the same one
    #[arg(long, value_name = "FILE")]
    acme_account_file: Option<PathBuf>,
    /// The CAs to trust with that address, in PEM; the system's if not given
    #[arg(long, value_name = "FILE", requires = "acme")]
    acme_ca_file: Option<PathBuf>,
    /// How the CA reaches you, such as mailto:pki@example.com; may be given several times
    #[arg(long, value_name = "URI", requires = "acme")]
    acme_contact: Vec<String>,
}

impl AcmeArguments {
    /// The adapter's configuration, if there is to be one.
    pub(super) fn config(&self) -> Option<Value> {
        let directory = self.acme.as_ref()?;
        let mut config = json!({
            "directory": directory, "account_file": self.acme_account_file, "contact": self.acme_contact,
        });
        if let Some(file) = &self.acme_ca_file {
            config["ca_file"] = json!(file);
        }
        Some(config)
    }
}

/// What binds a new account to one that the CA knows, from the environment.
pub(super) fn external_account() -> Option<ExternalAccount> {
    let key_id = std::env::var(EAB_KEY_ID).ok()?;
    let hmac = std::env::var(EAB_HMAC).ok().map(Secret::new)?;
    Some(ExternalAccount { key_id, hmac })
}
