//! What changes is told, unasked.

use std::time::Duration;

use cmp_console::domain::id::EntityKind;
use cmp_console::wire::page::Change;
use futures::StreamExt;

use crate::support::Server;

#[tokio::test]
async fn a_change_is_delivered_within_a_second() {
    let it = Server::start().await;
    let response = it
        .http
        .get(format!("{}/api/v1/events", it.base))
        .bearer_auth(&it.viewer)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        it.post(&format!("/api/v1/agents/{}/ban", it.agent), "")
            .await
            .0
            .is_success()
    );
    let mut text = String::new();
    let mut chunks = response.bytes_stream();
    let wanted = Change {
        entity: EntityKind::Agent,
        id: it.agent.clone(),
    };
    let found = async {
        loop {
            text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
            let told = text
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .filter_map(|line| serde_json::from_str::<Change>(line).ok())
                .any(|change| change == wanted);
            if told {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(1), found).await.unwrap();
}
