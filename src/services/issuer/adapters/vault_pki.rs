//! The PKI engine of Vault or OpenBao as a CA. Vault takes no reason with a revocation, keeps no
//! inventory and maps no key to certificates; a lost answer is found again by listing and reading.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Adapter, AdapterError, Capabilities, Order, Published, RevocationAnswer, SignedCertificate, TakesBack,
    Withdrawal,
};
use crate::clients::vault::{CrlRule, Lasts, Login, Place, Revoked, VaultError, VaultReader, VaultWriter};
use crate::domain::adapter::VAULT_PKI;
use crate::domain::certificate::normal_serial;
use crate::domain::x509;

/// How long what the CA can do is remembered; somebody may configure it otherwise meanwhile.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What a CA's clock may be off.
const CLOCK_OFF: TimeDelta = TimeDelta::seconds(60);

/// The `config` of an adapter row of kind `vault_pki`. Credentials are never in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// Where Vault is.
    pub address: String,
    /// Where its PKI engine is mounted.
    pub mount: String,
    /// The role that signs.
    pub role: String,
    /// How long certificates live, such as `2160h`; the role's default if not given.
    #[serde(default)]
    pub ttl: Option<String>,
    /// The file with the CA that Vault's own certificate comes from; the system's roots without it.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The namespace that the mount is in.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl Config {
    fn place(&self) -> Place {
        Place {
            address: self.address.clone(),
            cluster: Vec::new(),
            ca: self.ca.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

/// The `kind` of such an adapter row.
pub const KIND: &str = VAULT_PKI;

/// One PKI mount of one Vault.
pub struct VaultPki {
    reader: VaultReader,
    writer: VaultWriter,
    config: Config,
    /// Keys of certificates that were read: what a serial stands for never changes.
    seen: Mutex<HashMap<String, String>>,
    can: Mutex<Option<(Instant, Capabilities)>>,
    /// When its clock was found to be right.
    timed: Mutex<Option<Instant>>,
    /// What our policy did not allow.
    lacking: Mutex<Option<Lacking>>,
}

/// A line that our policy lacked.
#[derive(Clone)]
struct Lacking {
    since: Instant,
    path: String,
    capability: &'static str,
}

impl Lacking {
    fn new(path: String, capability: &'static str) -> Self {
        Self {
            since: Instant::now(),
            path,
            capability,
        }
    }

    fn words(&self) -> String {
        let Self { path, capability, .. } = self;
        format!(
            "Vault denied it: the policy of the issuer's credential lacks \
             `path \"{path}\" {{ capabilities = [\"{capability}\"] }}`; add it, and this goes on by itself"
        )
    }

    fn error(&self) -> AdapterError {
        AdapterError::Away(self.words())
    }
}

impl VaultPki {
    /// With the issuer's own login.
    ///
    /// # Errors
    /// The configured address is none, or the CA file can't be used.
    pub fn new(config: Config, login: Login) -> Result<Self, VaultError> {
        let writer = VaultWriter::new(&config.place(), login)?;
        Ok(Self {
            reader: writer.reader(),
            writer,
            config,
            seen: Mutex::default(),
            can: Mutex::default(),
            timed: Mutex::default(),
            lacking: Mutex::default(),
        })
    }

    /// Asks the CA how it is configured, unless that is known since a moment ago.
    async fn can(&self) -> Result<Capabilities, AdapterError> {
        let known = *self.can.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, can)) = known.filter(|(at, _)| at.elapsed() < REMEMBERED) {
            return Ok(can);
        }
        let Config { mount, role, .. } = &self.config;
        let keeps = match self.reader.keeps(mount, role).await {
            // A policy needn't allow to look; what is usual is right then, and a revocation by a serial that
            // the CA doesn't know falls back to the certificate.
            Err(VaultError::Denied(_) | VaultError::NotFound(_)) => true,
            answer => answer?,
        };
        let rule = match self.reader.crl_rule(mount).await {
            Err(VaultError::Denied(_) | VaultError::NotFound(_)) => CrlRule::default(),
            answer => answer?,
        };
        let crl = match rule.longest_wait() {
            _ if rule.disable => Published::Never,
            Some(wait) => Published::Within(wait),
            None => Published::AtOnce,
        };
        let can = Capabilities {
            revoke: if keeps {
                TakesBack::BySerial
            } else {
                TakesBack::ByCertificate
            },
            reasons: false,
            hold: false,
            crl,
            list: keeps,
            renewal_info: false,
        };
        if known.is_none_or(|(_, before)| before != can) {
            tracing::info!(mount, role, ?can, "what the CA can do");
        }
        *self.can.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), can));
        Ok(can)
    }

    /// Who may not revoke may sign all the same, so that a denial is this call's alone: the adapter works on.
    async fn take_back(&self, what: &Withdrawal) -> Result<Revoked, AdapterError> {
        let mount = &self.config.mount;
        let lacking = |answer| match answer {
            Err(VaultError::Denied(_)) => {
                let lacking = Lacking::new(format!("{mount}/revoke"), "update");
                Err(AdapterError::Denied(lacking.words()))
            }
            answer => Ok(answer?),
        };
        if self.can().await?.revoke == TakesBack::BySerial {
            match self.writer.revoke(mount, &what.serial).await {
                // Signed while the role kept nothing, or tidied away since.
                Err(VaultError::Refused(words)) if words.contains("not found") => {
                    tracing::info!(serial = %what.serial, "the CA does not keep it: it is given the certificate");
                }
                answer => return lacking(answer),
            }
        }
        lacking(self.writer.revoke_certificate(mount, &what.pem).await)
    }

    /// Nothing is signed by a clock that is off: it would be valid too late, or end too early. Which of the two
    /// clocks is the wrong one nobody can tell here.
    async fn keeps_time(&self) -> Result<(), AdapterError> {
        let Some(ahead) = self.reader.clock_ahead().await? else {
            return Ok(());
        };
        if ahead.abs() > CLOCK_OFF {
            let seconds = ahead.num_seconds().abs();
            let which = if ahead > TimeDelta::zero() {
                "behind"
            } else {
                "ahead of"
            };
            return Err(AdapterError::Away(format!(
                "Vault's clock is {seconds} s {which} this server's: set both by NTP"
            )));
        }
        *self.timed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// An answer that our policy may forbid, which is then remembered: the CA is away until the policy has the
    /// line that it lacks.
    fn unless_denied<T>(
        &self,
        answer: Result<T, VaultError>,
        capability: &'static str,
        path: impl FnOnce(&Config) -> String,
    ) -> Result<T, AdapterError> {
        let Err(VaultError::Denied(_)) = answer else {
            return Ok(answer?);
        };
        let lacking = Lacking::new(path(&self.config), capability);
        let error = lacking.error();
        self.set_lacking(Some(lacking));
        Err(error)
    }

    fn set_lacking(&self, lacking: Option<Lacking>) {
        *self.lacking.lock().unwrap_or_else(PoisonError::into_inner) = lacking;
    }

    /// Whether our policy has by now what it lacked.
    async fn is_allowed(&self) -> Result<(), AdapterError> {
        let lacking = self
            .lacking
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(lacking) = lacking else { return Ok(()) };
        match self.reader.may(lacking.capability, &lacking.path).await {
            Ok(true) => {}
            Ok(false) => return Err(lacking.error()),
            // Not even that may be asked; then it is tried, now and then.
            Err(VaultError::Denied(_)) if lacking.since.elapsed() < REMEMBERED => {
                return Err(lacking.error());
            }
            Err(VaultError::Denied(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.set_lacking(None);
        Ok(())
    }

    fn spki_seen(&self, serial: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(serial).cloned()
    }

    fn remember(&self, serial: &str, spki: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(serial.to_owned(), spki.to_owned());
    }

    async fn find(
        &self,
        spki_sha256: &str,
        serials: &[String],
    ) -> Result<Option<SignedCertificate>, AdapterError> {
        for serial in serials {
            if self.spki_seen(serial).is_some_and(|spki| spki != spki_sha256) {
                continue;
            }
            let kept = match self.reader.certificate(&self.config.mount, serial).await {
                Ok(kept) => kept,
                // Tidied away since it was listed.
                Err(VaultError::NotFound(_)) => continue,
                denied => self.unless_denied(denied, "read", |config| format!("{}/cert/*", config.mount))?,
            };
            let Ok(read) = x509::read(&kept.pem) else {
                tracing::warn!(%serial, "the CA keeps something under this serial that is no certificate");
                continue;
            };
            self.remember(serial, &read.spki_sha256);
            if read.spki_sha256 == spki_sha256 {
                let chain_pem = self.reader.ca_chain(&self.config.mount).await?;
                return Ok(Some(SignedCertificate {
                    pem: with_newline(kept.pem),
                    chain_pem: with_newline(chain_pem),
                }));
            }
        }
        Ok(None)
    }
}

impl Adapter for VaultPki {
    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities, AdapterError>> {
        Box::pin(self.can())
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async {
            let status = self.reader.seal_status().await?;
            if !status.initialized {
                return Err(AdapterError::Away("Vault is not initialised".to_owned()));
            }
            if status.sealed {
                return Err(AdapterError::Away("Vault is sealed".to_owned()));
            }
            self.keeps_time().await?;
            self.reader.let_in().await?;
            self.is_allowed().await
        })
    }

    fn sign<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<SignedCertificate, AdapterError>> {
        Box::pin(async {
            let timed = *self.timed.lock().unwrap_or_else(PoisonError::into_inner);
            if timed.is_none_or(|at| at.elapsed() >= REMEMBERED) {
                self.keeps_time().await?;
            }
            let signed = self
                .writer
                .sign(
                    &self.config.mount,
                    &self.config.role,
                    &order.csr_pem,
                    &order.common_name,
                    &order.sans,
                    self.config.ttl.as_deref(),
                )
                .await;
            let signed = self.unless_denied(signed, "update", |config| {
                format!("{}/sign/{}", config.mount, config.role)
            })?;
            Ok(SignedCertificate {
                pem: with_newline(signed.certificate_pem),
                chain_pem: signed.chain.into_iter().map(with_newline).collect(),
            })
        })
    }

    fn revoke<'a>(&'a self, what: &'a Withdrawal) -> BoxFuture<'a, Result<RevocationAnswer, AdapterError>> {
        Box::pin(async {
            Ok(match self.take_back(what).await? {
                Revoked::Accepted => RevocationAnswer::Accepted,
                Revoked::AlreadyExpired => RevocationAnswer::AlreadyExpired,
            })
        })
    }

    fn serials(&self) -> BoxFuture<'_, Result<BTreeSet<String>, AdapterError>> {
        Box::pin(async {
            let serials = self.reader.certificates(&self.config.mount).await;
            let serials = self.unless_denied(serials, "list", |config| format!("{}/certs", config.mount))?;
            Ok(serials
                .iter()
                .filter_map(|serial| normal_serial(serial))
                .collect())
        })
    }

    fn find_by_spki<'a>(
        &'a self,
        spki_sha256: &'a str,
        serials: &'a [String],
    ) -> BoxFuture<'a, Result<Option<SignedCertificate>, AdapterError>> {
        Box::pin(self.find(spki_sha256, serials))
    }

    fn crl(&self) -> BoxFuture<'_, Result<Vec<u8>, AdapterError>> {
        Box::pin(async { Ok(self.reader.crl(&self.config.mount).await?.into_bytes()) })
    }

    fn renew_credential(&self) -> BoxFuture<'_, Result<Option<Duration>, AdapterError>> {
        Box::pin(async {
            Ok(match self.writer.keep_alive().await? {
                Lasts::Endless => None,
                Lasts::For(left) => Some(left),
                Lasts::Only(left) => {
                    tracing::warn!(
                        left_s = left.as_secs(),
                        "the issuer's token at Vault can't be renewed: give another one before it ends, or AppRole"
                    );
                    Some(left)
                }
            })
        })
    }
}

/// Vault leaves the last newline of a PEM out, and joined files need it.
fn with_newline(mut pem: String) -> String {
    if !pem.ends_with('\n') {
        pem.push('\n');
    }
    pem
}

impl From<VaultError> for AdapterError {
    fn from(error: VaultError) -> Self {
        let words = error.to_string();
        match error {
            VaultError::Sealed | VaultError::Login(_) => Self::Away(words),
            VaultError::Retry(_) => Self::Retry(words),
            VaultError::Unknown(_) | VaultError::Garbled(_) | VaultError::Elsewhere(..) => {
                Self::Unknown(words)
            }
            VaultError::Denied(_) => Self::Denied(words),
            VaultError::Refused(_)
            | VaultError::NotFound(_)
            | VaultError::Address(_)
            | VaultError::Namespace(_)
            | VaultError::Ca(..) => Self::Refused(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cas_own_words_reach_the_request() {
        let words = "common name x not allowed by this role".to_owned();
        assert_eq!(
            AdapterError::from(VaultError::Refused(words.clone())),
            AdapterError::Refused(words)
        );
        assert!(matches!(
            AdapterError::from(VaultError::Sealed),
            AdapterError::Away(_)
        ));
        assert!(matches!(
            AdapterError::from(VaultError::Login(String::new())),
            AdapterError::Away(_)
        ));
        assert!(matches!(
            AdapterError::from(VaultError::Unknown(String::new())),
            AdapterError::Unknown(_)
        ));
    }
}
