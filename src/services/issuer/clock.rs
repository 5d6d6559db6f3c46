//! The issuer's look at its own clock. Claims end by the clock of who looks at them, and so one that is wrong
//! takes what others hold: nothing is claimed by it. That it is off is told to whoever asks the API.

use crate::store::clock_off::ClockOff;
use crate::store::clocks;
use crate::store::{Store, StoreError};

/// What the database was told last.
#[derive(Default)]
pub(super) struct Watch {
    /// It knows this clock to be right; of an earlier life nobody knows.
    told_right: bool,
}

impl Watch {
    /// Whether it is off now.
    pub(super) async fn is_off(&mut self, store: &Store, issuer: &str) -> Result<bool, StoreError> {
        let off = store.clock_off().await?;
        if off.is_some() {
            tracing::debug!("nothing is claimed by this clock");
        }
        if off.is_some() || !self.told_right {
            self.told_right = false;
            tell(store, issuer, off).await?;
            self.told_right = off.is_none();
        }
        Ok(off.is_some())
    }
}

async fn tell(store: &Store, issuer: &str, off: Option<ClockOff>) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    match off {
        Some(off) => clocks::tell(&mut tx, issuer, off).await?,
        None => clocks::is_right(&mut tx, issuer).await?,
    }
    tx.commit().await
}
