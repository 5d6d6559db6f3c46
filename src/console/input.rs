//! What the person types, read on a thread of its own, and whether the terminal is still there.
//!
//! The terminal is read only when there is something to read, and a second thread watches for the hang-up:
//! a reader that waits for more from a terminal that is gone would spin for ever (crossterm #793).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::decode::Decoder;
use super::heard::{Input, Packet};

/// Read at once, in bytes.
const CHUNK: usize = 4096;

/// Starts the two threads. The one that reads ends when what is given back is dropped: from then on what
/// is typed is for the next program. The other one ends with this one.
///
/// # Errors
/// That no thread can be started.
pub(super) fn start(to: &Sender<Packet>) -> io::Result<OwnedFd> {
    let (stop, listening) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let reader = to.clone();
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || read(&reader, &stop))?;
    let watcher = to.clone();
    thread::Builder::new()
        .name("hang-up".to_owned())
        .spawn(move || watch(&watcher))?;
    Ok(listening)
}

fn read(to: &Sender<Packet>, stop: &OwnedFd) {
    let stdin = io::stdin();
    let mut decoder = Decoder::default();
    // A secret may be among what is typed.
    let mut bytes = Zeroizing::new([0; CHUNK]);
    loop {
        let heard = match is_readable(&stdin, stop, decoder.wait()) {
            Ok(None) => return,
            Ok(Some(true)) => match rustix::io::read(&stdin, &mut bytes[..]) {
                Ok(0) => return gone(to),
                Ok(n) => decoder.hear(&bytes[..n]),
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(_) => return gone(to),
            },
            Ok(Some(false)) => decoder.give_up(),
            Err(Errno::INTR) => continue,
            Err(_) => return gone(to),
        };
        let at = Instant::now();
        if !heard.is_empty() && to.blocking_send(Packet { at, inputs: heard }).is_err() {
            return;
        }
    }
}

/// Whether there is something to read within `limit`; without one it is waited for. Nothing if nobody
/// listens any more.
fn is_readable(stdin: &impl AsFd, stop: &OwnedFd, limit: Option<Duration>) -> Result<Option<bool>, Errno> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut fds = [
        PollFd::new(stdin, PollFlags::IN),
        PollFd::new(stop, PollFlags::empty()),
    ];
    poll(&mut fds, limit.as_ref())?;
    if is_gone(fds[1].revents()) {
        return Ok(None);
    }
    if is_gone(fds[0].revents()) {
        return Err(Errno::IO);
    }
    Ok(Some(fds[0].revents().contains(PollFlags::IN)))
}

/// Whether something came that isn't read yet: then it is not quiet, however busy this machine is.
pub(super) fn is_pending() -> bool {
    rustix::io::ioctl_fionread(io::stdin()).is_ok_and(|n| n > 0)
}

/// Waits for nothing but the hang-up.
fn watch(to: &Sender<Packet>) {
    let stdin = io::stdin();
    loop {
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return gone(to),
        }
        if is_gone(fds[0].revents()) {
            return gone(to);
        }
    }
}

fn is_gone(flags: PollFlags) -> bool {
    flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}

fn gone(to: &Sender<Packet>) {
    // Full or closed: the loop is either about to hear it from the other thread or gone itself.
    let _sent = to.try_send(Packet::of(Input::HangUp));
}
