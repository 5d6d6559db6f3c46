//! Bodies of `/readyz`, `/api/v1/findings` and `/api/v1/me`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::database::Instance;
use crate::domain::finding::{Finding, FindingKind, LeftOut};
use crate::domain::link::BackendHealth;
use crate::domain::role::Role;
use crate::domain::worker::Worker;

/// `GET /healthz`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alive {
    /// Always true: the process answers.
    pub ok: bool,
}

/// `GET /readyz`: 200 when all that is needed is there, else 503 with the same body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether requests can be served.
    pub ready: bool,
    /// Each backend that the server depends on.
    pub backends: Vec<BackendHealth>,
    /// The server of the database that it is on, or was on when that answered last; none of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Instance>,
    /// Milliseconds by which this server's clock is ahead of the database's, where it is off by more than 10 s. What it
    /// dates and judges is corrected by that; its `Date` is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
    /// Issuers and schedulers that were seen within a day.
    #[serde(default)]
    pub workers: Vec<Worker>,
}

/// `GET /api/v1/findings`: ranked, the worst first. All that is critical is here; of the others the most urgent
/// of each kind are, and the rest is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Findings {
    /// The findings.
    pub findings: Vec<Finding>,
    /// How many more there are of each kind that are not among them; kinds that are here whole are absent.
    #[serde(default)]
    pub more: BTreeMap<FindingKind, LeftOut>,
}

/// `GET /api/v1/me`: who the token is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The database that the API is on; none of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseOf>,
}

/// A database as a server is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseOf {
    /// Where, as it is configured: `host:port`, or the folder of a socket.
    pub host: String,
    /// The server that answers there, as of the last look.
    pub instance: Option<Instance>,
}

/// `GET /api/v1/audit/verify`: the whole chain was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainReport {
    /// Whether it is whole.
    pub whole: bool,
    /// How many rows were checked and are good.
    pub n_rows: Option<i64>,
    /// The last row's hash.
    pub head: Option<String>,
    /// Where it is broken.
    pub broken: Option<String>,
    /// How many rows are dated more than an hour later than rows after them, or than now: written by a clock that
    /// was ahead.
    #[serde(default)]
    pub n_dated_ahead: i64,
    /// Which they are, and what it means.
    #[serde(default)]
    pub dated_ahead: Option<String>,
}
