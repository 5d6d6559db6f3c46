//! The database of `cmp-server`: opened, or waited for when what is in its way may go away without this
//! process being started anew. The API says what that is meanwhile.

use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{Context, Result};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cli::stop::StopSignals;
use crate::clock::Clock;
use crate::services::api;
use crate::services::serve::{Bounds, Tls};
use crate::store::{Progress, Store, StoreError, Trouble, address};

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);

/// Time that it asks for, again and again, while it waits; in microseconds.
const STARTS_WITHIN_US: u32 = 60_000_000;

/// Between two times that it asks for it.
const EXTENDS: Duration = Duration::from_secs(20);

/// Where the API will be, if this process has it.
pub(super) struct Door {
    pub(super) listener: Option<std::net::TcpListener>,
    /// Where it is asked how it is, if that is a place of its own.
    pub(super) health: Option<std::net::TcpListener>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) bounds: Bounds,
}

/// Where somebody stands in, and what is spoken there.
struct StandIn {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    bounds: Bounds,
}

impl Door {
    /// For who stands in for the API and for what tells of its health, with what is spoken there.
    fn once_more(&self) -> Result<Vec<StandIn>> {
        let api = self
            .listener
            .as_ref()
            .map(|it| (it, self.tls.clone(), self.bounds));
        let health = self.health.as_ref().map(|it| (it, None, Bounds::of_health()));
        let again = |(it, tls, bounds): (&std::net::TcpListener, _, _)| {
            let it = it.try_clone().and_then(TcpListener::from_std);
            Ok(StandIn {
                listener: it.wrap_err("the server can't listen")?,
                tls,
                bounds,
            })
        };
        api.into_iter().chain(health).map(again).collect()
    }

    /// For the API itself, and for its health: from now on nobody else has them.
    pub(super) fn hand_over(&mut self) -> Result<(Option<TcpListener>, Option<TcpListener>)> {
        let take = |it: &mut Option<std::net::TcpListener>| {
            let listener = it.take().map(TcpListener::from_std);
            listener.transpose().wrap_err("the server can't listen")
        };
        Ok((take(&mut self.listener)?, take(&mut self.health)?))
    }
}

/// Opens it as soon as that can be; `None` if the process was told to stop before.
pub(super) async fn open(url: &str, door: &Door, stop: &mut StopSignals) -> Result<Option<Store>> {
    let _extending = Extending::begin();
    let (upgrading, mut upgraded) = watch::channel(None);
    let attempt = || Box::pin(Store::open_telling(url, Clock::system(), &upgrading));
    let mut opening = attempt();
    let first = tokio::select! {
        opened = &mut opening => match opened {
            Ok(store) => return Ok(Some(store)),
            Err(error) => {
                opening = attempt();
                waits_for(url, error)?
            }
        },
        why = upgrade(&mut upgraded) => why,
        () = stop.received() => return Ok(None),
    };
    let (why, told) = watch::channel(first);
    let (opened, end) = watch::channel(false);
    let standing_in = door.once_more()?.into_iter().map(|place| {
        let StandIn {
            listener,
            tls,
            bounds,
        } = place;
        let listen = listener.local_addr().ok().map(|address| address.to_string());
        tracing::warn!(listen, "meanwhile the API says why");
        let (mut end, told) = (end.clone(), told.clone());
        tokio::spawn(api::stand_in(listener, tls, bounds, told, async move {
            let _ = end.wait_for(|end| *end).await;
        }))
    });
    let standing_in: Vec<_> = standing_in.collect();
    let store = loop {
        let tried = tokio::select! {
            tried = &mut opening => tried,
            now = upgrade(&mut upgraded) => {
                why.send_replace(now);
                continue;
            }
            () = stop.received() => break None,
        };
        match tried {
            Ok(store) => break Some(store),
            Err(error) => {
                let now = error.trouble();
                if now.as_ref() != Some(&*why.borrow()) {
                    why.send_replace(waits_for(url, error)?);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => opening = attempt(),
            () = stop.received() => break None,
        }
    };
    opened.send_replace(true);
    for standing_in in standing_in {
        standing_in.await?.wrap_err("the API can't listen")?;
    }
    Ok(store)
}

/// Asks for more time to start, as long as it is there: whoever starts it gives it a minute and a half otherwise.
struct Extending(tokio::task::JoinHandle<()>);

impl Extending {
    fn begin() -> Self {
        Self(tokio::spawn(async {
            loop {
                tokio::time::sleep(EXTENDS).await;
                super::notify(&[NotifyState::ExtendTimeoutUsec(STARTS_WITHIN_US)]);
            }
        }))
    }
}

impl Drop for Extending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The next word of an upgrade of the schema.
async fn upgrade(progress: &mut watch::Receiver<Option<Progress>>) -> Trouble {
    loop {
        if progress.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        if let Some(progress) = &*progress.borrow_and_update() {
            return Trouble::upgrading(progress);
        }
    }
}

/// What is waited for, which is logged; an error where waiting is no use: a file has nobody who brings it
/// back, and an address that is none stays so.
fn waits_for(url: &str, error: StoreError) -> Result<Trouble, StoreError> {
    match error.trouble() {
        Some(trouble) if address::is_postgres(url) => {
            let report = color_eyre::eyre::Report::new(error);
            tracing::error!("waiting for the database: {trouble} ({report:#})");
            Ok(trouble)
        }
        _ => Err(error),
    }
}
