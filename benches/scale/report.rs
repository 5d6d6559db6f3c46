//! The report: printed as it is measured, and kept in `docs/scale.md`.

use std::fmt::{Display, Formatter, Write};
use std::time::Duration;

use crate::ask::Answered;
use crate::questions::{Goal, Question};

/// Number of rows in the database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) certificates: usize,
    pub(crate) agents: usize,
    pub(crate) requests: usize,
    pub(crate) audit_rows: usize,
}

impl Size {
    /// The size that the goals are for.
    pub(crate) const FULL: Self = Self {
        certificates: 1_000_000,
        agents: 100_000,
        requests: 50_000,
        audit_rows: 2_000_000,
    };
}

impl Display for Size {
    fn fmt(&self, to: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            to,
            "{} certificates, {} agents, {} installations, {} requests, {} audit rows",
            self.certificates,
            self.agents,
            3 * self.agents,
            self.requests,
            self.audit_rows
        )
    }
}

/// Pieces of work done in a second, and those of what it is held against.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) beside: f64,
}

pub(crate) struct Report {
    pub(crate) size: Size,
    rows: String,
    n_held: usize,
    n: usize,
}

impl Report {
    pub(crate) fn new(size: Size) -> Self {
        Self {
            size,
            rows: String::new(),
            n_held: 0,
            n: 0,
        }
    }

    pub(crate) fn add(&mut self, question: &Question, answered: &Answered) {
        let of = |times: &crate::times::Times| match times.len() {
            0 => "–".to_owned(),
            _ => format!("{}, {}", ms(times.at(50)), ms(times.at(99))),
        };
        let goal = match question.goal {
            Goal::Within(most) => Some(most),
            Goal::Over(more) if answered.raw.len() > 0 => Some(answered.raw.at(99) + more),
            Goal::Over(_) => None,
        };
        let is_held = answered.refused.is_none()
            && answered.times.len() > 0
            && goal.is_some_and(|goal| answered.times.at(99) <= goal);
        self.n += 1;
        self.n_held += usize::from(is_held);
        let row = format!(
            "| {} | {} | {} | {} | {} |",
            question.name,
            of(&answered.times),
            of(&answered.raw),
            goal.map_or_else(|| "–".to_owned(), ms),
            match (&answered.refused, is_held) {
                (Some(why), _) => format!("not answered: {why}"),
                (None, true) => "yes".to_owned(),
                (None, false) => "**no**".to_owned(),
            }
        );
        println!("{row}");
        writeln!(self.rows, "{row}").unwrap();
    }

    /// A rate, as a share of what it is held against, and the least that it has to be.
    pub(crate) fn add_rate(&mut self, name: &str, rate: Rate, goal: f64) {
        let share = rate.per_second / rate.beside;
        let is_held = share >= goal;
        self.n += 1;
        self.n_held += usize::from(is_held);
        let row = format!(
            "| {name} | {:.0}/s | {:.0}/s | {:.0} % of it, or more | {}, {:.0} % |",
            rate.per_second,
            rate.beside,
            goal * 100.0,
            if is_held { "yes" } else { "**no**" },
            share * 100.0
        );
        println!("{row}");
        writeln!(self.rows, "{row}").unwrap();
    }

    /// Keeps it.
    pub(crate) fn write(&self) {
        let text = format!(
            "# Measured at size\n\nWritten by `cargo bench --bench scale`: a private PostgreSQL with {}, the API of one \
             `cmp-server`, one question at a time, each beside the raw statement. {} of {} goals are held.\n\n\
             | question | p50, p99 | raw: p50, p99 | goal for p99 | held |\n|---|---|---|---|---|\n{}",
            self.size, self.n_held, self.n, self.rows
        );
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scale.md");
        std::fs::write(file, text).unwrap();
        println!(
            "{} of {} goals are held; the report is in docs/scale.md",
            self.n_held, self.n
        );
    }
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms < 10.0 {
        true => format!("{ms:.1} ms"),
        false => format!("{ms:.0} ms"),
    }
}
