//! Revocation reasons (RFC 5280 §5.3.1), by name and number.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a certificate is revoked. `removeFromCRL` (8) is not a reason to revoke and 7 is unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// 0: no reason given; a CRL then carries no reasonCode at all.
    Unspecified,
    /// 1: the private key is known or suspected to be in other hands.
    KeyCompromise,
    /// 2: a CA's key; only for CA certificates.
    #[serde(rename = "cACompromise")]
    CaCompromise,
    /// 3: names in the certificate no longer belong to the subject.
    AffiliationChanged,
    /// 4: replaced by another certificate.
    Superseded,
    /// 5: no longer needed.
    CessationOfOperation,
    /// 6: on hold; can be taken back.
    CertificateHold,
    /// 9: the subject may no longer do what the certificate says.
    PrivilegeWithdrawn,
    /// 10: an attribute authority's key; not for TLS certificates.
    #[serde(rename = "aACompromise")]
    AaCompromise,
}

impl Reason {
    /// All that can be given when revoking an end-entity certificate, the urgent one first.
    pub const FOR_LEAVES: [Self; 6] = [
        Self::KeyCompromise,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::AffiliationChanged,
        Self::PrivilegeWithdrawn,
        Self::Unspecified,
    ];

    const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The name as RFC 5280 writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    /// The number of the CRLReason enumeration.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// From a name (any case) or a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL
            .into_iter()
            .find(|reason| reason.name().eq_ignore_ascii_case(text) || text.parse() == Ok(reason.number()))
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.name()), Some(reason));
            assert_eq!(Reason::parse(&reason.number().to_string()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }

    #[test]
    fn what_is_no_reason_is_refused() {
        for text in ["7", "8", "removeFromCRL", "", "key compromise", "-1"] {
            assert_eq!(Reason::parse(text), None, "{text}");
        }
    }
}
