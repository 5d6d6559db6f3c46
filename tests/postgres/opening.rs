//! Opening says what is wrong and what to do next, and never a password.

use std::error::Error;
use std::process::Command;

use cmp_console::clock::Clock;
use cmp_console::store::{Store, StoreError};

use crate::server;

async fn refused(url: &str) -> String {
    let Err(error) = Store::open(url, Clock::system()).await else {
        panic!("it opens");
    };
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    assert!(!text.contains("s3cret"), "{text}");
    assert!(!format!("{error:?}").contains("s3cret"));
    text
}

#[tokio::test]
async fn a_schema_that_is_newer_is_left_alone() {
    let Some(it) = server::fresh() else { return };
    it.psql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9, 'tomorrow', true, '', 0)",
    );
    let said = refused(&it.url).await;
    assert!(
        said.contains("is at version 9") && said.contains("newer"),
        "{said}"
    );
}

#[tokio::test]
async fn a_schema_that_is_not_there_and_may_not_be_made() {
    let Some(it) = server::empty() else { return };
    // As a replica, or an account that only reads.
    let read_only = format!("{}&options=-c%20default_transaction_read_only%3Don", it.url);
    let said = refused(&read_only).await;
    assert!(said.contains("--migrate-only"), "{said}");

    it.server.psql(
        "postgres",
        "postgres",
        "DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    let said = refused(&it.server.url("stranger", &it.name)).await;
    assert!(said.contains("--migrate-only"), "{said}");
    assert_eq!(
        it.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0"
    );

    // Made by its owner, by two servers at once.
    let (first, second) = tokio::join!(
        Store::open(&it.url, Clock::system()),
        Store::open(&it.url, Clock::system())
    );
    first.unwrap().ping().await.unwrap();
    second.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn an_extension_that_may_not_be_added_is_named() {
    let Some(it) = server::empty() else { return };
    // The schema's owner, but not the database's.
    let given = format!(
        "ALTER DATABASE {} OWNER TO postgres; GRANT ALL ON SCHEMA public TO {}",
        it.name,
        server::OWNER
    );
    it.server.psql("postgres", &it.name, &given);
    let said = refused(&it.url).await;
    assert!(said.contains("CREATE EXTENSION pg_trgm"), "{said}");
    it.server.psql("postgres", &it.name, "CREATE EXTENSION pg_trgm");
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    store.ping().await.unwrap();
}

/// `cmp-server`, as it is started.
fn cmp_server(args: &[&str], url: Option<&str>) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
    command.args(args).env_remove("CMP_DATABASE_URL");
    if let Some(url) = url {
        command.env("CMP_DATABASE_URL", url);
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_server_makes_the_schema_and_takes_no_password_as_an_argument() {
    let Some(it) = server::empty() else { return };
    let open = it.url.replace("cmp_user@", "cmp_user:s3cret@");
    let (fine, said) = cmp_server(&["--migrate-only", "--database", &open], None);
    assert!(!fine);
    assert!(
        said.contains("CMP_DATABASE_PASSWORD") && !said.contains("s3cret"),
        "{said}"
    );
    let (fine, said) = cmp_server(&["--migrate-only"], Some(&open));
    assert!(fine, "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let (fine, said) = cmp_server(&["--migrate-only", "--database", &it.url], None);
    assert!(fine, "{said}");
    assert_eq!(it.psql("SELECT count(*) FROM adapters"), "0");
}

/// The runbook for a failover: a replica was promoted, DB_HOST is changed, the services are restarted.
#[tokio::test]
async fn another_host_in_the_environment_is_where_the_database_is() {
    let Some(it) = server::empty() else { return };
    let dir = it.url.split("host=").nth(1).unwrap().to_owned();
    let gone = format!("postgres://cmp_user@primary.invalid/{}", it.name);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[database]\nurl = \"{gone}\"\n")).unwrap();
    let migrate = |host: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmp-server"));
        command.arg("--migrate-only").arg("--config").arg(file.path());
        command.env_remove("CMP_DATABASE_URL").env_remove("DB_HOST");
        command.envs(host.map(|host| ("DB_HOST", host)));
        command.output().unwrap()
    };
    assert!(!migrate(None).status.success());
    let moved = migrate(Some(&dir));
    assert!(
        moved.status.success(),
        "{}",
        String::from_utf8_lossy(&moved.stderr)
    );
    assert_eq!(it.psql("SELECT count(*) FROM adapters"), "0");
}

#[tokio::test]
async fn a_password_is_never_told() {
    let Some(it) = server::empty() else { return };
    let nobody = it.url.replace("cmp_user@", "nobody_here:s3cret@");
    let said = refused(&nobody).await;
    assert!(said.contains("nobody_here:…@"), "{said}");
    let elsewhere = "postgres://cmp:s3cret@127.0.0.1:1/cmp";
    let Err(error) = Store::open(elsewhere, Clock::system()).await else {
        panic!("nobody listens there");
    };
    assert!(matches!(error, StoreError::Open { .. }));
    assert!(!error.to_string().contains("s3cret"));
}
