//! Tokens are kept as hashes, and one-time ones are good once.

use cmp_console::domain::role::Role;
use cmp_console::store::tokens::{self, NewToken, Purpose};
use cmp_console::store::{read, requests};

use super::fixture::{Fixture, noon};

#[tokio::test]
async fn a_one_time_token_is_good_once() {
    let Some(it) = Fixture::new().await else { return };
    let secret = tokens::mint().unwrap();
    assert_ne!(secret, tokens::mint().unwrap());
    let new = NewToken {
        name: "enrol".to_owned(),
        purpose: Purpose::Enrol,
        role: Role::Agent,
        agent_id: None,
        parent: None,
        expires_at: Some(noon() + chrono::Duration::hours(1)),
    };
    let mut tx = it.store.begin().await.unwrap();
    let token = tokens::create(&mut tx, &new, &secret).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = it.store.begin().await.unwrap();
    let found = tokens::find(&mut tx, secret.expose())
        .await
        .unwrap()
        .unwrap()
        .token;
    assert_eq!(found, token);
    assert!(tokens::find(&mut tx, "cmp_other").await.unwrap().is_none());
    assert!(tokens::spend(&mut tx, &token.id).await.unwrap());
    assert!(!tokens::spend(&mut tx, &token.id).await.unwrap());
    drop(tx);

    // The transaction that spent it didn't come about, so it is good again, until it expires.
    it.clock.set(noon() + chrono::Duration::hours(2));
    let mut tx = it.store.begin().await.unwrap();
    assert!(!tokens::spend(&mut tx, &token.id).await.unwrap());
}

/// It hangs on the agent's enrolment, and nobody else tells it.
#[tokio::test]
async fn a_request_for_an_agent_without_a_token_is_named_with_it() {
    let Some(it) = Fixture::new().await else { return };
    let secret = tokens::mint().unwrap();
    let new = NewToken {
        name: "agent:web-01".to_owned(),
        purpose: Purpose::Bearer,
        role: Role::Agent,
        agent_id: Some(it.agent.id.clone()),
        parent: None,
        expires_at: None,
    };
    let mut tx = it.store.begin().await.unwrap();
    tokens::create(&mut tx, &new, &secret).await.unwrap();
    requests::insert(&mut tx, &it.request("cdn.example.com"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    it.clock.set(noon() + chrono::Duration::hours(2));
    for has_token in [true, false] {
        let mut tx = it.store.begin().await.unwrap();
        if !has_token {
            tokens::revoke_of_agent(&mut tx, &it.agent.id, None)
                .await
                .unwrap();
        }
        let found = read::findings(&mut tx).await.unwrap().findings;
        tx.commit().await.unwrap();
        let matters: Vec<&str> = found.iter().map(|it| it.matter.as_str()).collect();
        let waits = found.iter().find(|it| it.matter == "waits for agent");
        let no_token = found.iter().find(|it| it.matter == "no token");
        match (has_token, waits, no_token) {
            (true, Some(waits), None) => assert_eq!(waits.answer.as_deref(), Some("checkin")),
            (false, None, Some(no_token)) => {
                let words = "and 1 request waits for it (cdn.example.com): enrol it again";
                assert!(no_token.what.contains(words), "{}", no_token.what);
                assert_eq!(no_token.answer, None);
            }
            _ => panic!("{has_token}: {matters:?}"),
        }
    }
}
