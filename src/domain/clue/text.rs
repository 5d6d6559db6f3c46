//! Words around a clue: the labels that tools write before it, what is copied along with it, and names.

use std::net::IpAddr;

use crate::domain::plain::is_hidden;

/// What a label says that the value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Nothing, or something that doesn't decide.
    None,
    /// A serial.
    Serial,
    /// A name.
    Name,
}

/// A value without its label.
pub(super) struct Said {
    pub(super) value: String,
    pub(super) label: Label,
}

/// Words of labels, in lower case and without spaces, and what they say. The longest first where one begins as
/// another does.
const LABELS: &[(&str, Label)] = &[
    ("x509v3subjectalternativename", Label::Name),
    ("certificateserialnumber", Label::Serial),
    ("serialnumber", Label::Serial),
    ("serialno", Label::Serial),
    ("serial", Label::Serial),
    ("sn", Label::Serial),
    ("sha256fingerprint", Label::None),
    ("sha1fingerprint", Label::None),
    ("fingerprint(sha-256)", Label::None),
    ("fingerprint(sha256)", Label::None),
    ("fingerprint(sha-1)", Label::None),
    ("fingerprint(sha1)", Label::None),
    ("fingerprintsha256", Label::None),
    ("fingerprintsha1", Label::None),
    ("sha-256fingerprint", Label::None),
    ("sha-1fingerprint", Label::None),
    ("certhash(sha1)", Label::None),
    ("fingerprint", Label::None),
    ("thumbprint", Label::None),
    ("pin-sha256", Label::None),
    ("spki", Label::None),
    ("x5t#s256", Label::None),
    ("sha-256", Label::None),
    ("sha256", Label::None),
    ("sha-1", Label::None),
    ("sha1", Label::None),
    ("host", Label::None),
    ("hostname", Label::None),
    ("server", Label::None),
    ("-connect", Label::None),
    ("dns", Label::Name),
    ("ipaddress", Label::Name),
    ("ip", Label::Name),
    ("email", Label::Name),
    ("uri", Label::None),
    ("commonname", Label::Name),
    ("cn", Label::Name),
    ("subject", Label::Name),
];

/// What stands around a value where it was copied from.
fn is_around(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | ',' | ';' | '<' | '>' | '(' | ')' | '“' | '”' | '„'
        )
}

/// The value without labels and without what was copied along with it.
pub(super) fn without_label(text: &str) -> Said {
    // A browser copies some of these along with fingerprints.
    let is_seen = |c: &char| c.is_control() || !is_hidden(*c);
    let text: String = text.chars().filter(is_seen).collect();
    let mut value = text
        .trim_matches(|c| is_around(c) && c != '(' && c != ')')
        .to_owned();
    let mut label = Label::None;
    for _ in 0..3 {
        let Some((says, rest)) = labelled(&value) else {
            break;
        };
        if says != Label::None || label == Label::None {
            label = says;
        }
        value = rest;
    }
    let keeps = label == Label::Serial;
    let value = value.trim_matches(|c| is_around(c) && !(keeps && matches!(c, '(' | ')')));
    Said {
        value: value.to_owned(),
        label,
    }
}

fn labelled(text: &str) -> Option<(Label, String)> {
    if let Some(rest) = text
        .strip_prefix("-connect ")
        .or_else(|| text.strip_prefix("openssl s_client -connect "))
    {
        return Some((Label::None, rest.split_whitespace().next()?.to_owned()));
    }
    let folded: String = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    for (word, says) in LABELS {
        let Some(behind) = folded.strip_prefix(word) else {
            continue;
        };
        let separated =
            behind.starts_with([':', '=']) || (behind.starts_with('/') && word.starts_with("sha"));
        if !separated {
            continue;
        }
        // That place in the text itself.
        let n = word.chars().count() + 1;
        let mut seen = 0;
        let at = text.char_indices().find_map(|(at, c)| {
            seen += usize::from(!c.is_whitespace());
            (seen == n).then_some(at + c.len_utf8())
        })?;
        let rest = text.get(at..)?.trim();
        // `ip:8080` and `host:443` are addresses.
        let is_port = behind.starts_with(':')
            && !rest.is_empty()
            && rest.len() <= 5
            && rest.bytes().all(|b| b.is_ascii_digit());
        let is_pair = behind.starts_with(':') && word.len() == 2 && *says == Label::Serial && rest.len() < 4;
        if !is_port && !is_pair && (word.starts_with("sha") || !rest.starts_with("//")) {
            return Some((*says, rest.to_owned()));
        }
    }
    None
}

/// The names in it, with what each was read as: several alternative names, the common name of a subject, an
/// address in the notation of certificates, a name under a wildcard.
pub(super) fn names(value: &str) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    let value = value.trim();
    let common = ["CN=", "CN =", "cn="]
        .iter()
        .find_map(|label| value.split_once(label));
    let value = common.map_or(value, |(_, rest)| {
        rest.split([',', '/', '+']).next().unwrap_or(rest).trim()
    });
    let parts = value.split([',', ';']);
    let parts = parts.map(|part| {
        let part = part.trim();
        ["DNS:", "IP Address:", "IP:", "email:"]
            .iter()
            .find_map(|label| part.strip_prefix(label))
            .unwrap_or(part)
    });
    for name in parts.filter(|name| !name.is_empty()) {
        let in_brackets = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = in_brackets.parse::<IpAddr>() {
            names.push(("an IP address".to_owned(), ip.to_string()));
            continue;
        }
        let name = name.trim_end_matches('.').to_lowercase();
        if name.split_whitespace().count() != 1 {
            continue;
        }
        names.push(("a name".to_owned(), name.clone()));
        if let Some((_, domain)) = name.split_once('.')
            && domain.contains('.')
            && !name.starts_with('*')
        {
            names.push((format!("a name under *.{domain}"), format!("*.{domain}")));
        }
    }
    if names.is_empty() && !value.is_empty() {
        names.push(("words".to_owned(), value.to_lowercase()));
    }
    // All of them as they are come before the wildcards above them.
    names.sort_by_key(|(words, _)| words.starts_with("a name under"));
    names
}
