//! Issuance requests: from the wish for a certificate to its end, and why one is stuck.

use super::plain;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    /// Waits on somebody or something, see [`WaitingOn`].
    Pending,
    /// Written before the CA is called, so that a crash is re-driven and never signs twice.
    Issuing,
    /// Has its certificate.
    Issued,
    /// The CA or a rule refused it for good.
    Failed,
    /// A person said no.
    Denied,
    /// A person took it back.
    Cancelled,
}

impl RequestStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Issuing,
        Self::Issued,
        Self::Failed,
        Self::Denied,
        Self::Cancelled,
    ];

    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Issuing => "issuing",
            Self::Issued => "issued",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Whether nothing more will happen to it by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Issued | Self::Failed | Self::Denied | Self::Cancelled)
    }

    /// Whether the status may change to `to`. `Issuing` goes back to `Pending` only when the CA is
    /// known not to have signed (sealed, retryable refusal).
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        use RequestStatus::{Cancelled, Denied, Failed, Issued, Issuing, Pending};
        matches!(
            (self, to),
            (Pending, Issuing | Denied | Cancelled | Failed)
                | (Issuing, Issued | Failed | Pending)
                | (Failed, Pending | Cancelled)
        )
    }
}

/// Who must act next on a pending request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingOn {
    /// A person's yes.
    Approval,
    /// The agent's key and CSR.
    Key,
    /// The CA.
    Ca,
    /// The agent's answer to what the CA asks of the names' hosts.
    Challenge,
}

impl WaitingOn {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Key => "key",
            Self::Ca => "ca",
            Self::Challenge => "challenge",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Approval, Self::Key, Self::Ca, Self::Challenge]
            .into_iter()
            .find(|waiting| waiting.word() == word)
    }
}

/// One issuance request. Each row answers why it is stuck, who must act and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// `req_…`
    pub id: String,
    /// Grows by one with every change of the row.
    pub version: i64,
    /// The common name asked for.
    #[serde(deserialize_with = "plain::name")]
    pub common_name: String,
    /// Subject alternative names asked for, the common name included.
    #[serde(deserialize_with = "plain::names")]
    pub sans: Vec<String>,
    /// Such as `ecdsa-p256`.
    pub key_algorithm: String,
    /// The adapter to issue through, `adp_…`.
    pub adapter_id: String,
    /// The agent that makes the key and gets the certificate.
    pub agent_id: Option<String>,
    /// Where to install the certificate on that agent once it is issued.
    pub install_path: Option<String>,
    /// The certificate that this one is to replace.
    pub replaces: Option<String>,
    /// The certificate that came out.
    pub certificate_id: Option<String>,
    /// The SHA-256 of the CSR's SubjectPublicKeyInfo, once there is a CSR.
    pub spki_sha256: Option<String>,
    /// Where it stands.
    pub status: RequestStatus,
    /// Who must act next, while it is pending.
    pub waiting_on: Option<WaitingOn>,
    /// How often the CA was asked and answered with an error.
    pub attempt: i64,
    /// The last error, in the CA's own words.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub error_message: Option<String>,
    /// Not before this moment is the CA asked again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The name of the token that asked.
    #[serde(deserialize_with = "plain::name")]
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When the row changed last.
    pub updated_at: DateTime<Utc>,
}

impl Request {
    /// One line: why it is stuck and who must act.
    #[must_use]
    pub fn why(&self) -> String {
        match (self.status, self.waiting_on) {
            (RequestStatus::Pending, Some(WaitingOn::Approval)) => "waits for an approval".to_owned(),
            (RequestStatus::Pending, Some(WaitingOn::Key)) => "waits for the agent's key and CSR".to_owned(),
            (RequestStatus::Pending, Some(WaitingOn::Challenge)) => {
                "waits for the agent to answer the CA's challenge".to_owned()
            }
            (RequestStatus::Pending, _) => match &self.error_message {
                Some(error) => format!("waits for the CA: {error}"),
                None => "waits for the CA".to_owned(),
            },
            (RequestStatus::Issuing, _) => "the CA is being asked".to_owned(),
            (RequestStatus::Failed, _) => self.error_message.clone().unwrap_or_else(|| "failed".to_owned()),
            // By whom and why, behind what was wrong with it before.
            (RequestStatus::Cancelled | RequestStatus::Denied, _) => {
                let said = self.error_message.as_deref().unwrap_or_default();
                let begins = said.rfind(&format!("{} by ", self.status.word()));
                match (begins, said) {
                    (Some(at), said) => said[at..].to_owned(),
                    (None, "") => self.status.word().to_owned(),
                    (None, said) => format!("{}: {said}", self.status.word()),
                }
            }
            (RequestStatus::Issued, _) => self.status.word().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issued_request_never_changes_again() {
        for to in RequestStatus::ALL {
            assert!(!RequestStatus::Issued.may_become(to));
            assert!(!RequestStatus::Denied.may_become(to));
            assert!(!RequestStatus::Cancelled.may_become(to));
        }
    }
}
