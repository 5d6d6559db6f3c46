//! A crowd that takes all that a server gives: connections on which nothing is asked, and questions that are slow.
//! The crowd is a process of its own, until its standard input ends; then it tells how its questions fared.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::probes::request;

/// Addresses that the idle ones come from, as many from each: a server has a limit for each address.
const ADDRESSES: usize = 8;
/// Before one that was closed is opened again.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Fared {
    open: AtomicUsize,
    answered: AtomicUsize,
    refused: AtomicUsize,
    /// Of all of them together.
    waited_ms: AtomicUsize,
}

/// Idle connections to `server`, and questions of `token`.
pub(crate) fn main(server: SocketAddr, token: &str, n_idle: usize, n_questions: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = n_idle as u64 + 256;
    if limit.current.is_some_and(|now| now < wanted) {
        limit.current = Some(wanted);
        setrlimit(Resource::Nofile, limit)
            .unwrap_or_else(|_| panic!("{n_idle} connections need `ulimit -n {wanted}`"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let fared = Arc::new(Fared::default());
    let all = Arc::clone(&fared);
    let token = token.to_owned();
    std::thread::spawn(move || {
        runtime.block_on(async {
            for n in 0..n_questions {
                tokio::spawn(questions(server, token.clone(), n, Arc::clone(&all)));
            }
            for n in 0..n_idle {
                tokio::spawn(idle(server, n, Arc::clone(&all)));
                // Not all in one moment.
                if n % 16 == 15 {
                    tokio::time::sleep(Duration::from_millis(4)).await;
                }
            }
            std::future::pending::<()>().await;
        });
    });
    // All the server's places are taken at some moment, then some come and go.
    while fared.open.load(Ordering::Relaxed) < n_idle * 95 / 100 {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("ready");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let told = |it: &AtomicUsize| it.load(Ordering::Relaxed);
    let n = told(&fared.answered) + told(&fared.refused);
    println!(
        "{} connections idle at the end; {n} questions, {} answered, {} refused as too slow, {} ms each",
        told(&fared.open),
        told(&fared.answered),
        told(&fared.refused),
        told(&fared.waited_ms) / n.max(1),
    );
}

async fn idle(server: SocketAddr, n: usize, fared: Arc<Fared>) {
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 2, u8::try_from(n % ADDRESSES).unwrap() + 1));
    loop {
        if let Ok(mut stream) = connect(from, server).await {
            fared.open.fetch_add(1, Ordering::Relaxed);
            // Until the server has enough of it.
            let _ = stream.read(&mut [0; 1]).await;
            fared.open.fetch_sub(1, Ordering::Relaxed);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn connect(from: IpAddr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(server).await
}

/// Slow questions: what a console's lists and filters ask that reads many rows, since no index knows of it yet.
const SLOW: [&str; 5] = [
    "certs?filter=~nthng",
    "certs?filter=!example",
    "certs?filter=shop&sort=host",
    "certs?filter=!status:replaced",
    "certs?filter=expires:%3C30d",
];
/// The shortest rest of a console between two questions; a longer one is as long as the answer took.
const RESTS: Duration = Duration::from_secs(1);

/// One console's, from an address of its own.
async fn questions(server: SocketAddr, token: String, n: usize, fared: Arc<Fared>) {
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 3, u8::try_from(n).unwrap() + 1));
    let line = format!("GET /api/v1/{}", SLOW[n % SLOW.len()]);
    loop {
        let began = Instant::now();
        let asked = async {
            let mut stream = connect(from, server).await?;
            stream
                .write_all(request(&line, &token, "", "").as_bytes())
                .await?;
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await?;
            Ok::<_, std::io::Error>(text)
        };
        let text = asked.await.unwrap_or_default();
        let ms = usize::try_from(began.elapsed().as_millis()).unwrap();
        let rests = began.elapsed().max(RESTS);
        fared.waited_ms.fetch_add(ms, Ordering::Relaxed);
        match text.starts_with(b"HTTP/1.1 200") {
            true => fared.answered.fetch_add(1, Ordering::Relaxed),
            false => fared.refused.fetch_add(1, Ordering::Relaxed),
        };
        tokio::time::sleep(rests).await;
    }
}
