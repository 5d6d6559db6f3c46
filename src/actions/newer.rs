//! The newer certificate that has the place of one that is to be installed: there, by having replaced it, or for the
//! same names elsewhere on the host.

use std::collections::BTreeSet;

use super::{by_name, own_place};
use crate::domain::certificate::Certificate;
use crate::domain::moment::fixed;
use crate::plan::ports::Reads;
use crate::problem::Problem;
use crate::wire::agents::AgentDetail;
use crate::wire::page::PageQuery;

/// Predecessors or successors that are followed; more than anybody has had is no chain of renewals.
const SUCCESSORS: usize = 64;

/// A newer certificate, and its claim to the place.
pub(super) struct Newer {
    certificate: Certificate,
    place: Has,
}

/// Reason that a newer certificate has the place.
enum Has {
    /// It is expected at the path.
    ThePath,
    /// It was issued to replace the other.
    Replaced,
    /// It has the same names and is at another path of the host, or nobody knows at which.
    TheNames(String),
}

impl Newer {
    /// Its dates and serial, as the end of a sentence.
    pub(super) fn words(&self) -> String {
        let it = &self.certificate;
        let which = match &self.place {
            Has::ThePath => "what is there".to_owned(),
            Has::Replaced => "what replaced it".to_owned(),
            Has::TheNames(place) => format!("what has its names at {place}"),
        };
        format!(
            "{which} was issued {}, ends {} and has the serial {}",
            fixed(it.not_before),
            fixed(it.not_after),
            by_name::tail(&it.serial)
        )
    }
}

/// Any that has the place of `certificate` at `path` on `agent`. To write it again where it is expected takes no other's
/// place.
pub(super) async fn of(
    certificate: &Certificate,
    agent: &AgentDetail,
    path: &str,
    with: &Reads,
) -> Result<Option<Newer>, Problem> {
    let there = agent.installations.iter().find(|it| it.path == path);
    let is_newer = |other: &Certificate| other.not_before > certificate.not_before;
    if let Some(there) = there {
        if there.certificate_id == certificate.id {
            return Ok(None);
        }
        let there = with.api.certificate(&there.certificate_id).await?.certificate;
        if is_newer(&there) {
            return Ok(Some(Newer {
                certificate: there,
                place: Has::ThePath,
            }));
        }
    }
    if let Some(successor) = successors(certificate, with).await?.pop() {
        return Ok(Some(Newer {
            certificate: successor,
            place: Has::Replaced,
        }));
    }
    if let Some(newer) = at_its_name(certificate, agent, with).await? {
        return Ok(Some(newer));
    }
    let query = PageQuery {
        agent: Some(agent.agent.id.clone()),
        q: Some(certificate.name().to_owned()),
        ..PageQuery::default()
    };
    let of_the_name = with.api.certificates(&query).await?.items;
    let same = of_the_name
        .into_iter()
        .filter(|other| names(other) == names(certificate) && is_newer(other))
        .max_by_key(|other| other.not_before);
    Ok(same.map(|same| {
        let mut places = agent.installations.iter();
        let at = places.find(|it| it.certificate_id == same.id);
        let host = &agent.agent.hostname;
        Newer {
            place: Has::TheNames(at.map_or(host.clone(), |it| format!("{} on {host}", it.path))),
            certificate: same,
        }
    }))
}

/// A newer one where the certificate's name lives on the host, whatever other names it has.
async fn at_its_name(
    certificate: &Certificate,
    agent: &AgentDetail,
    with: &Reads,
) -> Result<Option<Newer>, Problem> {
    let places = agent.installations.iter();
    for place in places.filter(|place| own_place::has_name(place, certificate)) {
        if place.certificate_id == certificate.id {
            continue;
        }
        let there = with.api.certificate(&place.certificate_id).await?.certificate;
        if there.not_before > certificate.not_before {
            return Ok(Some(Newer {
                place: Has::TheNames(format!("{} on {}", place.path, agent.agent.hostname)),
                certificate: there,
            }));
        }
    }
    Ok(None)
}

/// Those that replaced it, one after the other.
pub(super) async fn successors(certificate: &Certificate, with: &Reads) -> Result<Vec<Certificate>, Problem> {
    follow(certificate.replaced_by.clone(), |it| it.replaced_by.clone(), with).await
}

/// The certificate with this id, the one that `next` names, and so on.
pub(super) async fn follow(
    first: Option<String>,
    next: fn(&Certificate) -> Option<String>,
    with: &Reads,
) -> Result<Vec<Certificate>, Problem> {
    let (mut all, mut id) = (Vec::new(), first);
    while let Some(it) = id.take().filter(|_| all.len() < SUCCESSORS) {
        let found = with.api.certificate(&it).await?.certificate;
        id = next(&found);
        all.push(found);
    }
    Ok(all)
}

fn names(certificate: &Certificate) -> BTreeSet<&str> {
    certificate.sans.iter().map(String::as_str).collect()
}
