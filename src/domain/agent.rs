//! Agents: the daemons on the hosts, and when one counts as silent.

use super::plain;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Stored status; *silent* is derived from the last check-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// May check in.
    Active,
    /// May not check in, and may not enrol again.
    Banned,
}

impl AgentStatus {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Banned => "banned",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Banned]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// How an agent is, seen from its last check-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentHealth {
    /// Missed more than [`SILENT_AFTER_INTERVALS`] check-ins.
    Silent,
    /// Has no token any more, as after a ban: it can't check in until it enrols again.
    NoToken,
    /// Banned by a person.
    Banned,
    /// Never checked in.
    Never,
    /// Missed one or two check-ins.
    Late,
    /// Checks in.
    Healthy,
}

/// A certificate by which an agent proves over TLS that it is itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentIdentity {
    /// Its serial: lower-case hex pairs with colons.
    pub serial: String,
    /// Its last moment.
    pub not_after: DateTime<Utc>,
}

/// After so many missed intervals an agent counts as silent.
pub const SILENT_AFTER_INTERVALS: i32 = 3;
/// A year: no agent checks in less often.
const LONGEST_INTERVAL_S: i64 = 366 * 24 * 60 * 60;

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// `agt_…`
    pub id: String,
    /// Grows by one with every change of the row; a check-in is not one.
    pub version: i64,
    /// The host's name.
    #[serde(deserialize_with = "plain::name")]
    pub hostname: String,
    /// Where its wake-up listens, e.g. `http://web-01:8084`.
    #[serde(deserialize_with = "plain::name")]
    pub address: String,
    /// Where TLS is served with what it installs, e.g. `web-01:443`, if anywhere.
    pub tls_address: Option<String>,
    /// The directories that its own configuration allows installations in.
    pub install_dirs: Vec<String>,
    /// The agent's program version.
    pub agent_version: String,
    /// Whose host it is, as its own configuration says: whom to call.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub owner: Option<String>,
    /// Stored status.
    pub status: AgentStatus,
    /// What it has to prove itself with, beside its token. Nothing where the API has no CA for that, or until
    /// it has shown its first one.
    #[serde(default)]
    pub identity: Option<AgentIdentity>,
    /// What it was given to follow that, until it shows it.
    #[serde(default)]
    pub next_identity: Option<AgentIdentity>,
    /// When it checked in last.
    pub last_checkin: Option<DateTime<Utc>>,
    /// The address that its last report came from.
    #[serde(default)]
    pub reported_from: Option<String>,
    /// Seconds between check-ins, chosen by the server.
    pub checkin_interval_s: i64,
    /// Each token that it had was taken back, as after a ban: it can't check in until it enrols again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_no_token: bool,
    /// How many installations it has.
    pub n_installations: i64,
    /// When it enrolled.
    pub enrolled_at: DateTime<Utc>,
    /// When the row changed last.
    pub updated_at: DateTime<Utc>,
}

impl Agent {
    /// How it is at `now`.
    #[must_use]
    pub fn health(&self, now: DateTime<Utc>) -> AgentHealth {
        // Whatever a server says: between no time and a year.
        let interval = Duration::seconds(self.checkin_interval_s.clamp(0, LONGEST_INTERVAL_S));
        match (self.status, self.last_checkin) {
            (AgentStatus::Banned, _) => AgentHealth::Banned,
            (AgentStatus::Active, _) if self.has_no_token => AgentHealth::NoToken,
            (AgentStatus::Active, None) => AgentHealth::Never,
            (AgentStatus::Active, Some(at)) if now - at > interval * SILENT_AFTER_INTERVALS => {
                AgentHealth::Silent
            }
            (AgentStatus::Active, Some(at)) if now - at > interval + interval / 2 => AgentHealth::Late,
            (AgentStatus::Active, Some(_)) => AgentHealth::Healthy,
        }
    }
}

impl AgentHealth {
    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::NoToken => "no token",
            Self::Banned => "banned",
            Self::Never => "never seen",
            Self::Late => "late",
            Self::Healthy => "healthy",
        }
    }
}

/// The common name of a certification request by which an agent proves that it has a key. No name of a certificate
/// is spelt so, so that no request for one is such a proof.
#[must_use]
pub fn proof_name(agent_id: &str) -> String {
    format!("urn:cmp:agent:{agent_id}")
}
