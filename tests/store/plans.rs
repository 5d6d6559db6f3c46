//! Costs of a search on SQLite: an index, and no table. `tests/postgres/searches.rs` is the same for PostgreSQL.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use cmp_console::clock::Clock;
use cmp_console::store::{Store, Work, certificates};
use cmp_console::wire::page::PageQuery;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

const N: usize = 100_000;
/// Certificates with names, serials, hashes and keys of their own.
const FILL: &str = "
    CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < :n - 1)
        SELECT n, printf('%08x', (n * 2654435761) % 4294967296) AS x FROM n;
    INSERT INTO keys (spki_sha256, algorithm, status, created_at)
        SELECT x || printf('%056x', n), 'ecdsa-p256', 'active', '2026-01-01T00:00:00+00:00' FROM n;
    INSERT INTO certificates (id, subject, sans, issuer, serial, fingerprint_sha256, spki_sha256, key_algorithm,
            not_before, not_after, status, pem, chain_pem, created_at, updated_at)
        SELECT printf('crt_01k%023d', n), printf('CN=www%d.shop%d.example.com', n, n % 1000),
            printf('[\"www%d.shop%d.example.com\"]', n, n % 1000), 'CN=CA ' || (n % 3),
            substr(x, 1, 2) || ':' || substr(x, 3, 2) || ':' || substr(x, 5, 2) || ':' || substr(x, 7, 2),
            x || printf('%056d', n), x || printf('%056x', n), 'ecdsa-p256', '2026-01-01T00:00:00+00:00',
            strftime('%Y-%m-%dT%H:%M:%S+00:00', '2027-01-01', (n * 7919 % 100003) || ' minutes'), 'active', '', '',
            '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00'
        FROM n";

/// The statements that were sent, as `sqlx` tells them.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<u8>>>);

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// They are told by threads of `sqlx`'s own, so that the whole program listens.
fn sent() -> &'static Sent {
    static SENT: OnceLock<Sent> = OnceLock::new();
    SENT.get_or_init(|| {
        let sent = Sent::default();
        let to = sent.clone();
        tracing_subscriber::fmt()
            .json()
            .with_env_filter("sqlx::query=debug")
            .with_writer(move || to.clone())
            .init();
        sent
    })
}

impl Sent {
    fn searches(&self) -> Vec<String> {
        // PostgreSQL is asked by the other tests of this program, and compares with the words themselves.
        let of_sqlite = |it: &str| !it.contains("_words w WHERE (w.words LIKE ");
        self.statements(|it| {
            it.contains("FROM certificate")
                && (it.contains(" LIMIT 2001) b") || it.contains(" LIMIT 10001) b"))
                && of_sqlite(it)
        })
    }

    /// Pages in the order of a list.
    fn pages(&self) -> Vec<String> {
        self.statements(|it| it.contains(" AS sort_id FROM certificates c"))
    }

    fn statements(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let mut found: Vec<String> = text
            .lines()
            .filter_map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                let statement = line["fields"]["db.statement"].as_str()?.trim().to_owned();
                is_wanted(&statement).then_some(statement)
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Steps of a statement's plan; those of its subqueries have others above them.
async fn plan(conn: &mut SqliteConnection, statement: &str) -> Vec<(bool, String)> {
    let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let steps = conn.fetch_all(explained).await.unwrap();
    let step = |row: &SqliteRow| (row.get::<i64, _>("parent") == 0, row.get("detail"));
    steps.iter().map(step).collect()
}

#[tokio::test]
async fn a_search_reads_no_table_and_a_page_sorts_none() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/cmp.db", dir.path().display());
    let store = Store::open(&url, Clock::system()).await.unwrap();
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    conn.execute(AssertSqlSafe(FILL.replace(":n", &N.to_string())))
        .await
        .unwrap();
    let of = |column: &str| format!("SELECT {column} FROM certificates WHERE id LIKE 'crt_01k%77777'");
    let mut texts = Vec::new();
    for column in ["id", "serial", "fingerprint_sha256", "spki_sha256"] {
        let row = conn.fetch_one(AssertSqlSafe(of(column))).await.unwrap();
        texts.push(row.get::<String, _>(0));
    }
    let [id, serial, sha256, spki] = texts.as_slice() else {
        panic!("{texts:?}");
    };
    let sent = sent();
    for (filter, n) in [
        ("nothing-1-2", 0),
        ("www77777.shop777", 1),
        (id.as_str(), 1),
        (serial.as_str(), 1),
        (&serial.replace(':', ""), 1),
        (&format!("serial:{serial}"), 1),
        (sha256.as_str(), 1),
        (&sha256[..16], 1),
        (spki.as_str(), 1),
        (&format!("key:{spki}"), 1),
        ("agent:nobody", 0),
        ("owner:nobody", 0),
        ("domain:shop777.example.com", 100),
        ("covers:www77777.shop777.example.com", 1),
        ("issuer:nobody", 0),
        ("key:rsa", 0),
        // Too short for a trigram of its own.
        ("qz", 0),
        ("shop778 !www1", 89),
        ("example www77777.shop777", 1),
    ] {
        for sort in ["not_after", "-subject"] {
            let query = PageQuery {
                filter: Some(filter.to_owned()),
                sort: Some(sort.to_owned()),
                limit: Some(50),
                ..PageQuery::default()
            };
            let mut conn = store.ask(Work::of_page(&query)).await.unwrap();
            let page = certificates::page(&mut conn, &query).await.unwrap();
            assert_eq!((page.total, page.total_is_lower_bound), (n, false), "{filter}");
        }
    }
    let searches = sent.searches();
    assert!(searches.len() > 10, "{searches:#?}");
    for search in searches {
        for (_, step) in plan(&mut conn, &search).await {
            // The index of trigrams is a table to SQLite, of which `M` reads what matches.
            let of_few = [
                "hits", "kept", "all_kept", "page", "kind", "found", "k", "u", "h", "b", "y", "z",
            ];
            let is_whole = step.strip_prefix("SCAN ").is_some_and(|of| {
                let name = of.split([' ', '-']).next().unwrap_or_default();
                !of_few.contains(&name)
                    && !name.starts_with('(')
                    && !of.starts_with("CONSTANT ROW")
                    && !of.contains("VIRTUAL TABLE INDEX 0:M")
            });
            assert!(!is_whole, "{step}\n{search}");
        }
    }
    // Of what many have, 10,000 are counted.
    let query = PageQuery {
        q: Some("example".to_owned()),
        ..PageQuery::default()
    };
    let mut asked = store.ask(Work::Search).await.unwrap();
    let page = certificates::page(&mut asked, &query).await.unwrap();
    drop(asked);
    assert_eq!((page.total, page.total_is_lower_bound), (10_000, true));

    for (filter, sort) in [
        ("!status:replaced", "not_after"),
        ("!status:replaced", "-not_after"),
        ("expires:<30d", "not_after"),
        ("!expires:<30d", "-not_after"),
        ("status:any expires:<30d", "not_after"),
        ("status:expiring", "not_after"),
        ("status:revoked", "-not_after"),
        ("example", "host"),
        ("example", "-owner"),
        ("example", "installations"),
        ("example", "subject"),
        ("status:any", "status"),
    ] {
        let query = PageQuery {
            filter: Some(filter.to_owned()),
            sort: Some(sort.to_owned()),
            ..PageQuery::default()
        };
        let mut conn = store.ask(Work::of_page(&query)).await.unwrap();
        certificates::page(&mut conn, &query).await.unwrap();
    }
    let pages = sent.pages();
    assert!(pages.len() >= 10, "{pages:#?}");
    for page in pages {
        let plan = plan(&mut conn, &page).await;
        let sorts = |(is_own, step): &&(bool, String)| *is_own && step.contains("ORDER BY");
        assert_eq!(plan.iter().find(sorts), None, "{page}");
    }
}
