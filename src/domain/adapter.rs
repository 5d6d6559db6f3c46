//! Adapters: the issuer's plug for one CA, and why it is paused.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the issuer may use it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdapterStatus {
    /// In use.
    Active,
    /// Its CA can't be asked for now; what waits on it waits without burning an attempt.
    Paused,
}

impl AdapterStatus {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Paused]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// The `kind` of an adapter whose CA is the PKI engine of a Vault.
pub const VAULT_PKI: &str = "vault_pki";

/// Between who asks and the CA, in the reason of an adapter that is paused since its CA doesn't answer.
const NO_ANSWER: &str = " gets no answer from ";

/// Reason for the pause of an adapter whose CA doesn't answer the issuer called `issuer`.
#[must_use]
pub fn no_answer(issuer: &str, place: &str, why: &str) -> String {
    format!("{issuer}{NO_ANSWER}{place}: {why}")
}

/// True if an adapter is paused since its CA gives no answer: the reason is one of [`no_answer`].
#[must_use]
pub fn is_no_answer(reason: &str) -> bool {
    reason.contains(NO_ANSWER)
}

/// Before the reason of an adapter that is paused for signatures alone.
pub const SIGNS_NOTHING: &str = "nothing can be signed: ";

/// What keeps an adapter from signing and from nothing else: the reason begins with [`SIGNS_NOTHING`].
#[must_use]
pub fn signs_nothing(reason: &str) -> Option<&str> {
    reason.strip_prefix(SIGNS_NOTHING)
}

/// One adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Adapter {
    /// `adp_…`
    pub id: String,
    /// Grows by one with every change of the row.
    pub version: i64,
    /// Its name, such as `vault`.
    pub name: String,
    /// What sort of CA, such as `vault_pki`.
    pub kind: String,
    /// Its configuration: addresses, mount, role. Never a credential.
    pub config: serde_json::Value,
    /// Whether the issuer may use it now.
    pub status: AdapterStatus,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row changed last.
    pub updated_at: DateTime<Utc>,
}

impl Adapter {
    /// True if its CA can be asked for anything but a signature: it works, or is paused for signatures alone.
    #[must_use]
    pub fn does_more_than_sign(&self) -> bool {
        let lacks_signatures = |reason: &str| signs_nothing(reason).is_some();
        self.status == AdapterStatus::Active || self.paused_reason.as_deref().is_some_and(lacks_signatures)
    }

    /// The address of its Vault, if its CA is one.
    #[must_use]
    pub fn vault(&self) -> Option<&str> {
        let address = self.config.get("address").and_then(|address| address.as_str());
        address.filter(|_| self.kind == VAULT_PKI)
    }

    /// Name of its CA for people: Vault with its address, or the adapter's name.
    #[must_use]
    pub fn place(&self) -> String {
        match self.vault() {
            Some(address) => format!("Vault at {address}"),
            None => format!("the CA of `{}`", self.name),
        }
    }
}
