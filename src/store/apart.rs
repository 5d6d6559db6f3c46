//! Parts of one task that go on beside each other, each with a connection of its own. That is safe as long as all of
//! them are polled until they end (`join!`, `for_each_concurrent`), and whoever owns them has no connection meanwhile.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task;

tokio::task_local! {
    /// The part and the parts that it is part of, the outermost first.
    static PARTS: Vec<u64>;
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Whatever is done one after the other: a task, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    task: task::Id,
    parts: Vec<u64>,
}

impl Flow {
    /// True if this is `whole` or a part of it.
    pub(super) fn is_part_of(&self, whole: Option<&Self>) -> bool {
        whole.is_some_and(|whole| self.task == whole.task && self.parts.starts_with(&whole.parts))
    }
}

/// The one that this is asked in; none outside of all tasks, as in a test's own body.
pub(super) fn flow() -> Option<Flow> {
    Some(Flow {
        task: task::try_id()?,
        parts: parts(),
    })
}

fn parts() -> Vec<u64> {
    PARTS.try_with(Clone::clone).unwrap_or_default()
}

/// `work` as a part of the task that goes on beside others.
pub fn apart<W: Future>(work: W) -> impl Future<Output = W::Output> {
    let mut all = parts();
    all.push(NEXT.fetch_add(1, Ordering::Relaxed));
    PARTS.scope(all, work)
}
