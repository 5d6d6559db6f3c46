//! The cache in this process: bounded by weight and by each entry's own time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

/// All values together, in bytes.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// What an entry weighs beside its key and value.
const OVERHEAD: usize = 128;
/// Counters at once. One that is forgotten for want of room begins anew: a limit is then kinder than it
/// says, never harsher.
const N_COUNTERS: u64 = 50_000;

/// See the module.
pub(super) struct Local {
    values: Cache<String, Timed<Arc<str>>>,
    counters: Cache<String, Timed<Arc<AtomicU64>>>,
}

#[derive(Clone)]
struct Timed<T> {
    it: T,
    ttl: Duration,
}

/// Each entry's own time, from when it was put there.
struct ItsOwn;

impl<T> Expiry<String, Timed<T>> for ItsOwn {
    fn expire_after_create(&self, _: &String, value: &Timed<T>, _: Instant) -> Option<Duration> {
        Some(value.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        value: &Timed<T>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(value.ttl)
    }
}

impl Local {
    pub(super) fn new() -> Self {
        let weight = |key: &String, value: &Timed<Arc<str>>| {
            u32::try_from(key.len() + value.it.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        Self {
            values: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(weight)
                .expire_after(ItsOwn)
                .build(),
            counters: Cache::builder()
                .max_capacity(N_COUNTERS)
                .expire_after(ItsOwn)
                .build(),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Option<Arc<str>> {
        self.values.get(key).await.map(|value| value.it)
    }

    pub(super) async fn put(&self, key: &str, value: &str, ttl: Duration) {
        let value = Timed {
            it: Arc::from(value),
            ttl,
        };
        self.values.insert(key.to_owned(), value).await;
    }

    pub(super) async fn forget(&self, key: &str) {
        self.values.invalidate(key).await;
    }

    pub(super) async fn count(&self, key: &str, ttl: Duration) -> u64 {
        let fresh = async {
            Timed {
                it: Arc::default(),
                ttl,
            }
        };
        let counter = self.counters.entry_by_ref(key).or_insert_with(fresh).await;
        let before = counter.value().it.fetch_add(1, Ordering::Relaxed);
        before.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_is_put_is_there_until_it_is_forgotten() {
        let local = Local::new();
        assert_eq!(local.get("a").await, None);
        local.put("a", "1", LONG).await;
        local.put("a", "2", LONG).await;
        assert_eq!(local.get("a").await.as_deref(), Some("2"));
        local.forget("a").await;
        assert_eq!(local.get("a").await, None);
    }

    #[tokio::test]
    async fn nothing_outlives_its_time() {
        let local = Local::new();
        local.put("a", "1", LONG).await;
        local.put("a", "1", Duration::ZERO).await;
        assert_eq!(local.get("a").await, None);
        assert_eq!(local.count("n", Duration::ZERO).await, 1);
        assert_eq!(local.count("n", LONG).await, 1);
        assert_eq!(local.count("n", LONG).await, 2);
    }

    #[tokio::test]
    async fn it_is_bounded_by_weight() {
        let local = Local::new();
        let large = "x".repeat(1024 * 1024);
        for n in 0..64 {
            local.put(&n.to_string(), &large, LONG).await;
        }
        local.values.run_pending_tasks().await;
        assert!(local.values.weighted_size() <= CAPACITY);
    }
}
