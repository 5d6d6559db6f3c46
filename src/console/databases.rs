//! The database's hosts, told to the screen: how each is, and what the one that is read tells of changes.

use futures::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::Sender;

use super::together::together;
use crate::domain::database::{Source, sources};
use crate::state::event::Event;
use crate::store::hosts::Hosts;
use crate::wire::page::Change;

/// Watches them until nobody listens.
pub(super) async fn watch(hosts: Hosts, to: Sender<Event>) {
    let mut seen = hosts.seen();
    let tell = async {
        loop {
            let now = seen.borrow_and_update().clone();
            if to.send(Event::Hosts(now)).await.is_err() || seen.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = hosts.watch() => {}
        () = tell => {}
    }
}

/// Passes on what the one that is read tells, until nobody listens.
pub(super) async fn follow_changes(hosts: Hosts, to: Sender<Event>) {
    let told = futures::stream::unfold(hosts.changes(), |mut changes| async {
        let told = match changes.recv().await {
            Ok(change) => vec![change],
            // What was missed may have been anything.
            Err(RecvError::Lagged(_)) => Change::everything(),
            Err(RecvError::Closed) => return None,
        };
        Some((told, changes))
    });
    let told = told.flat_map(futures::stream::iter);
    let mut told = std::pin::pin!(told);
    while let Some(changes) = together(&mut told).await {
        if to.send(Event::Changed(changes)).await.is_err() {
            return;
        }
    }
}

/// Whether the screen is read from one of them.
pub(super) fn is_read(hosts: &Hosts) -> bool {
    matches!(sources(&hosts.seen().borrow()).first(), Some(Source::Host(_)))
}
