//! Handshakes of the console's own: where they are made, and which certificates they showed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::certificate::common_name;
use crate::domain::installation::Installation;

/// Place of a handshake: one address may serve another certificate for every name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// `host:port`.
    pub address: String,
    /// The name that is asked for.
    pub name: String,
}

impl Endpoint {
    /// Address at which this installation is served, if it is.
    #[must_use]
    pub fn of(installation: &Installation) -> Option<Self> {
        let subject = &installation.subject;
        Some(Self {
            address: installation.tls_address.clone()?,
            name: common_name(subject).unwrap_or(subject).to_owned(),
        })
    }
}

/// Certificates that fresh connections of the console's own to every address of a place showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedNow {
    /// Number of connections by the certificate that they showed, as its SHA-256 in lower-case hex.
    pub shown: BTreeMap<String, usize>,
    /// Sentence about connections that failed where others came about.
    pub broken: Option<String>,
}

impl ServedNow {
    /// Number of connections that showed another certificate than this, and number of those that showed any.
    #[must_use]
    pub fn others(&self, expected: &str) -> (usize, usize) {
        let n: usize = self.shown.values().sum();
        (n - self.shown.get(expected).copied().unwrap_or(0), n)
    }
}

/// Handshakes of the console's own at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Certificates that were served, or the reason that none was; `None` while the look is under way.
    pub served: Option<Result<ServedNow, String>>,
    /// Certificate that was expected there when it was made: with another expectation it is out of date.
    pub expected: String,
    /// When.
    pub at: DateTime<Utc>,
}
