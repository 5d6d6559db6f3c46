//! Installations: one certificate at one path on one agent, and the three truths about it.

use super::plain;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::certificate::Certificate;

/// One certificate at one path on one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Installation {
    /// `ins_…`
    pub id: String,
    /// Grows by one with every change of what is expected.
    pub version: i64,
    /// The agent.
    pub agent_id: String,
    /// The agent's host name.
    #[serde(deserialize_with = "plain::name")]
    pub hostname: String,
    /// Whose host it is, if its agent says so.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub owner: Option<String>,
    /// Where the certificate is, on the agent.
    #[serde(deserialize_with = "plain::name")]
    pub path: String,
    /// Where it is served, `host:port`, if it is.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub tls_address: Option<String>,
    /// The certificate that should be there.
    pub certificate_id: String,
    /// Its subject.
    #[serde(deserialize_with = "plain::name")]
    pub subject: String,
    /// Its last moment of validity.
    pub not_after: DateTime<Utc>,
    /// Its fingerprint: *expected*.
    pub expected_sha256: String,
    /// What the agent last read from the file: *on disk*.
    pub on_disk_sha256: Option<String>,
    /// What a real TLS handshake last showed: *served*.
    pub served_sha256: Option<String>,
    /// A revoked certificate is served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served_revoked: bool,
    /// The issuer that a client misses, since it was not sent in the handshake.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "plain::maybe_name"
    )]
    pub chain_missing: Option<String>,
    /// The last installation there did not come about.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// An installation there was asked for, and its agent has not said yet how it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub under_way: bool,
    /// Why there was no handshake, or why the last installation was rolled back.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub error: Option<String>,
    /// When the agent last looked.
    pub checked_at: Option<DateTime<Utc>>,
    /// The agent has reported since and said nothing of this path: what is known of it is of `checked_at`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_left_out: bool,
}

/// How the three truths agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Expected, on disk and served are one certificate.
    Agrees,
    /// A revoked certificate is served, whatever is expected.
    ServedRevoked,
    /// As expected on disk, but another one is served: not reloaded.
    ServedOld,
    /// As expected on disk and served, but without an issuer that clients need.
    ChainIncomplete,
    /// Another certificate is on disk than expected.
    DiskDiffers,
    /// Nothing is on disk.
    Missing,
    /// On disk as expected, but no handshake came about.
    NotServed,
    /// On disk as expected; nobody knows where it would be served.
    OnDisk,
    /// The agent has not reported yet.
    Unknown,
}

impl Installation {
    /// True if the agent found `certificate` there, served or on disk.
    #[must_use]
    pub fn has(&self, certificate: &Certificate) -> bool {
        let is = |found: &Option<String>| found.as_ref() == Some(&certificate.fingerprint_sha256);
        is(&self.served_sha256) || is(&self.on_disk_sha256)
    }

    /// How the three truths agree.
    #[must_use]
    pub fn truth(&self) -> Truth {
        if self.checked_at.is_none() {
            return Truth::Unknown;
        }
        match (&self.on_disk_sha256, &self.served_sha256) {
            _ if self.served_revoked => Truth::ServedRevoked,
            (None, _) => Truth::Missing,
            (Some(disk), _) if *disk != self.expected_sha256 => Truth::DiskDiffers,
            (Some(_), Some(served)) if *served != self.expected_sha256 => Truth::ServedOld,
            (Some(_), Some(_)) if self.chain_missing.is_some() => Truth::ChainIncomplete,
            (Some(_), Some(_)) => Truth::Agrees,
            (Some(_), None) if self.tls_address.is_some() => Truth::NotServed,
            (Some(_), None) => Truth::OnDisk,
        }
    }
}

impl Truth {
    /// The words shown.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Agrees => "as expected",
            Self::ServedRevoked => "revoked, served",
            Self::ServedOld => "old one still served",
            Self::ChainIncomplete => "chain incomplete",
            Self::DiskDiffers => "another one on disk",
            Self::Missing => "nothing on disk",
            Self::NotServed => "not served",
            Self::OnDisk => "on disk, no TLS",
            Self::Unknown => "not reported yet",
        }
    }
}
