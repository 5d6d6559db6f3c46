//! Every finding of the API's is a sentence that can stand by itself.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};

use super::agents::{one_banned, one_silent};
use super::in_use::in_use;
use super::installations::installation;
use super::revocations::unconfirmed;
use super::shared_keys::shares;
use super::{accepted_cas, crl_expired, unlisted, unrevoked};
use super::{requests, workers};
use crate::domain::adapter::{Adapter, AdapterStatus, Ca, Pause, PauseKind};
use crate::domain::certificate::{Certificate, CertificateStatus};
use crate::domain::finding::{ABOVE_FACTS, Finding, FindingKind, Maker, Severity, assert_is_whole, kinds_of};
use crate::domain::key::KeyStatus;
use crate::domain::layout::Layout;
use crate::domain::matter;
use crate::domain::renewal::Renewal;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::domain::worker::{Duty, Worker};
use crate::store::findings::{
    Banned, Blocked, Failed, InUse, OnAgent, Relying, SharedKey, Silent, Unconfirmed, Unlisted, Unrevoked,
    WaitedFor,
};
use crate::store::workers::Gone;

/// An agent's words for a path that is a FIFO now.
const FIFO: &str =
    "reading `/srv/tls/shop.pem` failed: it is a FIFO, not a plain file; put a file there, or move it away";

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_403_220, 0).unwrap()
}

fn certificate(name: &str) -> Certificate {
    let words = serde_json::json!({
        "id": "crt_1", "version": 1, "subject": format!("CN={name}"), "sans": [name], "issuer": "CN=ca",
        "serial": "01", "fingerprint_sha256": "aa", "spki_sha256": "bb", "key_algorithm": "ecdsa-p256",
        "not_before": now(), "not_after": now(), "status": "active", "created_at": now(), "updated_at": now(),
        "n_installations": 1, "n_reissuable": 1, "is_replaced": false
    });
    serde_json::from_value(words).unwrap()
}

pub(super) fn place() -> InUse {
    InUse {
        installation_id: "ins_1".to_owned(),
        installation_version: 1,
        agent_id: "agt_1".to_owned(),
        hostname: "web-01".to_owned(),
        path: "/srv/tls/shop.pem".to_owned(),
        tls_address: Some("web-01:443".to_owned()),
        certificate_id: "crt_1".to_owned(),
        certificate_version: 1,
        subject: "CN=shop.example.com".to_owned(),
        serial: "10:11:12:13:14".to_owned(),
        not_after: now() + Duration::days(3),
        renewal: None,
        status: CertificateStatus::Active,
        revocation_reason: None,
        revocation_asked_at: None,
        key_status: KeyStatus::Active,
        compromised_at: None,
        is_expected: true,
        is_served: true,
        expected_sha256: "aa".to_owned(),
        on_disk_sha256: Some("aa".to_owned()),
        served_sha256: Some("aa".to_owned()),
        chain_missing: None,
        layout: None,
        error: None,
        install_failed: false,
        report_error: None,
        never_there: false,
        owed: None,
        instead: None,
        n_reissues: 0,
        n_reissuable: 1,
        checked_at: Some(now()),
        differs_since: now(),
        renewal_failing: false,
        renewal_error: None,
        last_checkin: Some(now()),
        agent_banned: false,
        agent_has_no_token: false,
        checkin_interval_s: 60,
    }
}

/// In every state of a certificate in use.
fn used() -> Vec<Finding> {
    let window = |end: Duration, moved: bool| {
        Some(Renewal {
            start: now() - Duration::hours(2),
            end: now() + end,
            moved_from: moved.then(|| now() + Duration::days(9)),
            explanation_url: moved.then(|| "https://ca.example.test/7".to_owned()),
            asked_at: now(),
        })
    };
    let far = now() + Duration::days(20);
    let states = [
        place(),
        InUse {
            last_checkin: Some(now() - Duration::days(1)),
            ..place()
        },
        InUse {
            agent_banned: true,
            ..place()
        },
        InUse {
            renewal_failing: true,
            ..place()
        },
        InUse {
            renewal_failing: true,
            renewal_error: Some("refused".to_owned()),
            ..place()
        },
        InUse {
            key_status: KeyStatus::Compromised,
            compromised_at: Some(now()),
            ..place()
        },
        InUse {
            status: CertificateStatus::Revoked,
            ..place()
        },
        InUse {
            not_after: now() - Duration::hours(1),
            ..place()
        },
        InUse {
            renewal: window(Duration::hours(9), true),
            not_after: far,
            ..place()
        },
        InUse {
            renewal: window(Duration::hours(9), false),
            not_after: far,
            ..place()
        },
        InUse {
            renewal: window(-Duration::hours(1), false),
            not_after: far,
            ..place()
        },
    ];
    states.iter().map(|it| in_use(&[it], now()).unwrap()).collect()
}

/// A seal, or a CA that gives no answer, takes nothing back of what the CA has said.
/// In every state of what is installed.
fn installed() -> Vec<Finding> {
    let failed = || Some("the reload command ended with 1".to_owned());
    let (none, other) = (None, || Some("cc".to_owned()));
    let states = [
        InUse {
            never_there: true,
            install_failed: true,
            error: failed(),
            ..place()
        },
        InUse {
            on_disk_sha256: none.clone(),
            ..place()
        },
        InUse {
            on_disk_sha256: none.clone(),
            install_failed: true,
            error: failed(),
            ..place()
        },
        InUse {
            on_disk_sha256: other(),
            ..place()
        },
        InUse {
            on_disk_sha256: other(),
            install_failed: true,
            error: failed(),
            ..place()
        },
        InUse {
            served_sha256: other(),
            ..place()
        },
        InUse {
            served_sha256: none,
            ..place()
        },
        InUse {
            chain_missing: Some("CN=CA 2".to_owned()),
            ..place()
        },
        InUse {
            chain_missing: Some("CN=CA 2".to_owned()),
            layout: Some(Layout::Separate),
            ..place()
        },
        InUse {
            install_failed: true,
            error: failed(),
            ..place()
        },
        InUse {
            on_disk_sha256: None,
            report_error: Some(FIFO.to_owned()),
            error: Some(FIFO.to_owned()),
            ..place()
        },
    ];
    states.iter().map(|it| installation(it, now())).collect()
}

fn request(status: RequestStatus, waiting_on: Option<WaitingOn>) -> Request {
    Request {
        id: "req_1".to_owned(),
        version: 1,
        common_name: "cdn.example.com".to_owned(),
        sans: Vec::new(),
        key_algorithm: "ecdsa-p256".to_owned(),
        adapter_id: "adp_1".to_owned(),
        agent_id: None,
        install_path: None,
        replaces: None,
        certificate_id: None,
        spki_sha256: None,
        status,
        waiting_on,
        attempt: 1,
        error_message: None,
        next_attempt_at: None,
        requested_by: "ops".to_owned(),
        created_at: now(),
        updated_at: now(),
    }
}

fn asked() -> Vec<Finding> {
    let failed = |replaces: Option<&str>| {
        let failed = request(RequestStatus::Failed, None);
        let replaces_version = replaces.map(|_| 1);
        let replaces = replaces.map(str::to_owned);
        requests::one_failed(
            Failed {
                request: Request { replaces, ..failed },
                replaces_version,
            },
            now(),
        )
    };
    let waits = |n_keys| WaitedFor {
        agent_id: "agt_1".to_owned(),
        version: 1,
        hostname: "web-01".to_owned(),
        since: now(),
        n_keys,
        n: 1 + n_keys,
        names: vec!["cdn.example.com".to_owned()],
    };
    let mut found = vec![failed(None), failed(Some("crt_1"))];
    found.extend([0, 3].map(|n| requests::waits_for_agent(waits(n), now())));
    let paused = |pause: Pause| requests::paused(adapter(pause), Blocked::default(), &[], now());
    let away = Pause::no_answer("issuer-1", "Vault at http://vault:8200", "connection refused");
    let stopped = Pause::new(PauseKind::Stopped, "the token is refused");
    found.extend([Pause::sealed(), stopped, away].map(paused));
    for waiting_on in [
        None,
        Some(WaitingOn::Approval),
        Some(WaitingOn::Ca),
        Some(WaitingOn::Challenge),
    ] {
        found.push(requests::stuck(
            &request(RequestStatus::Pending, waiting_on),
            now(),
        ));
    }
    found.push(requests::stuck(&request(RequestStatus::Issuing, None), now()));
    found
}

pub(super) fn adapter(pause: Pause) -> Adapter {
    Adapter {
        id: "adp_1".to_owned(),
        version: 1,
        name: "vault-pki".to_owned(),
        kind: "vault_pki".to_owned(),
        config: serde_json::json!({"address": "http://vault:8200"}),
        status: AdapterStatus::Paused,
        paused_kind: Some(pause.kind),
        paused_reason: Some(pause.reason),
        paused_at: Some(now()),
        cas: Vec::new(),
        strange_ca: None,
        crl_ends_at: None,
        created_at: now(),
        updated_at: now(),
    }
}

/// Findings about the CAs themselves.
fn of_cas() -> Vec<Finding> {
    let row = Unlisted {
        certificate_id: "crt_1".to_owned(),
        version: 1,
        subject: "CN=shop.example.com".to_owned(),
        serial: "10:11:12".to_owned(),
        accepted_at: Some(now() - Duration::minutes(6)),
        in_crl_by: now() - Duration::minutes(1),
        fell_out: None,
        again_at: Some(now()),
    };
    let mut found: Vec<Finding> = [1, 3]
        .into_iter()
        .filter_map(|n| unlisted::one("vault-pki", std::slice::from_ref(&row), n, now()))
        .collect();
    let ca = |days| Ca {
        subject: "CN=new".to_owned(),
        spki_sha256: "cc".to_owned(),
        fingerprint_sha256: "dd".to_owned(),
        not_after: now(),
        accepted_at: Some(now() - Duration::days(days)),
        pem: None,
    };
    let mut two = adapter(Pause::sealed());
    two.cas = vec![ca(8), ca(1)];
    let accepted: Vec<Finding> = accepted_cas::accepted(&two, now()).collect();
    assert_eq!(accepted.len(), 1, "an old one is told no more");
    assert!(accepted[0].what.contains("2 CAs count"), "{accepted:?}");
    found.extend(accepted);
    let relying = Relying {
        good: true,
        revoked: true,
    };
    found.extend(crl_expired::told(
        &two,
        now() - Duration::hours(1),
        relying,
        now(),
    ));
    found
}

fn others() -> Vec<Finding> {
    let agent = |last_checkin| Silent {
        id: "agt_1".to_owned(),
        version: 1,
        hostname: "web-01".to_owned(),
        tls_address: None,
        last_checkin,
        enrolled_at: now(),
        has_no_token: false,
    };
    let mut found: Vec<Finding> = [None, Some(now())]
        .map(|at| one_silent(agent(at), &OnAgent::default(), &Blocked::default(), now()))
        .into();
    let unbanned = Silent {
        has_no_token: true,
        ..agent(Some(now()))
    };
    for n in [0, 1, 7] {
        let waiting = Blocked {
            n,
            names: (0..n).map(|n| format!("n{n}.example.com")).collect(),
        };
        found.push(one_silent(unbanned.clone(), &OnAgent::default(), &waiting, now()));
    }
    let told: Vec<&str> = found[found.len() - 3..]
        .iter()
        .map(|it| it.what.as_str())
        .collect();
    assert!(!told[0].contains("wait"), "{}", told[0]);
    assert!(
        told[1].contains("1 request waits for it (n0.example.com)"),
        "{}",
        told[1]
    );
    assert!(told[2].contains("7 requests wait for it (n0.example.com, n1.example.com and 5 more)"));
    for (n_served, n) in [(0, 1), (2, 2), (1, 2)] {
        let banned = Banned {
            id: "agt_1".to_owned(),
            version: 1,
            hostname: "web-01".to_owned(),
            since: now(),
            n_served,
        };
        let subjects = vec!["CN=shop.example.com".to_owned()];
        found.push(one_banned(banned, &OnAgent { subjects, n }, now()));
    }
    let leaked = Unrevoked {
        certificate_id: "crt_1".to_owned(),
        version: 1,
        subject: "CN=shop.example.com".to_owned(),
        spki_sha256: "bb".to_owned(),
        compromised_at: Some(now()),
    };
    found.extend(unrevoked::one(std::slice::from_ref(&leaked), now()));
    found.extend(unrevoked::one(&[leaked.clone(), leaked], now()));
    for duty in [Duty::Issuer, Duty::Scheduler] {
        let gone = Gone {
            duty,
            seen_at: Some(now()),
            last: Some("issuer@a".to_owned()),
        };
        for n in [0, 2] {
            let waiting = Blocked { n, names: Vec::new() };
            found.push(workers::finding(&gone, waiting, &[]));
        }
    }
    let off = Worker {
        duty: Duty::Issuer,
        name: "issuer@a".to_owned(),
        version: "1".to_owned(),
        seen_at: now(),
        is_there: true,
        clock_ahead_s: Some(40),
    };
    found.push(workers::clock_off(&off, 40, None));
    for names in [&[][..], &["smtp.example.com".to_owned()]] {
        let waits = Some((Blocked::default(), names));
        found.push(workers::clock_off(&off, -40, waits));
    }
    let revoked = Unconfirmed {
        certificate_id: "crt_1".to_owned(),
        version: 1,
        subject: "CN=shop.example.com".to_owned(),
        adapter_id: Some("adp_1".to_owned()),
        asked_at: now(),
        reason: None,
        error: None,
        queued: true,
        paused: Some(Pause::sealed()),
    };
    for error in [None, Some("unknown serial".to_owned())] {
        let paused = revoked.paused.clone().filter(|_| error.is_none());
        let queued = error.is_none();
        let it = Unconfirmed {
            error,
            queued,
            paused,
            ..revoked.clone()
        };
        found.push(unconfirmed(it, now()));
    }
    let key = SharedKey {
        version: 1,
        spki_sha256: "bb".to_owned(),
        certificate_id: "crt_1".to_owned(),
        n_certificates: 3,
        since: now(),
    };
    let names = vec!["smtp.example.com".to_owned()];
    found.push(shares(&key, &certificate("smtp.example.com"), names, now()));
    found
}

#[test]
fn every_finding_is_a_sentence_with_its_subject() {
    let found: Vec<Finding> = [used(), installed(), asked(), of_cas(), others()].concat();
    found.iter().for_each(assert_is_whole);
    assert!(found.iter().all(|it| it.risk <= ABOVE_FACTS));
    let mut kinds: BTreeSet<FindingKind> = found.iter().map(|it| it.kind).collect();
    assert!(kinds.remove(&FindingKind::VaultDown), "the console tells it too");
    assert_eq!(kinds, kinds_of(Maker::Api));
}

#[test]
fn a_path_that_became_a_fifo_is_told_as_that_and_what_is_served_beside_it() {
    let there = |served: Option<&str>, install_failed| {
        let it = InUse {
            on_disk_sha256: None,
            served_sha256: served.map(str::to_owned),
            report_error: Some(FIFO.to_owned()),
            error: Some(FIFO.to_owned()),
            install_failed,
            ..place()
        };
        installation(&it, now())
    };
    let still = there(Some("aa"), false);
    assert!(
        still.what.starts_with(
            "shop.example.com's path holds no plain file (it is a FIFO); the certificate is still served"
        ),
        "{}",
        still.what
    );
    assert_eq!(
        (still.severity, still.matter.as_str()),
        (Severity::Warning, "can't be read")
    );
    assert_eq!(
        still.agent.as_deref(),
        Some("agt_1"),
        "its agent can be asked to look again"
    );
    for (finding, words) in [
        (there(None, false), "what is served isn't known"),
        (there(Some("cc"), false), "another certificate is served"),
        (there(None, true), "the last installation failed"),
    ] {
        assert_eq!(finding.severity, Severity::Critical);
        assert!(finding.what.contains(words), "{}", finding.what);
        assert!(!finding.what.contains("nothing is on disk"), "{}", finding.what);
    }
    // A path with nothing at it is not taken for one that can't be read.
    let nothing = InUse {
        on_disk_sha256: None,
        report_error: Some("nothing is at `/srv/tls/shop.pem`".to_owned()),
        error: Some("nothing is at `/srv/tls/shop.pem`".to_owned()),
        ..place()
    };
    assert_eq!(installation(&nothing, now()).matter, matter::NOT_ON_DISK);
}

#[test]
fn what_an_agent_reported_before_it_fell_silent_is_told_as_of_then() {
    let checked = now() - Duration::minutes(20);
    let told = |it: InUse| installation(&it, now()).what;
    let other = InUse {
        on_disk_sha256: Some("bb".to_owned()),
        checked_at: Some(checked),
        ..place()
    };
    let just_now = InUse {
        checked_at: Some(now()),
        ..other.clone()
    };
    assert!(!told(just_now).contains("as last reported"), "it answers");
    let at = crate::domain::moment::short(checked, now());
    let end = format!("; as last reported {at}, no word from the agent since");
    for minutes in [2, 30] {
        let silent = InUse {
            last_checkin: Some(now() - Duration::minutes(minutes)),
            ..other.clone()
        };
        let what = told(silent);
        assert!(what.ends_with(&end), "{what}");
    }
    // It answers, and its reports say nothing of the place.
    let left_out = InUse {
        last_checkin: Some(now()),
        ..other.clone()
    };
    let what = told(left_out);
    let end = format!("; as last reported {at}, the agent hasn't looked there since");
    assert!(what.ends_with(&end), "{what}");
    // A revoked one may have been replaced since, too; a banned agent is told as that.
    let revoked = InUse {
        status: CertificateStatus::Revoked,
        checked_at: Some(checked),
        last_checkin: Some(checked),
        ..place()
    };
    let healthy = InUse {
        status: CertificateStatus::Revoked,
        ..place()
    };
    let what = in_use(&[&revoked, &healthy], now()).unwrap().what;
    assert!(
        what.ends_with(&format!(
            "; as last reported on 1 of them {at}, no word from the agent since"
        )),
        "{what}"
    );
    let banned = InUse {
        agent_banned: true,
        ..revoked
    };
    let what = in_use(&[&banned], now()).unwrap().what;
    assert!(what.ends_with("; agent banned"), "{what}");
}

#[test]
fn an_adapter_that_shows_another_ca_is_listed_as_such() {
    let paused = |kind| {
        let pause = Pause::new(kind, "it shows another CA");
        requests::paused(adapter(pause), Blocked::default(), &[], now()).matter
    };
    assert_eq!(paused(PauseKind::AnotherCa), matter::ANOTHER_CA);
    assert_eq!(paused(PauseKind::Stopped), matter::PAUSED);
}
