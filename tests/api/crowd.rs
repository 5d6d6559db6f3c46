//! Many at once: nobody is told that the database is busy, and the chain has no gap.

use cmp_console::store::{audit, certificates};
use futures::future::join_all;
use reqwest::Method;

use super::support::{Server, certificate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_and_reissues_side_by_side() {
    let Some(it) = Server::start().await else { return };
    let mut ids = Vec::new();
    let mut tx = it.store.begin().await.unwrap();
    for n in 100..120 {
        let mut new = certificate(n, 30);
        new.spki_sha256 = certificate(1, 0).spki_sha256;
        ids.push(certificates::insert(&mut tx, &new).await.unwrap().id);
    }
    tx.commit().await.unwrap();
    let report = format!(
        r#"{{"agent_version":"1","address":"http://127.0.0.1:1","install_dirs":["/srv/tls"],"installations":[],"keys":["{}"]}}"#,
        certificate(1, 0).spki_sha256
    );
    let report_path = format!("/api/v1/agents/{}/report", it.agent);
    let reports =
        join_all((0..60).map(|_| it.call(Method::POST, &report_path, &it.agent_token, &report, None)));
    // Each twice, as on a bad link.
    let reissues = join_all(ids.iter().chain(&ids).map(|id| {
        let (it, key) = (&it, format!("k/{id}"));
        async move {
            let path = format!("/api/v1/certs/{id}/reissue");
            it.call(Method::POST, &path, &it.operator, "", Some(&key)).await
        }
    }));
    let reads = join_all((0..60).map(|_| it.get("/api/v1/certs?limit=5")));
    let (reports, reissues, reads) = tokio::join!(reports, reissues, reads);
    for (status, reply) in reports {
        // Of one agent, one after the other: who waits for long is asked to come again.
        assert!(status.is_success() || status == 429, "{status} {reply}");
    }
    for (status, reply) in reissues.into_iter().chain(reads) {
        assert!(status.is_success(), "{status} {reply}");
    }
    assert_eq!(it.get("/api/v1/requests").await.1["total"], 20);
    assert_eq!(audit::verify(&it.store).await.unwrap().0, 20);
}
