//! One certificate: what it says, how long it is valid, its key, its revocation, and where it is
//! installed with the three truths side by side.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::certificates::{status, target};
use super::detail::{self, Below, Fact, fact, fact_that_means};
use super::times::{full, full_with_distance, when};
use super::{Opens, Row, View};
use crate::clients::crl::Says;
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::id::EntityKind;
use crate::domain::installation::{Installation, Truth};
use crate::domain::key::KeyStatus;
use crate::domain::plain::plain as harmless;
use crate::domain::renewal::Renewal;
use crate::domain::told::{NAMED, SAID, cited, cut};
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::state::served::{Endpoint, ServedNow};
use crate::widgets::table::{Cell, Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::wire::certs::CertificateDetail;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Certificate,
    title: "Certificate",
    n_panes: 1,
    sorts: &[],
    filters: &[],
    needs: |state| query(state).into_iter().collect(),
    columns: |_| INSTALLATIONS,
    rows: |state, _| {
        detail(state)
            .map(|detail| rows(detail, state))
            .unwrap_or_default()
            .into()
    },
    draw,
};

fn query(state: &State) -> Option<Query> {
    state.place().subject.map(Query::Certificate)
}

fn detail(state: &State) -> Option<&CertificateDetail> {
    match state.answer(&query(state)?) {
        Some(Answer::Certificate(detail)) => Some(detail),
        _ => None,
    }
}

/// The columns of installations, here and on an agent.
pub(super) const INSTALLATIONS: &[Column] = &[
    Column {
        title: "on",
        width: Width::Fill(2),
    },
    Column {
        title: "expected",
        width: Width::From(9, 100),
    },
    Column {
        title: "on disk",
        width: Width::From(9, 100),
    },
    Column {
        title: "served",
        width: Width::From(9, 100),
    },
    Column {
        title: "now",
        width: Width::Fixed(12),
    },
    Column {
        title: "",
        width: Width::Fill(2),
    },
];

fn rows(detail: &CertificateDetail, state: &State) -> Vec<Row> {
    let itself = target(&detail.certificate);
    let places = detail.in_use().chain(&detail.failed);
    if places.clone().next().is_none() {
        // Without an installation the certificate itself is the one row, so that keys work on it.
        return vec![Row {
            id: itself.id.clone(),
            cells: vec![plain("not installed anywhere")],
            copy: detail.certificate.serial.clone(),
            targets: vec![itself],
            open: None,
        }];
    }
    places
        .map(|installation| {
            let agent = Target {
                kind: EntityKind::Agent,
                id: installation.agent_id.clone(),
                version: 0,
                name: installation.hostname.clone(),
                status: String::new(),
            };
            Row {
                id: installation.id.clone(),
                cells: installation_cells(
                    installation,
                    &format!("{}:{}", installation.hostname, installation.path),
                    Some(&detail.certificate),
                    state,
                ),
                targets: vec![itself.clone(), agent],
                open: Some(Opens::detail(ViewId::Agent, &installation.agent_id)),
                copy: installation.path.clone(),
            }
        })
        .collect()
}

/// State of a certificate at a place when its agent reported it.
pub(super) fn found(certificate: &Certificate, place: &Installation) -> Cell {
    let is_served = place.served_sha256.as_ref() == Some(&certificate.fingerprint_sha256);
    match unwanted(certificate, place) {
        Some(it) if it.is_revoked && is_served => cell("revoked, served", Meaning::Bad),
        Some(_) if is_served => cell("old one still served", Meaning::Bad),
        Some(_) => cell("on disk", Meaning::Warn),
        None => cell(words(place.truth()), truth_meaning(place.truth())),
    }
}

/// Words for a row of what is expected there: another one may be what is revoked.
fn words(truth: Truth) -> &'static str {
    match truth {
        Truth::ServedRevoked => "revoked one served",
        other => other.words(),
    }
}

/// What it means how the three truths agree.
pub(super) fn truth_meaning(truth: Truth) -> Meaning {
    match truth {
        Truth::Agrees => Meaning::Good,
        Truth::Unknown | Truth::OnDisk => Meaning::Dim,
        _ => Meaning::Bad,
    }
}

/// Result of the console's own handshake there, if it was made for the certificate that is expected now.
fn looked_at<'a>(place: &Installation, state: &'a State) -> Option<&'a Result<ServedNow, String>> {
    let made = state.handshakes.get(&Endpoint::of(place)?)?;
    let made = Some(made).filter(|made| made.expected == place.expected_sha256)?;
    made.served.as_ref()
}

/// State of the place in a sentence: the console's own look is newer than the agent's, and where it shows something
/// else, or nothing, nothing is said to be as expected.
fn standing(place: &Installation, of: Option<&Certificate>, state: &State) -> (String, Meaning) {
    if of.is_some_and(|of| is_missing(of, place)) {
        return (
            "could not be installed; another one is expected".to_owned(),
            Meaning::Bad,
        );
    }
    if let Some(it) = unwanted_there(place, of) {
        return it.standing(state);
    }
    let truth = place.truth();
    let is_fine = matches!(truth, Truth::Agrees | Truth::ChainIncomplete);
    // The console's own look knows these two better.
    let is_of_serving = matches!(truth, Truth::ServedRevoked | Truth::ServedOld | Truth::NotServed);
    match looked_at(place, state) {
        Some(Err(why)) if is_fine => (format!("not seen now: {why}"), Meaning::Warn),
        Some(Ok(served)) if is_fine || is_of_serving => match served.others(&place.expected_sha256) {
            (0, _) if is_of_serving => (format!("at its report: {}", words(truth)), Meaning::Warn),
            (0, _) => match &served.broken {
                Some(broken) => (broken.clone(), Meaning::Bad),
                None => reported(place, truth, state),
            },
            (others, n) if others == n => ("another one is served now".to_owned(), Meaning::Bad),
            (others, n) => (
                format!("{others} of {n} connections show another one"),
                Meaning::Bad,
            ),
        },
        _ => reported(place, truth, state),
    }
}

/// A certificate that nobody should see at a place: another one is expected there, or it is revoked.
struct Unwanted<'a> {
    sha256: &'a str,
    place: &'a Installation,
    is_revoked: bool,
}

/// It belongs there, and its installation failed.
fn is_missing(certificate: &Certificate, place: &Installation) -> bool {
    certificate.id != place.certificate_id && !place.has(certificate)
}

fn unwanted<'a>(certificate: &'a Certificate, place: &'a Installation) -> Option<Unwanted<'a>> {
    let is_revoked = certificate.status == CertificateStatus::Revoked;
    let is_expected = certificate.id == place.certificate_id;
    (!is_expected || (is_revoked && place.has(certificate))).then_some(Unwanted {
        sha256: &certificate.fingerprint_sha256,
        place,
        is_revoked,
    })
}

/// Unwanted certificate in a row that is `of` a certificate, or of a place: there it is what its agent found served.
fn unwanted_there<'a>(place: &'a Installation, of: Option<&'a Certificate>) -> Option<Unwanted<'a>> {
    match (of, place.served_sha256.as_deref()) {
        (Some(of), _) => unwanted(of, place),
        (None, Some(sha256)) if place.served_revoked => Some(Unwanted {
            sha256,
            place,
            is_revoked: true,
        }),
        (None, _) => None,
    }
}

impl Unwanted<'_> {
    /// Counts of the console's own handshakes: connections with it, and all.
    fn seen(&self, state: &State) -> Option<(usize, usize)> {
        let served = looked_at(self.place, state)?.as_ref().ok()?;
        let (others, n) = served.others(self.sha256);
        Some((n - others, n))
    }

    fn standing(&self, state: &State) -> (String, Meaning) {
        let why = if self.is_revoked {
            "revoked"
        } else {
            "another one is expected"
        };
        let was_served = self.place.served_sha256.as_deref() == Some(self.sha256);
        match self.seen(state) {
            Some((0, _)) if was_served => (format!("{why}; not served any more"), Meaning::Warn),
            Some((0, _)) => (format!("{why}; it is on disk, not served"), Meaning::Warn),
            Some((with, n)) if with < n => (
                format!("now: {why}, still served by {with} of {n} connections"),
                Meaning::Bad,
            ),
            Some(_) => (format!("now: {why}, still served"), Meaning::Bad),
            None if was_served => (format!("{why}, served at its report"), Meaning::Bad),
            None => (format!("{why}; it is on disk"), Meaning::Warn),
        }
    }

    fn now(&self, state: &State) -> Option<Cell> {
        Some(match self.seen(state)? {
            (0, _) => cell("not served", Meaning::Plain),
            (with, n) if with < n => cell(format!("{with}/{n} served"), Meaning::Bad),
            _ => cell("still served", Meaning::Bad),
        })
    }
}

/// State of the place when its agent reported it.
fn reported(place: &Installation, truth: Truth, state: &State) -> (String, Meaning) {
    let (words, meaning) = when_looked_at(place, truth, state.shown_at());
    match place.checked_at.filter(|_| place.is_left_out) {
        Some(at) => {
            let meaning = match meaning {
                Meaning::Bad => Meaning::Bad,
                _ => Meaning::Warn,
            };
            let words = format!("not looked at since {}; then: {words}", when(at, state));
            (words, meaning)
        }
        None => (words, meaning),
    }
}

/// State of the place at its agent's last look.
fn when_looked_at(place: &Installation, truth: Truth, now: DateTime<Utc>) -> (String, Meaning) {
    match (&place.error, truth) {
        // It is as the platform wants it, and no client takes it.
        (None, Truth::Agrees | Truth::ChainIncomplete) if place.not_after <= now => {
            ("expired, still served".to_owned(), Meaning::Bad)
        }
        (None, _) => (words(truth).to_owned(), truth_meaning(truth)),
        // A set that was put back is the expected one again, so only the failure is worth a word.
        (Some(error), Truth::Agrees | Truth::OnDisk) => {
            let said = cited(error, SAID);
            (format!("the last installation failed: {said}"), Meaning::Bad)
        }
        (Some(error), _) => {
            let said = cited(error, SAID);
            (format!("{}: {said}", words(truth)), truth_meaning(truth))
        }
    }
}

/// Result of the console's own handshake there; a row `of` a certificate says whether that one is served.
pub(super) fn served_now(place: &Installation, of: Option<&Certificate>, state: &State) -> Cell {
    if Endpoint::of(place).is_none() {
        return cell("no TLS", Meaning::Dim);
    }
    if let Some(now) = unwanted_there(place, of).and_then(|it| it.now(state)) {
        return now;
    }
    match looked_at(place, state) {
        Some(Ok(served)) => match served.others(&place.expected_sha256) {
            (0, _) if served.broken.is_some() => cell("some fail", Meaning::Bad),
            (0, _) if place.not_after <= state.shown_at() => cell("expired", Meaning::Bad),
            (0, _) => cell("as expected", Meaning::Good),
            (others, n) if others == n => cell("another one", Meaning::Bad),
            (others, n) => cell(format!("{others}/{n} other"), Meaning::Bad),
        },
        Some(Err(_)) => cell("no answer", Meaning::Warn),
        None => cell("asking…", Meaning::Dim),
    }
}

/// Since when what a list of installations says of "now" holds: the oldest of its handshakes.
pub(super) fn now_is<'a>(places: impl Iterator<Item = &'a Installation>, state: &State) -> String {
    let made = places.filter_map(|place| state.handshakes.get(&Endpoint::of(place)?));
    match made
        .filter(|made| made.served.is_some())
        .map(|made| made.at)
        .min()
    {
        Some(at) => format!(
            " (checked {}, {} checks again)",
            when(state.by_platform(at), state),
            state.keymap.key_of(Cmd::Verify)
        ),
        None => String::new(),
    }
}

/// What the CA's published list says of the certificate.
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

/// The cells of an installation: expected, on disk, served as the agent found it and served now, side by side.
pub(super) fn installation_cells(
    installation: &Installation,
    on: &str,
    of: Option<&Certificate>,
    state: &State,
) -> Vec<Cell> {
    let short = |fingerprint: &Option<String>| {
        let fingerprint = fingerprint.as_deref();
        let meaning = match fingerprint {
            Some(text) if text == installation.expected_sha256 => Meaning::Good,
            Some(_) => Meaning::Bad,
            None => Meaning::Warn,
        };
        cell(fingerprint.and_then(|text| text.get(..8)).unwrap_or("-"), meaning)
    };
    let (words, meaning) = standing(installation, of, state);
    vec![
        plain(on),
        plain(installation.expected_sha256.get(..8).unwrap_or_default()),
        short(&installation.on_disk_sha256),
        short(&installation.served_sha256),
        served_now(installation, of, state),
        cell(words, meaning),
    ]
}

/// What is shown above the list, for an export.
pub(super) fn exported(state: &State) -> Vec<Fact> {
    let facts = detail(state).map(|detail| facts(detail, state, state.size.width));
    facts.unwrap_or_default()
}

fn facts(detail: &CertificateDetail, state: &State, width: u16) -> Vec<Fact> {
    let certificate = &detail.certificate;
    let (word, meaning) = status(certificate, state);
    let mut facts = vec![
        fact_that_means("Status", word, meaning),
        fact("Subject", certificate.subject.clone()),
        fact("SANs", certificate.sans.join(" ")),
        fact("Issuer", certificate.issuer.clone()),
        fact("Serial", certificate.serial.clone()),
        fact_that_means("Validity", validity(certificate, state, width), meaning),
        fact("From", full(certificate.not_before, state)),
        fact("To", full_with_distance(certificate.not_after, state)),
        fact("SHA-256", certificate.fingerprint_sha256.clone()),
    ];
    let key = detail.key.as_ref();
    let compromised = key.is_some_and(|key| key.status == KeyStatus::Compromised);
    let held = key
        .and_then(|key| key.hostname.as_deref().or(key.agent_id.as_deref()))
        .unwrap_or("no agent");
    let banned = if key.is_some_and(|key| key.is_holder_banned) {
        ", which is banned"
    } else {
        ""
    };
    facts.push(fact_that_means(
        "Key",
        format!(
            "{} {}{}",
            certificate.key_algorithm,
            key.map_or("", |key| key.status.word()),
            format_args!(", held by {held}{banned}")
        ),
        if compromised { Meaning::Bad } else { Meaning::Plain },
    ));
    let owners = detail.in_use().filter_map(|it| it.owner.as_deref());
    let mut owners: Vec<String> = owners.map(|owner| cut(owner, NAMED)).collect();
    owners.sort_unstable();
    owners.dedup();
    if !owners.is_empty() {
        facts.push(fact("Owner", owners.join(" ")));
    }
    facts.push(fact("Key SHA-256", certificate.spki_sha256.clone()));
    if !detail.same_key.is_empty() {
        let names: Vec<&str> = detail.same_key.iter().map(Certificate::name).collect();
        facts.push(fact_that_means("Same key", names.join(" "), Meaning::Warn));
    }
    for (index, link) in detail.chain.iter().enumerate() {
        let root = if link.subject == link.issuer { ", root" } else { "" };
        let early = link.not_after < certificate.not_after;
        facts.push(fact_that_means(
            if index == 0 { "Chain" } else { "" },
            format!("{} until {}{root}", link.subject, full(link.not_after, state)),
            // What ends before the certificate does ends it.
            if early { Meaning::Bad } else { Meaning::Plain },
        ));
    }
    if detail.chain.is_empty() {
        facts.push(fact_that_means("Chain", "none is kept", Meaning::Warn));
    }
    if let Some(id) = &certificate.replaces {
        facts.push(fact("Replaces", id.clone()));
    }
    if let Some(id) = &certificate.replaced_by {
        facts.push(fact("Replaced by", id.clone()));
    }
    if let Some(renewal) = &certificate.renewal {
        facts.extend(renewal_facts(renewal, state));
    }
    if let Some(revocation) = &certificate.revocation {
        let at = |at: Option<DateTime<Utc>>| at.map_or("not yet".to_owned(), |at| full(at, state));
        facts.push(fact_that_means(
            "Revocation",
            revocation.reason.name(),
            Meaning::Warn,
        ));
        facts.push(fact("  asked", full(revocation.asked_at, state)));
        facts.push(match certificate.refusal() {
            Some(words) => {
                let words = format!("the CA refused, and can be asked again: {words}");
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
    }
    facts.push(in_crl(certificate, state));
    facts
}

/// When the CA suggests to renew it, and why.
fn renewal_facts(renewal: &Renewal, state: &State) -> Vec<Fact> {
    let meaning = match renewal.has_begun(state.shown_at()) {
        true if renewal.moved_from.is_some() => Meaning::Bad,
        true => Meaning::Warn,
        false => Meaning::Plain,
    };
    let words = format!(
        "the CA suggests from {} until {}",
        full(renewal.start, state),
        full(renewal.end, state)
    );
    let mut facts = vec![fact_that_means("Renewal", words, meaning)];
    if let Some(was) = renewal.moved_from {
        facts.push(fact(
            "  moved",
            format!("earlier, it was to begin {}", full(was, state)),
        ));
    }
    if let Some(url) = &renewal.explanation_url {
        facts.push(fact("  why", harmless(url)));
    }
    facts.push(fact("  asked", full(renewal.asked_at, state)));
    facts
}

/// The validity as a bar: how much of the lifetime is used up.
fn validity(certificate: &Certificate, state: &State, width: u16) -> String {
    let cells = i64::from(width.saturating_sub(24).clamp(10, 50));
    let whole = (certificate.not_after - certificate.not_before)
        .num_seconds()
        .max(1);
    let used = (state.shown_at() - certificate.not_before)
        .num_seconds()
        .clamp(0, whole);
    let full = usize::try_from(used * cells / whole).unwrap_or(0);
    let rest = usize::try_from(cells).unwrap_or(0) - full;
    format!(
        "[{}{}] {}%",
        "#".repeat(full),
        ".".repeat(rest),
        used * 100 / whole
    )
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some(detail) = detail(state) else {
        if let Some(query) = query(state) {
            detail::nothing(state, area, buffer, &query);
        }
        return;
    };
    let rows = rows(detail, state);
    let title = format!("Installations{}", now_is(detail.in_use(), state));
    let below = Below {
        title: &title,
        columns: INSTALLATIONS,
        rows: &rows,
        empty: "not installed anywhere",
    };
    let facts = facts(detail, state, area.width);
    detail::draw(state, area, buffer, detail.certificate.name(), &facts, &below);
}
