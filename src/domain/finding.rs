//! Findings: what needs a person now, ranked by risk, with the action that answers it.
//!
//! A finding is derived from facts whenever somebody looks; none is stored, so a cured trouble's
//! finding disappears by itself.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::plain;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::certificate::{Urgency, urgency};
use super::id::EntityKind;

/// Its severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is broken now or breaks within hours.
    Critical,
    /// Breaks soon, or something failed that isn't felt yet.
    Warning,
    /// Worth knowing.
    Notice,
}

impl Severity {
    /// Of a certificate in use that ends.
    #[must_use]
    pub fn of_end(left: Urgency) -> Self {
        match left {
            Urgency::Expired | Urgency::Hours => Self::Critical,
            Urgency::Days => Self::Warning,
            Urgency::Weeks | Urgency::None => Self::Notice,
        }
    }

    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// Sort of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Vault is sealed: nothing is issued or revoked.
    VaultSealed,
    /// A certificate that is in use has expired.
    ExpiredInUse,
    /// The CA of a certificate that is in use asks to renew it now.
    RenewalAsked,
    /// A certificate that is in use expires soon.
    ExpiringInUse,
    /// A key that is known to others is still in use.
    CompromisedKeyInUse,
    /// Certificates of a key that is known to others, used nowhere any more, that nobody had revoked.
    CompromisedNotRevoked,
    /// A revoked certificate is still installed.
    RevokedInUse,
    /// Renewed on disk, the old one still served; or disk and expectation differ.
    NotServed,
    /// Served without an issuer that clients need, so that those who have only the root refuse it.
    ChainIncomplete,
    /// An agent missed its check-ins.
    AgentSilent,
    /// An agent is banned, and its host still has certificates in use.
    AgentBanned,
    /// A request failed for good.
    RequestFailed,
    /// A request waits on somebody.
    RequestStuck,
    /// A revocation that the CA has not confirmed.
    RevocationPending,
    /// A revocation that the CA has confirmed, and that its CRL doesn't hold though it should by now.
    RevocationNotListed,
    /// A CA's CRL has ended, and no new one was made.
    CrlExpired,
    /// One key in several certificates.
    SharedKey,
    /// An operator accepted another CA at an adapter a few days ago.
    CaAccepted,
    /// A host of the database is lost, or can't be read.
    DatabaseLost,
    /// A replica of the database is far behind, or follows nobody.
    ReplicaBehind,
    /// Two hosts of the database take changes: what one takes, the other never sees.
    TwoPrimaries,
    /// The API is on another host of the database than the primary, or on none.
    ApiElsewhere,
    /// No issuer, or no scheduler, is at work.
    NobodyWorks,
    /// An issuer claims nothing, since its clock is off.
    IssuerClockOff,
    /// The API doesn't answer.
    ApiDown,
    /// The API refuses the console's token.
    TokenRefused,
    /// Vault doesn't answer.
    VaultDown,
    /// The API can't use its database.
    DatabaseDown,
    /// The console's computer and the platform don't agree on the time.
    ClockOff,
}

/// So many of the things that a finding takes down are named; the others are counted.
pub const NAMED: usize = 20;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Sort of trouble.
    pub kind: FindingKind,
    /// Its severity.
    pub severity: Severity,
    /// Higher comes first.
    pub risk: i64,
    /// The thing to act on.
    pub entity: EntityKind,
    /// Its id.
    pub entity_id: String,
    /// Its version, for the plan that answers the finding.
    pub version: i64,
    /// The thing's name as people know it.
    #[serde(deserialize_with = "plain::name")]
    pub subject: String,
    /// Where: the host, or the first one of several; none where it is about no host, or is the subject itself.
    #[serde(default, deserialize_with = "plain::maybe_name")]
    pub host: Option<String>,
    /// The agent there, where the finding is about what that one sees, or waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The matter, in one of the fixed words of `domain/matter.rs`.
    #[serde(default, deserialize_with = "plain::name")]
    pub matter: String,
    /// The trouble in a whole sentence that begins with its subject, without the period.
    #[serde(deserialize_with = "plain::name")]
    pub what: String,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// When it breaks (or broke).
    pub due: Option<DateTime<Utc>>,
    /// Things that it takes down, by name: the first [`NAMED`] of them.
    #[serde(deserialize_with = "plain::names")]
    pub takes_down: Vec<String>,
    /// Number of those, the unnamed ones included.
    #[serde(default)]
    pub n_takes_down: i64,
    /// The id of the action that answers it, such as `reissue`.
    pub answer: Option<String>,
    /// The things that the answer is for, where those are others than the finding's own: the certificates that are
    /// expected where this one is still in use, or all that are to be revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answer_for: Vec<AnswerFor>,
    /// Its certificate is being reissued, wherever it is expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub under_way: bool,
}

/// A certificate that a finding's answer is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerFor {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: String,
}

impl Finding {
    /// The sentence beside its subject, which a row has in a column of its own.
    #[must_use]
    pub fn beside_subject(&self) -> Cow<'_, str> {
        let rest = self.what.strip_prefix("The ").unwrap_or(&self.what);
        let is_subject = |head: &str| head.eq_ignore_ascii_case(&self.subject);
        let rest = match rest.split_at_checked(self.subject.len()) {
            Some((head, rest)) if is_subject(head) => rest,
            _ => return Cow::Borrowed(&self.what),
        };
        match (rest.strip_prefix(' '), rest.strip_prefix("'s ")) {
            (Some(rest), _) => Cow::Borrowed(rest),
            (_, Some(rest)) => Cow::Owned(format!("its {rest}")),
            _ => Cow::Borrowed(&self.what),
        }
    }
}

/// Facts that the risk is worked out from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RiskFacts {
    /// When it breaks.
    pub due: Option<DateTime<Utc>>,
    /// Its renewal failed.
    pub renewal_failing: bool,
    /// The agent that would renew it is silent.
    pub agent_silent: bool,
    /// It is really served by somebody.
    pub served: bool,
    /// On how many hosts.
    pub n_hosts: i64,
}

/// Risk of what stands above all that is worked out from facts. It is small enough for every JSON reader (15 digits).
pub const ABOVE_FACTS: i64 = 1_000_000_000;

/// Risk, not date: time left × renewal failing × agent silent × really served × how many hosts.
#[must_use]
pub fn risk(facts: &RiskFacts, now: DateTime<Utc>) -> i64 {
    let time = match facts.due.map(|due| urgency(due, now)) {
        Some(Urgency::Expired) => 1000,
        Some(Urgency::Hours) => 400,
        Some(Urgency::Days) => 100,
        Some(Urgency::Weeks) => 20,
        Some(Urgency::None) | None => 10,
    };
    let failing = if facts.renewal_failing { 2 } else { 1 };
    let silent = if facts.agent_silent { 2 } else { 1 };
    let served = if facts.served { 3 } else { 1 };
    time * failing * silent * served * facts.n_hosts.clamp(1, 50)
}

impl FindingKind {
    /// Order among critical findings before any figure: databases of which nobody knows which is right, since no
    /// change goes out then; what else blinds or stops everything; keys that others have; what is refused by its
    /// clients now; and last what only comes. Many of one class can't bury another one.
    fn class(self) -> u8 {
        match self {
            Self::TwoPrimaries | Self::ApiElsewhere | Self::DatabaseLost => 0,
            Self::VaultSealed
            | Self::ReplicaBehind
            | Self::NobodyWorks
            | Self::IssuerClockOff
            | Self::ApiDown
            | Self::TokenRefused
            | Self::VaultDown
            | Self::DatabaseDown
            | Self::ClockOff => 1,
            Self::CompromisedKeyInUse => 2,
            Self::CompromisedNotRevoked
            | Self::RevokedInUse
            | Self::RevocationPending
            | Self::RevocationNotListed
            | Self::CrlExpired => 3,
            Self::ExpiredInUse
            | Self::NotServed
            | Self::ChainIncomplete
            | Self::AgentSilent
            | Self::AgentBanned
            | Self::RequestFailed
            | Self::RequestStuck
            | Self::SharedKey
            | Self::CaAccepted => 4,
            Self::ExpiringInUse | Self::RenewalAsked => 5,
        }
    }
}

/// Sorts findings, the worst first; equal ones stay in a fixed order, so that rows don't jump.
pub fn rank(findings: &mut [Finding]) {
    let class = |it: &Finding| match it.severity {
        Severity::Critical => it.kind.class(),
        Severity::Warning | Severity::Notice => 0,
    };
    findings.sort_by(|a, b| {
        (a.severity, class(a), Reverse(a.risk), a.due, a.kind, &a.entity_id).cmp(&(
            b.severity,
            class(b),
            Reverse(b.risk),
            b.due,
            b.kind,
            &b.entity_id,
        ))
    });
}

/// Findings that are left out of an answer, by kind.
pub type More = BTreeMap<FindingKind, LeftOut>;

/// Findings of one kind that are left out of an answer, by severity. A critical one never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// Warnings.
    pub warning: i64,
    /// Notices.
    pub notice: i64,
}

impl LeftOut {
    /// Both together.
    #[must_use]
    pub fn total(self) -> i64 {
        self.warning.saturating_add(self.notice)
    }
}

/// Number of some sort that are left out, of all kinds together.
#[must_use]
pub fn n_left_out(more: &More, of: impl Fn(&LeftOut) -> i64) -> usize {
    let n = more.values().map(of).fold(0_i64, i64::saturating_add);
    usize::try_from(n).unwrap_or(0)
}

/// A sentence that can stand by itself: it begins with its subject, and says it once.
#[cfg(test)]
pub(crate) fn assert_is_whole(it: &Finding) {
    let subject = it.subject.to_lowercase();
    let what = it.what.to_lowercase();
    let begins = [
        subject.clone(),
        format!("the {subject}"),
        "no change goes out: ".to_owned(),
    ];
    assert!(
        begins.iter().any(|begin| what.starts_with(begin)),
        "{:?}: {}",
        it.kind,
        it.what
    );
    let first = it.what.chars().next().unwrap();
    assert!(
        first.is_uppercase() || it.what.starts_with(&it.subject),
        "{}",
        it.what
    );
    assert!(
        !it.what.ends_with(['.', ' ', ':', ';']) && it.what.len() > it.subject.len() + 4,
        "{}",
        it.what
    );
    // Wide screens have the sentence instead of the fixed word, and say no less.
    for word in [
        "banned",
        "no token",
        "renewal failed",
        "sealed",
        "expired",
        "paused",
    ] {
        assert!(
            !it.matter.contains(word) || what.contains(word),
            "{}: {}",
            it.matter,
            it.what
        );
    }
    assert!(
        it.matter != super::matter::ENDS_SILENT || what.contains("silent"),
        "{}",
        it.what
    );
    let beside = it.beside_subject().to_lowercase();
    assert!(!beside.starts_with(&subject) && !beside.is_empty(), "{beside}");
}

/// Makers of findings, for the tests that go through all kinds.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Api,
    Console,
    Hosts,
}

/// The kinds that `maker` makes.
#[cfg(test)]
pub(crate) fn kinds_of(maker: Maker) -> std::collections::BTreeSet<FindingKind> {
    use FindingKind as Kind;
    let of = |kind| match kind {
        Kind::DatabaseLost | Kind::ReplicaBehind | Kind::TwoPrimaries | Kind::ApiElsewhere => Maker::Hosts,
        Kind::ApiDown | Kind::TokenRefused | Kind::VaultDown | Kind::DatabaseDown | Kind::ClockOff => {
            Maker::Console
        }
        Kind::VaultSealed
        | Kind::ExpiredInUse
        | Kind::RenewalAsked
        | Kind::ExpiringInUse
        | Kind::CompromisedKeyInUse
        | Kind::CompromisedNotRevoked
        | Kind::RevokedInUse
        | Kind::NotServed
        | Kind::ChainIncomplete
        | Kind::AgentSilent
        | Kind::AgentBanned
        | Kind::RequestFailed
        | Kind::RequestStuck
        | Kind::RevocationPending
        | Kind::RevocationNotListed
        | Kind::CrlExpired
        | Kind::SharedKey
        | Kind::CaAccepted
        | Kind::NobodyWorks
        | Kind::IssuerClockOff => Maker::Api,
    };
    let all = [
        Kind::VaultSealed,
        Kind::ExpiredInUse,
        Kind::RenewalAsked,
        Kind::ExpiringInUse,
        Kind::CompromisedKeyInUse,
        Kind::CompromisedNotRevoked,
        Kind::RevokedInUse,
        Kind::NotServed,
        Kind::ChainIncomplete,
        Kind::AgentSilent,
        Kind::AgentBanned,
        Kind::RequestFailed,
        Kind::RequestStuck,
        Kind::RevocationPending,
        Kind::RevocationNotListed,
        Kind::CrlExpired,
        Kind::SharedKey,
        Kind::CaAccepted,
        Kind::DatabaseLost,
        Kind::ReplicaBehind,
        Kind::TwoPrimaries,
        Kind::ApiElsewhere,
        Kind::NobodyWorks,
        Kind::IssuerClockOff,
        Kind::ApiDown,
        Kind::TokenRefused,
        Kind::VaultDown,
        Kind::DatabaseDown,
        Kind::ClockOff,
    ];
    all.into_iter().filter(|kind| of(*kind) == maker).collect()
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    #[test]
    fn beside_its_subject_a_sentence_does_not_say_it_again() {
        let said = |what: &str| {
            Finding {
                kind: FindingKind::SharedKey,
                severity: Severity::Notice,
                risk: 0,
                entity: EntityKind::Certificate,
                entity_id: String::new(),
                version: 0,
                subject: "API".to_owned(),
                host: None,
                agent: None,
                matter: String::new(),
                what: what.to_owned(),
                since: None,
                due: None,
                takes_down: Vec::new(),
                n_takes_down: 0,
                answer: None,
                answer_for: Vec::new(),
                under_way: false,
            }
            .beside_subject()
            .into_owned()
        };
        assert_eq!(said("API ends"), "ends");
        assert_eq!(said("The api doesn't answer"), "doesn't answer");
        assert_eq!(said("API's key is shared"), "its key is shared");
        for whole in ["APIs end", "No change goes out", "", "é"] {
            assert_eq!(said(whole), whole);
        }
    }

    #[test]
    fn a_served_one_with_days_outranks_an_unused_one_with_hours() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let unused = RiskFacts {
            due: Some(now + Duration::hours(30)),
            n_hosts: 0,
            ..RiskFacts::default()
        };
        let used = RiskFacts {
            due: Some(now + Duration::days(3)),
            served: true,
            renewal_failing: true,
            n_hosts: 2,
            ..RiskFacts::default()
        };
        assert!(risk(&used, now) > risk(&unused, now));
    }
}
