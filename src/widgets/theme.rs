//! Styles by meaning. Without colours every meaning is kept by modifier, glyph or word.

use ratatui::style::{Color, Modifier, Style};

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

pub use crate::config::console::Colours as Palette;

impl Palette {
    /// The style of a meaning.
    #[must_use]
    pub fn style(self, meaning: Meaning) -> Style {
        let plain = Style::new();
        let style = match meaning {
            Meaning::Plain => plain,
            Meaning::Dim => plain.add_modifier(Modifier::DIM),
            Meaning::Good => plain.fg(Color::Green),
            Meaning::Warn => plain.fg(Color::Yellow),
            Meaning::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            Meaning::Title => plain.add_modifier(Modifier::BOLD),
            Meaning::Key => plain.fg(Color::Cyan).add_modifier(Modifier::BOLD),
            Meaning::Danger => plain
                .fg(Color::Red)
                .add_modifier(Modifier::REVERSED | Modifier::BOLD),
            Meaning::Cursor => plain.add_modifier(Modifier::REVERSED),
            Meaning::CursorElsewhere => plain.add_modifier(Modifier::UNDERLINED),
            Meaning::Focus => plain.fg(Color::Cyan).add_modifier(Modifier::BOLD),
            Meaning::Frame => plain.add_modifier(Modifier::DIM),
        };
        match self {
            Self::Sixteen => style,
            Self::Safe => Style {
                fg: style.fg.map(safe),
                ..style
            },
            Self::Mono => Style { fg: None, ..style },
        }
    }
}

/// The colour-blind safe one of a colour.
fn safe(colour: Color) -> Color {
    match colour {
        Color::Green => Color::Indexed(32),
        Color::Yellow => Color::Indexed(214),
        Color::Red => Color::Indexed(166),
        Color::Cyan => Color::Indexed(38),
        other => other,
    }
}
