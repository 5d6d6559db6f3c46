//! The health listener, on a thread of its own: who asks whether the process is there is answered however busy all other
//! threads are, and is told when its tasks don't get on at all.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiState, guarded, health, metrics, reply};
use crate::problem::{Problem, ProblemKind};
use crate::services::serve::{Bounds, Served};

/// Between two signs of life of the process's tasks.
const BEAT: Duration = Duration::from_secs(1);
/// Upper bound for the time without a sign: no machine is so busy, so the tasks are stuck, and a restart is the only way on.
const STUCK: Duration = Duration::from_secs(30);

/// Serves `/healthz`, `/readyz` and `/metrics` alone on `listener` until `shutdown`, for a process without the
/// API or one whose health is asked where the API isn't reached.
///
/// # Errors
/// The listener broke.
pub async fn serve_health(
    listener: TcpListener,
    state: ApiState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let tasks = Handle::current();
    let pulse = Pulse::default();
    let beating = tokio::spawn(pulse.clone().beat());
    // The other two ask the database, whose connections belong to the process's own tasks.
    let routes = OpenApiRouter::new()
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .layer(from_fn_with_state(tasks, among))
        .route("/healthz", get(async move || healthz(pulse.silence()).await));
    // Not counted, since the gauge is that of the API's connections.
    let served = Served::plain(guarded(routes, state), Bounds::of_health());
    let listener = listener.into_std()?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || {
            let served = Builder::new_current_thread()
                .enable_all()
                .build()
                .and_then(|runtime| {
                    runtime.block_on(async { served.on(TcpListener::from_std(listener)?, shutdown).await })
                });
            // Nobody waits for it any more when the process ends in a hurry.
            let _ = tell.send(served);
        })?;
    let ended = told.await;
    beating.abort();
    ended.unwrap_or_else(|_| Err(io::Error::other("the thread of the health listener is gone")))
}

async fn among(State(tasks): State<Handle>, request: Request, next: Next) -> Response {
    match tasks.spawn(next.run(request)).await {
        Ok(answer) => answer,
        Err(error) => reply::problem(Problem::internal(error.to_string())),
    }
}

async fn healthz(silence: Duration) -> Response {
    if silence < STUCK {
        return health::healthz().await;
    }
    let n_seconds = silence.as_secs();
    reply::problem(
        Problem::new(
            ProblemKind::Unavailable,
            format!("this process has carried out no task for {n_seconds} s"),
        )
        .hint("restart it: its claims end by their lease"),
    )
}

/// Time of the last sign that the process's tasks are carried out.
#[derive(Clone)]
struct Pulse {
    began: Instant,
    /// In milliseconds since then.
    last: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            last: Arc::default(),
        }
    }
}

impl Pulse {
    /// Gives signs for as long as it is among the tasks.
    async fn beat(self) {
        loop {
            let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.last.store(now, Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Time since the last sign.
    fn silence(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::mpsc;

    use super::*;
    use crate::clock::Clock;
    use crate::services::wake::OverHttp;
    use crate::store::Store;

    fn asked(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: cmp\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn liveness_is_answered_while_no_task_gets_on_and_readiness_once_they_do() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cmp.db", dir.path().display());
        let (stop, stopped) = oneshot::channel::<()>();
        let (address, serving) = runtime.block_on(async {
            let store = Store::open(&url, Clock::system()).await.unwrap();
            let state = ApiState::new(store, Arc::new(OverHttp::default()));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let end = async { drop(stopped.await) };
            (address, tokio::spawn(serve_health(listener, state, end)))
        });
        assert!(answer(asked(address, "/readyz")).starts_with("HTTP/1.1 200"));

        let (go_on, waits) = mpsc::channel::<()>();
        let (is_held, held) = mpsc::channel::<()>();
        runtime.spawn(async move {
            is_held.send(()).unwrap();
            let _ = waits.recv();
        });
        held.recv().unwrap();
        let ready = asked(address, "/readyz");
        assert!(answer(asked(address, "/healthz")).starts_with("HTTP/1.1 200"));
        ready.set_nonblocking(true).unwrap();
        let none = ready.peek(&mut [0]).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        ready.set_nonblocking(false).unwrap();

        drop(go_on);
        assert!(answer(ready).starts_with("HTTP/1.1 200"));
        drop(stop);
        runtime.block_on(serving).unwrap().unwrap();
    }

    #[tokio::test]
    async fn tasks_that_are_stuck_are_told() {
        assert_eq!(healthz(STUCK - BEAT).await.status(), 200);
        assert_eq!(healthz(STUCK).await.status(), 503);
        let pulse = Pulse::default();
        let beating = tokio::spawn(pulse.clone().beat());
        tokio::task::yield_now().await;
        beating.abort();
        assert!(pulse.silence() < STUCK);
    }
}
