//! Costs of a list in a database of size: a page, and what is counted, whatever its filter and its order.

use cmp_console::clock::Clock;
use cmp_console::domain::reason::Reason;
use cmp_console::store::{Store, Work, certificates, revocation};
use cmp_console::wire::page::PageQuery;

use crate::server::Database;
use crate::sized;

/// Upper bound for the blocks of 8 KiB that a statement touches, each as often as it does: all words of certificates are in
/// as many. The rows of a table that are looked at one by one are 100,000 times several.
const BLOCKS: u64 = 6_000;
/// Upper bound for counting what is beyond what is counted, where each row is looked at in several tables.
const BLOCKS_TO_COUNT: u64 = 250_000;

/// From now on the blocks that each statement touches go into the server's log.
pub(crate) fn measured(it: &Database) {
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_buffers = on",
    ] {
        let alter = format!("ALTER DATABASE {} SET {setting}", it.name);
        it.try_psql("postgres", &alter).unwrap();
    }
}

/// Statements and how many blocks each touched, by the log.
pub(crate) fn touched(log: &str) -> Vec<(u64, &str)> {
    let mut found = Vec::new();
    let mut statement = None;
    for line in log.lines().map(str::trim) {
        if let Some((_, text)) = line.split_once("Query Text:") {
            statement = Some(text);
        }
        // The first of a plan is for all of it.
        if let (Some(text), Some(blocks)) = (statement, line.strip_prefix("Buffers: shared ")) {
            let number = |word: &str| word.split_once('=').and_then(|(_, n)| n.parse::<u64>().ok());
            found.push((blocks.split(' ').filter_map(number).sum(), text));
            statement = None;
        }
    }
    found
}

#[tokio::test]
async fn a_list_touches_few_blocks() {
    let Some(it) = sized::filled() else { return };
    let _log = sized::LOG.lock().await;
    measured(&it);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let lists = [
        // As the console opens it.
        ("!status:replaced", "not_after", true),
        ("!status:replaced", "-not_after", true),
        ("", "not_after", true),
        ("", "-subject", true),
        ("", "host", true),
        ("", "-host", true),
        ("", "-owner", true),
        ("", "-installations", true),
        ("", "status", true),
        ("status:expiring", "not_after", false),
        ("status:expired", "-not_after", false),
        ("status:active", "not_after", true),
        ("status:revoked", "not_after", false),
        ("status:refused", "-subject", false),
        ("status:held", "host", false),
        ("status:leaked", "not_after", true),
        ("expires:<30d", "not_after", false),
        ("expires:<60d", "-not_after", true),
        ("expires:>60d", "not_after", true),
        ("!expires:<60d", "-not_after", true),
        ("status:any expires:<60d", "not_after", true),
        ("status:any expires:>60d", "-not_after", true),
        ("shop", "host", true),
        ("shop !status:replaced", "not_after", true),
        ("!example", "not_after", false),
        ("!www1", "not_after", true),
        ("~nthng", "not_after", false),
        ("~wwwshpxmpl", "-not_after", true),
        ("!status:replaced !example", "not_after", false),
    ];
    // As it is opened, and as it is asked for again and again.
    for at_most in [BLOCKS_TO_COUNT, BLOCKS] {
        let began = it.server.log().len();
        for (filter, sort, is_there) in lists {
            let query = PageQuery {
                filter: (!filter.is_empty()).then(|| filter.to_owned()),
                sort: Some(sort.to_owned()),
                limit: Some(50),
                ..PageQuery::default()
            };
            let mut conn = store.ask(Work::of_page(&query)).await.unwrap();
            let page = certificates::page(&mut conn, &query).await.unwrap();
            assert_eq!(!page.items.is_empty(), is_there, "{filter} by {sort}");
        }
        let log = it.server.log().split_off(began);
        let touched = touched(&log);
        assert!(
            touched.len() >= lists.len(),
            "{} statements are told",
            touched.len()
        );
        let dear: Vec<String> = touched
            .iter()
            .filter(|(blocks, _)| *blocks > at_most)
            .map(|(blocks, text)| format!("{blocks}: {text}"))
            .collect();
        assert!(dear.is_empty(), "{}", dear.join("\n"));
    }
}

/// Upper bound for a list that was asked for before and that no index knows: what was found, and what changed since.
const BLOCKS_AGAIN: u64 = 200;

#[tokio::test]
async fn all_words_are_read_once_for_who_asks_again_and_again() {
    let Some(it) = sized::filled() else { return };
    let _log = sized::LOG.lock().await;
    measured(&it);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    for filter in ["!example", "~nthng"] {
        let asked = async || {
            let began = it.server.log().len();
            let query = PageQuery {
                filter: Some(filter.to_owned()),
                ..PageQuery::default()
            };
            let mut conn = store.ask(Work::of_page(&query)).await.unwrap();
            let page = certificates::page(&mut conn, &query).await.unwrap();
            assert_eq!(page.total, 0);
            let log = it.server.log().split_off(began);
            touched(&log).iter().map(|(blocks, _)| blocks).sum::<u64>()
        };
        let first = asked().await;
        // Something changed meanwhile, as it does all the time.
        let mut tx = store.begin().await.unwrap();
        let id = it.psql("SELECT min(id) FROM certificates WHERE status = 'active' AND not_after > now() + interval '9 days'");
        revocation::ask(&mut tx, id.trim(), Reason::Superseded)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let again = asked().await;
        assert!(first > 1_000, "{filter}: {first}");
        assert!(again <= BLOCKS_AGAIN, "{filter}: {again}");
    }
}
