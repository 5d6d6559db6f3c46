//! An upgrade of a filled database: while others work with it, interrupted and gone on with, and told how far it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cmp_console::clock::Clock;
use cmp_console::store::{Progress, Store, Upgrading};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::filled::Filled;
use crate::server::{self, Database};

const N: usize = 5_000;

/// A database as the first version of the schema left it, with things in it.
async fn of_the_first_version() -> Option<Database> {
    let it = server::empty()?;
    let dir = tempfile::tempdir().unwrap();
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres/0001_first.sql");
    std::fs::copy(first, dir.path().join("0001_first.sql")).unwrap();
    let mut conn = PgConnection::connect(&it.url).await.unwrap();
    Migrator::new(dir.path())
        .await
        .unwrap()
        .run_direct(None, &mut conn, false)
        .await
        .unwrap();
    it.psql(
        "INSERT INTO adapters (id, name, kind, config, status, created_at, updated_at) \
         VALUES ('adp_1', 'vault', 'vault', '{}', 'active', now(), now())",
    );
    let fill = Filled {
        certificates: N,
        agents: 500,
        reporting: 500,
        requests: 500,
        port: 1,
        adapter: "adp_1",
        is_troubled: true,
    };
    it.try_psql("postgres", &fill.sql()).unwrap();
    crate::audit_fill::fill(
        &mut PgConnection::connect(&it.server.url("postgres", &it.name))
            .await
            .unwrap(),
        N,
        Clock::system().now(),
    )
    .await;
    it.try_psql("postgres", "VACUUM ANALYZE").unwrap();
    Some(it)
}

/// The account of a server of the version before, with rights on the tables that there are.
const BEFORE: &str = "DO $$ BEGIN CREATE ROLE cmp_before LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; \
    GRANT USAGE ON SCHEMA public TO cmp_before; \
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO cmp_before";

/// A server of the version before, which takes certificates in and has them installed, all the while.
struct Before {
    stop: Arc<AtomicBool>,
    n: Arc<AtomicU64>,
    works: tokio::task::JoinHandle<()>,
}

impl Before {
    async fn start(it: &Database) -> Self {
        let (stop, n) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, done) = (Arc::clone(&stop), Arc::clone(&n));
        it.try_psql("postgres", BEFORE).unwrap();
        let url = it.server.url("cmp_before", &it.name);
        let mut conn = PgConnection::connect(&url).await.unwrap();
        let works = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let k = done.load(Ordering::Relaxed);
                let text = format!(
                    "BEGIN; INSERT INTO keys (spki_sha256, algorithm, status, created_at) \
                         VALUES ('new{k}', 'ecdsa-p256', 'active', now()); \
                     INSERT INTO certificates (id, subject, sans, issuer, serial, fingerprint_sha256, spki_sha256, \
                         key_algorithm, not_before, not_after, status, pem, chain_pem, created_at, updated_at) \
                     VALUES ('crt_new{k}', 'CN=new{k}.example.org', '[\"new{k}.example.org\", \"*.new{k}.example.org\"]', \
                         'CN=CA', 'new{k}', 'new{k}', 'new{k}', 'ecdsa-p256', now(), now(), 'active', '', '', now(), now()); \
                     INSERT INTO installations (id, agent_id, path, certificate_id, expected_sha256, created_at, updated_at) \
                     VALUES ('ins_new{k}', (SELECT min(id) FROM agents), '/new{k}', 'crt_new{k}', 'new{k}', now(), now()); \
                     COMMIT"
                );
                sqlx::raw_sql(AssertSqlSafe(text))
                    .execute(&mut conn)
                    .await
                    .unwrap();
                done.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        Self { stop, n, works }
    }

    /// Returns once it has done more than now.
    async fn goes_on(&self) {
        let before = self.n.load(Ordering::Relaxed);
        while self.n.load(Ordering::Relaxed) <= before + 1 {
            assert!(
                !self.works.is_finished(),
                "the server of the version before was stopped"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.works.await.unwrap();
        self.n.load(Ordering::Relaxed)
    }
}

/// A transaction that was open before, such as a backup: an index that is built waits for its end.
async fn backup(it: &Database) -> PgConnection {
    let mut conn = PgConnection::connect(&it.url).await.unwrap();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM adapters";
    sqlx::raw_sql(begin).execute(&mut conn).await.unwrap();
    conn
}

/// Waits until the upgrade tells that it is at this.
async fn told(upgrading: &Upgrading, what: &str) -> Progress {
    let mut told = upgrading.subscribe();
    let is_it =
        |progress: &Option<Progress>| progress.as_ref().is_some_and(|it| it.to_string().contains(what));
    told.wait_for(is_it).await.unwrap().clone().unwrap()
}

fn open(
    it: &Database,
    upgrading: &Upgrading,
) -> tokio::task::JoinHandle<Result<Store, cmp_console::store::StoreError>> {
    let (url, upgrading) = (it.url.clone(), upgrading.clone());
    tokio::spawn(async move { Store::open_telling(&url, Clock::system(), &upgrading).await })
}

/// All that is left to be right when it is done.
fn assert_is_up_to_date(it: &Database) {
    let wrong = [
        (
            "a step isn't taken",
            "SELECT name FROM schema_steps WHERE ended_at IS NULL",
        ),
        (
            "an index isn't whole",
            "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid",
        ),
        (
            "an agent's installations are counted wrong",
            "SELECT a.id FROM agents a LEFT JOIN agent_places p ON p.id = a.id \
             WHERE p.n_installations IS DISTINCT FROM (SELECT count(*) FROM installations i WHERE i.agent_id = a.id)",
        ),
        (
            "a name is missing",
            "SELECT c.id FROM certificates c CROSS JOIN LATERAL certificate_names_of(c.subject, c.sans) n (name) \
             WHERE NOT EXISTS (SELECT FROM certificate_names m WHERE m.name = n.name AND m.id = c.id)",
        ),
        (
            "a part of the audit trail has no index",
            "SELECT p.inhrelid::regclass::text || ' lacks ' || c.relname \
             FROM pg_inherits p CROSS JOIN pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE p.inhparent = 'audit_logs'::regclass AND i.indrelid = 'audit_logs'::regclass \
               AND NOT EXISTS (SELECT FROM pg_inherits a JOIN pg_index o ON o.indexrelid = a.inhrelid \
                               WHERE a.inhparent = i.indexrelid AND o.indrelid = p.inhrelid)",
        ),
    ];
    for (what, query) in wrong {
        assert_eq!(it.psql(query).trim(), "", "{what}");
    }
}

#[tokio::test]
async fn a_filled_database_is_upgraded_while_others_work_with_it() {
    let Some(it) = of_the_first_version().await else {
        return;
    };
    let before = Before::start(&it).await;
    before.goes_on().await;
    let mut backup = backup(&it).await;
    let upgrading = Upgrading::default();
    let opening = open(&it, &upgrading);
    let progress = told(&upgrading, "the index").await;
    assert!(progress.n > 1 && progress.n < progress.of, "{progress}");
    // Nobody waits for what the upgrade waits for, nor for a second server that waits for its turn.
    let second = Upgrading::default();
    let other = open(&it, &second);
    told(&second, "another server is at it").await;
    before.goes_on().await;
    assert!(!opening.is_finished() && !other.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut backup).await.unwrap();
    let (opening, other) = tokio::join!(opening, other);
    opening.unwrap().unwrap();
    other.unwrap().unwrap();
    before.goes_on().await;
    assert!(before.end().await > 3);
    assert_is_up_to_date(&it);
}

#[tokio::test]
async fn an_upgrade_that_was_interrupted_goes_on_where_it_was() {
    let Some(it) = of_the_first_version().await else {
        return;
    };
    let mut backup = backup(&it).await;
    let upgrading = Upgrading::default();
    let opening = open(&it, &upgrading);
    let progress = told(&upgrading, "the index").await;
    let killed = it
        .try_psql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' \
             AND pid <> pg_backend_pid() AND datname = current_database()",
        )
        .unwrap();
    assert_eq!(killed.trim(), "t");
    assert!(opening.await.unwrap().is_err());
    let broken = "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid <> 'audit_logs'::regclass";
    assert_eq!(it.psql(broken).trim(), "1");
    let taken =
        "SELECT string_agg(name || ended_at, ' ' ORDER BY name) FROM schema_steps WHERE ended_at IS NOT NULL";
    let taken_before = it.psql(taken);
    assert_eq!(
        it.psql("SELECT count(*) FROM schema_steps WHERE ended_at IS NOT NULL")
            .trim(),
        (progress.n - 1).to_string()
    );
    sqlx::raw_sql("COMMIT").execute(&mut backup).await.unwrap();
    Store::open(&it.url, Clock::system()).await.unwrap();
    assert_is_up_to_date(&it);
    // Steps that were taken aren't taken again.
    let again = it.psql(taken);
    for step in taken_before.split_whitespace() {
        assert!(again.contains(step), "{step}: {again}");
    }
}

/// The server's word on whether it is ready.
async fn readiness(at: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://{at}/readyz")).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

#[tokio::test]
async fn a_server_that_upgrades_says_how_far_it_is() {
    let Some(it) = of_the_first_version().await else {
        return;
    };
    let mut backup = backup(&it).await;
    let at = format!("127.0.0.1:{}", server::port::free_port());
    let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_cmp-server"))
        .args(["--database", &it.url, "--roles", "api", "--listen", &at])
        .env("CMP_ADMIN_TOKEN", "cmp_a-token-for-this-test")
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let told = |answer: &Option<(u16, String)>| {
        let told = answer.as_ref();
        told.is_some_and(|(status, body)| *status == 503 && body.contains("brought up to date: step "))
    };
    while !told(&readiness(&at).await) {
        assert!(process.try_wait().unwrap().is_none(), "the server has ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut backup).await.unwrap();
    while readiness(&at).await.is_none_or(|(status, _)| status != 200) {
        assert!(process.try_wait().unwrap().is_none(), "the server has ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    process.kill().await.unwrap();
    assert_is_up_to_date(&it);
}
