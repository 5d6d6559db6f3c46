//! Reissue: a certificate for the same names with a fresh key, installed where the old one was; the
//! proof is a handshake that serves the new one. The old one is not revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::fewer_names::FewerNames;
use super::in_the_way::{self, Adapters, Agents, UnderWay, away};
use super::steps::await_agent::{self, AwaitAgent};
use super::steps::prove_handshake::{self, At, ProveHandshake, Shows};
use super::taking_part::{Hosts, Part};
use super::{
    Action, Availability, Facts, Leaves, Refusal, Seen, Spec, by_hand, by_name, needs_api, old_certificates,
    one_address,
};
use crate::domain::certificate::{Certificate, Shown};
use crate::domain::follows::Follows;
use crate::domain::id::EntityKind;
use crate::domain::installation::{Installation, Truth};
use crate::domain::key::KeyAlgorithm;
use crate::domain::listed::first;
use crate::domain::moment::fixed;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::plan::plan::{Field, Inputs, LeftOut, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::Problem;
use crate::wire::certs::{CertificateDetail, ReissueBody};

/// See the module.
pub(super) struct ReissueCertificate;

static SPEC: Spec = Spec {
    id: "reissue",
    title: "Reissue",
    verb: "Reissue",
    key: "r",
    kinds: &[EntityKind::Certificate],
    help: "issue it anew with a fresh key and install it where the old one is",
    proof: "a handshake serves the new fingerprint",
    leaves: Some(Leaves::About("reissue", Follows::Certificates)),
};

impl Action for ReissueCertificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, facts: &Facts) -> Availability {
        needs_api(facts).unwrap_or(Availability::Ready)
    }

    fn refuses(&self, on: &Seen<'_>, now: DateTime<Utc>) -> Option<Refusal> {
        match on {
            Seen::Certificate(seen) => {
                let belongs = seen
                    .detail
                    .is_some_and(|detail| detail.belongs().next().is_some());
                // Places that it belongs at since an installation failed are counted, and named in a detail alone.
                let is_installed = belongs || seen.row.n_installations > 0 || seen.row.n_reissuable > 0;
                refused(seen.row, is_installed, now).or_else(|| {
                    let detail = seen.detail.filter(|_| !is_installed)?;
                    held_by_banned(detail)
                })
            }
            Seen::Finding(finding) if finding.under_way => Some(being_reissued(&finding.subject, None)),
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
        let has = |step: &dyn Step| plan.steps.iter().any(|it| it.step == step.name());
        match (has(&ProveHandshake), has(&AwaitAgent)) {
            (true, _) => SPEC.proof,
            (false, true) => "the agent reports the new one on its disk: nothing serves it over TLS",
            (false, false) if has(&Reissue) => "the CA has issued it, with a serial: it is installed nowhere",
            (false, false) => SPEC.proof,
        }
        .to_owned()
    }

    fn steps(&self) -> &'static [&'static dyn Step] {
        &[&Reissue, &ProveHandshake, &AwaitAgent]
    }
}

const SAME: &str = "as before";

/// Facts of a whole reissue before it is asked for.
#[derive(Default)]
struct Found {
    all: Vec<CertificateDetail>,
    hosts: Hosts,
    /// A line for each, with the hosts that it is replaced on.
    by_name: Vec<Vec<String>>,
    uninstalled: Vec<String>,
    /// Keys and certificates that are made: one for each place.
    n_new: usize,
    /// Places of a certificate that has several.
    places: Vec<String>,
    /// Places of which a server shows one certificate.
    one_address: Vec<String>,
    /// Names that the last try asked for too and this one does not, by certificate, with what came of that.
    fewer_names: BTreeMap<String, FewerNames>,
}

/// Certificates whose last try is told of.
const TOLD_TRIES: usize = 3;
/// Places that are named.
const TOLD_PLACES: usize = 4;

async fn plan(on: Vec<Target>, inputs: Inputs, with: &Reads) -> Result<Plan, Problem> {
    let algorithm = inputs.get("key").map_or(SAME, String::as_str);
    if algorithm != SAME && KeyAlgorithm::from_word(algorithm).is_none() {
        return Err(Problem::bad_input(format!("`{algorithm}` is no key algorithm")));
    }
    let now = with.now();
    let mut plan = Plan::new(SPEC.id, now);
    let mut agents = Agents::default();
    let mut found = Found::default();
    let alone = on.len() == 1;
    let ids: Vec<&str> = on.iter().map(|target| target.id.as_str()).collect();
    let under_way = UnderWay::ask(&ids, with).await?;
    for target in on {
        let detail = with.api.certificate(&target.id).await?;
        let certificate = &detail.certificate;
        let belongs = detail.belongs().next().is_some();
        let refusal =
            refused(certificate, belongs, now).or_else(|| held_by_banned(&detail).filter(|_| !belongs));
        match refusal {
            Some(_) if alone && certificate.is_being_reissued() => {
                return Err(being_reissued(certificate.name(), under_way.of(&certificate.id)).problem);
            }
            Some(refusal) if alone => {
                return Err(match &certificate.replaced_by {
                    Some(by) if detail.belongs().next().is_none() => {
                        replaced(certificate.name(), by, with).await?
                    }
                    _ => refusal.problem,
                });
            }
            Some(refusal) => plan.left_out.push(LeftOut {
                name: certificate.name().to_owned(),
                why: refusal.word.to_owned(),
            }),
            None => {
                let index = plan.targets.len();
                let failed = under_way.failed(&certificate.id);
                if let Some(fewer) = failed.and_then(|it| FewerNames::of(it, certificate)) {
                    found.fewer_names.insert(certificate.id.clone(), fewer);
                }
                let open: Vec<&Request> = under_way.for_certificate(&certificate.id).collect();
                let steps = steps(index, &detail, algorithm, &open, &mut agents, &mut found, with);
                plan.steps.extend(steps.await?);
                plan.targets.push(Target {
                    version: certificate.version,
                    name: certificate.name().to_owned(),
                    ..target
                });
                found.all.push(detail);
            }
        }
    }
    let n_left_out = plan.left_out.len();
    plan.title = match found.all.as_slice() {
        [] => {
            let causes = plan.left_out_by_cause().into_iter();
            let causes: Vec<String> = causes.map(|(why, of)| format!("{} {why}", of.len())).collect();
            let what = format!("none of these can be reissued: {}", causes.join(", "));
            return Err(Problem::conflict(what)
                .hint("wait for what is being reissued; reissue what took the place of what is replaced"));
        }
        [one] => format!("Reissue {}", one.certificate.name()),
        many if n_left_out == 0 => format!("Reissue {} certificates", many.len()),
        many => format!(
            "Reissue {} of {} certificates",
            many.len(),
            many.len() + n_left_out
        ),
    };
    let revoked_at_ca = old_certificates::revoked_at_ca(&mut found.all, with).await;
    plan.changes = changes(&found, algorithm, now);
    if found.all.len() > 1 {
        plan.by_name = by_name::columns(&found.by_name);
    }
    plan.in_the_way = in_the_way(&found, with).await?;
    plan.in_the_way.extend(revoked_at_ca);
    prove_handshake::thorough_if_few(&mut plan.steps);
    let mut options = vec![SAME.to_owned()];
    options.extend(
        KeyAlgorithm::ALL
            .iter()
            .map(|algorithm| algorithm.word().to_owned()),
    );
    plan.fields = vec![Field {
        name: "key".to_owned(),
        label: "Key".to_owned(),
        value: algorithm.to_owned(),
        options,
    }];
    Ok(plan)
}

/// Refusal for a certificate of which there is nothing to reissue; its word begins with the status that lists show.
fn refused(certificate: &Certificate, is_installed: bool, now: DateTime<Utc>) -> Option<Refusal> {
    if certificate.is_being_reissued() {
        return Some(being_reissued(certificate.name(), None));
    }
    if certificate.is_banned_everywhere() {
        return Some(only_banned(certificate.name()));
    }
    if is_installed {
        return None;
    }
    let name = certificate.name();
    let (word, hint) = match (certificate.shown(now), &certificate.replaced_by) {
        (Shown::Revoked, Some(_)) => ("revoked", "reissue the one that replaced it"),
        (Shown::Revoking, Some(_)) => ("revoking", "reissue the one that replaced it"),
        (Shown::Refused, Some(_)) => ("refused", "reissue the one that replaced it"),
        (Shown::Revoked, None) => ("revoked", NEW_ONE),
        (Shown::Revoking, None) => ("revoking", NEW_ONE),
        (Shown::Refused, None) => ("refused", NEW_ONE),
        (_, None) => return None,
        (Shown::Leaked, Some(_)) if certificate.is_replaced => {
            ("leaked and replaced", "its key is compromised: revoke it, `X`")
        }
        (Shown::Replaced, Some(_)) => ("replaced", "reissue the one that replaced it"),
        // A host that has not loaded its successor still shows it.
        (shown, Some(_)) => {
            let what = format!("{name} is replaced, and a host where another one is expected still has it");
            let problem = Problem::conflict(what).hint("install the one that replaced it there");
            return Some(Refusal::new(still_there(shown), problem));
        }
    };
    let is = match word {
        "revoking" => "being revoked",
        "refused" => "to be revoked, which its CA refused,",
        "leaked and replaced" => "replaced",
        word => word,
    };
    let problem = Problem::conflict(format!("{name} is {is} and installed nowhere")).hint(hint);
    Some(Refusal::new(word, problem))
}

const NEW_ONE: &str = "request a new certificate for an agent: `POST /api/v1/certs`";

fn still_there(shown: Shown) -> &'static str {
    match shown {
        Shown::Leaked => "leaked, but replaced",
        Shown::Expired => "expired, but replaced",
        Shown::Expiring => "expiring, but replaced",
        Shown::Held => "held, but replaced",
        _ => "active, but replaced",
    }
}

/// Refusal that tells how its successor fares: where that is served there is nothing left to do.
async fn replaced(name: &str, by: &str, with: &Reads) -> Result<Problem, Problem> {
    let new = with.api.certificate(by).await?;
    let at = fixed(new.certificate.created_at);
    let serial = by_name::tail(&new.certificate.serial);
    let hosts = |is: fn(&Truth) -> bool| {
        let places = new.installations.iter().filter(|place| is(&place.truth()));
        let hosts: BTreeSet<&str> = places.map(|place| place.hostname.as_str()).collect();
        in_the_way::names(&hosts.into_iter().collect::<Vec<_>>())
    };
    let good = |truth: &Truth| matches!(truth, Truth::Agrees | Truth::OnDisk);
    let done = format!("it was done at {at}: {name}, serial {serial}, took its place");
    if !new.installations.is_empty() && new.installations.iter().all(|place| good(&place.truth())) {
        let on = hosts(|_| true);
        return Ok(Problem::conflict(format!(
            "{done}, and is installed and served as expected on {on}"
        )));
    }
    let problem = match new.installations.as_slice() {
        [] => Problem::conflict(format!("{done}; it is installed nowhere")),
        _ => {
            let on = hosts(|truth| !matches!(truth, Truth::Agrees | Truth::OnDisk));
            Problem::conflict(format!("{done}; it isn't as expected yet on {on}"))
        }
    };
    Ok(problem.hint("look at the one that took its place"))
}

/// Refusal for a certificate whose agents are all banned: they get nothing.
fn only_banned(name: &str) -> Refusal {
    let problem = Problem::refused(format!("only banned agents have {name}"));
    let hint =
        "unban one of them: `U` on it; or request a new certificate for another agent: `POST /api/v1/certs`";
    Refusal::new("which only banned agents have", problem.hint(hint))
}

/// Refusal for a certificate that is installed nowhere and whose key only banned agents hold.
fn held_by_banned(detail: &CertificateDetail) -> Option<Refusal> {
    let key = detail.key.as_ref()?;
    key.is_holder_banned
        .then(|| only_banned(detail.certificate.name()))
}

/// Refusal for a certificate that is asked for already, for each of its places.
fn being_reissued(name: &str, request: Option<&Request>) -> Refusal {
    let why = request.map_or(String::new(), |request| {
        format!(": its request {}", request.why())
    });
    let what = format!("{name} is being reissued already{why}");
    let hint = "wait: it is issued and installed by itself; or take that request back: `:cancel` on it";
    Refusal::new("being reissued already", Problem::conflict(what).hint(hint))
}

/// The steps for one certificate: asked for, then proven where its agents are there. What waits for one that is
/// away holds up nothing, so it is looked at last.
async fn steps(
    target: usize,
    detail: &CertificateDetail,
    algorithm: &str,
    open: &[&Request],
    agents: &mut Agents,
    found: &mut Found,
    with: &Reads,
) -> Result<Vec<PlannedStep>, Problem> {
    let (certificate, now) = (&detail.certificate, with.now());
    let (mut proofs, mut later) = (Vec::new(), Vec::new());
    let mut hosts: BTreeSet<String> = BTreeSet::new();
    let mut late: Vec<String> = Vec::new();
    let mut reached: Vec<(&Installation, Part)> = Vec::new();
    for place in detail.belongs() {
        let agent = agents.get(&place.agent_id, with).await?;
        let part = Part::of(agent, Some(&place.path), open.iter().copied(), now);
        found.hosts.note(agent, part, certificate.name(), now);
        if part.is_reached() {
            reached.push((place, part));
        }
    }
    let places: Vec<&Installation> = reached.iter().map(|(place, _)| *place).collect();
    for (place, part) in reached {
        let agent = agents.get(&place.agent_id, with).await?;
        hosts.insert(place.hostname.clone());
        let handshake = At::of(place).map(|at| {
            let shows = Shows::SuccessorOf {
                old: certificate,
                place,
                is_shared: one_address::is_shared(place, &places),
            };
            prove_handshake::planned(target, &at, &shows)
        });
        if part == Part::Late {
            late.push(agent.id.clone());
            later.push(await_agent::planned(target, place));
            later.extend(handshake);
            continue;
        }
        // The agent's report is all that can be looked at where nothing serves it.
        proofs.push(handshake.unwrap_or_else(|| await_agent::planned(target, place)));
    }
    if detail.belongs().next().is_none() {
        found.uninstalled.push(certificate.name().to_owned());
        let holder = detail.key.as_ref().and_then(|key| key.agent_id.as_deref());
        if let Some(holder) = holder {
            let agent = agents.get(holder, with).await?;
            let part = Part::of(agent, None, open.iter().copied(), now);
            hosts.insert(agent.hostname.clone());
            if part == Part::Late {
                found.hosts.waits(agent, certificate.name(), now);
                late.push(agent.id.clone());
            }
        }
    }
    found.n_new += places.len().max(1);
    found
        .one_address
        .extend(one_address::lines(certificate.name(), &places));
    if let [_, _, ..] = places.as_slice() {
        let at = places.iter().map(|it| format!("{} on {}", it.path, it.hostname));
        found.places.extend(at);
    }
    let reached: Vec<&str> = hosts.iter().map(String::as_str).collect();
    found.by_name.push(by_name::certificate_on(detail, &reached, now));
    let body = (algorithm != SAME).then(|| json!({"key_algorithm": algorithm}));
    let path = format!("certs/{}/reissue", certificate.id);
    let args = json!({
        "certificate": certificate.id, "key": (algorithm != SAME).then_some(algorithm), "late": late,
        "replaced_by": certificate.replaced_by,
        "leaked": certificate.shown(with.now()) == Shown::Leaked,
        "without": found.fewer_names.get(&certificate.id).map(FewerNames::names),
    });
    let ask = PlannedStep::new(
        &Reissue,
        target,
        format!("issue {} anew", certificate.name()),
        args,
    )
    .on_hosts(&hosts)
    .by_hand(by_hand::post(with.api.base(), &path, body.as_ref()));
    Ok([ask].into_iter().chain(proofs).chain(later).collect())
}

fn changes(found: &Found, algorithm: &str, now: DateTime<Utc>) -> Vec<String> {
    let hosts = |hosts: &BTreeSet<String>| hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut changes = Vec::new();
    match found.all.as_slice() {
        [one] => {
            let certificate = &one.certificate;
            let key = match algorithm {
                SAME => certificate.key_algorithm.as_str(),
                other => other,
            };
            changes.push(match found.places.as_slice() {
                [] => format!("{} gets a new {key} key and certificate.", certificate.name()),
                places => format!(
                    "{} gets {} new {key} keys and certificates, one for each of its places: {}.",
                    certificate.name(),
                    found.n_new,
                    first(places, TOLD_PLACES)
                ),
            });
            match found.hosts.now().len() {
                0 => {}
                1 => changes.push(format!(
                    "{} gets the new files, reloads, and is asked by handshake.",
                    hosts(found.hosts.now())
                )),
                _ => changes.push(format!(
                    "{} get the new files, reload, and are asked by handshake.",
                    hosts(found.hosts.now())
                )),
            }
            changes.push(old_certificates::old(certificate, now));
        }
        many => {
            changes.push(format!(
                "{} new keys{}, {}. {}",
                found.n_new,
                match found.n_new > many.len() {
                    true => ", one for each place",
                    false => "",
                },
                found.hosts.reload(),
                old_certificates::old_ones(many, now)
            ));
        }
    }
    let tries = found.fewer_names.values();
    changes.extend(tries.take(TOLD_TRIES).map(FewerNames::words));
    if let more @ 1.. = found.fewer_names.len().saturating_sub(TOLD_TRIES) {
        changes.push(format!(
            "{more} more had asked for other names too at the last try; all ask for the present names only."
        ));
    }
    changes.push("Keys change: clients that pin one have to be told.".to_owned());
    changes.extend(old_certificates::keep_the_key(&found.all, now));
    changes
}

async fn in_the_way(found: &Found, with: &Reads) -> Result<Vec<String>, Problem> {
    let mut lines = found
        .hosts
        .lines(|until| format!("Nothing is installed there until it {until}; nothing else waits."));
    let adapters = Adapters::ask(with).await?;
    let certificates = found.all.iter().map(|detail| &detail.certificate);
    let so = "can be asked for: issued and installed by itself when that is over.";
    lines.extend(adapters.lines(certificates, so, with));
    lines.extend(found.one_address.iter().take(TOLD_PLACES).cloned());
    match found.uninstalled.as_slice() {
        [] => {}
        [one] => lines.push(format!(
            "{one} is installed nowhere: the new one waits on its agent."
        )),
        many => lines.push(format!(
            "{} are installed nowhere: the new ones wait on their agents.",
            many.len()
        )),
    }
    Ok(lines)
}

/// Asks for the new certificate; proven when every request that came of it is issued.
struct Reissue;

impl Step for Reissue {
    fn name(&self) -> &'static str {
        "reissue"
    }

    fn harm(&self) -> Harm {
        Harm::Changes
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let body = ReissueBody {
                key_algorithm: cx.args["key"].as_str().map(str::to_owned),
                comment: cx.comment.clone(),
                ticket: cx.ticket.clone(),
            };
            let reply = with
                .api
                .reissue(text(&cx.args, "certificate")?, &body, &cx.key)
                .await?;
            let requests: Vec<&str> = reply.requests.iter().map(|request| request.id.as_str()).collect();
            Ok(json!({"requests": requests}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let Some(ids) = cx.result["requests"].as_array() else {
                return found_out(cx, with).await;
            };
            let late: Vec<&str> = cx.args["late"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let mut requests = Vec::new();
            for id in ids.iter().filter_map(Value::as_str) {
                requests.push(with.api.request(id).await?);
            }
            // A step of its own looks after what waits for an agent that is away, unless that is all.
            let is_late =
                |request: &Request| request.agent_id.as_deref().is_some_and(|id| late.contains(&id));
            let all_late = requests.iter().all(is_late);
            let mut serials = Vec::new();
            for request in requests.iter().filter(|request| all_late || !is_late(request)) {
                match (request.status, &request.certificate_id) {
                    (RequestStatus::Issued, Some(certificate)) => {
                        serials.push(with.api.certificate(certificate).await?.certificate.serial);
                    }
                    (RequestStatus::Failed | RequestStatus::Denied | RequestStatus::Cancelled, _) => {
                        let hint = "the old certificate is untouched";
                        return Ok(await_agent::ended(request, Some(hint)));
                    }
                    _ => return not_issued(request, text(&cx.args, "certificate")?, with).await,
                }
            }
            // Names that were refused before are still not there: the finding about them ends with this.
            let without = cx.args["without"].as_str().map_or(String::new(), |names| {
                format!(
                    " for the present names only: {names}, which the last try asked for too, is not in it"
                )
            });
            Ok(issued(cx, &format!("{}{without}", serials.join(", "))))
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(90)
    }
}

/// Serials of a reissue, and the work that is left with the old certificate.
fn issued(cx: &StepContext, serials: &str) -> Proof {
    let left = match cx.args["leaked"].as_bool() {
        Some(true) => "; the old one's key is compromised: it still has to be revoked, `X` on it",
        _ => "",
    };
    let word = if serials.contains(", ") {
        "serials"
    } else {
        "serial"
    };
    Proof::Proven(format!("issued, {word} {serials}{left}"))
}

/// The answer was lost: another one in its place than when it was planned is what was asked for.
async fn found_out(cx: &StepContext, with: &Reads) -> Result<Proof, Problem> {
    let old = with
        .api
        .certificate(text(&cx.args, "certificate")?)
        .await?
        .certificate;
    match &old.replaced_by {
        Some(new) if cx.args["replaced_by"].as_str() != Some(new) => {
            let new = with.api.certificate(new).await?.certificate;
            Ok(issued(cx, &new.serial))
        }
        _ => Ok(Proof::NotYet(
            "it is not known whether the request was made".to_owned(),
        )),
    }
}

/// Who a request waits for; nobody has to stay for one who is known to be away.
async fn not_issued(request: &Request, certificate: &str, with: &Reads) -> Result<Proof, Problem> {
    match (request.waiting_on, &request.agent_id) {
        (Some(WaitingOn::Approval), _) => {
            return Ok(Proof::Waits(format!(
                "asked: request {} waits for an approval",
                request.id
            )));
        }
        (Some(WaitingOn::Key | WaitingOn::Challenge), Some(agent)) => {
            let agent = with.api.agent(agent).await?.agent;
            if let Some(absence) = away(&agent, with.now()) {
                return Ok(Proof::Waits(await_agent::words(request, &agent, &absence)));
            }
        }
        (Some(WaitingOn::Ca), _) => {
            let old = with.api.certificate(certificate).await?.certificate;
            if let Some(cause) = Adapters::ask(with).await?.stopped(&old, with) {
                return Ok(Proof::Waits(format!(
                    "asked: request {} waits for the CA: {cause}. It is issued and installed by itself when that is over",
                    request.id
                )));
            }
        }
        _ => {}
    }
    Ok(Proof::Open(request.why()))
}
