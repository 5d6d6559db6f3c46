//! The facts of a certificate's revocation: how far it is by the record, and what the list says that its CA publishes now.

use chrono::{DateTime, Utc};

use super::detail::{Fact, fact, fact_that_means};
use super::times::full;
use crate::clients::crl::Says;
use crate::domain::certificate::{Certificate, Revocation};
use crate::domain::told::{SAID, cited};
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::widgets::theme::Meaning;

/// Facts on the certificate's page.
pub(super) fn facts(certificate: &Certificate, state: &State) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(revocation) = &certificate.revocation {
        facts.extend(on_record(certificate, revocation, state));
    }
    facts.push(in_crl(certificate, state));
    facts
}

fn on_record(certificate: &Certificate, revocation: &Revocation, state: &State) -> Vec<Fact> {
    let mut facts = Vec::new();
    let at = |at: Option<DateTime<Utc>>| at.map_or("not yet".to_owned(), |at| full(at, state));
    facts.push(fact_that_means(
        "Revocation",
        revocation.reason.name(),
        Meaning::Warn,
    ));
    facts.push(fact("  asked", full(revocation.asked_at, state)));
    facts.push(match certificate.refusal() {
        Some(words) => {
            let words = format!(
                "the CA refused, and can be asked again; it says {}",
                cited(words, SAID)
            );
            fact_that_means("  accepted", words, Meaning::Bad)
        }
        None => fact("  accepted", at(revocation.accepted_at)),
    });
    facts.push(match revocation.without_crl_at {
        Some(_) => fact("  in CRL", "none: the CA's yes is the end of it"),
        None if let Some((seen, list)) = revocation.fell_out() => {
            let words = format!(
                "no longer: was in it at {}, and {list} doesn't hold it; the issuer asks again",
                full(seen, state)
            );
            fact_that_means("  in CRL", words, Meaning::Bad)
        }
        None => match (revocation.in_crl_at, revocation.in_crl_by) {
            (None, Some(by)) if by <= state.shown_at() => fact_that_means(
                "  in CRL",
                format!(
                    "not yet, and was to be by {}: the issuer asks again",
                    full(by, state)
                ),
                Meaning::Bad,
            ),
            (None, Some(by)) => fact("  in CRL", format!("not yet; expected by {}", full(by, state))),
            (seen, _) => fact("  in CRL", at(seen)),
        },
    });
    facts
}

/// Answer of the CA's published list about the certificate.
fn in_crl(certificate: &Certificate, state: &State) -> Fact {
    let looked = state.crl.as_ref();
    let (words, meaning) = match looked.map(|looked| &looked.crl) {
        None if state.context.vault.is_none() => (
            "not read from here, since this context has no Vault; the issuer reads its CA's list".to_owned(),
            Meaning::Dim,
        ),
        None => (
            format!("not checked yet, {} checks", state.keymap.key_of(Cmd::Verify)),
            Meaning::Dim,
        ),
        Some(None) => ("asking…".to_owned(), Meaning::Dim),
        Some(Some(Err(why))) => (why.clone(), Meaning::Warn),
        Some(Some(Ok(crl))) => {
            let listed = match crl.says(certificate, state.by_platform(state.now)) {
                Says::Listed => true,
                Says::NotListed => false,
                Says::Another => {
                    let words = format!("the list of this context is another CA's: {}", crl.issuer);
                    return fact_that_means("CRL now", words, Meaning::Warn);
                }
                Says::Nothing(why) => return fact_that_means("CRL now", why, Meaning::Bad),
            };
            let number = crl
                .number
                .as_ref()
                .map_or(String::new(), |number| format!(" #{number}"));
            let words = format!(
                "{} on the list{number} of {}{}{}",
                if listed { "IS" } else { "is not" },
                full(crl.this_update, state),
                crl.at_its_word(certificate),
                crl.end_words(state.by_platform(state.now))
            );
            let at = looked.map(|looked| state.by_platform(looked.at));
            if let Some(seen) = record_says_otherwise(certificate, listed, at) {
                let words = format!(
                    "{words}, which contradicts the record: the issuer saw it there {}. Look into the CRL at the CA itself",
                    full(seen, state)
                );
                return fact_that_means("CRL now", words, Meaning::Bad);
            }
            let has_ended = crl.ended(state.by_platform(state.now)).is_some();
            let agrees = listed == certificate.revocation.is_some() && !has_ended;
            (words, if agrees { Meaning::Good } else { Meaning::Bad })
        }
    };
    fact_that_means("CRL now", words, meaning)
}

/// Time at which the issuer saw the certificate on its CA's list, where it is not on the one that was read `at` a later time.
/// Lists leave out what has expired.
fn record_says_otherwise(
    certificate: &Certificate,
    is_listed: bool,
    at: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let seen = certificate.revocation.as_ref()?.in_crl_at?;
    let at = at?;
    (!is_listed && seen < at && at < certificate.not_after).then_some(seen)
}
