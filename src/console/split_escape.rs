//! Puts escape sequences together again that came in two packets: crossterm reads the first half as the
//! Esc key and the second as letters, which would cancel a dialog and then press keys.

use super::heard::{Input, typed_character};

/// More than any sequence of a keyboard is long.
const LONGEST: usize = 16;

/// What has come since an Esc that may be the beginning of a sequence.
#[derive(Default)]
pub(super) struct SplitEscape {
    rest: Option<String>,
    /// The sequence began a paste whose end crossterm will not recognise: all is dropped until it is
    /// quiet, since none of it was typed.
    pasted: bool,
}

impl SplitEscape {
    /// Whether more has to be waited for, for a short time.
    pub(super) fn is_waiting(&self) -> bool {
        self.rest.is_some() || self.pasted
    }

    /// Takes an input in; gives those that are certain now.
    pub(super) fn hear(&mut self, input: Input) -> Vec<Input> {
        let typed = match &input {
            Input::Key(_) | Input::Paste(_) if self.pasted => return Vec::new(),
            Input::Key(key) => typed_character(key),
            _ => None,
        };
        let Some(rest) = &mut self.rest else {
            if input == key("esc") {
                self.rest = Some(String::new());
                return Vec::new();
            }
            return vec![input];
        };
        match (rest.as_str(), typed) {
            ("", Some(c @ ('[' | 'O'))) => rest.push(c),
            ("", _) => {
                // An Esc, and then something else.
                self.rest = None;
                let mut heard = vec![key("esc")];
                heard.extend(self.hear(input));
                return heard;
            }
            (_, Some(c)) if c.is_ascii() && rest.len() < LONGEST => {
                rest.push(c);
                if matches!(c, '@'..='~') {
                    let sequence = self.rest.take().unwrap_or_default();
                    self.pasted = sequence == "[200~";
                    return meaning(&sequence).map(key).into_iter().collect();
                }
            }
            // Nothing that a keyboard sends: dropped, as an unknown sequence is.
            _ => {
                self.rest = None;
                return self.hear(input);
            }
        }
        Vec::new()
    }

    /// Nothing more came: an Esc alone was the key; half of a sequence was nothing.
    pub(super) fn give_up(&mut self) -> Vec<Input> {
        self.pasted = false;
        match self.rest.take() {
            Some(rest) if rest.is_empty() => vec![key("esc")],
            _ => Vec::new(),
        }
    }
}

fn key(name: &str) -> Input {
    Input::Key(name.to_owned())
}

/// The key that sends `sequence` (without its Esc), of those that the console knows.
fn meaning(sequence: &str) -> Option<&'static str> {
    Some(match sequence.get(1..)? {
        "A" => "up",
        "B" => "down",
        "C" => "right",
        "D" => "left",
        "H" | "1~" | "7~" => "home",
        "F" | "4~" | "8~" => "end",
        "Z" => "backtab",
        "3~" => "delete",
        "5~" => "pageup",
        "6~" => "pagedown",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `^` stands for Esc.
    fn hear(split: &mut SplitEscape, keys: &str) -> String {
        let names = keys.chars().map(|c| match c {
            '^' => "esc".to_owned(),
            c => c.to_string(),
        });
        words(names.flat_map(|name| split.hear(key(&name))).collect())
    }

    fn words(heard: Vec<Input>) -> String {
        let names = heard.into_iter().map(|input| match input {
            Input::Key(name) => name,
            other => panic!("{other:?}"),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_arrow_in_two_packets_is_an_arrow_and_no_escape() {
        let mut split = SplitEscape::default();
        assert_eq!(hear(&mut split, "^"), "");
        assert!(split.is_waiting());
        assert_eq!(hear(&mut split, "[B"), "down");
        assert_eq!(hear(&mut split, "^OF^[5~j"), "end pageup j");
        assert!(!split.is_waiting());
    }

    #[test]
    fn an_escape_alone_is_the_key_once_it_is_quiet() {
        let mut split = SplitEscape::default();
        hear(&mut split, "^");
        assert_eq!(words(split.give_up()), "esc");
        assert!(!split.is_waiting());
    }

    #[test]
    fn an_escape_and_a_key_are_two_keys() {
        let mut split = SplitEscape::default();
        assert_eq!(hear(&mut split, "^j"), "esc j");
        assert_eq!(hear(&mut split, "^^"), "esc");
        assert_eq!(words(split.give_up()), "esc");
    }

    #[test]
    fn unknown_sequences_and_halves_press_nothing() {
        let mut split = SplitEscape::default();
        assert_eq!(hear(&mut split, "^[99X^[1"), "");
        assert_eq!(words(split.give_up()), "");
        assert_eq!(hear(&mut split, "X"), "X");
    }

    #[test]
    fn a_paste_whose_beginning_was_split_types_nothing() {
        let mut split = SplitEscape::default();
        assert_eq!(hear(&mut split, "^[200~Xy"), "");
        assert_eq!(words(split.give_up()), "");
        assert_eq!(hear(&mut split, "j"), "j");
    }
}
