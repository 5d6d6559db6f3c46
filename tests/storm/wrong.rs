//! Set up wrongly: the server names the cause and the next step in its log and on `/readyz`, and goes on by
//! itself when the cause is gone.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use cmp_console::clients::api::ApiReader;
use cmp_console::clock::Clock;
use cmp_console::domain::finding::{FindingKind, Severity};
use cmp_console::domain::request::RequestStatus;
use cmp_console::domain::secret::Secret;

use crate::client::{Client, ready};
use crate::daemon::{Daemon, TOKEN, eventually};
use crate::screen::services;
use crate::server::{self, OWNER};
use crate::tls;
use crate::vault::Ca;

const API: [&str; 4] = ["--listen", "127.0.0.1:0", "--roles", "api"];

/// Waits until it says this of its database, and that it can't serve.
async fn says(it: &Daemon, words: &str) {
    eventually(words, async || {
        let (status, state, note) = ready(&it.address, "database").await?;
        (status == 503 && state == "down" && note == words).then_some(())
    })
    .await;
    it.logged(&format!("waiting for the database: {words}"), 1).await;
}

async fn is_well(it: &mut Daemon) {
    it.started().await;
    let (status, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((status, state.as_str(), note.as_str()), (200, "up", ""));
}

#[tokio::test]
async fn a_postgresql_that_is_not_there_or_takes_another_password_is_waited_for() {
    let Some(postgres) = server::of_ones_own() else {
        return;
    };
    let hba = postgres.dir().join("data/pg_hba.conf");
    let before = fs::read_to_string(&hba).unwrap();
    fs::write(&hba, format!("local all {OWNER} scram-sha-256\n{before}")).unwrap();
    let password = |it: &str| {
        postgres.psql(
            "postgres",
            "postgres",
            &format!("ALTER ROLE {OWNER} PASSWORD '{it}'"),
        );
    };
    password("another");
    postgres.end("INT");
    let env = [("CMP_DATABASE_PASSWORD", "s3cret")];
    let mut it = Daemon::spawn(&postgres.url(OWNER, "cmp"), &API, &env);
    it.waiting().await;
    says(
        &it,
        "nobody listens at its address: start it, or correct the address",
    )
    .await;
    let url = format!("http://{}/api/v1/certs", it.address);
    let reply = reqwest::Client::new()
        .post(url)
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = reply.json().await.unwrap();
    assert_eq!(
        problem["title"],
        "the server waits for its database: nobody listens at its address"
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("it goes on by itself"),
        "{problem}"
    );

    postgres.start_again();
    says(
        &it,
        "refuses the login: correct the account in the address, or its password in CMP_DATABASE_PASSWORD",
    )
    .await;
    password("s3cret");
    is_well(&mut it).await;
    assert!(!it.log().contains("s3cret"));

    // Told to stop while it waits, it ends.
    postgres.end("INT");
    let mut other = Daemon::spawn(&postgres.url(OWNER, "cmp"), &API, &env);
    other.waiting().await;
    other.signal(rustix::process::Signal::TERM);
    assert!(other.ended().await.success());
}

#[tokio::test]
async fn a_schema_that_is_not_there_not_ours_or_newer_is_waited_for() {
    let Some(database) = server::empty() else { return };
    let make = "DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    database.server.psql("postgres", "postgres", make);
    let guest = database.server.url("guest", &database.name);
    let mut it = Daemon::spawn(&guest, &API, &[]);
    it.waiting().await;
    says(
        &it,
        "its schema isn't up to date, and this account may not change it: run `cmp-server --migrate-only` \
         once, as the schema's owner",
    )
    .await;
    let migrated = Command::new(env!("CARGO_BIN_EXE_cmp-server"))
        .args(["--migrate-only", "--database", &database.url])
        .output()
        .unwrap();
    assert!(migrated.status.success());
    says(
        &it,
        "this account lacks rights in it: run `deploy/postgres/roles.sql` there, as a superuser",
    )
    .await;
    let rights = "GRANT ALL ON ALL TABLES IN SCHEMA public TO guest";
    database.psql(rights);
    is_well(&mut it).await;

    database.psql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'tomorrow', true, '', 0)",
    );
    let mut older = Daemon::spawn(&database.url, &API, &[]);
    older.waiting().await;
    let known = database.psql("SELECT max(version) FROM _sqlx_migrations WHERE version < 99");
    says(
        &older,
        &format!("its schema is at version 99, and this program knows it up to {known}: start the newer `cmp-server`"),
    )
    .await;
    database.psql("DELETE FROM _sqlx_migrations WHERE version = 99");
    is_well(&mut older).await;
}

#[tokio::test]
async fn a_postgresql_that_is_not_trusted_is_waited_for_and_each_reason_named() {
    let Some(postgres) = server::at_an_address() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (
        tls::Ca::new(dir.path(), "ours"),
        tls::Ca::new(dir.path(), "other"),
    );
    let url = format!(
        "postgres://{OWNER}@{}/cmp?sslmode=verify-full&sslrootcert={}",
        postgres.address(),
        ours.file.display()
    );
    let mut it = Daemon::spawn(&url, &API, &[]);
    it.waiting().await;
    says(
        &it,
        "it doesn't speak TLS, and has to: set `ssl = on` with a certificate in its postgresql.conf",
    )
    .await;
    for (pair, words) in [
        (
            other.issue(2090),
            "its certificate is from a CA that isn't trusted here: name its CA in the address: \
             `sslmode=verify-full&sslrootcert=FILE`",
        ),
        (
            ours.issue_for("db-2.example.com", 2090),
            "its certificate is for another name: it is for db-2.example.com: use the name that is in it, or \
             have one issued for this name",
        ),
        (
            ours.issue(2021),
            "its certificate has expired: renew it on the server, and check this machine's clock",
        ),
    ] {
        postgres.show(&pair);
        says(&it, words).await;
    }
    postgres.show(&ours.issue(2090));
    is_well(&mut it).await;

    // Expired while it runs: whoever is connected stays so; nobody else gets in, and it is told again.
    postgres.show(&ours.issue(2021));
    eventually("it is told", async || {
        postgres.cut_off("cmp");
        let (status, state, note) = ready(&it.address, "database").await?;
        (status == 503 && state == "down" && note.starts_with("its certificate has expired: renew it"))
            .then_some(())
    })
    .await;
    postgres.show(&ours.issue(2090));
    eventually("it is well by itself", async || {
        let (status, state, _) = ready(&it.address, "database").await?;
        (status == 200 && state == "up").then_some(())
    })
    .await;
    assert!(!it.log().contains("unchecked who it is"));

    // Without a check it works too, and the log says what that is worth.
    let unchecked = url.replace("verify-full", "require");
    let it = Daemon::over(&unchecked, &API, &[]).await;
    it.logged(
        "the way to the database isn't safe: TLS, but unchecked who it is; say `sslmode=verify-full`",
        1,
    )
    .await;
    // A file that nobody can be trusted by ends it: that is no luck of the database's.
    fs::write(&ours.file, "").unwrap();
    let mut it = Daemon::spawn(&url, &API, &[]);
    assert!(!it.ended().await.success());
    assert!(
        it.log().contains("ours.pem` holds no certificate"),
        "{}",
        it.log()
    );
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_and_claims_nothing() {
    let Some(database) = server::fresh() else { return };
    // The database's own clock can't be set here, but what it says can.
    let clock = |ahead: &str| {
        database.psql(&format!(
            "CREATE OR REPLACE FUNCTION odd.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
             $$ SELECT pg_catalog.clock_timestamp() + interval '{ahead}' $$"
        ));
    };
    database.psql("CREATE SCHEMA odd");
    // Of a clock ahead of the database's, so that what is written now is due when it is right again.
    clock("-50 seconds");
    let path = format!(
        "ALTER DATABASE {} SET search_path = odd, pg_catalog, public",
        database.name
    );
    database.psql(&path);
    let ca = Ca::start().await;
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--roles",
        "api,issuer",
        "--vault",
        &ca.address,
    ];
    let it = Daemon::over(&database.url, &arguments, &[("CMP_VAULT_TOKEN", &ca.root_token)]).await;
    let client = Client::new(&database.url, vec![it.address.clone()]).await;
    let (status, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((status, state.as_str()), (200, "degraded"));
    let off = ["49", "50"]
        .map(|n| format!("this server's clock is {n} s ahead of the database's: set both by NTP"));
    assert!(off.contains(&note), "{note}");
    it.logged("this server's clock is", 1).await;

    // A console isn't told that its own clock is off: the platform's time is the database's.
    let reader = ApiReader::new(&format!("http://{}", it.address), None).unwrap();
    let (_, platforms) = reader.ready_at().await.unwrap();
    let behind = (Clock::system().now() - platforms.unwrap()).num_seconds();
    assert!((48..=53).contains(&behind), "{behind} s");
    let id = client.request(1).await;
    let dated = "extract(epoch FROM odd.clock_timestamp() - created_at)::int";
    let ago = database.psql(&format!(
        "SELECT {dated} FROM issuance_requests WHERE id = '{id}'"
    ));
    let ago: i64 = ago.parse().unwrap();
    assert!(
        (0..=30).contains(&ago),
        "dated by the database's clock, {ago} s ago"
    );
    let status = || database.psql(&format!("SELECT status FROM issuance_requests WHERE id = '{id}'"));
    // Two whole looks since then.
    let looked = "nothing is claimed by this clock";
    let n = it.log().matches(looked).count();
    it.logged(looked, n + 2).await;
    assert_eq!(status(), RequestStatus::Pending.word());

    clock("0 seconds");
    eventually("it is issued", async || (status() == "issued").then_some(())).await;
    it.logged("this server's clock is right again", 1).await;
    let (_, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((state.as_str(), note.as_str()), ("up", ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuers_clock_that_is_off_is_told_by_the_api_whose_own_is_right() {
    let Some(database) = server::fresh() else { return };
    // What the database says to the issuer alone: the API looks its functions up elsewhere.
    let clock = |ahead: &str| {
        database.psql(&format!(
            "CREATE OR REPLACE FUNCTION odd.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
             $$ SELECT pg_catalog.clock_timestamp() + interval '{ahead}' $$"
        ));
    };
    database.psql("CREATE SCHEMA odd");
    clock("-90 seconds");
    // The CA's clock goes with the database's: it is the issuer's alone that is off.
    let behind = Arc::new(AtomicI64::new(90));
    let to_issuer = format!("{}&options[search_path]=odd,pg_catalog,public", database.url);
    let ca = Ca::start().await;
    let vault = dated(&ca.address, behind.clone()).await;
    let api = Daemon::over(&database.url, &API, &[]).await;
    let arguments = [
        "--health-listen",
        "127.0.0.1:0",
        "--roles",
        "issuer",
        "--name",
        "cmp-2",
        "--vault",
        &vault,
    ];
    let issuer = Daemon::over(&to_issuer, &arguments, &[("CMP_VAULT_TOKEN", &ca.root_token)]).await;
    let off = ["89", "90"].map(|n| {
        format!(
            "the clock of `issuer@cmp-2` is {n} s ahead of the database's, so it claims nothing: set both by NTP"
        )
    });
    eventually("the API says it", async || {
        let (status, state, note) = ready(&api.address, "issuer").await?;
        (status == 200 && state == "degraded" && off.contains(&note)).then_some(())
    })
    .await;
    let (_, state, note) = ready(&api.address, "database").await.unwrap();
    assert_eq!((state.as_str(), note.as_str()), ("up", ""), "its own is right");
    issuer.logged("this server's clock is", 1).await;
    let home = tempfile::tempdir().unwrap();
    let screen = services(home.path(), &api.address);
    tokio::task::block_in_place(|| {
        screen.wait("it on the services screen", |screen| {
            let mut lines = screen.lines().filter(|line| line.contains(" issuer "));
            lines.any(|line| line.contains("degraded") && off.iter().any(|off| line.contains(off)))
        })
    });
    let client = Client::new(&database.url, vec![api.address.clone()]).await;
    let id = client.request(1).await;
    let stands = ["89", "90"].map(|n| format!("its clock is {n} s ahead of the database's"));
    tokio::task::block_in_place(|| {
        screen.wait("the clock in the worker's own row", |screen| {
            let mut lines = screen.lines().filter(|line| line.contains("issuer on cmp-2"));
            lines.any(|line| line.contains("clock off") && stands.iter().any(|it| line.contains(it)))
        });
    });
    it_is_critical_that_nobody_claims(&api.address, &database, &id).await;
    // Nor is the CA's called off: the adapter is looked at as long as it works.
    let adapters = "SELECT status || COALESCE(paused_reason, '') FROM adapters";
    eventually("its CA is known", async || {
        (database.psql("SELECT cas <> '[]' FROM adapters") == "t").then_some(())
    })
    .await;
    assert_eq!(database.psql(adapters), "active");
    // A CA that is back is seen all the same: what is said of its adapter is of now.
    database.psql(
        "UPDATE adapters SET status = 'paused', paused_kind = 'no_answer', paused_reason = 'it gave no answer', \
         paused_at = now()",
    );
    eventually("the adapter works again", async || {
        (database.psql("SELECT DISTINCT status FROM adapters") == "active").then_some(())
    })
    .await;

    behind.store(0, Ordering::Relaxed);
    clock("0 seconds");
    let status = || database.psql(&format!("SELECT status FROM issuance_requests WHERE id = '{id}'"));
    eventually("it is issued", async || (status() == "issued").then_some(())).await;
    well_again(&api.address).await;

    // One that is gone is no longer told, wherever its last words stand.
    clock("-90 seconds");
    eventually("it is told again", async || {
        let (_, state, _) = ready(&api.address, "issuer").await?;
        (state == "degraded").then_some(())
    })
    .await;
    drop(issuer);
    database.psql("UPDATE clocks_off SET seen_at = seen_at - interval '1 minute'");
    well_again(&api.address).await;
}

/// A way to the Vault at `address` whose answers are dated so many seconds behind this computer's clock.
async fn dated(address: &str, behind: Arc<AtomicI64>) -> String {
    let (real, http) = (address.to_owned(), reqwest::Client::new());
    let answer = move |request: Request| {
        let (real, http, behind) = (real.clone(), http.clone(), behind.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let url = format!("{real}{}", parts.uri);
            let sent = http.request(parts.method, url).headers(parts.headers).body(body);
            let Ok(answer) = sent.send().await else {
                return StatusCode::BAD_GATEWAY.into_response();
            };
            let at = Clock::system().now() - chrono::Duration::seconds(behind.load(Ordering::Relaxed));
            let mut headers = answer.headers().clone();
            headers.remove("transfer-encoding");
            let date = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            headers.insert("date", date.parse().unwrap());
            (answer.status(), headers, answer.bytes().await.unwrap()).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Waits until the issuer's clock is the finding that stands for everything that waits for it, and for nothing else.
async fn it_is_critical_that_nobody_claims(api: &str, database: &server::Database, request: &str) {
    // As a while ago.
    let earlier = "SET created_at = created_at - interval '5 minutes'";
    database.psql(&format!("UPDATE adapters {earlier}"));
    database.psql(&format!(
        "UPDATE issuance_requests {earlier} WHERE id = '{request}'"
    ));
    let token = Secret::new(TOKEN.to_owned());
    let reader = ApiReader::new(&format!("http://{api}"), Some(token)).unwrap();
    let finding = eventually("the finding with what waits", async || {
        let found = reader.findings().await.unwrap().findings;
        assert!(
            found.iter().all(|it| it.kind != FindingKind::RequestStuck),
            "{found:#?}"
        );
        let mut found = found.into_iter();
        found.find(|it| it.kind == FindingKind::IssuerClockOff && it.n_takes_down == 1)
    })
    .await;
    assert_eq!(finding.severity, Severity::Critical);
    let what = ["89", "90"].map(|n| {
        format!(
            "issuer@cmp-2 claims nothing, since its clock is {n} s ahead of the database's: nothing is issued or revoked, \
             1 request waiting; set its host's clock and the database's by NTP, and it goes on by itself"
        )
    });
    assert!(what.contains(&finding.what), "{}", finding.what);
}

/// Waits until the issuer is up and readiness says nothing of it; one answer is given to all who ask within a second.
async fn well_again(address: &str) {
    eventually("the issuer is up, without a word", async || {
        let (_, state, note) = ready(address, "issuer").await?;
        (state == "up" && note.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_vault_token_without_the_policy_pauses_the_adapter_and_the_missing_line_is_named() {
    let Some(database) = server::fresh() else { return };
    let ca = Ca::start().await;
    let policy = async |rules: &str| {
        let body = serde_json::json!({"policy": rules});
        ca.call("POST", "sys/policies/acl/issuer", body).await;
    };
    policy("path \"cmp-pki/config/crl\" { capabilities = [\"read\"] }").await;
    let body = serde_json::json!({"policies": ["issuer"], "ttl": "1h"});
    let made = ca.call("POST", "auth/token/create", body).await;
    let token = made["auth"]["client_token"].as_str().unwrap();
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--roles",
        "api,issuer",
        "--vault",
        &ca.address,
    ];
    let it = Daemon::over(&database.url, &arguments, &[("CMP_VAULT_TOKEN", token)]).await;
    let client = Client::new(&database.url, vec![it.address.clone()]).await;
    let id = client.request(1).await;
    let lacks = |line: &str| {
        format!(
            "Vault denied it: the policy of the issuer's credential lacks `{line}`; add it, and this goes on by itself"
        )
    };
    let paused = async |words: &str| {
        eventually(words, async || {
            let (_, state, note) = ready(&it.address, "issuer").await?;
            (state == "degraded" && note == format!("signing is paused, revocations go on: {words}"))
                .then_some(())
        })
        .await;
    };
    let row = || {
        let row = "status || ' ' || attempt || ' ' || COALESCE(error_message, '')";
        database.psql(&format!("SELECT {row} FROM issuance_requests WHERE id = '{id}'"))
    };
    let sign = "path \"cmp-pki/sign/cmp-role\" { capabilities = [\"update\"] }";
    paused(&lacks(sign)).await;
    assert_eq!(
        row(),
        format!("pending 0 {}", lacks(sign)),
        "nothing is lost by it"
    );

    // As somebody leaves it who is cut off: it is looked for before it is signed, and that is denied.
    database.psql(
        "UPDATE issuance_requests SET status = 'issuing', waiting_on = NULL, claimed_by = 'gone', \
         asked_ca_at = now(), lease_until = now() - interval '1 minute'",
    );
    policy(sign).await;
    let list = "path \"cmp-pki/certs\" { capabilities = [\"list\"] }";
    paused(&lacks(list)).await;
    assert!(ca.serials().await.is_empty(), "nothing is signed blindly");

    policy(&format!(
        "{sign}\n{list}\npath \"cmp-pki/cert/*\" {{ capabilities = [\"read\"] }}"
    ))
    .await;
    eventually("it is issued by itself", async || {
        row().starts_with("issued").then_some(())
    })
    .await;
    assert_eq!(ca.serials().await.len(), 1);
    let (_, state, _) = ready(&it.address, "issuer").await.unwrap();
    assert_eq!(state, "up");
    let n_paused = database.psql("SELECT count(*) FROM audit_logs WHERE action = 'pause'");
    assert_eq!(n_paused, "2", "paused it stayed so");
    it.logged("the adapter works again", 2).await;

    // Who may not revoke signs on, and the revocation waits.
    let certificate = database.psql("SELECT id FROM certificates");
    let path = format!("/api/v1/certs/{certificate}/revoke");
    let body = serde_json::json!({"reason": "superseded"});
    client.change(&path, TOKEN, "revoke", &body).await;
    let revoke = "path \"cmp-pki/revoke\" { capabilities = [\"update\"] }";
    let waits = format!("1 revocation waits: {}", lacks(revoke));
    eventually(&waits, async || {
        let (_, state, note) = ready(&it.address, "issuer").await?;
        (state == "degraded" && note == waits).then_some(())
    })
    .await;
    let second = client.request(2).await;
    eventually("another one is issued meanwhile", async || {
        let row = format!("SELECT status FROM issuance_requests WHERE id = '{second}'");
        (database.psql(&row) == "issued").then_some(())
    })
    .await;
    policy(&format!("{sign}\n{list}\n{revoke}")).await;
    eventually("it is revoked by itself", async || {
        let row = format!("SELECT status FROM certificates WHERE id = '{certificate}'");
        (database.psql(&row) == "revoked").then_some(())
    })
    .await;
    let (_, state, note) = ready(&it.address, "issuer").await.unwrap();
    assert_eq!((state.as_str(), note.as_str()), ("up", ""));
}

#[tokio::test]
async fn a_vault_whose_clock_is_off_is_named_and_signs_nothing() {
    let Some(database) = server::fresh() else { return };
    let ca = Ca::start().await;
    ca.ahead.store(90, Ordering::Relaxed);
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--roles",
        "api,issuer",
        "--vault",
        &ca.address,
    ];
    let env = [("CMP_VAULT_TOKEN", ca.root_token.as_str())];
    let it = Daemon::over(&database.url, &arguments, &env).await;
    let client = Client::new(&database.url, vec![it.address.clone()]).await;
    let id = client.request(1).await;
    let note = eventually("the adapter is paused", async || {
        let (_, state, note) = ready(&it.address, "issuer").await?;
        (state == "degraded").then_some(note)
    })
    .await;
    let off = ["88", "89", "90"]
        .map(|n| format!("signing is paused, revocations go on: Vault's clock is {n} s ahead of this server's: set both by NTP"));
    assert!(off.contains(&note), "{note}");
    assert!(ca.serials().await.is_empty());

    ca.ahead.store(0, Ordering::Relaxed);
    let status = || database.psql(&format!("SELECT status FROM issuance_requests WHERE id = '{id}'"));
    eventually("it is issued by itself", async || {
        (status() == "issued").then_some(())
    })
    .await;
    assert_eq!(ca.serials().await.len(), 1);
}
