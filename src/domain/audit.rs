//! The audit trail: rows chained by hash over the canonical bytes of every field, gap-free.

use aws_lc_rs::digest;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id::EntityKind;
use super::told::{cut, told};

/// How what an audit row tells of ended, or that it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// The wish is recorded; the end follows in a row of its own.
    Asked,
    /// It happened.
    Done,
    /// A rule said no; nothing changed.
    Refused,
    /// It was tried and did not happen.
    Failed,
    /// It is not known whether it happened.
    Unknown,
}

impl AuditOutcome {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Asked,
            Self::Done,
            Self::Refused,
            Self::Failed,
            Self::Unknown,
        ]
        .into_iter()
        .find(|o| o.word() == word)
    }
}

/// What is to be recorded; sequence and hashes are added when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who: the name of the token, or the service (`issuer`, `scheduler`).
    pub actor: String,
    /// What: a verb such as `revoke`, `reissue`, `install`.
    pub action: String,
    /// On what sort of thing.
    pub entity_type: EntityKind,
    /// On which one.
    pub entity_id: String,
    /// Its end, or that it began.
    pub outcome: AuditOutcome,
    /// Why, in the operator's words or the rule's.
    pub reason: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
    /// The run that it belongs to.
    pub run_id: Option<String>,
    /// From where: the peer's address, or the service's name.
    pub source: String,
    /// More, for people.
    pub detail: Option<String>,
}

/// The longest reason that a person may give, in characters.
pub const LONGEST_REASON: usize = 1000;
/// The longest ticket.
pub const LONGEST_TICKET: usize = 100;
/// Names, ids and places.
const LONGEST_NAME: usize = 200;

impl AuditEntry {
    /// The entry in bounded lines: a row is there for ever, and is read by everybody.
    #[must_use]
    pub fn bounded(self) -> Self {
        let short = |text: String| cut(&text, LONGEST_NAME);
        Self {
            actor: short(self.actor),
            action: short(self.action),
            entity_id: short(self.entity_id),
            reason: self.reason.map(|text| cut(&text, LONGEST_REASON)),
            ticket: self.ticket.map(|text| cut(&text, LONGEST_TICKET)),
            run_id: self.run_id.map(short),
            source: short(self.source),
            detail: self.detail.map(|text| told(&text)),
            ..self
        }
    }
}

/// One written audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// 1, 2, 3 … without gaps.
    pub seq: i64,
    /// When it was written.
    pub timestamp: DateTime<Utc>,
    /// See [`AuditEntry::actor`].
    pub actor: String,
    /// See [`AuditEntry::action`].
    pub action: String,
    /// See [`AuditEntry::entity_type`].
    pub entity_type: EntityKind,
    /// See [`AuditEntry::entity_id`].
    pub entity_id: String,
    /// See [`AuditEntry::outcome`].
    pub outcome: AuditOutcome,
    /// See [`AuditEntry::reason`].
    pub reason: Option<String>,
    /// See [`AuditEntry::ticket`].
    pub ticket: Option<String>,
    /// See [`AuditEntry::run_id`].
    pub run_id: Option<String>,
    /// See [`AuditEntry::source`].
    pub source: String,
    /// See [`AuditEntry::detail`].
    pub detail: Option<String>,
    /// The hash of the row before, 64 zeros for the first.
    pub prev_hash: String,
    /// SHA-256 over [`AuditRow::canonical`], lower-case hex.
    pub hash: String,
}

/// What the first row has as `prev_hash`.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Word of an end that only whoever carried the run out knows of, since it changed nothing in the platform.
pub const REPORTED: &str = "reported";

/// Ends of a run for which the trail, whose words are fixed, has a coarser one. A run's note begins with its own word.
const FINER: [(&str, AuditOutcome); 4] = [
    (REPORTED, AuditOutcome::Done),
    ("waiting", AuditOutcome::Unknown),
    ("stopped", AuditOutcome::Failed),
    ("unsent", AuditOutcome::Refused),
];

impl AuditRow {
    /// The outcome in the word that is shown everywhere: of a run's end, its console's.
    #[must_use]
    pub fn outcome_word(&self) -> &'static str {
        if self.action != "run" {
            return self.outcome.word();
        }
        let detail = self.detail.as_deref().unwrap_or_default();
        let note = detail.split_once("`: ").map_or("", |(_, note)| note);
        let own = note.split_once(": ").map_or("", |(word, _)| word);
        let finer = FINER
            .iter()
            .find(|(word, on_record)| *word == own && *on_record == self.outcome);
        finer.map_or(self.outcome.word(), |(word, _)| *word)
    }

    /// The row that follows `prev_hash` as number `seq`.
    #[must_use]
    pub fn chained(entry: AuditEntry, seq: i64, timestamp: DateTime<Utc>, prev_hash: String) -> Self {
        let mut row = Self {
            seq,
            timestamp,
            actor: entry.actor,
            action: entry.action,
            entity_type: entry.entity_type,
            entity_id: entry.entity_id,
            outcome: entry.outcome,
            reason: entry.reason,
            ticket: entry.ticket,
            run_id: entry.run_id,
            source: entry.source,
            detail: entry.detail,
            prev_hash,
            hash: String::new(),
        };
        row.hash = row.computed_hash();
        row
    }

    /// The bytes that the hash is over: every field as `name:length:value`, in a fixed order, so that
    /// no two different rows have the same bytes.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let seq = self.seq.to_string();
        let timestamp = self.timestamp.to_rfc3339_opts(SecondsFormat::Micros, true);
        let fields: [(&str, Option<&str>); 13] = [
            ("seq", Some(&seq)),
            ("timestamp", Some(&timestamp)),
            ("actor", Some(&self.actor)),
            ("action", Some(&self.action)),
            ("entity_type", Some(self.entity_type.word())),
            ("entity_id", Some(&self.entity_id)),
            ("outcome", Some(self.outcome.word())),
            ("reason", self.reason.as_deref()),
            ("ticket", self.ticket.as_deref()),
            ("run_id", self.run_id.as_deref()),
            ("source", Some(&self.source)),
            ("detail", self.detail.as_deref()),
            ("prev_hash", Some(&self.prev_hash)),
        ];
        let mut bytes = Vec::with_capacity(512);
        for (name, value) in fields {
            bytes.extend_from_slice(name.as_bytes());
            match value {
                Some(value) => {
                    bytes.extend_from_slice(format!(":{}:", value.len()).as_bytes());
                    bytes.extend_from_slice(value.as_bytes());
                }
                None => bytes.extend_from_slice(b":-"),
            }
            bytes.push(b'\n');
        }
        bytes
    }

    /// The hash that the row should have.
    #[must_use]
    pub fn computed_hash(&self) -> String {
        hex::encode(digest::digest(&digest::SHA256, &self.canonical()))
    }
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A row is missing or doubled.
    #[error("audit row {expected} is missing, row {found} follows")]
    Gap {
        /// The number that should come.
        expected: i64,
        /// The number that came.
        found: i64,
    },
    /// A row does not follow from the one before.
    #[error("audit row {seq} does not follow from the row before it")]
    Unlinked {
        /// Which row.
        seq: i64,
    },
    /// A row's content is not what its hash was made over.
    #[error("audit row {seq} was changed after it was written")]
    Changed {
        /// Which row.
        seq: i64,
    },
}

/// Checks rows in ascending order, starting after `(seq, hash)`; returns the new head.
///
/// # Errors
/// The first break in the chain.
pub fn verify_chain(after: (i64, String), rows: &[AuditRow]) -> Result<(i64, String), ChainError> {
    let (mut seq, mut hash) = after;
    for row in rows {
        if row.seq != seq + 1 {
            return Err(ChainError::Gap {
                expected: seq + 1,
                found: row.seq,
            });
        }
        if row.prev_hash != hash {
            return Err(ChainError::Unlinked { seq: row.seq });
        }
        if row.computed_hash() != row.hash {
            return Err(ChainError::Changed { seq: row.seq });
        }
        seq = row.seq;
        hash.clone_from(&row.hash);
    }
    Ok((seq, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(reason: Option<&str>) -> AuditEntry {
        AuditEntry {
            actor: "ops".to_owned(),
            action: "revoke".to_owned(),
            entity_type: EntityKind::Certificate,
            entity_id: "crt_1".to_owned(),
            outcome: AuditOutcome::Asked,
            reason: reason.map(str::to_owned),
            ticket: None,
            run_id: None,
            source: "test".to_owned(),
            detail: None,
        }
    }

    fn chain(n: i64) -> Vec<AuditRow> {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let mut rows: Vec<AuditRow> = Vec::new();
        for seq in 1..=n {
            let prev = rows.last().map_or(GENESIS.to_owned(), |row| row.hash.clone());
            rows.push(AuditRow::chained(entry(Some("why")), seq, at, prev));
        }
        rows
    }

    #[test]
    fn a_whole_chain_verifies() {
        assert_eq!(verify_chain((0, GENESIS.to_owned()), &chain(5)).unwrap().0, 5);
    }

    #[test]
    fn each_break_is_found() {
        let start = (0, GENESIS.to_owned());
        let mut gap = chain(4);
        gap.remove(1);
        assert_eq!(
            verify_chain(start.clone(), &gap),
            Err(ChainError::Gap {
                expected: 2,
                found: 3
            })
        );
        let mut changed = chain(4);
        changed[2].reason = None;
        assert_eq!(
            verify_chain(start.clone(), &changed),
            Err(ChainError::Changed { seq: 3 })
        );
        let mut unlinked = chain(4);
        unlinked[3].prev_hash = GENESIS.to_owned();
        assert_eq!(
            verify_chain(start, &unlinked),
            Err(ChainError::Unlinked { seq: 4 })
        );
    }

    #[test]
    fn no_value_and_empty_value_differ() {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let none = AuditRow::chained(entry(None), 1, at, GENESIS.to_owned());
        let empty = AuditRow::chained(entry(Some("")), 1, at, GENESIS.to_owned());
        assert_ne!(none.hash, empty.hash);
    }
}
