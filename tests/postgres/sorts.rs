//! Costs of a list's orders in a database of size: each is read out of an index, at its beginning and behind it.

use cmp_console::clock::Clock;
use cmp_console::store::{Store, StoreError, Work, agents, audit, certificates, keys, requests, runs};
use cmp_console::wire::page::{Page, PageQuery};

use crate::searches::explained;
use crate::sized;

const LISTS: [&str; 6] = ["certificates", "agents", "requests", "keys", "audit", "runs"];

/// The cursor of the next page of a list.
async fn next(store: &Store, list: &str, query: &PageQuery) -> Result<Option<String>, StoreError> {
    fn of<T>(page: Page<T>) -> Option<String> {
        page.next
    }
    let mut conn = store.ask(Work::of_page(query)).await.unwrap();
    let conn = &mut conn;
    match list {
        "certificates" => certificates::page(conn, query).await.map(of),
        "agents" => agents::page(conn, query).await.map(of),
        "requests" => requests::page(conn, query).await.map(of),
        "keys" => keys::page(conn, query).await.map(of),
        "audit" => audit::page(conn, query).await.map(of),
        _ => runs::page(conn, query).await.map(of),
    }
}

fn by(sort: &str, after: Option<String>) -> PageQuery {
    PageQuery {
        sort: Some(sort.to_owned()),
        limit: Some(50),
        after,
        ..PageQuery::default()
    }
}

/// The orders that a list offers, as it says itself.
async fn offered(store: &Store, list: &str) -> Vec<String> {
    let refused = next(store, list, &by("nothing", None)).await.unwrap_err();
    let problem = cmp_console::problem::Problem::from(refused);
    let hint = problem.hint.unwrap();
    let names = hint.strip_prefix("allowed: ").unwrap();
    let (names, _) = names.split_once(';').unwrap();
    names.split(", ").map(str::to_owned).collect()
}

#[tokio::test]
async fn every_order_that_is_offered_is_read_out_of_an_index() {
    let Some(it) = sized::filled() else { return };
    let _log = sized::LOG.lock().await;
    explained(&it);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let mut n_pages = 0;
    let began = it.server.log().len();
    for list in LISTS {
        for name in offered(&store, list).await {
            for sort in [name.clone(), format!("-{name}")] {
                let after = next(&store, list, &by(&sort, None)).await.unwrap();
                assert!(after.is_some(), "{list} by {sort} has one page only");
                next(&store, list, &by(&sort, after)).await.unwrap();
                n_pages += 2;
            }
        }
    }
    let log = it.server.log().split_off(began);
    let plans: Vec<&str> = log
        .split("Query Text:")
        .skip(1)
        .filter(|plan| plan.contains(" AS sort_id FROM "))
        .collect();
    assert!(
        plans.len() >= n_pages,
        "{} plans for {n_pages} pages",
        plans.len()
    );
    let dear: Vec<String> = plans.iter().filter_map(|plan| dear(plan)).collect();
    assert!(dear.is_empty(), "{}", dear.join("\n"));
}

/// Rows that a step of a plan may put in order or go through without an index.
const FEW: usize = 1_000;

/// The step of a plan that puts many rows in order, or reads them without an index, with its statement.
fn dear(plan: &str) -> Option<String> {
    let is_dear = |line: &&str| {
        let (_, rows) = line.split_once(" rows=").unwrap_or_default();
        let rows = rows.split(' ').next().unwrap_or_default().parse::<usize>();
        let works = ["Sort  (cost", "Seq Scan on"].iter().any(|it| line.contains(it));
        works && rows.unwrap_or(0) > FEW
    };
    let statement = plan.lines().next().unwrap_or_default();
    let from = statement.find(" AS sort_id FROM ").unwrap_or(0);
    plan.lines()
        .find(is_dear)
        .map(|line| format!("{}\n  {}", line.trim(), &statement[from..]))
}
