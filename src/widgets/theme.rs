//! Styles by meaning. Without colours every meaning is kept by modifier, glyph or word.

use ratatui::style::{Color, Modifier, Style};

use crate::config::console::Colours;
use crate::state::Depth;

/// What something means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing special.
    Plain,
    /// Less important.
    Dim,
    /// As it should be.
    Good,
    /// Needs somebody soon.
    Warn,
    /// Broken.
    Bad,
    /// A heading.
    Title,
    /// A key to press.
    Key,
    /// What one must be careful with.
    Danger,
    /// The row with the cursor.
    Cursor,
    /// The row with the cursor in a pane without the focus.
    CursorElsewhere,
    /// The frame of the pane with the focus.
    Focus,
    /// A frame.
    Frame,
}

/// Which colours are used, as far as the terminal has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    colours: Colours,
    depth: Depth,
}

/// What a colour is for.
#[derive(Clone, Copy)]
enum Hue {
    Good,
    Warn,
    Bad,
    Key,
}

impl Palette {
    /// These colours on a terminal that has so many.
    #[must_use]
    pub fn new(colours: Colours, depth: Depth) -> Self {
        Self { colours, depth }
    }

    /// The style of a meaning.
    #[must_use]
    pub fn style(self, meaning: Meaning) -> Style {
        let plain = Style::new();
        let hue = |hue| Style {
            fg: self.colour(hue),
            ..plain
        };
        match meaning {
            Meaning::Plain => plain,
            Meaning::Dim | Meaning::Frame => plain.add_modifier(Modifier::DIM),
            Meaning::Good => hue(Hue::Good),
            Meaning::Warn => hue(Hue::Warn),
            Meaning::Bad => hue(Hue::Bad).add_modifier(Modifier::BOLD),
            Meaning::Title => plain.add_modifier(Modifier::BOLD),
            Meaning::Key | Meaning::Focus => hue(Hue::Key).add_modifier(Modifier::BOLD),
            Meaning::Danger => hue(Hue::Bad).add_modifier(Modifier::REVERSED | Modifier::BOLD),
            Meaning::Cursor => plain.add_modifier(Modifier::REVERSED),
            Meaning::CursorElsewhere => plain.add_modifier(Modifier::UNDERLINED),
        }
    }

    fn colour(self, hue: Hue) -> Option<Color> {
        let [sixteen, indexed, full] = match (self.colours, hue) {
            (Colours::Mono, _) => return None,
            (Colours::Sixteen, hue) => [sixteen(hue); 3],
            (Colours::Dark, Hue::Good) => [sixteen(hue), Color::Indexed(114), Color::Rgb(0x7f, 0xd8, 0x8f)],
            (Colours::Dark, Hue::Warn) => [sixteen(hue), Color::Indexed(221), Color::Rgb(0xff, 0xc8, 0x57)],
            (Colours::Dark, Hue::Bad) => [sixteen(hue), Color::Indexed(203), Color::Rgb(0xff, 0x6b, 0x6b)],
            (Colours::Dark, Hue::Key) => [sixteen(hue), Color::Indexed(81), Color::Rgb(0x6e, 0xc6, 0xff)],
            (Colours::Light, Hue::Good) => [sixteen(hue), Color::Indexed(22), Color::Rgb(0x1a, 0x7f, 0x37)],
            // The sixteen's yellow can't be read on white.
            (Colours::Light, Hue::Warn) => [Color::Magenta, Color::Indexed(94), Color::Rgb(0x8a, 0x5a, 0x00)],
            (Colours::Light, Hue::Bad) => [sixteen(hue), Color::Indexed(124), Color::Rgb(0xcf, 0x22, 0x2e)],
            (Colours::Light, Hue::Key) => [Color::Blue, Color::Indexed(25), Color::Rgb(0x09, 0x69, 0xda)],
            (Colours::Safe, Hue::Good) => [Color::Blue, Color::Indexed(32), Color::Indexed(32)],
            (Colours::Safe, Hue::Warn) => [Color::Yellow, Color::Indexed(214), Color::Indexed(214)],
            (Colours::Safe, Hue::Bad) => [Color::Red, Color::Indexed(166), Color::Indexed(166)],
            (Colours::Safe, Hue::Key) => [Color::Cyan, Color::Indexed(38), Color::Indexed(38)],
        };
        Some(match self.depth {
            Depth::Sixteen => sixteen,
            Depth::Indexed => indexed,
            Depth::True => full,
        })
    }
}

fn sixteen(hue: Hue) -> Color {
    match hue {
        Hue::Good => Color::Green,
        Hue::Warn => Color::Yellow,
        Hue::Bad => Color::Red,
        Hue::Key => Color::Cyan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2, definition of relative luminance).
    fn luminance(colour: [u8; 3]) -> f64 {
        let [r, g, b] = colour.map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// The colour of an index above 15, as xterm has it.
    fn rgb(colour: Color) -> [u8; 3] {
        let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
        match colour {
            Color::Rgb(r, g, b) => [r, g, b],
            Color::Indexed(n @ 16..=231) => [(n - 16) / 36, (n - 16) / 6 % 6, (n - 16) % 6].map(step),
            other => panic!("{other:?} is the terminal's own"),
        }
    }

    #[test]
    fn what_is_coloured_can_be_read_on_its_ground() {
        for (colours, ground) in [(Colours::Dark, [0x1e; 3]), (Colours::Light, [0xff; 3])] {
            for depth in [Depth::Indexed, Depth::True] {
                for meaning in [Meaning::Good, Meaning::Warn, Meaning::Bad, Meaning::Key] {
                    let colour = Palette::new(colours, depth).style(meaning).fg.unwrap();
                    let (one, other) = (luminance(rgb(colour)), luminance(ground));
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    // WCAG 2.2 §1.4.3
                    assert!(
                        contrast >= 4.5,
                        "{colours:?} {depth:?} {meaning:?}: {contrast:.1}"
                    );
                }
            }
        }
    }
}
