//! Statements of what is done often, one after the other: each is a way to the database and back.

use cmp_console::clock::Clock;
use cmp_console::store::certificates::NewCertificate;
use cmp_console::store::issuance::Issuing;
use cmp_console::store::{Store, agents, audit, ban, checkin, claims, issued, jobs, requests};
use cmp_console::wire::agents::Report;

use crate::fixture::{Fixture, certificate, entry};
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

/// Upper bounds for claiming requests and for recording their certificates, however many they are.
const CLAIM: usize = 7;
const RECORD: usize = 14;

#[tokio::test]
async fn many_requests_are_issued_by_as_many_statements_as_one() {
    let Some(it) = Fixture::new().await else { return };
    let _log = sized::LOG.lock().await;
    let database = it.postgres.as_ref().unwrap();
    lists::measured(database);
    let store = Store::open(&it.url, Clock::system()).await.unwrap();
    let lease = chrono::Duration::seconds(30);
    let mut n_made = 0;
    for n in [1, 20] {
        let mut tx = store.begin().await.unwrap();
        for _ in 0..n {
            n_made += 1;
            let new = requests::NewRequest {
                install_path: Some(format!("/srv/tls/{n_made}.pem")),
                ..it.request("a.example.com")
            };
            let request = requests::insert(&mut tx, &new).await.unwrap();
            let spki = certificate(n_made).spki_sha256;
            requests::set_csr(&mut tx, &request.id, "csr", &spki, "ecdsa-p256")
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();

        let began = database.server.log().len();
        let mut tx = store.begin().await.unwrap();
        let claimed = claims::claim(&mut tx, &it.adapter.id, "w", lease, 64)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claimed.len(), n);
        let told = statements(&it, began);
        assert!(
            (1..=CLAIM).contains(&told.len()),
            "{n} claims are {} statements: {told:#?}",
            told.len()
        );

        let news: Vec<NewCertificate> = claimed
            .iter()
            .map(|issuing| {
                let of = (1..=n_made).find(|of| certificate(*of).spki_sha256 == issuing.spki_sha256);
                certificate(of.unwrap())
            })
            .collect();
        let signed: Vec<(&Issuing, &NewCertificate)> = claimed.iter().zip(&news).collect();
        let began = database.server.log().len();
        let mut tx = store.begin().await.unwrap();
        let recorded = issued::complete_all(&mut tx, &signed).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(recorded.len(), n);
        let told = statements(&it, began);
        assert!(
            (1..=RECORD).contains(&told.len()),
            "{n} records are {} statements: {told:#?}",
            told.len()
        );
    }
}
