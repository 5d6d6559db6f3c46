//! The cache: Redis, shared by several servers, where one is configured; one in this process where none
//! is, and while Redis is lost. It may forget anything at any time, and is never the only place where
//! something is known. What may be kept, and for how long it is true, is for its users to know.

mod address;
mod local;
mod redis;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use crate::problem::Problem;

pub use address::Address;
use local::Local;
use redis::Redis;
pub use tally::Figures;
use tally::Tally;

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    local: Local,
    redis: Option<Redis>,
    tally: Tally,
}

/// Who answers now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// The cache in this process; no other is configured.
    InProcess,
    /// Redis.
    Redis,
    /// The cache in this process, until Redis is back.
    InsteadOfRedis,
}

impl Cache {
    /// One in this process alone.
    #[must_use]
    pub fn in_process() -> Self {
        Self::over(None)
    }

    /// One in Redis. It is connected to in the background, now and whenever it was lost: nobody waits for
    /// it, and a server starts without it.
    ///
    /// # Errors
    /// The TLS set-up of this machine can't be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn redis(address: &Address) -> Result<Self, Problem> {
        Ok(Self::over(Some(Redis::start(address)?)))
    }

    fn over(redis: Option<Redis>) -> Self {
        Self(Arc::new(Inner {
            local: Local::new(),
            redis,
            tally: Tally::default(),
        }))
    }

    /// What is kept under `key`, if `good` says that it may still be used: only that is a hit.
    pub async fn get(&self, key: &str, good: impl FnOnce(&str) -> bool) -> Option<Arc<str>> {
        let found = self.peek(key).await.filter(|value| good(value));
        self.0.tally.looked_up(found.is_some());
        found
    }

    /// What is kept under `key`, without counting a hit or a miss: for what is rarely there.
    pub async fn peek(&self, key: &str) -> Option<Arc<str>> {
        if let Some(redis) = &self.0.redis
            && let Ok(found) = redis.get(key).await
        {
            return found.map(Arc::from);
        }
        self.0.local.get(key).await
    }

    /// Keeps `value` for `ttl` at most.
    pub async fn put(&self, key: &str, value: &str, ttl: Duration) {
        if let Some(redis) = &self.0.redis
            && redis.put(key, value, ttl).await.is_ok()
        {
            return;
        }
        self.0.local.put(key, value, ttl).await;
    }

    /// Forgets what is kept under `key`: here, and in Redis if it answers.
    pub async fn forget(&self, key: &str) {
        self.0.local.forget(key).await;
        if let Some(redis) = &self.0.redis {
            // Lost, it forgets by itself when the value's time is over.
            let _ = redis.forget(key).await;
        }
    }

    /// Counts one more under `key` and tells how many that makes. The counter is forgotten after `ttl`.
    /// While Redis is lost each server counts for itself.
    pub async fn count(&self, key: &str, ttl: Duration) -> u64 {
        if let Some(redis) = &self.0.redis
            && let Ok(n) = redis.count(key, ttl).await
        {
            return n;
        }
        self.0.local.count(key, ttl).await
    }

    /// Asks Redis whether it keeps what it is given, if there is one, and tells who serves.
    pub async fn check(&self) -> Serving {
        match &self.0.redis {
            None => Serving::InProcess,
            Some(redis) if redis.keeps().await.is_ok() => Serving::Redis,
            Some(_) => Serving::InsteadOfRedis,
        }
    }

    /// Why Redis isn't in use, if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.redis.as_ref().and_then(Redis::why)
    }

    /// How well it does.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            latency: self.0.redis.as_ref().and_then(Redis::latency),
            ..self.0.tally.figures()
        }
    }
}
