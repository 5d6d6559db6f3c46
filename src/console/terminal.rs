//! The terminal: taken over, and given back on every way out (for panics see `defects`). Frames are written only
//! where they differ from the one on screen, between the marks of synchronized output.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::Rect;

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
pub struct Terminal {
    backend: CrosstermBackend<BufWriter<Stdout>>,
    shown: Buffer,
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
        take_over()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(64 * 1024, io::stdout()));
        Ok(Self {
            backend,
            shown: Buffer::empty(Rect::ZERO),
        })
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

    /// Whether `next` differs from what is on screen.
    #[must_use]
    pub fn differs(&self, next: &Buffer) -> bool {
        self.shown != *next
    }

    /// Shows `next`: writes the cells that differ, or all after a resize.
    ///
    /// # Errors
    /// That the terminal is gone.
    pub fn show(&mut self, next: Buffer) -> io::Result<()> {
        queue!(self.backend, BeginSynchronizedUpdate)?;
        if self.shown.area != next.area {
            self.backend.clear()?;
            self.shown = Buffer::empty(next.area);
        }
        self.backend.draw(self.shown.diff(&next).into_iter())?;
        queue!(self.backend, EndSynchronizedUpdate)?;
        Backend::flush(&mut self.backend)?;
        self.shown = next;
        Ok(())
    }

    /// Copies text to the clipboard of the terminal that the person sits at (OSC 52).
    ///
    /// # Errors
    /// That the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        write!(self.backend, "\x1b]52;c;{text}\x07")?;
        Write::flush(&mut self.backend)
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
        self.shown = Buffer::empty(Rect::ZERO);
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
