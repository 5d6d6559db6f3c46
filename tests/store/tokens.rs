//! Tokens are kept as hashes, and one-time ones are good once.

use cmp_console::domain::role::Role;
use cmp_console::store::tokens::{self, NewToken, Purpose};

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
