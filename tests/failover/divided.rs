//! Two real primaries, and an API on a lost one: no change goes out, in either order of mistakes, and the screen
//! says which, why, and what to do.

use std::path::Path;

use cmp_console::actions;
use cmp_console::clients::api::{ApiReader, ApiWriter};
use cmp_console::clock::Clock;
use cmp_console::config::console::DatabaseConfig;
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::secret::Secret;
use cmp_console::plan::journal::Journal;
use cmp_console::plan::known::KnownAgents;
use cmp_console::plan::one_database::not_one;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Inputs, Target};
use cmp_console::plan::ports::{Changes, Reads};
use cmp_console::plan::tier::InContext;
use cmp_console::store::Store;
use cmp_console::store::hosts::Hosts;

use crate::DATABASE;
use crate::daemon::{self, Daemon, eventually};
use crate::hands;
use crate::server::{self, OWNER, Postgres};
use crate::{change, check, console_with, name, says};

/// How the console's context is called.
const NIGHT: InContext<'_> = InContext {
    name: "night",
    protected: false,
};

fn table(hosts: &[&Postgres]) -> String {
    let hosts: Vec<String> = hosts
        .iter()
        .map(|it| format!("\"{}\"", it.dir().display()))
        .collect();
    format!(
        "hosts = [{}]\nname = \"{DATABASE}\"\nuser = \"{OWNER}\"\n",
        hosts.join(", ")
    )
}

async fn api_on(host: &Postgres) -> Daemon {
    Daemon::over(
        &host.url(OWNER, DATABASE),
        &["--listen", "127.0.0.1:0", "--roles", "api"],
        &[],
    )
    .await
}

/// A console's means without a screen, with both hosts and this API.
struct Hands {
    reads: Reads,
    changes: Changes,
    journal: Journal,
    watching: tokio::task::JoinHandle<()>,
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Hands {
    fn new(home: &Path, api: &str, hosts: &[&Postgres]) -> Self {
        let config: DatabaseConfig = toml::from_str(&table(hosts)).unwrap();
        let hosts = Hosts::new(&config, None, Clock::system()).unwrap();
        let watched = hosts.clone();
        let token = Secret::new(daemon::TOKEN.to_owned());
        let api = ApiReader::new(&format!("http://{api}"), Some(token)).unwrap();
        Self {
            reads: Reads {
                api: api.clone(),
                hosts: Some(hosts),
                known: KnownAgents::default(),
                vault: None,
                vault_nodes: Vec::new(),
                clock: Clock::system(),
                pki_mount: "pki".to_owned(),
                pki_test_role: "role".to_owned(),
            },
            changes: Changes::new(ApiWriter::new(api), None),
            journal: Journal::new(&home.join("journal.jsonl")),
            watching: tokio::spawn(async move { watched.watch().await }),
        }
    }

    /// Why no change goes out now, if none does.
    async fn refusal(&self) -> Option<String> {
        not_one(&self.reads).await.map(|problem| problem.to_string())
    }

    /// Has the agent check in; what came of it.
    async fn check_in(&self, agent: &str) -> Outcome {
        let on = Target {
            kind: EntityKind::Agent,
            id: agent.to_owned(),
            version: 0,
            name: "web-01".to_owned(),
            status: "active".to_owned(),
        };
        let action = actions::find("checkin").unwrap();
        let plan = action.plan(vec![on], Inputs::new(), &self.reads).await.unwrap();
        let carried_out = hands::carry_out(plan, NIGHT, &self.reads, &self.changes, &self.journal);
        carried_out.await.0
    }
}

fn n_runs(host: &Postgres) -> usize {
    let runs = "SELECT count(*) FROM runs";
    host.psql("postgres", DATABASE, runs).parse().unwrap()
}

async fn promote(host: &Postgres) {
    assert_eq!(host.psql("postgres", "postgres", "SELECT pg_promote()"), "t");
}

/// The words between the frames of a screen, in one line.
pub(crate) fn words(screen: &str) -> String {
    let lines = screen.lines().map(|line| line.trim_matches(['│', '|', ' ']));
    lines
        .collect::<Vec<_>>()
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_goes_out_while_two_take_changes_or_the_api_is_on_a_lost_one() {
    let Some(first) = server::of_ones_own() else {
        return;
    };
    let second = first.replica();
    let (a, b) = (name(&first), name(&second));
    let hosts = [&first, &second];
    let home = tempfile::tempdir().unwrap();
    let mut api = api_on(&first).await;
    let store = Store::open(&first.url(OWNER, DATABASE), Clock::system())
        .await
        .unwrap();
    change(&store, "web-01").await.unwrap();
    store.close().await;
    let agent = first.psql("postgres", DATABASE, "SELECT id FROM agents LIMIT 1");
    let followed = "SELECT count(*) FROM agents";
    eventually("the replica follows", async || {
        (second.psql("postgres", DATABASE, followed) == "1").then_some(())
    })
    .await;

    // One primary, and the API is on it.
    let hands = Hands::new(home.path(), &api.address, &hosts);
    assert_eq!(hands.refusal().await, None);
    let mut screen = console_with(home.path(), &api.address, &table(&hosts), 80);
    screen.wait_for("Agents 1");

    // The replica is promoted by mistake. The screen reads the one, the API writes to the other.
    promote(&second).await;
    let refused = hands.refusal().await.expect("two take changes");
    assert!(
        refused.contains(&format!(
            "{a} (timeline 1) and {b} (timeline 2) both take changes; the API is on {a}"
        )),
        "{refused}"
    );
    let outcome = hands.check_in(&agent).await;
    assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
    assert_eq!((n_runs(&first), n_runs(&second)), (0, 0), "nothing was begun");
    // Two primaries are the first finding, before a Vault that doesn't answer, and the cursor is there as long as
    // nobody moved it.
    screen.wait("the first finding to be it", |screen| {
        let first = screen
            .lines()
            .skip_while(|line| !line.contains("── Findings"))
            .nth(1);
        first.is_some_and(|line| says(line, &["CRIT", &a, "two primaries"]))
    });
    screen.wait_for("No change goes out");
    screen.send("6");
    screen.wait_for("No change goes out");
    let said = words(&screen.screen());
    for part in [
        &format!("{a} (timeline 1) and {b} (timeline 2) both take changes; the API is on {a}."),
        "Neither sees what the other takes, so no change goes out from here.",
        &format!("Stop the one that should not be primary ({a} or {b}) with `pg_ctl stop`"),
        "start cmp-server (API, issuer and scheduler) with `DB_HOST` naming the other, then press ctrl-r here.",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    // The check of the configuration says the same in one line.
    let (code, checked) = check(&home.path().join("config.toml"));
    let both = format!("{a} (timeline 1) and {b} (timeline 2) both take changes");
    let line = checked.lines().find(|line| line.contains(&both));
    let is_whole = |line: &str| says(line, &["database", "failed", "Stop the one", "then check again"]);
    assert!(
        line.is_some_and(is_whole) && code == Some(1),
        "{code:?} {checked}"
    );
    screen.send("3");
    screen.wait_for("web-01");
    screen.send("c");
    screen.wait_for("two databases take changes");
    assert_eq!((n_runs(&first), n_runs(&second)), (0, 0));

    // The other order: the API is pointed to the promoted one while the old one goes on.
    let address = api.address.clone();
    api.kill();
    let port = ["--listen", address.as_str(), "--roles", "api"];
    let mut api = Daemon::over(&second.url(OWNER, DATABASE), &port, &[]).await;
    let refused = hands.refusal().await.expect("two take changes still");
    assert!(refused.contains(&format!("the API is on {b}")), "{refused}");
    let outcome = hands.check_in(&agent).await;
    assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
    assert_eq!((n_runs(&first), n_runs(&second)), (0, 0), "nothing was begun");

    // With the API on the old one again, that is lost: it hangs, then it is gone.
    api.kill();
    let mut api = Daemon::over(&first.url(OWNER, DATABASE), &port, &[]).await;
    assert!(
        hands
            .refusal()
            .await
            .unwrap()
            .contains(&format!("the API is on {a}"))
    );
    let frozen = first.freeze();
    let lost = format!("the API is on the lost primary {a}, {b} is primary now");
    eventually("the loss is told", async || {
        hands.refusal().await.filter(|it| it.contains(&lost))
    })
    .await;
    screen.send("6");
    let said = screen.wait("what is lost and what to do", |screen| {
        words(screen).contains(&format!("{lost}. No change goes out from here"))
    });
    assert!(
        words(&said).contains(&format!("with `DB_HOST={b}`, then press ctrl-r here.")),
        "{said}"
    );
    drop(frozen);
    first.end("QUIT");
    eventually("it is lost still", async || {
        hands.refusal().await.filter(|it| it.contains(&lost))
    })
    .await;
    assert_eq!(n_runs(&second), 0, "nothing was begun");

    // As it is told to be mended.
    api.kill();
    let _api = Daemon::over(&second.url(OWNER, DATABASE), &port, &[]).await;
    eventually("it is one again", async || {
        hands.refusal().await.is_none().then_some(())
    })
    .await;
    let outcome = hands.check_in(&agent).await;
    assert!(!matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
    assert_eq!(n_runs(&second), 1, "it is on record where it counts");
    screen.send("\x12");
    screen.wait("the screen to say so", |screen| {
        !screen.contains("No change goes out")
    });

    // The old one comes back, and the new one is lost: nobody is sent to the old one.
    first.start_again();
    eventually("two take changes again", async || {
        hands
            .refusal()
            .await
            .filter(|it| it.contains("both take changes"))
    })
    .await;
    second.end("QUIT");
    let older = format!(
        "{a} is an older primary (timeline 1): it lacks what {b}, which is lost, took after it (timeline 2)"
    );
    eventually("the older one is told", async || {
        hands.refusal().await.filter(|it| it.contains(&older))
    })
    .await;
    screen.wait("what to bring back", |screen| {
        words(screen).contains(&format!("Bring {b} back and stop {a} with `pg_ctl stop`"))
    });
}

/// What can't be reached is told at once, and by whoever waits in the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_refuses_costs_no_request_ten_seconds() {
    let Some(host) = server::of_ones_own() else { return };
    let api = api_on(&host).await;
    host.end("QUIT");
    let asked = (0..20).map(async |_| {
        let token = Secret::new(daemon::TOKEN.to_owned());
        let api = ApiReader::new(&format!("http://{}", api.address), Some(token)).unwrap();
        let began = std::time::Instant::now();
        let problem = api.me().await.map(drop).unwrap_err();
        (began.elapsed(), problem)
    });
    for (took, problem) in futures::future::join_all(asked).await {
        assert!(took < std::time::Duration::from_secs(5), "{took:?}: {problem}");
        assert!(
            problem.what.contains("nobody listens at its address"),
            "{problem}"
        );
    }
}

/// A table that is locked, or gone, is told: who asks whether the server is ready asks what users ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_asks_the_tables() {
    let Some(database) = server::fresh() else { return };
    let api = Daemon::over(&database.url, &["--listen", "127.0.0.1:0", "--roles", "api"], &[]).await;
    let reader = ApiReader::new(&format!("http://{}", api.address), None).unwrap();
    let told = async || {
        let ready = reader.ready().await.ok()?;
        let database = ready.backends.into_iter().find(|it| it.backend.word() == "db")?;
        Some((ready.ready, database.note.unwrap_or_default()))
    };
    eventually("nothing is the matter", async || {
        (told().await? == (true, String::new())).then_some(())
    })
    .await;
    let mut lock = database
        .server
        .program("psql")
        .args(["-U", "postgres", "-d", &database.name, "-c"])
        .arg("BEGIN; LOCK TABLE certificates; SELECT pg_sleep(60)")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the lock is told", async || {
        let (ready, note) = told().await?;
        (!ready && note.contains("its tables can't be read within 3 s")).then_some(())
    })
    .await;
    lock.kill().unwrap();
    lock.wait().unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    database.server.psql("postgres", "postgres", end);
    eventually("it is over", async || told().await?.0.then_some(())).await;
    database
        .server
        .psql(OWNER, &database.name, "ALTER TABLE jobs RENAME TO gone");
    eventually("the table is missed", async || {
        let (ready, note) = told().await?;
        (!ready && note.contains("its tables aren't there")).then_some(())
    })
    .await;
}
