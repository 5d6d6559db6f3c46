//! Statements of what is done often, one after the other: each is a way to the database and back.

use cmp_console::clock::Clock;
use cmp_console::store::{Store, agents, audit, ban, checkin, jobs};
use cmp_console::wire::agents::Report;

use crate::fixture::{Fixture, entry};
use crate::{lists, sized};

/// Statements that the server's log has from `began` on, without the beginning and the end of a transaction.
fn statements(it: &Fixture, began: usize) -> Vec<String> {
    let log = it.postgres.as_ref().unwrap().server.log().split_off(began);
    log.lines()
        .filter_map(|line| line.split_once("Query Text:"))
        .map(|(_, text)| text.trim().to_owned())
        .collect()
}

/// Upper bound for a check-in that says what the one before it said.
const CHECK_IN: usize = 5;
/// Upper bound for a ban of an agent that nothing was asked for, with its audit row.
const BAN: usize = 7;

#[tokio::test]
async fn a_check_in_and_a_ban_are_few_statements() {
    let Some(it) = Fixture::new().await else { return };
    let _log = sized::LOG.lock().await;
    let database = it.postgres.as_ref().unwrap();
    lists::measured(database);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let id = it.agent.id.as_str();
    let report = Report {
        address: it.agent.address.clone(),
        tls_address: it.agent.tls_address.clone(),
        install_dirs: it.agent.install_dirs.clone(),
        agent_version: it.agent.agent_version.clone(),
        owner: it.agent.owner.clone(),
        layout: None,
        installations: Vec::new(),
        keys: Vec::new(),
        proofs: Vec::new(),
        identity_csr_pem: None,
    };
    let check_in = async || {
        let began = database.server.log().len();
        let mut tx = store.begin().await.unwrap();
        checkin::check_in_from(&mut tx, id, &report, &[], None)
            .await
            .unwrap();
        jobs::for_agent(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        statements(&it, began)
    };
    check_in().await;
    let told = check_in().await;
    assert!(
        (1..=CHECK_IN).contains(&told.len()),
        "a check-in is {} statements: {told:#?}",
        told.len()
    );

    let began = database.server.log().len();
    let mut tx = store.begin().await.unwrap();
    ban::ban(&mut tx, id, "kim").await.unwrap().unwrap();
    agents::existing(&mut tx, id).await.unwrap();
    audit::append(&mut tx, entry("ban")).await.unwrap();
    tx.commit().await.unwrap();
    let told = statements(&it, began);
    assert!(
        (1..=BAN).contains(&told.len()),
        "a ban is {} statements: {told:#?}",
        told.len()
    );
}
