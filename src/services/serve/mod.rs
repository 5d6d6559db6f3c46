//! Serves routes over TCP, with TLS where there is a certificate, within bounds that no visitor can
//! exceed, and ends by answering what is under way.

mod answering;
mod bounds;
mod date;
mod patient;
mod peer;
mod places;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower_service::Service;

use crate::clock::Clock;

use answering::Answering;
use patient::{Least, Patient};
use places::{Full, Place, Places};

pub use bounds::Bounds;
pub use date::date;
pub use peer::Peer;
pub use tls::{Tls, TlsError};

/// After a failed accept (no descriptors left), so that it isn't tried in a tight loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A visitor that takes less of its answer is given up. The slowest lines that people still work on, of 9600 baud,
/// are as fast; the system takes its pieces of a few ten KiB for a visitor whole.
const LEAST_TAKEN: Least = Least {
    bytes: 16 * 1024,
    within: Duration::from_secs(30),
};
/// No request's head is longer, and no more of an answer waits in a connection's own buffer, but for one piece.
const MAX_HEAD: usize = 32 * 1024;
/// Bytes of an answer that the system keeps for a connection (it takes twice as much for it). Without a bound it lets
/// this grow to megabytes, for as many connections as there are.
const MAX_UNSENT: usize = 64 * 1024;

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
    /// Routes over plain TCP, whose connections nobody counts.
    #[must_use]
    pub fn plain(routes: Router, bounds: Bounds) -> Self {
        Self {
            routes,
            bounds,
            tls: None,
            open: Gauge::default(),
        }
    }

    /// Serves on `listener` until `shutdown`; then nothing is accepted any more, idle connections end, and
    /// this ends once the requests under way are answered.
    ///
    /// # Errors
    /// The listener's address can't be told, or its buffers not be bounded.
    pub async fn on(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let address = listener.local_addr()?;
        // Each connection has what its listener has.
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, MAX_UNSENT)?;
        let places = Places::new(&self.bounds);
        let mut told_full = false;
        let (closing, closed) = watch::channel(());
        let graceful = GracefulShutdown::new();
        let mut shutdown = pin!(shutdown);
        'accepting: loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let place = loop {
                        match places.take(peer.ip()) {
                            Ok(place) => break Some(place),
                            // Its own doing; closed, so that it knows.
                            Err(Full::OfOne) => break None,
                            Err(Full::OfAll) => {}
                        }
                        if !told_full {
                            told_full = true;
                            tracing::warn!(
                                "something is asked on all connections at {address}, further ones wait; see \
                                 --max-connections"
                            );
                        }
                        tokio::select! {
                            () = &mut shutdown => break 'accepting,
                            () = places.one_is_free() => {}
                        }
                    };
                    let Some(place) = place else { continue };
                    let visitor = Visitor {
                        served: self.clone(),
                        peer,
                        watcher: graceful.watcher(),
                        closed: closed.clone(),
                        place: Arc::new(place),
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
    place: Arc<Place>,
}

impl Visitor {
    async fn serve(mut self, stream: TcpStream) {
        let open = self.served.open.clone();
        open.inc();
        // Answers are small and whole; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        // Below TLS, whose own buffer takes what its visitor doesn't.
        let stream = Patient::new(stream, LEAST_TAKEN);
        match self.served.tls.take() {
            None => self.speak(stream, None).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(self.served.bounds.head, tls.accept(stream));
                tokio::select! {
                    _ = self.closed.changed() => {}
                    () = self.place.sent_away() => {}
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
            place,
            ..
        } = self;
        let (routes, limit) = (served.routes, served.bounds.request());
        let asked_on = Arc::clone(&place);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(certified) = &certified {
                request.extensions_mut().insert(certified.clone());
            }
            let busy = asked_on.busy();
            // A router is always ready, so that it needn't be asked.
            let answering = routes.clone().call(request);
            async move {
                let answer = tokio::time::timeout(limit, answering).await;
                // A router doesn't fail.
                let Ok(mut answer) = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
                date(Clock::system().now(), answer.headers_mut());
                if is_stream(&answer) {
                    busy.streams();
                }
                Ok::<_, io::Error>(answer.map(|body| Answering::new(body, busy)))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(served.bounds.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            ended = watcher.watch(connection) => if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a connection broke");
            },
            () = place.sent_away() => tracing::debug!(%peer, "a connection made room"),
        }
    }
}

/// True where the answer goes on for as long as somebody listens.
fn is_stream(answer: &hyper::Response<Body>) -> bool {
    let media_type = answer.headers().get(hyper::header::CONTENT_TYPE);
    media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn routes_that_wait_for_a_body_hold_a_connection_for_its_time_and_no_longer() {
        let bounds = Bounds {
            body: Duration::from_millis(50),
            answer: Duration::from_millis(50),
            ..Bounds::of_few(1)
        };
        let routes = Router::new().route("/", post(async |body: String| body));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Served::plain(routes, bounds).on(listener, std::future::pending()));
        let mut slow = TcpStream::connect(address).await.unwrap();
        let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n";
        slow.write_all(&[head, b"a".as_slice()].concat()).await.unwrap();
        // The only place is taken until that one is given up.
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(&[head, b"ab".as_slice()].concat()).await.unwrap();
        let mut answer = [0; 12];
        next.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert_eq!(slow.read(&mut answer).await.unwrap_or(0), 0);
    }

    const BIG: usize = 4 << 20;

    #[tokio::test]
    async fn answers_that_nobody_takes_hold_no_more_than_an_address_is_owed() {
        let bounds = Bounds {
            owed_per_address: 4 * BIG,
            ..Bounds::of_few(64)
        };
        let routes = Router::new().route("/", get(async || vec![b'a'; BIG]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Served::plain(routes, bounds).on(listener, std::future::pending()));
        let mut all = Vec::new();
        for _ in 0..12 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            stream.write_all(head).await.unwrap();
            // Its answer has begun, and byte by byte it goes on.
            assert_eq!(stream.read_u8().await.unwrap(), b'H');
            all.push(stream);
        }
        let mut whole = Vec::new();
        for mut stream in all {
            let mut taken = Vec::new();
            let _ = stream.read_to_end(&mut taken).await;
            whole.push(taken.len() > BIG);
        }
        // The longest owed ones went.
        assert_eq!(whole, [vec![false; 8], vec![true; 4]].concat());
    }

    #[tokio::test]
    async fn one_answer_may_be_larger_than_all_that_an_address_is_owed() {
        let bounds = Bounds {
            owed_per_address: 1,
            owed: 1,
            ..Bounds::of_few(64)
        };
        let routes = Router::new().route("/", get(async || vec![b'a'; BIG]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Served::plain(routes, bounds).on(listener, std::future::pending()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Twice on the same connection, which is owed nothing in between.
        for _ in 0..2 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.contains(&format!("content-length: {BIG}")), "{head}");
            let mut body = vec![0; BIG];
            stream.read_exact(&mut body).await.unwrap();
            assert!(body.iter().all(|byte| *byte == b'a'));
        }
    }
}
