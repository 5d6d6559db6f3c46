//! The plan of every statement of the store, on a database of size: none goes through a table that grows.
//!
//! The statements are those that the suite sends, which is run once more by itself with a list to write them on, and those
//! that stand in the sources as they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::sized;
use noted::LIST;

#[path = "noted.rs"]
mod noted;

/// Tables that grow with the platform, and with its age.
const GROWING: &[&str] = &[
    "agent_places",
    "agent_words",
    "agents",
    "audit_logs",
    "certificate_names",
    "certificate_states",
    "certificate_words",
    "certificates",
    "idempotency",
    "installations",
    "issuance_requests",
    "jobs",
    "key_holders",
    "keys",
    "request_words",
    "run_steps",
    "runs",
    "shared_keys",
    "tokens",
];

/// Parts of statements that go through a whole table all the same, each with the reason.
const MAY: &[(&str, &str)] = &[
    (
        "FROM (SELECT 1 FROM certificates LIMIT 1) t0",
        "one row of each table",
    ),
    (
        "WHEN w.letters & ",
        "letters in any distance: once, then what changes",
    ),
    (
        "_words w WHERE (NOT (",
        "what lacks a text: once, then what changes",
    ),
    (
        "_words w WHERE NOT (",
        "what lacks a text: once, then what changes",
    ),
    ("FROM agents WHERE status = 'active'", "counted in the background"),
    (
        "FROM agents a WHERE a.status = 'active'",
        "counted in the background",
    ),
    (
        "FROM tokens WHERE name LIKE '%@%'",
        "once for a token that a person makes",
    ),
    (
        "FROM shared_keys k",
        "keys of two certificates: few, and each is looked at",
    ),
];

/// The statements that a suite sends.
fn sent_by(suite: &str) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("statements");
    let done = Command::new(std::env::current_exe().unwrap())
        .args([suite, "--test-threads=2"])
        .env(LIST, &list)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let text = std::fs::read_to_string(&list).unwrap();
    let statement = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = &line["fields"];
        let whole = fields["db.statement"].as_str().unwrap_or_default().trim();
        // A short one is its own summary.
        let text = if whole.is_empty() {
            fields["summary"].as_str()?
        } else {
            whole
        };
        Some(text.trim().to_owned())
    };
    text.lines().filter_map(statement).collect()
}

/// The statements that stand in the sources as one text.
fn written() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")) {
        let source = std::fs::read_to_string(file).unwrap();
        let mut rest = source.as_str();
        while let Some(at) = rest.find("sql(") {
            rest = &rest[at + 4..];
            let Some(text) = rest.trim_start().strip_prefix('"') else {
                continue;
            };
            found.insert(literal(text));
        }
    }
    found
}

/// A text as it stands behind its first quote, with lines that go on.
fn literal(source: &str) -> String {
    let mut text = String::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(c) => text.push(c),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let each = entries.map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    each.flatten().collect()
}

fn reads_what_grows(statement: &str) -> bool {
    let verb = statement.split_whitespace().next().unwrap_or_default();
    let is_one = matches!(verb, "SELECT" | "WITH" | "UPDATE" | "DELETE" | "INSERT");
    // The text that is looked for decides on these plans, which are read with it (`tests/postgres/searches.rs`, `plans.rs`).
    let is_search = statement.contains(" LIMIT 2001) b") || statement.contains(" LIMIT 10001) b");
    is_one
        && !is_search
        && GROWING.iter().any(|table| statement.contains(table))
        && MAY.iter().all(|(part, _)| !statement.contains(part))
}

/// A table with fewer rows may be read as a whole: what would be done with more of them is seen on SQLite.
const MANY: f64 = 10_000.0;

/// The steps of a plan that go through one of these tables.
fn scans(node: &Value, above: Option<&Value>, large: &BTreeSet<String>, found: &mut Vec<String>) {
    let table = node["Relation Name"].as_str().unwrap_or_default();
    let grows = large.contains(table);
    let is_first_row = above.is_some_and(|it| it["Node Type"] == "Limit") && node["Filter"].is_null();
    if node["Node Type"] == "Seq Scan" && grows && !is_first_row {
        found.push(format!(
            "{table}: {}",
            node["Filter"].as_str().unwrap_or_default()
        ));
    }
    for next in node["Plans"].as_array().into_iter().flatten() {
        scans(next, Some(node), large, found);
    }
}

#[tokio::test]
async fn none_goes_through_a_table_that_grows_on_postgresql() {
    let Some(it) = sized::filled() else { return };
    let mut statements = sent_by("postgres::");
    assert!(statements.len() > 300, "{} statements are sent", statements.len());
    statements.extend(written());
    let mut conn = PgConnection::connect(&it.url).await.unwrap();
    conn.execute("SET plan_cache_mode = force_generic_plan; SET max_parallel_workers_per_gather = 0")
        .await
        .unwrap();
    let large: BTreeSet<String> = conn
        .fetch_all(AssertSqlSafe(format!(
            "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND reltuples >= {MANY} AND relname NOT LIKE 'pg_%'"
        )))
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(large.len() > 10, "{large:?}");
    let (mut n, mut wrong) = (0, String::new());
    for statement in statements.iter().filter(|it| reads_what_grows(it)) {
        // One of the other database, or with a part that is put in later.
        let prepare = AssertSqlSafe(format!("PREPARE one AS {statement}"));
        if conn.execute(prepare).await.is_err() {
            continue;
        }
        let row = conn
            .fetch_one("SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'one'")
            .await
            .unwrap();
        let nulls = vec!["NULL"; usize::try_from(row.get::<i32, _>(0)).unwrap()].join(", ");
        let given = if nulls.is_empty() {
            String::new()
        } else {
            format!("({nulls})")
        };
        let explain = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE one{given}"));
        let plan: Value = conn.fetch_one(explain).await.unwrap().get(0);
        conn.execute("DEALLOCATE one").await.unwrap();
        n += 1;
        let mut found = Vec::new();
        scans(&plan[0]["Plan"], None, &large, &mut found);
        if !found.is_empty() {
            writeln!(wrong, "{}\n    {statement}", found.join("; ")).unwrap();
        }
    }
    assert!(n > 250, "{n} plans are read");
    assert!(wrong.is_empty(), "{wrong}");
}

/// The table that a step goes through without an index, if it grows.
fn goes_through(step: &str, statement: &str) -> Option<String> {
    let of = step.strip_prefix("SCAN ")?;
    // The order of the numbers that rows have; and children of a row that is new, of which there are none.
    let is_read_in_order = statement.contains("ORDER BY seq ") && statement.contains(" LIMIT ");
    if is_read_in_order || statement.starts_with("INSERT ") || statement.contains(" EXCEPT ") {
        return None;
    }
    if of.contains(" USING ") || of.contains("VIRTUAL TABLE") {
        return None;
    }
    let name = of.split(' ').next().unwrap_or_default();
    let words: Vec<&str> = statement
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty() && *word != "AS")
        .collect();
    let table = words
        .windows(2)
        .find(|pair| pair[1] == name && GROWING.contains(&pair[0]));
    let table = table.map_or(name, |pair| pair[0]);
    GROWING.contains(&table).then(|| table.to_owned())
}

#[tokio::test]
async fn none_goes_through_a_table_that_grows_on_sqlite() {
    let mut statements = sent_by("sqlite::");
    assert!(statements.len() > 300, "{} statements are sent", statements.len());
    statements.extend(written());
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/cmp.db", dir.path().display());
    let clock = cmp_console::clock::Clock::system();
    // The number of rows decides nothing there.
    cmp_console::store::Store::open(&url, clock).await.unwrap();
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    let (mut n, mut wrong) = (0, String::new());
    for statement in statements.iter().filter(|it| reads_what_grows(it)) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let Ok(steps) = conn.fetch_all(explain).await else {
            continue;
        };
        n += 1;
        let found: Vec<String> = steps
            .iter()
            .filter_map(|step| goes_through(&step.get::<String, _>("detail"), statement))
            .collect();
        if !found.is_empty() {
            writeln!(wrong, "{}\n    {statement}", found.join("; ")).unwrap();
        }
    }
    assert!(n > 250, "{n} plans are read");
    assert!(wrong.is_empty(), "{wrong}");
}
