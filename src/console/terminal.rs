//! The terminal: taken over, and given back on every way out (for panics see `defects`). What is written
//! to it is `painter`'s business.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::crossterm::{cursor, execute};

use super::painter::Painter;
use crate::state::Size;

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
pub struct Terminal(Painter<BufWriter<Stdout>>);

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// That there is none, or that it refused.
    pub fn open() -> Result<Self, TerminalError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(TerminalError::NotATerminal);
        }
        take_over()?;
        let out = BufWriter::with_capacity(64 * 1024, io::stdout());
        Ok(Self(Painter::new(out)))
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
        &mut self.0
    }

    /// Gives the terminal back, stops the program until it is continued, and takes it over again.
    ///
    /// # Errors
    /// That the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // The whole process group stops, as after ctrl-z in a program that knows nothing of it.
        let stopped = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
        stopped.map_err(io::Error::from)?;
        take_over()?;
        self.0.forget();
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableBracketedPaste,
        cursor::Hide
    )
}

/// Restores what was enabled. Harmless when done twice; a terminal that is gone can't complain.
pub(super) fn give_back() {
    let restored = execute!(
        io::stdout(),
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let cooked = disable_raw_mode();
    drop((restored, cooked));
}
