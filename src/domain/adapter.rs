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

/// Sort of a pause: what waits for it, and what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseKind {
    /// Nothing can be asked of the CA, for a reason that somebody has to mend at it.
    Stopped,
    /// Its Vault is sealed.
    Sealed,
    /// It gives the issuer no answer.
    NoAnswer,
    /// It can't sign; all else goes on.
    Unsigned,
    /// Another CA answers in its place, which an operator has to judge.
    AnotherCa,
}

impl PauseKind {
    /// All sorts.
    const ALL: [Self; 5] = [
        Self::Stopped,
        Self::Sealed,
        Self::NoAnswer,
        Self::Unsigned,
        Self::AnotherCa,
    ];

    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Sealed => "sealed",
            Self::NoAnswer => "no_answer",
            Self::Unsigned => "unsigned",
            Self::AnotherCa => "another_ca",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Pause of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Its sort.
    pub kind: PauseKind,
    /// Its reason, for people.
    pub reason: String,
}

impl Pause {
    /// A pause of this sort, for this reason.
    #[must_use]
    pub fn new(kind: PauseKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
        }
    }

    /// Pause for a seal.
    #[must_use]
    pub fn sealed() -> Self {
        Self::new(PauseKind::Sealed, "Vault is sealed")
    }

    /// Pause of an adapter whose CA, at `place`, doesn't answer the issuer called `issuer`.
    #[must_use]
    pub fn no_answer(issuer: &str, place: &str, why: &str) -> Self {
        Self::new(
            PauseKind::NoAnswer,
            format!("{issuer} gets no answer from {place}: {why}"),
        )
    }
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
    /// The sort of its pause, if it is paused.
    #[serde(default)]
    pub paused_kind: Option<PauseKind>,
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
        self.status == AdapterStatus::Active || self.is_paused_as(PauseKind::Unsigned)
    }

    /// True if it is paused, and its pause is of this sort.
    #[must_use]
    pub fn is_paused_as(&self, kind: PauseKind) -> bool {
        self.status == AdapterStatus::Paused && self.paused_kind == Some(kind)
    }

    /// True if it is paused for this already: one that gives no answer stays so, whichever issuer says it.
    #[must_use]
    pub fn is_paused_for(&self, pause: &Pause) -> bool {
        self.is_paused_as(pause.kind)
            && (pause.kind == PauseKind::NoAnswer
                || self.paused_reason.as_deref() == Some(told::told(&pause.reason).as_str()))
    }

    /// True if the signature of this CA counts.
    #[must_use]
    pub fn knows(&self, ca: &Ca) -> bool {
        self.cas.iter().any(|known| known.is_same(ca))
    }

    /// Pause since another CA answers; its reason has the change, both fingerprints, and the ways on.
    #[must_use]
    pub fn another_ca(&self, strange: &StrangeCa) -> Pause {
        let did = match strange.signed {
            true => "has signed with another CA than it is known for",
            false => "shows another CA than it is known for",
        };
        let before = match self.cas.last() {
            Some(ca) => format!("`{}` with the key {}", ca.subject, ca.spki_sha256),
            None => "none".to_owned(),
        };
        let reason = format!(
            "{} {did}: `{}` with the key {} (SHA-256), before {before}. Compare it with the CA itself. Rotated: \
             `POST /api/v1/adapters/{}/accept-ca` with this `spki_sha256`. Not yours: somebody stands before the CA; once \
             they are gone, `…/dismiss-ca`",
            self.place(),
            strange.ca.subject,
            strange.ca.spki_sha256,
            self.id
        );
        Pause::new(PauseKind::AnotherCa, reason)
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
