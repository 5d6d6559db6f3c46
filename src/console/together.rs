//! Changes that come within a moment of each other, told as one: a screen is drawn once for them.

use std::time::Duration;

use futures::{Stream, StreamExt};

use crate::wire::page::Change;

/// Changes that come within this time are told together.
const TOGETHER: Duration = Duration::from_millis(80);

/// The next changes, and those that come within a moment; none when there are no more.
pub(super) async fn together(changes: &mut (impl Stream<Item = Change> + Unpin)) -> Option<Vec<Change>> {
    let mut together = vec![changes.next().await?];
    let until = tokio::time::sleep(TOGETHER);
    let mut until = std::pin::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => return Some(together),
            next = changes.next() => match next {
                Some(change) if together.contains(&change) => {}
                Some(change) => together.push(change),
                None => return Some(together),
            },
        }
    }
}
