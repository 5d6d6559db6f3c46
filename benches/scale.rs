//! Times of every question that screens, agents and monitoring ask, on a filled PostgreSQL, beside raw statements of the
//! same run: a page of each list in each order that is offered, searches, findings, figures; and the rates of one issuer and of
//! two beside the CA's own.
//!
//! `cargo bench --bench scale` fills 1,000,000 certificates, 100,000 agents, 300,000 installations, 50,000 requests and
//! 2,000,000 audit rows (15 minutes), measures, and writes `docs/scale.md`. `SCALE_CERTS=100000`, `SCALE_AGENTS`,
//! `SCALE_REQUESTS` and `SCALE_AUDIT` make it smaller; then the report is only printed. `SCALE_N=200` is the number of
//! times that each is asked, `SCALE_ONLY=search` leaves out what hasn't these letters in its name. `SCALE_DATABASE=URL` asks
//! a database that is filled already, as its owner, and keeps no report.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench says what it measured, may panic, and keeps a pace"
)]

#[path = "scale/ask.rs"]
mod ask;
#[path = "support/audit.rs"]
mod audit;
#[path = "support/filled.rs"]
mod filled;
#[path = "scale/issuers.rs"]
mod issuers;
#[path = "../tests/support/postgres.rs"]
mod postgres;
#[path = "scale/questions.rs"]
mod questions;
#[path = "scale/report.rs"]
mod report;
#[path = "support/server.rs"]
mod server;
#[path = "support/times.rs"]
mod times;
#[path = "../tests/support/vault.rs"]
mod vault;
#[path = "support/vault_process.rs"]
mod vault_process;

use std::time::Instant;

use ask::Asker;
use cmp_console::clock::Clock;
use cmp_console::store::Store;
use filled::Filled;
use postgres::Database;
use questions::Sample;
use report::{Report, Size};
use server::Server;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Of the role admin.
const TOKEN: &str = "cmp_a-token-for-the-scale-bench";
/// Times that each question is asked.
const N: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["vault"] {
        return vault_process::play();
    }
    // `cargo test` runs benches too, once and without measuring.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
}

/// A number from the environment.
fn setting(name: &str, otherwise: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

async fn measure() {
    let size = Size {
        certificates: setting("SCALE_CERTS", Size::FULL.certificates),
        agents: setting("SCALE_AGENTS", Size::FULL.agents),
        requests: setting("SCALE_REQUESTS", Size::FULL.requests),
        audit_rows: setting("SCALE_AUDIT", Size::FULL.audit_rows),
    };
    let filled = std::env::var("SCALE_DATABASE").ok();
    let own = match &filled {
        Some(_) => None,
        None => postgres::fresh(),
    };
    let Some(url) = filled.clone().or(own.as_ref().map(|it| it.url.clone())) else {
        return;
    };
    if let Some(database) = &own {
        let began = Instant::now();
        fill(database, &size).await;
        println!("{size} after {:.0?}", began.elapsed());
    }

    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(
        &dir.path().join("log"),
        &["--database", &url, "--roles", "api", "--limits", "off"],
        &[("CMP_ADMIN_TOKEN", TOKEN)],
    );
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let sample = Sample::take(&mut conn).await;
    let asker = Asker::new(&server, TOKEN);
    let only = std::env::var("SCALE_ONLY").unwrap_or_default();
    let n = setting("SCALE_N", N);
    let mut report = Report::new(size);
    for question in questions::all(&sample) {
        if question.name.contains(&only) {
            let answered = asker.ask(&mut conn, &question, n).await;
            report.add(&question, &answered);
        }
    }
    server.stop();
    if "issuers".contains(&only) {
        for (name, rate, goal) in issuers::measure(&url).await {
            report.add_rate(name, rate, goal);
        }
    }
    if only.is_empty() && report.size == Size::FULL && filled.is_none() {
        report.write();
    }
}

/// Fills the database as a superuser, over a connection of our own.
async fn fill(database: &Database, size: &Size) {
    // The schema is there; who fills it goes past triggers.
    Store::open(&database.url, Clock::system())
        .await
        .unwrap()
        .close()
        .await;
    let url = database.server.url("postgres", &database.name);
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let adapter = "adp_1";
    let filled = Filled {
        certificates: size.certificates,
        agents: size.agents,
        reporting: size.agents,
        requests: size.requests,
        port: 1,
        adapter,
        is_troubled: true,
    };
    let statements = [
        "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET work_mem = '64MB'".to_owned(),
        format!(
            "INSERT INTO adapters (id, name, kind, config, status, created_at, updated_at) \
             VALUES ('{adapter}', 'vault', 'vault-pki', '{{}}', 'active', now(), now())"
        ),
        filled.sql(),
    ];
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut conn)
            .await
            .unwrap();
    }
    audit::fill(&mut conn, size.audit_rows, chrono::Utc::now()).await;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}
