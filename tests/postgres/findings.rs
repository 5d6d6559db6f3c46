//! Costs of findings in a database of size.

use cmp_console::clock::Clock;
use cmp_console::store::{Store, Work, read};

use crate::lists::{measured, touched};
use crate::sized;

/// Upper bound for the blocks of 8 KiB that a statement touches, each as often as it does. Places and certificates are
/// looked at one by one where something may be wrong with them: all of them would be 100,000 times several.
const BLOCKS: u64 = 6_000;

#[tokio::test]
async fn findings_touch_few_blocks_of_what_is_well() {
    let Some(it) = sized::filled() else { return };
    // A request that failed is something to look at.
    it.psql("DELETE FROM issuance_requests");
    let _log = sized::LOG.lock().await;
    measured(&it);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let began = it.server.log().len();
    let found = read::findings(&mut store.ask(Work::Background).await.unwrap())
        .await
        .unwrap();
    assert!(!found.findings.is_empty());
    let log = it.server.log().split_off(began);
    let touched = touched(&log);
    assert!(touched.len() >= 20, "{} statements are told", touched.len());
    let dear: Vec<String> = touched
        .iter()
        .filter(|(blocks, _)| *blocks > BLOCKS)
        .map(|(blocks, text)| format!("{blocks}: {text}"))
        .collect();
    assert!(dear.is_empty(), "{}", dear.join("\n"));
}
