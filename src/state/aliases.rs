//! Other names of commands on the command line. A name is whole, or it is none.

/// Other names of commands, as editors and other consoles have them.
const ALIASES: &[(&str, &[&str])] = &[
    (
        "quit",
        &[
            "q", "q!", "quit!", "exit", "exit!", "x", "x!", "wq", "wq!", "qa", "qa!", "bye",
        ],
    ),
    ("help", &["h", "?", "keys", "man"]),
    ("triage", &["findings", "home"]),
    ("certificates", &["c", "cert", "certs", "crt"]),
    ("agents", &["a", "agent", "hosts"]),
    ("requests", &["req", "reqs", "request"]),
    ("services", &["svc", "backends", "status"]),
    ("runs", &["run"]),
    ("contexts", &["ctxs"]),
    ("context", &["ctx", "use-context"]),
    ("command-log", &["history", "commands"]),
    ("logs", &["log", "messages"]),
    ("refresh", &["reload", "e!"]),
    ("checkin", &["check-in"]),
    ("find", &["search"]),
];

/// The aliases of a command.
#[must_use]
pub fn aliases(name: &str) -> &'static [&'static str] {
    let known = ALIASES.iter().find(|(of, _)| *of == name);
    known.map_or(&[], |(_, aliases)| aliases)
}

/// The name of a command whose alias this is, or the word itself.
#[must_use]
pub fn named(word: &str) -> &str {
    let known = ALIASES.iter().find(|(_, aliases)| aliases.contains(&word));
    known.map_or(word, |(name, _)| name)
}
