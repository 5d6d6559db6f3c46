//! What changes is told, unasked.

use std::sync::Arc;
use std::time::Duration;

use cmp_console::domain::id::EntityKind;
use cmp_console::services::api::{ApiState, Unreached, Wake, serve};
use cmp_console::store::jobs::Listening;
use cmp_console::wire::agents::WakeReply;
use cmp_console::wire::page::Change;
use futures::StreamExt;
use futures::future::BoxFuture;

use super::support::Server;

#[tokio::test]
async fn a_change_is_delivered_within_a_second() {
    let Some(it) = Server::start().await else { return };
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
    let wanted = Change::of(EntityKind::Agent, &it.agent);
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

#[tokio::test]
async fn a_server_that_goes_down_ends_its_streams() {
    let Some(it) = Server::start().await else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let state = ApiState::new(it.store.clone(), Arc::new(Deaf));
    let serving = tokio::spawn(serve(listener, state, async {
        let _ = stopped.await;
    }));
    let response = it
        .http
        .get(format!("{base}/api/v1/events"))
        .bearer_auth(&it.viewer)
        .send()
        .await
        .unwrap();
    stop.send(()).unwrap();
    let ended = async {
        response.text().await.unwrap();
        serving.await.unwrap().unwrap();
    };
    tokio::time::timeout(Duration::from_secs(2), ended).await.unwrap();
}

struct Deaf;

impl Wake for Deaf {
    fn wake(&self, _: Listening) -> BoxFuture<'static, Result<WakeReply, Unreached>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let Some(it) = Server::start().await else { return };
    let soon = super::support::noon() + chrono::Duration::milliseconds(300);
    let short = it
        .token("short", cmp_console::domain::role::Role::Viewer, None, Some(soon))
        .await;
    let open = async |token: &str| {
        let url = format!("{}/api/v1/events", it.base);
        let response = it.http.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response
    };
    let (taken_back, expiring) = (open(&it.viewer).await, open(&short).await);
    let staying = open(&it.operator).await;
    it.clock.set(soon);
    let mut tx = it.store.begin().await.unwrap();
    let page = cmp_console::store::tokens::page(&mut tx, &cmp_console::wire::page::PageQuery::default())
        .await
        .unwrap();
    let eyes = page.items.into_iter().find(|token| token.name == "eyes").unwrap();
    cmp_console::store::tokens::revoke(&mut tx, &eyes.id)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for response in [taken_back, expiring] {
        // Well before it would be looked at again anyway.
        let ended = tokio::time::timeout(Duration::from_secs(8), response.text()).await;
        assert!(ended.is_ok(), "the stream goes on");
    }
    let ended = tokio::time::timeout(Duration::from_millis(50), staying.text()).await;
    assert!(ended.is_err(), "another token's ended");
}
