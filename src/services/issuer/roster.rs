//! From adapter rows to adapters that speak: made once, made anew when the configuration changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::adapters::{Acme, Adapter, VaultPki, acme, vault_pki};
use crate::clients::acme::ExternalAccount;
use crate::clients::vault::Login;
use crate::domain::adapter::Adapter as AdapterRow;

/// The adapters in use.
pub(super) struct Roster {
    vault_login: Login,
    /// Binds a new account at an ACME CA to one that it knows.
    pub(super) external_account: Option<ExternalAccount>,
    /// Stand in for the CAs of these names in tests.
    #[cfg(test)]
    pub(super) instead: HashMap<String, Arc<dyn Adapter>>,
    made: Mutex<HashMap<String, Made>>,
}

struct Made {
    config: serde_json::Value,
    /// `None`: the configuration makes no sense; said once.
    adapter: Option<Arc<dyn Adapter>>,
}

impl Roster {
    pub(super) fn new(vault_login: Login) -> Self {
        Self {
            vault_login,
            external_account: None,
            #[cfg(test)]
            instead: HashMap::new(),
            made: Mutex::default(),
        }
    }

    /// The adapter of a row; `None` if its configuration makes no sense.
    pub(super) fn adapter(&self, row: &AdapterRow) -> Option<Arc<dyn Adapter>> {
        #[cfg(test)]
        if let Some(instead) = self.instead.get(&row.name) {
            return Some(Arc::clone(instead));
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = made.get(&row.id).filter(|it| it.config == row.config) {
            return it.adapter.clone();
        }
        let adapter = match self.make(row) {
            Ok(adapter) => Some(adapter),
            Err(error) => {
                tracing::error!(adapter = %row.name, %error, "the adapter can't be used");
                None
            }
        };
        let it = Made {
            config: row.config.clone(),
            adapter: adapter.clone(),
        };
        made.insert(row.id.clone(), it);
        adapter
    }

    fn make(&self, row: &AdapterRow) -> Result<Arc<dyn Adapter>, String> {
        if row.kind == acme::KIND {
            let config = serde_json::from_value(row.config.clone()).map_err(|error| error.to_string())?;
            return Ok(Arc::new(Acme::new(config, self.external_account.clone())));
        }
        if row.kind != vault_pki::KIND {
            return Err(format!("kind `{}` is not known", row.kind));
        }
        let config: vault_pki::Config =
            serde_json::from_value(row.config.clone()).map_err(|error| error.to_string())?;
        let adapter = VaultPki::new(config, self.vault_login.clone()).map_err(|error| error.to_string())?;
        Ok(Arc::new(adapter))
    }
}
