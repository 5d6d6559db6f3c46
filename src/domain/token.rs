//! API tokens as they are known: for what, for whom, until when. The token itself is nowhere here.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::role::Role;
use crate::problem::{Problem, ProblemKind};

/// What a token is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Sent with every request.
    #[default]
    Bearer,
    /// Spent in the transaction that enrols an agent.
    Enrol,
}

impl Purpose {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Enrol => "enrol",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Bearer, Self::Enrol]
            .into_iter()
            .find(|purpose| purpose.word() == word)
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// `tok_…`
    pub id: String,
    /// The name that audit rows carry.
    pub name: String,
    /// What for.
    pub purpose: Purpose,
    /// What it may do.
    pub role: Role,
    /// The agent that it belongs to, or that may enrol again with it.
    pub agent_id: Option<String>,
    /// The token that it was made with; nothing of one that a server's start made.
    #[serde(default)]
    pub parent: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was spent, if it is of the kind that is.
    pub spent_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The platform's parts, which write audit rows under these names.
const PARTS: [&str; 5] = ["issuer", "scheduler", "waker", "system", "platform"];
/// Its other words: its agents and what it works with.
const OF_THE_PLATFORM: [&str; 6] = ["agent", "enrol", "api", "vault", "server", "cmp"];
/// Names that by themselves say that nobody in particular, or the platform, did it. Beside something else they are a
/// person's to use (`audit-export`).
const ALONE: [&str; 5] = ["administrator", "root", "console", "audit", "token"];
/// Words of rights, and the name of the first token. Beside something else they are a person's to use (`admin-kim`).
const OF_RIGHTS: [&str; 3] = ["admin", "operator", "viewer"];
/// From so many letters on a word is recognised with one letter wrong, missing or too many; shorter ones with that
/// are people's names (`walker`).
const LONG: usize = 6;

/// A name as somebody sees it who reads fast: two that look alike are the same here. Only ASCII names tokens, so
/// that it is about capitals, separators and the few letters and digits that pass for each other.
#[must_use]
pub fn looks_like(name: &str) -> String {
    let seen = |c: char| match c.to_ascii_lowercase() {
        '0' => 'o',
        '1' | 'i' => 'l',
        c => c,
    };
    let separates = |c: &char| !matches!(c, '-' | '.' | '_' | '@' | '+');
    let letters: String = name.chars().filter(separates).map(seen).collect();
    letters.replace("rn", "m").replace("vv", "w")
}

/// Two names of which one is the other with a realm or a tag behind it (`kim@example`, `kim+1`): fast readers take
/// them for the same person.
#[must_use]
pub fn may_be_one_person(one: &str, other: &str) -> bool {
    let person = |name: &str| {
        let person = name.split(['@', '+']).next().unwrap_or(name);
        (looks_like(person), person.len() < name.len())
    };
    let ((one, one_has_more), (other, other_has_more)) = (person(one), person(other));
    one == other && one_has_more != other_has_more
}

/// The word of the platform's own that `name` passes for: one of its parts is that word, with digits around it or
/// without, or nearly that; or the whole is one of those that say nobody in particular, or a word of rights with
/// digits.
#[must_use]
pub fn passes_for(name: &str) -> Option<&'static str> {
    let parts = name.split(['-', '.', '_', '@', '+']);
    let squashed = squashed(name);
    let platform = || PARTS.into_iter().chain(OF_THE_PLATFORM);
    let own = parts
        .chain([squashed.as_str()])
        .find_map(|part| platform().find(|own| nearly(part, own)));
    own.or_else(|| ALONE.into_iter().find(|own| nearly(&squashed, own)))
        .or_else(|| {
            let with_digits = bare(&squashed) != squashed;
            let is = |right: &&str| with_digits && looks_like(bare(&squashed)) == looks_like(right);
            OF_RIGHTS.into_iter().find(is)
        })
}

/// The part of the platform that an agent on this host would pass for. A host may be called after what is on it
/// (`vault`, `api`), but not like what signs audit rows.
#[must_use]
pub fn host_passes_for(hostname: &str) -> Option<&'static str> {
    let squashed = squashed(hostname);
    PARTS.into_iter().find(|own| nearly(&squashed, own))
}

fn squashed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// True if `part` is the word `own`, with digits around it or without, or nearly that.
fn nearly(part: &str, own: &str) -> bool {
    let own = looks_like(own);
    [looks_like(part), looks_like(bare(part))]
        .iter()
        .any(|seen| *seen == own || (own.len() >= LONG && differ_by_one(seen, &own)))
}

/// Without digits before and after it.
fn bare(name: &str) -> &str {
    name.trim_matches(|c: char| c.is_ascii_digit())
}

/// True if one letter put in, left out or changed turns the one into the other.
fn differ_by_one(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let rest = |text: &[u8], skipped: usize| text.get(same + skipped..).map(<[u8]>::to_vec);
    match one.len().cmp(&other.len()) {
        Ordering::Equal => same < one.len() && rest(one, 1) == rest(other, 1),
        Ordering::Greater => one.len() == other.len() + 1 && rest(one, 1) == rest(other, 0),
        Ordering::Less => one.len() + 1 == other.len() && rest(one, 0) == rest(other, 1),
    }
}

impl Token {
    /// Whether it was neither taken back nor has expired at `now`; a one-time token may have been spent.
    ///
    /// # Errors
    /// Which it is.
    pub fn living(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        let unspent = Self {
            spent_at: None,
            ..self.clone()
        };
        unspent.good(now)
    }

    /// Whether it is still good at `now`.
    ///
    /// # Errors
    /// Which it is: expired, spent or taken back.
    pub fn good(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        let (what, at) = match (self.revoked_at, self.expires_at, self.spent_at) {
            (Some(at), _, _) => (format!("the token `{}` was taken back", self.name), at),
            (_, Some(at), _) if at <= now => (format!("the token `{}` expired", self.name), at),
            (_, _, Some(at)) => (format!("the one-time token `{}` was spent", self.name), at),
            _ => return Ok(()),
        };
        let what = format!("{what} at {}", at.format("%F %TZ"));
        Err(Problem::new(ProblemKind::NotAuthenticated, what).hint("ask for a new token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_pass_for_others_are_seen() {
        for name in [
            "issuer",
            "Issuer",
            "ISSUER",
            "lssuer",
            "1ssuer",
            "issuer.",
            "scheduler.",
            "Scheduler-2",
            "-issuer",
            "sche.duler",
            "issuer2",
            "issuerr",
            "isssuer",
            "xissuer",
            "the-issuer",
            "my-scheduler",
            "scheduler1",
            "system",
            "waker",
            "api",
            "vault",
            "agent-web-01",
            "agent1",
            "admin1",
            "2admin",
            "administrator",
            "Adminlstrator",
            "root",
            "r00t",
            "root2",
            "cmp",
            "cmp-console",
            "console",
            "audit",
            "token",
        ] {
            assert!(passes_for(name).is_some(), "{name}");
        }
        for name in [
            "kim",
            "kim2",
            "reissuer",
            "tissue",
            "walker",
            "baker",
            "m.vaughn",
            "apia",
            "admin",
            "admin-kim",
            "ops",
            "ops2",
            "on-call",
            "web-09",
            "ci.deploy",
            "kim@example.com",
            "audit-export",
            "console-kim",
        ] {
            assert!(passes_for(name).is_none(), "{name}");
        }
        for host in ["issuer", "scheduler", "lssuer", "issuer-1", "platform"] {
            assert!(host_passes_for(host).is_some(), "{host}");
        }
        for host in ["vault", "api-01", "web-01", "issuer.example.com", "agent-7"] {
            assert!(host_passes_for(host).is_none(), "{host}");
        }
        for (one, other) in [("kim", "kim+1"), ("k1m@example", "kim"), ("kim", "KIM+on-call")] {
            assert!(
                may_be_one_person(one, other) && may_be_one_person(other, one),
                "{one} {other}"
            );
        }
        for (one, other) in [("kim@a", "kim@b"), ("kim", "kimberly+1"), ("kim", "sam@kim")] {
            assert!(!may_be_one_person(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("kim", "Kim"),
            ("kim", "k1m"),
            ("norma", "norrna"),
            ("dana.s", "danas"),
            ("bob", "b0b"),
        ] {
            assert_eq!(looks_like(one), looks_like(other));
        }
        assert_ne!(looks_like("dana"), looks_like("dan"));
    }
}
