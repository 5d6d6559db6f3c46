//! What changed, told to whoever listens: in this process at once, and to the other processes on the same
//! PostgreSQL by NOTIFY, in the transaction of the change, so that nobody hears of what was taken back.
//!
//! A notification is a hint what to ask for again. When some may have been missed, everything has to be
//! asked for again, and that is what listeners are told.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Executor, PgPool};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::dialect::postgres::{CHANNEL, NOTIFY_AT_MOST};
use crate::wire::page::Change;

/// After so long without news the connection is asked whether it is still there: one that was cut off
/// without a word says nothing for ever.
const QUIET: Duration = Duration::from_secs(15);
/// For so long its answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to listen again.
const AGAIN: Duration = Duration::from_secs(1);

/// Changes on their way, and from which store, which has told its own listeners already.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    from: String,
    changes: Vec<Change>,
}

/// The texts of the notifications that tell `changes`.
pub(super) fn payloads(from: &str, changes: &[Change]) -> Vec<String> {
    let text = |changes: Vec<Change>| {
        let told = Told {
            from: from.to_owned(),
            changes,
        };
        serde_json::to_string(&told).unwrap_or_default()
    };
    let whole = text(changes.to_vec());
    if whole.len() <= NOTIFY_AT_MOST {
        return vec![whole];
    }
    if changes.len() < 2 {
        // One thing with an endless id: the listeners look at all of its kind.
        let all = changes.iter().map(|it| Change::of(it.entity, Change::ALL));
        return vec![text(all.collect())];
    }
    let (first, second) = changes.split_at(changes.len() / 2);
    [payloads(from, first), payloads(from, second)].concat()
}

/// Listens until it is dropped.
pub(super) struct Ear(JoinHandle<()>);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ear {
    /// Listens no more.
    pub(super) fn close(&self) {
        self.0.abort();
    }

    /// Listens, from when this returns on, for what other stores than `own` tell.
    pub(super) async fn open(
        options: PgConnectOptions,
        own: String,
        changes: broadcast::Sender<Change>,
    ) -> Result<Self, sqlx::Error> {
        // A connection beside the others, and room for its successor while it is being closed.
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        let listener = listen(&pool).await?;
        Ok(Self(tokio::spawn(hear(pool, listener, own, changes))))
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn hear(pool: PgPool, mut listener: PgListener, own: String, changes: broadcast::Sender<Change>) {
    loop {
        let Err(error) = until_lost(&mut listener, &own, &changes).await else {
            // It is connected again; what was told meanwhile nobody knows.
            tell_all(&changes);
            continue;
        };
        tracing::warn!(%error, "the database tells no changes any more; listening again");
        drop(listener);
        listener = loop {
            match listen(&pool).await {
                Ok(listener) => break listener,
                Err(error) => {
                    tracing::debug!(%error, "not listening yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        tracing::info!("the database tells changes again");
        tell_all(&changes);
    }
}

/// Passes on what is heard. Comes back when something may have been missed: with an error when the
/// connection has to be made anew.
async fn until_lost(
    listener: &mut PgListener,
    own: &str,
    changes: &broadcast::Sender<Change>,
) -> Result<(), sqlx::Error> {
    loop {
        let Ok(heard) = tokio::time::timeout(QUIET, listener.try_recv()).await else {
            let there = tokio::time::timeout(PATIENCE, listener.execute("SELECT 1")).await;
            there.map_err(|_| sqlx::Error::PoolTimedOut)??;
            continue;
        };
        let Some(notification) = heard? else {
            return Ok(());
        };
        match serde_json::from_str::<Told>(notification.payload()) {
            Ok(told) if told.from == own => {}
            Ok(told) => tell(changes, told.changes),
            // Another version of this program, or somebody's own NOTIFY.
            Err(_) => tell_all(changes),
        }
    }
}

/// The changes in a notification, whoever told it; all there may be where it can't be read.
pub(super) fn changes_in(payload: &str) -> Vec<Change> {
    let told = serde_json::from_str::<Told>(payload);
    told.map_or_else(|_| Change::everything(), |told| told.changes)
}

/// Tells the listeners of this process.
pub(super) fn tell(to: &broadcast::Sender<Change>, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        // Nobody listening is no error.
        let _ = to.send(change);
    }
}

/// Tells them that anything may have changed.
pub(super) fn tell_all(to: &broadcast::Sender<Change>) {
    tell(to, Change::everything());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::EntityKind;

    #[test]
    fn many_changes_are_told_in_several_pieces() {
        let changes: Vec<Change> = (0..500)
            .map(|n| Change::of(EntityKind::Request, &format!("req_{n:026}")))
            .collect();
        let texts = payloads("me", &changes);
        assert!(texts.len() > 1);
        assert!(texts.iter().all(|text| text.len() <= NOTIFY_AT_MOST));
        let told: Vec<Change> = texts
            .iter()
            .flat_map(|text| serde_json::from_str::<Told>(text).unwrap().changes)
            .collect();
        assert_eq!(told, changes);
        let endless = payloads("me", &[Change::of(EntityKind::Key, &"x".repeat(9000))]);
        assert_eq!(
            serde_json::from_str::<Told>(&endless[0]).unwrap().changes,
            [Change::of(EntityKind::Key, Change::ALL)]
        );
    }
}
