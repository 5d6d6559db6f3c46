//! The filter's grammar for help, made from the fields that the open list's filter knows.

use crate::state::cmd::{Cmd, InDialog};
use crate::state::keymap::Keymap;
use crate::views::View;
use crate::wire::filter::{AUDIT_FIELDS, Takes, Thing, headings, looked_into, takes};

/// Terms that can be typed, and what each finds; a heading has nothing before it. None where nothing is filtered.
pub(super) fn lines(view: &View, keymap: &Keymap) -> Vec<(String, String)> {
    if !view.is_filtered() {
        return Vec::new();
    }
    let fields = view.filters;
    let line = |term: &str, what: String| (term.to_owned(), what);
    let mut lines = vec![line("", format!("Filter of {}", view.title))];
    lines.extend(fields.iter().map(|name| {
        let what = match takes(fields, name) {
            Takes::Text => "contains this text".to_owned(),
            Takes::Thing(thing) => format!("is {}", thing.known_by()),
            Takes::OneOf(words) => format!("is one of {}", words.join(", ")),
            Takes::Ahead => "<7d within that time, >7d later; or 30m, 36h, 2w".to_owned(),
            Takes::Ago => "<7d less long ago, >7d longer ago; or 30m, 36h, 2w".to_owned(),
            Takes::Flag => "is yes or no".to_owned(),
        };
        (format!("{name}:"), what)
    }));
    lines.extend(headings(fields).iter().map(|(heading, field)| {
        let what = format!("the heading, the same as {field}:");
        (format!("{heading}:"), what)
    }));
    // The audit trail has no index by trigrams: there each row is looked at.
    let short = match fields == AUDIT_FIELDS {
        true => "",
        false => "; one or two letters begin a part of it",
    };
    let word = match looked_into(fields) {
        Some(it) => format!("a row that has it in {}, not in {}{short}", it.into, it.not),
        None => "a line that has it".to_owned(),
    };
    lines.extend([
        line("word", word),
        line("one two", "both".to_owned()),
        line("one|two", "either of two texts".to_owned()),
        line("~xyz", "has these letters in this order".to_owned()),
        line("!one", "a row that doesn't".to_owned()),
        line("for example", example(fields)),
    ]);
    let keys = [
        (InDialog::Previous, "the filter that is shown, then earlier ones"),
        (InDialog::Confirm, "keeps what is typed; an empty line shows all"),
        (InDialog::Close, "leaves what was shown before"),
    ];
    let keys = keys.map(|(is, what)| (keymap.key_of(Cmd::Dialog(is)).to_owned(), what.to_owned()));
    lines.extend(keys.into_iter().filter(|(key, _)| !key.is_empty()));
    lines
}

/// A filter that this list takes: of each sort of field the first.
fn example(fields: &[&str]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut told: Vec<std::mem::Discriminant<Takes>> = Vec::new();
    for name in fields {
        let is = takes(fields, name);
        let sort = std::mem::discriminant(&is);
        if told.contains(&sort) {
            continue;
        }
        told.push(sort);
        words.push(match is {
            Takes::Text => format!("!{name}:web"),
            Takes::Thing(Thing::Certificate | Thing::Agent) => format!("{name}:web-01"),
            Takes::Thing(_) => continue,
            Takes::OneOf(words) => format!("{name}:{}", words.first().unwrap_or(&"")),
            Takes::Ahead => format!("{name}:<7d"),
            Takes::Ago => format!("{name}:>2h"),
            Takes::Flag => format!("{name}:yes"),
        });
    }
    words.push("shop|mail".to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::ALL;
    use crate::wire::filter::Filter;

    #[test]
    fn every_field_and_value_that_is_told_is_taken_and_so_is_the_example() {
        for view in ALL.iter().filter(|view| view.is_filtered()) {
            let lines = lines(view, &Keymap::default());
            for name in view.filters {
                let told = lines.iter().find(|(term, _)| *term == format!("{name}:"));
                assert!(told.is_some(), "{} doesn't tell {name}", view.title);
                if let Takes::OneOf(words) = takes(view.filters, name) {
                    for word in words {
                        assert!(told.unwrap().1.contains(word));
                        assert!(Filter::read(&format!("{name}:{word}"), view.filters).is_ok());
                    }
                }
            }
            for (heading, field) in headings(view.filters) {
                let told = lines.iter().find(|(term, _)| *term == format!("{heading}:"));
                assert!(told.is_some_and(|(_, what)| what.ends_with(&format!("{field}:"))));
            }
            let (_, example) = lines.iter().find(|(term, _)| term == "for example").unwrap();
            assert!(Filter::read(example, view.filters).is_ok(), "{example}");
        }
        let triage = crate::views::find(crate::state::screen::ViewId::Triage);
        assert!(lines(triage, &Keymap::default()).is_empty());
    }
}
