//! Hosts that have to show who they are: what isn't trusted is not read and told with the next step, the other
//! host is read meanwhile, and what `sslmode` leaves unchecked is told as such.

use cmp_console::clock::Clock;
use cmp_console::store::Store;

use crate::daemon::{self, Daemon, eventually};
use crate::server::{self, OWNER, Postgres};
use crate::tls::Ca;
use crate::{change, check, configure, console_with, divided, says, wait_for_database};

/// A primary and its replica, each with a certificate of the CA's for its address.
fn pair(ca: &Ca) -> Option<(Postgres, Postgres)> {
    let primary = server::at_an_address()?;
    primary.show(&ca.issue(2090));
    let replica = primary.replica();
    replica.show(&ca.issue(2090));
    Some((primary, replica))
}

fn table(hosts: &[&Postgres], sslmode: &str, ca: &Ca) -> String {
    let hosts: Vec<String> = hosts.iter().map(|it| format!("\"{}\"", it.address())).collect();
    format!(
        "hosts = [{}]\nname = \"cmp\"\nuser = \"{OWNER}\"\nsslmode = \"{sslmode}\"\nca = \"{}\"\n",
        hosts.join(", "),
        ca.file.display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_not_trusted_is_told_with_the_next_step_and_the_other_one_read() {
    let home = tempfile::tempdir().unwrap();
    let (ours, other) = (Ca::new(home.path(), "ours"), Ca::new(home.path(), "other"));
    let Some((primary, replica)) = pair(&ours) else {
        return;
    };
    let (first, second) = (primary.address(), replica.address());
    // The server asks for no less than the console.
    let url = format!(
        "postgres://{OWNER}@{first}/cmp?sslmode=verify-full&sslrootcert={}",
        ours.file.display()
    );
    let daemon = Daemon::over(&url, &["--listen", "127.0.0.1:0", "--roles", "api"], &[]).await;
    let store = Store::open(&url, Clock::system()).await.unwrap();
    change(&store, "web-01").await.unwrap();
    store.close().await;

    let database = table(&[&primary, &replica], "verify-full", &ours);
    let mut pty = console_with(home.path(), &daemon.address, &database, 200);
    let config = home.path().join("config.toml");
    pty.wait_for("Agents 1");
    pty.send("6");
    wait_for_database(&pty, "up", &format!("primary {first}"));
    let in_the_clear = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                        WHERE client_addr IS NOT NULL AND NOT ssl";
    for host in [&primary, &replica] {
        assert_eq!(host.psql("postgres", "postgres", in_the_clear), "0");
    }
    pty.wait("both hosts, and nothing unchecked", |screen| {
        let ends = |words: &str| screen.lines().any(|line| line.trim_end().ends_with(words));
        ends("primary; read here") && ends("replica, 0 s behind")
    });
    // A note that is too long for its row stands whole below the list while the cursor is on it.
    pty.types("jjjjjj");
    pty.wait("the cursor to be on the first host", |screen| {
        screen.lines().any(|line| line.starts_with(">db host 1"))
    });
    let (_, said) = check(&config);
    assert!(says(&said, &["database", &first, "ok", "primary"]), "{said}");

    let lucks: [(&dyn Fn(), &str); 4] = [
        (
            &|| primary.show(&other.issue(2090)),
            "its certificate is from a CA that isn't trusted here: name the CA that it comes from in `ca` of \
             the context's database",
        ),
        (
            &|| primary.show(&ours.issue_for("db-2.example.com", 2090)),
            "its certificate is for another name: it is for db-2.example.com: use the name that is in it, or \
             have one issued for this name",
        ),
        (
            &|| primary.show(&ours.issue(2021)),
            "its certificate has expired: renew it on the server, and check this machine's clock",
        ),
        (
            &|| primary.speak_tls(false),
            "it doesn't speak TLS, and has to: set `ssl = on` with a certificate in its postgresql.conf",
        ),
    ];
    for (befall, words) in lucks {
        befall();
        // Who is connected stays so, until the connection is made anew.
        let (code, said) = eventually(words, async || {
            let (code, said) = check(&config);
            says(&said, &["database", &first, "failed", words]).then_some((code, said))
        })
        .await;
        assert_eq!(code, Some(1), "{said}");
        assert!(says(&said, &["database", &second, "ok", "replica"]), "{said}");
        primary.cut_off("cmp-console");
        pty.wait(words, |screen| divided::words(screen).contains(words));
        let screen = wait_for_database(&pty, "degraded", &format!("replica {second}"));
        assert!(screen.contains("was primary, lost since"), "{screen}");
        pty.wait("the replica to be read", |screen| {
            screen.contains("replica, 0 s behind; read here")
        });

        primary.show(&ours.issue(2090));
        wait_for_database(&pty, "up", &format!("primary {first}"));
        pty.wait_for(&format!("{first}: primary; read here"));
    }
    pty.send("q");
    assert_eq!(pty.ended_within(daemon::LIMIT), Some(0));

    // The console's own CA file is the wrong one: neither host is read.
    let database = table(&[&primary, &replica], "verify-full", &other);
    let (code, said) = check(&configure(home.path(), &daemon.address, &database));
    assert_eq!(code, Some(1), "{said}");
    for host in [&first, &second] {
        assert!(
            says(&said, &["database", host, "failed", "isn't trusted here"]),
            "{said}"
        );
    }
    let mut pty = console_with(home.path(), &daemon.address, &database, 200);
    pty.wait_for("read through the API");
    pty.wait_for("Agents 1");
    pty.send("q");
    assert_eq!(pty.ended_within(daemon::LIMIT), Some(0));
    // And one that is none is a wrong configuration.
    std::fs::write(&other.file, "").unwrap();
    let (code, said) = check(&config);
    assert_eq!(code, Some(2), "{said}");
    let none = [
        "config",
        "failed",
        "other.pem",
        "holds no certificate",
        "`ca` names",
    ];
    assert!(says(&said, &none), "{said}");
}

#[tokio::test]
async fn what_sslmode_leaves_unchecked_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (ours, other) = (Ca::new(home.path(), "ours"), Ca::new(home.path(), "other"));
    let Some(host) = server::at_an_address() else {
        return;
    };
    let store = Store::open(&host.url(OWNER, "cmp"), Clock::system())
        .await
        .unwrap();
    store.close().await;
    let address = host.address();
    let verify_full = "(hint: `sslmode = \"verify-full\"`";
    let said_of = async |sslmode: &str, words: &[&str]| {
        let database = table(&[&host], sslmode, &ours);
        let config = configure(home.path(), "127.0.0.1:1", &database);
        eventually(sslmode, async || {
            let (_, said) = check(&config);
            says(&said, &[&["database", address.as_str()], words].concat()).then_some(())
        })
        .await;
    };
    let if_offered = "primary; TLS only if it offers it, and unchecked who it is";
    said_of("disable", &["look", "primary; without TLS", verify_full]).await;
    said_of("prefer", &["look", if_offered, verify_full]).await;
    said_of("require", &["failed", "it doesn't speak TLS, and has to"]).await;

    host.show(&other.issue(2090));
    said_of("verify-ca", &["failed", "isn't trusted here"]).await;
    said_of(
        "require",
        &["look", "primary; TLS, but unchecked who it is", verify_full],
    )
    .await;
    said_of("prefer", &["look", if_offered, verify_full]).await;

    host.show(&ours.issue_for("db-2.example.com", 2090));
    let any_host = "primary; TLS, but any host that its CA knows would do";
    said_of("verify-ca", &["look", any_host, verify_full]).await;
    said_of("verify-full", &["failed", "is for another name"]).await;

    let database = table(&[&host], "require", &ours);
    let mut pty = console_with(home.path(), "127.0.0.1:1", &database, 200);
    pty.wait_for("Findings");
    pty.send("6");
    wait_for_database(&pty, "up", &format!("primary {address}"));
    pty.wait_for("primary; read here; TLS, but unchecked who it is");
}
