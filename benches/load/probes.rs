//! Measured questions of one kind, one after the other, each over a connection of its own as an agent or a kubelet
//! opens it, at a pace that leaves the server at rest in between.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;

use crate::times::Times;

/// Longest wait for an answer.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// One kind of question.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    /// The address, as `127.0.0.1:port`.
    pub(crate) address: String,
    /// Between the beginnings of two.
    pub(crate) every: Duration,
    /// The whole request with this number.
    pub(crate) request: Box<dyn Fn(usize) -> String + Send>,
}

/// Times of the answers, and what was wrong with some.
#[derive(Default)]
pub(crate) struct Took {
    pub(crate) times: Times,
    pub(crate) wrong: Vec<String>,
}

impl Took {
    pub(crate) fn add(&mut self, other: Self) {
        self.times.add(other.times);
        self.wrong.extend(other.wrong);
    }
}

impl Probe {
    /// Asks for as long as that, from the number `first` on.
    ///
    /// The asking thread goes before others where this account may have that: in life agents and kubelets are other
    /// machines, and waiting for a core of this one is no part of an answer.
    pub(crate) fn ask(&self, first: usize, lasts: Duration) -> Took {
        let mut took = Took::default();
        // `None` is this thread alone.
        let _ = setpriority_process(None, -10);
        let end = Instant::now() + lasts;
        let mut next = Instant::now();
        let mut n = first;
        while Instant::now() < end {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            let request = (self.request)(n);
            let began = Instant::now();
            if let Err(words) = answer(&self.address, &request) {
                took.wrong.push(format!("{}: {words}", self.name));
            }
            took.times.push(began.elapsed());
            n += 1;
            next = began + self.every;
        }
        took
    }
}

/// The whole answer, which has to be a good one.
fn answer(address: &str, request: &str) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    stream.set_read_timeout(Some(GIVEN_UP)).map_err(said)?;
    stream.write_all(request.as_bytes()).map_err(said)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).map_err(said)?;
    let text = String::from_utf8_lossy(&text);
    match text.starts_with("HTTP/1.1 2") {
        true => Ok(()),
        false => Err(text.chars().take(400).collect()),
    }
}

/// A request with what all have.
pub(crate) fn request(line: &str, token: &str, more: &str, body: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nhost: cmp\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{more}content-length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}
