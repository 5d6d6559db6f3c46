//! Two servers and three issuers on one PostgreSQL; one of each is killed again and again while 2,000
//! requests are issued.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cmp_console::clock::Clock;
use cmp_console::store::{Store, audit};
use futures::StreamExt;

use crate::client::{API_UNLIMITED, Client};
use crate::daemon::Daemon;
use crate::server::{self, Database};
use crate::vault::Ca;

const N_REQUESTS: usize = 2000;
/// Sent at once.
const AT_ONCE: usize = 16;
/// One server and one issuer die each time that so many more are issued: every few seconds.
const KILLED_EVERY: usize = 150;
/// Much longer than it takes until more are issued: a lease's end and a new issuer's start.
const STANDS_STILL: Duration = Duration::from_secs(90);

struct Fleet<'a> {
    database: &'a Database,
    ca: &'a Ca,
    servers: Vec<Daemon>,
    issuers: Vec<Daemon>,
}

impl Fleet<'_> {
    async fn server(database: &Database) -> Daemon {
        Daemon::over(&database.url, &API_UNLIMITED, &[]).await
    }

    /// Two have a name, so that they go on with what they had claimed; what the third one had is free when
    /// its lease ends.
    async fn issuer(database: &Database, ca: &Ca, which: usize) -> Daemon {
        let name = format!("issuer-{which}");
        let mut arguments = vec!["--roles", "issuer", "--vault", &ca.address];
        if which > 0 {
            arguments.extend(["--name", &name]);
        }
        Daemon::over(&database.url, &arguments, &[("CMP_VAULT_TOKEN", &ca.root_token)]).await
    }

    /// Kills one of each and starts them anew.
    async fn lose(&mut self, round: usize, client: &Client) {
        // Which ones is no pattern, and the same each time.
        let dice = round.wrapping_mul(0x9e37_79b9) >> 7;
        let (server, issuer) = (dice % 2, dice / 2 % 3);
        self.servers[server].kill();
        self.issuers[issuer].kill();
        let (new_server, new_issuer) = tokio::join!(
            Self::server(self.database),
            Self::issuer(self.database, self.ca, issuer)
        );
        client.servers.lock().unwrap()[server].clone_from(&new_server.address);
        self.servers[server] = new_server;
        self.issuers[issuer] = new_issuer;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_requests_are_issued_once_while_servers_and_issuers_are_killed() {
    let Some(database) = server::fresh() else { return };
    let ca = Ca::start().await;
    let began = Instant::now();
    let mut fleet = Fleet {
        servers: vec![Fleet::server(&database).await, Fleet::server(&database).await],
        // One after the other: the first makes the adapter's row.
        issuers: vec![
            Fleet::issuer(&database, &ca, 0).await,
            Fleet::issuer(&database, &ca, 1).await,
            Fleet::issuer(&database, &ca, 2).await,
        ],
        database: &database,
        ca: &ca,
    };
    let addresses = fleet.servers.iter().map(|it| it.address.clone()).collect();
    let client = Arc::new(Client::new(&database.url, addresses).await);
    let sending = Arc::clone(&client);
    let sent = tokio::spawn(async move {
        futures::stream::iter(0..N_REQUESTS)
            .map(|n| {
                let client = Arc::clone(&sending);
                async move { client.request(n).await }
            })
            .buffer_unordered(AT_ONCE)
            .collect::<BTreeSet<String>>()
            .await
    });

    let (mut n_kills, mut asked_after) = (0, None);
    let mut more = (0, Instant::now());
    loop {
        let issued = number(&database, "issuance_requests WHERE status = 'issued'");
        if issued > more.0 {
            more = (issued, Instant::now());
        }
        if sent.is_finished() {
            asked_after.get_or_insert(began.elapsed());
        }
        if issued == N_REQUESTS {
            break;
        }
        if issued >= (n_kills + 1) * KILLED_EVERY {
            n_kills += 1;
            fleet.lose(n_kills, &client).await;
        }
        assert!(
            more.1.elapsed() < STANDS_STILL,
            "{issued} issued: {}",
            states(&database)
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!(
        "{n_kills} of each killed; all asked for after {asked_after:?}, issued after {:?}",
        began.elapsed()
    );
    assert_eq!(n_kills, (N_REQUESTS - 1) / KILLED_EVERY);

    let ids = sent.await.unwrap();
    assert_eq!(ids.len(), N_REQUESTS, "no two answers tell of one request");
    assert_eq!(
        number(&database, "issuance_requests"),
        N_REQUESTS,
        "none was made twice"
    );
    let whole = "issuance_requests r JOIN certificates c ON c.id = r.certificate_id AND c.request_id = r.id \
                 AND c.spki_sha256 = r.spki_sha256";
    assert_eq!(number(&database, whole), N_REQUESTS);
    let ours: BTreeSet<String> = database
        .psql("SELECT serial FROM certificates")
        .lines()
        .map(str::to_owned)
        .collect();
    let at_ca = ca.serials().await;
    let twice: Vec<&String> = at_ca.difference(&ours).collect();
    assert!(twice.is_empty(), "signed, and nobody's: {twice:?}");
    assert_eq!(at_ca.len(), N_REQUESTS);
    assert_eq!(ours, at_ca);

    let store = Store::open(&database.url, Clock::system()).await.unwrap();
    let (n_rows, _) = audit::verify(&store).await.unwrap();
    store.close().await;
    assert_eq!(database.psql("SELECT count(*) = max(seq) FROM audit_logs"), "t");
    assert_eq!(
        database.psql("SELECT max(seq) FROM audit_logs"),
        n_rows.to_string()
    );
    let done = "audit_logs WHERE action = 'issue' AND outcome = 'done'";
    assert_eq!(number(&database, done), N_REQUESTS);
    for of in ["request", "csr"] {
        let asked = format!("audit_logs WHERE action = '{of}' AND outcome IN ('asked', 'done')");
        assert_eq!(number(&database, &asked), N_REQUESTS, "each `{of}` once");
    }
}

fn number(database: &Database, from: &str) -> usize {
    database
        .psql(&format!("SELECT count(*) FROM {from}"))
        .parse()
        .unwrap()
}

fn states(database: &Database) -> String {
    database.psql("SELECT status, waiting_on, claimed_by, count(*) FROM issuance_requests GROUP BY 1, 2, 3")
}
