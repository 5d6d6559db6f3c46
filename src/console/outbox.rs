//! What is written to the terminal, on a thread of its own: a terminal that takes nothing, as one that was
//! stopped with ctrl-s, holds up nobody but that thread. It knows nothing of what it writes.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::watch;

/// How many pieces are still to be written. There is one standard output, and whoever gives the terminal
/// back, be it after a panic, waits for them.
static LEFT: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// How far the thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlet {
    /// All that had been handed over was written.
    Written,
    /// The terminal is gone.
    Gone,
}

/// Takes bytes at any time; flushed ones are written by the thread, in order.
pub(super) struct Outbox {
    open: Vec<u8>,
    to: mpsc::Sender<Vec<u8>>,
    /// Bytes that were flushed so far.
    flushed: Arc<AtomicUsize>,
}

impl Outbox {
    /// Starts the thread, which writes to standard output and says how far it is. What it says is not among
    /// what the person types: a queue full of keys must not lose it.
    ///
    /// # Errors
    /// That no thread can be started.
    pub(super) fn start() -> io::Result<(Self, watch::Receiver<Outlet>)> {
        let (to, pieces) = mpsc::channel::<Vec<u8>>();
        let (tell, told) = watch::channel(Outlet::Written);
        thread::Builder::new().name("screen".to_owned()).spawn(move || {
            for piece in pieces {
                let written = write_all(&io::stdout(), &piece);
                let (lock, changed) = &LEFT;
                let mut left = lock.lock().unwrap_or_else(PoisonError::into_inner);
                *left -= 1;
                let news = match written {
                    Err(_) => Outlet::Gone,
                    Ok(()) if *left > 0 => continue,
                    Ok(()) => Outlet::Written,
                };
                changed.notify_all();
                drop(left);
                tell.send_replace(news);
            }
        })?;
        let outbox = Self {
            open: Vec::with_capacity(16 * 1024),
            to,
            flushed: Arc::default(),
        };
        Ok((outbox, told))
    }

    /// A counter of the bytes that were flushed so far.
    pub(super) fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.flushed)
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        *LEFT.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.flushed.fetch_add(self.open.len(), Ordering::Relaxed);
        let piece = std::mem::replace(&mut self.open, Vec::with_capacity(16 * 1024));
        self.to.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Whether all that was handed over until now is written.
pub(super) fn is_written() -> bool {
    is_written_within(Duration::ZERO)
}

/// Waits until all is written, at most for `limit`; false if it is not.
pub(super) fn is_written_within(limit: Duration) -> bool {
    let (lock, changed) = &LEFT;
    let left = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = changed.wait_timeout_while(left, limit, |left| *left > 0);
    waited.is_ok_and(|(left, _)| *left == 0)
}

/// Writes past the lock of standard output: a thread that is held up must not hold up the others.
fn write_all(out: &impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Whoever has the terminal beside us made it non-blocking.
            Err(Errno::AGAIN) => drop(is_writable(out, None)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes a few bytes, if the terminal takes them within `limit`.
pub(super) fn write_within(limit: Duration, bytes: &[u8]) -> bool {
    let out = io::stdout();
    let limit = Timespec::try_from(limit).ok();
    is_writable(&out, limit.as_ref()) && write_all(&out, bytes).is_ok()
}

fn is_writable(out: &impl AsFd, limit: Option<&Timespec>) -> bool {
    let mut fds = [PollFd::new(out, PollFlags::OUT)];
    matches!(poll(&mut fds, limit), Ok(1..)) && fds[0].revents().contains(PollFlags::OUT)
}
