//! Unseal one node: share by share, then proven by what it is for: the PKI mount is there and a test issuance
//! works. A share is never in a plan, an event, a record or a command line.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use super::{Action, Availability, Facts, Refusal, Seen, Spec};
use crate::clients::proxy::{self, Through};
use crate::clients::vault::{SealStatus, VaultError};
use crate::domain::id::EntityKind;
use crate::domain::link::LinkState;
use crate::domain::plain::shell_word;
use crate::plan::plan::{Inputs, Plan, PlannedStep, Target};
use crate::plan::ports::{Entered, Reads, Writes};
use crate::plan::step::{Proof, Step, StepContext, text};
use crate::plan::tier::Harm;
use crate::plan::vault_nodes;
use crate::problem::{Problem, ProblemKind};

/// See the module.
pub(super) struct UnsealVault;

static SPEC: Spec = Spec {
    id: "unseal",
    title: "Unseal Vault",
    verb: "Unseal",
    key: "u",
    kinds: &[EntityKind::Vault],
    help: "enter unseal shares until Vault is open",
    proof: "unsealed, the PKI mount is there, and a test issuance works",
    leaves: None,
};

/// Between two looks at what others do to the seal meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// The name that the test certificate is issued for, as the runbook has it.
const TEST_NAME: &str = "test.example.com";

impl Action for UnsealVault {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn available(&self, facts: &Facts) -> Availability {
        match (facts.vault, facts.vault_sealed) {
            (LinkState::Absent, _) => Availability::Disabled(
                "this context has no Vault; set `vault` in its configuration".to_owned(),
            ),
            (LinkState::Down, _) => Availability::Disabled("Vault does not answer".to_owned()),
            (LinkState::Up, false) => Availability::Disabled("Vault is not sealed".to_owned()),
            _ => Availability::Ready,
        }
    }

    /// Of Vault there is no row: what is known of it are the facts.
    fn refuses(&self, _on: &Seen<'_>, _now: DateTime<Utc>) -> Option<Refusal> {
        None
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
        &[&EnterShares, &PkiMount, &TestIssuance]
    }
}

async fn plan(on: Vec<Target>, inputs: Inputs, with: &Reads) -> Result<Plan, Problem> {
    let Some(target) = on.into_iter().next() else {
        return Err(Problem::internal("unseal was planned for nothing"));
    };
    with.vault()?;
    let nodes = vault_nodes::look(with).await;
    let wish = inputs.get("node").map_or(target.id.as_str(), String::as_str);
    let (address, status) = vault_nodes::choose(&nodes, wish)?;
    let alone = nodes.len() == 1;
    let vault = format!("VAULT_ADDR={}", shell_word(address));
    let step = |step: &dyn Step, title: String, command: String| {
        PlannedStep::new(step, 0, title, json!({"node": address})).by_hand(command)
    };
    let mut steps = vec![step(&EnterShares, "enter shares".to_owned(), String::new())];
    let mut changes = vec![format!(
        "{} at {address} opens after {} of {} shares; `vault operator seal` closes it again.",
        if alone { "Vault" } else { "This node of Vault" },
        status.t,
        status.n
    )];
    if vault_nodes::suffices(&nodes) {
        steps.push(step(
            &PkiMount,
            format!("look for the mount {}", with.pki_mount),
            format!("{vault} vault secrets list"),
        ));
        steps.push(step(
            &TestIssuance,
            format!("issue a test certificate for {TEST_NAME}"),
            format!(
                "{vault} vault write {} csr=@test.csr common_name=\"{TEST_NAME}\" ttl=\"1h\"",
                shell_word(&format!("{}/sign/{}", with.pki_mount, with.pki_test_role))
            ),
        ));
        changes.extend([
            "What waits on the CA goes on by itself: requests are issued, revocations carried out."
                .to_owned(),
            format!(
                "A certificate for {TEST_NAME} that nobody uses is issued as a test, valid for one hour."
            ),
        ]);
    }
    let mut in_the_way = vault_nodes::others(&nodes, address);
    // Shares are the keys to everything: who sees them is said before the first.
    in_the_way.extend(between(
        address,
        proxy::through(address),
        proxy::passed_over(address),
    ));
    Ok(Plan {
        title: if alone {
            "Unseal Vault".to_owned()
        } else {
            format!("Unseal Vault's node {address}")
        },
        targets: vec![Target {
            id: address.to_owned(),
            ..target
        }],
        fields: vault_nodes::field(&nodes, address).into_iter().collect(),
        changes,
        in_the_way,
        steps,
        works_without_api: true,
        ..Plan::new(SPEC.id, with.now())
    })
}

/// Sentence about the proxy between us and Vault, or about one that NO_PROXY excepts it from; none without a proxy.
fn between(address: &str, through: Option<Through>, passed_over: Option<Through>) -> Option<String> {
    let Some(proxy) = through else {
        return passed_over.map(|proxy| {
            format!(
                "{} is spoken to directly: NO_PROXY excepts it from the proxy {}.",
                place_of(address),
                proxy.words()
            )
        });
    };
    Some(match proxy {
        proxy if address.starts_with("https://") => {
            format!(
                "The shares go through the proxy {}, which passes TLS on.",
                proxy.words()
            )
        }
        proxy => format!(
            "The shares go through the proxy {} without TLS: it SEES them. Except the host by NO_PROXY first.",
            proxy.words()
        ),
    })
}

/// The host and port of an address.
fn place_of(address: &str) -> &str {
    address
        .split_once("://")
        .map_or(address, |(_, place)| place)
        .trim_end_matches('/')
}

/// Takes shares until Vault is open.
struct EnterShares;

impl Step for EnterShares {
    fn name(&self) -> &'static str {
        "enter_shares"
    }

    fn harm(&self) -> Harm {
        Harm::Shares
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(attempt(cx, with))
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let status = with.vault_node(text(&cx.args, "node")?)?.seal_status().await?;
            Ok(if status.sealed {
                Proof::NotYet(progress(&status))
            } else {
                Proof::Proven("unsealed".to_owned())
            })
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(15)
    }
}

/// The nonce names the unseal attempt: it appears with the first share and goes with a reset, a success or a
/// failed combine. Others may enter shares too, or reset the attempt: that is looked for all the while,
/// and once more before a share is given.
async fn attempt(cx: &StepContext, with: &Writes<'_>) -> Result<Value, Problem> {
    let address = text(&cx.args, "node")?;
    let (reader, writer) = (with.reads.vault_node(address)?, with.vault_node(address)?);
    let command = format!("VAULT_ADDR={} vault operator unseal", shell_word(address));
    let mut status = reader.seal_status().await?;
    with.note(progress(&status));
    let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while status.sealed {
        let entered = tokio::select! {
            entered = with.secrets.next() => Some(entered),
            _ = looks.tick() => None,
        };
        if matches!(entered, Some(Entered::Secret(_) | Entered::Reset)) {
            with.allowed()?;
        }
        // Said before anything is awaited: a Vault that takes its time leaves nobody guessing what became of it.
        match &entered {
            Some(Entered::Secret(share)) if !share.is_empty() => with.note(sending(&status)),
            Some(Entered::Reset) => with.note("dropping the shares that were given…"),
            _ => {}
        }
        let now = reader.seal_status().await;
        if let Ok(now) = &now
            && let Some(news) = news(&status, now)
        {
            with.note(news);
        }
        let answer = match (entered, now) {
            (Some(Entered::Stop), now) => {
                with.stop();
                return Err(stopped(&now.unwrap_or(status), &command));
            }
            (None, Ok(now)) => {
                status = now;
                continue;
            }
            (None, Err(_)) => continue,
            (Some(Entered::Secret(share)), _) if share.is_empty() => continue,
            (Some(_), Err(problem)) => {
                with.note(format!("nothing was sent: {problem}; {}", progress(&status)));
                continue;
            }
            (Some(_), Ok(now)) if !now.sealed => {
                status = now;
                continue;
            }
            // A share belongs to the attempt that its owner saw on screen.
            (Some(Entered::Secret(_)), Ok(now)) if was_reset(&status, &now) => {
                with.note(format!(
                    "{}; the share was not sent: enter it again if it belongs to this unseal attempt",
                    news(&status, &now).unwrap_or_default()
                ));
                status = now;
                continue;
            }
            (Some(Entered::Secret(share)), Ok(now)) => {
                if now.progress != status.progress {
                    with.note(sending(&now));
                }
                let answer = writer.unseal(&share).await;
                with.command(format!("{command} <share>"));
                status = now;
                answer
            }
            (Some(Entered::Reset), Ok(_)) => {
                let answer = writer.reset_unseal().await;
                with.command(format!("{command} -reset"));
                status.nonce.clear();
                answer
            }
        };
        match answer {
            Ok(now) => {
                let twice = now.sealed
                    && now.nonce == status.nonce
                    && now.progress == status.progress
                    && now.progress > 0;
                with.note(if twice {
                    format!("that share was entered before; {}", progress(&now))
                } else {
                    progress(&now)
                });
                status = now;
            }
            // Vault notices a wrong share only at the threshold, and then drops them all.
            Err(VaultError::Refused(words)) => {
                if let Ok(now) = reader.seal_status().await {
                    status = now;
                }
                with.note(if status.progress == 0 {
                    format!("Vault refused: {words}; all shares were dropped, enter every one again")
                } else {
                    format!("Vault refused: {words}; {}", progress(&status))
                });
            }
            // It may have counted: Vault says so, now or at the next look.
            Err(words) => match reader.seal_status().await {
                Ok(now) => {
                    with.note(format!("{words}; Vault says: {}", progress(&now)));
                    status = now;
                }
                Err(_) => with.note(format!(
                    "{words}; it is not known whether that was taken: it shows when Vault answers again"
                )),
            },
        }
    }
    Ok(json!({}))
}

/// The end of an attempt that its owner left: what stays at Vault, and what drops it.
fn stopped(status: &SealStatus, command: &str) -> Problem {
    let (kind, t) = (ProblemKind::Refused, status.t);
    match status.progress {
        _ if !status.sealed => {
            Problem::new(kind, "Vault was unsealed meanwhile; nothing of it was looked at")
        }
        0 => Problem::new(kind, "no share was entered; Vault was left sealed, as before"),
        n => {
            let were = if n == 1 { "was" } else { "were" };
            Problem::new(
                kind,
                format!("{n} of {t} shares {were} left at Vault, which was sealed then"),
            )
            .hint(format!(
                "while it is sealed: unseal again and enter the other {}, or drop what is there: `{command} -reset`",
                t.saturating_sub(n)
            ))
        }
    }
}

/// True if somebody else began the attempt anew between two looks.
fn was_reset(before: &SealStatus, now: &SealStatus) -> bool {
    now.sealed && !before.nonce.is_empty() && now.nonce != before.nonce
}

/// What others did between two looks, if anything.
fn news(before: &SealStatus, now: &SealStatus) -> Option<String> {
    if !now.sealed {
        return Some("unsealed by somebody else".to_owned());
    }
    let what = if was_reset(before, now) {
        "the nonce changed: somebody else reset the unseal attempt"
    } else if now.progress > before.progress {
        "somebody else entered a share"
    } else {
        return None;
    };
    Some(format!("{what}; {}", progress(now)))
}

/// A share that is under way.
fn sending(status: &SealStatus) -> String {
    format!(
        "sending share {} of {}…",
        status.progress.saturating_add(1),
        status.t
    )
}

fn progress(status: &SealStatus) -> String {
    if status.sealed {
        format!("sealed, {} of {} shares", status.progress, status.t)
    } else {
        "unsealed".to_owned()
    }
}

/// Looks for the PKI mount.
struct PkiMount;

impl Step for PkiMount {
    fn name(&self) -> &'static str {
        "pki_mount"
    }

    fn harm(&self) -> Harm {
        Harm::None
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            // The node that was opened passes it on to the leader.
            let mounts = with.vault_node(text(&cx.args, "node")?)?.mounts().await?;
            let wanted = with.pki_mount.trim_end_matches('/');
            Ok(if mounts.iter().any(|mount| mount.path == wanted) {
                Proof::Proven(format!("the mount {wanted} is there"))
            } else {
                Proof::Refuted(
                    Problem::not_found(format!("Vault has no mount `{wanted}`"))
                        .hint("is this the right Vault, and does the token's policy allow `sys/mounts`?"),
                )
            })
        })
    }

    /// A cluster takes a while to agree on its leader.
    fn limit(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Has a throw-away CSR signed: a bare `sign` without a CSR is an error in Vault.
struct TestIssuance;

impl Step for TestIssuance {
    fn name(&self) -> &'static str {
        "test_issuance"
    }

    /// A certificate for a name that nobody uses and for an hour: nobody relies on it.
    fn harm(&self) -> Harm {
        Harm::None
    }

    fn run<'a>(&'a self, cx: &'a StepContext, with: &'a Writes<'a>) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(async move {
            let csr = throw_away_csr()
                .map_err(|error| Problem::internal(format!("no test request could be made: {error}")))?;
            let reads = with.reads;
            let pem = with
                .vault_node(text(&cx.args, "node")?)?
                .sign(
                    &reads.pki_mount,
                    &reads.pki_test_role,
                    &csr,
                    TEST_NAME,
                    &[],
                    Some("1h"),
                )
                .await?;
            Ok(json!({"certificate": pem.certificate_pem}))
        })
    }

    fn prove<'a>(&'a self, cx: &'a StepContext, _with: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
        Box::pin(async move {
            let Some(pem) = cx.result["certificate"].as_str() else {
                return Ok(Proof::NotYet(
                    "Vault has not answered the test request: whether it signs isn't known".to_owned(),
                ));
            };
            let pem = pem::parse(pem).map_err(|error| {
                Problem::new(
                    ProblemKind::BackendFailed,
                    format!("Vault signed no PEM: {error}"),
                )
            })?;
            let (_, certificate) = x509_parser::parse_x509_certificate(pem.contents()).map_err(|error| {
                Problem::new(
                    ProblemKind::BackendFailed,
                    format!("Vault signed no certificate: {error}"),
                )
            })?;
            let serial = crate::domain::certificate::normal_serial(&hex::encode(certificate.raw_serial()));
            Ok(Proof::Proven(format!(
                "unsealed, and a test certificate was issued: serial {}",
                serial.unwrap_or_default()
            )))
        })
    }
}

fn throw_away_csr() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![TEST_NAME.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, TEST_NAME);
    params.serialize_request(&key)?.pem()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(progress: u64, nonce: &str) -> SealStatus {
        let body = json!({
            "sealed": true, "initialized": true, "t": 3, "n": 5, "progress": progress,
            "nonce": nonce, "version": "1", "type": "shamir",
        });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn who_stops_is_told_what_stays_at_vault_and_what_drops_it() {
        let command = "VAULT_ADDR=http://v vault operator unseal";
        let none = stopped(&status(0, ""), command);
        assert_eq!(
            none.what,
            "no share was entered; Vault was left sealed, as before"
        );
        assert_eq!(none.hint, None);
        let some = stopped(&status(2, "a"), command);
        // It is read on the runs' screen long after, when Vault may be open.
        assert_eq!(
            some.what,
            "2 of 3 shares were left at Vault, which was sealed then"
        );
        assert!(some.hint.as_ref().unwrap().starts_with("while it is sealed: "));
        assert!(
            some.hint
                .unwrap()
                .ends_with("`VAULT_ADDR=http://v vault operator unseal -reset`")
        );
    }

    #[test]
    fn who_sees_the_shares_on_their_way_is_said_before_the_first() {
        let proxy = || {
            Some(Through {
                address: "http://proxy:3128".to_owned(),
                variable: "HTTP_PROXY",
            })
        };
        assert_eq!(between("http://127.0.0.1:8200", None, None), None);
        let said = between("http://vault:8200", proxy(), None).unwrap();
        assert!(
            said.contains("`http://proxy:3128` of HTTP_PROXY") && said.contains("it SEES them"),
            "{said}"
        );
        let said = between("https://vault:8200", proxy(), None).unwrap();
        assert!(
            said.contains("which passes TLS on") && !said.contains("SEES"),
            "{said}"
        );
        let said = between("http://vault:8200", None, proxy()).unwrap();
        assert!(said.starts_with("vault:8200 is spoken to directly"), "{said}");
    }

    #[test]
    fn what_others_do_to_the_seal_is_told_and_what_we_know_is_not() {
        assert_eq!(news(&status(1, "a"), &status(1, "a")), None);
        assert_eq!(news(&status(0, ""), &status(0, "")), None);
        let words = |before: &SealStatus, now: &SealStatus| news(before, now).unwrap_or_default();
        assert!(words(&status(1, "a"), &status(2, "a")).contains("entered a share"));
        assert!(words(&status(2, "a"), &status(1, "b")).contains("reset"));
        assert!(words(&status(2, "a"), &status(0, "")).contains("reset"));
        assert!(!was_reset(&status(0, ""), &status(1, "b")));
    }
}
