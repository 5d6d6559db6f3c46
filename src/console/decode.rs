//! Bytes from the terminal become inputs. An escape sequence may come in two packets, a paste in many,
//! and a terminal's answer at any time: none of them is ever taken for keys. It reads nothing itself.

use std::time::Duration;

use termina::escape::csi::{Csi, Cursor};
use termina::event::{KeyCode, KeyEvent, KeyEventKind, Modifiers};
use termina::{Event, Parser};
use zeroize::Zeroizing;

use super::heard::Input;

/// How long the rest of an escape sequence may be on its way: more than a laggy link needs between two
/// packets that were sent together, less than a person waits for Esc.
const ESCAPE: Duration = Duration::from_millis(100);
/// Time for the rest of a string that is for a terminal, once more of it came than anybody types by mistake.
const STRING: Duration = Duration::from_secs(1);
/// So much of it, in bytes.
const BEGUN: usize = 8;
/// How long the rest of a paste may be on its way. Then it is dropped, and what comes later with it: it would
/// be taken for keys, and may be a private key.
const PASTE: Duration = Duration::from_secs(10);
/// No sequence of a keyboard or a terminal's answer is longer.
const LONGEST: usize = 256;
/// A paste that is longer is dropped whole, in bytes.
const LONGEST_PASTE: usize = 1024 * 1024;

const ESC: u8 = 0x1b;
const CTRL_C: u8 = 0x03;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
/// What an operating system command, a device control, an application's, a private message and a start of string
/// begin with, behind Esc (ECMA-48 §5.6). All end with a string terminator; none is a key.
const STRINGS: &[u8] = b"]P_^X";
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// What has come so far of a sequence or a paste that isn't whole.
#[derive(Default)]
pub(super) struct Decoder {
    parser: Parser,
    /// The bytes that gave no input yet.
    open: Vec<u8>,
    /// The bytes of a paste, which may be a secret: they go nowhere else.
    paste: Option<Zeroizing<Vec<u8>>>,
    /// How many bytes of a paste were dropped, since it is too long.
    too_long: usize,
    /// How many bytes came of a string that is for a terminal. They are kept nowhere.
    string: Option<usize>,
    /// A paste broke off: everything is swallowed until its end, of which this is what has come.
    swallowed: Option<Vec<u8>>,
    /// While that is so, an Esc came alone: the person wants out.
    wants_out: bool,
}

impl Decoder {
    /// Takes bytes in; gives the inputs that are whole now.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Vec<Input> {
        let mut heard = Vec::new();
        if self.swallowed.is_some() {
            // No text that is pasted holds these alone.
            self.wants_out = bytes == [ESC] || bytes == [CTRL_C];
        }
        for &byte in bytes {
            if self.swallowed.is_some() {
                heard.extend(self.swallow(byte));
                continue;
            }
            if self.paste.is_some() {
                heard.extend(self.pasted(byte));
                continue;
            }
            if self.string.is_some() && self.is_within_string(byte) {
                continue;
            }
            if self.open.is_empty() && (b' '..=b'~').contains(&byte) {
                // Most of what comes, and a paste without brackets may be long.
                let name = if byte == b' ' {
                    "space".to_owned()
                } else {
                    char::from(byte).to_string()
                };
                heard.push(Input::Key(name));
                continue;
            }
            if byte == ESC && self.open == [ESC] {
                // Two in a row: the first was the key, the second may begin a sequence.
                self.feed(None, &mut heard);
            }
            self.open.push(byte);
            if self.open.ends_with(PASTE_BEGINS) {
                self.forget();
                self.paste = Some(Zeroizing::default());
            } else if self.open.ends_with(PASTE_ENDS) {
                self.forget();
                heard.push(Input::PasteEnded);
            } else if let [ESC, kind] = self.open.as_slice()
                && STRINGS.contains(kind)
            {
                self.forget();
                self.string = Some(0);
            } else if let Some(as_kitty) = modified(&self.open) {
                self.forget();
                as_kitty
                    .bytes()
                    .for_each(|byte| self.feed(Some(byte), &mut heard));
            } else {
                self.feed(Some(byte), &mut heard);
                if self.open.len() > LONGEST {
                    self.forget();
                }
            }
        }
        heard
    }

    /// Whether a byte belongs to the string that has begun, or ends it. Another escape sequence breaks it off.
    fn is_within_string(&mut self, byte: u8) -> bool {
        match (self.open.as_slice(), byte) {
            ([ESC], b'\\') | ([], BEL | CAN | SUB) => {
                self.open.clear();
                self.string = None;
            }
            ([], ESC) => self.open.push(ESC),
            ([ESC], _) => {
                self.string = None;
                self.parser.parse(&[ESC], true);
                return false;
            }
            _ => self.string = self.string.map(|n| n + 1),
        }
        true
    }

    /// How long to wait for the rest of what is not whole; nothing if all is.
    pub(super) fn wait(&self) -> Option<Duration> {
        match (&self.paste, self.open.is_empty()) {
            _ if self.wants_out => Some(ESCAPE),
            (Some(_), _) => Some(PASTE),
            _ if self.string.is_some_and(|n| n >= BEGUN) => Some(STRING),
            _ if self.string.is_some() => Some(ESCAPE),
            (None, false) => Some(ESCAPE),
            (None, true) => None,
        }
    }

    /// Nothing more came: an Esc alone was the key; half of a sequence or of a paste was nothing.
    pub(super) fn give_up(&mut self) -> Vec<Input> {
        let mut heard = Vec::new();
        if std::mem::take(&mut self.wants_out) {
            self.swallowed = None;
        }
        if self.paste.take().is_some() {
            self.swallowed = Some(Vec::new());
            self.too_long = 0;
            heard.push(Input::PasteBroke);
        }
        if self.string.take().is_none() {
            self.feed(None, &mut heard);
        }
        self.forget();
        heard
    }

    /// A byte, or that no more come.
    fn feed(&mut self, byte: Option<u8>, heard: &mut Vec<Input>) {
        self.parser.parse(byte.as_slice(), byte.is_some());
        while let Some(event) = self.parser.pop() {
            self.open.clear();
            heard.extend(inputs(&event));
        }
    }

    fn forget(&mut self) {
        self.open.clear();
        self.parser = Parser::default();
    }

    fn swallow(&mut self, byte: u8) -> Option<Input> {
        let tail = self.swallowed.as_mut()?;
        tail.push(byte);
        if tail.ends_with(PASTE_ENDS) {
            self.swallowed = None;
            return Some(Input::PasteEnded);
        }
        if tail.len() >= PASTE_ENDS.len() {
            tail.remove(0);
        }
        None
    }

    fn pasted(&mut self, byte: u8) -> Option<Input> {
        let paste = self.paste.as_mut()?;
        // Room beforehand: a buffer that moves leaves what it held behind.
        if paste.capacity() == paste.len() {
            let mut roomy = Zeroizing::new(Vec::with_capacity((paste.len() * 2).max(4096)));
            roomy.extend_from_slice(paste);
            *paste = roomy;
        }
        paste.push(byte);
        let is_whole = paste.ends_with(PASTE_ENDS);
        if !is_whole && paste.len() >= LONGEST_PASTE + PASTE_ENDS.len() {
            // Too long: only its end is looked for.
            let dropped = paste.len() - PASTE_ENDS.len();
            paste.drain(..dropped);
            self.too_long += dropped;
        }
        if !is_whole {
            return None;
        }
        let whole = self.paste.take()?;
        let text = whole.len() - PASTE_ENDS.len();
        Some(match std::mem::take(&mut self.too_long) {
            0 => Input::Paste(String::from_utf8_lossy(&whole[..text]).into_owned()),
            dropped => Input::PasteTooLong(dropped + text),
        })
    }
}

/// A key as `modifyOtherKeys` of xterm sends it (`CSI 27 ; modifiers ; code ~`), in the other form that there is for
/// the same (`CSI code ; modifiers u`), which is the one that is parsed.
fn modified(sequence: &[u8]) -> Option<String> {
    let parameters = sequence.strip_prefix(b"\x1b[27;")?.strip_suffix(b"~")?;
    let (modifiers, code) = std::str::from_utf8(parameters).ok()?.split_once(';')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(modifiers) && is_number(code)).then(|| format!("\x1b[{code};{modifiers}u"))
}

fn inputs(event: &Event) -> Vec<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => keys(*key),
        Event::Csi(Csi::Cursor(Cursor::ActivePositionReport { col, .. })) => {
            vec![Input::Answered(col.get_zero_based())]
        }
        _ => Vec::new(),
    }
}

/// The keys that were pressed, by their names in the keymap. An Esc and a key that came in one packet
/// look like the key with Alt; no key with Alt means anything here, so they are the two keys, unless the
/// second one begins a sequence of its own.
fn keys(key: KeyEvent) -> Vec<Input> {
    let alt = key.modifiers.contains(Modifiers::ALT);
    if alt && matches!(key.code, KeyCode::Char('N' | 'X' | '^' | '_')) {
        return Vec::new();
    }
    let escape = alt.then(|| "esc".to_owned());
    escape.into_iter().chain(name(key)).map(Input::Key).collect()
}

fn name(key: KeyEvent) -> Option<String> {
    let name = match key.code {
        KeyCode::Char(' ') if key.modifiers.contains(Modifiers::CONTROL) => return None,
        KeyCode::Char(' ') => "space",
        KeyCode::Char(c) if key.modifiers.contains(Modifiers::CONTROL) => {
            return Some(format!("ctrl-{}", c.to_ascii_lowercase()));
        }
        KeyCode::Char(c) => return Some(c.to_string()),
        KeyCode::Enter => "enter",
        KeyCode::Escape => "esc",
        KeyCode::Tab => "tab",
        KeyCode::BackTab => "backtab",
        KeyCode::Backspace => "backspace",
        KeyCode::Delete => "delete",
        KeyCode::Up => "up",
        KeyCode::Down => "down",
        KeyCode::Left => "left",
        KeyCode::Right => "right",
        KeyCode::Home => "home",
        KeyCode::End => "end",
        KeyCode::PageUp => "pageup",
        KeyCode::PageDown => "pagedown",
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each string is a packet; `^` stands for Esc, `|` for a pause. Gives the keys, and what else came.
    fn heard(packets: &[&str]) -> String {
        let mut decoder = Decoder::default();
        let mut heard = Vec::new();
        for packet in packets {
            match *packet {
                "|" => heard.extend(decoder.give_up()),
                packet => heard.extend(decoder.hear(packet.replace('^', "\x1b").as_bytes())),
            }
        }
        let words = heard.into_iter().map(|input| match input {
            Input::Key(name) => name,
            Input::Paste(text) => format!("<{text}>"),
            Input::Answered(column) => format!("@{column}"),
            Input::PasteBroke => "broke".to_owned(),
            Input::PasteTooLong(n) => format!("<{n}>"),
            Input::PasteEnded => "ended".to_owned(),
            other => panic!("{other:?}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_arrow_in_two_packets_is_an_arrow_and_no_escape() {
        assert_eq!(heard(&["^", "[B"]), "down");
        assert_eq!(heard(&["^O", "F^[5", "~j"]), "end pageup j");
    }

    #[test]
    fn an_escape_alone_is_the_key_once_it_is_quiet() {
        assert_eq!(heard(&["^"]), "");
        assert_eq!(heard(&["^", "|"]), "esc");
        assert_eq!(heard(&["^^", "|"]), "esc esc");
        assert_eq!(heard(&["^", "^[A"]), "esc up");
    }

    #[test]
    fn an_escape_and_a_key_are_two_keys() {
        assert_eq!(heard(&["^j"]), "esc j");
        assert_eq!(heard(&["^", "j"]), "esc j");
    }

    #[test]
    fn unknown_sequences_and_halves_press_nothing() {
        assert_eq!(heard(&["^[99X^[1", "|", "X"]), "X");
        assert_eq!(heard(&["^]11;rgb:12", "|", "j"]), "j");
        assert_eq!(heard(&["^X", "|", "j"]), "j");
    }

    #[test]
    fn a_paste_is_one_thing_in_however_many_packets() {
        assert_eq!(heard(&["^[200~Xy^[201~j"]), "<Xy> j");
        assert_eq!(heard(&["^", "[20", "0~X", "y^", "[201~", "j"]), "<Xy> j");
        assert_eq!(
            heard(&["^[200~Xy", "|", "SECRET\rq", "^[20", "1~j"]),
            "broke ended j",
            "its end came late"
        );
        assert_eq!(heard(&["^[200~Xy", "|", "SECRET", "^", "|", "j"]), "broke j");
        assert_eq!(heard(&["^[200~Xy", "|", "\u{3}", "|", "j"]), "broke j");
        assert_eq!(heard(&["^[200~Xy", "|", "^", "SECRET", "|", "j"]), "broke");
        let long = "x".repeat(LONGEST_PASTE + 1);
        assert_eq!(
            heard(&["^[200~", &long, "^[201~j"]),
            format!("<{}> j", LONGEST_PASTE + 1)
        );
        let huge = "y".repeat(10 * LONGEST_PASTE);
        assert_eq!(
            heard(&["^[200~", &huge, "^[201~j"]),
            format!("<{}> j", 10 * LONGEST_PASTE)
        );
    }

    #[test]
    fn the_mark_of_an_end_outside_of_a_paste_is_told() {
        assert_eq!(heard(&["^[200~X^[201~c^[201~"]), "<X> c ended");
        assert_eq!(heard(&["^[200~X^[201~", "c^[20", "1~j"]), "<X> c ended j");
    }

    #[test]
    fn no_string_for_a_terminal_becomes_keys_however_long_it_is() {
        let long = "qX".repeat(5000);
        for begins in ["]", "P", "_", "^", "X"] {
            for ends in ["\u{7}", "\x1b\\"] {
                let mut decoder = Decoder::default();
                let mut keys = decoder.hear(format!("j\x1b{begins}{long}").as_bytes());
                keys.extend(decoder.hear(format!("{long}{ends}k").as_bytes()));
                assert!(
                    keys == [Input::Key("j".to_owned()), Input::Key("k".to_owned())],
                    "{begins}"
                );
            }
        }
        assert_eq!(
            heard(&["^_Gq", "^[A", "j"]),
            "up j",
            "broken off by another sequence"
        );
        assert_eq!(heard(&["^_Gqqqqqqqqqq", "|", "j"]), "j");
        assert_eq!(heard(&["^_G", "^", "\\", "j"]), "j");
    }

    #[test]
    fn keys_with_modifiers_are_read_in_both_forms() {
        assert_eq!(
            heard(&["^[27;5;99~", "^[27;5;", "117~", "^[99;5u"]),
            "ctrl-c ctrl-u ctrl-c"
        );
        assert_eq!(heard(&["^[27;2;13~j"]), "enter j");
    }

    #[test]
    fn an_answer_of_the_terminal_is_no_key() {
        assert_eq!(heard(&["j^[2;17Rk"]), "j @16 k");
        assert_eq!(heard(&["^[2;", "17R", "^[?62;c"]), "@16");
    }

    #[test]
    fn a_character_in_two_packets_is_one() {
        let mut decoder = Decoder::default();
        let [one, two] = *"ü".as_bytes() else {
            panic!("two bytes")
        };
        assert_eq!(decoder.hear(&[one]), []);
        assert_eq!(decoder.hear(&[two]), [Input::Key("ü".to_owned())]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_wait_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = Decoder::default();
            decoder.hear(&bytes);
            decoder.give_up();
            prop_assert_eq!(decoder.wait(), None);
        }
    }
}
