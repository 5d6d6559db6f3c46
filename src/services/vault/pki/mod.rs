//! The PKI engine: one CA a mount, roles, signing, revocation, CRL. It knows no reasons and keeps no
//! inventory but serials, as Vault doesn't.

mod crl;
mod intermediate;
mod names;
mod revoke;
mod role;
mod root;
mod rule;
mod sign;
mod urls;

use chrono::{DateTime, Utc};
use rcgen::{Issuer, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use super::policy::Capability;
use super::{Body, Core, Reply, Request, storage};

/// A CA's certificate and key.
#[derive(Clone, Serialize, Deserialize)]
struct Ca {
    certificate_pem: String,
    key_pem: String,
    not_after: DateTime<Utc>,
    /// The certificates above it, as far as they were given with its own, the nearest first; none above a root.
    #[serde(default)]
    above: Vec<String>,
}

/// One issued certificate.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    certificate_pem: String,
    not_after: DateTime<Utc>,
}

/// A certificate that was revoked.
#[derive(Clone, Serialize, Deserialize)]
struct Revoked {
    serial: String,
    at: DateTime<Utc>,
}

impl Ca {
    fn read(core: &Core, mount: &str) -> Result<Self, Reply> {
        match core.barrier.read(&ca_path(mount)) {
            Ok(Some(ca)) => Ok(ca),
            Ok(None) => Err(Reply::error(
                500,
                "1 error occurred:\n\t* could not fetch the CA certificate (was one set?): no default issuer currently configured\n\n",
            )),
            Err(error) => Err(storage(&error)),
        }
    }

    /// Its certificate and those above it, as `ca_chain` has them.
    fn chain(&self) -> Vec<&str> {
        let all = std::iter::once(&self.certificate_pem).chain(&self.above);
        all.map(|pem| pem.trim()).collect()
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, Reply> {
        let broken = |error: rcgen::Error| Reply::error(500, &format!("the CA can't be used: {error}"));
        let key = KeyPair::from_pem(&self.key_pem).map_err(broken)?;
        Issuer::from_ca_cert_pem(&self.certificate_pem, key).map_err(broken)
    }
}

fn ca_path(mount: &str) -> String {
    format!("pki/{mount}/ca")
}

/// Where a certificate is kept; a serial's colons are dashes, as Vault stores them.
fn certificate_path(mount: &str, serial: &str) -> String {
    format!("pki/{mount}/certs/{}", serial.replace(':', "-"))
}

fn to_time(at: DateTime<Utc>) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What everybody may read: the CA, its chain, certificates and the CRL.
pub(super) fn public(core: &Core, path: &str) -> Option<Reply> {
    let (mount, kind) = super::mounts::mount_of(core, path)?;
    if kind != "pki" {
        return None;
    }
    let rest = path.strip_prefix(mount.as_str())?.trim_start_matches('/');
    let ca = || Ca::read(core, &mount);
    let der = |pem: &str| pem::parse(pem).map(pem::Pem::into_contents).unwrap_or_default();
    let bytes = |kind, bytes| Reply {
        status: 200,
        body: Body::Bytes(kind, bytes),
    };
    let reply = match rest {
        // A mount without a CA has nothing to show.
        "ca" | "ca/pem" | "ca_chain" | "crl" | "crl/pem"
            if matches!(core.barrier.read::<Ca>(&ca_path(&mount)), Ok(None)) =>
        {
            Ok(Reply::empty())
        }
        "cert/ca" | "cert/ca_chain" if matches!(core.barrier.read::<Ca>(&ca_path(&mount)), Ok(None)) => {
            Err(Reply::error(400, "no default issuer currently configured"))
        }
        "ca" => ca().map(|ca| bytes("application/pkix-cert", der(&ca.certificate_pem))),
        "ca/pem" => ca().map(|ca| {
            bytes(
                "application/pem-certificate-chain",
                ca.certificate_pem.into_bytes(),
            )
        }),
        // It is PEM, whatever Vault calls it.
        "ca_chain" => ca().map(|ca| bytes("application/pkix-cert", ca.chain().join("\n").into_bytes())),
        "cert/ca" | "cert/ca_chain" => ca().map(|ca| {
            let chain = ca.chain().join("\n");
            let certificate = if rest == "cert/ca" {
                ca.certificate_pem.trim()
            } else {
                &chain
            };
            Reply::data(json!({"certificate": certificate, "ca_chain": chain, "revocation_time": 0}))
        }),
        "crl" => crl::current(core, &mount).map(|list| bytes("application/pkix-crl", der(&list))),
        "crl/pem" => {
            crl::current(core, &mount).map(|list| bytes("application/x-pem-file", list.into_bytes()))
        }
        "cert/crl" => crl::current(core, &mount)
            .map(|list| Reply::data(json!({"certificate": list.trim(), "revocation_time": 0}))),
        rest => {
            let serial = rest
                .strip_prefix("cert/")
                .filter(|serial| !serial.contains('/'))?;
            Ok(revoke::read(core, &mount, serial))
        }
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}

/// Everything that needs a token.
pub(super) fn route(core: &mut Core, request: &Request<'_>, mount: &str, rest: &str) -> Option<Reply> {
    let body = request.body;
    let reply = match (request.operation, rest) {
        (Capability::Update, "root/generate/internal" | "root/generate/exported") => {
            root::generate(core, mount, body, rest.ends_with("exported"))
        }
        (Capability::Update, "root/sign-intermediate") => intermediate::sign(core, mount, body),
        (Capability::Update, "intermediate/generate/internal" | "intermediate/generate/exported") => {
            intermediate::generate(core, mount, body, rest.ends_with("exported"))
        }
        (Capability::Update, "intermediate/set-signed") => intermediate::set_signed(core, mount, body),
        (Capability::Update, "revoke") => revoke::revoke(core, mount, body),
        (_, "revoke" | "intermediate/set-signed") => Err(Reply::unsupported()),
        (_, rest) if rest.starts_with("root/") || rest.starts_with("intermediate/generate/") => {
            Err(Reply::unsupported())
        }
        // Without a CA there is no list to make.
        (Capability::Read, "crl/rotate") if matches!(core.barrier.read::<Ca>(&ca_path(mount)), Ok(None)) => {
            Ok(Reply::data(json!({"success": true})))
        }
        (Capability::Read, "crl/rotate") => {
            crl::rebuild(core, mount).map(|_| Reply::data(json!({"success": true})))
        }
        (_, "crl/rotate") => Err(Reply::unsupported()),
        (Capability::List, "certs") => {
            let serials = core.barrier.list(&format!("pki/{mount}/certs"));
            Ok(Reply::keys(
                &serials
                    .iter()
                    .map(|serial| serial.replace('-', ":"))
                    .collect::<Vec<_>>(),
            ))
        }
        (Capability::List, "roles") => Ok(Reply::keys(&core.barrier.list(&format!("pki/{mount}/roles")))),
        (_, "roles" | "certs") => Err(Reply::unsupported()),
        (operation, "config/urls") => urls::route(core, operation, mount, body),
        (operation, "config/crl") => rule::route(core, operation, mount, body).and_then(|(reply, remade)| {
            if remade {
                crl::rebuild(core, mount)?;
            }
            Ok(reply)
        }),
        (operation, rest) => {
            let (verb, name) = rest.split_once('/')?;
            if name.contains('/') || name.is_empty() {
                return None;
            }
            match (operation, verb) {
                (Capability::Read | Capability::List | Capability::Delete, "sign" | "issue") => {
                    Err(Reply::unsupported())
                }
                (operation, "roles") => role::route(core, operation, mount, name, body),
                (Capability::Update, "sign") => sign::sign(core, mount, name, body),
                (Capability::Update, "issue") => sign::issue(core, mount, name, body),
                _ => return None,
            }
        }
    };
    Some(reply.unwrap_or_else(|refusal| refusal))
}
