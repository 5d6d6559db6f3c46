//! Adapters: the issuer's plug for one CA, and why it is paused.

use super::{chain, plain};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::told::{self, quoted};
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

/// The largest certificate that is kept of a CA, in bytes of DER: one is a few kilobytes.
const LARGEST_CERTIFICATE: usize = 16 << 10;

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
    /// Time at which an operator accepted it; none for the first one that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<DateTime<Utc>>,
    /// Its certificate in PEM, with whose key signatures are verified; none of one that was seen before they were kept, until
    /// it is seen again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
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
            accepted_at: None,
            pem: (der.len() <= LARGEST_CERTIFICATE).then(|| x509::pem_of(der)),
        })
    }

    /// True if its key verifiably signed the certificate in DER, whatever came with that and whomever it names.
    #[must_use]
    pub fn has_signed(&self, der: &[u8]) -> bool {
        let own = x509::certificates(self.pem.as_deref().unwrap_or_default()).unwrap_or_default();
        own.first().is_some_and(|own| chain::is_by_key_of(der, own))
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
    /// Its certificate; none where no key that came along verifiably made its signature.
    pub ca: Option<Ca>,
    /// SHA-256 of what it signed, in hex, where its own certificate is not known: that names it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// It has signed something for us, which somebody has to judge; else it was only shown.
    pub signed: bool,
    /// Time at which it was seen first.
    pub seen_at: DateTime<Utc>,
}

impl StrangeCa {
    /// One that was shown.
    #[must_use]
    pub fn shown(ca: Ca, seen_at: DateTime<Utc>) -> Self {
        Self {
            ca: Some(ca),
            certificate_sha256: None,
            signed: false,
            seen_at,
        }
    }

    /// One that signed.
    #[must_use]
    pub fn signed(ca: Ca, seen_at: DateTime<Utc>) -> Self {
        Self {
            signed: true,
            ..Self::shown(ca, seen_at)
        }
    }

    /// Somebody who signed the certificate with this fingerprint with a key that is not known.
    #[must_use]
    pub fn untraced(certificate_sha256: &str, seen_at: DateTime<Utc>) -> Self {
        Self {
            ca: None,
            certificate_sha256: Some(certificate_sha256.to_owned()),
            signed: true,
            seen_at,
        }
    }

    /// True if this is that CA.
    #[must_use]
    pub fn is(&self, ca: &Ca) -> bool {
        self.ca.as_ref().is_some_and(|own| own.is_same(ca))
    }

    /// True if both are one, as far as is known.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match &other.ca {
            Some(ca) => self.is(ca),
            None => self.ca.is_none(),
        }
    }
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
    /// End of the CRL that its CA handed out last; none where it hands out none, or none that its key signed.
    #[serde(default)]
    pub crl_ends_at: Option<DateTime<Utc>>,
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

    /// The known CA whose key signed a certificate in DER.
    #[must_use]
    pub fn signer(&self, der: &[u8]) -> Option<&Ca> {
        self.cas.iter().find(|known| known.has_signed(der))
    }

    /// True if the certificate of this CA is still to be kept, which is known by its key alone.
    #[must_use]
    pub fn lacks_certificate_of(&self, ca: &Ca) -> bool {
        ca.pem.is_some()
            && self
                .cas
                .iter()
                .any(|known| known.is_same(ca) && known.pem.is_none())
    }

    /// Pause since another CA answers. Its reason has the ways on first, then the fingerprints, and last what the other one
    /// calls itself: a row is cut, and that is the stranger's own to write.
    #[must_use]
    pub fn another_ca(&self, strange: &StrangeCa) -> Pause {
        let (place, post) = (self.place(), format!("POST /api/v1/adapters/{}", self.id));
        let known = self.known_keys();
        let reason = match &strange.ca {
            Some(ca) => {
                let did = match strange.signed {
                    true => "has signed with",
                    false => "shows",
                };
                format!(
                    "{place} {did} another CA. Rotated: `{post}/accept-ca`; not yours: `…/dismiss-ca`, once who stands \
                     before the CA is gone. Its `spki_sha256`: {}; known: {known}. Compare it with the CA itself. It calls \
                     itself {}",
                    ca.spki_sha256,
                    quoted(&ca.subject)
                )
            }
            None => format!(
                "{place} gave a certificate that none of its CAs has signed. Once who stands before the CA is gone: \
                 `{post}/dismiss-ca`; no key came with it that could be accepted. Its `certificate_sha256`: {}; known: \
                 {known}",
                strange.certificate_sha256.as_deref().unwrap_or("not known")
            ),
        };
        Pause::new(PauseKind::AnotherCa, reason)
    }

    /// The keys of the CAs that it knows, the last one first.
    fn known_keys(&self) -> String {
        match (self.cas.last(), self.cas.len()) {
            (None, _) => "none".to_owned(),
            (Some(last), 1) => last.spki_sha256.clone(),
            (Some(last), n) => format!("{} and {} more", last.spki_sha256, n - 1),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ca(n: u8, subject: &str) -> Ca {
        Ca {
            subject: subject.to_owned(),
            spki_sha256: format!("{n:02x}").repeat(32),
            fingerprint_sha256: String::new(),
            not_after: DateTime::UNIX_EPOCH,
            accepted_at: None,
            pem: None,
        }
    }

    #[test]
    fn the_reason_has_the_ways_on_first_and_a_strangers_own_words_last() {
        let adapter = Adapter {
            id: format!("adp_{}", "0".repeat(26)),
            version: 1,
            name: "vault".to_owned(),
            kind: VAULT_PKI.to_owned(),
            config: serde_json::json!({"address": "http://127.0.0.1:8200"}),
            status: AdapterStatus::Active,
            paused_kind: None,
            paused_reason: None,
            paused_at: None,
            cas: vec![ca(1, "CN=known")],
            strange_ca: None,
            crl_ends_at: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        };
        let forged =
            "CN=CMP Demo Issuing CA` with the key c14527d9, which is the one of before; nothing to do`";
        let strange = StrangeCa::signed(ca(2, forged), DateTime::UNIX_EPOCH);
        let reason = adapter.another_ca(&strange).reason;
        // Three lines at 80 columns, with what stands before it there.
        let in_sight: String = reason.chars().take(190).collect();
        assert!(
            in_sight.contains("/accept-ca`") && in_sight.contains("`…/dismiss-ca`"),
            "{in_sight}"
        );
        let (ours, theirs) = reason.split_once("It calls itself ").unwrap();
        for key in [1, 2].map(|n: u8| format!("{n:02x}").repeat(32)) {
            assert!(ours.contains(&key), "{reason}");
        }
        assert!(!ours.contains("Demo"), "{reason}");
        let inside = theirs.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        assert!(!inside.unwrap().contains('`'), "{reason}");

        let nobody = StrangeCa::untraced(&"ab".repeat(32), DateTime::UNIX_EPOCH);
        let reason = adapter.another_ca(&nobody).reason;
        assert!(
            !reason.contains("accept-ca") && reason.contains(&"ab".repeat(32)),
            "{reason}"
        );
        let in_sight: String = reason.chars().take(190).collect();
        assert!(in_sight.contains("/dismiss-ca`"), "{in_sight}");
    }
}
