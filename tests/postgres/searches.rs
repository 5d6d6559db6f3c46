//! Costs of a search in a database of size: an index, and no table.

use cmp_console::clock::Clock;
use cmp_console::domain::certificate::Certificate;
use cmp_console::store::{Conn, Store, Work, agents, audit, certificates, keys, requests};
use cmp_console::wire::page::{Page, PageQuery};

use crate::lists::{measured, touched};
use crate::server::Database;
use crate::sized::{self, filled};

/// The tables that grow with the platform.
const LARGE: [&str; 7] = [
    "certificates",
    "certificate_words",
    "agents",
    "agent_words",
    "keys",
    "issuance_requests",
    "request_words",
];
/// From now on each statement's plan goes into the server's log.
pub(crate) fn explained(it: &Database) {
    let explain = format!(
        "ALTER DATABASE {0} SET session_preload_libraries = 'auto_explain'; \
         ALTER DATABASE {0} SET auto_explain.log_min_duration = 0",
        it.name
    );
    it.try_psql("postgres", &explain).unwrap();
}

fn found(filter: &str) -> PageQuery {
    PageQuery {
        filter: Some(filter.to_owned()),
        limit: Some(50),
        ..PageQuery::default()
    }
}

/// A page, with the time that work in the background has: what it costs is counted in blocks.
async fn asked(store: &Store, query: &PageQuery) -> Page<Certificate> {
    let mut conn: Conn = store.ask(Work::Background).await.unwrap();
    certificates::page(&mut conn, query).await.unwrap()
}

/// The lines of plans that read a whole table, or a whole index of it.
fn whole(plans: &str) -> Vec<String> {
    let lines: Vec<&str> = plans.lines().map(str::trim).collect();
    let (mut found, mut statement) = (Vec::new(), "");
    for (at, line) in lines.iter().enumerate() {
        if line.contains("Query Text:") {
            statement = line;
        }
        let of_large = LARGE.iter().any(|table| line.contains(&format!(" on {table} ")));
        let next = lines.get(at + 1).copied().unwrap_or_default();
        let by_condition = next.starts_with("Index Cond:");
        let is_scan = line.contains("Seq Scan on ")
            || (line.contains("Scan using ") || line.contains("Scan Backward using ")) && !by_condition;
        if of_large && is_scan {
            found.push(format!("{line}\n{next}\n{statement}"));
        }
    }
    found
}

#[tokio::test]
async fn a_search_reads_no_table() {
    let Some(it) = filled() else { return };
    let of = |column: &str| {
        it.psql(&format!(
            "SELECT {column} FROM certificates WHERE id LIKE 'crt_01k%77777'"
        ))
    };
    let (id, serial) = (of("id"), of("serial"));
    let (sha256, spki) = (of("fingerprint_sha256"), of("spki_sha256"));
    let bare = serial.replace(':', "");
    let colons = serial[serial.len() - 11..].to_owned();
    let installed = |column: &str| {
        it.psql(&format!(
            "SELECT {column} FROM certificates c JOIN installations i ON i.certificate_id = c.id \
             ORDER BY i.id OFFSET 7777 LIMIT 1"
        ))
    };
    let installed = [
        installed("substring(c.subject from 'www[0-9]+[.]shop[0-9]+[.]')"),
        installed("c.serial"),
        installed("c.id"),
    ];
    let [by_name, by_serial, by_id] = installed.map(|known_by| format!("cert:{known_by}"));
    let _log = sized::LOG.lock().await;
    explained(&it);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let began = it.server.log().len();
    for (filter, n) in [
        ("nothing-1-2", 0),
        ("www77777.shop777", 1),
        (id.as_str(), 1),
        (serial.as_str(), 1),
        (&bare, 1),
        (&bare.to_uppercase(), 1),
        (&format!("serial:{bare}"), 1),
        (&format!("serial:{colons}"), 1),
        (&sha256, 1),
        (&sha256[..16], 1),
        (&spki, 1),
        (&format!("key:{spki}"), 1),
        (&format!("{}|{}", &sha256[..16], &spki[..16]), 1),
        ("host-7777.example.com", 3),
        ("agent:host-7777.", 3),
        ("agent:agt_01k00000000000000000007777", 3),
        ("issuer:nobody", 0),
        ("key:rsa", 0),
        // Too short for a trigram of its own.
        ("qz", 0),
        ("shop778 !www1", 89),
        ("example www77777.shop777", 1),
    ] {
        let page = asked(&store, &found(filter)).await;
        let told = (page.total, page.total_is_lower_bound);
        assert_eq!(told, (n, false), "{filter}");
        // By another order too, from its end.
        for sort in ["-not_after", "subject"] {
            let query = PageQuery {
                sort: Some(sort.to_owned()),
                ..found(filter)
            };
            assert_eq!(asked(&store, &query).await.total, n, "{filter} by {sort}");
        }
    }
    let conn = async || store.ask(Work::Search).await.unwrap();
    let key = &spki[..20];
    for (filter, n) in [
        ("nothing-1-2", 0),
        ("host-7777.", 1),
        ("host:host-7777.", 1),
        ("owner:nobody", 0),
        ("address:127.1.31.28:", 1),
        ("agt_01k00000000000000000007777", 1),
        ("cert:crt_01k9", 0),
        (&by_name, 1),
        (&by_serial, 1),
        (&by_id, 1),
        ("cert:www77777.shop777", 0),
        ("status:active team-7 !host-1", 179),
    ] {
        let page = agents::page(&mut conn().await, &found(filter)).await.unwrap();
        assert_eq!(page.total, n, "agents {filter}");
    }
    for (filter, n) in [("nothing-1-2", 0), (key, 1), (&spki, 1), ("rsa", 0)] {
        let page = keys::page(&mut conn().await, &found(filter)).await.unwrap();
        assert_eq!(page.total, n, "keys {filter}");
    }
    for (filter, n) in [
        ("nothing-1-2", 0),
        ("new-host-7777.", 1),
        ("req_01k00000000000000000007777", 1),
        ("agent:host-7777.", 1),
        ("agent:agt_01k00000000000000000007777", 1),
        ("error:role status:failed", 8),
        (&format!("cert:{id}"), 0),
        ("cert:www77777.shop777", 0),
        (&format!("cert:{serial}"), 0),
    ] {
        let page = requests::page(&mut conn().await, &found(filter)).await.unwrap();
        assert_eq!(page.total, n, "requests {filter}");
    }
    for filter in ["entity:www77777.shop777", &format!("entity:{id}"), "entity:vault"] {
        let page = audit::page(&mut conn().await, &found(filter)).await.unwrap();
        assert_eq!(page.total, 0, "audit {filter}");
    }
    let log = it.server.log().split_off(began);
    let plans: Vec<&str> = log.lines().filter(|line| line.contains("Query Text:")).collect();
    assert!(plans.len() >= 40, "plans are told: {}", plans.len());
    let whole = whole(&log);
    assert!(whole.is_empty(), "{}", whole.join("\n"));
}

/// Upper bound for the blocks of 8 KiB that a page and its bounded count touch, each as often as they do.
const BLOCKS: u64 = 60_000;

#[tokio::test]
async fn what_many_have_is_counted_up_to_a_limit() {
    let Some(it) = filled() else { return };
    let _log = sized::LOG.lock().await;
    measured(&it);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let began = it.server.log().len();
    for (filter, most) in [
        ("example", 10_000),
        ("status:any", 10_000),
        // Judged row by row.
        ("www example", 1_000),
        ("!nothing", 1_000),
    ] {
        let first = asked(&store, &found(filter)).await;
        let told = (first.items.len(), first.total, first.total_is_lower_bound);
        assert_eq!(told, (50, most, true), "{filter}");
        let next = PageQuery {
            after: first.next,
            ..found(filter)
        };
        let next = asked(&store, &next).await;
        let ends: Vec<_> = first
            .items
            .iter()
            .chain(&next.items)
            .map(|it| it.not_after)
            .collect();
        assert!(ends.len() == 100 && ends.is_sorted(), "{filter}");
        assert_eq!((next.total, next.total_is_lower_bound), (most, true), "{filter}");
    }
    // Fewer than that are counted to the last one, on every page and behind it.
    let mut query = found("shop77");
    let mut n = 0;
    loop {
        let page = asked(&store, &query).await;
        assert_eq!((page.total, page.total_is_lower_bound), (1_100, false));
        n += page.items.len();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(n, 1_100);
    let log = it.server.log().split_off(began);
    let dear: Vec<_> = touched(&log)
        .into_iter()
        .filter(|(blocks, _)| *blocks > BLOCKS)
        .collect();
    assert!(dear.is_empty(), "{dear:?}");
}
