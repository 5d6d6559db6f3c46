//! Frames around panes and dialogs, and clearing what is under a dialog.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Clear, Widget};

use super::text::{columns, fit, put};
use super::theme::{Meaning, Palette};

/// Draws a frame with a title at its left and a note at its right; gives what is inside.
pub fn frame(
    buffer: &mut Buffer,
    area: Rect,
    palette: Palette,
    title: &str,
    note: (&str, Meaning),
    focused: bool,
) -> Rect {
    let meaning = if focused { Meaning::Focus } else { Meaning::Frame };
    let block = Block::bordered().border_style(palette.style(meaning));
    let inner = block.inner(area);
    block.render(area, buffer);
    if area.width < 6 || area.height == 0 {
        return inner;
    }
    let room = usize::from(area.width) - 4;
    let title = fit(title, room);
    let style = palette.style(if focused { Meaning::Focus } else { Meaning::Title });
    let end = put(buffer, area, area.x + 1, area.y, &format!(" {title} "), style);
    let left = usize::from(area.right().saturating_sub(end)).saturating_sub(4);
    if !note.0.is_empty() && left > 4 {
        let note_text = fit(note.0, left);
        let width = u16::try_from(columns(&note_text)).unwrap_or(0);
        let x = area.right().saturating_sub(width + 3);
        put(
            buffer,
            area,
            x,
            area.y,
            &format!(" {note_text} "),
            palette.style(note.1),
        );
    }
    inner
}

/// A dialog's place: in the middle of `area`, at most `width` × `height`, cleared.
pub fn dialog(buffer: &mut Buffer, area: Rect, width: u16, height: u16) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(place, buffer);
    place
}
