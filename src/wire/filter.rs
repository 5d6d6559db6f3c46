//! The language that lists are filtered in, the same on the screen and in the API: words that a row must
//! contain, `~` words whose letters it must contain in that order, fields such as `status:active` or
//! `expires:<7d`, with `|` between two texts for either of them, and `!` before any of them for rows that don't. What
//! a field means is up to the list.

use chrono::Duration;

use crate::domain::clue::{Clue, readings};
use crate::domain::id::{EntityKind, kind_of};
use crate::domain::key::KeyAlgorithm;
use crate::domain::told::cut;

/// No filter is longer, in characters: on the screen, in the API and in what is kept.
pub const LONGEST: usize = 200;
/// No filter has more words: each is looked for in every column.
pub const MOST_WORDS: usize = 20;

/// The fields that certificates can be filtered by.
pub const CERTIFICATE_FIELDS: &[&str] = &[
    "status", "expires", "agent", "owner", "key", "issuer", "serial", "domain", "covers",
];
/// What a certificate's `status:` can be: the screen's own words, and `any`, since lists on a screen leave out what is
/// replaced.
pub const CERTIFICATE_STATUSES: &[&str] = &[
    "active", "expiring", "expired", "revoked", "revoking", "refused", "held", "leaked", "replaced", "any",
];
/// The words of an agent's `status:`.
pub const AGENT_STATUSES: &[&str] = &["active", "banned"];
/// The words of a request's `status:`.
pub const REQUEST_STATUSES: &[&str] = &["pending", "issuing", "issued", "failed", "denied", "cancelled"];
/// The fields that agents can be filtered by.
pub const AGENT_FIELDS: &[&str] = &["status", "silent", "host", "owner", "address", "cert"];
/// The fields that requests can be filtered by.
pub const REQUEST_FIELDS: &[&str] = &["status", "asked", "agent", "open", "cert", "error"];
/// The fields that audit rows can be filtered by.
pub const AUDIT_FIELDS: &[&str] = &["entity", "actor", "action", "outcome", "when", "ticket", "run"];
/// The fields that tokens can be filtered by.
pub const TOKEN_FIELDS: &[&str] = &["role", "purpose", "name", "parent"];

/// The outcomes of audit rows, in the words that the screen shows (`AuditRow::outcome_word`).
pub const AUDIT_OUTCOMES: &[&str] = &[
    "asked", "done", "proven", "reported", "waiting", "stopped", "unsent", "refused", "failed", "unknown",
];

/// The sort of value that a field is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A text that it contains.
    Text,
    /// A thing, by what it is known by.
    Thing(Thing),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Distance of a time to come.
    Ahead,
    /// Distance of a time that has passed.
    Ago,
    /// Yes or no.
    Flag,
}

/// A thing that a field names. What can't be one is refused: an empty list would say that nothing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A certificate, by its name, serial or id.
    Certificate,
    /// An agent, by its host's name or its id.
    Agent,
    /// A key, by its hash, or keys of a kind.
    Key,
    /// A serial.
    Serial,
    /// A domain, with all names beneath it.
    Domain,
    /// A host's name that a certificate is good for.
    HostName,
    /// A run, by its id.
    Run,
    /// A token, by its id.
    Token,
}

impl Thing {
    /// Name for it, with its article.
    #[must_use]
    pub fn known_by(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate's name or a part of it, its serial or its id",
            Self::Agent => "a host's name or a part of it, or an agent's id",
            Self::Key => {
                "a key's hash or its beginning, from four hex digits on, or an algorithm such as ecdsa"
            }
            Self::Serial => "a serial or a part of it, in hex or decimal",
            Self::Domain => "a domain's whole name: it and all that is beneath it",
            Self::HostName => "a host's whole name, which a wildcard may cover",
            Self::Run => "a run's id (run_…) or its beginning",
            Self::Token => "a token's id (tok_…) or its beginning",
        }
    }

    /// True if it can be one, by what was typed of it so far.
    fn may_be(self, text: &str) -> bool {
        let text = text.to_lowercase();
        match self {
            Self::Certificate => of_another_kind(&text, EntityKind::Certificate).is_none(),
            Self::Agent => of_another_kind(&text, EntityKind::Agent).is_none(),
            Self::Key => is_hash(&text) || is_algorithm(&text),
            Self::Serial => {
                let digits = text.strip_prefix("0x").unwrap_or(&text);
                let is_digit = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '-');
                !digits.is_empty() && digits.chars().all(is_digit)
            }
            Self::Domain | Self::HostName => {
                let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | ':');
                !text.is_empty() && text.chars().all(in_name)
            }
            Self::Run => is_part_of_id(&text, "run_"),
            Self::Token => is_part_of_id(&text, "tok_"),
        }
    }

    /// Refuses a text that can't be one, for the field or parameter with this name.
    ///
    /// # Errors
    /// The form that is wanted, and the one that this has.
    pub fn check(self, name: &str, text: &str) -> Result<(), String> {
        if self.may_be(text) {
            return Ok(());
        }
        let is = match kind_of(&text.to_lowercase()) {
            Some(kind) => format!("the id of {}", kind.with_article()),
            None => "none".to_owned(),
        };
        Err(format!(
            "`{name}` wants {}; `{}` is {is}",
            self.known_by(),
            cut(text, 60)
        ))
    }
}

/// Letters behind the prefix of an id from which on it can be no name.
const FEWEST_OF_ID: usize = 6;

/// The kind of thing whose id it is, where that isn't `wanted`.
fn of_another_kind(text: &str, wanted: EntityKind) -> Option<EntityKind> {
    let kind = kind_of(text).filter(|kind| *kind != wanted)?;
    let (_, tail) = text.split_once('_')?;
    (tail.len() >= FEWEST_OF_ID).then_some(kind)
}

/// True if it is the beginning of a hash, or a whole one in any notation.
fn is_hash(text: &str) -> bool {
    let digits = text.chars().filter(|c| !matches!(c, ':' | '-'));
    let is_hex = digits.clone().all(|c| c.is_ascii_hexdigit()) && digits.count() >= 4;
    is_hex || readings(text).iter().any(|it| matches!(it.clue, Clue::Sha256(_)))
}

/// True if it is a part of an algorithm's name: the platform's own, or what certificates hold where it has none.
fn is_algorithm(text: &str) -> bool {
    let is_part = KeyAlgorithm::ALL.iter().any(|it| it.word().contains(text));
    let numbers = text.strip_prefix("rsa-").or_else(|| text.strip_prefix("ecdsa-"));
    is_part
        || numbers
            .unwrap_or(text)
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.')
}

/// True if it is an id with this prefix, or a part of one.
fn is_part_of_id(text: &str, prefix: &str) -> bool {
    let tail = text.strip_prefix(prefix);
    let in_tail = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // Ids are made without these letters, so that none is read as another one.
    let in_made = |c: char| c.is_ascii_alphanumeric() && !"ilou".contains(c);
    match tail {
        Some(tail) => tail.chars().all(in_tail),
        None => prefix.starts_with(text) || text.chars().all(in_made),
    }
}

/// Columns of a list that a word is looked for in, in the words of its headings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookedInto {
    /// Those, and what isn't in a column.
    pub into: &'static str,
    /// Columns that are on screen and aren't looked into.
    pub not: &'static str,
}

/// Columns that words are looked for in, of a list with these fields; none where a row is looked into as a whole.
#[must_use]
pub fn looked_into(fields: &[&str]) -> Option<LookedInto> {
    let (into, not) = match fields {
        CERTIFICATE_FIELDS => (
            "certificate, host and serial, hashes and ids",
            "status, ends, key or owner",
        ),
        AGENT_FIELDS => (
            "agent, owner, address and ids",
            "health, silent, last check-in or on",
        ),
        REQUEST_FIELDS => (
            "request, ids and what went wrong",
            "status, tries, asked, by or what one waits for",
        ),
        AUDIT_FIELDS => (
            "who, what, outcome, why, tickets and ids",
            "when or the names of things (entity: finds them)",
        ),
        _ => return None,
    };
    Some(LookedInto { into, not })
}

/// The sort of value that the field called `name` takes, in a list that knows `fields`: help is written from it, and
/// filters are read by it.
#[must_use]
pub fn takes(fields: &[&str], name: &str) -> Takes {
    match name {
        "status" if fields == CERTIFICATE_FIELDS => Takes::OneOf(CERTIFICATE_STATUSES),
        "status" if fields == AGENT_FIELDS => Takes::OneOf(AGENT_STATUSES),
        "status" if fields == REQUEST_FIELDS => Takes::OneOf(REQUEST_STATUSES),
        "outcome" => Takes::OneOf(AUDIT_OUTCOMES),
        "expires" => Takes::Ahead,
        "silent" | "asked" | "when" => Takes::Ago,
        "open" => Takes::Flag,
        "cert" => Takes::Thing(Thing::Certificate),
        "agent" => Takes::Thing(Thing::Agent),
        "host" if fields == AGENT_FIELDS => Takes::Thing(Thing::Agent),
        "key" => Takes::Thing(Thing::Key),
        "serial" => Takes::Thing(Thing::Serial),
        "domain" => Takes::Thing(Thing::Domain),
        "covers" => Takes::Thing(Thing::HostName),
        "run" => Takes::Thing(Thing::Run),
        "parent" => Takes::Thing(Thing::Token),
        _ => Takes::Text,
    }
}

/// Headings of a list, each with the field that it means.
pub type Headings = &'static [(&'static str, &'static str)];

/// Headings of columns that are filtered by a field of another name: what stands over a column can be typed.
const HEADINGS: &[(&[&str], Headings)] = &[
    (
        CERTIFICATE_FIELDS,
        &[("ends", "expires"), ("host", "agent"), ("on", "agent")],
    ),
    (AGENT_FIELDS, &[("agent", "host")]),
    (REQUEST_FIELDS, &[("why", "error"), ("host", "agent")]),
    (
        AUDIT_FIELDS,
        &[("who", "actor"), ("what", "action"), ("on", "entity")],
    ),
];

/// The headings that a list with these fields has for fields of another name.
#[must_use]
pub fn headings(fields: &[&str]) -> Headings {
    let of = HEADINGS.iter().find(|(list, _)| *list == fields);
    of.map_or(&[], |(_, headings)| headings)
}

/// The field that is meant by `name`, which may be a heading.
fn field_of<'a>(fields: &[&str], name: &'a str) -> &'a str {
    let of = headings(fields).iter().find(|(heading, _)| *heading == name);
    of.map_or(name, |(_, field)| field)
}

/// The fields of a list in one line, each with the headings that mean it.
fn known(fields: &[&str]) -> String {
    let with_headings = |field: &&str| {
        let meant = headings(fields).iter().filter(|(_, of)| of == field);
        let meant: Vec<&str> = meant.map(|(heading, _)| *heading).collect();
        match meant.as_slice() {
            [] => (*field).to_owned(),
            meant => format!("{field} (or {})", meant.join(", ")),
        }
    };
    fields.iter().map(with_headings).collect::<Vec<_>>().join(", ")
}

/// Every field that some list knows: what only looks like a field, such as a serial, is a word.
fn is_field(name: &str) -> bool {
    let lists = [
        CERTIFICATE_FIELDS,
        AGENT_FIELDS,
        REQUEST_FIELDS,
        AUDIT_FIELDS,
        TOKEN_FIELDS,
    ];
    lists.iter().any(|fields| fields.contains(&name))
}

/// What stands before a colon, where that can't be a serial, an address or a URL.
fn meant_as_field(word: &str) -> Option<&str> {
    let (name, value) = word.split_once(':')?;
    let is_name = name.len() > 2 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_hex = name.chars().all(|c| c.is_ascii_hexdigit());
    let is_address =
        value.starts_with("//") || (!value.is_empty() && value.chars().all(|c| c.is_ascii_digit()));
    (is_name && !is_hex && !is_address).then_some(name)
}

/// A filter that was read: every term must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The terms, in the order typed.
    pub terms: Vec<Term>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// It must not hold.
    pub not: bool,
    /// On which field; none for a word that may be anywhere in the row.
    pub field: Option<String>,
    /// What is wanted.
    pub wants: Wants,
}

/// What a term wants of its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// It contains this, in any case; a field with fixed words is one of them.
    Text(String),
    /// It contains these letters in this order.
    Letters(String),
    /// It is yes or no.
    Flag(bool),
    /// It is less than so far ahead, or ago.
    Within(Duration),
    /// It is at least so far ahead, or ago.
    Beyond(Duration),
}

impl Filter {
    /// Whether something is looked for by a word.
    #[must_use]
    pub fn has_word(&self) -> bool {
        self.terms.iter().any(|term| term.field.is_none() && !term.not)
    }

    /// True if it chooses certificates whatever became of them: by a status, or by a word, which is to be found
    /// everywhere. Without it, those are left out that a newer one took the place of.
    #[must_use]
    pub fn chooses_status(&self) -> bool {
        self.names("status") || self.has_word()
    }

    /// Whether something is said of this field.
    #[must_use]
    pub fn names(&self, field: &str) -> bool {
        self.terms.iter().any(|term| term.field.as_deref() == Some(field))
    }

    /// Reads what was typed, for a list that knows `fields`.
    ///
    /// # Errors
    /// Which limit it is over, which field is not known here, or what its value is not.
    pub fn read(text: &str, fields: &[&str]) -> Result<Self, String> {
        fits(text)?;
        let terms = text.split_whitespace().map(|word| Term::read(word, fields));
        Ok(Self {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }
}

/// Whether it is short enough to be one.
///
/// # Errors
/// Which limit it is over.
pub fn fits(text: &str) -> Result<(), String> {
    let n = text.chars().count();
    if n > LONGEST {
        return Err(format!(
            "a filter has at most {LONGEST} characters, this one has {n}"
        ));
    }
    let words = text.split(|c: char| c.is_whitespace() || c == '|');
    match words.filter(|word| !word.is_empty()).count() {
        n if n > MOST_WORDS => Err(format!(
            "a filter has at most {MOST_WORDS} words, this one has {n}"
        )),
        _ => Ok(()),
    }
}

impl Term {
    fn read(word: &str, fields: &[&str]) -> Result<Self, String> {
        let (not, rest) = match word.strip_prefix('!') {
            Some("") => return Err("`!` wants something behind it".to_owned()),
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let typed = rest
            .split_once(':')
            .map(|(name, value)| (field_of(fields, name), value));
        let (field, value) = match typed.filter(|(name, _)| is_field(name)) {
            Some((name, _)) if !fields.contains(&name) => {
                let known = known(fields);
                return Err(format!("this list has no `{name}`; it has: {known}"));
            }
            Some((name, "")) => return Err(format!("`{name}:` wants something behind it")),
            Some((name, value)) => (Some(name.to_owned()), value),
            // A misspelt field that became a word would find nothing, or with `!` hide nothing.
            None if let Some(name) = meant_as_field(rest) => {
                let known = known(fields);
                return Err(format!("no field is called `{name}`; this list has: {known}"));
            }
            None => (None, rest),
        };
        let name = field.as_deref().unwrap_or_default();
        let wants = match (takes(fields, name), value.strip_prefix('~')) {
            (Takes::OneOf(words), _) => {
                let word = value.to_lowercase();
                if !words.contains(&word.as_str()) {
                    return Err(format!("{name} is one of: {}", words.join(", ")));
                }
                Wants::Text(word)
            }
            (Takes::Flag, _) => Wants::Flag(flag(value)?),
            (Takes::Ahead | Takes::Ago, _) => how_far(name, value)?,
            (Takes::Text | Takes::Thing(_), Some("")) => {
                return Err("`~` wants letters behind it".to_owned());
            }
            (Takes::Text | Takes::Thing(_), Some(letters)) => Wants::Letters(letters.to_owned()),
            (Takes::Text, None) => Wants::Text(value.to_owned()),
            (Takes::Thing(thing), None) => {
                let mut each = value.split('|').filter(|text| !text.is_empty());
                each.try_for_each(|text| thing.check(name, text))?;
                Wants::Text(value.to_owned())
            }
        };
        Ok(Self { not, field, wants })
    }
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("write `open:yes` or `open:no`".to_owned()),
    }
}

fn how_far(name: &str, value: &str) -> Result<Wants, String> {
    let wrong = || format!("write `{name}:<7d` or `{name}:>30d`; the units are m, h, d and w");
    match value.strip_prefix('>') {
        Some(rest) => span(rest).map(Wants::Beyond).ok_or_else(wrong),
        None => {
            let within = span(value.strip_prefix('<').unwrap_or(value));
            within.map(Wants::Within).ok_or_else(wrong)
        }
    }
}

/// `15m`, `36h`, `7d`, `2w`; at most a hundred years.
fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let n: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        'w' => 7 * 24 * 60,
        _ => return None,
    };
    let minutes = n.checked_mul(minutes)?;
    (0..=100 * 366 * 24 * 60)
        .contains(&minutes)
        .then(|| Duration::minutes(minutes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Term>, String> {
        Filter::read(text, CERTIFICATE_FIELDS).map(|filter| filter.terms)
    }

    fn term(not: bool, field: &str, wants: Wants) -> Term {
        let field = Some(field).filter(|field| !field.is_empty()).map(str::to_owned);
        Term { not, field, wants }
    }

    #[test]
    fn fields_words_letters_and_their_inverses_go_together() {
        let text = |text: &str| Wants::Text(text.to_owned());
        assert_eq!(
            read("status:active  shop !agent:cdn ~wb1 !old expires:<7d !expires:>2w").unwrap(),
            [
                term(false, "status", text("active")),
                term(false, "", text("shop")),
                term(true, "agent", text("cdn")),
                term(false, "", Wants::Letters("wb1".to_owned())),
                term(true, "", text("old")),
                term(false, "expires", Wants::Within(Duration::days(7))),
                term(true, "expires", Wants::Beyond(Duration::days(14))),
            ]
        );
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(read(&"x".repeat(LONGEST)).is_ok());
        assert!(
            read(&"x".repeat(LONGEST + 1))
                .unwrap_err()
                .contains("at most 200")
        );
    }

    #[test]
    fn a_serial_is_a_word_and_a_field_of_another_list_is_told() {
        assert_eq!(
            read("4f:2a:00").unwrap(),
            [term(false, "", Wants::Text("4f:2a:00".to_owned()))]
        );
        for word in [
            "localhost:8443",
            "https://x.example.com/y",
            "abc:de:f0",
            "web-01:443",
        ] {
            assert_eq!(
                read(word).unwrap(),
                [term(false, "", Wants::Text(word.to_owned()))]
            );
        }
        assert!(
            read("entity:crt_1")
                .unwrap_err()
                .contains("status, expires (or ends), agent (or host, on)")
        );
        assert_eq!(
            read("status:EXPIRED").unwrap(),
            [term(false, "status", Wants::Text("expired".to_owned()))]
        );
        assert_eq!(
            read("status:old").unwrap_err(),
            "status is one of: active, expiring, expired, revoked, revoking, refused, held, leaked, replaced, any"
        );
        for wrong in [
            "expires:soon",
            "expires:<",
            "expires:99999999999999w",
            "status:",
            "!",
            "~",
            "key:~",
            "!ownr:cdn",
            "expire:<7d",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_stands_over_a_column_names_its_field() {
        let term = |text: &str, fields| Filter::read(text, fields).unwrap().terms;
        for (heading, field, fields) in [
            ("ends:<7d", "expires:<7d", CERTIFICATE_FIELDS),
            ("!host:web-01", "!agent:web-01", CERTIFICATE_FIELDS),
            ("on:web-01", "agent:web-01", CERTIFICATE_FIELDS),
            ("agent:web", "host:web", AGENT_FIELDS),
            ("why:denied", "error:denied", REQUEST_FIELDS),
            ("host:web", "agent:web", REQUEST_FIELDS),
            ("who:dana", "actor:dana", AUDIT_FIELDS),
            ("what:revoke", "action:revoke", AUDIT_FIELDS),
            ("on:crt_1", "entity:crt_1", AUDIT_FIELDS),
        ] {
            assert_eq!(term(heading, fields), term(field, fields), "{heading}");
        }
        // Each leads to a field of its list, and hides none.
        for (fields, headings) in HEADINGS {
            for (heading, field) in *headings {
                assert!(fields.contains(field) && !fields.contains(heading), "{heading}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "!?((status|expires|open):)?[<>~]?\\PC{0,30}") {
            let _ = Filter::read(&text, CERTIFICATE_FIELDS);
        }
    }
}
