//! Writes frames: only the cells that differ from what is on the screen, between the marks of
//! synchronized output, so that a slow link never shows half of one. It decides nothing about when.
//!
//! The sequences are the shortest that say it (ECMA-48): a change of style in one of them, and steps to the
//! right rather than a place on the screen. On a night's triage that halves the bytes. Behind a cell that isn't plain
//! narrow text the place is said, since the terminal may have counted its columns by another Unicode.

use std::io::{self, Write};

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use crate::domain::plain::HIDDEN;
use crate::widgets::clusters::columns;

/// What is on a screen, and how it is changed.
pub struct Painter<W: Write> {
    out: W,
    shown: Buffer,
}

impl<W: Write> Painter<W> {
    /// For a screen of which nothing is known.
    pub fn new(out: W) -> Self {
        Self {
            out,
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
        write!(self.out, "\x1b[?2026h")?;
        if self.shown.area != next.area {
            write!(self.out, "\x1b[m\x1b[2J")?;
            self.shown = Buffer::empty(next.area);
        }
        let mut style = Style::default();
        // Where the terminal will put the next character.
        let mut at: Option<(u16, u16)> = None;
        for (x, y, cell) in self.shown.diff(&next) {
            match at {
                Some(there) if there == (x, y) => {}
                Some((from, row)) if row == y && from < x => match x - from {
                    1 => write!(self.out, "\x1b[C")?,
                    n => write!(self.out, "\x1b[{n}C")?,
                },
                _ => write!(self.out, "\x1b[{};{}H", y + 1, x + 1)?,
            }
            let wanted = Style::of(cell);
            if wanted != style {
                self.out.write_all(style.change_to(&wanted).as_bytes())?;
                style = wanted;
            }
            let symbol = cell.symbol();
            let width = u16::try_from(columns(symbol)).unwrap_or(1);
            let covers = (x.saturating_add(1)..x.saturating_add(width)).any(|x| {
                let shown = self.shown.cell((x, y));
                shown.is_some_and(|cell| cell.symbol() != " ")
            });
            if covers {
                // A terminal that takes it for narrow would leave what was there.
                write!(self.out, "\x1b[{width}X")?;
            }
            self.out.write_all(symbol.as_bytes())?;
            // The mark itself is a letter of two columns to some, and none to others.
            let is_plain = width == 1 && symbol.chars().nth(1).is_none() && !symbol.starts_with(HIDDEN);
            let end = x.saturating_add(width);
            // After the last column terminals differ.
            at = (is_plain && end < next.area.right()).then_some((end, y));
        }
        if style != Style::default() {
            write!(self.out, "\x1b[m")?;
        }
        let row = next.area.height.min(2);
        write!(self.out, "\x1b[?2026l\x1b[{row};{}H\x1b[6n", mark + 1)?;
        self.out.flush()?;
        self.shown = next;
        Ok(())
    }

    /// Writes a sequence that changes nothing on the screen.
    ///
    /// # Errors
    /// That the terminal is gone.
    pub fn write_beside(&mut self, sequence: &str) -> io::Result<()> {
        self.out.write_all(sequence.as_bytes())?;
        self.out.flush()
    }

    /// Something else was on the screen meanwhile.
    pub fn forget(&mut self) {
        self.shown = Buffer::empty(Rect::ZERO);
    }
}

/// How a character looks.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Style {
    text: Color,
    ground: Color,
    modifier: Modifier,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            text: Color::Reset,
            ground: Color::Reset,
            modifier: Modifier::empty(),
        }
    }
}

/// What a modifier is in SGR (ECMA-48 §8.3.117).
const MODIFIERS: [(Modifier, &str); 8] = [
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::SLOW_BLINK, "5"),
    (Modifier::REVERSED, "7"),
    (Modifier::HIDDEN, "8"),
    (Modifier::CROSSED_OUT, "9"),
];

impl Style {
    fn of(cell: &Cell) -> Self {
        Self {
            text: cell.fg,
            ground: cell.bg,
            modifier: cell.modifier,
        }
    }

    /// The sequence that changes this style into `wanted`.
    fn change_to(&self, wanted: &Self) -> String {
        if *wanted == Self::default() {
            return "\x1b[m".to_owned();
        }
        // Modifiers can be added; to take one away everything is begun anew.
        let only_more = wanted.modifier.contains(self.modifier);
        let plain = Self::default();
        let from = if only_more { self } else { &plain };
        let mut parts: Vec<String> = Vec::new();
        if !only_more {
            parts.push("0".to_owned());
        }
        let added = wanted.modifier - from.modifier;
        let modifiers = MODIFIERS.iter().filter(|(modifier, _)| added.contains(*modifier));
        parts.extend(modifiers.map(|(_, code)| (*code).to_owned()));
        if wanted.text != from.text {
            parts.push(colour(wanted.text, 0));
        }
        if wanted.ground != from.ground {
            parts.push(colour(wanted.ground, 10));
        }
        format!("\x1b[{}m", parts.join(";"))
    }
}

/// A colour in SGR; `ground` is 10 for the ground, 0 for the text on it.
fn colour(colour: Color, ground: u8) -> String {
    let code = match colour {
        Color::Reset => 39,
        Color::Black => 30,
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Blue => 34,
        Color::Magenta => 35,
        Color::Cyan => 36,
        Color::Gray => 37,
        Color::DarkGray => 90,
        Color::LightRed => 91,
        Color::LightGreen => 92,
        Color::LightYellow => 93,
        Color::LightBlue => 94,
        Color::LightMagenta => 95,
        Color::LightCyan => 96,
        Color::White => 97,
        Color::Indexed(n) => return format!("{};5;{n}", 38 + ground),
        Color::Rgb(r, g, b) => return format!("{};2;{r};{g};{b}", 38 + ground),
    };
    (code + ground).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::style::Style as Look;

    use super::*;

    const SIZE: (u16, u16) = (20, 4);

    fn blank() -> Buffer {
        Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1))
    }

    fn terminal() -> vt100::Parser {
        let cells = |n| std::num::NonZeroU16::new(n).unwrap();
        vt100::Parser::new(cells(SIZE.1), cells(SIZE.0), 0)
    }

    fn shows(screen: &vt100::Screen, frame: &Buffer) {
        for y in 0..SIZE.1 {
            let mut x = 0;
            while x < SIZE.0 {
                let (is, wanted) = (screen.cell(y, x).unwrap(), &frame[(x, y)]);
                let text = if is.contents().is_empty() {
                    " "
                } else {
                    is.contents()
                };
                assert_eq!(text, wanted.symbol(), "at {x},{y}");
                if wanted.symbol() != " " {
                    let has = |modifier| wanted.modifier.contains(modifier);
                    assert_eq!(is.bold(), has(Modifier::BOLD), "at {x},{y}");
                    assert_eq!(is.underline(), has(Modifier::UNDERLINED), "at {x},{y}");
                    assert_eq!(is.inverse(), has(Modifier::REVERSED), "at {x},{y}");
                    let colour = match wanted.fg {
                        Color::Reset => vt100::Color::Default,
                        Color::Red => vt100::Color::Idx(1),
                        Color::Indexed(n) => vt100::Color::Idx(n),
                        Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(is.fgcolor(), colour, "at {x},{y}");
                }
                x += u16::try_from(unicode_width::UnicodeWidthStr::width(wanted.symbol()))
                    .unwrap()
                    .max(1);
            }
        }
    }

    fn looks() -> impl Strategy<Value = Look> {
        let colours = prop_oneof![
            Just(Color::Reset),
            Just(Color::Red),
            Just(Color::Indexed(214)),
            Just(Color::Rgb(1, 2, 3))
        ];
        (colours, 0..8_u8).prop_map(|(colour, bits)| {
            let mut look = Look::new().fg(colour);
            for (bit, modifier) in [
                (1, Modifier::BOLD),
                (2, Modifier::UNDERLINED),
                (4, Modifier::REVERSED),
            ] {
                if bits & bit > 0 {
                    look = look.add_modifier(modifier);
                }
            }
            look
        })
    }

    proptest! {
        #[test]
        fn whatever_frames_follow_each_other_the_terminal_shows_the_last(
            frames in proptest::collection::vec(
                proptest::collection::vec((0..SIZE.0, 0..SIZE.1, "[a-zé─ 日]{1,9}", looks()), 0..8),
                1..4,
            )
        ) {
            let mut painter = Painter::new(Vec::new());
            let mut terminal = terminal();
            for texts in frames {
                let mut frame = blank();
                for (x, y, text, look) in texts {
                    frame.set_string(x, y, text, look);
                }
                painter.show(frame.clone(), 3).unwrap();
                terminal.process(&std::mem::take(&mut painter.out));
                shows(terminal.screen(), &frame);
                prop_assert_eq!(terminal.screen().cursor_position(), (1, 3));
            }
        }
    }

    /// A terminal that counts characters, as vt100 and tmux do.
    #[test]
    fn what_terminals_count_otherwise_moves_nothing_on_any_row() {
        let mut painter = Painter::new(Vec::new());
        let mut terminal = terminal();
        for words in [
            "👍🏽",
            "🇩🇪",
            "👩\u{200d}💻",
            "1\u{fe0f}\u{20e3}",
            "ﾊﾟ",
            "e\u{301}\u{323}",
            "日本",
            "🫨",
        ] {
            let mut frame = blank();
            frame.set_string(0, 1, words.repeat(15), Look::new());
            frame.set_string(12, 1, "note ok", Look::new());
            frame.set_string(0, 2, "WARN w1.example.com", Look::new());
            crate::widgets::clusters::mark_disputed(&mut frame);
            // To vt100 the mark is no character.
            painter.forget();
            painter.show(frame.clone(), 3).unwrap();
            terminal.process(&std::mem::take(&mut painter.out));
            let row = |n| terminal.screen().rows(0, SIZE.0).nth(n).unwrap();
            assert!(row(1).ends_with("note ok"), "{words}: {}", row(1));
            assert_eq!(row(2), "WARN w1.example.com", "{words}");
            assert_eq!((row(0).trim(), row(3).trim()), ("", ""), "{words}");
        }
    }

    #[test]
    fn behind_what_is_not_plain_the_place_is_said() {
        let written = |frames: &[&str]| {
            let mut painter = Painter::new(Vec::new());
            for text in frames {
                painter.out.clear();
                let mut frame = blank();
                frame.set_string(0, 0, text, Look::new());
                painter.show(frame, 3).unwrap();
            }
            String::from_utf8(painter.out).unwrap()
        };
        assert!(written(&["😀ab"]).contains("😀\x1b[1;3Hab"));
        assert!(written(&["e\u{301}ab"]).contains("e\u{301}\x1b[1;2Hab"));
        assert!(written(&["éab"]).contains("éab"), "a plain letter");
        // Beneath a wide one nothing is left where a terminal takes it for narrow.
        assert!(written(&["xyz", "😀z"]).contains("\x1b[2X😀"));
    }

    #[test]
    fn a_change_of_style_is_one_short_sequence() {
        let style = |text, modifier| Style {
            text,
            modifier,
            ..Style::default()
        };
        let plain = Style::default();
        let warm = style(Color::Yellow, Modifier::empty());
        let bad = style(Color::Red, Modifier::BOLD);
        assert_eq!(plain.change_to(&bad), "\x1b[1;31m");
        assert_eq!(bad.change_to(&warm), "\x1b[0;33m");
        assert_eq!(warm.change_to(&bad), "\x1b[1;31m");
        assert_eq!(bad.change_to(&plain), "\x1b[m");
        assert_eq!(
            warm.change_to(&style(Color::Reset, Modifier::REVERSED)),
            "\x1b[7;39m"
        );
    }
}
