//! Reads of all words of a kind, for letters in their order or for what lacks a text, which no index knows. What comes of
//! one is kept where it is little: a screen asks for its list every second or so, and what changed meanwhile is all that
//! is read again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sqlx::AssertSqlSafe;
use tokio::sync::{Mutex, broadcast};
use tokio::time::Instant;

use crate::domain::id::EntityKind;
use crate::wire::page::Change;

use super::statement::{Value, places, sql};
use super::{Conn, StoreError};

/// Upper bound for the ids that are kept of one; each is bound in the statements that they lead to.
const FEW: usize = 200;
/// Upper bound for the changes between two questions; after more, all words are read again.
const CHANGED: usize = 200;
/// Upper bound for the time in which nothing is known of a row that was written without telling: by hand, or by another
/// server while the way that tells of it is lost and nobody has noticed.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// Upper bound for those that are kept.
const AT_MOST: u64 = 1_000;

/// One read: of the words `w` of a kind, those of which a condition holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scan {
    pub(super) kind: EntityKind,
    pub(super) condition: String,
    /// Values of the condition, from `$1` on.
    pub(super) binds: Vec<Value>,
}

impl Scan {
    /// The ids, of more than are kept not all; with `among`, those that are among these.
    async fn read(&self, conn: &mut Conn, among: Option<&BTreeSet<String>>) -> Result<Kept, StoreError> {
        let (of, condition) = (self.kind.word(), &self.condition);
        let ids: Vec<Value> = among
            .into_iter()
            .flatten()
            .map(|id| Value::from(id.clone()))
            .collect();
        let only = match among {
            Some(_) => format!("w.id IN ({}) AND ", places(self.binds.len() + 1, ids.len())),
            None => String::new(),
        };
        let text = format!(
            "SELECT w.id FROM {of}_words w WHERE {only}({condition}) LIMIT {}",
            FEW + 1
        );
        let found: Vec<String> = sql(AssertSqlSafe(text))
            .bind_all(self.binds.iter().cloned())
            .bind_all(ids)
            .fetch_all(conn.raw())
            .await
            .map_err(StoreError::because("searching all words"))?;
        Ok(Kept::of(found))
    }
}

/// Outcome of one.
enum Kept {
    Few(BTreeSet<String>),
    Many,
}

impl Kept {
    fn of(ids: impl IntoIterator<Item = String>) -> Self {
        let ids: BTreeSet<String> = ids.into_iter().collect();
        match ids.len() > FEW {
            true => Self::Many,
            false => Self::Few(ids),
        }
    }
}

/// Knowledge of one, as of the last question.
struct Known {
    kept: Kept,
    read_at: Instant,
    /// Changes since then.
    news: broadcast::Receiver<Change>,
}

impl Known {
    /// The same knowledge, with what changed since. None where nobody knows what did, or too much did.
    async fn caught_up(mut self, conn: &mut Conn, scan: &Scan) -> Result<Option<Self>, StoreError> {
        if self.read_at.elapsed() > KNOWN_FOR {
            return Ok(None);
        }
        let Kept::Few(mut ids) = self.kept else {
            return Ok(Some(self));
        };
        let Some(changed) = changed(&mut self.news, scan.kind) else {
            return Ok(None);
        };
        if !changed.is_empty() {
            ids.retain(|id| !changed.contains(id));
            let Kept::Few(found) = scan.read(conn, Some(&changed)).await? else {
                return Ok(None);
            };
            ids.extend(found);
        }
        Ok(Some(Self {
            kept: Kept::of(ids),
            ..self
        }))
    }
}

/// Things of this kind of which there is news; nothing where some was missed, or there is too much.
fn changed(news: &mut broadcast::Receiver<Change>, kind: EntityKind) -> Option<BTreeSet<String>> {
    let mut changed = BTreeSet::new();
    loop {
        match news.try_recv() {
            Ok(change) if change.entity != kind || change.routine => {}
            Ok(change) if change.id == Change::ALL || changed.len() >= CHANGED => return None,
            Ok(change) => {
                changed.insert(change.id);
            }
            Err(broadcast::error::TryRecvError::Empty) => return Some(changed),
            Err(_) => return None,
        }
    }
}

/// Knowledge of all of them, of a store; a clone is the same. By default there is none: nobody tells what changes.
#[derive(Clone)]
pub(super) struct Scans {
    known: Cache<Scan, Arc<Mutex<Option<Known>>>>,
    changes: Option<broadcast::Sender<Change>>,
}

impl Default for Scans {
    fn default() -> Self {
        Self {
            known: Cache::builder()
                .max_capacity(AT_MOST)
                .time_to_idle(KNOWN_FOR)
                .build(),
            changes: None,
        }
    }
}

impl Scans {
    /// Knowledge of a store that tells its changes here, before anybody can rely on them.
    pub(super) fn told(changes: broadcast::Sender<Change>) -> Self {
        Self {
            changes: Some(changes),
            ..Self::default()
        }
    }

    /// The ids that `scan` gives now; nothing where these are many. Who asks for the same at the same time waits for the
    /// first.
    ///
    /// # Errors
    /// The database doesn't answer.
    pub(super) async fn ids(
        &self,
        conn: &mut Conn,
        scan: &Scan,
    ) -> Result<Option<BTreeSet<String>>, StoreError> {
        let Some(changes) = &self.changes else {
            return Ok(None);
        };
        let place = self.known.get_with(scan.clone(), async { Arc::default() }).await;
        let mut place = place.lock().await;
        // Taken out: where a statement fails, its news was read for nothing.
        let known = match place.take() {
            Some(known) => known.caught_up(conn, scan).await?,
            None => None,
        };
        let known = match known {
            Some(known) => known,
            None => {
                let news = changes.subscribe();
                Known {
                    kept: scan.read(conn, None).await?,
                    read_at: Instant::now(),
                    news,
                }
            }
        };
        let ids = match &known.kept {
            Kept::Few(ids) => Some(ids.clone()),
            Kept::Many => None,
        };
        *place = Some(known);
        Ok(ids)
    }
}
