//! Ids: text with a prefix that says what it names and a tail that sorts by time of making.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::told::cut;

/// What an id, an audit row, a target or a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// One issued certificate, `crt_…`.
    Certificate,
    /// One key pair, named by the SHA-256 of its SubjectPublicKeyInfo.
    Key,
    /// One agent, `agt_…`.
    Agent,
    /// One issuance request, `req_…`.
    Request,
    /// One certificate at one path on one agent, `ins_…`.
    Installation,
    /// One run of a plan, `run_…`.
    Run,
    /// One job for an agent or the issuer, `job_…`.
    Job,
    /// One adapter, `adp_…`.
    Adapter,
    /// One API token, `tok_…`.
    Token,
    /// One audit row, by its sequence number.
    Audit,
    /// A Vault node, named by its address.
    Vault,
    /// A host of the database, named by its address.
    Database,
    /// A part of the platform that runs or doesn't: the API, the issuers, the schedulers.
    Service,
}

impl EntityKind {
    /// All of them.
    pub(crate) const ALL: [Self; 13] = [
        Self::Certificate,
        Self::Key,
        Self::Agent,
        Self::Request,
        Self::Installation,
        Self::Run,
        Self::Job,
        Self::Adapter,
        Self::Token,
        Self::Audit,
        Self::Vault,
        Self::Database,
        Self::Service,
    ];

    /// The word used in the database, in audit rows and on screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::Agent => "agent",
            Self::Request => "request",
            Self::Installation => "installation",
            Self::Run => "run",
            Self::Job => "job",
            Self::Adapter => "adapter",
            Self::Token => "token",
            Self::Audit => "audit",
            Self::Vault => "vault",
            Self::Database => "database",
            Self::Service => "service",
        }
    }

    /// The thing in a sentence.
    #[must_use]
    pub fn the(self) -> &'static str {
        match self {
            Self::Certificate => "the certificate",
            Self::Key => "the key",
            Self::Agent => "the agent",
            Self::Request => "the request",
            Self::Installation => "the installation",
            Self::Run => "the run",
            Self::Job => "the job",
            Self::Adapter => "the adapter",
            Self::Token => "the token",
            Self::Audit => "the audit row",
            Self::Vault => "Vault",
            Self::Database => "the database",
            Self::Service => "the service",
        }
    }

    /// The thing as one of its kind.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate",
            Self::Key => "a key",
            Self::Agent => "an agent",
            Self::Request => "a request",
            Self::Installation => "an installation",
            Self::Run => "a run",
            Self::Job => "a job",
            Self::Adapter => "an adapter",
            Self::Token => "a token",
            Self::Audit => "an audit row",
            Self::Vault => "a Vault",
            Self::Database => "a database",
            Self::Service => "a service",
        }
    }

    /// Advice where nobody knows what became of a change to it.
    #[must_use]
    pub fn check_first(self) -> String {
        format!("check {} before you retry", self.the())
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Certificate => "crt",
            Self::Key => "key",
            Self::Agent => "agt",
            Self::Request => "req",
            Self::Installation => "ins",
            Self::Run => "run",
            Self::Job => "job",
            Self::Adapter => "adp",
            Self::Token => "tok",
            Self::Audit => "aud",
            Self::Vault => "vlt",
            Self::Database => "dbs",
            Self::Service => "svc",
        }
    }
}

/// What `id` names, by its prefix; none if it is no whole id.
#[must_use]
pub fn kind_of(id: &str) -> Option<EntityKind> {
    let (prefix, tail) = id.split_once('_')?;
    let is_whole = !tail.is_empty() && tail.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let mut kinds = EntityKind::ALL.into_iter();
    kinds.find(|kind| is_whole && kind.prefix() == prefix)
}

/// No id of ours is longer.
const LONGEST: usize = 100;

/// An id of this kind that others told, fit for a URL, a file's name and a log line.
fn told<'de, D: Deserializer<'de>>(kind: EntityKind, from: D) -> Result<String, D::Error> {
    let id = String::deserialize(from)?;
    let tail = id
        .strip_prefix(kind.prefix())
        .and_then(|rest| rest.strip_prefix('_'));
    let fits = |tail: &str| {
        !tail.is_empty()
            && tail
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    match id.len() <= LONGEST && tail.is_some_and(fits) {
        true => Ok(id),
        false => Err(D::Error::custom(format!("`{}` is no {kind}'s id", cut(&id, 80)))),
    }
}

/// For a field with an agent's id.
///
/// # Errors
/// The text is no agent's id.
pub fn of_agent<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    told(EntityKind::Agent, from)
}

/// For a field with a job's id.
///
/// # Errors
/// The text is no job's id.
pub fn of_job<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    told(EntityKind::Job, from)
}

/// For a field with a request's id.
///
/// # Errors
/// The text is no request's id.
pub fn of_request<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    told(EntityKind::Request, from)
}

/// For a field with a certificate's id.
///
/// # Errors
/// The text is no certificate's id.
pub fn of_certificate<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    told(EntityKind::Certificate, from)
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A new id such as `crt_01k9…`; later ids of one kind sort after earlier ones.
#[must_use]
pub fn new_id(kind: EntityKind) -> String {
    format!(
        "{}_{}",
        kind.prefix(),
        ulid::Ulid::generate().to_string().to_lowercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_prefix() {
        assert!(new_id(EntityKind::Certificate).starts_with("crt_"));
        assert_eq!(new_id(EntityKind::Agent).len(), 30);
        assert_eq!(kind_of(&new_id(EntityKind::Request)), Some(EntityKind::Request));
        assert_eq!(kind_of("aud_17"), Some(EntityKind::Audit));
        for none in ["crt_", "crt", "shop_1", "crt_a b", ""] {
            assert_eq!(kind_of(none), None, "{none}");
        }
    }

    #[test]
    fn an_id_that_leads_elsewhere_is_none() {
        let read = |id: &str| of_agent(serde_json::Value::from(id));
        assert_eq!(read("agt_01k9").unwrap(), "agt_01k9");
        for id in [
            "../../x",
            "agt_",
            "agt_../x",
            "agt_a/b",
            "agt_a?b",
            "agt_a%2fb",
            "agt_\u{202e}",
            "crt_1",
            "agt_a\nb",
        ] {
            assert!(read(id).is_err(), "{id}");
        }
        assert!(read(&format!("agt_{}", "a".repeat(200))).is_err());
    }

    #[test]
    fn words_round_trip() {
        assert_eq!(
            EntityKind::from_word(EntityKind::Vault.word()),
            Some(EntityKind::Vault)
        );
        assert_eq!(EntityKind::from_word("certificates"), None);
    }
}
