//! Bodies of `/api/v1/certs` and `/api/v1/keys`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::domain::certificate::Certificate;
use crate::domain::installation::Installation;
use crate::domain::key::Key;
use crate::domain::plain;

/// `GET /api/v1/certs/{id}`: one certificate with what it touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateDetail {
    /// The certificate, with PEM and chain.
    pub certificate: Certificate,
    /// Its key.
    pub key: Option<Key>,
    /// Where it is expected.
    pub installations: Vec<Installation>,
    /// Places that expect another one, and where an agent found this one served or on disk.
    #[serde(default)]
    pub found: Vec<Installation>,
    /// Places that expect another one again, since the installation of this one failed there.
    #[serde(default)]
    pub failed: Vec<Installation>,
    /// Other certificates with the same key.
    pub same_key: Vec<Certificate>,
    /// The certificates above it, the nearest first.
    #[serde(default)]
    pub chain: Vec<ChainLink>,
}

/// A certificate of a chain, as far as people ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainLink {
    /// Its subject.
    #[serde(deserialize_with = "plain::name")]
    pub subject: String,
    /// Who signed it; itself, for a root.
    #[serde(deserialize_with = "plain::name")]
    pub issuer: String,
    /// Its last moment of validity.
    pub not_after: DateTime<Utc>,
    /// SHA-256 over its DER, lower-case hex.
    pub fingerprint_sha256: String,
}

/// `GET /api/v1/keys/{spki}`: one key with the certificates that carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyDetail {
    /// The key.
    pub key: Key,
    /// All certificates with it.
    pub certificates: Vec<Certificate>,
    /// Where they are expected.
    #[serde(default)]
    pub installations: Vec<Installation>,
    /// Places that expect others, and where an agent found one of them served or on disk.
    #[serde(default)]
    pub found: Vec<Installation>,
}

impl CertificateDetail {
    /// Places where it is in use: expected, or found by an agent.
    pub fn in_use(&self) -> impl Iterator<Item = &Installation> + Clone {
        self.installations.iter().chain(&self.found)
    }

    /// Places where it, or what replaces it, belongs: expected, or to be installed there still.
    pub fn belongs(&self) -> impl Iterator<Item = &Installation> {
        self.installations.iter().chain(&self.failed)
    }
}

impl KeyDetail {
    /// Places where it is in use by one of its certificates: expected, or found by an agent. One where one of them is
    /// expected and another is served is named once.
    pub fn in_use(&self) -> impl Iterator<Item = &Installation> {
        let is_new = |it: &&Installation| !self.installations.iter().any(|known| known.id == it.id);
        self.installations.iter().chain(self.found.iter().filter(is_new))
    }
}

/// `POST /api/v1/certs/{id}/revoke`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// A reason of RFC 5280 §5.3.1, by name or number.
    #[serde(deserialize_with = "text_or_number")]
    #[schema(value_type = ReasonGiven)]
    pub reason: String,
    /// Why, in the operator's words, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// `POST /api/v1/certs/{id}/reissue`; an empty body is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReissueBody {
    /// The fresh key's algorithm; the old one's if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<String>,
    /// Why, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// `POST /api/v1/certs`: the wish for a new certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestBody {
    /// The common name.
    pub common_name: String,
    /// Further names; the common name is added if it isn't among them.
    #[serde(default)]
    pub sans: Vec<String>,
    /// The agent that makes the key.
    pub agent_id: String,
    /// Where it installs the certificate; not installed if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_path: Option<String>,
    /// The adapter to issue through, by name or id; the oldest if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// The key's algorithm; ECDSA P-256 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<String>,
    /// Why, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// The reply to a revocation: accepted, to be followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokeReply {
    /// The certificate after the wish was recorded.
    pub certificate: Certificate,
    /// The issuer's job.
    pub job_id: String,
    /// The audit row's number.
    pub audit_seq: i64,
}

/// A CRLReason is a number in the standard, so that it may come as one.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a reason's name or number")]
pub enum ReasonGiven {
    /// Such as `keyCompromise`.
    Text(String),
    /// Such as 1.
    Number(u8),
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match ReasonGiven::deserialize(deserializer)? {
        ReasonGiven::Text(text) => text,
        ReasonGiven::Number(number) => number.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_comes_by_name_or_number() {
        for (body, reason) in [
            (r#"{"reason": "keyCompromise"}"#, Some("keyCompromise")),
            (r#"{"reason": 1}"#, Some("1")),
            (r#"{"reason": null}"#, None),
            (r#"{"reason": [1]}"#, None),
        ] {
            let read = serde_json::from_str::<RevokeBody>(body).ok();
            assert_eq!(read.map(|body| body.reason).as_deref(), reason, "{body}");
        }
    }
}
