//! Redis: every question has a short limit, and when it is lost nobody asks it any more until a task of
//! its own has found it again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError, pipe};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Address;
use crate::problem::Problem;

/// No answer is waited for longer: the database is faster then.
const LIMIT: Duration = Duration::from_millis(50);
/// So many answers in a row that didn't come in time mean that it is lost. One alone may be this
/// process's own delay.
const N_LATE: u32 = 3;
/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(2);
/// Between losing it and the first try to find it again; it doubles with every try.
const PAUSE: Duration = Duration::from_millis(250);
/// At most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long what is written to try it is kept.
const PROBE: Duration = Duration::from_secs(60);
/// What is longer, in bytes, isn't kept: a page of 500 certificates is some 5 MiB.
const LONGEST: isize = 8 << 20;
/// Before every key, with the version of what is kept.
const PREFIX: &str = "cmp:1:";

/// It doesn't answer; what it was asked for is unknown.
#[derive(Debug)]
pub(super) struct Lost;

/// Redis, and the task that finds it. Dropped, both end.
pub(super) struct Redis {
    link: Arc<Link>,
    finder: AbortHandle,
}

struct Link {
    connection: RwLock<Option<Connection>>,
    n_late: AtomicU32,
    /// A moving average in microseconds; 0 when it never answered.
    latency_us: AtomicU64,
    lost: Notify,
    /// Reason that it isn't in use, as a sentence; none while it is.
    why: Mutex<Option<String>>,
}

#[derive(Clone)]
struct Connection {
    /// Which one since the start, so that a late failure of an earlier one harms no later one.
    n: u64,
    it: MultiplexedConnection,
}

impl Redis {
    pub(super) fn start(address: &Address) -> Result<Self, Problem> {
        let client = Client::open(address.info()).map_err(|error| {
            Problem::bad_input(format!("Redis at `{address}` can't be used: {}", words(&error)))
        })?;
        let link = Arc::new(Link {
            connection: RwLock::new(None),
            n_late: AtomicU32::new(0),
            latency_us: AtomicU64::new(0),
            lost: Notify::new(),
            why: Mutex::default(),
        });
        let finder = tokio::spawn(find(client, address.to_string(), Arc::clone(&link)));
        Ok(Self {
            link,
            finder: finder.abort_handle(),
        })
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<String>, Lost> {
        // No more is asked for than is put: whoever else writes there makes no answer larger. Nothing that is put is
        // empty, and what isn't there is.
        let (value,): (Vec<u8>,) = self.link.ask(pipe().getrange(named(key), 0, LONGEST)).await?;
        let is_whole = !value.is_empty() && value.len() <= LONGEST.unsigned_abs();
        Ok(String::from_utf8(value).ok().filter(|_| is_whole))
    }

    pub(super) async fn put(&self, key: &str, value: &str, ttl: Duration) -> Result<(), Lost> {
        if value.len() > LONGEST.unsigned_abs() {
            return self.forget(key).await;
        }
        let mut ask = pipe();
        ask.pset_ex(named(key), value, millis(ttl)).ignore();
        self.link.ask(&ask).await
    }

    pub(super) async fn forget(&self, key: &str) -> Result<(), Lost> {
        self.link.ask(pipe().del(named(key)).ignore()).await
    }

    pub(super) async fn count(&self, key: &str, ttl: Duration) -> Result<u64, Lost> {
        let key = named(key);
        let mut ask = pipe();
        // Both or neither: a counter without an end would stay for ever.
        ask.atomic().incr(&key, 1);
        ask.cmd("PEXPIRE").arg(&key).arg(millis(ttl)).ignore();
        let (n,) = self.link.ask(&ask).await?;
        Ok(n)
    }

    /// Whether it does what it is for: it keeps something. One that answers and takes nothing is of no use.
    pub(super) async fn keeps(&self) -> Result<(), Lost> {
        self.link.ask(&probe()).await
    }

    /// Why it isn't in use.
    pub(super) fn why(&self) -> Option<String> {
        let why = self.link.why.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone()
    }

    /// How long an answer takes, if it is connected.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.link.connection()?;
        match self.link.latency_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.finder.abort();
    }
}

impl Link {
    fn connection(&self) -> Option<Connection> {
        self.connection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn ask<T: FromRedisValue>(&self, ask: &Pipeline) -> Result<T, Lost> {
        let mut connection = self.connection().ok_or(Lost)?;
        let began = Instant::now();
        match tokio::time::timeout(LIMIT, ask.query_async(&mut connection.it)).await {
            Ok(Ok(answer)) => {
                self.n_late.store(0, Ordering::Relaxed);
                self.took(began.elapsed());
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.lose(connection.n, &not_used(&error));
                Err(Lost)
            }
            Err(_) => {
                if self.n_late.fetch_add(1, Ordering::Relaxed) + 1 >= N_LATE {
                    self.lose(connection.n, &lost("it doesn't answer in time"));
                }
                Err(Lost)
            }
        }
    }

    fn took(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        // Two at once may lose one measurement; an average bears that.
        let before = self.latency_us.load(Ordering::Relaxed);
        let now = if before == 0 { us } else { (before * 7 + us) / 8 };
        self.latency_us.store(now.max(1), Ordering::Relaxed);
    }

    fn lose(&self, n: u64, why: &str) {
        let mut connection = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        if connection.as_ref().is_some_and(|now| now.n == n) {
            *connection = None;
            self.say(Some(why));
            tracing::warn!("{why}");
            self.lost.notify_one();
        }
    }

    fn say(&self, why: Option<&str>) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why.map(str::to_owned);
    }

    fn found(&self, connection: Connection) {
        self.say(None);
        self.n_late.store(0, Ordering::Relaxed);
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

/// Connects, now and after every loss.
async fn find(client: Client, address: String, link: Arc<Link>) {
    for n in 0_u64.. {
        let mut pause = PAUSE;
        let mut told = false;
        let it = loop {
            match connect(&client).await {
                Ok(it) => break it,
                Err(error) if !told => {
                    let why = not_used(&error);
                    link.say(Some(&why));
                    tracing::warn!("redis at `{address}`: {why}");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        tracing::info!("redis at `{address}` is in use as the cache");
        link.found(Connection { n, it });
        link.lost.notified().await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    // The limits are ours, so that a late answer is counted as such.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(CONNECT));
    let mut it = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    // It may take connections and nothing else: wrong password, still loading, full, a replica.
    probe().query_async::<()>(&mut it).await?;
    Ok(it)
}

/// A write that leaves nothing for long.
fn probe() -> Pipeline {
    let mut probe = pipe();
    probe.pset_ex(named("probe"), "1", millis(PROBE)).ignore();
    probe
}

fn named(key: &str) -> String {
    format!("{PREFIX}{key}")
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Words about a failure for a person: the next step where it is known, before Redis's own words, which may be
/// long.
fn words(error: &RedisError) -> String {
    let words = error.to_string();
    // A code that the client knows is in the error alone; of another one, within a pipeline, only the words have it.
    let says = |code: &str| error.code() == Some(code) || words.contains(code);
    let hint = if error.kind() == ErrorKind::AuthenticationFailed || says("NOAUTH") {
        "put its password into CMP_CACHE_PASSWORD"
    } else if says("invalid peer certificate") {
        "name the file with its CA in SSL_CERT_FILE"
    } else if says("READONLY") {
        "it is a replica; name the primary"
    } else if says("OOM") {
        "it is full; let it forget, `maxmemory-policy allkeys-lru`"
    } else if says("NOREPLICAS") {
        "too few replicas follow it, `min-replicas-to-write`; bring them back"
    } else if says("MISCONF") {
        "it can't save to its disk; make room there"
    } else {
        return words;
    };
    format!("{hint} ({words})")
}

/// True if it answers and only takes nothing: it isn't lost.
fn takes_nothing(error: &RedisError) -> bool {
    let words = error.to_string();
    let says = |code: &&str| error.code() == Some(code) || words.contains(code);
    ["READONLY", "OOM", "NOREPLICAS", "MISCONF"].iter().any(says)
}

/// Reason that it isn't in use, as the log and `/readyz` have it.
fn not_used(error: &RedisError) -> String {
    let why = words(error);
    match takes_nothing(error) {
        true => format!("redis answers and takes no writes, the in-process cache serves: {why}"),
        false => lost(&why),
    }
}

fn lost(why: &str) -> String {
    format!("redis is lost, the in-process cache serves: {why}")
}
