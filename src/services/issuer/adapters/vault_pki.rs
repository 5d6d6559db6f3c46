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
    Adapter, AdapterError, Capabilities, LONGEST, Order, Published, RevocationAnswer, SignedCertificate,
    TakesBack, Withdrawal,
};
use crate::clients::vault::{CrlRule, Lasts, Login, Place, Revoked, VaultError, VaultReader, VaultWriter};
use crate::domain::adapter::VAULT_PKI;
use crate::domain::certificate::normal_serial;
use crate::domain::duration::duration;
use crate::domain::x509;

/// How long what the CA can do is remembered; somebody may configure it otherwise meanwhile.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Pause before a list that can't be had is asked for again.
const LIST_AGAIN: Duration = Duration::from_secs(5);

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
    /// When its role was last seen to be there, or could not be looked at.
    role_seen: Mutex<Option<Instant>>,
    /// The lack.
    lacking: Mutex<Option<Lacking>>,
}

/// Lack at Vault, or before it, so that this adapter can't work. It is nobody's request's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lack {
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
struct Lacking {
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

    fn words(&self, config: &Config) -> String {
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
            return Err(AdapterError::Unsigned(format!(
                "Vault's clock is {seconds} s {which} this server's: set both by NTP"
            )));
        }
        *self.timed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// Error of a call that came to nothing: a lack that others share is remembered, and what needs it waits until
    /// that is there. `line` is what our policy needs for the call.
    async fn unless_lacking(&self, error: VaultError, line: Option<(&'static str, String)>) -> AdapterError {
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
    fn lacks(&self, what: Lack) -> AdapterError {
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
    async fn lacks_nothing(&self) -> Result<(), AdapterError> {
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

    /// The serials of all that Vault keeps. That they can't be listed stops all work: what is signed meanwhile could
    /// not be found again.
    async fn listed(&self) -> Result<Vec<String>, AdapterError> {
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
                return Err(AdapterError::Away("Vault is sealed".to_owned()));
            }
            self.reader.let_in().await?;
            // What stops everything comes before what stops signatures.
            self.lacks_nothing().await?;
            self.keeps_time().await
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

/// Vault's words where a mount has no CA.
fn says_no_ca(words: &str) -> bool {
    words.contains("no default issuer currently configured") || words.contains("was one set?")
}

/// Vault leaves the last newline of a PEM out, and joined files need it.
fn with_newline(mut pem: String) -> String {
    if !pem.ends_with('\n') {
        pem.push('\n');
    }
    pem
}

/// Vault's words say that it keeps no certificate with this serial, whatever their status: Vault's own is 400.
fn is_of_serial(words: &str, serial: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("not found") && (words.contains("serial") || words.contains(&serial.to_lowercase()))
}

impl From<VaultError> for AdapterError {
    fn from(error: VaultError) -> Self {
        let words = error.to_string();
        match error {
            // Whoever reads it has a token of their own, and another program before them.
            VaultError::TokenOver => Self::Away(
                "Vault no longer takes the issuer's token (CMP_VAULT_TOKEN, or `vault.token` of the file): it has \
                 ended or was revoked; give cmp-server another one, and restart it"
                    .to_owned(),
            ),
            VaultError::Login(_) => Self::Away(format!(
                "{words}; that is the issuer's (CMP_VAULT_ROLE_ID and CMP_VAULT_SECRET_ID, or `vault.role_id` and \
                 `vault.secret_id` of the file): give cmp-server a new secret id, and restart it"
            )),
            VaultError::Sealed | VaultError::Gateway(_) => Self::Away(words),
            VaultError::Retry(_) => Self::Retry(words),
            // A path that isn't there says nothing of the certificate or the request: the mount is being moved, or a
            // gateway knows only some of its paths. Nothing happened, and whoever mends it asks nobody to begin anew.
            VaultError::NotFound(_) => Self::Retry(words),
            VaultError::Unknown(_) | VaultError::Garbled(_) | VaultError::Elsewhere(..) => {
                Self::Unknown(words)
            }
            VaultError::Denied(_) => Self::Denied(words),
            VaultError::Refused(_)
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
    fn what_is_not_there_is_told_apart_from_a_serial_that_nobody_knows() {
        let serial = "00:11:22";
        for words in [
            "certificate with serial 00:11:22 not found.",
            "certificate with serial 00:11:22 not found",
        ] {
            assert!(is_of_serial(words, serial), "{words}");
        }
        for words in [
            "1 error occurred: * unsupported path",
            "no handler for route \"pki/revoke\". route entry not found.",
            "namespace not found",
            "Vault answered with status 404 and no words",
        ] {
            assert!(!is_of_serial(words, serial), "{words}");
            let error = AdapterError::from(VaultError::NotFound(words.to_owned()));
            assert!(matches!(error, AdapterError::Retry(_)), "{error:?}");
        }
    }

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
        for (error, named) in [
            (VaultError::TokenOver, "CMP_VAULT_TOKEN"),
            (
                VaultError::Login("Vault refused the login".to_owned()),
                "CMP_VAULT_SECRET_ID",
            ),
        ] {
            // Whose it is, where it comes from, and what to do.
            let error = AdapterError::from(error);
            let AdapterError::Away(words) = &error else {
                panic!("{error:?}");
            };
            for part in ["the issuer's", named, "and restart it"] {
                assert!(words.contains(part), "{words}");
            }
        }
        assert!(matches!(
            AdapterError::from(VaultError::Unknown(String::new())),
            AdapterError::Unknown(_)
        ));
    }
}
