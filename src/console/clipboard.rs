//! Copying to the clipboard of the terminal that the person sits at (OSC 52), through tmux and screen as
//! well. It is written only: what is on the clipboard is never asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::plain::plain_lines;
use crate::state::{State, Tone};

/// What a terminal takes at most, in bytes of base64: xterm's limit.
const MOST: usize = 74_994;
/// What screen passes through at most in one piece, in bytes.
const PIECE: usize = 512;

/// What stands between the program and the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// Nothing that is known of.
    Nothing,
    /// tmux.
    Tmux,
    /// GNU screen.
    Screen,
}

impl Through {
    /// What this program runs under.
    pub(super) fn here() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self::of(
            set("TMUX"),
            set("STY"),
            &std::env::var("TERM").unwrap_or_default(),
        )
    }

    /// As the environment has it, by the variables `TMUX`, `STY` and `TERM`.
    pub(super) fn of(tmux: bool, sty: bool, term: &str) -> Self {
        match (tmux, sty) {
            (true, _) => Self::Tmux,
            (false, true) => Self::Screen,
            // The one beside us on the way here, which no variable tells of.
            (false, false) if term.starts_with("tmux") => Self::Tmux,
            (false, false) if term.starts_with("screen") => Self::Screen,
            (false, false) => Self::Nothing,
        }
    }

    /// What to write for `text` to be copied, which may have lines and holds no other control character
    /// then: who pastes it types it. tmux takes the plain sequence or passes the wrapped one on,
    /// as it is configured; the other one does nothing.
    pub(super) fn sequence(self, text: &str) -> String {
        let plain = format!("\x1b]52;c;{}\x07", STANDARD.encode(plain_lines(text)));
        match self {
            Self::Nothing => plain,
            Self::Tmux => format!("{plain}\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b")),
            Self::Screen => {
                // Base64 and the two controls are one byte a character.
                let pieces = plain.as_bytes().chunks(PIECE);
                pieces
                    .map(|piece| format!("\x1bP{}\x1b\\", String::from_utf8_lossy(piece)))
                    .collect()
            }
        }
    }
}

/// Whether a terminal takes a text so long; says so if not.
pub(super) fn takes(state: &mut State, text: &str) -> bool {
    let fits = text.len().div_ceil(3) * 4 <= MOST;
    if !fits {
        let words = format!(
            "{} bytes are too much for a terminal's clipboard: `:export` it",
            text.len()
        );
        state.say(Tone::Bad, words);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_multiplexer_is_recognised_and_wrapped_for() {
        assert_eq!(Through::of(true, false, "screen-256color"), Through::Tmux);
        assert_eq!(Through::of(false, true, "screen"), Through::Screen);
        assert_eq!(Through::of(false, false, "tmux-256color"), Through::Tmux);
        assert_eq!(Through::of(false, false, "xterm-256color"), Through::Nothing);
        assert_eq!(Through::Nothing.sequence("hi"), "\x1b]52;c;aGk=\x07");
        assert_eq!(
            Through::Tmux.sequence("hi"),
            "\x1b]52;c;aGk=\x07\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\"
        );
        let pasted = "a\x1b[201~;id\x03\nb";
        assert_eq!(
            Through::Nothing.sequence(pasted),
            Through::Nothing.sequence("a\u{fffd}[201~;id\u{fffd}\nb")
        );
        let long = "x".repeat(600);
        let wrapped = Through::Screen.sequence(&long);
        assert_eq!(wrapped.matches("\x1bP").count(), 2);
        let joined = wrapped.replace("\x1bP", "").replace("\x1b\\", "");
        assert_eq!(joined, Through::Nothing.sequence(&long));
    }
}
