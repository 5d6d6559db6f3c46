//! Install: a certificate at a path on the agent that holds its key; proven by the agent's report and
//! by a handshake of our own. On failure the agent puts the old set back and says why.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::in_the_way::{Absence, away};
use super::installable::{EXPIRED, banned, ended, holder, unfit};
use super::newer::{self, Newer};
use super::steps::prove_handshake::{self, At, ProveHandshake, Shows};
use super::steps::standing::{Lists, Standing};
use super::taking_part::{Hosts, Part};
use super::{
    Action, Availability, Facts, Leaves, Refusal, Seen, Spec, by_hand, by_name, needs_api, own_place,
};
use crate::domain::certificate::common_name;
use crate::domain::finding::FindingKind;
use crate::domain::follows::Follows;
use crate::domain::id::EntityKind;
use crate::domain::installation::Installation;
use crate::domain::listed::listed;
use crate::domain::moment::{fixed, short};
use crate::domain::server_name::server_name;
use crate::plan::plan::{Field, Inputs, LeftOut, Loss, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::{Problem, ProblemKind};
use crate::wire::agents::{AgentDetail, InstallBody};
use crate::wire::certs::CertificateDetail;

/// See the module.
pub(super) struct InstallCertificate;

static SPEC: Spec = Spec {
    id: "install",
    title: "Install",
    verb: "Install",
    key: "i",
    kinds: &[EntityKind::Certificate],
    help: "install the certificate on the agent that holds its key, at a path",
    proof: "a handshake serves it, or the old one is back and the reason is shown",
    leaves: Some(Leaves::Naming("install", Follows::Installation)),
};

/// Handshakes at once while a plan is made.
const AT_ONCE: usize = 20;

impl Action for InstallCertificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, facts: &Facts) -> Availability {
        needs_api(facts).unwrap_or(Availability::Ready)
    }

    fn refuses(&self, on: &Seen<'_>, now: DateTime<Utc>) -> Option<Refusal> {
        match on {
            Seen::Certificate(seen) => match seen.detail {
                // Of a certificate that is no good it doesn't matter who could have it.
                Some(detail) => unfit(seen.row, seen.is_listed, now).or_else(|| holder(detail).err()),
                None => unfit(seen.row, seen.is_listed, now),
            },
            Seen::Finding(finding)
                if matches!(
                    finding.kind,
                    FindingKind::CompromisedKeyInUse | FindingKind::CompromisedNotRevoked
                ) =>
            {
                let what = format!("{}'s key is compromised: it is not installed", finding.subject);
                Some(Refusal::new("whose keys are leaked", Problem::refused(what)))
            }
            Seen::Finding(finding) if finding.kind == FindingKind::ExpiredInUse => {
                Some(ended(&finding.subject, finding.due?, EXPIRED))
            }
            _ => None,
        }
    }

    fn plan<'a>(
        &'a self,
        on: Vec<Target>,
        inputs: Inputs,
        with: &'a Reads,
    ) -> BoxFuture<'a, Result<Plan, Problem>> {
        Box::pin(plan(on, inputs, with))
    }

    fn proof(&self, plan: &Plan) -> String {
        match plan.steps.iter().any(|it| it.step == ProveHandshake.name()) {
            true => SPEC.proof,
            false => {
                "the agent reports it on disk and loaded, or the old one is back and the reason is shown"
            }
        }
        .to_owned()
    }

    fn steps(&self) -> &'static [&'static dyn Step] {
        &[&Install, &InstallOlder, &ProveHandshake]
    }
}

/// One installation that is planned.
struct Place {
    detail: CertificateDetail,
    agent: AgentDetail,
    part: Part,
    path: String,
    /// The newer certificate that has its place.
    newer: Option<Newer>,
    /// The certificate that is expected there now is the one that this one replaces.
    is_successor: bool,
    /// Certificate that a handshake showed there while the plan was made.
    served: Option<String>,
}

async fn plan(on: Vec<Target>, inputs: Inputs, with: &Reads) -> Result<Plan, Problem> {
    let mut plan = Plan::new(SPEC.id, with.now());
    let mut places: Vec<Place> = Vec::new();
    let (mut lists, mut unknown) = (Lists::default(), Vec::new());
    let alone = on.len() == 1;
    for target in on {
        let detail = with.api.certificate(&target.id).await?;
        let certificate = &detail.certificate;
        let unfit_itself = unfit(certificate, false, with.now());
        let holder = match unfit_itself.map_or_else(|| holder(&detail), Err) {
            Ok(agent_id) => {
                let standing = lists.standing(certificate, with).await;
                let agent = with.api.agent(agent_id).await?;
                let part = Part::of(&agent.agent, None, [], with.now());
                let unfit = unfit(certificate, standing == Standing::Revoked, with.now());
                match unfit
                    .or_else(|| (!part.is_reached()).then(|| banned(&agent.agent.hostname, certificate)))
                {
                    None => Ok((agent, part, standing)),
                    Some(refusal) => Err(refusal),
                }
            }
            Err(refusal) => Err(refusal),
        };
        let (agent, part, standing) = match holder {
            Ok(holder) => holder,
            Err(refusal) if alone => return Err(refusal.problem),
            Err(refusal) => {
                plan.left_out.push(LeftOut {
                    name: certificate.name().to_owned(),
                    why: refusal.word.to_owned(),
                });
                continue;
            }
        };
        if let Standing::Unknown(why) = standing {
            unknown.push((certificate.name().to_owned(), why));
        }
        let path = match inputs.get("path").filter(|_| alone) {
            Some(path) => path.clone(),
            None => default_path(&detail, &agent, with).await?,
        };
        plan.targets.push(Target {
            version: certificate.version,
            name: certificate.name().to_owned(),
            ..target
        });
        let mut place = Place {
            detail,
            agent,
            part,
            path,
            newer: None,
            is_successor: false,
            served: None,
        };
        if let Some(id) = there(&place).map(|there| there.certificate_id.clone()) {
            let by = with.api.certificate(&id).await?.certificate.replaced_by;
            place.is_successor = by.as_deref() == Some(place.detail.certificate.id.as_str());
        }
        place.newer = newer::of(&place.detail.certificate, &place.agent, &place.path, with).await?;
        places.push(place);
    }
    no_two_at_one_path(&places)?;
    if places.is_empty() {
        return Err(Problem::refused(
            "none of these can be installed: no agent holds their key, or they are no good any more",
        )
        .hint("reissue them: the agents then make keys of their own"));
    }
    look(&mut places, with).await;
    let mut hosts = Hosts::default();
    for (index, place) in places.iter().enumerate() {
        let name = place.detail.certificate.name();
        hosts.note(&place.agent.agent, place.part, name, with.now());
        plan.steps.extend(steps(index, place, with));
        plan.losses.extend(loss(place, &plan.targets));
        plan.changes.extend(changes(place, with.now()));
    }
    if places.len() > 1 {
        let rows = places.iter().map(|place| {
            let certificate = &place.detail.certificate;
            let name = certificate.name().to_owned();
            vec![
                name,
                by_name::tail(&certificate.serial),
                format!("ends {}", short(certificate.not_after, with.now())),
                place.agent.agent.hostname.clone(),
                place.path.clone(),
            ]
        });
        plan.by_name = by_name::columns(&rows.collect::<Vec<_>>());
        plan.changes = vec![format!(
            "{} certificates are written and loaded: {}; each host keeps its old files until the new ones are served.",
            places.len(),
            hosts.reload()
        )];
    }
    plan.in_the_way = hosts
        .lines(|until| format!("The job will be on record; nothing is installed there until it {until}."));
    if let Some((name, why)) = unknown.first() {
        plan.in_the_way.push(format!(
            "Whether {} is revoked at the CA isn't known: {why}",
            listed(&[name], unknown.len())
        ));
    }
    over_newer(&places, &mut plan);
    prove_handshake::thorough_if_few(&mut plan.steps);
    plan.title = match plan.targets.as_slice() {
        [one] => format!("Install {}", one.name),
        many if plan.left_out.is_empty() => format!("Install {} certificates", many.len()),
        many => format!(
            "Install {} of {} certificates",
            many.len(),
            many.len() + plan.left_out.len()
        ),
    };
    if let ([place], true) = (places.as_slice(), alone) {
        plan.fields.push(Field {
            name: "path".to_owned(),
            label: "Path".to_owned(),
            value: place.path.clone(),
            options: Vec::new(),
        });
    }
    Ok(plan)
}

/// An older certificate in a newer one's place is mostly a mistake, so it is said and typed; the newer one can be put
/// back.
fn over_newer(places: &[Place], plan: &mut Plan) {
    let mut older = places
        .iter()
        .filter_map(|place| Some((place, place.newer.as_ref()?)));
    let Some((place, newer)) = older.next() else {
        return;
    };
    let certificate = &place.detail.certificate;
    let more = match older.count() {
        0 => String::new(),
        more => format!(" The same for {more} more."),
    };
    plan.for_good = format!(
        "An OLDER certificate takes a newer one's place; `{}` on the newer one puts it back: {} was issued {}; \
         {}.{more}",
        SPEC.key,
        certificate.name(),
        fixed(certificate.not_before),
        newer.words(),
    );
    plan.phrase = certificate.serial_tail();
    "the last four of the serial".clone_into(&mut plan.phrase_is);
}

/// Looks at what is served before anything is done: that it is served afterwards proves nothing where it was before.
async fn look(places: &mut [Place], with: &Reads) {
    let looks = places.iter().map(|place| {
        let sans = &place.detail.certificate.sans;
        let name = server_name(sans.iter().map(String::as_str));
        async move {
            let served = with.served(address(place)?, name.as_deref()).await.ok()?;
            Some(served.fingerprint_sha256)
        }
    });
    let looks: Vec<_> = looks.collect();
    let seen: Vec<Option<String>> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    for (place, served) in places.iter_mut().zip(seen) {
        place.served = served;
    }
}

/// One file holds one certificate: of two the later would be there, and the earlier proven for a moment only.
fn no_two_at_one_path(places: &[Place]) -> Result<(), Problem> {
    for (index, place) in places.iter().enumerate() {
        let agent = &place.agent.agent;
        let same = |other: &&Place| other.agent.agent.id == agent.id && other.path == place.path;
        if let Some(other) = places[..index].iter().find(same) {
            return Err(Problem::conflict(format!(
                "{} and {} would both be written to {} on {}",
                other.detail.certificate.name(),
                place.detail.certificate.name(),
                place.path,
                agent.hostname
            ))
            .hint("unmark one of them"));
        }
    }
    Ok(())
}

fn steps(target: usize, place: &Place, with: &Reads) -> Vec<PlannedStep> {
    let certificate = &place.detail.certificate;
    let (agent, path) = (&place.agent.agent, &place.path);
    let title = format!("install {} on {}", certificate.name(), agent.hostname);
    let expected = there(place).map(|there| there.certificate_id.clone());
    let args = json!({
        "certificate": certificate.id, "agent": agent.id, "path": path, "there": expected,
    });
    let step: &dyn Step = match place.newer {
        Some(_) => &InstallOlder,
        None => &Install,
    };
    let install = PlannedStep::new(step, target, title, args)
        .on_hosts([&agent.hostname])
        .by_hand(by_hand::post(
            with.api.base(),
            &format!("agents/{}/install", agent.id),
            Some(&json!({"cert_id": certificate.id, "path": path})),
        ));
    let served_before = place.served.as_ref() == Some(&certificate.fingerprint_sha256);
    let shows = Shows::This {
        certificate,
        served_before,
        is_older: place.newer.is_some(),
    };
    let proof = address(place).map(|address| {
        let at = At {
            address,
            agent: &agent.id,
            hostname: &agent.hostname,
            path,
        };
        prove_handshake::planned(target, &at, &shows)
    });
    [install].into_iter().chain(proof).collect()
}

/// The installation that is expected at the path now.
fn there(place: &Place) -> Option<&Installation> {
    place
        .agent
        .installations
        .iter()
        .find(|installation| installation.path == place.path)
}

/// Address at which the path's certificate is served, or would be.
fn address(place: &Place) -> Option<&str> {
    let agent = &place.agent.agent;
    let address = there(place).map_or(&agent.tls_address, |there| &there.tls_address);
    address.as_deref()
}

/// Loss of the path's present certificate; nothing where the plan itself puts that one elsewhere.
fn loss(place: &Place, targets: &[Target]) -> Option<Loss> {
    let there = there(place)?;
    let moved = targets.iter().any(|target| target.id == there.certificate_id);
    // A certificate that its agent found not to be served there can't be lost.
    let is_served = match (&there.tls_address, there.checked_at) {
        (Some(_), Some(_)) => there.served_sha256.as_ref() == Some(&there.expected_sha256),
        (Some(_), None) | (None, _) => true,
    };
    if place.is_successor || !is_served {
        return None;
    }
    let name = common_name(&there.subject).unwrap_or(&there.subject);
    (there.certificate_id != place.detail.certificate.id && !moved).then(|| Loss {
        host: place.agent.agent.hostname.clone(),
        // Another one of the same name is told by its end.
        name: match name == place.detail.certificate.name() {
            true => format!("{name} that ends {}", fixed(there.not_after)),
            false => name.to_owned(),
        },
        what: match there.tls_address {
            Some(_) => format!("no longer served from {}", place.path),
            None => format!("no longer on disk at {}", place.path),
        },
    })
}

fn changes(place: &Place, now: DateTime<Utc>) -> Vec<String> {
    let (name, hostname, path) = (
        place.detail.certificate.name(),
        &place.agent.agent.hostname,
        &place.path,
    );
    let certificate = &place.detail.certificate;
    let mut changes = vec![format!(
        "{name}   serial {}   ends {}",
        by_name::tail(&certificate.serial),
        fixed(certificate.not_after)
    )];
    let there = there(place);
    let absence = away(&place.agent.agent, now).filter(|_| place.part == Part::Late);
    changes.push(match absence {
        Some(Absence { until, .. }) => format!("{hostname} gets {name} at {path} when it {until}."),
        None => {
            format!("{hostname} gets {name} at {path} and reloads; its old files stay until that is served.")
        }
    });
    if there.is_some_and(|there| there.certificate_id == place.detail.certificate.id) {
        changes.push("It is expected there already: written and loaded again.".to_owned());
    }
    let served = there.map_or(&place.agent.agent.tls_address, |there| &there.tls_address);
    if served.is_none() {
        changes.push(format!(
            "{hostname} serves nothing from there: the proof is the agent's report alone."
        ));
    }
    changes
}

/// Its own place on the agent, or its name in the agent's first directory.
async fn default_path(
    detail: &CertificateDetail,
    agent: &AgentDetail,
    with: &Reads,
) -> Result<String, Problem> {
    if let Some(path) = own_place::path(detail, agent, with).await? {
        return Ok(path);
    }
    let folder = agent.agent.install_dirs.first().ok_or_else(|| {
        Problem::new(
            ProblemKind::Refused,
            "the agent allows no directory to install in".to_owned(),
        )
        .hint("add one to `install_dirs` in the agent's configuration")
    })?;
    let name: String = detail
        .certificate
        .name()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    Ok(format!("{}/{name}.pem", folder.trim_end_matches('/')))
}

/// Asks for the installation; proven when the agent reports that it was done.
struct Install;

impl Step for Install {
    fn name(&self) -> &'static str {
        "install"
    }

    fn harm(&self) -> Harm {
        Harm::Changes
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let body = InstallBody {
                cert_id: text(&cx.args, "certificate")?.to_owned(),
                path: text(&cx.args, "path")?.to_owned(),
                comment: cx.comment.clone(),
                ticket: cx.ticket.clone(),
            };
            let reply = with.api.install(text(&cx.args, "agent")?, &body, &cx.key).await?;
            Ok(json!({"job": reply.job_id}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let Some(job) = cx.result["job"].as_str() else {
                return found_out(cx, with).await;
            };
            let Some(result) = with.api.job(job).await?.result else {
                let agent = with.api.agent(text(&cx.args, "agent")?).await?.agent;
                return Ok(match away(&agent, with.now()) {
                    Some(Absence { is, until }) => Proof::Waits(format!(
                        "asked, waits for the agent: job {job} goes on when {} {until}; it {is}",
                        agent.hostname
                    )),
                    None => Proof::Open("the agent has not reported yet".to_owned()),
                });
            };
            if result.done {
                return Ok(Proof::Proven(
                    "the agent reports it installed and loaded".to_owned(),
                ));
            }
            Ok(Proof::Refuted(
                Problem::new(
                    ProblemKind::BackendFailed,
                    format!("the agent could not install it: {}", result.failure()),
                )
                .hint("mend the cause on the host, then install again"),
            ))
        })
    }
}

/// The answer was lost: that the certificate is on disk where another one was expected is what was asked for.
async fn found_out(cx: &StepContext, with: &Reads) -> Result<Proof, Problem> {
    let certificate = text(&cx.args, "certificate")?;
    let there = with.api.agent(text(&cx.args, "agent")?).await?.installations;
    let path = text(&cx.args, "path")?;
    let there = there
        .into_iter()
        .find(|it| it.path == path && it.certificate_id == certificate);
    let was_there = cx.args["there"].as_str() == Some(certificate);
    Ok(match there {
        Some(it)
            if !was_there && !it.under_way && it.on_disk_sha256.as_ref() == Some(&it.expected_sha256) =>
        {
            Proof::Proven("the agent reports it on disk".to_owned())
        }
        Some(_) if !was_there => {
            Proof::NotYet("it was asked for; the agent has not reported it yet".to_owned())
        }
        _ => Proof::NotYet("it is not known whether the job was queued".to_owned()),
    })
}

/// Installation over a newer certificate, which has to be typed.
struct InstallOlder;

impl Step for InstallOlder {
    fn name(&self) -> &'static str {
        "install_older"
    }

    fn harm(&self) -> Harm {
        Harm::Backward
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Install.run(cx, with)
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Install.prove(cx, with)
    }
}
