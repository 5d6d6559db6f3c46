//! Plain ASCII for terminals and fonts that have no more: frames, ellipses, and a mark for what can't be
//! written. It changes cells that are drawn, so that no screen has to think of it.

use ratatui::buffer::Buffer;

/// Writes every cell in ASCII.
pub fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let plain = plain(cell.symbol());
            cell.set_symbol(plain);
        }
    }
}

fn plain(symbol: &str) -> &'static str {
    match symbol {
        "│" | "║" | "┃" => "|",
        "─" | "═" | "━" | "–" | "—" => "-",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" => "+",
        "…" => "~",
        "✓" => "+",
        "▁" | "▂" | "▃" => "_",
        "▄" | "▅" => "=",
        "▆" | "▇" | "█" => "#",
        "×" => "x",
        "↑" => "^",
        "↓" => "v",
        "→" => ">",
        "←" => "<",
        "▲" => "^",
        "▼" => "v",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn nothing_but_ascii_is_left() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "┌─ müll…", Style::new());
        to_ascii(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text.trim_end(), "+- m?ll~");
    }
}
