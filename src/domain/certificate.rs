//! A certificate as the inventory keeps it: stored facts, and what is derived from them and the time.

use super::plain;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reason::Reason;
use super::renewal::Renewal;

/// Stored status. *Expired*, *expiring* and *not yet valid* are derived from time, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Issued and not revoked.
    Active,
    /// The wish to revoke is durable, the CA has not confirmed.
    RevocationPending,
    /// The CA confirmed the revocation.
    Revoked,
    /// On hold (reason `certificateHold`); may come back.
    Held,
}

impl CertificateStatus {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::RevocationPending => "revocation_pending",
            Self::Revoked => "revoked",
            Self::Held => "held",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::RevocationPending, Self::Revoked, Self::Held]
            .into_iter()
            .find(|s| s.word() == word)
    }

    /// True if the status may change to `to`. Revoked stays revoked (RFC 5280 §5.3.1 allows only
    /// `certificateHold` to be taken back).
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        use CertificateStatus::{Active, Held, RevocationPending, Revoked};
        matches!(
            (self, to),
            (Active, RevocationPending | Held)
                | (RevocationPending, Revoked | RevocationPending)
                | (Held, Active | RevocationPending | Revoked)
        )
    }
}

/// State of a revocation; a CA's 200 is not yet a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revocation {
    /// The reason that was given.
    pub reason: Reason,
    /// When somebody asked for it.
    pub asked_at: DateTime<Utc>,
    /// When the CA accepted it.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Time by which the CA's CRL is to hold the serial, by what the CA said when it accepted the revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_crl_by: Option<DateTime<Utc>>,
    /// When the serial was first seen in a fetched CRL.
    pub in_crl_at: Option<DateTime<Utc>>,
    /// When it was found that the CA publishes no CRL for it, so that its yes is the end of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_crl_at: Option<DateTime<Utc>>,
    /// Time at which the serial was seen in a CRL before, where a later one doesn't hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was_in_crl_at: Option<DateTime<Utc>>,
    /// The later one, in words.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "plain::maybe_name"
    )]
    pub left_crl: Option<String>,
    /// Words of the CA that refused to revoke, where nobody asks it any more: it can be asked for again.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "plain::maybe_name"
    )]
    pub refusal: Option<String>,
}

impl Revocation {
    /// Time at which a CRL held it, with the later one that doesn't.
    #[must_use]
    pub fn fell_out(&self) -> Option<(DateTime<Utc>, &str)> {
        let is_missing = self.in_crl_at.is_none();
        Some((self.was_in_crl_at?, self.left_crl.as_deref()?)).filter(|_| is_missing)
    }
}

/// One issued certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// `crt_…`
    pub id: String,
    /// Grows by one with every change of the row.
    pub version: i64,
    /// The subject's distinguished name, e.g. `CN=web.example.com`.
    #[serde(deserialize_with = "plain::name")]
    pub subject: String,
    /// Subject alternative names: DNS names and IP addresses as text.
    #[serde(deserialize_with = "plain::names")]
    pub sans: Vec<String>,
    /// The issuer's distinguished name.
    #[serde(deserialize_with = "plain::name")]
    pub issuer: String,
    /// Lower-case hex pairs with colons, as Vault writes it.
    pub serial: String,
    /// SHA-256 over the DER, lower-case hex.
    pub fingerprint_sha256: String,
    /// SHA-256 over the SubjectPublicKeyInfo DER, lower-case hex.
    pub spki_sha256: String,
    /// Such as `ecdsa-p256` (see [`super::key::KeyAlgorithm`]) or what the certificate holds else.
    #[serde(deserialize_with = "plain::name")]
    pub key_algorithm: String,
    /// First moment of validity.
    pub not_before: DateTime<Utc>,
    /// Last moment of validity.
    pub not_after: DateTime<Utc>,
    /// Stored status.
    pub status: CertificateStatus,
    /// Its revocation, if one was asked for.
    pub revocation: Option<Revocation>,
    /// When its CA suggests to renew it, where the CA says so and was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// The adapter that it came through, `adp_…`.
    pub adapter_id: Option<String>,
    /// The request that it came from, `req_…`.
    pub request_id: Option<String>,
    /// The certificate that it replaces.
    pub replaces: Option<String>,
    /// The certificate that replaced it.
    pub replaced_by: Option<String>,
    /// On how many places it is expected. One where its first installation failed counts only where there is no other:
    /// it isn't there.
    pub n_installations: i64,
    /// Requests under way that are to replace it: one for each of its places.
    #[serde(default)]
    pub n_reissues: i64,
    /// Places for which a reissue would make a request now: where it is expected, or belongs since its installation
    /// failed, on an agent that isn't banned, without a request under way.
    pub n_reissuable: i64,
    /// The host where it is expected, or the first of several by name.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub host: Option<String>,
    /// Whose host that is.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub owner: Option<String>,
    /// A newer one took its place, it is expected nowhere any more, and nobody was seen to serve it.
    #[serde(default)]
    pub is_replaced: bool,
    /// Its key counts as compromised.
    #[serde(default)]
    pub is_key_compromised: bool,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row changed last.
    pub updated_at: DateTime<Utc>,
    /// The certificate in PEM; only in a detail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// Its issuers in PEM, the nearest first; only in a detail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_pem: Option<String>,
}

/// A certificate's status as it is shown, filtered by and exported: what is stored, and what time and its successor
/// make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Neither revoked nor over, and others have its key, wherever it is in use.
    Leaked,
    /// Good for more than thirty days.
    Active,
    /// Ends within thirty days.
    Expiring,
    /// Has ended.
    Expired,
    /// The CA confirmed its revocation.
    Revoked,
    /// Its revocation was asked for.
    Revoking,
    /// Its revocation was asked for, and its CA refused: nobody is at it.
    Refused,
    /// On hold.
    Held,
    /// Has done its duty: a newer one took its place everywhere.
    Replaced,
}

impl Shown {
    /// All of them, in the order of their words in messages.
    pub const ALL: [Self; 9] = [
        Self::Active,
        Self::Expiring,
        Self::Expired,
        Self::Revoked,
        Self::Revoking,
        Self::Refused,
        Self::Held,
        Self::Leaked,
        Self::Replaced,
    ];

    /// The word shown, and in a filter.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Leaked => "leaked",
            Self::Active => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Revoking => "revoking",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Replaced => "replaced",
        }
    }
}

/// Urgency with which a certificate needs somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// `not_after` has passed.
    Expired,
    /// Within a day.
    Hours,
    /// Within a week.
    Days,
    /// Within thirty days.
    Weeks,
    /// Later.
    None,
}

impl Certificate {
    /// The first common name of the subject, or the first SAN, or the whole subject.
    #[must_use]
    pub fn name(&self) -> &str {
        common_name(&self.subject)
            .or_else(|| self.sans.first().map(String::as_str))
            .unwrap_or(&self.subject)
    }

    /// Its status as it is shown, at `now`.
    #[must_use]
    pub fn shown(&self, now: DateTime<Utc>) -> Shown {
        match (self.status, self.urgency(now)) {
            (CertificateStatus::Revoked, _) => Shown::Revoked,
            (CertificateStatus::RevocationPending, _) if self.refusal().is_some() => Shown::Refused,
            (CertificateStatus::RevocationPending, _) => Shown::Revoking,
            (CertificateStatus::Held, _) => Shown::Held,
            (CertificateStatus::Active, left) if self.is_key_compromised && left != Urgency::Expired => {
                Shown::Leaked
            }
            (CertificateStatus::Active, _) if self.is_replaced => Shown::Replaced,
            (CertificateStatus::Active, Urgency::Expired) => Shown::Expired,
            (CertificateStatus::Active, Urgency::None) => Shown::Active,
            (CertificateStatus::Active, _) => Shown::Expiring,
        }
    }

    /// Words of its CA that refused to revoke it, where nobody asks it any more.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let pending = self.status == CertificateStatus::RevocationPending;
        let revocation = self.revocation.as_ref().filter(|_| pending)?;
        revocation.refusal.as_deref()
    }

    /// Time by which its CRL was to hold it, where its CA has accepted the revocation and no list was seen to hold it, at
    /// `now`: the CA can be asked for it again.
    #[must_use]
    pub fn missed_in_crl(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let revocation = self.revocation.as_ref()?;
        let is_open = revocation.in_crl_at.is_none() && revocation.without_crl_at.is_none();
        let is_revoked = self.status == CertificateStatus::Revoked;
        revocation
            .in_crl_by
            .filter(|by| is_revoked && is_open && *by <= now)
    }

    /// There is nothing left to ask for: each of its places has a request that is under way.
    #[must_use]
    pub fn is_being_reissued(&self) -> bool {
        is_being_reissued(self.n_reissues, self.n_reissuable)
    }

    /// It is expected on banned agents only, which get nothing.
    #[must_use]
    pub fn is_banned_everywhere(&self) -> bool {
        self.n_installations > 0 && self.n_reissues == 0 && self.n_reissuable == 0
    }

    /// It can still be shown to somebody with its key: neither revoked, nor over, nor replaced and gone.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        let is_good = match self.shown(now) {
            Shown::Active | Shown::Expiring | Shown::Held => true,
            Shown::Leaked => !self.is_replaced,
            Shown::Expired | Shown::Revoked | Shown::Revoking | Shown::Refused | Shown::Replaced => false,
        };
        is_good && self.not_after > now
    }

    /// Its urgency at `now`.
    #[must_use]
    pub fn urgency(&self, now: DateTime<Utc>) -> Urgency {
        urgency(self.not_after, now)
    }

    /// The last four digits of the serial, which a revocation asks for.
    #[must_use]
    pub fn serial_tail(&self) -> String {
        let hex: String = self.serial.chars().filter(char::is_ascii_hexdigit).collect();
        hex[hex.len().saturating_sub(4)..].to_owned()
    }
}

/// Requests are under way, and there is no place left for which another one would be made.
#[must_use]
pub fn is_being_reissued(n_requests: i64, n_reissuable: i64) -> bool {
    n_requests > 0 && n_reissuable == 0
}

/// Urgency with which something that ends at `not_after` needs somebody.
#[must_use]
pub fn urgency(not_after: DateTime<Utc>, now: DateTime<Utc>) -> Urgency {
    let left = not_after - now;
    if left <= Duration::zero() {
        Urgency::Expired
    } else if left <= Duration::days(1) {
        Urgency::Hours
    } else if left <= Duration::days(7) {
        Urgency::Days
    } else if left <= Duration::days(30) {
        Urgency::Weeks
    } else {
        Urgency::None
    }
}

/// The last four octets of a serial: `…57:80:2e:dd`.
#[must_use]
pub fn short_serial(serial: &str) -> String {
    let octets: Vec<&str> = serial.split(':').collect();
    match octets.len() {
        0..=4 => serial.to_owned(),
        n => format!("…{}", octets[n - 4..].join(":")),
    }
}

/// The value of the first `CN=` in a distinguished name as x509 tools print it.
#[must_use]
pub fn common_name(subject: &str) -> Option<&str> {
    subject
        .split(',')
        .map(str::trim)
        .find_map(|part| part.strip_prefix("CN="))
        .filter(|cn| !cn.is_empty())
}

/// A serial in any notation (colons, spaces, `0x`, any case) to lower-case hex pairs with colons;
/// `None` if it isn't hex, is empty, or is longer than 20 octets (RFC 5280 §4.1.2.2).
#[must_use]
pub fn normal_serial(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    let mut digits = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            ':' | ' ' | '-' => {}
            c if c.is_ascii_hexdigit() => digits.push(c.to_ascii_lowercase()),
            _ => return None,
        }
    }
    if digits.is_empty() {
        return None;
    }
    if digits.len() % 2 == 1 {
        digits.insert(0, '0');
    }
    while digits.len() > 40 && digits.starts_with("00") {
        digits.drain(..2);
    }
    if digits.len() > 40 {
        return None;
    }
    let pairs: Vec<&str> = (0..digits.len()).step_by(2).map(|i| &digits[i..i + 2]).collect();
    Some(pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn common_names() {
        assert_eq!(common_name("O=x, CN=a.example.com"), Some("a.example.com"));
        assert_eq!(common_name("O=x"), None);
    }

    #[test]
    fn serials_in_any_notation() {
        for text in ["39:DD:2e", "0x39dd2e", "39dd2e", "39 dd 2e", "39-dd-2E"] {
            assert_eq!(normal_serial(text).as_deref(), Some("39:dd:2e"), "{text}");
        }
        assert_eq!(normal_serial("f").as_deref(), Some("0f"));
        for text in ["", "0x", "xyz", "39:dg"] {
            assert_eq!(normal_serial(text), None, "{text}");
        }
    }

    #[test]
    fn revoked_is_final() {
        use CertificateStatus::{Active, Held, RevocationPending, Revoked};
        for to in [Active, Held, RevocationPending, Revoked] {
            assert!(!Revoked.may_become(to));
        }
        assert!(!RevocationPending.may_become(Active));
        assert!(Held.may_become(Active));
    }

    proptest! {
        #[test]
        fn a_normal_serial_stays_itself(bytes in proptest::collection::vec(any::<u8>(), 1..20)) {
            let text = hex::encode(&bytes);
            let normal = normal_serial(&text).unwrap();
            prop_assert_eq!(normal_serial(&normal), Some(normal));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = normal_serial(&text);
            let _ = common_name(&text);
        }
    }
}
