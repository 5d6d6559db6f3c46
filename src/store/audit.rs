//! The audit trail: appended in the transaction of the change that a row tells of, never changed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use crate::domain::audit::{AuditEntry, AuditOutcome, AuditRow, GENESIS, verify_chain};
use crate::domain::dated_ahead::{DatedAhead, Dates};
use crate::domain::id::EntityKind;
use crate::problem::Problem;
use crate::wire::page::{Page, PageQuery};

use super::row::{FromRow, Row, word};
use super::search::{By, Place, Words, of_kind};
use super::select::{Field, Is, List, Named, SortColumn, Sorts, Where};
use super::statement::{Raw, Value, listed, rows_of, sql};
use super::{Conn, Store, StoreError, Tx, Work, agents, certificate_list, dialect, request_list};

const COLUMNS: &str = "seq, timestamp, actor, action, entity_type, entity_id, outcome, reason, ticket, \
                       run_id, source, detail, prev_hash, hash";

/// Outcomes that the screen tells apart by more than the column.
const SHOWN: &[Named] = &[
    Named::of(
        "proven",
        "action = 'run' AND outcome = 'done' AND COALESCE(detail, '') NOT LIKE 'plan `%`: reported: %'",
    ),
    Named::of(
        "reported",
        "action = 'run' AND outcome = 'done' AND COALESCE(detail, '') LIKE 'plan `%`: reported: %'",
    ),
    Named::of(
        "waiting",
        "action = 'run' AND outcome = 'unknown' AND COALESCE(detail, '') LIKE 'plan `%`: waiting: %'",
    ),
    Named::of(
        "stopped",
        "action = 'run' AND outcome = 'failed' AND COALESCE(detail, '') LIKE 'plan `%`: stopped: %'",
    ),
    Named::of(
        "unsent",
        "action = 'run' AND outcome = 'refused' AND COALESCE(detail, '') LIKE 'plan `%`: unsent: %'",
    ),
];

/// How many rows are checked at once.
const BATCH: i64 = 1000;

/// Rows about things with a certain id.
const OF_ID: &[&str] = &["SELECT l.seq AS id FROM audit_logs l WHERE ?if"];
/// Rows about things that are found by their words.
const OF_WORDS: &[&str] = &["SELECT l.seq AS id FROM audit_logs l WHERE l.entity_id IN (?words)"];

/// Words of a row: actor, action, outcome, ticket, reason and detail.
const WORDS: Words = Words {
    kind: EntityKind::Audit,
    from: "audit_logs",
    are_of: "w.id = audit_logs.seq AND w.timestamp = audit_logs.timestamp",
};

/// Rows with a text in this column, which is one of the words.
const fn in_words(column: &'static str) -> Place {
    Place::own(By::Part(WORDS, column), &["?words"])
}

/// Rows about a thing with this prefix in its id.
const fn with_prefix(prefix: &'static str) -> Place {
    Place::own(By::Id("entity_id", prefix), OF_ID)
}

/// Subject of a row: a thing by its name or its id, or by the beginning of that, or all things of a kind. Each is
/// found by an index.
const ENTITY: &[Place] = &[
    Place {
        by: By::Words(certificate_list::WORDS),
        ids: OF_WORDS,
        row: "COALESCE((SELECT 1 FROM certificates c WHERE c.id = entity_id AND ?if), 0) = 1",
    },
    Place {
        by: By::Words(agents::WORDS),
        ids: OF_WORDS,
        row: "COALESCE((SELECT 1 FROM agents a WHERE a.id = entity_id AND ?if), 0) = 1",
    },
    Place {
        by: By::Words(request_list::WORDS),
        ids: OF_WORDS,
        row: "COALESCE((SELECT 1 FROM issuance_requests r WHERE r.id = entity_id AND ?if), 0) = 1",
    },
    Place::own(
        By::Kind("entity_type"),
        &[of_kind!("audit_logs", "seq", "entity_type")],
    ),
    // Addresses and names that are ids themselves: there are few such rows.
    Place {
        by: By::Kind("LOWER(entity_id)"),
        ids: &[
            "SELECT kind.seq AS id FROM (SELECT l.seq, l.entity_id AS value FROM audit_logs l \
             WHERE l.entity_type IN ('vault', 'database', 'service')) kind WHERE ?if",
        ],
        row: "entity_type IN ('vault', 'database', 'service') AND ?if",
    },
    Place::own(By::Hash("entity_id"), OF_ID),
    with_prefix("crt_"),
    with_prefix("agt_"),
    with_prefix("req_"),
    with_prefix("ins_"),
    with_prefix("run_"),
    with_prefix("job_"),
    with_prefix("adp_"),
    with_prefix("tok_"),
];

pub(super) const LIST: List = List {
    columns: COLUMNS,
    from: "audit_logs",
    beside: None,
    id: "seq",
    number_as_id: true,
    sorts: &[
        SortColumn {
            name: "seq",
            sql: "seq",
            sorts: Sorts::Number,
        },
        SortColumn {
            name: "actor",
            sql: "actor",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "action",
            sql: "action",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "outcome",
            sql: "outcome",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "entity",
            sql: "entity_id",
            sorts: Sorts::Text,
        },
    ],
    unsorted: &[(
        "why",
        "reasons are of any length, which no index holds; look for a word of one",
    )],
    default_sort: "-seq",
    words: Is::Text(&[
        Place::own(By::Words(WORDS), &["?words"]),
        Place::own(By::Hash("entity_id"), OF_ID),
        with_prefix("crt_"),
        with_prefix("agt_"),
        with_prefix("req_"),
        with_prefix("ins_"),
        with_prefix("run_"),
        with_prefix("job_"),
        with_prefix("adp_"),
        with_prefix("tok_"),
    ]),
    fields: &[
        Field {
            name: "entity",
            is: Is::Text(ENTITY),
        },
        Field {
            name: "actor",
            is: Is::Text(&[in_words("LOWER(actor)")]),
        },
        Field {
            name: "action",
            is: Is::Text(&[in_words("LOWER(action)")]),
        },
        Field {
            name: "outcome",
            // By the word that is shown (`AuditRow::outcome_word`), a coarser one of the trail's own, and that of what a run
            // was about.
            is: Is::Word(
                "outcome",
                &["asked", "done", "refused", "failed", "unknown"],
                SHOWN,
            ),
        },
        Field {
            name: "when",
            is: Is::Ago("timestamp"),
        },
        Field {
            name: "ticket",
            is: Is::Text(&[in_words("LOWER(COALESCE(ticket, ''))")]),
        },
        Field {
            name: "run",
            // With the collation of the other, which is "C".
            is: Is::Text(&[Place {
                by: By::Id("COALESCE(run_id, actor)", "run_"),
                ids: &["SELECT l.seq AS id FROM audit_logs l WHERE run_id IS NOT NULL AND ?if"],
                row: "(run_id IS NOT NULL AND ?if)",
            }]),
        },
    ],
    parameters: &["q", "entity"],
    doing: "reading the audit trail",
};

/// Rows about a thing; about a request also the one that asked for it, which is about the certificate that it replaces
/// and was written in the moment that the request was made.
const ABOUT: &str = "entity_id IN (?, (SELECT r.replaces FROM issuance_requests r WHERE r.id = ?)) \
    AND (entity_id = ? OR outcome = 'asked' \
         AND timestamp = (SELECT r.created_at FROM issuance_requests r WHERE r.id = ?))";

/// Where the issuer's rows come from.
pub(super) const ISSUER: &str = "issuer";

/// What the issuer does, it does because somebody asked: its rows say under which ticket, why, and in which
/// run, as the row does that asked for it: for the same thing, or in the moment that the request was made.
async fn on_behalf(tx: &mut Tx, entries: &mut [AuditEntry]) -> Result<(), StoreError> {
    let is_asked_for = |entry: &&mut AuditEntry| entry.source == ISSUER && entry.run_id.is_none();
    let ids_of = |entries: &mut [AuditEntry], is_request: bool| -> BTreeSet<(String, String)> {
        entries
            .iter_mut()
            .filter(is_asked_for)
            .filter(|entry| (entry.entity_type == EntityKind::Request) == is_request)
            .map(|entry| (entry.action.clone(), entry.entity_id.clone()))
            .collect()
    };
    let asked_for_request = "SELECT a.seq FROM issuance_requests r JOIN audit_logs a \
         ON a.entity_id IN (r.id, r.replaces) AND a.timestamp = r.created_at \
         WHERE r.id = l.value AND a.outcome = 'asked' AND a.source <> $2 AND a.action <> $3 \
         ORDER BY a.seq DESC LIMIT 1";
    let asked_for = "SELECT a.seq FROM audit_logs a \
         WHERE a.entity_id = l.value AND a.outcome = 'asked' AND a.source <> $2 AND a.action = $3 \
         ORDER BY a.seq DESC LIMIT 1";
    let mut found: BTreeMap<(String, String), AskedFor> = BTreeMap::new();
    for (is_request, asked) in [(true, asked_for_request), (false, asked_for)] {
        let mut by_action: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (action, id) in ids_of(entries, is_request) {
            by_action.entry(action).or_default().push(id);
        }
        for (action, ids) in by_action {
            // As a range of its index each row is looked up, whatever PostgreSQL believes of their number.
            let text = format!(
                "SELECT w.id, a.reason, a.ticket, a.run_id FROM \
                 (SELECT l.value AS id, ({asked}) AS seq FROM json_each($1) l) w \
                 JOIN audit_logs a ON a.seq >= w.seq AND a.seq <= w.seq"
            );
            let rows: Vec<AskedFor> = sql(AssertSqlSafe(text))
                .bind(listed(&ids))
                .bind(ISSUER)
                .bind(&action)
                .fetch_all(tx.raw())
                .await
                .map_err(StoreError::because("reading who asked for it"))?;
            for row in rows {
                found.insert((action.clone(), row.id.clone()), row);
            }
        }
    }
    for entry in entries.iter_mut().filter(is_asked_for) {
        if let Some(asked) = found.get(&(entry.action.clone(), entry.entity_id.clone())) {
            entry.reason = entry.reason.take().or_else(|| asked.reason.clone());
            entry.ticket.clone_from(&asked.ticket);
            entry.run_id.clone_from(&asked.run_id);
        }
    }
    Ok(())
}

/// What the row says that asked for something.
struct AskedFor {
    id: String,
    reason: Option<String>,
    ticket: Option<String>,
    run_id: Option<String>,
}

impl FromRow for AskedFor {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            reason: row.try_get("reason")?,
            ticket: row.try_get("ticket")?,
            run_id: row.try_get("run_id")?,
        })
    }
}

/// Appends `entry`, chained to the row before it.
///
/// # Errors
/// The row can't be written; then the caller's change must not be made either.
pub async fn append(tx: &mut Tx, entry: AuditEntry) -> Result<AuditRow, StoreError> {
    write_noted(tx).await?;
    let mut written = write(tx, vec![entry]).await?;
    written
        .pop()
        .ok_or_else(|| Problem::internal("an audit row was not written").into())
}

/// Appends at the end of the transaction: for a row that nobody needs to know the number of. The chain
/// is one for all servers, and is held from the first row that is written until the end; rows that are
/// locked after it could be somebody's who waits for it.
pub(super) fn note(tx: &mut Tx, entry: AuditEntry) {
    tx.note(entry);
}

/// Writes what was noted.
pub(super) async fn write_noted(tx: &mut Tx) -> Result<(), StoreError> {
    let noted = tx.take_noted();
    if !noted.is_empty() {
        write(tx, noted).await?;
    }
    Ok(())
}

/// Rows that one statement appends.
const AT_ONCE: usize = 32;
const N_COLUMNS: usize = 14;

/// Appends rows to the chain, whose head is held from then on until the transaction ends.
async fn write(tx: &mut Tx, mut entries: Vec<AuditEntry>) -> Result<Vec<AuditRow>, StoreError> {
    let doing = "writing the audit row";
    on_behalf(tx, &mut entries).await?;
    let head = match tx.is_postgres() {
        true => dialect::postgres::AUDIT_HEAD,
        false => dialect::sqlite::AUDIT_HEAD,
    };
    let head: Option<(i64, String)> = sql(head)
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because(doing))?;
    let (mut seq, mut prev_hash) = head.unwrap_or((0, GENESIS.to_owned()));
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        seq += 1;
        let before = std::mem::take(&mut prev_hash);
        let row = AuditRow::chained(entry.bounded(), seq, tx.now(), before);
        prev_hash.clone_from(&row.hash);
        tx.changed(EntityKind::Audit, &row.seq.to_string());
        rows.push(row);
    }
    // One text for all that changed, but for what changes very much at once.
    let mut notices = tx.notices();
    for some in rows.chunks(AT_ONCE) {
        append_rows(tx, some, notices.pop())
            .await
            .map_err(StoreError::because(doing))?;
    }
    tx.notify(notices).await?;
    tx.is_audited();
    Ok(rows)
}

/// Appends rows that are chained already. With a notice, other processes are told of them and of what changed before, too:
/// a statement less.
async fn append_rows(tx: &mut Tx, rows: &[AuditRow], notice: Option<String>) -> Result<(), sqlx::Error> {
    let places = rows_of(rows.len(), N_COLUMNS);
    let telling = match &notice {
        // Of texts that are alike one is sent.
        Some(_) => format!(
            " RETURNING pg_notify('cmp_changes', ${})",
            rows.len() * N_COLUMNS + 1
        ),
        None => String::new(),
    };
    let text = format!(
        "INSERT INTO audit_logs (seq, timestamp, actor, action, entity_type, entity_id, outcome, reason, \
         ticket, run_id, source, detail, prev_hash, hash) VALUES {places}{telling}"
    );
    let mut insert = sql(AssertSqlSafe(text));
    for row in rows {
        insert = insert
            .bind(row.seq)
            .bind(row.timestamp)
            .bind(&row.actor)
            .bind(&row.action)
            .bind(row.entity_type.word())
            .bind(&row.entity_id)
            .bind(row.outcome.word())
            .bind(&row.reason)
            .bind(&row.ticket)
            .bind(&row.run_id)
            .bind(&row.source)
            .bind(&row.detail)
            .bind(&row.prev_hash)
            .bind(&row.hash);
    }
    let insert = match notice {
        Some(notice) => insert.bind(notice),
        None => insert,
    };
    insert.execute(tx.raw()).await?;
    Ok(())
}

/// Makes room for the rows of this month and the next ones, where the trail is kept by months.
///
/// # Errors
/// The database doesn't answer.
pub async fn make_room(store: &Store) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    if !tx.is_postgres() {
        return tx.rollback().await;
    }
    let now = tx.now();
    // It gives up soon where somebody reads the trail, which keeps nobody from changing anything.
    let quietly = Raw {
        troubles: None,
        ..tx.raw()
    };
    let made: i64 = sql(dialect::postgres::AUDIT_PARTITIONS)
        .bind(now)
        .fetch_one(quietly)
        .await
        .map_err(StoreError::because("making partitions of the audit trail"))?;
    if made > 0 {
        tracing::info!(made, "partitions of the audit trail were made");
    }
    tx.commit().await
}

/// One page, the newest first if nothing else is said.
///
/// # Errors
/// A bad query, or the database doesn't answer.
pub async fn page(conn: &mut Conn, query: &PageQuery) -> Result<Page<AuditRow>, StoreError> {
    let mut filter = Where::default();
    if let Some(entity) = &query.entity {
        filter.and(ABOUT, Value::from(entity.clone()));
    }
    let page: Page<Wrapped> = LIST.page(conn, query, filter).await?;
    Ok(page.map(|row| row.0))
}

/// One row.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, seq: i64) -> Result<Option<AuditRow>, StoreError> {
    Ok(rows_after(conn, seq.saturating_sub(1), 1)
        .await?
        .into_iter()
        .find(|row| row.seq == seq))
}

/// At most `limit` rows after number `seq`, ascending.
///
/// # Errors
/// The database doesn't answer.
pub async fn rows_after(conn: &mut Conn, seq: i64, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
    let rows: Vec<Wrapped> = sql(
        "SELECT seq, timestamp, actor, action, entity_type, entity_id, outcome, reason, ticket, run_id, \
         source, detail, prev_hash, hash FROM audit_logs WHERE seq > $1 ORDER BY seq LIMIT $2",
    )
    .bind(seq)
    .bind(limit)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading the audit trail"))?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// What a check of the whole trail found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many rows there are.
    pub n_rows: i64,
    /// The last one's hash.
    pub head: String,
    /// Those that are dated later than they can have been written.
    pub ahead: Option<DatedAhead>,
}

/// Checks the whole chain, and its dates, a batch at a time.
///
/// # Errors
/// The first break, or the database doesn't answer.
pub async fn check(store: &Store) -> Result<Checked, StoreError> {
    let mut head = (0, GENESIS.to_owned());
    let mut dates = Dates::default();
    loop {
        // A connection a batch, so that a long chain doesn't keep one from everybody else.
        let mut conn = store.ask(Work::Background).await?;
        let rows = rows_after(&mut conn, head.0, BATCH).await?;
        if rows.is_empty() {
            let (n_rows, head) = head;
            let ahead = dates.ended(conn.now());
            return Ok(Checked { n_rows, head, ahead });
        }
        rows.iter().for_each(|row| dates.row(row.seq, row.timestamp));
        head = verify_chain(head, &rows)?;
    }
}

/// Checks the whole chain; returns how many rows it has and the last one's hash.
///
/// # Errors
/// The first break, or the database doesn't answer.
pub async fn verify(store: &Store) -> Result<(i64, String), StoreError> {
    let checked = check(store).await?;
    Ok((checked.n_rows, checked.head))
}

/// When the last row was written, by the clock of who wrote it.
///
/// # Errors
/// The database doesn't answer.
pub async fn last_at(conn: &mut Conn) -> Result<Option<DateTime<Utc>>, StoreError> {
    sql("SELECT timestamp FROM audit_logs ORDER BY seq DESC LIMIT 1")
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading when the last audit row was written"))
}

struct Wrapped(AuditRow);

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let timestamp: DateTime<Utc> = row.try_get("timestamp")?;
        Ok(Self(AuditRow {
            seq: row.try_get("seq")?,
            timestamp,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            entity_type: word(row, "entity_type", EntityKind::from_word)?,
            entity_id: row.try_get("entity_id")?,
            outcome: word(row, "outcome", AuditOutcome::from_word)?,
            reason: row.try_get("reason")?,
            ticket: row.try_get("ticket")?,
            run_id: row.try_get("run_id")?,
            source: row.try_get("source")?,
            detail: row.try_get("detail")?,
            prev_hash: row.try_get("prev_hash")?,
            hash: row.try_get("hash")?,
        }))
    }
}
