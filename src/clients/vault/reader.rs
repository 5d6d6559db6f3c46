//! What can be read from Vault. Nothing here changes anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use rustify::endpoint::Endpoint as _;
use serde::Deserialize;
use serde_json::json;
use vaultrs::api::EndpointResult;
use vaultrs::api::pki::requests::ListCertificatesRequest;
use vaultrs::api::pki::responses::ListCertificatesResponse;

use super::error::VaultError;
use super::link::Link;
use super::place::{Login, Place};
use super::request::{parse, refusal};
use crate::clients::crl::LONGEST_WAIT;
use crate::domain::duration::duration;

/// `GET sys/seal-status`, and the answer to a share. A JSON that doesn't say whether it is sealed is none of Vault's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SealStatus {
    /// `shamir`, or how else it is sealed.
    #[serde(rename = "type", default)]
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
    /// Names the unseal attempt; changes when somebody resets it.
    #[serde(default)]
    pub nonce: String,
    /// Vault's version.
    #[serde(default)]
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
    /// A reader of the Vault at `place`; seal status, health, chain and CRL need no login.
    ///
    /// # Errors
    /// The address is none, or the CA file can't be used.
    pub fn new(place: &Place, login: Login) -> Result<Self, VaultError> {
        Ok(Self(Arc::new(Link::new(place, login)?)))
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.place.address
    }

    /// Why there is no credential, though there should be one.
    #[must_use]
    pub fn missing_login(&self) -> Option<&str> {
        match &self.0.sessions.login {
            Login::Missing(why) => Some(why),
            _ => None,
        }
    }

    /// That we are let in, with whatever credential there is.
    ///
    /// # Errors
    /// [`VaultError::Login`] when not.
    pub async fn let_in(&self) -> Result<(), VaultError> {
        let session = self.0.sessions.get().await?;
        if !matches!(self.0.sessions.login, Login::Nobody) && self.0.sessions.is_dead(&session).await {
            self.0.sessions.another(Some(&session)).await?;
        }
        Ok(())
    }

    /// Whether our policy grants `capability`, such as `update` or `list`, at `path`.
    ///
    /// # Errors
    /// See [`VaultError`]; [`VaultError::Denied`] where the policy doesn't allow to ask that either.
    pub async fn may(&self, capability: &str, path: &str) -> Result<bool, VaultError> {
        // Lists are granted with the slash or without it; only asked for with it are both seen.
        let below = format!("{path}/");
        let path = if capability == "list" {
            below.as_str()
        } else {
            path
        };
        let asked = json!({"paths": [path]});
        let answer = self.0.ask("sys/capabilities-self", &asked).await?;
        let granted = answer.unwrap_or_default()[path].clone();
        let granted = granted.as_array().cloned().unwrap_or_default();
        Ok(granted.iter().any(|it| it == "root" || it == capability))
    }

    /// How far our clock is ahead of Vault's, to a second or two; nothing where it doesn't say what time it is.
    ///
    /// # Errors
    /// No answer.
    pub async fn clock_ahead(&self) -> Result<Option<TimeDelta>, VaultError> {
        self.0.clock_ahead().await
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
        struct Body {
            initialized: bool,
            sealed: bool,
            #[serde(default)]
            standby: bool,
            #[serde(default)]
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
        // `vaultrs` insists on fields that OpenBao no longer sends; we need none of them.
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "type")]
            kind: String,
        }
        let rows: BTreeMap<String, Row> = self.0.read("sys/mounts").await?;
        let mounts = rows.into_iter().map(|(path, row)| Mount {
            path: path.trim_end_matches('/').to_owned(),
            kind: row.kind,
        });
        Ok(mounts.collect())
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
        self.0
            .call(|session| async move {
                let list = ListCertificatesRequest {
                    mount: mount.to_owned(),
                };
                let path = list.path();
                match session.send(list).await? {
                    (200..300, body) => {
                        let answer: EndpointResult<ListCertificatesResponse> = parse(&path, &body)?;
                        Ok(answer.data.map(|list| list.keys).unwrap_or_default())
                    }
                    (404, body) if says_nothing(&body) => Ok(Vec::new()),
                    (code, body) => Err(refusal(code, &body)),
                }
            })
            .await
    }

    /// One certificate by its serial.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn certificate(&self, mount: &str, serial: &str) -> Result<CaCertificate, VaultError> {
        // `vaultrs` insists on fields that not every version sends.
        #[derive(Deserialize)]
        struct Kept {
            certificate: String,
            #[serde(default)]
            revocation_time: i64,
        }
        let kept: Kept = self.0.read(&format!("{mount}/cert/{serial}")).await?;
        Ok(CaCertificate {
            pem: kept.certificate,
            revoked_at: Some(kept.revocation_time).filter(|at| *at > 0),
        })
    }

    /// Whether the CA keeps what it signs with `role`: what it doesn't keep it can neither list nor revoke by
    /// serial.
    ///
    /// # Errors
    /// See [`VaultError`]; [`VaultError::Denied`] where the policy doesn't allow to read the role.
    pub async fn keeps(&self, mount: &str, role: &str) -> Result<bool, VaultError> {
        #[derive(Deserialize)]
        struct Role {
            #[serde(default)]
            no_store: bool,
        }
        let role: Role = self.0.read(&format!("{mount}/roles/{role}")).await?;
        Ok(!role.no_store)
    }

    /// The issuer of the mount that `role` signs with; `None` for the mount's usual one, also where a server has one
    /// only.
    ///
    /// # Errors
    /// See [`VaultError`]; [`VaultError::Denied`] where the policy doesn't allow to read the role.
    pub async fn issuer_of(&self, mount: &str, role: &str) -> Result<Option<String>, VaultError> {
        #[derive(Deserialize)]
        struct Role {
            #[serde(default)]
            issuer_ref: String,
        }
        let role: Role = self.0.read(&format!("{mount}/roles/{role}")).await?;
        Ok(Some(role.issuer_ref).filter(|it| !it.is_empty() && it != "default"))
    }

    /// The certificate of an issuer of the mount, in PEM, as anybody gets it.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn issuer(&self, mount: &str, issuer: &str) -> Result<String, VaultError> {
        self.0.fetch_text(&format!("{mount}/issuer/{issuer}/pem")).await
    }

    /// When the CA makes its list anew.
    ///
    /// # Errors
    /// See [`VaultError`]; [`VaultError::Denied`] where the policy doesn't allow to read that.
    pub async fn crl_rule(&self, mount: &str) -> Result<CrlRule, VaultError> {
        self.0.read(&format!("{mount}/config/crl")).await
    }
}

/// Vault's way of saying that a list is empty: an error without a word.
fn says_nothing(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice(body).is_ok_and(|body: Body| body.errors.is_empty())
}

/// `config/crl`: when the CA makes its list anew. Times are texts such as `72h`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CrlRule {
    /// There is no list.
    pub disable: bool,
    /// By itself and not with each revocation.
    pub auto_rebuild: bool,
    /// How long before its end.
    pub auto_rebuild_grace_period: String,
    /// How long a list is valid.
    pub expiry: String,
}

impl CrlRule {
    /// Upper bound for the time until a revocation is in the list; nothing where that is at once. No more than
    /// [`LONGEST_WAIT`] is believed.
    #[must_use]
    pub fn longest_wait(&self) -> Option<std::time::Duration> {
        let seconds = |text: &str| duration(&text.into()).and_then(|n| u64::try_from(n).ok());
        // The list is made anew this long before the one before it ends.
        let valid = seconds(&self.expiry).unwrap_or(72 * 3600);
        let before = seconds(&self.auto_rebuild_grace_period).unwrap_or(12 * 3600);
        self.auto_rebuild
            .then(|| std::time::Duration::from_secs(valid.saturating_sub(before)).min(LONGEST_WAIT))
    }
}

impl Default for CrlRule {
    fn default() -> Self {
        Self {
            disable: false,
            auto_rebuild: false,
            auto_rebuild_grace_period: "12h".to_owned(),
            expiry: "72h".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_made_by_itself_is_waited_for_until_its_grace_period() {
        assert_eq!(CrlRule::default().longest_wait(), None);
        let hours = |n: u64| Some(std::time::Duration::from_secs(n * 3600));
        let rule = CrlRule {
            auto_rebuild: true,
            ..CrlRule::default()
        };
        assert_eq!(rule.longest_wait(), hours(60));
        let rule = CrlRule {
            expiry: "24h".to_owned(),
            auto_rebuild_grace_period: "23h".to_owned(),
            ..rule
        };
        assert_eq!(rule.longest_wait(), hours(1));
        for expiry in ["87600h", "9999999999999999h", "7d1h"] {
            let rule = CrlRule {
                expiry: expiry.to_owned(),
                auto_rebuild_grace_period: "0s".to_owned(),
                ..rule.clone()
            };
            let wait = rule.longest_wait().unwrap();
            assert!(
                wait <= std::time::Duration::from_hours(7 * 24),
                "{expiry}: {wait:?}"
            );
        }
    }

    #[test]
    fn what_does_not_say_whether_it_is_sealed_is_no_seal_status() {
        for body in ["{}", r#"{"status":"ok"}"#, r#"{"sealed":false}"#, "<html>"] {
            assert!(
                parse::<SealStatus>("sys/seal-status", body.as_bytes()).is_err(),
                "{body}"
            );
        }
        let body = r#"{"sealed":true,"initialized":true,"t":3,"n":5,"progress":0}"#;
        assert!(
            parse::<SealStatus>("sys/seal-status", body.as_bytes())
                .unwrap()
                .sealed
        );
    }
}
