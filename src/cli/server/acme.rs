//! How `cmp-server` is told of an external CA behind ACME.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::lay::set;
use crate::config::server::Acme;

/// The adapter `acme`.
#[derive(Debug, Args)]
pub(super) struct AcmeArguments {
    /// The directory of an ACME CA, such as https://acme-v02.api.letsencrypt.org/directory; makes or changes
    /// the adapter `acme`. Using it agrees to the CA's terms
    #[arg(long, value_name = "URL")]
    acme: Option<String>,
    /// Where the account at the ACME CA is kept, with its key; registered and made with mode 0600 where
    /// there is none. All issuers of a platform need the same one
    #[arg(long, value_name = "FILE")]
    acme_account_file: Option<PathBuf>,
    /// The CAs to trust with that address, in PEM; the system's if not given
    #[arg(long, value_name = "FILE")]
    acme_ca_file: Option<PathBuf>,
    /// How the CA reaches you, such as mailto:pki@example.com; may be given several times
    #[arg(long, value_name = "URI")]
    acme_contact: Vec<String>,
}

impl AcmeArguments {
    pub(super) fn lay_over(self, acme: &mut Acme) {
        set(&mut acme.directory, self.acme.map(Some));
        set(&mut acme.account_file, self.acme_account_file.map(Some));
        set(&mut acme.ca_file, self.acme_ca_file.map(Some));
        set(
            &mut acme.contact,
            Some(self.acme_contact).filter(|it| !it.is_empty()),
        );
    }
}

/// The adapter's configuration, if there is to be one.
pub(super) fn adapter(acme: &Acme) -> Option<Value> {
    let directory = acme.directory.as_ref()?;
    let mut config = json!({
        "directory": directory, "account_file": acme.account_file, "contact": acme.contact,
    });
    if let Some(file) = &acme.ca_file {
        config["ca_file"] = json!(file);
    }
    Some(config)
}
