//! The things that an action is to be started on, as the screen knows them: the newest row of each among all that was
//! answered, whatever list it is shown in, and else what a finding says of it.

use std::collections::BTreeMap;

use super::State;
use super::query::{Answer, Query};
use crate::actions::{Seen, SeenCertificate};
use crate::clients::crl::Says;
use crate::domain::agent::Agent;
use crate::domain::certificate::Certificate;
use crate::domain::finding::FindingKind;
use crate::domain::request::Request;
use crate::plan::plan::Target;
use crate::wire::certs::CertificateDetail;

/// Things by their ids, as far as they were found.
type Found<'a> = BTreeMap<&'a str, Option<Seen<'a>>>;

impl State {
    /// Each of these as it is known.
    #[must_use]
    pub fn seen<'a>(&'a self, on: &'a [Target]) -> Vec<Seen<'a>> {
        let mut found: Found<'_> = on.iter().map(|target| (target.id.as_str(), None)).collect();
        // A copy that something has changed since, and that no open screen asks for again, says nothing of now.
        let is_kept = |query: &Query| self.needed.contains(query);
        let answers = self
            .data
            .iter()
            .filter(|(query, loaded)| !loaded.dirty || is_kept(query));
        let mut answers: Vec<_> = answers.map(|(_, loaded)| loaded).collect();
        // Of two rows of one version the later answer knows better what other tables say of the thing.
        answers.sort_by_key(|loaded| loaded.as_of);
        for answer in answers.into_iter().filter_map(|loaded| loaded.value.as_ref()) {
            look_into(answer, &mut found);
        }
        for finding in self.told() {
            if let Some(nothing @ None) = found.get_mut(finding.entity_id.as_str()) {
                *nothing = Some(Seen::Finding(finding));
            }
        }
        let of = |target: &Target| found.get(target.id.as_str()).copied().flatten();
        on.iter().map(|target| self.with_list(of(target))).collect()
    }

    /// The API's findings; what says that its certificate has ended comes first.
    pub(super) fn told(&self) -> impl Iterator<Item = &crate::domain::finding::Finding> {
        let all = match self.answer(&Query::Findings) {
            Some(Answer::Findings(answered)) => answered.findings.as_slice(),
            _ => &[],
        };
        let is_end = |kind| kind == FindingKind::ExpiredInUse;
        let ended = all.iter().filter(move |it| is_end(it.kind));
        ended.chain(all.iter().filter(move |it| !is_end(it.kind)))
    }

    /// A thing with what the CA's list says where somebody looked into it.
    fn with_list<'a>(&self, seen: Option<Seen<'a>>) -> Seen<'a> {
        match seen {
            Some(Seen::Certificate(seen)) => {
                let looked = self.crl.as_ref().and_then(|looked| looked.crl.as_ref());
                let list = looked.and_then(|list| list.as_ref().ok());
                let has = list.is_some_and(|list| list.says(seen.row, self.now) == Says::Listed);
                Seen::Certificate(SeenCertificate {
                    is_listed: has,
                    ..seen
                })
            }
            Some(seen) => seen,
            None => Seen::Unknown,
        }
    }
}

/// Takes what this answer has of the things that are looked for.
fn look_into<'a>(answer: &'a Answer, found: &mut Found<'a>) {
    match answer {
        Answer::Certificates(window) => certificates(&window.rows, None, found),
        Answer::Certificate(detail) => {
            certificates(std::slice::from_ref(&detail.certificate), Some(detail), found);
            certificates(&detail.same_key, None, found);
        }
        Answer::Key(detail) => certificates(&detail.certificates, None, found),
        Answer::Agents(window) => window.rows.iter().for_each(|it| agent(it, found)),
        Answer::Agent(detail) => agent(&detail.agent, found),
        Answer::Requests(window) => window.rows.iter().for_each(|it| request(it, found)),
        Answer::Request(it) => request(it, found),
        _ => {}
    }
}

fn certificates<'a>(rows: &'a [Certificate], detail: Option<&'a CertificateDetail>, found: &mut Found<'a>) {
    for row in rows {
        let Some(known) = found.get_mut(row.id.as_str()) else {
            continue;
        };
        let before = match known {
            Some(Seen::Certificate(before)) => Some(*before),
            _ => None,
        };
        // A detail of the same version knows more; an older one knows nothing of now.
        if before.is_none_or(|before| before.row.version <= row.version) {
            let same = before.filter(|before| before.row.version == row.version);
            *known = Some(Seen::Certificate(SeenCertificate {
                row,
                detail: detail.or_else(|| same.and_then(|before| before.detail)),
                is_listed: false,
            }));
        }
    }
}

fn agent<'a>(row: &'a Agent, found: &mut Found<'a>) {
    if let Some(known) = found.get_mut(row.id.as_str())
        && !matches!(known, Some(Seen::Agent(before)) if before.version > row.version)
    {
        *known = Some(Seen::Agent(row));
    }
}

fn request<'a>(row: &'a Request, found: &mut Found<'a>) {
    if let Some(known) = found.get_mut(row.id.as_str())
        && !matches!(known, Some(Seen::Request(before)) if before.version >= row.version)
    {
        *known = Some(Seen::Request(row));
    }
}
