//! Body of `GET /api/v1/trends`: counts over time, for charts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Weeks ahead.
pub const WEEKS: usize = 12;
/// Spans of [`CHECKIN_MIN`] back.
pub const CHECKINS: usize = 12;
/// How long one of these is, in minutes.
pub const CHECKIN_MIN: i64 = 5;
/// Hours back.
pub const HOURS: usize = 24;

/// Counts over time, relative to when they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trends {
    /// Certificates that end in each of the next [`WEEKS`], this week first; only those that still matter.
    pub expiring: Vec<i64>,
    /// Certificates that ended already and still matter.
    pub expired: i64,
    /// Agents by how long ago they checked in, the most recent span first.
    pub checked_in: Vec<i64>,
    /// Agents that checked in longer ago, or never.
    pub silent: i64,
    /// Certificates issued in each of the last [`HOURS`], the present one first.
    pub issued: Vec<i64>,
    /// Issuances that failed, by the same hours.
    pub failed: Vec<i64>,
}
