//! Lacks at Vault that more than one call meets: remembered, named, and looked at until it is there.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::{AdapterError, Config, LIST_AGAIN, REMEMBERED, VaultPki};
use crate::clients::vault::VaultError;

/// Lack at Vault, or before it, so that this adapter can't work. It is nobody's request's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// A line of our policy.
    Line { path: String, capability: &'static str },
    /// The role that signs.
    Role,
    /// The mount, or a PKI engine there.
    Mount,
    /// A CA in the mount.
    Ca,
    /// The list of what was signed, and why it can't be had.
    List(String),
    /// A gateway that lets a call of ours through, and what it said.
    Gateway(String),
}

/// A lack, and when it was last seen to be one.
#[derive(Clone)]
pub(super) struct Lacking {
    since: Instant,
    what: Lack,
}

impl Lack {
    /// The error of what can't be done for it. A role, and what finds a lost signature again, is for signatures alone;
    /// a line is asked for by them too, since a revocation's denial is its own.
    fn error(&self, config: &Config) -> AdapterError {
        let words = self.words(config);
        match self {
            Self::Line { .. } | Self::Role | Self::List(_) => AdapterError::Unsigned(words),
            Self::Mount | Self::Ca | Self::Gateway(_) => AdapterError::Away(words),
        }
    }

    pub(super) fn words(&self, config: &Config) -> String {
        let Config { mount, role, .. } = config;
        match self {
            Self::Line { path, capability } => format!(
                "Vault denied it: the policy of the issuer's credential lacks \
                 `path \"{path}\" {{ capabilities = [\"{capability}\"] }}`; add it, and this goes on by itself"
            ),
            Self::Role => format!(
                "Vault has no role `{role}` at `{mount}`: write `{mount}/roles/{role}`, or name the right one in \
                 cmp-server's `vault.role`; then this goes on by itself"
            ),
            Self::Mount => format!(
                "Vault has no PKI engine at `{mount}`: enable it there, or name the right one in cmp-server's \
                 `vault.mount`; then this goes on by itself"
            ),
            Self::Ca => format!(
                "the PKI engine at `{mount}` has no CA to sign with: give it one (`{mount}/root/generate` or \
                 `{mount}/intermediate/set-signed`), and this goes on by itself"
            ),
            Self::List(why) => format!(
                "what Vault has signed can't be listed (LIST `{mount}/certs`), so that a lost answer can't be found \
                 again: {why}"
            ),
            Self::Gateway(why) => why.clone(),
        }
    }
}

impl VaultPki {
    /// Error of a call that came to nothing: a lack that others share is remembered, and what needs it waits until
    /// that is there. `line` is what our policy needs for the call.
    pub(super) async fn unless_lacking(
        &self,
        error: VaultError,
        line: Option<(&'static str, String)>,
    ) -> AdapterError {
        let lack = match (&error, line) {
            // A caller that isn't root learns no more than that nothing is there.
            (VaultError::Denied(_), Some((capability, path))) => match self.is_mounted().await {
                Err(Lack::Mount) => Some(Lack::Mount),
                _ => Some(Lack::Line { path, capability }),
            },
            (VaultError::Refused(words), _) if words.contains("unknown role") => Some(Lack::Role),
            // Vault signs nothing without one, whatever its status.
            (VaultError::Refused(words) | VaultError::Unknown(words), _) if says_no_ca(words) => {
                Some(Lack::Ca)
            }
            (VaultError::NotFound(_), _) => self.is_mounted().await.err(),
            (VaultError::Gateway(why), _) => Some(Lack::Gateway(why.clone())),
            _ => None,
        };
        match lack {
            Some(lack) => self.lacks(lack),
            None => error.into(),
        }
    }

    /// Remembers it; the error that says so.
    pub(super) fn lacks(&self, what: Lack) -> AdapterError {
        let error = what.error(&self.config);
        self.set_lacking(Some(Lacking {
            since: Instant::now(),
            what,
        }));
        error
    }

    fn set_lacking(&self, lacking: Option<Lacking>) {
        *self.lacking.lock().unwrap_or_else(PoisonError::into_inner) = lacking;
    }

    /// That there is a PKI engine with a CA, as anybody may see; else which of the two is missing. What doesn't tell
    /// counts as there.
    async fn is_mounted(&self) -> Result<(), Lack> {
        match self.reader.ca_chain(&self.config.mount).await {
            Ok(chain) if chain.trim().is_empty() => Err(Lack::Ca),
            // A path without a mount has nothing that anybody may see.
            Err(VaultError::NotFound(_) | VaultError::Denied(_)) => Err(Lack::Mount),
            Err(VaultError::Refused(words) | VaultError::Unknown(words)) if says_no_ca(&words) => {
                Err(Lack::Ca)
            }
            // Another engine has no such path.
            Err(VaultError::Refused(_)) => Err(Lack::Mount),
            _ => Ok(()),
        }
    }

    /// True if the role is there; `None` where that can't be seen, as by most policies.
    async fn has_role(&self) -> Option<bool> {
        match self.reader.keeps(&self.config.mount, &self.config.role).await {
            Ok(_) => Some(true),
            Err(VaultError::NotFound(_)) => Some(false),
            Err(_) => None,
        }
    }

    /// True if the lack is over.
    pub(super) async fn lacks_nothing(&self) -> Result<(), AdapterError> {
        let lacking = self
            .lacking
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(Lacking { since, what }) = lacking else {
            return self.role_is_there().await;
        };
        // Lacks that can't be seen are tried, now and then.
        let is_due = since.elapsed() >= REMEMBERED;
        let away = || what.error(&self.config);
        let is_back = match &what {
            Lack::Line { path, capability } => match self.reader.may(capability, path).await {
                Ok(may) => may,
                Err(VaultError::Denied(_)) => is_due,
                Err(error) => return Err(error.into()),
            },
            Lack::Role => self.has_role().await.unwrap_or(is_due),
            Lack::Mount | Lack::Ca => match self.is_mounted().await {
                Ok(()) => true,
                Err(now) if now == what => false,
                Err(now) => return Err(self.lacks(now)),
            },
            Lack::Gateway(_) => is_due,
            Lack::List(_) if since.elapsed() < LIST_AGAIN => false,
            Lack::List(_) => {
                self.listed().await?;
                true
            }
        };
        if !is_back {
            return Err(away());
        }
        self.set_lacking(None);
        Ok(())
    }

    /// Looked at now and then while all works, so that a role that is gone is told before somebody waits for it.
    async fn role_is_there(&self) -> Result<(), AdapterError> {
        let looked = *self.role_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_some_and(|at| at.elapsed() < REMEMBERED) {
            return Ok(());
        }
        if self.has_role().await == Some(false) {
            let lack = self.is_mounted().await.err().unwrap_or(Lack::Role);
            return Err(self.lacks(lack));
        }
        *self.role_seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// The serials of all that Vault keeps. That they can't be listed stops signatures: what is signed meanwhile could
    /// not be found again.
    pub(super) async fn listed(&self) -> Result<Vec<String>, AdapterError> {
        let mount = &self.config.mount;
        match self.reader.certificates(mount).await {
            Ok(serials) => Ok(serials),
            Err(VaultError::Gateway(why)) => Err(self.lacks(Lack::List(why))),
            Err(VaultError::Refused(why)) if !says_no_ca(&why) => Err(self.lacks(Lack::List(why))),
            Err(error) => {
                let line = ("list", format!("{mount}/certs"));
                Err(self.unless_lacking(error, Some(line)).await)
            }
        }
    }
}

/// Vault's words where a mount has no CA.
fn says_no_ca(words: &str) -> bool {
    words.contains("no default issuer currently configured") || words.contains("was one set?")
}
