//! Tokens by the form that their makers give them: of Vault and OpenBao, of this platform's API, and JWTs.

/// Prefixes of tokens, the fewest letters behind each, and true where those must be of both cases, since the rest
/// may be a name otherwise.
const FORMS: &[(&str, usize, bool)] = &[
    ("hvs.", 12, false),
    ("hvb.", 12, false),
    ("hvr.", 12, false),
    // Of Vault before 1.10, and of OpenBao.
    ("s.", 24, true),
    ("b.", 24, true),
    ("r.", 24, true),
    // Of this platform (`store::tokens`).
    ("cmp_", 20, true),
];

/// The shortest part of a JWT that is taken for one.
const JWT_PART: usize = 8;

/// True if a token stands in `text`.
pub(super) fn is_in(text: &str) -> bool {
    let by_form = FORMS.iter().any(|(begins, fewest, both_cases)| {
        starts_of(text, begins).any(|behind| {
            let token = letters(behind);
            let has = |is: fn(&char) -> bool| token.chars().any(|c| is(&c));
            token.len() >= *fewest
                && (!both_cases || has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase))
        })
    });
    by_form || starts_of(text, "eyJ").any(is_jwt) || is_secret_id(text)
}

/// True if a UUID is said to be the secret of an AppRole: by itself it is an id.
fn is_secret_id(text: &str) -> bool {
    let words = ["secret_id", "secret-id", "secretid", "secret id"];
    let lower = text.to_ascii_lowercase();
    words.iter().any(|word| {
        lower.match_indices(word).any(|(at, word)| {
            let behind = lower.get(at + word.len()..).unwrap_or_default();
            let value = behind.trim_start_matches(|c: char| !c.is_ascii_hexdigit());
            behind.len() - value.len() <= 6 && is_uuid(value.get(..36).unwrap_or_default())
        })
    })
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(is_hex)
}

/// The text behind `begins`, from each word that begins so.
fn starts_of<'a>(text: &'a str, begins: &str) -> impl Iterator<Item = &'a str> {
    let places = text
        .match_indices(begins)
        .map(|(at, found)| (at, at + found.len()));
    let places: Vec<(usize, usize)> = places.collect();
    places.into_iter().filter_map(move |(at, behind)| {
        let before = text.get(..at)?.chars().next_back();
        let is_start = !before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        text.get(behind..).filter(|_| is_start)
    })
}

fn letters(text: &str) -> &str {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let n = text.find(|c| !is_letter(c)).unwrap_or(text.len());
    &text[..n]
}

/// True if the text behind `eyJ` goes on as a header and a claim do: base64 of JSON, a dot, more of it.
fn is_jwt(behind: &str) -> bool {
    let header = letters(behind);
    let claims = behind.get(header.len()..).and_then(|rest| rest.strip_prefix('.'));
    header.len() >= JWT_PART && claims.is_some_and(|claims| letters(claims).len() >= JWT_PART)
}
