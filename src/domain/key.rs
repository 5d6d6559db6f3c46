//! Key pairs: known by the SHA-256 of their SubjectPublicKeyInfo, never by their private half.

use super::plain;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The algorithms and sizes that a key can be made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256, the default.
    #[default]
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// RSA with 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA with 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

/// True if `text` names a key: SHA-256 in 64 lower-case hex letters.
#[must_use]
pub fn is_spki(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

impl KeyAlgorithm {
    /// All, the default first.
    pub const ALL: [Self; 5] = [
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
    ];

    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.word() == word)
    }
}

/// Standing of a key: it decides what may still be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// In use.
    Active,
    /// In other hands: no certificate will be issued for it again.
    Compromised,
    /// No longer used.
    Retired,
}

impl KeyStatus {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Compromised => "compromised",
            Self::Retired => "retired",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Compromised, Self::Retired]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// One key pair as the inventory knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// SHA-256 over the SubjectPublicKeyInfo DER, lower-case hex; its name.
    pub spki_sha256: String,
    /// Grows by one with every change of the row.
    pub version: i64,
    /// Such as `ecdsa-p256`.
    #[serde(deserialize_with = "plain::name")]
    pub algorithm: String,
    /// Its standing.
    pub status: KeyStatus,
    /// The agent that holds the private half, if one does; of several one that isn't banned.
    pub agent_id: Option<String>,
    /// That agent's host.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub hostname: Option<String>,
    /// That agent is banned, and so is every other one that holds it: nothing is installed for it.
    #[serde(default)]
    pub is_holder_banned: bool,
    /// Certificates that carry it and are neither revoked nor expired.
    pub n_certificates: i64,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
    /// Since when it counts as compromised.
    pub compromised_at: Option<DateTime<Utc>>,
}
