//! The CA's side of the fleet's history: a real Vault, initialised, mounted and asked to sign, each
//! thing at the moment that it happened. Real shares, real signatures, a real CRL.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::services::issuer::adapters::SignedCertificate;
use crate::services::platform::error::PlatformError;
use crate::services::platform::fleet::LIFETIME_H;
use crate::services::vault::{Body, Vault};

/// Where the PKI engine is mounted.
pub(in crate::services::platform) const MOUNT: &str = "cmp-pki";
/// Where the root is, which certifies the CA at [`MOUNT`] and nothing else.
const ROOT_MOUNT: &str = "cmp-root";
/// The role that signs.
pub(in crate::services::platform) const ROLE: &str = "cmp-role";
/// The role that a console issues a test certificate with: it signs that one name, for an hour.
pub(in crate::services::platform) const TEST_ROLE: &str = "cmp-test-role";
const SHARES: u64 = 5;
const THRESHOLD: u64 = 3;

/// What the issuer may do, here as in production.
const ISSUER_POLICY: &str = include_str!("../../../../deploy/vault/cmp-issuer.hcl");

/// What a console may do: look, and issue a test certificate.
const CONSOLE_POLICY: &str = include_str!("../../../../deploy/vault/cmp-console.hcl");

/// The Vault while its past is written.
pub(super) struct Ca {
    vault: Vault,
    clock: Clock,
    root_token: Secret,
}

/// What came out of the ceremony.
pub(super) struct Ceremony {
    pub(super) root_token: Secret,
    pub(super) issuer_token: Secret,
    pub(super) console_token: Secret,
    pub(super) unseal_keys: Vec<Secret>,
    pub(super) unseal_threshold: u64,
}

impl Ca {
    /// Initialises the Vault and makes the CA, which is older than `since`.
    pub(super) async fn establish(
        vault: Vault,
        clock: Clock,
        since: DateTime<Utc>,
        address: &str,
    ) -> Result<(Self, Ceremony), PlatformError> {
        clock.set(since);
        let (root_token, unseal_keys) = initialise(&vault).await?;
        let ca = Self {
            vault,
            clock,
            root_token: root_token.clone(),
        };
        ca.mount(address).await?;
        ca.clock.follow_system();
        let mut ceremony = Ceremony {
            root_token,
            issuer_token: ca.token("issuer", ISSUER_POLICY).await?,
            console_token: ca.token("console", CONSOLE_POLICY).await?,
            unseal_keys,
            unseal_threshold: THRESHOLD,
        };
        ceremony.unseal_keys.shrink_to_fit();
        Ok((ca, ceremony))
    }

    /// Two CAs, as real ones are: a root, and below it the one that signs.
    async fn mount(&self, address: &str) -> Result<(), PlatformError> {
        let doing = "setting up the CA";
        let pki = |mount: &str| {
            json!({
                "issuing_certificates": [format!("{address}/v1/{mount}/ca")],
                "crl_distribution_points": [format!("{address}/v1/{mount}/crl")],
            })
        };
        let before = [
            (format!("sys/mounts/{ROOT_MOUNT}"), pki_engine()),
            (format!("sys/mounts/{MOUNT}"), pki_engine()),
            (
                format!("{ROOT_MOUNT}/root/generate/internal"),
                json!({"common_name": "CMP Demo Root CA", "ttl": "87600h", "key_type": "ec", "key_bits": 256}),
            ),
            (format!("{ROOT_MOUNT}/config/urls"), pki(ROOT_MOUNT)),
        ];
        for (path, body) in before {
            self.must(doing, "POST", &path, body).await?;
        }
        self.certify(doing).await?;
        let after = [
            (format!("{MOUNT}/config/urls"), pki(MOUNT)),
            (
                format!("{MOUNT}/roles/{ROLE}"),
                json!({
                    "allowed_domains": ["example.com"],
                    "allow_bare_domains": true,
                    "allow_subdomains": true,
                    "key_type": "any",
                    "require_cn": false,
                    "ttl": format!("{LIFETIME_H}h"),
                    "max_ttl": format!("{LIFETIME_H}h"),
                    "not_after_bound": "ttl-limited",
                }),
            ),
            (
                format!("{MOUNT}/roles/{TEST_ROLE}"),
                json!({
                    "allowed_domains": ["test.example.com"],
                    "allow_bare_domains": true,
                    "allow_subdomains": false,
                    "allow_ip_sans": false,
                    "key_type": "any",
                    "ttl": "1h",
                    "max_ttl": "1h",
                    "not_after_bound": "ttl-limited",
                }),
            ),
        ];
        for (path, body) in after {
            self.must(doing, "POST", &path, body).await?;
        }
        Ok(())
    }

    /// The root certifies the CA that signs, which then has both certificates.
    async fn certify(&self, doing: &'static str) -> Result<(), PlatformError> {
        let name = "CMP Demo Issuing CA";
        let path = format!("{MOUNT}/intermediate/generate/internal");
        let asked = json!({"common_name": name, "key_type": "ec", "key_bits": 256});
        let made = self.must(doing, "POST", &path, asked).await?;
        let Some(csr) = made.pointer("/data/csr") else {
            return Err(silent(doing));
        };
        let path = format!("{ROOT_MOUNT}/root/sign-intermediate");
        let body = json!({
            "csr": csr, "common_name": name, "ttl": "61320h", "max_path_length": 0, "format": "pem_bundle",
        });
        let signed = self.must(doing, "POST", &path, body).await?;
        let Some(bundle) = signed.pointer("/data/certificate") else {
            return Err(silent(doing));
        };
        let path = format!("{MOUNT}/intermediate/set-signed");
        self.must(doing, "POST", &path, json!({"certificate": bundle}))
            .await?;
        Ok(())
    }

    async fn token(&self, name: &str, policy: &str) -> Result<Secret, PlatformError> {
        let doing = "making the demo's tokens";
        let path = format!("sys/policies/acl/{name}");
        self.must(doing, "PUT", &path, json!({"policy": policy})).await?;
        let body = json!({
            "policies": [name], "display_name": name, "period": "768h", "no_parent": true,
        });
        let reply = self.must(doing, "POST", "auth/token/create", body).await?;
        match reply.pointer("/auth/client_token").and_then(Value::as_str) {
            Some(token) => Ok(Secret::new(token.to_owned())),
            None => Err(silent(doing)),
        }
    }

    /// Has a CSR signed at a moment of the past. The inner error is the role's refusal, in its words.
    pub(super) async fn sign(
        &self,
        at: DateTime<Utc>,
        csr_pem: &str,
        names: &[String],
    ) -> Result<Result<SignedCertificate, String>, PlatformError> {
        let doing = "signing the fleet's certificates";
        self.clock.set(at);
        let body = json!({
            "csr": csr_pem,
            "common_name": names.first(),
            "alt_names": names.join(","),
            "ttl": format!("{LIFETIME_H}h"),
        });
        let (status, reply) = self.call("POST", &format!("{MOUNT}/sign/{ROLE}"), body).await;
        if status == 400 {
            return Ok(Err(words(&reply)));
        }
        let data = (status == 200).then(|| reply.get("data")).flatten();
        let text = |name: &str| data.and_then(|data| data.get(name)).and_then(Value::as_str);
        let chain = data
            .and_then(|data| data.get("ca_chain"))
            .and_then(Value::as_array);
        let (Some(pem), Some(chain)) = (text("certificate"), chain) else {
            return Err(refused(doing, &reply));
        };
        let line = |pem: &str| format!("{}\n", pem.trim_end());
        Ok(Ok(SignedCertificate {
            pem: line(pem),
            chain_pem: chain.iter().filter_map(Value::as_str).map(line).collect(),
        }))
    }

    /// Takes a certificate back at a moment of the past.
    pub(super) async fn revoke(&self, at: DateTime<Utc>, serial: &str) -> Result<(), PlatformError> {
        self.clock.set(at);
        let body = json!({"serial_number": serial});
        let path = format!("{MOUNT}/revoke");
        self.must("revoking one certificate", "POST", &path, body).await?;
        Ok(())
    }

    /// Back to today: CRLs that are up to date, and then the seal. Returns the CA's certificate and its root's.
    pub(super) async fn seal(self) -> Result<String, PlatformError> {
        self.clock.follow_system();
        let doing = "sealing the Vault";
        for mount in [MOUNT, ROOT_MOUNT] {
            self.must(doing, "GET", &format!("{mount}/crl/rotate"), Value::Null)
                .await?;
        }
        let path = format!("{MOUNT}/cert/ca_chain");
        let reply = self.must(doing, "GET", &path, Value::Null).await?;
        let Some(pem) = reply.pointer("/data/certificate").and_then(Value::as_str) else {
            return Err(silent(doing));
        };
        let pem = format!("{}\n", pem.trim_end());
        self.must(doing, "PUT", "sys/seal", Value::Null).await?;
        Ok(pem)
    }

    async fn must(
        &self,
        doing: &'static str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, PlatformError> {
        let (status, reply) = self.call(method, path, body).await;
        if (200..300).contains(&status) {
            Ok(reply)
        } else {
            Err(refused(doing, &reply))
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        call(&self.vault, method, path, Some(&self.root_token), body).await
    }
}

fn pki_engine() -> Value {
    json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}})
}

/// How long the CA has been there.
pub(super) fn founded(now: DateTime<Utc>) -> DateTime<Utc> {
    now - Duration::days(730)
}

async fn initialise(vault: &Vault) -> Result<(Secret, Vec<Secret>), PlatformError> {
    let doing = "initialising the Vault";
    let body = json!({"secret_shares": SHARES, "secret_threshold": THRESHOLD});
    let (status, reply) = call(vault, "PUT", "sys/init", None, body).await;
    let keys: Vec<Secret> = reply
        .get("keys_base64")
        .and_then(Value::as_array)
        .map(|keys| {
            keys.iter()
                .filter_map(Value::as_str)
                .map(|key| Secret::new(key.to_owned()))
                .collect()
        })
        .unwrap_or_default();
    let Some(root) = reply
        .get("root_token")
        .and_then(Value::as_str)
        .filter(|_| status == 200)
    else {
        return Err(refused(doing, &reply));
    };
    for share in keys.iter().take(3) {
        let (status, reply) = call(vault, "PUT", "sys/unseal", None, json!({"key": share.expose()})).await;
        if status != 200 {
            return Err(refused(doing, &reply));
        }
    }
    Ok((Secret::new(root.to_owned()), keys))
}

async fn call(vault: &Vault, method: &str, path: &str, token: Option<&Secret>, body: Value) -> (u16, Value) {
    let reply = vault.handle(method, path, token.map(Secret::expose), body).await;
    let body = match reply.body {
        Body::Json(body) => body,
        Body::Empty | Body::Bytes(..) => Value::Null,
    };
    (reply.status, body)
}

fn words(reply: &Value) -> String {
    let errors = reply.get("errors").and_then(Value::as_array);
    let words: Vec<&str> = errors.into_iter().flatten().filter_map(Value::as_str).collect();
    words.join("; ")
}

fn refused(doing: &'static str, reply: &Value) -> PlatformError {
    PlatformError::Vault {
        doing,
        words: format!("`{}`", words(reply)),
    }
}

fn silent(doing: &'static str) -> PlatformError {
    PlatformError::Vault {
        doing,
        words: "nothing useful".to_owned(),
    }
}
