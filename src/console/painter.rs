//! Writes frames: only the cells that differ from what is on the screen, between the marks of
//! synchronized output, so that a slow link never shows half of one. It decides nothing about when.

use std::io::{self, Write};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::queue;
use ratatui::crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::layout::Rect;

/// What is on a screen, and how it is changed.
pub struct Painter<W: Write> {
    backend: CrosstermBackend<W>,
    shown: Buffer,
}

impl<W: Write> Painter<W> {
    /// For a screen of which nothing is known.
    pub fn new(out: W) -> Self {
        Self {
            backend: CrosstermBackend::new(out),
            shown: Buffer::empty(Rect::ZERO),
        }
    }

    /// Whether `next` differs from what is on screen.
    #[must_use]
    pub fn differs(&self, next: &Buffer) -> bool {
        self.shown != *next
    }

    /// Shows `next`: writes the cells that differ, or all after a resize. Then the terminal is asked where
    /// its cursor is, which was put into the second row at the column `mark`, from 0: the answer tells
    /// that this frame is shown.
    ///
    /// # Errors
    /// That the terminal is gone.
    pub fn show(&mut self, next: Buffer, mark: u16) -> io::Result<()> {
        queue!(self.backend, BeginSynchronizedUpdate)?;
        if self.shown.area != next.area {
            self.backend.clear()?;
            self.shown = Buffer::empty(next.area);
        }
        self.backend.draw(self.shown.diff(&next).into_iter())?;
        queue!(self.backend, EndSynchronizedUpdate)?;
        let row = next.area.height.min(2);
        write!(self.backend, "\x1b[{row};{}H\x1b[6n", mark + 1)?;
        Backend::flush(&mut self.backend)?;
        self.shown = next;
        Ok(())
    }

    /// Writes a sequence that changes nothing on the screen.
    ///
    /// # Errors
    /// That the terminal is gone.
    pub fn write_beside(&mut self, sequence: &str) -> io::Result<()> {
        self.backend.write_all(sequence.as_bytes())?;
        Write::flush(&mut self.backend)
    }

    /// Something else was on the screen meanwhile.
    pub fn forget(&mut self) {
        self.shown = Buffer::empty(Rect::ZERO);
    }
}
