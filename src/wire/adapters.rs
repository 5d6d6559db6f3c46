//! Bodies of `/api/v1/adapters`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/adapters/{id}/accept-ca` and `…/dismiss-ca`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaBody {
    /// The key that was compared: `strange_ca.ca.spki_sha256` of the adapter.
    pub spki_sha256: String,
    /// Reason for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}
