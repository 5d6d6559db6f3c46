//! A line of `config check`: what was looked at, how it is, in words. All lines are printed in columns.

use std::io::{IsTerminal, Write};

/// One thing that was looked at.
pub(super) struct Line {
    /// `api`, `vault`.
    pub(super) what: &'static str,
    /// Which one, or what about it.
    pub(super) which: String,
    pub(super) verdict: Verdict,
    /// What was found, and the next step if it is none that one wants.
    pub(super) words: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It answers, and somebody should look at it.
    Look,
    /// It doesn't answer, or refuses.
    Failed,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Look => "look",
            Self::Failed => "failed",
        }
    }

    /// Green, yellow, red; the word says it too.
    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Look => "\x1b[33m",
            Self::Failed => "\x1b[31m",
        }
    }
}

pub(super) fn line(what: &'static str, which: String, verdict: Verdict, words: String) -> Line {
    Line {
        what,
        which,
        verdict,
        words,
    }
}

pub(super) fn failed_line(what: &'static str, which: String, words: String) -> Line {
    line(what, which, Verdict::Failed, words)
}

/// Columns; colours on a terminal only.
pub(super) fn print(lines: &[(String, Line)]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let in_colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let widest = |of: fn(&(String, Line)) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let name_width = widest(|(name, _)| name.chars().count());
    let which_width = widest(|(_, line)| line.which.chars().count());
    for (name, line) in lines {
        let (begin, end) = match in_colour {
            true => (line.verdict.colour(), "\x1b[0m"),
            false => ("", ""),
        };
        writeln!(
            out,
            "{name:name_width$}  {:8}  {:which_width$}  {begin}{:6}{end}  {}",
            line.what,
            line.which,
            line.verdict.word(),
            line.words
        )?;
    }
    out.flush()
}
