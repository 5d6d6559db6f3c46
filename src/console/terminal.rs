//! The terminal: taken over, and given back on every way out (for panics see `defects`). What is written
//! to it is `painter`'s business.

use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ratatui::crossterm::Command;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use rustix::process::Signal;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;

use super::clipboard::Through;
use super::heard::Packet;
use super::input;
use super::outbox::{Outbox, Outlet, is_written_within, write_within};
use super::painter::Painter;
use crate::state::Size;

/// What the person types may wait, in packets.
const WAITING: usize = 64;
/// How long a terminal may take for what is written to it last. One that takes nothing gets nothing.
const LAST: Duration = Duration::from_millis(300);

/// Why the terminal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// There is none.
    #[error("standard input and output are not a terminal; use `cmp-console demo --headless` in a pipe")]
    NotATerminal,
    /// It refused.
    #[error("the terminal can't be used: {0}")]
    Io(#[from] io::Error),
}

/// The terminal while a console has it.
pub struct Terminal {
    painter: Painter<Outbox>,
    flushed: Arc<AtomicUsize>,
    told: Sender<Packet>,
    outlet: watch::Receiver<Outlet>,
    inputs: Option<Receiver<Packet>>,
    /// What is typed is read as long as this is open.
    listening: Option<OwnedFd>,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// That there is none, or that it refused.
    pub fn open() -> Result<Self, TerminalError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(TerminalError::NotATerminal);
        }
        let (told, inputs) = mpsc::channel(WAITING);
        let (outbox, outlet) = Outbox::start()?;
        take_over()?;
        Ok(Self {
            flushed: outbox.counter(),
            painter: Painter::new(outbox),
            told,
            outlet,
            inputs: Some(inputs),
            listening: None,
        })
    }

    /// What comes from the terminal, from now on.
    ///
    /// # Errors
    /// That no thread can be started that listens, or that somebody listens already.
    pub(super) fn listen(&mut self) -> io::Result<Receiver<Packet>> {
        if self.listening.is_none() {
            self.listening = Some(input::start(&self.told)?);
        }
        let inputs = self.inputs.take();
        inputs.ok_or_else(|| io::Error::other("it is listened to already"))
    }

    /// Another console will go on listening.
    pub(super) fn listen_later(&mut self, inputs: Receiver<Packet>) {
        self.inputs = Some(inputs);
    }

    /// Its size.
    #[must_use]
    pub fn size(&self) -> Size {
        size().map_or(
            Size {
                width: 80,
                height: 24,
            },
            |(width, height)| Size { width, height },
        )
    }

    /// What writes frames to it.
    pub fn painter(&mut self) -> &mut Painter<impl Write + use<>> {
        &mut self.painter
    }

    /// How far what was handed over is written, from now on.
    pub(super) fn outlet(&self) -> watch::Receiver<Outlet> {
        self.outlet.clone()
    }

    /// How many bytes were handed over so far.
    pub(super) fn flushed(&self) -> usize {
        self.flushed.load(Ordering::Relaxed)
    }

    /// Copies text to the clipboard of the terminal that the person sits at.
    ///
    /// # Errors
    /// That the terminal is gone.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        self.painter.write_beside(&Through::here().sequence(text))
    }

    /// Asks for the program to be stopped, and with it its whole process group, as ctrl-z does in a program that
    /// knows nothing of it. The signal comes back to this program too.
    ///
    /// # Errors
    /// That nobody can be told.
    pub(super) fn ask_to_stop() -> io::Result<()> {
        rustix::process::kill_current_process_group(Signal::TSTP).map_err(io::Error::from)
    }

    /// Gives the terminal back and stops the program until it is continued.
    ///
    /// # Errors
    /// That it can't be stopped.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        give_back();
        let stopped = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        stopped.map_err(io::Error::from)
    }

    /// Takes the terminal over again: the program was continued, and somebody else had the terminal meanwhile.
    ///
    /// # Errors
    /// That the terminal is gone.
    pub(super) fn take_back(&mut self) -> io::Result<()> {
        // Stopped by SIGSTOP, nothing was given back, and what the terminal was set to is forgotten otherwise.
        let _cooked = disable_raw_mode();
        take_over()?;
        self.painter.forget();
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.listening = None;
        give_back();
    }
}

fn ansi(commands: &[&dyn Fn(&mut String) -> std::fmt::Result]) -> String {
    let mut text = String::new();
    // A string takes whatever is written to it.
    let _written = commands.iter().try_for_each(|write| write(&mut text));
    text
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    let taken = ansi(&[
        &|text| EnterAlternateScreen.write_ansi(text),
        &|text| EnableBracketedPaste.write_ansi(text),
        &|text| Hide.write_ansi(text),
    ]);
    if write_within(LAST, taken.as_bytes()) {
        Ok(())
    } else {
        Err(io::Error::other("it takes no output"))
    }
}

/// Restores what was enabled. Harmless when done twice; a terminal that is gone can't complain, and one
/// that takes nothing is left as it is.
pub(super) fn give_back() {
    let restored = ansi(&[
        &|text| DisableBracketedPaste.write_ansi(text),
        &|text| LeaveAlternateScreen.write_ansi(text),
        &|text| Show.write_ansi(text),
    ]);
    if is_written_within(LAST) {
        write_within(LAST, restored.as_bytes());
    }
    let _cooked = disable_raw_mode();
}
