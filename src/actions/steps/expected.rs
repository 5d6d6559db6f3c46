//! Certificates that a handshake may show for a place, with the record of that place.
//!
//! A reissue makes a certificate for each place. Where several places are behind one address, a server mostly shows the
//! certificate of one of them: each other place is then borne out by its own record, and never by what is served.

use serde_json::Value;

use super::await_agent::MEND;
use crate::domain::certificate::Certificate;
use crate::domain::installation::Installation;
use crate::domain::told::{SAID, cited};
use crate::plan::ports::Reads;
use crate::plan::step::{StepContext, text};
use crate::problem::{Problem, ProblemKind};

/// See the module.
#[derive(Default)]
pub(super) struct Expected {
    /// The certificate of the step's own place, once it is there.
    own: Option<Certificate>,
    /// The place, where its own certificate is expected.
    place: Option<Installation>,
    /// The installation at the place failed.
    failed: Option<Failed>,
    /// Words for the place.
    at: String,
    /// True if other places of the plan are behind the same address.
    is_shared: bool,
    /// Those of them that have a certificate.
    beside: Vec<Beside>,
}

/// Another place behind the same address, which gets a certificate by the same reissue.
struct Beside {
    certificate: Certificate,
    place: Installation,
    /// Its certificate is expected there, and no installation of it failed.
    is_good: bool,
}

/// An installation that did not come about.
struct Failed {
    error: Option<String>,
    /// The old certificate is expected there again.
    is_old_there: bool,
    /// The certificate that could not be installed there.
    new: Option<String>,
}

/// Judgement of a handshake.
pub(super) enum Judged<'a> {
    /// It shows this one, which has to be shown by all others too.
    Shown(Shown<'a>),
    /// Not yet.
    NotYet(String),
    /// The installation goes on by itself.
    Open(String),
    /// It will not be.
    Refuted(Problem),
}

/// A certificate that may be shown.
pub(super) struct Shown<'a> {
    /// It.
    pub(super) certificate: &'a Certificate,
    /// All that connections may show.
    pub(super) any_of: Vec<String>,
    /// The step's own place and certificate, where this is the one of another place.
    pub(super) instead: Option<Instead<'a>>,
}

/// A certificate on disk, and another place's served.
pub(super) struct Instead<'a> {
    own: &'a Certificate,
    at: &'a str,
    beside: &'a Installation,
}

impl Instead<'_> {
    /// `/etc/b.pem on web-01 has the new certificate 1f2e…, as its agent reports; web-01:443 serves that of /etc/a.pem`
    pub(super) fn words(&self, address: &str) -> String {
        format!(
            "{} has the new certificate {}…, as its agent reports; {address} serves that of {}",
            self.at,
            self.own.fingerprint_sha256.get(..16).unwrap_or_default(),
            self.beside.path
        )
    }
}

impl Expected {
    /// Reads it.
    ///
    /// # Errors
    /// The API doesn't answer.
    pub(super) async fn of(cx: &StepContext, with: &Reads) -> Result<Self, Problem> {
        if let Some(id) = cx.args["certificate"].as_str() {
            return Self::at_place(cx, id, with).await;
        }
        let (mut own, mut others) = (None, Vec::new());
        let requests = requests(&cx.earlier);
        let is_shared = cx.args["shared"].as_bool() == Some(true);
        for id in &requests {
            let request = with.api.request(id).await?;
            let is_here = request.agent_id.as_deref() == cx.args["agent"].as_str()
                && request.install_path.as_deref() == cx.args["path"].as_str();
            match is_here {
                true => own = request.certificate_id,
                false => others.extend(request.certificate_id),
            }
            if is_here && !is_shared {
                break;
            }
        }
        let mut it = match own {
            Some(id) => Self::at_place(cx, &id, with).await?,
            None if requests.is_empty() => Self::found_out(cx, with).await?,
            None => Self::default(),
        };
        it.at = format!("{} on {}", text(&cx.args, "path")?, text(&cx.args, "hostname")?);
        it.is_shared = is_shared;
        if is_shared {
            it.beside = beside(cx, &others, with).await?;
        }
        Ok(it)
    }

    async fn at_place(cx: &StepContext, certificate: &str, with: &Reads) -> Result<Self, Problem> {
        let detail = with.api.certificate(certificate).await?;
        let is_here = |it: &&Installation| {
            Some(it.agent_id.as_str()) == cx.args["agent"].as_str()
                && Some(it.path.as_str()) == cx.args["path"].as_str()
        };
        let place = detail.installations.iter().find(is_here).cloned();
        let failed = |it: &Installation, is_old_there| Failed {
            error: it.error.clone(),
            is_old_there,
            new: Some(certificate.to_owned()),
        };
        let back = detail.failed.iter().find(is_here).map(|it| failed(it, true));
        let never = place.as_ref().filter(|it| it.failed).map(|it| failed(it, false));
        Ok(Self {
            own: Some(detail.certificate),
            place,
            failed: back.or(never),
            ..Self::default()
        })
    }

    /// The answer that names the requests may have been lost: then what is expected at the place since the plan was made
    /// is what was asked for. After a rollback that is the one from before, in a later version than the plan saw.
    async fn found_out(cx: &StepContext, with: &Reads) -> Result<Self, Problem> {
        let there = with.api.agent(text(&cx.args, "agent")?).await?.installations;
        let path = text(&cx.args, "path")?;
        let is_later = |it: &Installation| Some(it.version) > cx.args["version"].as_i64();
        let Some(place) = there.into_iter().find(|it| it.path == path && is_later(it)) else {
            return Ok(Self::default());
        };
        if cx.args["before"].as_str() != Some(place.certificate_id.as_str()) {
            return Self::at_place(cx, &place.certificate_id, with).await;
        }
        let old = with.api.certificate(text(&cx.args, "old")?).await?.certificate;
        let new = old
            .replaced_by
            .filter(|by| cx.args["replaced_by"].as_str() != Some(by));
        if let Some(new) = new {
            let it = Self::at_place(cx, &new, with).await?;
            if it.failed.is_some() {
                return Ok(it);
            }
        }
        Ok(Self {
            failed: Some(Failed {
                error: place.error,
                is_old_there: true,
                new: None,
            }),
            ..Self::default()
        })
    }

    /// Judges the fingerprint that a first handshake showed at `address`, or why it showed none.
    pub(super) fn judge(&self, served: Result<&str, String>, address: &str) -> Judged<'_> {
        // An installation that failed will not come about by waiting, whatever else is served at its address.
        if let Some(failed) = &self.failed {
            return Judged::Refuted(self.refuted(failed, served.ok(), address));
        }
        let beside = self.beside.iter().filter(|it| it.is_good);
        let mut any_of: Vec<String> = beside
            .map(|it| it.certificate.fingerprint_sha256.clone())
            .collect();
        let Some(own) = &self.own else {
            return Judged::NotYet(still(served, address));
        };
        any_of.push(own.fingerprint_sha256.clone());
        let place = self.place.as_ref().filter(|it| is_installed(it, own));
        let (place, served) = match (place, served) {
            (None, _) if self.is_shared => {
                return Judged::Open(format!(
                    "issued, and its agent has not reported the installation at {} yet",
                    self.at
                ));
            }
            (place, Ok(served)) => (place, served),
            (_, Err(error)) => return Judged::NotYet(still(Err(error), address)),
        };
        if own.fingerprint_sha256 == served {
            return Judged::Shown(Shown {
                certificate: own,
                any_of,
                instead: None,
            });
        }
        let shown = self.beside_that_serves(served).filter(|it| it.is_good);
        if let (Some(beside), Some(_)) = (shown, place) {
            return Judged::Shown(Shown {
                certificate: &beside.certificate,
                any_of,
                instead: Some(Instead {
                    own,
                    at: &self.at,
                    beside: &beside.place,
                }),
            });
        }
        match (place, self.beside.iter().find(|it| !it.is_good)) {
            (Some(place), Some(failed)) => Judged::Refuted(
                Problem::new(
                    ProblemKind::BackendFailed,
                    format!(
                        "{address} serves another certificate: {} has the new one, and at {} {}",
                        self.at,
                        failed.place.path,
                        agent_says(failed.place.error.as_deref())
                    ),
                )
                .hint(format!(
                    "the address shows one certificate for all its places: install the one of {} at {} too",
                    place.path, failed.place.path
                )),
            ),
            _ => Judged::NotYet(still(Ok(served), address)),
        }
    }

    fn beside_that_serves(&self, served: &str) -> Option<&Beside> {
        self.beside
            .iter()
            .find(|it| it.certificate.fingerprint_sha256 == served)
    }

    fn refuted(&self, failed: &Failed, served: Option<&str>, address: &str) -> Problem {
        let beside = served.and_then(|served| self.beside_that_serves(served));
        let mut what = format!("{address}: {}", agent_says(failed.error.as_deref()));
        let mut hint = match failed.is_old_there {
            true => "the old one is in its place; mend the cause and install again".to_owned(),
            false => MEND.to_owned(),
        };
        if let Some(beside) = beside {
            let path = &beside.place.path;
            what = format!("{what}; what is served there is the new certificate of {path}");
            hint = format!("{hint}, or install the one of {path} here too: the address shows one for both");
        }
        let problem = Problem::new(ProblemKind::BackendFailed, what).hint(hint);
        // Another reissue would make a third certificate: the new one is there, and has to be installed.
        match &failed.new {
            Some(new) => problem.remedy("install", new),
            None => problem,
        }
    }
}

/// True if the agent has said that it is there: what is on disk while an installation is under way may be taken back.
fn is_installed(place: &Installation, own: &Certificate) -> bool {
    !place.failed
        && !place.under_way
        && place.certificate_id == own.id
        && place.on_disk_sha256.as_ref() == Some(&own.fingerprint_sha256)
}

fn still(served: Result<&str, String>, address: &str) -> String {
    match served {
        Ok(_) => format!("{address} still serves another certificate"),
        Err(error) => format!("no handshake with {address}: {error}"),
    }
}

/// Words for an installation that failed, with what its agent gave as the reason.
fn agent_says(error: Option<&str>) -> String {
    match error {
        Some(error) => format!("the installation failed; its agent says {}", cited(error, SAID)),
        None => "the installation did not come about".to_owned(),
    }
}

async fn beside(cx: &StepContext, others: &[String], with: &Reads) -> Result<Vec<Beside>, Problem> {
    let address = cx.args["address"].as_str();
    let mut beside = Vec::new();
    for id in others {
        let detail = with.api.certificate(id).await?;
        let good = detail.installations.iter().map(|it| (it, !it.failed));
        let all = good.chain(detail.failed.iter().map(|it| (it, false)));
        let here = all.filter(|(it, _)| it.tls_address.as_deref() == address);
        beside.extend(here.map(|(place, is_good)| Beside {
            certificate: detail.certificate.clone(),
            place: place.clone(),
            is_good,
        }));
    }
    Ok(beside)
}

/// The requests that earlier steps made.
pub(super) fn requests(earlier: &[Value]) -> Vec<String> {
    let lists = earlier.iter().filter_map(|result| result["requests"].as_array());
    lists
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
#[path = "expected_tests.rs"]
mod tests;
