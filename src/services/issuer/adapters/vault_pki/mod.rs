//! The PKI engine of Vault or OpenBao as a CA. Vault takes no reason with a revocation, keeps no
//! inventory and maps no key to certificates; a lost answer is found again by listing and reading.

mod error;
mod lack;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Adapter, AdapterError, Capabilities, LONGEST, Order, Published, RevocationAnswer, SignedCertificate,
    TakesBack, Withdrawal,
};
use crate::clients::vault::{CrlRule, Lasts, Login, Place, Revoked, VaultError, VaultReader, VaultWriter};
use crate::domain::adapter::{Ca, VAULT_PKI};
use crate::domain::certificate::normal_serial;
use crate::domain::duration::duration;
use crate::domain::x509;

use error::is_of_serial;
use lack::{Lack, Lacking};

/// How long what the CA can do is remembered; somebody may configure it otherwise meanwhile.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Pause before a list that can't be had is asked for again.
const LIST_AGAIN: Duration = Duration::from_secs(5);

/// What a CA's clock may be off.
pub(in crate::services::issuer) const CLOCK_OFF: TimeDelta = TimeDelta::seconds(60);

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
    /// False where the CA has no CRL, whatever it says.
    #[serde(default = "yes")]
    pub crl: bool,
}

fn yes() -> bool {
    true
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
    /// When its role was last seen to be there, or could not be looked at.
    role_seen: Mutex<Option<Instant>>,
    /// The issuer that its role names, if it names one, and when that was looked at.
    names_issuer: Mutex<Option<(Instant, Option<String>)>>,
    /// The lack.
    lacking: Mutex<Option<Lacking>>,
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
            role_seen: Mutex::default(),
            names_issuer: Mutex::default(),
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
            _ if !self.config.crl => Published::SwitchedOff,
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
        let by_serial = self.can().await?.revoke == TakesBack::BySerial;
        let answer = match by_serial {
            true => self.writer.revoke(mount, &what.serial).await,
            false => self.writer.revoke_certificate(mount, &what.pem).await,
        };
        let answer = match answer {
            // Signed while the role kept nothing, or tidied away since.
            Err(VaultError::Refused(words) | VaultError::NotFound(words))
                if by_serial && is_of_serial(&words, &what.serial) =>
            {
                tracing::info!(serial = %what.serial, "the CA does not keep it: it is given the certificate");
                self.writer.revoke_certificate(mount, &what.pem).await
            }
            answer => answer,
        };
        match answer {
            Err(VaultError::Denied(_)) => {
                let line = Lack::Line {
                    path: format!("{mount}/revoke"),
                    capability: "update",
                };
                Err(AdapterError::Denied(line.words(&self.config)))
            }
            Err(error) => Err(self.unless_lacking(error, None).await),
            Ok(revoked) => Ok(revoked),
        }
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
            return Err(AdapterError::ClockOff {
                ahead,
                words: format!("Vault's clock is {seconds} s {which} this server's: set both by NTP"),
            });
        }
        *self.timed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// The CA that the role signs with, as far as that can be read; else the mount's own. A gateway may keep both from
    /// us: what is signed shows it all the same.
    async fn shown_ca(&self) -> Option<Ca> {
        let mount = &self.config.mount;
        let pem = match self.named_issuer().await {
            Some(issuer) => self.reader.issuer(mount, &issuer).await,
            None => self.reader.ca_chain(mount).await,
        };
        let first = x509::certificates(&pem.ok()?).ok()?.into_iter().next()?;
        Ca::of_der(&first).ok()
    }

    /// The issuer that the role names, looked at now and then: a policy needn't allow it, and denials are logged.
    async fn named_issuer(&self) -> Option<String> {
        let known = self
            .names_issuer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((_, named)) = known.filter(|(at, _)| at.elapsed() < REMEMBERED) {
            return named;
        }
        let Config { mount, role, .. } = &self.config;
        let named = self.reader.issuer_of(mount, role).await.ok().flatten();
        *self.names_issuer.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), named.clone()));
        named
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
                Err(error) => {
                    let line = ("read", format!("{}/cert/*", self.config.mount));
                    return Err(self.unless_lacking(error, Some(line)).await);
                }
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
                return Err(AdapterError::Sealed("Vault is sealed".to_owned()));
            }
            self.reader.let_in().await?;
            // Lacks that stop everything come before those that stop signatures.
            self.lacks_nothing().await?;
            self.keeps_time().await
        })
    }

    fn ca(&self) -> BoxFuture<'_, Option<Ca>> {
        Box::pin(self.shown_ca())
    }

    fn keeps_ca(&self) -> bool {
        true
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
            let signed = match signed {
                Ok(signed) => signed,
                Err(error) => {
                    let line = (
                        "update",
                        format!("{}/sign/{}", self.config.mount, self.config.role),
                    );
                    return Err(self.unless_lacking(error, Some(line)).await);
                }
            };
            Ok(SignedCertificate {
                pem: with_newline(signed.certificate_pem),
                chain_pem: signed.chain.into_iter().map(with_newline).collect(),
            })
        })
    }

    fn longest(&self) -> TimeDelta {
        let asked = self.config.ttl.as_deref();
        let asked = asked.and_then(|ttl| duration(&serde_json::Value::from(ttl)));
        asked
            .filter(|seconds| *seconds > 0)
            .and_then(TimeDelta::try_seconds)
            .unwrap_or(LONGEST)
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
            Ok(self
                .listed()
                .await?
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
