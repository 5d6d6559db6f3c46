//! Triage: what is broken, what breaks next, what do I press. The ranked findings, and four panes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Opens, Pane, Row, View, agents, audit, certificates, requests};
use crate::domain::finding::{Finding, FindingKind, LeftOut, Severity};
use crate::domain::id::EntityKind;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::state::query::Query;
use crate::state::screen::{Place, ViewId};
use crate::widgets::table::{Column, Width, cell, plain};
use crate::widgets::theme::Meaning;
use crate::widgets::when::until;

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
pub(super) const PANES: &[&str] = &["Findings", "Expiring", "Agents", "Requests", "Audit"];

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
            let rows = findings.iter().map(|finding| finding_row(finding, state));
            rows.chain(state.more_findings().into_iter().map(more_row))
                .collect::<Vec<_>>()
                .into()
        }
        1 => certificates::rows_of(state, &Query::Expiring),
        2 => agents::rows_by_health(state),
        3 => requests::rows_of(state, &Query::OpenRequests),
        _ => audit::rows_of(state, &Query::RecentAudit),
    }
}

fn finding_row(finding: &Finding, state: &State) -> Row {
    let now = state.shown_at();
    let meaning = match finding.severity {
        Severity::Critical => Meaning::Bad,
        Severity::Warning => Meaning::Warn,
        Severity::Notice => Meaning::Plain,
    };
    let answer = finding
        .answer
        .as_deref()
        .and_then(crate::actions::find)
        .map(super::super::actions::Action::spec);
    let open = match finding.entity {
        EntityKind::Certificate => Some(ViewId::Certificate),
        EntityKind::Agent => Some(ViewId::Agent),
        EntityKind::Request => Some(ViewId::Request),
        EntityKind::Vault | EntityKind::Database | EntityKind::Service => Some(ViewId::Services),
        _ => None,
    };
    let what = match finding.takes_down.as_slice() {
        [] => finding.what.clone(),
        hosts => format!("{} [{}]", finding.what, hosts.join(" ")),
    };
    Row {
        id: format!("{:?}/{}", finding.kind, finding.entity_id),
        cells: vec![
            cell(finding.severity.word(), meaning),
            plain(finding.subject.clone()),
            plain(what),
            cell(
                finding.due.map(|due| until(due, now)).unwrap_or_default(),
                meaning,
            ),
            cell(
                answer.map_or(String::new(), |spec| {
                    format!("{} {}", state.keymap.key_of(Cmd::Start(spec.id)), spec.id)
                }),
                Meaning::Key,
            ),
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

/// The row that stands for the findings of a kind that are not told one by one; Enter lists them.
fn more_row((kind, more): (FindingKind, LeftOut)) -> Row {
    let (severity, meaning) = match more.warning {
        0 => (Severity::Notice, Meaning::Plain),
        _ => (Severity::Warning, Meaning::Warn),
    };
    let (what, view, filter) = match kind {
        FindingKind::ExpiringInUse => ("end within 30 days", ViewId::Certificates, "expires:<30d"),
        FindingKind::RenewalAsked => ("are to be renewed, as their CA says", ViewId::Certificates, ""),
        FindingKind::AgentSilent => ("agents are silent", ViewId::Agents, ""),
        FindingKind::RequestFailed => ("requests failed", ViewId::Requests, "status:failed"),
        FindingKind::RequestStuck => ("requests wait", ViewId::Requests, "open:yes"),
        FindingKind::SharedKey => ("keys are in several certificates", ViewId::Certificates, ""),
        _ => (
            "certificates are not served as expected",
            ViewId::Certificates,
            "",
        ),
    };
    Row {
        id: format!("more/{kind:?}"),
        cells: vec![
            cell(severity.word(), meaning),
            plain(format!("and {} more", more.total())),
            plain(what),
            plain(""),
            cell("enter", Meaning::Key),
        ],
        targets: Vec::new(),
        open: Some(Opens::List(view, filter.to_owned())),
        copy: String::new(),
    }
}

const FINDINGS: &[Column] = &[
    Column {
        title: "severity",
        width: Width::Fixed(8),
    },
    Column {
        title: "what",
        width: Width::Fill(2),
    },
    Column {
        title: "",
        width: Width::Fill(5),
    },
    Column {
        title: "when",
        width: Width::Fixed(12),
    },
    Column {
        title: "press",
        width: Width::Fixed(9),
    },
];

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let findings = if area.height >= 30 {
        area.height * 2 / 5
    } else {
        (area.height * 2 / 5).max(5)
    };
    let top = Rect {
        height: findings,
        ..area
    };
    Pane {
        title: PANES[0],
        index: 0,
        columns: FINDINGS,
        headings: false,
        query: Some(&Query::Findings),
        empty: "nothing needs you now",
    }
    .draw(state, top, buffer);
    let below = Rect {
        y: area.y + findings,
        height: area.height - findings,
        ..area
    };
    let (upper, lower) = (below.height - below.height / 2, below.height / 2);
    let (left, right) = (below.width - below.width / 2, below.width / 2);
    let place = |column: u16, row: u16| Rect {
        x: below.x + if column == 0 { 0 } else { left },
        y: below.y + if row == 0 { 0 } else { upper },
        width: if column == 0 { left } else { right },
        height: if row == 0 { upper } else { lower },
    };
    let panes = [
        (
            PANES[1],
            1,
            certificates::NARROW,
            Query::Expiring,
            place(0, 0),
            "nothing expires within 30 days",
        ),
        (
            PANES[2],
            2,
            agents::NARROW,
            Query::AgentHealth,
            place(1, 0),
            "no agent has enrolled",
        ),
        (
            PANES[3],
            3,
            requests::NARROW,
            Query::OpenRequests,
            place(0, 1),
            "no request is open",
        ),
        (
            PANES[4],
            4,
            audit::NARROW,
            Query::RecentAudit,
            place(1, 1),
            "nothing was done yet",
        ),
    ];
    for (title, index, columns, query, place, empty) in panes {
        Pane {
            title,
            index,
            columns,
            headings: false,
            query: Some(&query),
            empty,
        }
        .draw(state, place, buffer);
    }
}
