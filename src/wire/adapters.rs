//! Bodies of `/api/v1/adapters`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/adapters/{id}/accept-ca` and `…/dismiss-ca`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaBody {
    /// The key that was compared: `strange_ca.ca.spki_sha256` of the adapter, or for `dismiss-ca` that of one of its `cas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spki_sha256: Option<String>,
    /// In its place, where the key isn't known: `strange_ca.certificate_sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// Reason for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}
