//! A thing as the screen knows it, and an action's refusal of it. The same rule says no on the screen, before a plan is
//! asked for, and in the plan, so that nothing is offered that can only be refused.

use std::collections::BTreeMap;

use crate::domain::agent::Agent;
use crate::domain::certificate::Certificate;
use crate::domain::finding::Finding;
use crate::domain::request::Request;
use crate::problem::Problem;
use crate::wire::certs::CertificateDetail;

/// A thing that an action is to be started on, by what is known of it.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A certificate.
    Certificate(SeenCertificate<'a>),
    /// An agent.
    Agent(&'a Agent),
    /// A request.
    Request(&'a Request),
    /// A thing that a finding alone tells of.
    Finding(&'a Finding),
    /// Nothing but its name.
    Unknown,
}

/// A certificate as the screen knows it.
#[derive(Clone, Copy, Debug)]
pub struct SeenCertificate<'a> {
    /// Its row.
    pub row: &'a Certificate,
    /// Its detail, where that was opened.
    pub detail: Option<&'a CertificateDetail>,
    /// The CA's revocation list that was looked into has it.
    pub is_listed: bool,
}

/// The reason for which an action isn't carried out on a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In a word or two, for lines that count.
    pub word: &'static str,
    /// As an answer.
    pub problem: Problem,
}

impl Refusal {
    pub(super) fn new(word: &'static str, problem: Problem) -> Self {
        Self { word, problem }
    }
}

/// The refusals of all of several things, in one sentence; of one thing its own.
pub(super) fn in_words(all: &[Refusal]) -> String {
    if let [one] = all {
        return one.problem.what.clone();
    }
    let mut by_word: BTreeMap<&str, usize> = BTreeMap::new();
    for refusal in all {
        *by_word.entry(refusal.word).or_default() += 1;
    }
    let counts: Vec<String> = by_word.iter().map(|(word, n)| format!("{n} {word}")).collect();
    format!("none of these {}: {}", all.len(), counts.join(", "))
}
