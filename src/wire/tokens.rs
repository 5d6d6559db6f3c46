//! Bodies of `/api/v1/tokens`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::domain::token::{Purpose, Token};

/// `POST /api/v1/tokens`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Who or what it is for, as audit rows will say: letters, digits and `-._@+`. The name of an enrolment
    /// token gets `enrol:` in front.
    #[schema(pattern = "^[A-Za-z0-9]([A-Za-z0-9._@+-]{0,98}[A-Za-z0-9])?$")]
    pub name: String,
    /// What for; `bearer` if not given. With `enrol` a new agent enrols, once.
    #[serde(default)]
    pub purpose: Purpose,
    /// What a bearer token may do: `viewer`, `operator` or `admin`. Not for an enrolment token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Seconds until it ends. A bearer token: 90 days if not given, 366 at most; an enrolment token: one
    /// hour, 7 days at most. Never longer than the token that asks, whose end is taken if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 31_622_400)]
    pub expires_in_s: Option<i64>,
    /// Why, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// The reply: what is kept of the token, and the token itself.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MadeToken {
    /// What is kept.
    #[serde(flatten)]
    pub kept: Token,
    /// The token, told once: not in the answer to a request that is sent again.
    #[schema(value_type = Option<String>)]
    pub token: Option<Secret>,
    /// What to do if that answer was lost, in the answer to a request that is sent again.
    pub note: Option<String>,
}

/// `POST /api/v1/tokens/{id}/revoke`. An empty body is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeTokenBody {
    /// Also what was made with it, and with that, and so on: agents that enrolled with it have to enrol again.
    #[serde(default)]
    pub with_made: bool,
    /// Why, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The ticket, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// The reply: the token, and what was made with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokedToken {
    /// What was taken back.
    #[serde(flatten)]
    pub token: Token,
    /// What was made with it and still let somebody in: taken back too, where that was asked for, as each one's
    /// `revoked_at` says. The first 500.
    pub made: Vec<Token>,
    /// How many there are.
    pub n_made: usize,
}
