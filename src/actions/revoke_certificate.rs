//! Revoke: the CA is asked to revoke, and the proof is the serial in a CRL fetched afterwards. It does
//! not replace the certificate; that is `reissue`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::in_the_way::{Adapters, names};
use super::revocation_reach::{changes, for_good, revoked_before};
use super::steps::prove_revocation;
use super::{Action, Availability, Facts, Leaves, Refusal, Seen, Spec, by_hand, by_name, needs_api};
use crate::domain::adapter::VAULT_PKI;
use crate::domain::certificate::{Certificate, CertificateStatus, Shown};
use crate::domain::finding::FindingKind;
use crate::domain::follows::Follows;
use crate::domain::id::EntityKind;
use crate::domain::installation::{Installation, Truth};
use crate::domain::moment::fixed;
use crate::domain::reason::Reason;
use crate::domain::told::{SAID, cited};
use crate::plan::plan::{Field, Inputs, LeftOut, Loss, Plan, PlannedStep, Target};
use crate::plan::ports::{Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::problem::Problem;
use crate::wire::certs::{CertificateDetail, RevokeBody};

/// See the module.
pub(super) struct RevokeCertificate;

static SPEC: Spec = Spec {
    id: "revoke",
    title: "Revoke",
    verb: "Revoke",
    key: "X",
    kinds: &[EntityKind::Certificate],
    help: "have the CA revoke the certificate, with a reason of RFC 5280",
    proof: "the serial is in the CRL that was fetched afterwards",
    leaves: Some(Leaves::About("revoke", Follows::Revocation)),
};

/// No run waits longer for a CA that makes its list by itself.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Time that a plan waits for what its Vault says of the list.
const PATIENCE: Duration = Duration::from_secs(1);
/// Age beyond which what an agent saw isn't said of the present.
const FRESH: chrono::Duration = chrono::Duration::minutes(15);

impl Action for RevokeCertificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, facts: &Facts) -> Availability {
        needs_api(facts).unwrap_or(Availability::Ready)
    }

    fn refuses(&self, on: &Seen<'_>, now: DateTime<Utc>) -> Option<Refusal> {
        match on {
            // The reason that it begins with, which is the one that may worsen what was said before.
            Seen::Certificate(seen) => refused(seen.row, Reason::KeyCompromise, now),
            Seen::Finding(finding) if finding.kind == FindingKind::ExpiredInUse => {
                Some(expired(&finding.subject, finding.due?, "expired"))
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

    fn steps(&self) -> &'static [&'static dyn Step] {
        &[&Revoke]
    }
}

async fn plan(on: Vec<Target>, inputs: Inputs, with: &Reads) -> Result<Plan, Problem> {
    let now = with.now();
    let adapters = Adapters::ask(with).await?.for_revoking();
    let rule = list_waits(with).await;
    let mut plan = Plan::new(SPEC.id, now);
    let mut all: Vec<CertificateDetail> = Vec::new();
    let mut longest: Option<Duration> = None;
    let mut asked: Vec<(Target, CertificateDetail)> = Vec::new();
    for target in on {
        let detail = with.api.certificate(&target.id).await?;
        asked.push((target, detail));
    }
    let reason = match inputs.get("reason") {
        Some(text) => {
            Reason::parse(text).ok_or_else(|| Problem::bad_input("that is no reason of RFC 5280"))?
        }
        None => said_before(&asked, now).unwrap_or(Reason::KeyCompromise),
    };
    let alone = asked.len() == 1;
    for (target, detail) in asked {
        let certificate = &detail.certificate;
        match refused(certificate, reason, now) {
            Some(refusal) if alone => return Err(refusal.problem),
            Some(refusal) => plan.left_out.push(LeftOut {
                name: certificate.name().to_owned(),
                why: refusal.word.to_owned(),
            }),
            None => {
                plan.phrase = certificate.serial_tail();
                // The rule about the next list is that of Vault alone.
                let of_vault = adapters
                    .of(certificate)
                    .is_some_and(|adapter| adapter.kind == VAULT_PKI);
                let wait = rule.filter(|_| of_vault);
                longest = longest.max(wait);
                plan.steps
                    .push(step(plan.targets.len(), &detail, reason, wait, with));
                plan.targets.push(Target {
                    version: certificate.version,
                    name: certificate.name().to_owned(),
                    ..target
                });
                all.push(detail);
            }
        }
    }
    if all.is_empty() {
        return Err(Problem::conflict(
            "none of these can be revoked: each has expired or is revoked already",
        )
        .hint("what expired is refused without a revocation"));
    }
    plan.title = match all.as_slice() {
        [one] => format!("Revoke {}", one.certificate.name()),
        many if plan.left_out.is_empty() => format!("Revoke {} certificates", many.len()),
        many => format!(
            "Revoke {} of {} certificates",
            many.len(),
            many.len() + plan.left_out.len()
        ),
    };
    "the last four of the serial".clone_into(&mut plan.phrase_is);
    plan.for_good = for_good(&all, reason);
    plan.changes = changes(&all, reason, now);
    plan.losses = all.iter().flat_map(|detail| losses(detail, now)).collect();
    // Losses of something that is served come first: they are felt now.
    plan.losses.sort_by_key(|loss| !loss.what.starts_with(SERVED));
    if all.len() > 1 {
        let rows: Vec<_> = all
            .iter()
            .map(|detail| by_name::certificate(detail, now))
            .collect();
        plan.by_name = by_name::columns(&rows);
    }
    plan.in_the_way = in_the_way(&all, reason, longest, &adapters, with);
    plan.fields = vec![Field {
        name: "reason".to_owned(),
        label: "Reason".to_owned(),
        value: reason.name().to_owned(),
        options: Reason::FOR_LEAVES
            .iter()
            .map(|reason| reason.name().to_owned())
            .collect(),
    }];
    Ok(plan)
}

/// The reason that was given for all of them before, where none is over: what is asked for again stays what it was, and what
/// is over can only get a worse reason.
fn said_before(all: &[(Target, CertificateDetail)], now: DateTime<Utc>) -> Option<Reason> {
    let mut reasons = all.iter().map(|(_, detail)| {
        let certificate = &detail.certificate;
        let reason = certificate.revocation.as_ref()?.reason;
        revoked_before(certificate, now).is_none().then_some(reason)
    });
    let first = reasons.next()??;
    reasons.all(|it| it == Some(first)).then_some(first)
}

fn step(
    target: usize,
    detail: &CertificateDetail,
    reason: Reason,
    wait: Option<Duration>,
    with: &Reads,
) -> PlannedStep {
    let certificate = &detail.certificate;
    let args = json!({
        "certificate": certificate.id, "serial": certificate.serial, "reason": reason.name(),
        "listed_within_s": wait.map(|wait| wait.as_secs()),
    });
    let command = by_hand::post(
        with.api.base(),
        &format!("certs/{}/revoke", certificate.id),
        Some(&json!({"reason": reason.to_string()})),
    );
    PlannedStep::new(&Revoke, target, format!("revoke {}", certificate.name()), args)
        .on_hosts(detail.in_use().map(|installation| &installation.hostname))
        .by_hand(command)
}

/// A CA needn't list what has expired (RFC 5280 §3.3), so that the proof would never come.
fn expired(name: &str, at: DateTime<Utc>, word: &'static str) -> Refusal {
    let at = at.format("%Y-%m-%d %H:%MZ");
    let problem = Problem::conflict(format!("{name} expired at {at}: no CRL has to list it any more"))
        .hint("reissue it where it is still served; what expired is refused without a revocation");
    Refusal::new(word, problem)
}

/// Refusal for a certificate that can't be revoked.
fn refused(certificate: &Certificate, reason: Reason, now: DateTime<Utc>) -> Option<Refusal> {
    let name = certificate.name();
    if certificate.not_after <= now {
        // The status that lists show.
        let word = match certificate.shown(now) {
            Shown::Replaced => "replaced and ended",
            Shown::Revoked => "revoked and ended",
            Shown::Revoking => "revoking and ended",
            Shown::Refused => "refused and ended",
            Shown::Held => "held and ended",
            Shown::Leaked | Shown::Active | Shown::Expiring | Shown::Expired => "expired",
        };
        return Some(expired(name, certificate.not_after, word));
    }
    let before = certificate
        .revocation
        .as_ref()
        .map(|revocation| revocation.reason);
    let worsens = reason == Reason::KeyCompromise && before != Some(Reason::KeyCompromise);
    // The word is the one of lists, the answer a sentence.
    let (word, is) = match certificate.status {
        // Nor does a yes that no list bears out.
        CertificateStatus::Revoked if certificate.missed_in_crl(now).is_some() => return None,
        CertificateStatus::Revoked => ("revoked already", "revoked already"),
        // A refusal by the CA ends nothing: whoever has mended its cause asks again.
        CertificateStatus::RevocationPending if certificate.refusal().is_none() => {
            ("revoking already", "being revoked already")
        }
        CertificateStatus::RevocationPending | CertificateStatus::Active | CertificateStatus::Held => {
            return None;
        }
    };
    (!worsens).then(|| Refusal::new(word, Problem::conflict(format!("{name} is {is}"))))
}

fn in_the_way(
    all: &[CertificateDetail],
    reason: Reason,
    wait: Option<Duration>,
    adapters: &Adapters,
    with: &Reads,
) -> Vec<String> {
    let so = match reason {
        Reason::KeyCompromise => {
            "can be asked for: the key is blocked at once, the CA revokes when that is over; nothing else waits."
        }
        _ => "can be asked for: the CA revokes when that is over; nothing else waits.",
    };
    let certificates = all.iter().map(|detail| &detail.certificate);
    let mut lines = adapters.lines(certificates, so, with);
    lines.extend(refused_before(all));
    lines.extend(missed_before(all, with.now()));
    lines.extend(wait.map(|wait| waits(wait, with)));
    let served = |detail: &&CertificateDetail| {
        let served = |place: &Installation| {
            place.served_sha256.as_deref() == Some(detail.certificate.fingerprint_sha256.as_str())
        };
        // Of one that is revoked already the outage is there.
        let is_good = revoked_before(&detail.certificate, with.now()).is_none();
        is_good && detail.certificate.replaced_by.is_none() && detail.in_use().any(served)
    };
    let unreplaced: Vec<&Certificate> = all.iter().filter(served).map(|it| &it.certificate).collect();
    lines.extend(replaced_first(&unreplaced));
    lines
}

/// Sentence about what the CA has refused to revoke before, with its last words.
fn refused_before(all: &[CertificateDetail]) -> Option<String> {
    let certificates = all.iter().map(|detail| &detail.certificate);
    let refused: Vec<(&str, &str)> = certificates
        .filter_map(|it| Some((it.name(), it.refusal()?)))
        .collect();
    let (name, words) = refused.first()?;
    let words = cited(words, SAID);
    Some(match refused.len() {
        1 => format!("The CA refused to revoke {name} before: {words}."),
        n => format!("The CA refused to revoke {n} of these before, {name} so: {words}."),
    })
}

/// Sentence about what the CA has accepted before, and doesn't list.
fn missed_before(all: &[CertificateDetail], now: DateTime<Utc>) -> Option<String> {
    let certificates = all.iter().map(|detail| &detail.certificate);
    let missed: Vec<(&str, DateTime<Utc>)> = certificates
        .filter_map(|it| Some((it.name(), it.missed_in_crl(now)?)))
        .collect();
    let (name, by) = missed.first()?;
    Some(match missed.len() {
        1 => format!(
            "The CA accepted this before, and its CRL, which was to hold {name} by {}, doesn't: it is asked once more.",
            fixed(*by)
        ),
        n => format!(
            "The CA accepted {n} of these before, and its CRL doesn't hold them, {name} since {}: it is asked once more.",
            fixed(*by)
        ),
    })
}

/// Sentences about certificates that are served and that nothing replaces yet, by what could be done about it before.
fn replaced_first(served: &[&Certificate]) -> Vec<String> {
    let of = |is: fn(&Certificate) -> bool| -> Vec<&str> {
        let found = served.iter().filter(|it| is(it));
        found.map(|it| it.name()).collect()
    };
    let asked = of(Certificate::is_being_reissued);
    let banned = of(Certificate::is_banned_everywhere);
    let mut lines = match served.len() - asked.len() - banned.len() {
        0 => Vec::new(),
        1 if served.len() == 1 => {
            vec!["Nothing replaces it yet. Reissue it first and revoke it then: no outage.".to_owned()]
        }
        n => vec![format!(
            "Nothing replaces {n} of them yet. Reissue first and revoke then: no outage."
        )],
    };
    if !asked.is_empty() {
        lines.push(format!(
            "What replaces {} is asked for, and not there yet. The revocation doesn't wait for that: an outage until it is \
             served. Wait for it, then `X`: no outage.",
            names(&asked)
        ));
    }
    if !banned.is_empty() {
        lines.push(format!(
            "Nothing replaces {}, nor can anything be reissued there: only banned agents have it, and they get nothing \
             until they are unbanned, `U`.",
            names(&banned)
        ));
    }
    lines
}

/// Time that the CA's list may wait for its own time; nothing where it is made with each revocation, or where
/// this console may not look.
async fn list_waits(with: &Reads) -> Option<Duration> {
    let asked = with.vault().ok()?;
    // A Vault that hangs holds up no plan: what it would say is said by the issuer, too.
    let rule = tokio::time::timeout(PATIENCE, asked.crl_rule(&with.pki_mount)).await;
    let rule = rule.ok()?.ok()?;
    rule.longest_wait().filter(|_| !rule.disable)
}

fn waits(wait: Duration, with: &Reads) -> String {
    let by = chrono::Duration::from_std(wait)
        .ok()
        .and_then(|wait| with.now().checked_add_signed(wait));
    format!(
        "The CA makes its CRL by itself: the proof may come as late as {}. This run waits {} min for it, the issuer \
         as long as it takes.",
        by.map(fixed).unwrap_or_default(),
        wait.min(LONGEST).as_secs() / 60
    )
}

/// First word of the loss of something that is served.
const SERVED: &str = "served";

/// Loss of each of its places.
fn losses(detail: &CertificateDetail, now: DateTime<Utc>) -> impl Iterator<Item = Loss> {
    let certificate = &detail.certificate;
    detail.in_use().filter_map(move |place| {
        let expected = place.certificate_id == certificate.id;
        let served = place.served_sha256.as_deref() == Some(certificate.fingerprint_sha256.as_str());
        let fresh = place.checked_at.is_some_and(|at| now - at < FRESH);
        let seen = match (fresh, place.checked_at) {
            (false, Some(at)) => format!("when its agent last looked, {}", fixed(at)),
            _ => "now".to_owned(),
        };
        let what = match (served, place.truth()) {
            (true, _) if revoked_before(certificate, now).is_some() => {
                format!("{SERVED} {seen}: it is revoked, and clients that check that refuse it already")
            }
            (true, _) => {
                format!("{SERVED} {seen}: clients that check revocation refuse it from the next CRL on")
            }
            (false, _) if !expected => {
                "on its disk, where another one is expected: the next reload would serve it".to_owned()
            }
            (false, Truth::Missing) => return None,
            (false, Truth::Unknown) => "expected there; its agent hasn't looked yet".to_owned(),
            (false, _) if place.served_sha256.is_some() => {
                format!("expected there; another one is served {seen}")
            }
            (false, Truth::OnDisk) => "on its disk; where it is served is not known".to_owned(),
            (false, _) => "expected there; what is served couldn't be looked at".to_owned(),
        };
        Some(Loss {
            host: place.hostname.clone(),
            name: certificate.name().to_owned(),
            what,
        })
    })
}

/// Asks for the revocation; proven by the CRL.
struct Revoke;

impl Step for Revoke {
    fn name(&self) -> &'static str {
        "revoke"
    }

    fn harm(&self) -> Harm {
        Harm::Final
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let body = RevokeBody {
                reason: text(&cx.args, "reason")?.to_owned(),
                comment: cx.comment.clone(),
                ticket: cx.ticket.clone(),
            };
            let reply = with
                .api
                .revoke(text(&cx.args, "certificate")?, &body, &cx.key)
                .await?;
            Ok(json!({"job": reply.job_id, "audit": reply.audit_seq}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(prove_revocation::prove(cx, with))
    }

    fn limit_of(&self, args: &Value) -> Duration {
        let wait = args["listed_within_s"].as_u64().map(Duration::from_secs);
        self.limit() + wait.unwrap_or_default().min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::super::revocation_reach::tests::certificate;
    use super::*;

    #[test]
    fn a_loss_says_what_was_seen_and_where_nothing_could_be_seen() {
        let now = DateTime::from_timestamp(1_795_403_220, 0).unwrap();
        let said = |change: Value| {
            let mut place = json!({
                "id": "ins_1", "version": 1, "agent_id": "agt_1", "hostname": "web-01", "path": "/srv/a.pem",
                "tls_address": "web-01:443", "certificate_id": "crt_a", "subject": "CN=a.example.com",
                "not_after": now, "expected_sha256": "aa", "on_disk_sha256": "aa", "served_sha256": "aa",
                "error": null, "checked_at": now
            });
            for (name, value) in change.as_object().unwrap() {
                place[name] = value.clone();
            }
            let mut detail: CertificateDetail = serde_json::from_value(json!({
                "certificate": certificate("a", "active", now), "key": null, "installations": [place],
                "same_key": [], "chain": []
            }))
            .unwrap();
            // A place that expects another one is `found`.
            if detail.installations[0].certificate_id != "crt_a" {
                detail.found = std::mem::take(&mut detail.installations);
            }
            let told: Vec<String> = losses(&detail, now).map(|loss| loss.what).collect();
            told.join("; ")
        };
        assert!(said(json!({})).starts_with("served now: "));
        for (change, words) in [
            (
                json!({"served_sha256": "cc"}),
                "expected there; another one is served now",
            ),
            (
                json!({"served_sha256": null}),
                "expected there; what is served couldn't be looked at",
            ),
            (
                json!({"served_sha256": null, "tls_address": null}),
                "on its disk; where it is served is not known",
            ),
            (
                json!({"served_sha256": null, "checked_at": null}),
                "expected there; its agent hasn't looked yet",
            ),
            (json!({"served_sha256": null, "on_disk_sha256": null}), ""),
            (
                json!({"certificate_id": "crt_2", "expected_sha256": "cc", "on_disk_sha256": "cc"}),
                "served now: clients that check revocation refuse it from the next CRL on",
            ),
            (
                json!({"certificate_id": "crt_2", "expected_sha256": "cc", "served_sha256": "cc"}),
                "on its disk, where another one is expected: the next reload would serve it",
            ),
        ] {
            assert_eq!(said(change), words);
        }
    }

    #[test]
    fn what_the_ca_accepted_and_lists_nowhere_can_be_asked_for_again() {
        let now = DateTime::from_timestamp(1_795_403_220, 0).unwrap();
        let end = now + chrono::Duration::days(30);
        let refused_with = |by: i64, listed: Value| {
            let mut it = certificate("a", "revoked", end);
            it["revocation"] = json!({
                "reason": "superseded", "asked_at": now, "accepted_at": now,
                "in_crl_by": now + chrono::Duration::minutes(by), "in_crl_at": listed
            });
            let it: Certificate = serde_json::from_value(it).unwrap();
            refused(&it, Reason::Superseded, now).map(|refusal| refusal.word)
        };
        assert_eq!(refused_with(-1, Value::Null), None);
        assert_eq!(refused_with(1, Value::Null), Some("revoked already"));
        assert_eq!(refused_with(-1, json!(now)), Some("revoked already"));
    }

    #[test]
    fn what_is_revoked_already_only_gets_another_reason() {
        let now = DateTime::from_timestamp(1_795_403_220, 0).unwrap();
        let detail = |name: &str, status: &str| -> CertificateDetail {
            let mut it = certificate(name, status, now + chrono::Duration::days(30));
            if status == "revoked" {
                it["revocation"] = json!({
                    "reason": "superseded", "asked_at": now, "accepted_at": now, "in_crl_by": now, "in_crl_at": now
                });
            }
            serde_json::from_value(json!({
                "certificate": it, "key": null, "same_key": [], "chain": [], "installations": [{
                    "id": "ins_1", "version": 1, "agent_id": "agt_1", "hostname": "web-01", "path": "/srv/a.pem",
                    "tls_address": "web-01:443", "certificate_id": format!("crt_{name}"), "subject": "CN=a.example.com",
                    "not_after": now, "expected_sha256": "aa", "on_disk_sha256": "aa", "served_sha256": "aa",
                    "error": null, "checked_at": now
                }]
            }))
            .unwrap()
        };
        let (over, good) = (detail("a", "revoked"), detail("b", "active"));
        let said = changes(std::slice::from_ref(&over), Reason::KeyCompromise, now);
        assert!(
            said[0].starts_with(
                "a.example.com is revoked already (superseded); its reason becomes keyCompromise"
            ),
            "{said:?}"
        );
        let lost: Vec<String> = losses(&over, now).map(|loss| loss.what).collect();
        assert_eq!(
            lost,
            ["served now: it is revoked, and clients that check that refuse it already"]
        );
        let said = changes(&[over, good], Reason::KeyCompromise, now);
        assert!(
            said[0].starts_with(
                "1 become revoked (keyCompromise); 1 of these 2 certificates are revoked already"
            ),
            "{said:?}"
        );
    }

    #[test]
    fn a_plan_begins_with_the_reason_before_where_that_can_be_asked_for_again() {
        let now = DateTime::from_timestamp(1_795_403_220, 0).unwrap();
        let on = |in_crl_at: Value, by: i64| -> (Target, CertificateDetail) {
            let mut it = certificate("a", "revoked", now + chrono::Duration::days(30));
            it["revocation"] = json!({
                "reason": "superseded", "asked_at": now, "accepted_at": now,
                "in_crl_by": now + chrono::Duration::minutes(by), "in_crl_at": in_crl_at
            });
            let detail =
                json!({"certificate": it, "key": null, "same_key": [], "chain": [], "installations": []});
            let target = Target {
                kind: EntityKind::Certificate,
                id: "crt_a".to_owned(),
                version: 1,
                name: String::new(),
                status: String::new(),
            };
            (target, serde_json::from_value(detail).unwrap())
        };
        assert_eq!(said_before(&[on(Value::Null, -1)], now), Some(Reason::Superseded));
        assert_eq!(
            said_before(&[on(json!(now), -1)], now),
            None,
            "over: only a worse one is left"
        );
    }
}
