//! Adapters: the issuer's plug for one CA, and why it is paused.

use super::plain;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::told;
use super::x509::{self, FactsError};

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

/// Lack that keeps an adapter from signing and from nothing else: the reason begins with [`SIGNS_NOTHING`].
#[must_use]
pub fn signs_nothing(reason: &str) -> Option<&str> {
    reason.strip_prefix(SIGNS_NOTHING)
}

/// The most characters of a CA's subject that are kept: the sentence about it has more to say.
const LONGEST_SUBJECT: usize = 120;

/// The certificate of a CA, as far as it tells one CA from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ca {
    /// Its subject, in the CA's own words.
    #[serde(deserialize_with = "told::text")]
    pub subject: String,
    /// SHA-256 over its key's SubjectPublicKeyInfo, in hex: what makes it this CA. A new certificate for the same key is
    /// the same CA.
    pub spki_sha256: String,
    /// SHA-256 over the certificate, in hex.
    pub fingerprint_sha256: String,
    /// The last moment of its validity.
    pub not_after: DateTime<Utc>,
}

impl Ca {
    /// The CA of a certificate in DER.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn of_der(der: &[u8]) -> Result<Self, FactsError> {
        let facts = x509::of_der(der)?;
        Ok(Self {
            subject: told::cut(&facts.subject, LONGEST_SUBJECT),
            spki_sha256: facts.spki_sha256,
            fingerprint_sha256: facts.fingerprint_sha256,
            not_after: facts.not_after,
        })
    }

    /// True if both have one key, whatever certificate it is in.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.spki_sha256 == other.spki_sha256
    }
}

/// A CA that answered in the place of those that an adapter knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StrangeCa {
    /// Its certificate.
    pub ca: Ca,
    /// It has signed something for us, which somebody has to judge; else it was only shown.
    pub signed: bool,
    /// Time at which it was seen first.
    pub seen_at: DateTime<Utc>,
}

/// One adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Adapter {
    /// `adp_…`
    pub id: String,
    /// Grows by one with every change of the row.
    pub version: i64,
    /// Its name, such as `vault`.
    #[serde(deserialize_with = "plain::name")]
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
    /// The CAs whose signature counts: the first one that was seen, and those that an operator accepted. None before the
    /// first was seen, or where the CA's own address is what is trusted (ACME).
    pub cas: Vec<Ca>,
    /// A CA that answered in their place, until it is accepted or dismissed, or they are back.
    pub strange_ca: Option<StrangeCa>,
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

    /// True if the signature of this CA counts.
    #[must_use]
    pub fn knows(&self, ca: &Ca) -> bool {
        self.cas.iter().any(|known| known.is_same(ca))
    }

    /// Reason for a pause since another CA answers: the change, both fingerprints, and the ways on.
    #[must_use]
    pub fn another_ca(&self, strange: &StrangeCa) -> String {
        let did = match strange.signed {
            true => "has signed with another CA than it is known for",
            false => "shows another CA than it is known for",
        };
        let before = match self.cas.last() {
            Some(ca) => format!("`{}` with the key {}", ca.subject, ca.spki_sha256),
            None => "none".to_owned(),
        };
        format!(
            "{} {did}: `{}` with the key {} (SHA-256), before {before}. Compare it with the CA itself. Rotated: \
             `POST /api/v1/adapters/{}/accept-ca` with this `spki_sha256`. Not yours: somebody stands before the CA; once \
             they are gone, `…/dismiss-ca`",
            self.place(),
            strange.ca.subject,
            strange.ca.spki_sha256,
            self.id
        )
    }

    /// True if it is paused since another CA answers, which an operator has to judge.
    #[must_use]
    pub fn waits_for_judgement(&self) -> bool {
        let why = self
            .strange_ca
            .as_ref()
            .map(|it| told::told(&self.another_ca(it)));
        why.is_some() && why == self.paused_reason
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
