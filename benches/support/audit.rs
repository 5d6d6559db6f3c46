//! Rows of the audit trail: a chain that verifies, written as one stream.

use std::fmt::Write;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use cmp_console::domain::audit::{AuditEntry, AuditOutcome, AuditRow, GENESIS};
use cmp_console::domain::id::EntityKind;
use sqlx::{AssertSqlSafe, PgConnection};

/// Days that the rows are spread over, until today.
const DAYS: i64 = 200;
/// Rows that are sent at once.
const AT_ONCE: usize = 20_000;
const COPY: &str = "COPY audit_logs (seq, timestamp, actor, action, entity_type, entity_id, outcome, reason, ticket, \
    source, prev_hash, hash) FROM STDIN";

/// Appends `n` rows until `now` as a superuser, past the triggers that link one row to the other.
pub(crate) async fn fill(conn: &mut PgConnection, n: usize, now: DateTime<Utc>) {
    if n == 0 {
        return;
    }
    let first = now.trunc_subsecs(6) - TimeDelta::days(DAYS);
    let months = DAYS / 28 + 1;
    run(
        conn,
        format!(
            "SELECT audit_logs_make_partitions('{}', {months})",
            first.to_rfc3339()
        ),
    )
    .await;
    run(conn, "SET session_replication_role = replica".to_owned()).await;
    let step = TimeDelta::days(DAYS) / i32::try_from(n).unwrap();
    let mut copy = conn.copy_in_raw(COPY).await.unwrap();
    let mut text = String::new();
    let mut prev = GENESIS.to_owned();
    for number in 1..=n {
        let at = first + step * i32::try_from(number).unwrap();
        let row = AuditRow::chained(
            entry(number),
            i64::try_from(number).unwrap(),
            at.trunc_subsecs(6),
            prev,
        );
        push(&mut text, &row, at.trunc_subsecs(6));
        prev = row.hash;
        if number % AT_ONCE == 0 || number == n {
            copy.send(text.as_bytes()).await.unwrap();
            text.clear();
        }
    }
    copy.finish().await.unwrap();
    run(conn, "SET session_replication_role = origin".to_owned()).await;
    run(
        conn,
        format!(
            "INSERT INTO audit_head (seq, hash) VALUES ({n}, '{prev}') \
             ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash"
        ),
    )
    .await;
}

async fn run(conn: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(conn)
        .await
        .unwrap();
}

/// Work of operators and services, over and over.
fn entry(n: usize) -> AuditEntry {
    let (actor, action, entity_type, prefix) = match n % 8 {
        0..4 => ("issuer", "issue", EntityKind::Request, "req"),
        4 | 5 => ("scheduler", "renew", EntityKind::Certificate, "crt"),
        6 => ("kim", "install", EntityKind::Agent, "agt"),
        _ => ("ops", "revoke", EntityKind::Certificate, "crt"),
    };
    AuditEntry {
        actor: actor.to_owned(),
        action: action.to_owned(),
        entity_type,
        entity_id: format!("{prefix}_01k{:023}", n % 50_000 + 1),
        outcome: match n % 97 {
            0 => AuditOutcome::Failed,
            _ => AuditOutcome::Done,
        },
        reason: (n % 8 == 7).then(|| format!("superseded, change {}", n / 100)),
        ticket: (n % 8 == 7).then(|| format!("CHG-{}", n / 100)),
        run_id: None,
        source: actor.to_owned(),
        detail: None,
    }
}

/// The row as a line of COPY's text format; nothing in it is to be escaped.
fn push(text: &mut String, row: &AuditRow, at: DateTime<Utc>) {
    let or_null = |it: &Option<String>| it.clone().unwrap_or_else(|| "\\N".to_owned());
    writeln!(
        text,
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        row.seq,
        at.to_rfc3339(),
        row.actor,
        row.action,
        row.entity_type.word(),
        row.entity_id,
        row.outcome.word(),
        or_null(&row.reason),
        or_null(&row.ticket),
        row.source,
        row.prev_hash,
        row.hash
    )
    .unwrap();
}
