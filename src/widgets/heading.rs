//! The heading of a pane: a line with its title at the left and a note at the right. Panes have no boxes: that gives
//! the rows two columns and two lines, and a quarter of a frame's bytes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{columns, fit, put};
use super::theme::{Meaning, Palette};

/// Draws it over the first line of `area`; gives what is below.
pub fn heading(
    buffer: &mut Buffer,
    area: Rect,
    palette: Palette,
    title: &str,
    note: (&str, Meaning),
    focused: bool,
) -> Rect {
    let inner = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    if area.height == 0 || area.width < 8 {
        return inner;
    }
    let line = palette.style(Meaning::Frame);
    let whole = "─".repeat(usize::from(area.width));
    put(buffer, area, area.x, area.y, &whole, line);
    // The note is what has changed; of the title its end is what may go.
    let room = usize::from(area.width).saturating_sub(6);
    let note_text = fit(note.0, room);
    let taken = match columns(&note_text) {
        0 => 0,
        n => n + 4,
    };
    let style = palette.style(if focused { Meaning::Focus } else { Meaning::Title });
    let title = fit(title, room.saturating_sub(taken));
    if !title.is_empty() {
        put(buffer, area, area.x + 2, area.y, &format!(" {title} "), style);
    }
    if taken > 0 {
        let width = u16::try_from(columns(&note_text)).unwrap_or(0);
        let x = area.right().saturating_sub(width + 4);
        let style = palette.style(note.1);
        put(buffer, area, x, area.y, &format!(" {note_text} "), style);
    }
    inner
}
