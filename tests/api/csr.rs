//! CSRs and names as they reach the API: what is recorded is what was read, in one spelling, by who has the key.

use cmp_console::domain::csr::Csr;
use cmp_console::domain::role::Role;
use cmp_console::store::tokens::Purpose;
use cmp_console::store::{holders, keys};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Server, certificate};

fn csr(key: &KeyPair, common_names: &[&str], names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    for (i, name) in common_names.iter().enumerate() {
        let kind = match i {
            0 => DnType::CommonName,
            _ => DnType::CustomDnType(vec![2, 5, 4, 3]),
        };
        params.distinguished_name.push(kind, *name);
    }
    params.serialize_request(key).unwrap().pem().unwrap()
}

impl Server {
    async fn ask(&self, names: &Value) -> Value {
        let body = json!({"common_name": names[0], "sans": names, "agent_id": self.agent});
        let (status, reply) = self.post("/api/v1/certs", &body.to_string()).await;
        assert_eq!(status, 202, "{reply}");
        reply["requests"][0].clone()
    }

    async fn hand_in(&self, request: &Value, csr: &str) -> (StatusCode, Value) {
        let path = format!("/api/v1/requests/{}/csr", request["id"].as_str().unwrap());
        let body = json!({"csr_pem": csr}).to_string();
        self.call(Method::POST, &path, &self.agent_token, &body, None)
            .await
    }

    async fn tell(&self, keys: &[&str], proofs: &[&str]) -> (StatusCode, Value) {
        let path = format!("/api/v1/agents/{}/report", self.agent);
        let body = json!({
            "agent_version": "1", "address": "http://127.0.0.1:1", "install_dirs": ["/srv/tls"],
            "installations": [], "keys": keys, "proofs": proofs,
        });
        self.call(Method::POST, &path, &self.agent_token, &body.to_string(), None)
            .await
    }

    async fn enrol_as(&self, hostname: &str, agent: Option<&str>) -> (StatusCode, Value) {
        let token = self
            .make_token("enrol", Role::Agent, Purpose::Enrol, agent, None)
            .await;
        let body = json!({
            "hostname": hostname, "address": "http://127.0.0.1:1", "install_dirs": ["/srv/tls"], "agent_version": "1",
        });
        self.call(
            Method::POST,
            "/api/v1/agents/enrol",
            &token,
            &body.to_string(),
            None,
        )
        .await
    }
}

#[tokio::test]
async fn names_are_recorded_in_one_spelling() {
    let Some(it) = Server::start().await else { return };
    let request = it
        .ask(&json!([
            "A.Example.COM.",
            "a.example.com",
            "2001:0db8:0000::0010",
            "b\u{fc}cher.example",
            "*.B.example.com"
        ]))
        .await;
    let names = [
        "a.example.com",
        "2001:db8::10",
        "xn--bcher-kva.example",
        "*.b.example.com",
    ];
    assert_eq!(
        (&request["common_name"], &request["sans"]),
        (&json!(names[0]), &json!(names))
    );
    let key = KeyPair::generate().unwrap();
    let (status, problem) = it.hand_in(&request, &csr(&key, &["A.example.com"], &names)).await;
    assert_eq!(status, 422, "{problem}");
    let (status, taken) = it.hand_in(&request, &csr(&key, &[names[0]], &names)).await;
    assert_eq!(status, 200, "{taken}");
    let by_address = it.ask(&json!(["2001:0db8:0000::0010"])).await;
    assert_eq!(by_address["common_name"], "2001:db8::10");
    for odd in ["a b", "10.0.0.256", "https://a.example.com", "a@example.com", ""] {
        let body = json!({"common_name": odd, "agent_id": it.agent}).to_string();
        assert_eq!(it.post("/api/v1/certs", &body).await.0, 400, "{odd}");
    }
    let many: Vec<String> = (0..1000).map(|n| format!("n{n}.example.com")).collect();
    let body = json!({"common_name": "n0.example.com", "sans": many, "agent_id": it.agent}).to_string();
    let (status, problem) = it.post("/api/v1/certs", &body).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem.to_string().contains("100 names at most"), "{problem}");
}

#[tokio::test]
async fn a_csr_with_two_common_names_is_refused() {
    let Some(it) = Server::start().await else { return };
    let request = it.ask(&json!(["good.example.com"])).await;
    let key = KeyPair::generate().unwrap();
    let two = csr(
        &key,
        &["good.example.com", "evil.example.com"],
        &["good.example.com"],
    );
    let (status, problem) = it.hand_in(&request, &two).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem.to_string().contains("one common name"), "{problem}");
    let (_, now) = it
        .get(&format!("/api/v1/requests/{}", request["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&now["waiting_on"], &now["spki_sha256"]),
        (&json!("key"), &Value::Null)
    );
}

#[tokio::test]
async fn a_long_name_needs_no_common_name() {
    let Some(it) = Server::start().await else { return };
    let long = format!("{}.example.com", "a".repeat(60));
    let request = it.ask(&json!([long])).await;
    let key = KeyPair::generate().unwrap();
    assert_eq!(it.hand_in(&request, &csr(&key, &[&long], &[&long])).await.0, 422);
    assert_eq!(it.hand_in(&request, &csr(&key, &[], &[&long])).await.0, 200);
}

#[tokio::test]
async fn saying_that_one_has_a_key_gives_nothing_before_it_is_proven() {
    let Some(it) = Server::start().await else { return };
    let key = KeyPair::generate().unwrap();
    let name = format!("urn:cmp:agent:{}", it.agent);
    let named = csr(&key, &[&name], &[]);
    let spki = Csr::read(&named).unwrap().key.spki_sha256();
    let mut foreign = certificate(77, 60);
    foreign.spki_sha256.clone_from(&spki);
    let mut tx = it.store.begin().await.unwrap();
    let cert = cmp_console::store::certificates::insert(&mut tx, &foreign)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let reissue = format!("/api/v1/certs/{}/reissue", cert.id);
    let install = format!("/api/v1/agents/{}/install", it.agent);
    let body = json!({"cert_id": cert.id, "path": "/srv/tls/x.pem"}).to_string();

    let (status, reply) = it.tell(&[&spki], &[]).await;
    assert_eq!((status, &reply["prove"]), (StatusCode::OK, &json!([spki])));
    assert_eq!(it.post(&reissue, "").await.0, 422, "nobody is known to hold it");
    assert_eq!(it.post(&install, &body).await.0, 422);
    let held_by = |key: Value| key["agent_id"].clone();
    let path = format!("/api/v1/keys/{spki}");
    let shown = it.get(&path).await.1;
    assert_eq!(held_by(shown.get("key").cloned().unwrap_or(shown)), Value::Null);

    // Another agent's proof, and one of another key.
    for others in [
        csr(&key, &["urn:cmp:agent:agt_another"], &[]),
        // A certificate could be asked for with these.
        csr(&key, &[&it.agent], &[]),
        csr(&key, &[&name], &["a.example.com"]),
    ] {
        assert_eq!(it.tell(&[&spki], &[&others]).await.0, 422);
    }
    let wish = json!({"common_name": it.agent, "agent_id": it.agent}).to_string();
    assert_eq!(it.post("/api/v1/certs", &wish).await.0, 400);
    let (_, reply) = it
        .tell(&[&spki], &[&csr(&KeyPair::generate().unwrap(), &[&name], &[])])
        .await;
    assert_eq!(reply["prove"], json!([spki]));

    let (status, reply) = it.tell(&[&spki], &[&named]).await;
    assert_eq!((status, &reply["prove"]), (StatusCode::OK, &Value::Null));
    assert_eq!(it.post(&install, &body).await.0, 202);
    let mut conn = it.store.read().await.unwrap();
    assert_eq!(
        holders::of_key(&mut conn, &spki).await.unwrap(),
        std::slice::from_ref(&it.agent)
    );
    drop(conn);
    // What it doesn't have any more, it has to prove anew.
    it.tell(&[], &[]).await;
    assert_eq!(it.tell(&[&spki], &[]).await.1["prove"], json!([spki]));
    assert_eq!(
        keys::read(&mut it.store.read().await.unwrap(), &spki)
            .await
            .unwrap()
            .unwrap()
            .agent_id,
        None
    );
}

#[tokio::test]
async fn a_host_has_one_spelling_and_may_be_renamed() {
    let Some(it) = Server::start().await else { return };
    let (status, first) = it.enrol_as("Db-01.Example.com.", None).await;
    assert_eq!(status, 201, "{first}");
    let id = first["agent_id"].as_str().unwrap();
    assert_eq!(
        it.get(&format!("/api/v1/agents/{id}")).await.1["agent"]["hostname"],
        "db-01.example.com"
    );
    for spelling in ["db-01.example.com", "DB-01.example.com", "db-01.example.com."] {
        assert_eq!(it.enrol_as(spelling, None).await.0, 409, "{spelling}");
    }
    // Renamed, and a new host under the name that it had.
    let (status, again) = it.enrol_as("DB-02.example.com", Some(id)).await;
    assert_eq!((status, &again["agent_id"]), (StatusCode::CREATED, &json!(id)));
    assert_eq!(
        it.get(&format!("/api/v1/agents/{id}")).await.1["agent"]["hostname"],
        "db-02.example.com"
    );
    let (status, new) = it.enrol_as("db-01.example.com", None).await;
    assert_eq!(status, 201, "{new}");
    assert_ne!(new["agent_id"], json!(id));
    let (_, found) = it.get("/api/v1/requests?agent=DB-02.Example.com.").await;
    assert_eq!(found["items"], json!([]));
    for odd in ["", "a b", "*.example.com", "10.0.0.1", "-a"] {
        assert_eq!(it.enrol_as(odd, None).await.0, 400, "{odd}");
    }
}
