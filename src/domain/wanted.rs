//! The certificate that a request is for: what its CSR is held against before a CA is asked, and what the CA's
//! certificate is held against before it counts.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::csr::Csr;
use super::key::KeyAlgorithm;
use super::listed;
use super::name;
use super::request::Request;
use super::signature::CLOCK_AHEAD;
use super::told::quoted;
use super::x509::Content;

/// The time that a certificate is taken at, and how long from then it may be valid.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// Now.
    pub now: DateTime<Utc>,
    /// The validity that the CA was asked for, or else the most that is taken.
    pub longest: TimeDelta,
}

/// The time that CAs date a certificate back, so that clocks that are behind take it: what began earlier than that before
/// its CA was asked was signed for somebody else.
pub const DATED_BACK: TimeDelta = TimeDelta::hours(1);

/// Names and key of a certificate that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    common_name: String,
    names: BTreeSet<String>,
    key_algorithm: String,
}

/// A CSR that asks for something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherCsr {
    /// Another kind of key.
    #[error("the CSR's key is {found}, the request asks for {asked}")]
    KeyAlgorithm {
        /// Its own.
        found: &'static str,
        /// The request's.
        asked: String,
    },
    /// Another common name, or one where it would be too long.
    #[error("the CSR's common name is not the request's")]
    CommonName,
    /// Other names.
    #[error("the CSR's names are not the request's: `{found}` instead of `{asked}`")]
    Names {
        /// Its own.
        found: String,
        /// The request's.
        asked: String,
    },
}

/// A certificate that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherCertificate {
    /// For another key, or the same one in other bytes.
    #[error("it carries another key than the CSR")]
    Key,
    /// It may sign others.
    #[error("it is that of a CA")]
    Ca,
    /// Other names.
    #[error("it is for {} instead of {}", quoted(.found), quoted(.asked))]
    Names {
        /// Its own.
        found: String,
        /// The request's.
        asked: String,
    },
    /// A subject with another name.
    #[error("its common name {} was not asked for", quoted(.0))]
    CommonName(String),
    /// A subject with more than one common name, or with something else.
    #[error("its subject has {}, which was not asked for", quoted(.0))]
    Subject(String),
    /// Usages that a server or its client has no use for.
    #[error("it may be used for {0}, which was not asked for")]
    Usages(String),
    /// It begins later.
    #[error("it is valid only from {from}, and now it is {now}")]
    TooEarly {
        /// Its first moment.
        from: DateTime<Utc>,
        /// Now.
        now: DateTime<Utc>,
    },
    /// It has ended.
    #[error("it ended at {0}")]
    Ended(DateTime<Utc>),
    /// It ends later than is asked for.
    #[error("it is valid until {until}, and {latest} is the latest that is taken")]
    TooLong {
        /// Its last moment.
        until: DateTime<Utc>,
        /// The latest that it may be.
        latest: DateTime<Utc>,
    },
}

impl Wanted {
    /// What a request asks for.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let names = request.sans.iter().chain([&request.common_name]);
        Self {
            common_name: request.common_name.clone(),
            names: names.cloned().collect(),
            key_algorithm: request.key_algorithm.clone(),
        }
    }

    /// Holds a CSR against it.
    ///
    /// # Errors
    /// It asks for anything else, or in another spelling.
    pub fn asked_by(&self, csr: &Csr) -> Result<(), OtherCsr> {
        let algorithm = KeyAlgorithm::word(csr.key.algorithm);
        if algorithm != self.key_algorithm {
            return Err(OtherCsr::KeyAlgorithm {
                found: algorithm,
                asked: self.key_algorithm.clone(),
            });
        }
        let fitting = name::common_name(&self.common_name);
        if csr.common_name.is_some() && csr.common_name.as_deref() != fitting {
            return Err(OtherCsr::CommonName);
        }
        let mut names: BTreeSet<String> = csr.dns.iter().cloned().collect();
        names.extend(csr.ips.iter().map(ToString::to_string));
        // A name in the subject alone is one that many readers don't see (RFC 6125 §6.4.4).
        if names != self.names {
            return Err(OtherCsr::Names {
                found: shown(&names),
                asked: shown(&self.names),
            });
        }
        Ok(())
    }

    /// Holds a certificate against it, against the key that the CSR was for, and against the time that it may be valid.
    ///
    /// # Errors
    /// It says anything else.
    pub fn certified_by(
        &self,
        certificate: &Content,
        csr: &Csr,
        validity: Validity,
    ) -> Result<(), OtherCertificate> {
        if certificate.spki_der != csr.key.spki_der {
            return Err(OtherCertificate::Key);
        }
        if certificate.is_ca {
            return Err(OtherCertificate::Ca);
        }
        if certificate.names != self.names {
            return Err(OtherCertificate::Names {
                found: shown(&certificate.names),
                asked: shown(&self.names),
            });
        }
        // A CA may leave it out, or take another one of the names for it.
        if let Some(other) = certificate
            .common_names
            .iter()
            .find(|name| !self.names.contains(*name))
        {
            return Err(OtherCertificate::CommonName(other.clone()));
        }
        let more_names = certificate
            .common_names
            .iter()
            .skip(1)
            .map(|name| format!("CN={name}"));
        if let Some(other) = certificate
            .beside_common_names
            .iter()
            .cloned()
            .chain(more_names)
            .next()
        {
            return Err(OtherCertificate::Subject(other));
        }
        if !certificate.other_usages.is_empty() {
            return Err(OtherCertificate::Usages(certificate.other_usages.join(", ")));
        }
        validity.holds(certificate)
    }
}

impl Validity {
    fn holds(self, certificate: &Content) -> Result<(), OtherCertificate> {
        let Self { now, longest } = self;
        let (from, until) = (certificate.not_before, certificate.not_after);
        if from > now + CLOCK_AHEAD {
            return Err(OtherCertificate::TooEarly { from, now });
        }
        if until <= now {
            return Err(OtherCertificate::Ended(until));
        }
        // A duration that no calendar has room for bounds nothing.
        match now.checked_add_signed(longest + CLOCK_AHEAD) {
            Some(latest) if until > latest => Err(OtherCertificate::TooLong { until, latest }),
            _ => Ok(()),
        }
    }
}

/// The first few, and how many more.
fn shown(names: &BTreeSet<String>) -> String {
    const FIRST: usize = 8;
    let first: Vec<&str> = names.iter().take(FIRST).map(String::as_str).collect();
    listed::listed(&first, names.len())
}
