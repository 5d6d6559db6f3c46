//! Serves routes over TCP, with TLS where there is a certificate, within bounds that no visitor can
//! exceed, and ends by answering what is under way.

mod bounds;
mod peer;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower_service::Service;

pub use bounds::Bounds;
pub use peer::Peer;
pub use tls::{Tls, TlsError};

/// After a failed accept (no descriptors left), so that it isn't tried in a tight loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// No request's head is longer.
const MAX_HEAD: usize = 64 * 1024;

/// What a server serves, and how.
#[derive(Clone)]
pub struct Served {
    /// The routes.
    pub routes: Router,
    /// What visitors are granted.
    pub bounds: Bounds,
    /// TLS, if it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Counts the connections that are open.
    pub open: Gauge,
}

impl Served {
    /// Serves on `listener` until `shutdown`; then nothing is accepted any more, idle connections end, and
    /// this ends once the requests under way are answered.
    ///
    /// # Errors
    /// The listener's address can't be told.
    pub async fn on(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let address = listener.local_addr()?;
        let permits = Arc::new(Semaphore::new(self.bounds.connections));
        let (closing, closed) = watch::channel(());
        let graceful = GracefulShutdown::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let Some(permit) = permit(&permits, address, &mut shutdown).await else {
                break;
            };
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let visitor = Visitor {
                        served: self.clone(),
                        peer,
                        watcher: graceful.watcher(),
                        closed: closed.clone(),
                        permit,
                    };
                    tokio::spawn(visitor.serve(stream));
                }
                Err(error) if is_the_visitors(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted at {address}; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        // Ends handshakes; what is served ends through the watchers.
        drop(closing);
        drop(closed);
        graceful.shutdown().await;
        Ok(())
    }
}

/// A place for one more connection; nothing once it is time to stop.
async fn permit(
    permits: &Arc<Semaphore>,
    address: SocketAddr,
    shutdown: &mut (impl Future<Output = ()> + Unpin),
) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return Some(permit);
    }
    tracing::warn!("all connections at {address} are taken, further ones wait; see --max-connections");
    tokio::select! {
        () = shutdown => None,
        permit = Arc::clone(permits).acquire_owned() => permit.ok(),
    }
}

/// Errors of a connection that was gone before it was accepted.
fn is_the_visitors(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// One connection.
struct Visitor {
    served: Served,
    peer: SocketAddr,
    watcher: Watcher,
    closed: watch::Receiver<()>,
    permit: OwnedSemaphorePermit,
}

impl Visitor {
    async fn serve(mut self, stream: TcpStream) {
        let open = self.served.open.clone();
        open.inc();
        // Answers are small and whole; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        match self.served.tls.take() {
            None => self.speak(stream, None).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(self.served.bounds.head, tls.accept(stream));
                tokio::select! {
                    _ = self.closed.changed() => {}
                    shaken = handshake => match shaken {
                        Ok(Ok(stream)) => {
                            let certified = tls.peer(&stream);
                            self.speak(stream, certified).await;
                        }
                        // Scanners and clients that don't trust us: theirs to see, not ours to shout about.
                        Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "no TLS handshake"),
                        Err(_) => tracing::debug!(peer = %self.peer, "no TLS handshake in time"),
                    }
                }
            }
        }
        open.dec();
    }

    async fn speak(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certified: Option<Peer>,
    ) {
        let Self {
            served,
            peer,
            watcher,
            permit,
            ..
        } = self;
        let routes = served.routes;
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(certified) = &certified {
                request.extensions_mut().insert(certified.clone());
            }
            // A router is always ready, so that it needn't be asked.
            routes.clone().call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(served.bounds.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, %error, "a connection broke");
        }
        drop(permit);
    }
}
