//! A table of rows with a cursor and marks. It shows the window of rows around the cursor; it keeps no
//! state of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{fit, put};
use super::theme::{Meaning, Palette};

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So many columns.
    Fixed(u16),
    /// A share of what is left.
    Fill(u16),
    /// So many columns, and only where the table is at least so wide.
    From(u16, u16),
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// How wide.
    pub width: Width,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// What it means.
    pub meaning: Meaning,
}

/// A cell with a meaning.
pub fn cell(text: impl Into<String>, meaning: Meaning) -> Cell {
    Cell {
        text: text.into(),
        meaning,
    }
}

/// A plain cell.
pub fn plain(text: impl Into<String>) -> Cell {
    cell(text, Meaning::Plain)
}

/// One row as the table draws it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its cells, one for each column.
    pub cells: Vec<Cell>,
    /// It is marked.
    pub marked: bool,
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Colours or not.
    pub palette: Palette,
    /// Where the cursor is.
    pub cursor: usize,
    /// The pane has the focus.
    pub focused: bool,
    /// Headings are drawn.
    pub headings: bool,
}

/// How many columns of the row with the cursor are marked as such. Every cell that changes its look is
/// written, and a step changes two rows: a whole row would be too much for a slow link.
const CURSOR: u16 = 32;

/// The first row shown, so that `cursor` is among `height` rows of `n`.
#[must_use]
pub fn first_shown(cursor: usize, height: usize, n: usize) -> usize {
    if height == 0 || n <= height {
        return 0;
    }
    // The page that the cursor is on: moving inside a page redraws two rows only.
    let page = cursor / height * height;
    page.min(n - height)
}

/// Draws the table of `n` rows; `line` makes those that are on screen.
pub fn draw(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    n: usize,
    line: &dyn Fn(usize) -> Option<Line>,
    look: &Look,
) {
    let widths = widths(columns, area.width.saturating_sub(1));
    let mut y = area.y;
    if look.headings && area.height > 1 {
        let mut x = area.x + 1;
        for (column, width) in columns.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let text = fit(column.title, usize::from(*width));
            put(buffer, area, x, y, &text, look.palette.style(Meaning::Dim));
            x += width + 1;
        }
        y += 1;
    }
    let height = usize::from(area.bottom().saturating_sub(y));
    let first = first_shown(look.cursor, height, n);
    for index in first..n.min(first + height) {
        let Some(row) = line(index) else { continue };
        let at = index == look.cursor;
        let base = match (at, look.focused) {
            (true, true) => look.palette.style(Meaning::Cursor),
            (true, false) => look.palette.style(Meaning::CursorElsewhere),
            (false, _) => look.palette.style(Meaning::Plain),
        };
        let glyph = match (row.marked, at && look.focused) {
            (true, _) => "*",
            (false, true) => ">",
            (false, false) => " ",
        };
        put(buffer, area, area.x, y, glyph, base);
        let mut x = area.x + 1;
        for (cell, width) in row.cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let style = look.palette.style(cell.meaning);
            put(buffer, area, x, y, &fit(&cell.text, usize::from(*width)), style);
            x += width + 1;
        }
        if at {
            let width = CURSOR.min(area.width);
            let bar = Rect {
                y,
                height: 1,
                width,
                ..area
            };
            buffer.set_style(bar, base);
        }
        y += 1;
    }
}

fn widths(columns: &[Column], total: u16) -> Vec<u16> {
    let fixed = |column: &Column| match column.width {
        Width::Fixed(width) => width,
        Width::From(width, least) if total >= least => width,
        _ => 0,
    };
    let shares: u16 = columns
        .iter()
        .map(|c| {
            if let Width::Fill(share) = c.width {
                share
            } else {
                0
            }
        })
        .sum();
    let shown = columns
        .iter()
        .filter(|c| matches!(c.width, Width::Fill(_)) || fixed(c) > 0)
        .count();
    let gaps = u16::try_from(shown.saturating_sub(1)).unwrap_or(0);
    let used: u16 = columns.iter().map(fixed).sum();
    let left = total.saturating_sub(used + gaps);
    columns
        .iter()
        .map(|column| match column.width {
            Width::Fill(share) => left * share / shares.max(1),
            _ => fixed(column),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_always_shown() {
        for n in 0..40usize {
            for height in 1..12usize {
                for cursor in 0..n {
                    let first = first_shown(cursor, height, n);
                    assert!(
                        first <= cursor && cursor < first + height,
                        "{cursor} of {n} in {height}"
                    );
                }
            }
        }
    }
}
