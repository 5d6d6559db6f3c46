//! Triage: what is broken, what breaks next, what do I press. The ranked findings, one line each, the sentence about
//! the one with the cursor in a strip below them, and four panes.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Opens, Pane, Row, View, agents, audit, certificates, palette, requests};
use crate::domain::finding::{Finding, FindingKind, LeftOut, More, Severity};
use crate::domain::id::EntityKind;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::state::query::Query;
use crate::state::screen::{Place, ViewId};
use crate::widgets::heading::heading;
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::text::{put, wrap};
use crate::widgets::theme::Meaning;
use crate::widgets::when::{distance, when};

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

/// What its panes are called.
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
    let now = state.shown_at();
    let (word, meaning) = severity(finding.severity);
    let open = match finding.entity {
        EntityKind::Certificate => Some(ViewId::Certificate),
        EntityKind::Agent => Some(ViewId::Agent),
        EntityKind::Request => Some(ViewId::Request),
        EntityKind::Vault | EntityKind::Database | EntityKind::Service => Some(ViewId::Services),
        _ => None,
    };
    let at = finding.due.or(finding.since).map(|at| when(at, now));
    let (key, word_of_key) = answer(finding, state);
    Row {
        id: id(finding),
        cells: vec![
            cell(word, meaning),
            plain(finding.subject.clone()),
            plain(host(finding)),
            plain(finding.matter.clone()),
            plain(finding.matter.clone()),
            plain(sentence(finding)),
            plain(at.unwrap_or_default()),
            cell(key, Meaning::Key),
            cell(format!("{key} {word_of_key}"), Meaning::Key),
        ],
        targets: vec![Target {
            kind: finding.entity,
            id: finding.entity_id.clone(),
            version: finding.version,
            name: finding.subject.clone(),
            status: String::new(),
        }],
        open: open.map(|view| {
            Opens::Place(Place {
                view,
                subject: (view != ViewId::Services).then(|| finding.entity_id.clone()),
            })
        }),
        copy: finding.entity_id.clone(),
    }
}

/// What a finding is known by among the rows.
fn id(finding: &Finding) -> String {
    format!("{:?}/{}", finding.kind, finding.entity_id)
}

/// The same of the row that stands for those of a kind that are not told.
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

/// The key that answers it, with its word; what has none is opened.
fn answer<'a>(finding: &Finding, state: &'a State) -> (&'a str, &'static str) {
    let spec = finding
        .answer
        .as_deref()
        .and_then(crate::actions::find)
        .map(super::super::actions::Action::spec);
    match (spec, finding.kind) {
        (Some(spec), _) => (state.keymap.key_of(Cmd::Start(spec.id)), spec.id),
        (None, FindingKind::TokenRefused | FindingKind::ApiDown) => {
            (state.keymap.key_of(Cmd::Refresh), "ask")
        }
        (None, _) => (state.keymap.key_of(Cmd::Open), "open"),
    }
}

/// The whole sentence, with what it takes down by name.
fn sentence(finding: &Finding) -> String {
    let unnamed = finding.n_takes_down - i64::try_from(finding.takes_down.len()).unwrap_or(0);
    let more = match unnamed {
        1.. => format!(" and {unnamed} more"),
        _ => String::new(),
    };
    match finding.takes_down.as_slice() {
        [] => finding.what.clone(),
        names => format!("{} [{}{more}]", finding.what, names.join(" ")),
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

/// Lines of the strip, its heading included.
const STRIP: u16 = 4;

/// Where findings and panes are, and last the strip.
pub(super) fn places(area: Rect) -> [Rect; 6] {
    let (pane, strip) = match area.height {
        20.. => (((area.height - STRIP) / 4).clamp(4, 10), STRIP),
        14.. => (2, STRIP),
        10.. => (0, STRIP),
        _ => (0, 0),
    };
    let findings = area.height - strip - 2 * pane;
    let gap = 2.min(area.width);
    let left = (area.width - gap) / 2;
    let part = |row: u16, column: u16| Rect {
        x: area.x + if column == 0 { 0 } else { left + gap },
        y: area.y + findings + strip + row * pane,
        width: if column == 0 {
            left
        } else {
            area.width - gap - left
        },
        height: pane,
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
            height: strip,
            ..area
        },
    ]
}

/// How many of each severity there are, those that are not told one by one included.
fn tally(findings: &[Finding], more: &More) -> String {
    let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let left_out = |n: i64| usize::try_from(n).unwrap_or(0);
    let counts = [
        (of(Severity::Critical), "critical"),
        (
            of(Severity::Warning) + left_out(more.values().map(|it| it.warning).sum()),
            "warning",
        ),
        (
            of(Severity::Notice) + left_out(more.values().map(|it| it.notice).sum()),
            "notice",
        ),
    ];
    let counts = counts.iter().filter(|(n, _)| *n > 0);
    counts.map(|(n, word)| format!("   {n} {word}")).collect()
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let [top, places @ .., strip_at] = places(area);
    let findings = state.findings();
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
    strip(state, &findings, strip_at, buffer);
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
        if place.height == 0 {
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

/// What there is to say of the finding where the cursor rests, and what to press.
fn strip(state: &State, findings: &[Finding], area: Rect, buffer: &mut Buffer) {
    let screen = state.screen();
    let ids: Vec<String> = findings.iter().map(id).collect();
    let settled = screen.settled.as_ref().filter(|_| screen.pane == 0);
    let settled = settled.and_then(|settled| ids.iter().position(|id| id == settled));
    let at = settled.unwrap_or_else(|| screen.cursor_index(0, rows(state, 0).ids()));
    let Some(finding) = findings.get(at).filter(|_| area.height > 1) else {
        return;
    };
    let palette = palette(state);
    let title = format!("{}: {}", finding.subject, finding.matter);
    let note = format!("{} of {}", at + 1, findings.len());
    let inner = heading(buffer, area, palette, &title, (&note, Meaning::Dim), false);
    let mut words = sentence(finding);
    let now = state.shown_at();
    if let Some(due) = finding.due {
        let is = if due > now { "ends" } else { "ended" };
        words = format!("{words}; {is} {}, {}", when(due, now), distance(due, now));
    }
    if let (Some(host), Some(_)) = (
        &finding.host,
        finding.takes_down.first().filter(|_| area.width < 56),
    ) {
        words = format!("{host}: {words}");
    }
    let lines = usize::from(inner.height.saturating_sub(1));
    let mut wrapped = wrap(&words, usize::from(inner.width.saturating_sub(2)));
    if wrapped.len() > lines {
        wrapped.truncate(lines);
        if let Some(last) = wrapped.last_mut() {
            last.push('…');
        }
    }
    for (y, line) in (inner.y..inner.bottom()).zip(&wrapped) {
        put(buffer, inner, inner.x + 1, y, line, palette.style(Meaning::Plain));
    }
    let y = inner.bottom().saturating_sub(1);
    let (key, word) = answer(finding, state);
    let open = (state.keymap.key_of(Cmd::Open), "opens it");
    let mut keys = vec![(key, word)];
    if key != open.0 {
        keys.push(open);
    }
    keys.push((state.keymap.key_of(Cmd::Related), "go to…"));
    let mut x = inner.x + 1;
    for (key, word) in keys {
        x = put(buffer, inner, x, y, key, palette.style(Meaning::Key));
        x = put(buffer, inner, x + 1, y, word, palette.style(Meaning::Plain)) + 2;
    }
}
