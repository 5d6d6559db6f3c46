//! Bodies of `/api/v1/requests`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::request::Request;

/// The reply to a request or a reissue: accepted, to be followed. A reissue of a certificate that is
/// installed in several places makes one request an installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestReply {
    /// The requests that were made.
    pub requests: Vec<Request>,
    /// The audit row's number.
    pub audit_seq: i64,
}

/// `POST /api/v1/requests/{id}/csr`, by the agent that made the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CsrBody {
    /// The certification request (PKCS #10) in PEM.
    pub csr_pem: String,
}

/// Why, for the audit: the body of every change that needs nothing else. An empty body is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyBody {
    /// In the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}
