//! Triage: what is broken, what breaks next, what do I press. The ranked findings, one line each, the sentence about
//! the one with the cursor in a strip below them, and four panes.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::times::when;
use super::{Opens, Pane, Row, View, agents, audit, certificates, requests, services, strip};
use crate::actions::Availability;
use crate::domain::finding::{Finding, FindingKind, LeftOut, More, Severity, n_left_out};
use crate::domain::id::EntityKind;
use crate::domain::listed::listed;
use crate::plan::plan::Target;
use crate::state::cmd::Cmd;
use crate::state::own_findings::is_of_now;
use crate::state::query::Query;
use crate::state::screen::{Place, ViewId};
use crate::state::{State, answers_of};
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Triage,
    title: "Triage",
    n_panes: 5,
    sorts: &[],
    filters: &[],
    needs,
    columns,
    rows,
    draw,
};

/// Titles of its panes.
pub(super) const PANES: &[&str] = &["Findings", "Certificates", "Agents", "Requests", "Audit"];

fn needs(_state: &State) -> Vec<Query> {
    vec![
        Query::Findings,
        Query::Expiring,
        Query::AgentHealth,
        Query::OpenRequests,
        Query::RecentAudit,
    ]
}

fn columns(pane: usize) -> &'static [Column] {
    match pane {
        0 => FINDINGS,
        1 => certificates::NARROW,
        2 => agents::NARROW,
        3 => requests::NARROW,
        _ => audit::NARROW,
    }
}

fn rows(state: &State, pane: usize) -> Rows<'_> {
    match pane {
        0 => {
            let findings = state.findings();
            let more: Vec<(FindingKind, LeftOut)> = state.more_findings().into_iter().collect();
            let left_out = more.iter().map(|(kind, _)| more_id(*kind));
            let ids = findings.iter().map(id).chain(left_out).collect();
            Rows::of(ids, move |index| match findings.get(index) {
                Some(finding) => Some(finding_row(finding, state)),
                None => {
                    let more = more.get(index - findings.len())?;
                    Some(more_row(*more, state))
                }
            })
        }
        1 => certificates::rows_of(state, &Query::Expiring),
        2 => agents::rows_by_health(state),
        3 => requests::rows_of(state, &Query::OpenRequests),
        _ => audit::rows_of(state, &Query::RecentAudit),
    }
}

fn finding_row(finding: &Finding, state: &State) -> Row {
    let (word, meaning) = severity(finding.severity);
    let at = finding.due.or(finding.since).map(|at| when(at, state));
    // A finding that is not as of now must not look as if it were.
    let (meaning, words) = match is_of_now(state, finding.kind) {
        true => (meaning, Meaning::Plain),
        false => (Meaning::Dim, Meaning::Dim),
    };
    let (key, word_of_key) = answer(finding, state).unwrap_or_default();
    let press = format!("{key} {word_of_key}").trim().to_owned();
    let sentence = with_names(finding, &finding.beside_subject());
    Row {
        id: id(finding),
        cells: vec![
            cell(word, meaning),
            cell(finding.subject.clone(), words),
            cell(host(finding), words),
            cell(finding.matter.clone(), words),
            cell(finding.matter.clone(), words),
            cell(sentence, words),
            cell(at.unwrap_or_default(), words),
            cell(key, Meaning::Key),
            cell(press, Meaning::Key),
        ],
        targets: targets(finding),
        open: opens(finding, state).map(Opens::Place),
        copy: finding.entity_id.clone(),
    }
}

/// The screen about what a finding is about; none where there is none, and no key for it is offered then.
pub(super) fn opens(finding: &Finding, state: &State) -> Option<Place> {
    let id = &finding.entity_id;
    let detail = |view| Place {
        view,
        subject: Some(id.clone()),
    };
    match finding.entity {
        EntityKind::Certificate => Some(detail(ViewId::Certificate)),
        EntityKind::Key => Some(detail(ViewId::Key)),
        EntityKind::Agent => Some(detail(ViewId::Agent)),
        EntityKind::Request => Some(detail(ViewId::Request)),
        EntityKind::Vault | EntityKind::Database | EntityKind::Service | EntityKind::Adapter => {
            services::place_of(state, finding.entity, id)
        }
        EntityKind::Installation
        | EntityKind::Run
        | EntityKind::Job
        | EntityKind::Token
        | EntityKind::Audit => None,
    }
}

/// Id of a finding among the rows.
pub(super) fn id(finding: &Finding) -> String {
    format!("{:?}/{}", finding.kind, finding.entity_id)
}

/// Id of the row that stands for those of a kind that are not told.
fn more_id(kind: FindingKind) -> String {
    format!("more/{kind:?}")
}

/// Four letters in rows; sentences and exports have the whole word.
fn severity(severity: Severity) -> (&'static str, Meaning) {
    match severity {
        Severity::Critical => ("CRIT", Meaning::Bad),
        Severity::Warning => ("WARN", Meaning::Warn),
        Severity::Notice => ("NOTE", Meaning::Dim),
    }
}

/// The host, or how many; an agent is its own.
fn host(finding: &Finding) -> String {
    match (&finding.host, finding.n_takes_down) {
        (Some(_), n @ 2..) if finding.entity == EntityKind::Certificate => format!("{n} hosts"),
        (Some(host), _) => host.clone(),
        (None, _) => String::new(),
    }
}

/// The thing to act on.
fn target(finding: &Finding) -> Target {
    Target {
        kind: finding.entity,
        id: finding.entity_id.clone(),
        version: finding.version,
        name: finding.subject.clone(),
        status: String::new(),
    }
}

/// The finding's own target, and the agent that saw it, which can be asked to look again.
fn targets(finding: &Finding) -> Vec<Target> {
    let agent = finding.agent.as_ref().map(|id| Target {
        kind: EntityKind::Agent,
        id: id.clone(),
        version: 0,
        name: finding.host.clone().unwrap_or_default(),
        status: String::new(),
    });
    [target(finding)].into_iter().chain(agent).collect()
}

/// The key that answers it, with its word; what has none is opened. A key that could do nothing now isn't offered.
pub(super) fn answer<'a>(finding: &Finding, state: &'a State) -> Option<(&'a str, &'static str)> {
    let action = finding.answer.as_deref().and_then(crate::actions::find);
    match (action, finding.kind) {
        (Some(action), _) => {
            let ready = match finding.answer_for.as_slice() {
                [] => state.availability(action, &targets(finding)),
                _ => state.availability_on(action, &answers_of(finding)),
            };
            let is_ready = ready == Availability::Ready;
            let id = action.spec().id;
            is_ready.then(|| (state.keymap.key_of(Cmd::Start(id)), id))
        }
        (None, FindingKind::TokenRefused | FindingKind::ApiDown) => {
            Some((state.keymap.key_of(Cmd::Refresh), "ask"))
        }
        (None, _) => opens(finding, state).map(|_| (state.keymap.key_of(Cmd::Open), "open")),
    }
}

/// A sentence about a finding, with what it takes down by name.
pub(super) fn with_names(finding: &Finding, what: &str) -> String {
    let names = finding.takes_down.as_slice();
    let n = usize::try_from(finding.n_takes_down).unwrap_or(0);
    // A name that the sentence has already isn't said again.
    let is_said = |name: &String| {
        what.split(' ')
            .any(|word| word.trim_end_matches([',', ';', ':', '.']) == name)
    };
    match names {
        [] => what.to_owned(),
        names if n <= names.len() && names.iter().all(is_said) => what.to_owned(),
        names => format!("{what} ({})", listed(names, n)),
    }
}

/// The row that stands for the findings of a kind that are not told one by one; Enter lists them.
fn more_row((kind, more): (FindingKind, LeftOut), state: &State) -> Row {
    let (word, meaning) = match more.warning {
        0 => severity(Severity::Notice),
        _ => severity(Severity::Warning),
    };
    let (what, view, filter) = match kind {
        FindingKind::ExpiringInUse => ("end", ViewId::Certificates, "expires:<30d"),
        FindingKind::RenewalAsked => ("to be renewed", ViewId::Certificates, "expires:<90d"),
        FindingKind::AgentSilent => ("silent", ViewId::Agents, "status:active"),
        FindingKind::AgentBanned => ("banned", ViewId::Agents, "status:banned"),
        FindingKind::RequestFailed => ("request failed", ViewId::Requests, "status:failed"),
        FindingKind::RequestStuck => ("waits", ViewId::Requests, "open:yes"),
        FindingKind::SharedKey => ("key shared", ViewId::Certificates, ""),
        _ => ("not served", ViewId::Certificates, ""),
    };
    let key = state.keymap.key_of(Cmd::Open);
    Row {
        id: more_id(kind),
        cells: vec![
            cell(word, meaning),
            plain(format!("and {} more: {key}", more.total())),
            plain(""),
            plain(what),
            plain(what),
            plain(what),
            plain(""),
            cell(key, Meaning::Key),
            cell(format!("{key} list"), Meaning::Key),
        ],
        targets: Vec::new(),
        open: Some(Opens::List(view, filter.to_owned())),
        copy: String::new(),
    }
}

/// From so many columns on the sentence is in the row; narrower ones have the fixed words, and the strip has it.
const SENTENCE: u16 = 119;

const FINDINGS: &[Column] = &[
    Column {
        title: "severity",
        width: Width::Fixed(4),
    },
    Column {
        title: "name",
        width: Width::Name(25),
    },
    Column {
        title: "host",
        width: Width::From(8, 55),
    },
    Column {
        title: "what is the matter",
        width: Width::Between(16, 64, SENTENCE - 1),
    },
    Column {
        title: "what is the matter",
        width: Width::Between(8, 45, 63),
    },
    Column {
        title: "sentence",
        width: Width::Rest(SENTENCE),
    },
    Column {
        title: "when",
        width: Width::UpTo(10),
    },
    Column {
        title: "press",
        width: Width::Between(1, 46, 71),
    },
    Column {
        title: "press",
        width: Width::From(11, 72),
    },
];

/// Lines of the strip, its heading and its keys included.
const STRIP: u16 = 4;

/// Places of the findings and the panes, and last of the strip. Lines that its sentence needs beyond `STRIP` are taken
/// from the panes below it, so that no row of a finding moves.
fn places(area: Rect, n_lines: u16) -> [Rect; 6] {
    let (pane, strip) = match area.height {
        20.. => (((area.height - STRIP) / 4).clamp(4, 10), STRIP),
        14.. => (2, STRIP),
        10.. => (0, STRIP),
        _ => (0, 0),
    };
    let findings = area.height - strip - 2 * pane;
    let more = (n_lines + 2).saturating_sub(STRIP).min(pane);
    let gap = 2.min(area.width);
    let left = (area.width - gap) / 2;
    let part = |row: u16, column: u16| Rect {
        x: area.x + if column == 0 { 0 } else { left + gap },
        y: area.y + findings + strip + if row == 0 { more } else { pane },
        width: if column == 0 {
            left
        } else {
            area.width - gap - left
        },
        height: if row == 0 { pane - more } else { pane },
    };
    [
        Rect {
            height: findings,
            ..area
        },
        part(0, 0),
        part(0, 1),
        part(1, 0),
        part(1, 1),
        Rect {
            y: area.y + findings,
            height: strip + more,
            ..area
        },
    ]
}

/// Numbers of each severity, those that are not told one by one included.
fn tally(findings: &[Finding], more: &More) -> String {
    let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let and = |n: usize, of: fn(&LeftOut) -> i64| n.saturating_add(n_left_out(more, of));
    let counts = [
        (of(Severity::Critical), "critical"),
        (and(of(Severity::Warning), |it| it.warning), "warning"),
        (and(of(Severity::Notice), |it| it.notice), "notice"),
    ];
    let counts = counts.iter().filter(|(n, _)| *n > 0);
    counts.map(|(n, word)| format!("   {n} {word}")).collect()
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let findings = state.findings();
    let strip = strip::of(state, &findings);
    let n_lines = strip.as_ref().map_or(0, |strip| strip.lines(area.width).len());
    let [top, places @ .., strip_at] = places(area, u16::try_from(n_lines).unwrap_or(u16::MAX));
    let critical = |rows: Range<usize>| {
        let rows = findings.get(rows.start.min(findings.len())..rows.end.min(findings.len()));
        let rows = rows.unwrap_or_default().iter();
        rows.filter(|it| it.severity == Severity::Critical).count()
    };
    Pane {
        title: PANES[0],
        about: &tally(&findings, &state.more_findings()),
        index: 0,
        columns: FINDINGS,
        headings: false,
        query: Some(&Query::Findings),
        empty: "nothing needs you now",
        n_critical: &critical,
    }
    .draw(state, top, buffer);
    if let Some(strip) = strip {
        strip.draw(state, strip_at, buffer);
    }
    let panes = [
        (
            1,
            certificates::NARROW,
            Query::Expiring,
            ", next to end",
            "nothing ends within 30 days",
        ),
        (
            2,
            agents::NARROW,
            Query::AgentHealth,
            ", silent first",
            "no agent has enrolled",
        ),
        (3, requests::NARROW, Query::OpenRequests, "", "no request is open"),
        (
            4,
            audit::NARROW,
            Query::RecentAudit,
            ", newest first",
            "nothing was done yet",
        ),
    ];
    for ((index, columns, query, about, empty), place) in panes.into_iter().zip(places) {
        if place.height < 2 {
            continue;
        }
        Pane {
            title: PANES[index],
            about,
            index,
            columns,
            headings: false,
            query: Some(&query),
            empty,
            ..Pane::default()
        }
        .draw(state, place, buffer);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::state::{ContextInfo, Size};
    use crate::views::related;

    #[test]
    fn what_a_finding_offers_works_for_every_kind_of_thing() {
        let size = Size {
            width: 120,
            height: 40,
        };
        let state = State::new(ContextInfo::default(), size, DateTime::UNIX_EPOCH);
        for entity in EntityKind::ALL {
            let finding = Finding {
                kind: FindingKind::RequestStuck,
                severity: Severity::Critical,
                risk: 0,
                entity,
                entity_id: "vault".to_owned(),
                version: 1,
                subject: "vault".to_owned(),
                host: None,
                agent: None,
                matter: crate::domain::matter::PAUSED.to_owned(),
                what: "vault is paused".to_owned(),
                since: None,
                due: None,
                takes_down: Vec::new(),
                n_takes_down: 0,
                answer: None,
                answer_for: Vec::new(),
                under_way: false,
            };
            let row = finding_row(&finding, &state);
            let offered = answer(&finding, &state).is_some_and(|(_, word)| word == "open");
            assert_eq!(offered, row.open.is_some(), "{entity:?}");
            if entity == EntityKind::Adapter {
                assert!(
                    matches!(&row.open, Some(Opens::Place(place)) if place.subject.as_deref() == Some("issuer")),
                    "the issuer's row"
                );
            }
            assert!(!related::of(&state, &row).is_empty(), "{entity:?}");
        }
    }
}
