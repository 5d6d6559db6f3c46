//! Things that a row touches, as a choice: from a certificate to its key's other certificates, its agents, its
//! requests and its audit, and the like for everything else. It goes nowhere itself.

use super::audit::{opens, row_id};
use super::services::place_of;
use super::{Opens, Row};
use crate::domain::agent::Agent;
use crate::domain::audit::AuditRow;
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::installation::Installation;
use crate::domain::request::Request;
use crate::plan::plan::Target;
use crate::state::State;
use crate::state::layer::{Chosen, MenuItem};
use crate::state::query::Answer;
use crate::state::run::Run;
use crate::state::screen::{Place, ViewId};

/// Links of a run that names more things than this are cut off: its audit names them all.
const MOST: usize = 12;

/// Everything that the row touches.
#[must_use]
pub fn of(state: &State, row: &Row) -> Vec<MenuItem> {
    let mut items = Vec::new();
    if let Some(audited) = audit_row(state, &row.id) {
        from_audit(audited, &mut items);
    } else if let Some(run) = state.run(&row.id) {
        from_run(state, run, &mut items);
    } else {
        for target in &row.targets {
            from_target(state, target, &mut items);
        }
    }
    items
}

/// A run leads to its record and to what it was started on. Acting on these is not the run's business.
fn from_run(state: &State, run: &Run, items: &mut Vec<MenuItem>) {
    if let Some(id) = run.record_id() {
        let what = match run.on.len().saturating_sub(MOST) {
            0 => "its audit".to_owned(),
            n => format!("its audit, with {n} more things that it was started on"),
        };
        items.push(list('u', &what, ViewId::Audit, format!("run:{id}")));
    }
    for target in run.on.iter().take(MOST) {
        let what = format!("the {} {}", target.kind, target.name);
        let (key, view) = match target.kind {
            EntityKind::Certificate => ('c', ViewId::Certificate),
            EntityKind::Agent => ('h', ViewId::Agent),
            EntityKind::Request => ('r', ViewId::Request),
            _ => {
                items.extend(services(state, target));
                continue;
            }
        };
        items.push(detail(key, what, view, &target.id));
    }
}

/// The row of what has its place among the services.
fn services(state: &State, target: &Target) -> Option<MenuItem> {
    let place = place_of(state, target.kind, &target.id)?;
    Some(MenuItem {
        key: 's',
        what: "the services".to_owned(),
        leads: Chosen::Place(place),
    })
}

fn from_target(state: &State, target: &Target, items: &mut Vec<MenuItem>) {
    let (id, name) = (&target.id, &target.name);
    match target.kind {
        EntityKind::Certificate => {
            items.push(detail(
                'c',
                format!("the certificate {name}"),
                ViewId::Certificate,
                id,
            ));
            if let Some(certificate) = certificate(state, id) {
                let key = certificate.spki_sha256.clone();
                items.push(detail(
                    'k',
                    "its key, and all that shares it".to_owned(),
                    ViewId::Key,
                    &key,
                ));
                if let Some(replaced) = &certificate.replaces {
                    items.push(detail(
                        'b',
                        "the one before it".to_owned(),
                        ViewId::Certificate,
                        replaced,
                    ));
                }
                if let Some(replacing) = &certificate.replaced_by {
                    items.push(detail(
                        'n',
                        "the one after it".to_owned(),
                        ViewId::Certificate,
                        replacing,
                    ));
                }
            }
            items.push(list(
                'a',
                "the agents that have it",
                ViewId::Agents,
                format!("cert:{id}"),
            ));
            items.push(list('r', "its requests", ViewId::Requests, format!("cert:{id}")));
        }
        EntityKind::Agent => {
            items.push(detail('h', format!("the agent {name}"), ViewId::Agent, id));
            items.push(list(
                'e',
                "the certificates on it",
                ViewId::Certificates,
                format!("agent:{id}"),
            ));
            items.push(list('w', "its requests", ViewId::Requests, format!("agent:{id}")));
        }
        EntityKind::Request => {
            items.push(detail(
                'r',
                format!("the request for {name}"),
                ViewId::Request,
                id,
            ));
            if let Some(request) = request(state, id) {
                if let Some(certificate) = request.certificate_id.as_ref().or(request.replaces.as_ref()) {
                    items.push(detail(
                        'c',
                        "its certificate".to_owned(),
                        ViewId::Certificate,
                        certificate,
                    ));
                }
                if let Some(agent) = &request.agent_id {
                    items.push(detail('h', "its agent".to_owned(), ViewId::Agent, agent));
                }
            }
        }
        EntityKind::Vault | EntityKind::Adapter => {
            items.extend(services(state, target));
            items.push(list(
                'r',
                "the requests that wait",
                ViewId::Requests,
                "open:yes".to_owned(),
            ));
        }
        _ => items.extend(services(state, target)),
    }
    // Of what isn't in the platform's own books there is no record.
    if !matches!(
        target.kind,
        EntityKind::Vault | EntityKind::Database | EntityKind::Service
    ) {
        let what = format!("the audit of {name}");
        items.push(list('u', &what, ViewId::Audit, format!("entity:{id}")));
    }
}

fn from_audit(audited: &AuditRow, items: &mut Vec<MenuItem>) {
    let id = &audited.entity_id;
    let leads = match opens(audited) {
        Some(Opens::Place(place)) => Some(Chosen::Place(place)),
        Some(Opens::List(view, filter)) => Some(Chosen::List(view, filter)),
        Some(Opens::Run(_) | Opens::Context(_)) | None => None,
    };
    items.extend(leads.map(|leads| MenuItem {
        key: 'e',
        what: format!("the {} {id}", audited.entity_type),
        leads,
    }));
    items.push(list(
        'u',
        "all that was done to it",
        ViewId::Audit,
        format!("entity:{id}"),
    ));
    if !audited.actor.contains(char::is_whitespace) {
        let what = format!("all that {} did", audited.actor);
        items.push(list(
            'w',
            &what,
            ViewId::Audit,
            format!("actor:{}", audited.actor),
        ));
    }
    if let Some(run) = &audited.run_id {
        items.push(list('r', "all of its run", ViewId::Audit, format!("run:{run}")));
    }
    if let Some(ticket) = audited
        .ticket
        .as_ref()
        .filter(|ticket| !ticket.contains(char::is_whitespace))
    {
        let what = format!("all under {ticket}");
        items.push(list('t', &what, ViewId::Audit, format!("ticket:{ticket}")));
    }
}

fn list(key: char, what: &str, view: ViewId, filter: String) -> MenuItem {
    MenuItem {
        key,
        what: what.to_owned(),
        leads: Chosen::List(view, filter),
    }
}

fn detail(key: char, what: String, view: ViewId, id: &str) -> MenuItem {
    let subject = Some(id.to_owned());
    MenuItem {
        key,
        what,
        leads: Chosen::Place(Place { view, subject }),
    }
}

/// The certificate with this id, from whatever was answered.
pub(super) fn certificate<'a>(state: &'a State, id: &str) -> Option<&'a Certificate> {
    answers(state).find_map(|answer| match answer {
        Answer::Certificates(window) => window.rows.iter().find(|it| it.id == id),
        Answer::Certificate(detail) if detail.certificate.id == id => Some(&detail.certificate),
        Answer::Certificate(detail) => detail.same_key.iter().find(|it| it.id == id),
        Answer::Key(detail) => detail.certificates.iter().find(|it| it.id == id),
        _ => None,
    })
}

/// The request with this id, from whatever was answered.
pub(super) fn request<'a>(state: &'a State, id: &str) -> Option<&'a Request> {
    answers(state).find_map(|answer| match answer {
        Answer::Requests(window) => window.rows.iter().find(|it| it.id == id),
        Answer::Request(request) if request.id == id => Some(request),
        _ => None,
    })
}

/// The agent with this id, from whatever was answered.
pub(super) fn agent<'a>(state: &'a State, id: &str) -> Option<&'a Agent> {
    answers(state).find_map(|answer| match answer {
        Answer::Agents(window) => window.rows.iter().find(|it| it.id == id),
        Answer::Agent(detail) if detail.agent.id == id => Some(&detail.agent),
        _ => None,
    })
}

/// Name of the thing with this id, as far as it is known.
pub(super) fn name(state: &State, kind: EntityKind, id: &str) -> Option<String> {
    match kind {
        EntityKind::Certificate => certificate(state, id).map(|it| it.name().to_owned()),
        EntityKind::Agent => agent(state, id).map(|it| it.hostname.clone()),
        EntityKind::Request => request(state, id).map(|it| it.common_name.clone()),
        _ => None,
    }
}

/// Name and id of a thing of which there may be several with one name: `shop.example.com (crt_…)`.
pub(super) fn named(state: &State, kind: EntityKind, id: &str) -> String {
    match name(state, kind, id) {
        Some(name) => format!("{name} ({id})"),
        None => id.to_owned(),
    }
}

/// The installation with this id, from whatever was answered.
pub(super) fn installation<'a>(state: &'a State, id: &str) -> Option<&'a Installation> {
    let mut places = answers(state).filter_map(|answer| match answer {
        Answer::Certificate(detail) => detail.in_use().find(|it| it.id == id),
        Answer::Agent(detail) => detail.installations.iter().find(|it| it.id == id),
        Answer::Key(detail) => detail.in_use().find(|it| it.id == id),
        _ => None,
    });
    places.next()
}

/// The audit row that a list knows by this id.
fn audit_row<'a>(state: &'a State, id: &str) -> Option<&'a AuditRow> {
    answers(state).find_map(|answer| match answer {
        Answer::Audit(window) => window.rows.iter().find(|it| row_id(it) == id),
        _ => None,
    })
}

fn answers(state: &State) -> impl Iterator<Item = &Answer> {
    state.data.values().filter_map(|loaded| loaded.value.as_ref())
}
