//! The way to each CA, looked at while there is nothing to do for it: that it is lost is told before somebody waits.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use super::adapters::AdapterError;
use super::{Issuer, told};
use crate::domain::adapter::{Adapter as AdapterRow, AdapterStatus, Pause, PauseKind};
use crate::store::{StoreError, adapters as rows};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Failed looks in a row that find it lost: one may be a restart.
const IN_A_ROW: u32 = 2;
/// Shortest time between two pauses for a lost way. Another issuer that lets the adapter work again has a way to the
/// CA, and must not be stopped all the time by ours alone.
const AGAIN: Duration = Duration::from_mins(10);

/// The ways, by adapter.
#[derive(Default)]
pub(super) struct Ways(BTreeMap<String, Way>);

#[derive(Default)]
struct Way {
    looked: Option<Instant>,
    n_lost: u32,
    told: Option<Instant>,
}

impl Issuer {
    /// Looks until `stop` says true.
    pub(super) async fn look_along(&self, mut stop: watch::Receiver<bool>) {
        let mut ways = Ways::default();
        loop {
            if let Err(error) = self.look_at_ways(&mut ways).await {
                tracing::error!(%error, "the issuer can't use the database");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = told(&mut stop) => return,
            }
        }
    }

    /// Looks at each adapter that works and is due; pauses those whose CA was away twice.
    pub(super) async fn look_at_ways(&self, ways: &mut Ways) -> Result<(), StoreError> {
        let all = rows::all(&mut self.store.read().await?).await?;
        let mut due = Vec::new();
        for row in all.iter().filter(|row| row.status == AdapterStatus::Active) {
            let Some(adapter) = self.roster.adapter(row) else {
                continue;
            };
            let way = ways.0.entry(row.id.clone()).or_default();
            if way.looked.is_none_or(|at| at.elapsed() >= adapter.look_every()) {
                way.looked = Some(Instant::now());
                due.push(async move { (row, self.shown_by(adapter.as_ref()).await) });
            }
        }
        for (row, answer) in join_all(due).await {
            let Some(way) = ways.0.get_mut(&row.id) else {
                continue;
            };
            let error = match answer {
                Err(error) => error,
                Ok(shown) => {
                    *way = Way {
                        looked: way.looked,
                        ..Way::default()
                    };
                    self.holds_ca(row, shown).await?;
                    continue;
                }
            };
            way.n_lost += 1;
            // Soon again, whatever its own time is.
            way.looked = None;
            if way.n_lost >= IN_A_ROW && way.told.is_none_or(|at| at.elapsed() >= AGAIN) {
                way.told = Some(Instant::now());
                self.pause(&row.id, &self.pause_of(row, &error)).await?;
            }
        }
        Ok(())
    }

    /// Pause of an adapter whose CA gave this for an answer, or none.
    pub(super) fn pause_of(&self, row: &AdapterRow, error: &AdapterError) -> Pause {
        match error {
            AdapterError::Retry(why) | AdapterError::Unknown(why) => {
                Pause::no_answer(&self.owner, &row.place(), why)
            }
            _ => pause_for(error),
        }
    }
}

/// Pause that an answer of the CA asks for.
pub(super) fn pause_for(error: &AdapterError) -> Pause {
    let kind = match error {
        AdapterError::Sealed(_) => PauseKind::Sealed,
        AdapterError::Unsigned(_) | AdapterError::ClockOff { .. } => PauseKind::Unsigned,
        _ => PauseKind::Stopped,
    };
    Pause::new(kind, error.to_string())
}
