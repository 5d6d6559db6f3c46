//! A bar chart: a bar for each count, its figure above, its label below. Eighths of a cell where there is
//! room for a look only; it says nothing by colour alone.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{fit, put};
use super::theme::{Meaning, Palette};

/// One bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// How many.
    pub n: u64,
    /// What it means.
    pub meaning: Meaning,
}

const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Columns that each of `n` bars takes in `area`, the blank behind it included.
#[must_use]
pub fn width(area: Rect, n: usize) -> u16 {
    let n = u16::try_from(n).unwrap_or(u16::MAX).max(1);
    (area.width / n).clamp(4, 9)
}

/// Draws the bars side by side in `area`, the one at `cursor` marked; those that find no room are left out.
pub fn draw(buffer: &mut Buffer, area: Rect, bars: &[Bar], cursor: Option<usize>, palette: Palette) {
    if area.height < 3 || area.width < 4 {
        return;
    }
    let width = width(area, bars.len());
    let most = bars.iter().map(|bar| bar.n).max().unwrap_or(0).max(1);
    let height = u64::from(area.height - 2);
    for (index, bar) in bars.iter().enumerate() {
        let x = area.x + width * u16::try_from(index).unwrap_or(u16::MAX / 16);
        if x + width > area.right() {
            return;
        }
        let room = usize::from(width - 1);
        let style = palette.style(bar.meaning);
        // What is there at all is seen, however little it is beside the most.
        let eighths = u128::from(bar.n) * u128::from(height) * 8 / u128::from(most);
        let eighths = u64::try_from(eighths)
            .unwrap_or(u64::MAX)
            .max(u64::from(bar.n > 0));
        let full = eighths / 8;
        for row in 0..full {
            let y = area.bottom() - 2 - u16::try_from(row).unwrap_or(0);
            put(buffer, area, x, y, &"█".repeat(room), style);
        }
        let part = usize::try_from(eighths % 8).unwrap_or(0);
        let top = area.bottom() - 2 - u16::try_from(full).unwrap_or(0);
        if part > 0 {
            put(buffer, area, x, top, &EIGHTHS[part - 1].repeat(room), style);
        }
        if bar.n > 0 {
            let y = if part > 0 { top.saturating_sub(1) } else { top };
            // Where the bar takes the whole height its figure stands in it.
            let y = y.max(area.y);
            put(buffer, area, x, y, &fit(&bar.n.to_string(), room), style);
        }
        let look = match cursor == Some(index) {
            true => Meaning::Cursor,
            false => Meaning::Dim,
        };
        put(
            buffer,
            area,
            x,
            area.bottom() - 1,
            &fit(&bar.label, room),
            palette.style(look),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(counts: &[u64], width: u16, height: u16) -> String {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let bars: Vec<Bar> = counts
            .iter()
            .enumerate()
            .map(|(index, n)| Bar {
                label: format!("w{index}"),
                n: *n,
                meaning: Meaning::Plain,
            })
            .collect();
        draw(&mut buffer, area, &bars, None, Palette::default());
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| {
            row.iter()
                .map(ratatui::buffer::Cell::symbol)
                .collect::<String>()
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
    }

    #[test]
    fn the_most_fills_the_height_and_the_least_is_seen() {
        assert_eq!(
            drawn(&[8, 0, 4, 1], 16, 4),
            "8\n███     4   1\n███     ███ ▂▂▂\nw0  w1  w2  w3\n"
        );
        assert_eq!(drawn(&[1000, 1], 8, 3), "10… 1\n███ ▁▁▁\nw0  w1\n");
        assert_eq!(drawn(&[], 8, 3), "\n\n\n");
        drawn(&[1, 2, 3], 3, 2);
    }
}
