//! The cache: hits after misses, no answer older than a change, and Redis that comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cmp_console::clients::cache::{Address, Cache, Serving};
use cmp_console::config::limits::Limits;
use cmp_console::services::api::{ApiState, serve};
use cmp_console::services::wake::OverHttp;
use cmp_console::store::Store;
use futures::StreamExt;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpListener;

use super::support::Server;
use crate::redis::{Redis, serves, until};

/// The longest that another server's change may stay unseen, with time for a busy machine.
const BOUND: Duration = Duration::from_secs(4);

/// One more server over the same database, as another process has it: with a store of its own.
async fn another(it: &Server, cache: Cache, limits: Limits) -> String {
    let url = match &it.postgres {
        Some(database) => database.url.clone(),
        None => format!("sqlite://{}/cmp.db", it.dir.path().display()),
    };
    let store = Store::open(&url, it.clock.clone()).await.unwrap();
    over(store, cache, limits).await
}

async fn over(store: Store, cache: Cache, limits: Limits) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let state = ApiState::new(store, Arc::new(OverHttp::default()))
        .cache(cache)
        .limits(limits);
    tokio::spawn(serve(listener, state, std::future::pending()));
    base
}

async fn send(it: &Server, method: Method, url: String, token: &str, body: &str) -> reqwest::Response {
    let request = it.http.request(method, url).bearer_auth(token);
    request.body(body.to_owned()).send().await.unwrap()
}

async fn read(it: &Server, base: &str, path: &str) -> Value {
    let response = send(it, Method::GET, format!("{base}{path}"), &it.viewer, "").await;
    let status = response.status();
    let body = response.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn post(it: &Server, base: &str, path: &str, body: &str) -> StatusCode {
    send(it, Method::POST, format!("{base}{path}"), &it.operator, body)
        .await
        .status()
}

fn cert(it: &Server) -> String {
    format!("/api/v1/certs/{}", it.cert)
}

const REVOKE: &str = r#"{"reason": "superseded"}"#;

/// What must hold of every cache.
async fn a_hit_after_a_miss_and_none_after_a_change(cache: Cache) {
    let Some(it) = Server::start().await else { return };
    let base = over(it.store.clone(), cache.clone(), Limits::none()).await;
    let path = cert(&it);
    let first = read(&it, &base, &path).await;
    assert_eq!((cache.figures().n_hits, cache.figures().n_misses), (0, 1));
    assert_eq!(read(&it, &base, &path).await, first);
    assert_eq!((cache.figures().n_hits, cache.figures().n_misses), (1, 1));
    let key = format!("/api/v1/keys/{}", first["key"]["spki_sha256"].as_str().unwrap());
    assert_eq!(read(&it, &base, &key).await, read(&it, &base, &key).await);
    assert_eq!(cache.figures().n_hits, 2);

    // Asked for as it is now, the cache is not looked at.
    let response = it.http.get(format!("{base}{path}")).bearer_auth(&it.viewer);
    let response = response.header("Cache-Control", "no-cache").send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), first);
    assert_eq!(cache.figures().n_hits, 2);

    // What is here is for those who may read.
    let agent = send(&it, Method::GET, format!("{base}{path}"), &it.agent_token, "").await;
    assert_eq!(agent.status(), StatusCode::FORBIDDEN);
    let nobody = send(&it, Method::GET, format!("{base}{path}"), "cmp_nobody", "").await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);

    // A change of the certificate, of what it touches, and of one with the same key.
    let install = format!(r#"{{"cert_id": "{}", "path": "/srv/tls/a.pem"}}"#, it.cert);
    let to = format!("/api/v1/agents/{}/install", it.agent);
    assert_eq!(post(&it, &base, &to, &install).await, StatusCode::ACCEPTED);
    let installed = read(&it, &base, &path).await;
    assert_eq!(installed["installations"].as_array().unwrap().len(), 1);
    assert_eq!(installed["installations"][0]["checked_at"], Value::Null);
    let place = installed["installations"][0]["path"].as_str().unwrap();
    let report = format!(
        r#"{{"agent_version":"1","address":"http://127.0.0.1:2","install_dirs":["/srv/tls"],
        "installations":[{{"path":"{place}"}}],"keys":[]}}"#
    );
    let to = format!("{base}/api/v1/agents/{}/report", it.agent);
    let reported = send(&it, Method::POST, to, &it.agent_token, &report).await;
    assert_eq!(reported.status(), StatusCode::OK);
    let checked = read(&it, &base, &path).await;
    assert_ne!(checked["installations"][0]["checked_at"], Value::Null);
    assert_eq!(
        post(&it, &base, &format!("{path}/revoke"), REVOKE).await,
        StatusCode::ACCEPTED
    );
    let revoked = read(&it, &base, &path).await;
    assert_eq!(revoked["certificate"]["status"], "revocation_pending");
    assert_eq!(
        read(&it, &base, &key).await["certificates"][0]["status"],
        "revocation_pending"
    );
    assert_eq!(read(&it, &base, &path).await, revoked);
}

#[tokio::test]
async fn in_process_a_hit_after_a_miss_and_none_after_a_change() {
    a_hit_after_a_miss_and_none_after_a_change(Cache::in_process()).await;
}

#[tokio::test]
async fn in_redis_a_hit_after_a_miss_and_none_after_a_change() {
    let Some(redis) = Redis::start() else { return };
    a_hit_after_a_miss_and_none_after_a_change(redis.cache().await).await;
}

/// Whoever reads after his own change was answered sees it, however many read at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_the_change_before_it() {
    let Some(redis) = Redis::start() else { return };
    for cache in [Cache::in_process(), redis.cache().await] {
        let Some(it) = Server::start().await else { return };
        let base = over(it.store.clone(), cache, Limits::none()).await;
        let path = cert(&it);
        let over = AtomicBool::new(false);
        let crowd = join_all((0..4).map(|_| async {
            while !over.load(Ordering::Relaxed) {
                read(&it, &base, &path).await;
            }
        }));
        let changes = async {
            for n in 1..=40 {
                let install = format!(r#"{{"cert_id": "{}", "path": "/srv/tls/{n}.pem"}}"#, it.cert);
                let to = format!("/api/v1/agents/{}/install", it.agent);
                assert_eq!(post(&it, &base, &to, &install).await, StatusCode::ACCEPTED);
                let seen = read(&it, &base, &path).await["installations"]
                    .as_array()
                    .unwrap()
                    .len();
                assert_eq!(seen, n);
            }
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(crowd, changes);
    }
}

#[tokio::test]
async fn two_servers_share_what_they_read_and_see_each_others_changes() {
    let Some(redis) = Redis::start() else { return };
    let Some(it) = Server::start().await else { return };
    let (one, two) = (redis.cache().await, redis.cache().await);
    let a = over(it.store.clone(), one.clone(), Limits::none()).await;
    let b = another(&it, two.clone(), Limits::none()).await;
    let path = cert(&it);
    let first = read(&it, &a, &path).await;
    assert_eq!(read(&it, &b, &path).await, first);
    assert_eq!(two.figures().n_hits, 1, "what one server read the other finds");

    assert_eq!(
        post(&it, &a, &format!("{path}/revoke"), REVOKE).await,
        StatusCode::ACCEPTED
    );
    let pending =
        async |base: &str| read(&it, base, &path).await["certificate"]["status"] == "revocation_pending";
    assert!(pending(&a).await, "the server that changed it knows at once");
    let began = Instant::now();
    until("the other server sees it", async || pending(&b).await).await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_redis_another_servers_change_is_seen_within_the_bound() {
    let Some(it) = Server::start().await else { return };
    let a = over(it.store.clone(), Cache::in_process(), Limits::none()).await;
    let b = another(&it, Cache::in_process(), Limits::none()).await;
    let path = cert(&it);
    read(&it, &b, &path).await;
    assert_eq!(
        post(&it, &a, &format!("{path}/revoke"), REVOKE).await,
        StatusCode::ACCEPTED
    );
    let began = Instant::now();
    until("the other server sees it", async || {
        read(&it, &b, &path).await["certificate"]["status"] == "revocation_pending"
    })
    .await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
}

async fn told(it: &Server, base: &str) -> Value {
    let ready = read(it, base, "/readyz").await;
    let backends = ready["backends"].as_array().unwrap();
    backends
        .iter()
        .find(|it| it["backend"] == "cache")
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_lost_in_the_middle_of_a_load_costs_no_answer() {
    let Some(mut redis) = Redis::start() else { return };
    let Some(it) = Server::start().await else { return };
    let cache = redis.cache().await;
    let limits = "reads=1000000,changes=1000000".parse().unwrap();
    let base = over(it.store.clone(), cache.clone(), limits).await;
    let path = cert(&it);
    let (stop, n) = (AtomicBool::new(false), AtomicU64::new(0));
    let load = join_all((0..6).map(|worker| {
        let (it, base, path, stop, n) = (&it, &base, &path, &stop, &n);
        async move {
            while !stop.load(Ordering::Relaxed) {
                read(it, base, path).await;
                if worker == 0 {
                    let to = format!("/api/v1/agents/{}/checkin", it.agent);
                    let answered = post(it, base, &to, "").await;
                    assert!(
                        !answered.is_server_error() && answered != StatusCode::TOO_MANY_REQUESTS,
                        "{answered}"
                    );
                }
                n.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let more = async |wanted: u64| {
        let from = n.load(Ordering::Relaxed);
        until("requests are answered", async || {
            n.load(Ordering::Relaxed) >= from + wanted
        })
        .await;
    };
    let incident = async {
        more(100).await;
        assert_eq!(told(&it, &base).await["state"], "up");
        redis.kill();
        serves(&cache, Serving::InsteadOfRedis).await;
        more(100).await;
        let lost = told(&it, &base).await;
        assert_eq!(lost["state"], "degraded");
        let note = lost["note"].as_str().unwrap();
        assert!(
            note.starts_with("redis is lost, the in-process cache serves: "),
            "{note}"
        );
        assert_eq!(lost["latency_ms"], Value::Null);
        redis.start_again();
        serves(&cache, Serving::Redis).await;
        more(100).await;
        let keys: Vec<String> = ::redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut redis.client().await)
            .await
            .unwrap();
        assert!(
            keys.iter().any(|key| key.contains(&it.cert)),
            "it is used again: {keys:?}"
        );
        // It takes connections and answers nothing.
        kill_process(redis.pid(), Signal::STOP).unwrap();
        serves(&cache, Serving::InsteadOfRedis).await;
        let began = Instant::now();
        more(100).await;
        eprintln!("100 requests while redis hangs: {:?}", began.elapsed());
        kill_process(redis.pid(), Signal::CONT).unwrap();
        serves(&cache, Serving::Redis).await;
        more(100).await;
        let back = told(&it, &base).await;
        assert_eq!(back["state"], "up");
        assert!(back["note"].as_str().unwrap().starts_with("redis, "), "{back}");
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, incident);
}

#[tokio::test]
async fn a_server_starts_without_its_redis_and_finds_it_later() {
    let Some(mut redis) = Redis::start() else { return };
    redis.kill();
    let address = Address::from_argument(&redis.url()).unwrap();
    let cache = Cache::redis(&address).unwrap();
    assert_eq!(cache.check().await, Serving::InsteadOfRedis);
    cache.put("a", "1", BOUND).await;
    assert_eq!(cache.peek("a").await.as_deref(), Some("1"));
    redis.start_again();
    serves(&cache, Serving::Redis).await;
    assert_eq!(cache.peek("a").await, None, "another cache, another content");
}

#[tokio::test]
async fn without_redis_the_cache_is_told_as_in_process() {
    let Some(it) = Server::start().await else { return };
    let before = told(&it, &it.base).await;
    assert_eq!(
        (before["state"].as_str(), before["note"].as_str()),
        (Some("up"), Some("in-process (moka)"))
    );
    for _ in 0..25 {
        read(&it, &it.base, &cert(&it)).await;
    }
    // The readiness is one answer for all who ask within a second.
    until("the hits are told", async || {
        told(&it, &it.base).await["note"] == "in-process (moka), 100 % hits"
    })
    .await;
}

#[tokio::test]
async fn a_limit_is_shared_by_two_servers_and_each_token_has_its_own() {
    let Some(redis) = Redis::start() else { return };
    let Some(it) = Server::start().await else { return };
    let limits: Limits = "reads=6,changes=2,reports=1".parse().unwrap();
    let a = another(&it, redis.cache().await, limits).await;
    let b = another(&it, redis.cache().await, limits).await;
    for base in [&a, &b, &a, &b, &a, &b] {
        read(&it, base, "/api/v1/me").await;
    }
    for base in [&a, &b] {
        let url = format!("{base}/api/v1/me");
        let response = send(&it, Method::GET, url.clone(), &it.viewer, "").await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let wait_s: u32 = response.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=10).contains(&wait_s));
        let problem: Value = response.json().await.unwrap();
        let words = problem.to_string();
        assert!(
            words.contains("the token `eyes` has sent more than 6 reads within 10 s"),
            "{words}"
        );
        // Others are not kept waiting, nor is another sort of request.
        assert_eq!(
            send(&it, Method::GET, url, &it.operator, "").await.status(),
            StatusCode::OK
        );
        let revoke = format!("{base}/api/v1/certs/{}/revoke", it.cert);
        let refused = send(&it, Method::POST, revoke, &it.viewer, REVOKE).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
    let report = r#"{"agent_version":"1","address":"http://127.0.0.1:2","install_dirs":[],"installations":[],"keys":[]}"#;
    let to = format!("/api/v1/agents/{}/report", it.agent);
    let first = send(&it, Method::POST, format!("{a}{to}"), &it.agent_token, report).await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = send(&it, Method::POST, format!("{b}{to}"), &it.agent_token, report).await;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    // The next ten seconds are new.
    it.clock.set(it.clock.now() + chrono::Duration::seconds(10));
    read(&it, &a, "/api/v1/me").await;
}

/// The hint leads to the kept answer without the write lock, and a wrong one to no wrong answer.
#[tokio::test]
async fn a_resend_is_answered_from_what_is_kept() {
    let Some(redis) = Redis::start() else { return };
    let Some(it) = Server::start().await else { return };
    let a = over(it.store.clone(), redis.cache().await, Limits::none()).await;
    let b = another(&it, redis.cache().await, Limits::none()).await;
    it.begin_run("run_1").await;
    let path = format!("/api/v1/certs/{}/reissue", it.cert);
    let resend = async |base: &str| {
        let request = it.http.post(format!("{base}{path}")).bearer_auth(&it.operator);
        let response = request
            .header("Idempotency-Key", "run_1/0")
            .body("{}")
            .send()
            .await
            .unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let first = resend(&a).await;
    assert_eq!(first.0, StatusCode::ACCEPTED);
    {
        // While somebody holds the only write lock.
        let _held = it.store.begin().await.unwrap();
        for base in [&a, &b] {
            let answered = tokio::time::timeout(Duration::from_secs(2), resend(base));
            assert_eq!(answered.await.expect("it waits for no lock"), first);
        }
    }
    let mut client = redis.client().await;
    let keys: Vec<String> = ::redis::cmd("KEYS")
        .arg("cmp:1:answered:*")
        .query_async(&mut client)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1);
    for wrong in ["", "nonsense"] {
        let _: () = ::redis::cmd("SET")
            .arg(&keys[0])
            .arg(wrong)
            .query_async(&mut client)
            .await
            .unwrap();
        assert_eq!(resend(&a).await, first);
    }
    assert_eq!(it.get("/api/v1/requests").await.1["total"], 1);
}

/// All that Redis is ever sent, as it tells it itself.
#[tokio::test]
async fn nothing_secret_is_ever_sent_to_redis() {
    let Some(redis) = Redis::start() else { return };
    let cache = redis.cache().await;
    let client = ::redis::Client::open(redis.url()).unwrap();
    let monitor = client.get_async_monitor().await.unwrap();
    let Some(it) = Server::start().await else { return };
    let base = over(it.store.clone(), cache, Limits::default()).await;
    let path = cert(&it);
    let keyed = async |path: &str, body: &str| {
        let request = it.http.post(format!("{base}{path}")).bearer_auth(&it.operator);
        let key = format!("{}-as-a-key", it.operator);
        let response = request
            .header("Idempotency-Key", key)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{path}");
        response.json::<Value>().await.unwrap()
    };
    let body = format!("/api/v1/agents/{}/token", it.agent);
    let handed_out = keyed(&body, "").await["token"].as_str().unwrap().to_owned();
    assert!(keyed(&body, "").await["token"].is_null(), "it is told once");
    for _ in 0..2 {
        read(&it, &base, &path).await;
    }
    let _: () = ::redis::cmd("SET")
        .arg("the")
        .arg("end")
        .query_async(&mut redis.client().await)
        .await
        .unwrap();
    let mut sent = String::new();
    let mut lines = std::pin::pin!(monitor.into_on_message::<String>());
    while let Some(line) = lines.next().await {
        sent.push_str(&line);
        sent.push('\n');
        if line.ends_with(r#""SET" "the" "end""#) {
            break;
        }
    }
    assert!(
        sent.contains(&it.cert) && sent.contains("cmp:1:limit:reads:tok_"),
        "{sent}"
    );
    let secrets = [&it.operator, &it.viewer, &it.agent_token, &handed_out];
    for secret in secrets {
        assert!(!sent.contains(secret.as_str()), "{sent}");
    }
    assert!(!sent.contains("PRIVATE KEY"), "{sent}");
}

/// A cache is of use when it keeps something: one that answers and takes nothing is not up.
#[tokio::test]
async fn a_redis_that_takes_nothing_is_told_with_what_to_do() {
    let Some(redis) = Redis::start() else { return };
    let Some(it) = Server::start().await else { return };
    let cache = redis.cache().await;
    let base = over(it.store.clone(), cache.clone(), Limits::none()).await;
    assert_eq!(told(&it, &base).await["state"], "up");
    let configure = async |words: &[&str]| {
        let mut command = ::redis::cmd(words[0]);
        command.arg(&words[1..]);
        let _said: ::redis::Value = command.query_async(&mut redis.client().await).await.unwrap();
    };
    for (breaks, mends, hint) in [
        (
            ["CONFIG", "SET", "maxmemory", "1"].as_slice(),
            ["CONFIG", "SET", "maxmemory", "0"].as_slice(),
            "it is full; let it forget, `maxmemory-policy allkeys-lru`",
        ),
        (
            &["REPLICAOF", "127.0.0.1", "1"],
            &["REPLICAOF", "NO", "ONE"],
            "it is a replica; name the primary",
        ),
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
            "too few replicas follow it, `min-replicas-to-write`; bring them back",
        ),
    ] {
        configure(breaks).await;
        until("it is told", async || {
            let now = told(&it, &base).await;
            // It isn't lost: it answers, and what to do stands before its own words.
            let begins = format!("redis answers and takes no writes, the in-process cache serves: {hint}");
            now["state"] == "degraded" && now["note"].as_str().unwrap().starts_with(&begins)
        })
        .await;
        // The question is answered meanwhile, out of the process.
        let path = cert(&it);
        assert_eq!(read(&it, &base, &path).await, read(&it, &base, &path).await);
        configure(mends).await;
        serves(&cache, Serving::Redis).await;
        until("it is up again", async || told(&it, &base).await["state"] == "up").await;
    }
}
