//! A primary that somebody set read-only is no replica: whoever promotes another one for it has two.

use cmp_console::clients::api::ApiReader;
use cmp_console::domain::finding::FindingKind;
use cmp_console::domain::secret::Secret;

use crate::client::{Client, ready};
use crate::daemon::{Daemon, TOKEN, eventually};
use crate::server::{self, OWNER};
use crate::vault::Ca;

const WHAT: &str = "is the primary, set read-only (`default_transaction_read_only`)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_set_read_only_is_called_so_and_nobody_is_missed_who_cannot_write() {
    let Some(primary) = server::of_ones_own() else {
        return;
    };
    let superuser = |sql: &str| primary.psql("postgres", "postgres", sql);
    let system = |change: &str| {
        superuser(&format!("ALTER SYSTEM {change}"));
        superuser("SELECT pg_reload_conf()");
    };
    let ca = Ca::start().await;
    let url = primary.url(OWNER, "cmp");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--roles",
        "api,issuer",
        "--vault",
        &ca.address,
    ];
    let it = Daemon::over(&url, &arguments, &[("CMP_VAULT_TOKEN", &ca.root_token)]).await;
    let client = Client::new(&url, vec![it.address.clone()]).await;
    let token = Secret::new(TOKEN.to_owned());
    let reader = ApiReader::new(&format!("http://{}", it.address), Some(token)).unwrap();
    let missing = async || {
        let found = reader.findings().await.unwrap().findings;
        let missing = found.into_iter().filter(|it| it.kind == FindingKind::NobodyWorks);
        missing.map(|it| it.entity_id).collect::<Vec<_>>()
    };
    // As a platform that is no longer new; nobody has ever been its scheduler.
    let old = "BEGIN READ WRITE; UPDATE adapters SET created_at = now() - interval '1 hour'; COMMIT";
    eventually("the issuer is at work, and no scheduler", async || {
        primary.psql(OWNER, "cmp", old);
        (missing().await == ["scheduler"]).then_some(())
    })
    .await;

    system("SET default_transaction_read_only = on");
    let note = eventually("readiness says it without a change", async || {
        let (status, state, note) = ready(&it.address, "database").await?;
        (status == 200 && state == "degraded").then_some(note)
    })
    .await;
    let reset = "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf();";
    assert!(note.starts_with(WHAT) && note.contains(reset), "{note}");
    let (status, problem) = client.ask_once(1).await;
    assert_eq!(status, 503, "{problem}");
    let text = |field: &str| problem[field].as_str().unwrap().to_owned();
    assert!(text("title").contains(WHAT), "{problem}");
    assert!(text("detail").contains(reset), "{problem}");
    let sooner = "BEGIN READ WRITE; UPDATE workers SET seen_at = seen_at - interval '20 seconds'; COMMIT";
    primary.psql(OWNER, "cmp", sooner);
    eventually(
        "nobody was heard for longer than a worker is waited for",
        async || {
            let silent = "SELECT min(now() - seen_at) > interval '31 seconds' FROM workers";
            (primary.psql(OWNER, "cmp", silent) == "t").then_some(())
        },
    )
    .await;
    assert_eq!(
        missing().await,
        ["scheduler"],
        "the issuer can't say that it is there"
    );
    let (_, state, note) = ready(&it.address, "issuer").await.unwrap();
    assert_ne!(state, "down", "{note}");

    system("RESET default_transaction_read_only");
    eventually("it is well by itself", async || {
        let (_, state, note) = ready(&it.address, "database").await?;
        (state == "up" && note.is_empty()).then_some(())
    })
    .await;
    client.ask(1).await;

    // A role's setting is told to new sessions only, and so is its end.
    superuser(&format!(
        "ALTER ROLE {OWNER} SET default_transaction_read_only = on"
    ));
    primary.cut_off("cmp");
    let of_role = "ALTER ROLE … RESET default_transaction_read_only";
    eventually("the place of the setting is told", async || {
        let (_, _, note) = ready(&it.address, "database").await?;
        (note.starts_with(WHAT) && note.contains(of_role)).then_some(())
    })
    .await;
    let (status, problem) = client.ask_once(2).await;
    assert!(
        status == 503 && problem["detail"].as_str().unwrap().contains(of_role),
        "{problem}"
    );
    superuser(&format!("ALTER ROLE {OWNER} RESET default_transaction_read_only"));
    eventually("the old sessions are given up", async || {
        let (_, state, note) = ready(&it.address, "database").await?;
        (state == "up" && note.is_empty()).then_some(())
    })
    .await;
    let (status, problem) = client.ask_once(2).await;
    assert!(status < 300, "{status} {problem}");
    it.logged("changes can be made again", 2).await;
}
