//! That somebody issues and somebody schedules is watched.

use chrono::Duration;
use cmp_console::domain::worker::Duty;
use cmp_console::store::{requests, workers};
use serde_json::Value;

use super::support::{Server, noon};

impl Server {
    async fn beat(&self, duties: &[Duty]) {
        let mut tx = self.store.begin().await.unwrap();
        for duty in duties {
            let name = format!("{}@cmp-2", duty.word());
            workers::beat(&mut tx, *duty, &name, "1.2.3").await.unwrap();
        }
        tx.commit().await.unwrap();
        self.moment();
    }

    /// What was answered a moment ago is over: that one works isn't news for anybody.
    fn moment(&self) {
        self.clock.set(self.clock.now() + Duration::seconds(5));
    }

    /// Nobody has said anything for so long; on PostgreSQL its own clock counts.
    fn silence(&self, seconds: i64) {
        match &self.postgres {
            Some(database) => drop(database.psql(&format!(
                "UPDATE workers SET seen_at = seen_at - interval '{seconds} seconds'"
            ))),
            None => self.clock.set(self.clock.now() + Duration::seconds(seconds)),
        }
        self.moment();
    }

    async fn nobody(&self) -> Vec<Value> {
        let (_, mut reply) = self.get("/api/v1/findings").await;
        let mut found = std::mem::take(reply["findings"].as_array_mut().unwrap());
        found.retain(|it| it["kind"] == "nobody_works");
        found
    }

    async fn issuer(&self) -> Value {
        let (_, reply) = self.get("/readyz").await;
        let mut backends = reply["backends"].as_array().unwrap().iter();
        backends.find(|it| it["backend"] == "issuer").unwrap().clone()
    }
}

#[tokio::test]
async fn an_issuer_that_is_gone_is_told_with_what_waits_for_it() {
    let Some(it) = Server::start().await else { return };
    it.clock.set(noon() + Duration::seconds(31));
    let never = it.nobody().await;
    assert_eq!(never.len(), 2, "neither was ever seen: {never:?}");
    it.beat(&Duty::ALL).await;
    assert!(it.nobody().await.is_empty());
    assert_eq!(it.issuer().await["state"], "up");
    let (_, ready) = it.get("/readyz").await;
    let [issuer, scheduler] = [0, 1].map(|n| ready["workers"][n].clone());
    assert_eq!(issuer["name"], "issuer@cmp-2");
    assert_eq!(
        (&scheduler["duty"], &scheduler["version"], &scheduler["is_there"]),
        (&"scheduler".into(), &"1.2.3".into(), &true.into())
    );

    // A request has its CSR, and only the issuer is missing.
    let (_, reply) = it.post(&format!("/api/v1/certs/{}/reissue", it.cert), "").await;
    let id = reply["requests"][0]["id"].as_str().unwrap();
    let mut tx = it.store.begin().await.unwrap();
    requests::set_csr(&mut tx, id, "csr", "cc", "ecdsa-p256")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    it.silence(100);
    it.clock.set(it.clock.now().max(noon() + Duration::seconds(131)));
    it.beat(&[Duty::Scheduler]).await;
    let gone = it.nobody().await;
    assert_eq!(gone.len(), 1, "{gone:?}");
    let finding = &gone[0];
    assert_eq!(
        (&finding["severity"], &finding["subject"], &finding["matter"]),
        (&"critical".into(), &"Issuer".into(), &"nobody looks".into())
    );
    let what = finding["what"].as_str().unwrap();
    assert!(
        what.starts_with("The issuer is missing: 1 request waiting; no issuer was seen since "),
        "{what}"
    );
    assert!(what.contains("`issuer@cmp-2` last"), "{what}");
    assert!(what.contains("start `cmp-server` with the role issuer"), "{what}");
    assert_eq!(finding["takes_down"][0], "host-1.example.com");
    let (_, reply) = it.get("/api/v1/findings").await;
    assert_eq!(reply["findings"][0]["kind"], "nobody_works", "above all others");
    let mut others = reply["findings"].as_array().unwrap().iter();
    assert!(
        !others.any(|it| it["kind"] == "request_stuck"),
        "one cause is one line"
    );
    let issuer = it.issuer().await;
    assert_eq!(issuer["state"], "down");
    assert!(
        issuer["note"]
            .as_str()
            .unwrap()
            .starts_with("no issuer was seen since")
    );
}
