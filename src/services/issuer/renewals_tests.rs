//! The issuer and a CA that says when to renew, or says nonsense.

use std::time::Duration as Pause;

use chrono::{DateTime, Duration, Utc};

use super::Issuer;
use super::adapters::AdapterError;
use super::bench::{Bench, Watches, start};
use super::renewals::{CAUSES, Watch};
use crate::clients::vault::Login;
use crate::domain::renewal::{Renewal, Suggestion};
use crate::store::{adapters as rows, certificates};

fn suggested(begins: DateTime<Utc>) -> Suggestion {
    Suggestion {
        start: begins,
        end: begins + Duration::hours(1),
        explanation_url: None,
        again_in: Pause::from_secs(6 * 3600),
    }
}

/// A certificate of a CA that says when to renew; it is asked for the first time as soon as it answers.
async fn issued(bench: &Bench) -> String {
    bench.ca.can.lock().unwrap().renewal_info = true;
    let request = bench.request().await;
    bench.round().await;
    bench.now(&request).await.certificate_id.unwrap()
}

async fn renewal(bench: &Bench, id: &str) -> Option<Renewal> {
    let mut conn = bench.store.read().await.unwrap();
    certificates::existing(&mut conn, id).await.unwrap().renewal
}

#[tokio::test]
async fn a_ca_that_does_not_say_when_to_renew_is_not_asked() {
    let bench = Bench::new().await;
    let request = bench.request().await;
    bench.round().await;
    bench.round().await;
    let id = bench.now(&request).await.certificate_id.unwrap();
    assert_eq!(bench.ca.n_asked(), 0);
    assert_eq!(renewal(&bench, &id).await, None);
}

#[tokio::test]
async fn it_is_asked_as_often_as_it_says_by_the_platforms_clock() {
    let bench = Bench::new().await;
    bench.ca.suggest(Ok(suggested(start() + Duration::days(1))));
    let id = issued(&bench).await;
    assert_eq!(
        renewal(&bench, &id).await.unwrap().start,
        start() + Duration::days(1)
    );
    assert_eq!(bench.ca.n_asked(), 1);
    bench.pass(Duration::hours(6) - Duration::seconds(1));
    bench.round().await;
    assert_eq!(bench.ca.n_asked(), 1, "not before it is due");
    bench.pass(Duration::seconds(1));
    bench.ca.suggest(Ok(suggested(start() - Duration::days(1))));
    bench.round().await;
    assert_eq!(bench.ca.n_asked(), 2);
    let moved = renewal(&bench, &id).await.unwrap();
    assert!(moved.has_begun(bench.clock.now()));
    assert_eq!(moved.moved_from, Some(start() + Duration::days(1)));

    // Whatever it says, a day is the longest.
    bench.pass(Duration::hours(6));
    bench.ca.suggest(Ok(Suggestion {
        again_in: Pause::from_secs(u64::MAX),
        ..suggested(start())
    }));
    bench.round().await;
    bench.pass(Duration::hours(24));
    bench.round().await;
    assert_eq!(bench.ca.n_asked(), 4);
}

#[tokio::test]
async fn nonsense_changes_nothing() {
    let bench = Bench::new().await;
    bench.ca.suggest(Ok(suggested(start() + Duration::days(1))));
    let id = issued(&bench).await;
    let before = renewal(&bench, &id).await;
    let backwards = Suggestion {
        end: start() - Duration::days(9),
        ..suggested(start())
    };
    let far = suggested(start() + Duration::days(999_999));
    let long_ago = suggested(start() - Duration::days(999_999));
    let refused = Err(AdapterError::Refused("unknown certificate".to_owned()));
    let mut n = 1;
    bench.pass(Duration::hours(6));
    for answer in [Ok(backwards), Ok(far), Ok(long_ago), refused] {
        bench.ca.suggest(answer);
        bench.round().await;
        n += 1;
        assert_eq!(bench.ca.n_asked(), n);
        bench.pass(Duration::hours(6) - Duration::seconds(1));
        bench.round().await;
        assert_eq!(bench.ca.n_asked(), n, "not again at once");
        assert_eq!(renewal(&bench, &id).await, before);
        bench.pass(Duration::seconds(1));
    }
}

#[tokio::test]
async fn each_cause_is_told_once() {
    let bench = Bench::new().await;
    let row = rows::all(&mut bench.store.read().await.unwrap())
        .await
        .unwrap()
        .remove(0);
    let mut watch = Watch::default();
    assert!(watch.is_news(&row, "no answer"));
    assert!(!watch.is_news(&row, "no answer"));
    assert!(watch.is_news(&row, "its window ends before it begins"));
    assert!(!watch.is_news(&row, "no answer"));
    // A CA that finds new words each time fills no memory.
    for n in 0..1000 {
        watch.is_news(&row, &format!("error {n}"));
    }
    assert!(watch.said.len() <= CAUSES);
}

#[tokio::test]
async fn a_ca_that_is_busy_or_away_is_left_alone_with_all_its_certificates() {
    let bench = Bench::new().await;
    bench.ca.suggest(Err(AdapterError::Retry("no answer".to_owned())));
    let first = issued(&bench).await;
    let request = bench.request().await;
    bench.round().await;
    let second = bench.now(&request).await.certificate_id.unwrap();
    let n = bench.ca.n_asked();
    let (_sender, stop) = tokio::sync::watch::channel(false);
    let mut watches = Watches::default();
    bench.pass(Duration::hours(1));
    bench.issuer.round(&mut watches, &stop).await.unwrap();
    assert_eq!(bench.ca.n_asked(), n + 1, "one question is enough to see it");
    bench.pass(Duration::hours(1));
    bench.issuer.round(&mut watches, &stop).await.unwrap();
    assert_eq!(bench.ca.n_asked(), n + 1);
    for id in [first, second] {
        assert_eq!(renewal(&bench, &id).await, None);
    }
    assert_eq!(
        bench.adapter_status().await,
        crate::domain::adapter::AdapterStatus::Active
    );
}

#[tokio::test]
async fn of_several_issuers_one_asks() {
    let bench = Bench::new().await;
    bench.ca.suggest(Ok(suggested(start() + Duration::days(1))));
    issued(&bench).await;
    bench.pass(Duration::hours(6));
    let mut others: Vec<Issuer> = Vec::new();
    for name in ["second", "third"] {
        let mut other = Issuer::new(bench.store.clone(), name, Login::Nobody);
        other.roster.instead.insert("fake".to_owned(), bench.ca.clone());
        others.push(other);
    }
    let (_sender, stop) = tokio::sync::watch::channel(false);
    let rounds = others.iter().map(|other| async {
        other.round(&mut Watches::default(), &stop).await.unwrap();
    });
    futures::future::join_all(rounds).await;
    bench.round().await;
    assert_eq!(bench.ca.n_asked(), 2);
}
