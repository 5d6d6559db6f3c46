//! A table of rows with a cursor and marks. It shows the window of rows around the cursor; it keeps no
//! state of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{self, fit, put};
use super::theme::{Meaning, Palette};

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So many columns.
    Fixed(u16),
    /// A share of what is left.
    Fill(u16),
    /// So many columns, and only where the table is at least so wide. The wider it has to be, the sooner the column
    /// goes where a name has no room.
    From(u16, u16),
    /// So many columns, and only where the table is at least so wide; a name is cut for it.
    Kept(u16, u16),
    /// So many columns, where the table is at least and at most so wide.
    Between(u16, u16, u16),
    /// As many as the longest that is shown takes, up to this.
    UpTo(u16),
    /// The thing's name: so many at least, and as many as the longest one takes while any other column can go.
    Name(u16),
    /// What is left, where the table is at least so wide.
    Rest(u16),
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
    /// The row with the bar: the cursor's, once it rests.
    pub bar: Option<usize>,
    /// The pane has the focus.
    pub focused: bool,
    /// Headings are drawn.
    pub headings: bool,
    /// No cell is cut, as in a file.
    pub whole: bool,
}

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
    let headings = u16::from(look.headings && area.height > 1);
    let height = usize::from(area.height.saturating_sub(headings));
    let first = first_shown(look.cursor, height, n);
    let shown: Vec<(usize, Line)> = (first..n.min(first + height))
        .filter_map(|index| Some((index, line(index)?)))
        .collect();
    let mut widths = widths(columns, area.width.saturating_sub(1), &shown);
    if look.whole {
        widen(columns, &mut widths, area.width.saturating_sub(1), &shown);
    }
    let columns = || columns.iter().zip(&widths).enumerate();
    let columns = || columns().filter(|(_, (_, width))| **width > 0);
    if headings > 0 {
        let mut x = area.x + 1;
        for (_, (column, width)) in columns() {
            let text = fit(column.title, usize::from(*width));
            put(buffer, area, x, area.y, &text, look.palette.style(Meaning::Dim));
            x += width + 1;
        }
    }
    for (y, (index, row)) in (area.y + headings..area.bottom()).zip(&shown) {
        let at = look.focused && *index == look.cursor;
        let glyph = match (at, row.marked) {
            (true, true) => "»",
            (true, false) => ">",
            (false, true) => "*",
            (false, false) => " ",
        };
        let plain = look.palette.style(Meaning::Plain);
        put(buffer, area, area.x, y, glyph, plain);
        let mut x = area.x + 1;
        for (n, (_, width)) in columns() {
            let Some(cell) = row.cells.get(n) else { continue };
            let style = look.palette.style(cell.meaning);
            put(buffer, area, x, y, &fit(&cell.text, usize::from(*width)), style);
            x += width + 1;
        }
        if row.marked {
            // A mark is seen under the cursor too.
            let name = Rect {
                y,
                height: 1,
                width: 1,
                ..area
            };
            buffer.set_style(name, look.palette.style(Meaning::Title));
        }
        if look.focused && look.bar == Some(*index) {
            let bar = Rect { y, height: 1, ..area };
            buffer.set_style(bar, look.palette.style(Meaning::Cursor));
        }
    }
}

fn longest(shown: &[(usize, Line)], column: usize) -> u16 {
    let cells = shown.iter().filter_map(|(_, line)| line.cells.get(column));
    let widest = cells.map(|cell| text::columns(&cell.text)).max().unwrap_or(0);
    u16::try_from(widest).unwrap_or(u16::MAX)
}

/// Gives each column that has a width of its own as much as its longest cell takes; what fills the rest gives it.
fn widen(columns: &[Column], widths: &mut [u16], total: u16, shown: &[(usize, Line)]) {
    for (n, column) in columns.iter().enumerate() {
        let fills = matches!(column.width, Width::Fill(_) | Width::Rest(_));
        if widths[n] > 0 && !fills {
            widths[n] = widths[n].max(longest(shown, n));
        }
    }
    let taken = |widths: &[u16]| {
        let gaps = widths
            .iter()
            .filter(|width| **width > 0)
            .count()
            .saturating_sub(1);
        widths
            .iter()
            .fold(u16::try_from(gaps).unwrap_or(0), |sum, width| {
                sum.saturating_add(*width)
            })
    };
    let mut over = taken(widths).saturating_sub(total);
    for (n, column) in columns.iter().enumerate() {
        if matches!(column.width, Width::Fill(_) | Width::Rest(_)) {
            let gives = over.min(widths[n].saturating_sub(1));
            widths[n] -= gives;
            over -= gives;
        }
    }
}

fn widths(columns: &[Column], total: u16, shown: &[(usize, Line)]) -> Vec<u16> {
    let mut widths: Vec<u16> = columns
        .iter()
        .enumerate()
        .map(|(n, column)| match column.width {
            Width::Fixed(width) => width,
            Width::From(width, least) | Width::Kept(width, least) if total >= least => width,
            Width::Between(width, least, most) if (least..=most).contains(&total) => width,
            Width::UpTo(most) => longest(shown, n).min(most),
            Width::Name(least) => longest(shown, n).max(least),
            Width::From(..) | Width::Kept(..) | Width::Between(..) | Width::Rest(_) | Width::Fill(_) => 0,
        })
        .collect();
    let takes = |widths: &[u16]| {
        let n = widths.iter().zip(columns).filter(|(width, column)| {
            **width > 0 || matches!(column.width, Width::Fill(_)) || is_rest(column, total)
        });
        let gaps = u16::try_from(n.count()).unwrap_or(0).saturating_sub(1);
        widths.iter().fold(gaps, |sum, width| sum.saturating_add(*width))
    };
    let has_name = columns
        .iter()
        .any(|column| matches!(column.width, Width::Name(_)));
    while has_name && takes(&widths) > total {
        let optional = columns.iter().enumerate().filter(|(n, _)| widths[*n] > 0);
        let goes = optional
            .filter_map(|(n, column)| match column.width {
                Width::From(_, least) | Width::Between(_, least, _) => Some((least, n)),
                _ => None,
            })
            .max();
        match goes {
            Some((_, n)) => widths[n] = 0,
            None => break,
        }
    }
    let over = takes(&widths).saturating_sub(total);
    let left = total.saturating_sub(takes(&widths));
    let shares: u16 = columns
        .iter()
        .map(|column| match column.width {
            Width::Fill(share) => share,
            _ => 0,
        })
        .sum();
    for (width, column) in widths.iter_mut().zip(columns) {
        match column.width {
            Width::Name(_) => *width = width.saturating_sub(over),
            Width::Rest(_) if is_rest(column, total) => *width = left,
            Width::Fill(share) => *width = left * share / shares.max(1),
            _ => {}
        }
    }
    widths
}

fn is_rest(column: &Column, total: u16) -> bool {
    matches!(column.width, Width::Rest(least) if total >= least)
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

    fn lines(name: &str) -> Vec<(usize, Line)> {
        let cells = vec![plain(name), plain("active"), plain("web-01")];
        vec![(0, Line { cells, marked: false })]
    }

    #[test]
    fn a_name_is_whole_while_another_column_can_go() {
        let column = |width| Column { title: "", width };
        let columns = [Width::Name(10), Width::Fixed(8), Width::From(8, 20)].map(column);
        assert_eq!(widths(&columns, 40, &lines("a.example")), [10, 8, 8]);
        assert_eq!(
            widths(&columns, 40, &lines("a-very-long-name.example.com")),
            [28, 8, 0]
        );
        let columns = [Width::Name(10), Width::Kept(8, 30), Width::From(8, 20)].map(column);
        let long = lines("a-very-long-name.example.com");
        assert_eq!(widths(&columns, 30, &long), [21, 8, 0]);
        assert_eq!(widths(&columns, 29, &long), [28, 0, 0]);
        let columns = [Width::Name(10), Width::Fixed(8), Width::From(8, 20)].map(column);
        // Nothing else can go: the name is cut.
        assert_eq!(
            widths(&columns, 30, &lines("a-very-long-name.example.com")),
            [21, 8, 0]
        );
    }
}
