//! The place on a host that is a certificate's own: where it is expected, belongs or was found, where what it replaced or
//! what replaced it is, or where its name lives.

use super::newer;
use crate::domain::certificate::{Certificate, common_name};
use crate::domain::installation::Installation;
use crate::plan::ports::Reads;
use crate::problem::Problem;
use crate::wire::agents::AgentDetail;
use crate::wire::certs::CertificateDetail;

/// Path of its own place on `agent`, if it has one there.
pub(super) async fn path(
    detail: &CertificateDetail,
    agent: &AgentDetail,
    with: &Reads,
) -> Result<Option<String>, Problem> {
    let its = detail.belongs().chain(&detail.found);
    let on_it = |place: &&Installation| place.agent_id == agent.agent.id;
    if let Some(place) = its.into_iter().find(on_it) {
        return Ok(Some(place.path.clone()));
    }
    let certificate = &detail.certificate;
    let line = line(certificate, with).await?;
    let of_line = |place: &&Installation| line.iter().any(|it| it.id == place.certificate_id);
    let places = agent.installations.iter();
    let place = places
        .clone()
        .find(of_line)
        .or_else(|| places.clone().find(|place| has_name(place, certificate)));
    Ok(place.map(|place| place.path.clone()))
}

/// True if the certificate that is expected there has this one's name.
pub(super) fn has_name(place: &Installation, certificate: &Certificate) -> bool {
    common_name(&place.subject).is_some_and(|name| name.eq_ignore_ascii_case(certificate.name()))
}

/// Certificates that it replaced, one after the other, and those that replaced it.
async fn line(certificate: &Certificate, with: &Reads) -> Result<Vec<Certificate>, Problem> {
    let mut line = newer::successors(certificate, with).await?;
    line.reverse();
    line.extend(newer::follow(certificate.replaces.clone(), |it| it.replaces.clone(), with).await?);
    Ok(line)
}
