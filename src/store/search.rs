//! Searches: what somebody types is looked for in every place of a row that has an index for it.
//!
//! A text is asked for in two ways that mean the same: as a statement that gives the ids of all rows that have it, each
//! part of which one index answers, and as a condition on one row. Which of the two costs less is up to
//! [`super::select`].

use std::collections::BTreeSet;

use crate::domain::clue::{Clue, readings};
use crate::domain::id::EntityKind;

use super::names::NameIs;
use super::scans::Scan;
use super::statement::Value;

/// Ids that all words of a kind were read for already.
pub(super) type Kept = Vec<(EntityKind, BTreeSet<String>)>;

/// A place that a text is looked for in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Comparison that is made there.
    pub(super) by: By,
    /// Statements that give ids; `?if` stands for the condition, `?words` for a statement that gives the ids of the words
    /// that it is in.
    pub(super) ids: &'static [&'static str],
    /// The condition on a row; `?if` as there.
    pub(super) row: &'static str,
}

/// The ids of the rows of a kind of which something holds, in a column with an index and few different values: these are
/// found one after the other. As a range of the index each is few to PostgreSQL, which of a kind that it doesn't know yet
/// expects too many for an index.
macro_rules! of_kind {
    ($table:literal, $id:literal, $column:literal) => {
        concat!(
            "SELECT o.",
            $id,
            " AS id FROM (WITH RECURSIVE kind (value) AS (SELECT MIN(f.",
            $column,
            ") FROM ",
            $table,
            " f UNION ALL SELECT (SELECT MIN(n.",
            $column,
            ") FROM ",
            $table,
            " n WHERE n.",
            $column,
            " > kind.value) FROM kind WHERE kind.value IS NOT NULL) SELECT kind.value FROM kind WHERE ?if) k CROSS JOIN ",
            $table,
            " o WHERE o.",
            $column,
            " >= k.value AND o.",
            $column,
            " <= k.value"
        )
    };
}
pub(super) use of_kind;

impl Place {
    /// In the row itself.
    pub(super) const fn own(by: By, ids: &'static [&'static str]) -> Self {
        Self { by, ids, row: "?if" }
    }

    /// The statements that give ids, by this condition or statement. Words that several need are looked up once.
    fn ids_where(&self, condition: &str) -> Vec<String> {
        if self.ids.len() > 1 && self.ids.iter().all(|ids| ids.contains("?words")) {
            let each = self
                .ids
                .iter()
                .map(|ids| ids.replace("?words", "SELECT y.id FROM found y"));
            let each: Vec<String> = each.collect();
            return vec![format!(
                "SELECT z.id FROM (WITH found AS MATERIALIZED ({condition}) {}) z",
                each.join(" UNION ALL ")
            )];
        }
        let statement = |ids: &&str| ids.replace("?words", condition).replace("?if", condition);
        self.ids.iter().map(statement).collect()
    }
}

/// Comparisons of a text with what is in a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// It is in the words of the row with this id.
    Words(Words),
    /// It is in this column, which is one of those that these words are made of.
    Part(Words, &'static str),
    /// It is in this column, which has few different values.
    Kind(&'static str),
    /// It is the beginning of this hash, in lower-case hex.
    Hash(&'static str),
    /// It is this serial, in any notation.
    Serial(&'static str),
    /// It is the beginning of this id, which begins with the second.
    Id(&'static str, &'static str),
    /// It is, whole, a name of a certificate `c`, in one of these ways.
    Name(NameIs),
}

/// A table of words, `agent_words` and its like, with its index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// Whose.
    pub(super) kind: EntityKind,
    /// The table whose rows they are about, with an alias.
    pub(super) from: &'static str,
    /// The condition that the words `w` are about one of its rows.
    pub(super) are_of: &'static str,
}

impl Words {
    /// True if all of them may be read where no index knows what is looked for. The audit trail's have no end.
    fn may_be_read_whole(self) -> bool {
        self.kind != EntityKind::Audit
    }
}

/// A text that was typed, in lower case, and all that it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sought {
    text: String,
    /// As hex digits without what separates them, where it is written so.
    hex: Option<String>,
    hashes: Vec<String>,
    serials: Vec<String>,
}

/// The condition that one of these holds; of none, no row has it.
fn any_of(conditions: &[String]) -> String {
    match conditions.is_empty() {
        true => "1 = 0".to_owned(),
        false => conditions.join(" OR "),
    }
}

/// Fewer digits are the beginning of too much.
const FEWEST_DIGITS: usize = 4;
/// An id without its prefix is known as one from so many letters on.
const FEWEST_LETTERS: usize = 6;
/// Letters in a trigram: what is shorter is looked for at the beginning of a part of a name.
const TRIGRAM: usize = 3;

impl Sought {
    /// Reads what was typed.
    pub(super) fn read(typed: &str) -> Self {
        let text = typed.to_lowercase();
        // The root's dot behind a name is in no certificate.
        let text = match text.strip_suffix('.') {
            Some(name) if name.contains('.') => name.to_owned(),
            _ => text,
        };
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        let is_hex = digits.len() >= FEWEST_DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit());
        let hex = is_hex.then_some(digits);
        let mut hashes: Vec<String> = hex.iter().cloned().collect();
        let mut serials = Vec::new();
        for reading in readings(typed) {
            match reading.clue {
                Clue::Sha256(hash) | Clue::Sha1(hash) if !hashes.contains(&hash) => hashes.push(hash),
                Clue::Serial(serial) if !serials.contains(&serial) => serials.push(serial),
                _ => {}
            }
        }
        Self {
            text,
            hex,
            hashes,
            serials,
        }
    }

    /// The condition on a row that has letters in their order, whatever is between them.
    pub(super) fn letters(places: &[Place], pattern: &str, binds: &mut Vec<Value>) -> String {
        let at = format!("${}", binds.len() + 1);
        let conditions = places.iter().filter_map(|place| {
            let condition = match place.by {
                By::Words(words) => has_words(words, &like("w.words", &at)),
                By::Part(_, column) | By::Kind(column) => like(column, &at),
                By::Hash(_) | By::Serial(_) | By::Id(..) | By::Name(_) => return None,
            };
            Some(place.row.replace("?if", &condition))
        });
        let conditions: Vec<String> = conditions.collect();
        // A value that no condition names is refused.
        if !conditions.is_empty() {
            binds.push(Value::from(pattern.to_owned()));
        }
        any_of(&conditions)
    }

    /// Reads of all words that [`Sought::ids_of_letters`] needs.
    pub(super) fn scans_for_letters(places: &[Place], pattern: &str) -> Vec<Scan> {
        let mut scans: Vec<Scan> = Vec::new();
        for place in places {
            let (By::Words(words) | By::Part(words, _)) = place.by else {
                continue;
            };
            if scans.iter().all(|scan| scan.kind != words.kind) {
                scans.push(Scan {
                    kind: words.kind,
                    condition: words_have(pattern, "$1"),
                    binds: vec![Value::from(pattern.to_owned())],
                });
            }
        }
        scans
    }

    /// Statements that together give the ids of those rows.
    pub(super) fn ids_of_letters(
        places: &[Place],
        pattern: &str,
        kept: &Kept,
        binds: &mut Vec<Value>,
    ) -> Vec<String> {
        // Bound only where a condition names it: another value is refused.
        let at = "?letters";
        let statements = places.iter().flat_map(|place| {
            let condition = match place.by {
                By::Words(words) => all_words(words, &words_have(pattern, at), "", kept, binds),
                By::Part(words, column) => {
                    let and = of_row(words, &like(column, at));
                    all_words(words, &words_have(pattern, at), &and, kept, binds)
                }
                By::Kind(_) => Some(like("LOWER(kind.value)", at)),
                By::Hash(_) | By::Serial(_) | By::Id(..) | By::Name(_) => None,
            };
            condition.map_or_else(Vec::new, |condition| place.ids_where(&condition))
        });
        let mut statements: Vec<String> = statements.collect();
        if statements.iter().any(|text| text.contains(at)) {
            let bound = bind(binds, pattern.to_owned());
            for text in &mut statements {
                *text = text.replace(at, &bound);
            }
        }
        statements
    }

    /// Read of all words that [`Sought::ids_without`] needs.
    pub(super) fn scan_without(either: &[Self], places: &[Place]) -> Option<Scan> {
        let mut binds = Vec::new();
        let condition = Self::without(either, &mut binds);
        Some(Scan {
            kind: own_words(places)?.kind,
            condition,
            binds,
        })
    }

    /// A statement that gives the ids of all rows that have none of these texts, and of some that have one elsewhere than
    /// in their words; an empty list where there are none, and none where rows have no words of their own.
    pub(super) fn ids_without(
        either: &[Self],
        places: &[Place],
        kept: &Kept,
        binds: &mut Vec<Value>,
    ) -> Option<Vec<String>> {
        let words = own_words(places)?;
        // A value that no statement names is refused.
        if kept
            .iter()
            .any(|(kind, ids)| *kind == words.kind && ids.is_empty())
        {
            return Some(Vec::new());
        }
        let condition = Self::without(either, binds);
        Some(
            all_words(words, &condition, "", kept, binds)
                .into_iter()
                .collect(),
        )
    }

    /// The condition that the words `w` have none of these texts.
    fn without(either: &[Self], binds: &mut Vec<Value>) -> String {
        let conditions = either.iter().map(|text| text.is_in_words(binds));
        let conditions: Vec<String> = conditions.collect();
        format!("NOT ({})", any_of(&conditions))
    }

    /// Measure of its rarity: the longest is likely the rarest.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Statements that together give the ids of the rows that have it; none where some place has no index for it.
    pub(super) fn ids(
        &self,
        places: &[Place],
        postgres: bool,
        binds: &mut Vec<Value>,
    ) -> Option<Vec<String>> {
        let mut statements = Vec::new();
        for place in places {
            let condition = match place.by {
                By::Words(words) => Some(self.of_words(words, None, postgres, binds)?),
                By::Part(words, column) => Some(self.of_words(words, Some(column), postgres, binds)?),
                By::Kind(_) => Some(like("LOWER(kind.value)", &bind(binds, contains(&self.text)))),
                By::Name(is) => self.name().and_then(|name| is.in_names(name, binds)),
                _ => self.condition(place.by, binds),
            };
            let Some(condition) = condition else { continue };
            statements.extend(place.ids_where(&condition));
        }
        Some(statements)
    }

    /// The condition on a row that has it.
    pub(super) fn row(&self, places: &[Place], binds: &mut Vec<Value>) -> String {
        let conditions: Vec<String> = places
            .iter()
            .filter_map(|place| {
                let condition = match place.by {
                    // Not there is not that one.
                    By::Id(column, prefix) => self.is_id(&format!("COALESCE({column}, '')"), prefix, binds),
                    by => self.condition(by, binds),
                }?;
                Some(place.row.replace("?if", &condition))
            })
            .collect();
        any_of(&conditions)
    }

    /// The condition in one place; none where it can't be there.
    fn condition(&self, by: By, binds: &mut Vec<Value>) -> Option<String> {
        match by {
            By::Words(words) => Some(self.in_words(words, binds)),
            By::Part(words, column) => {
                let is_there = self.is_in(column, binds);
                Some(match self.is_short() {
                    // At the beginning of a part there, too.
                    true => format!("{} AND ({is_there})", self.in_words(words, binds)),
                    false => format!("({is_there})"),
                })
            }
            By::Kind(column) => Some(like(column, &bind(binds, contains(&self.text)))),
            By::Hash(column) => {
                let ranges = self.hashes.iter().map(|hash| within(column, hash, binds));
                let ranges: Vec<String> = ranges.collect();
                (!ranges.is_empty()).then(|| format!("({})", ranges.join(" OR ")))
            }
            By::Serial(column) => {
                let places = self.serials.iter().map(|serial| bind(binds, serial.clone()));
                let places: Vec<String> = places.collect();
                (!places.is_empty()).then(|| format!("{column} IN ({})", places.join(", ")))
            }
            By::Id(column, prefix) => self.is_id(column, prefix, binds),
            By::Name(is) => is.in_certificate(self.name()?, binds),
        }
    }

    /// As a name, where it can be one.
    fn name(&self) -> Option<&str> {
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | ':');
        (!self.text.is_empty() && self.text.chars().all(in_name)).then_some(self.text.as_str())
    }

    /// The condition that it is an id in a column, or its beginning.
    fn is_id(&self, column: &str, prefix: &str, binds: &mut Vec<Value>) -> Option<String> {
        let is_id = (self.text.len() >= FEWEST_LETTERS || self.text.starts_with(prefix))
            && self.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let begins = match self.text.starts_with(prefix) {
            true => self.text.clone(),
            false => format!("{prefix}{}", self.text),
        };
        is_id.then(|| within(column, &begins, binds))
    }

    /// The condition that it is in the words of a row.
    fn in_words(&self, words: Words, binds: &mut Vec<Value>) -> String {
        has_words(words, &self.is_in_words(binds))
    }

    /// A statement that gives the ids whose words it is in, and whose `column`; none where no index knows.
    fn of_words(
        &self,
        words: Words,
        column: Option<&str>,
        postgres: bool,
        binds: &mut Vec<Value>,
    ) -> Option<String> {
        let of = words.kind.word();
        let is_there = if postgres {
            if self.is_short() && !self.text.chars().all(char::is_alphanumeric) {
                return None;
            }
            format!("({})", self.is_in_words(binds))
        } else {
            let begins = match self.is_short() {
                true => "  ",
                false => "",
            };
            let phrase = |text: &str| format!("\"{begins}{}\"", text.replace('"', "\"\""));
            let either: Vec<String> = self.texts().map(phrase).collect();
            let at = bind(binds, either.join(" OR "));
            format!("w.n IN (SELECT t.rowid FROM {of}_trigrams t WHERE t.words MATCH {at})")
        };
        let and = column.map(|column| of_row(words, &self.is_in(column, binds)));
        let and = and.unwrap_or_default();
        Some(format!("SELECT w.id FROM {of}_words w WHERE {is_there}{and}"))
    }

    /// The condition that it is in a column.
    fn is_in(&self, column: &str, binds: &mut Vec<Value>) -> String {
        let either = self
            .texts()
            .map(|text| like(column, &bind(binds, contains(text))));
        either.collect::<Vec<_>>().join(" OR ")
    }

    /// The condition on the words `w`.
    fn is_in_words(&self, binds: &mut Vec<Value>) -> String {
        let pattern = |text: &str| match self.is_short() {
            true => format!("% {}%", literally(text)),
            false => contains(text),
        };
        let either = self
            .texts()
            .map(|text| like("w.words", &bind(binds, pattern(text))));
        either.collect::<Vec<_>>().join(" OR ")
    }

    /// As typed, and as digits alone where that is something else.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let digits = self.hex.as_deref().filter(|hex| *hex != self.text);
        [self.text.as_str()].into_iter().chain(digits)
    }

    fn is_short(&self) -> bool {
        self.text.chars().count() < TRIGRAM
    }
}

/// `%text%`, with its wildcards taken literally.
fn contains(text: &str) -> String {
    format!("%{}%", literally(text))
}

/// For LIKE … ESCAPE '\', with its wildcards taken literally.
pub(super) fn literally(text: &str) -> String {
    text.chars().fold(String::new(), |mut literal, c| {
        if matches!(c, '%' | '_' | '\\') {
            literal.push('\\');
        }
        literal.push(c);
        literal
    })
}

pub(super) fn like(column: &str, at: &str) -> String {
    format!("{column} LIKE {at} ESCAPE '\\'")
}

/// The condition that something holds of the words of a row. As a value it is looked up row by row: PostgreSQL would
/// rather read all words before the first row.
fn has_words(Words { kind, are_of, .. }: Words, condition: &str) -> String {
    let of = kind.word();
    format!(
        "COALESCE((SELECT CASE WHEN {condition} THEN 1 ELSE 0 END FROM {of}_words w WHERE {are_of}), 0) = 1"
    )
}

/// A statement that reads the words of all rows: no index knows what has no trigrams. Of what is kept it reads only that,
/// and judges it anew; none where that is nothing.
fn all_words(
    words: Words,
    condition: &str,
    and: &str,
    kept: &Kept,
    binds: &mut Vec<Value>,
) -> Option<String> {
    let of = words.kind.word();
    let ids = kept
        .iter()
        .find(|(kind, _)| *kind == words.kind)
        .map(|(_, ids)| ids);
    let condition = match ids {
        Some(ids) if ids.is_empty() => return None,
        Some(ids) => {
            let ids: Vec<String> = ids.iter().map(|id| bind(binds, id.clone())).collect();
            format!("w.id IN ({}) AND ({condition})", ids.join(", "))
        }
        None => condition.to_owned(),
    };
    Some(format!("SELECT w.id FROM {of}_words w WHERE {condition}{and}"))
}

/// The words that the rows themselves have, where all of them may be read.
fn own_words(places: &[Place]) -> Option<Words> {
    places.iter().find_map(|place| match place.by {
        By::Words(words) if place.row == "?if" && words.may_be_read_whole() => Some(words),
        _ => None,
    })
}

/// Reason that letters in their order, whatever is between them, can't be looked for in these places.
pub(super) fn takes_no_letters(places: &[Place]) -> Option<&'static str> {
    let is_endless =
        |place: &Place| matches!(place.by, By::Words(it) | By::Part(it, _) if !it.may_be_read_whole());
    if places.iter().any(is_endless) {
        return Some("the audit trail has no end, and no index knows them");
    }
    let is_name = |place: &Place| matches!(place.by, By::Name(_));
    places
        .iter()
        .all(is_name)
        .then_some("a whole name is wanted here")
}

/// The condition that the words `w` have letters in their order: which letters is looked at first, and only then the
/// text.
fn words_have(pattern: &str, at: &str) -> String {
    let (letters, is_there) = (letters_in(pattern), like("w.words", at));
    format!("CASE WHEN w.letters & {letters} = {letters} THEN {is_there} ELSE FALSE END")
}

/// Bits of the letters in a pattern, as `letters` of the tables of words has them: from g to z.
fn letters_in(pattern: &str) -> u32 {
    let bits = pattern
        .bytes()
        .filter(|letter| (b'g'..=b'z').contains(letter))
        .map(|letter| 1 << (letter - b'g'));
    bits.fold(0, |all: u32, bit: u32| all | bit)
}

/// One more condition, on the row that the words `w` are about. Row by row of those: no plan begins with the table.
fn of_row(words: Words, condition: &str) -> String {
    let Words { from, are_of, .. } = words;
    // The trail's words are rows of it, with its columns.
    if words.kind == EntityKind::Audit {
        return format!(" AND ({condition})");
    }
    format!(" AND (SELECT CASE WHEN {condition} THEN 1 ELSE 0 END FROM {from} WHERE {are_of}) = 1")
}

/// The place of one more value.
pub(super) fn bind(binds: &mut Vec<Value>, value: String) -> String {
    binds.push(Value::from(value));
    format!("${}", binds.len())
}

/// From `text` to before what follows all that begins with it: a range of the index, whatever plan is made.
fn within(column: &str, text: &str, binds: &mut Vec<Value>) -> String {
    let (from, to) = (bind(binds, text.to_owned()), bind(binds, format!("{text}\u{7f}")));
    format!("({column} >= {from} AND {column} < {to})")
}
