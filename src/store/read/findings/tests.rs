//! Every finding of the API's is a sentence that can stand by itself.

use std::collections::BTreeSet;

use super::*;
use crate::domain::adapter::{Adapter, AdapterStatus};
use crate::domain::finding::{Maker, assert_is_whole, kinds_of};
use crate::domain::renewal::Renewal;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::domain::worker::Duty;
use crate::store::findings::{Blocked, Failed, SharedKey, Unconfirmed, WaitedFor};
use crate::store::workers::Gone;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_403_220, 0).unwrap()
}

fn certificate(name: &str) -> Certificate {
    let words = serde_json::json!({
        "id": "crt_1", "version": 1, "subject": format!("CN={name}"), "sans": [name], "issuer": "CN=ca",
        "serial": "01", "fingerprint_sha256": "aa", "spki_sha256": "bb", "key_algorithm": "ecdsa-p256",
        "not_before": now(), "not_after": now(), "status": "active", "created_at": now(), "updated_at": now(),
        "n_installations": 1, "is_replaced": false
    });
    serde_json::from_value(words).unwrap()
}

fn place() -> InUse {
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
        not_after: now() + Duration::days(3),
        renewal: None,
        status: CertificateStatus::Active,
        revocation_reason: None,
        revocation_asked_at: None,
        key_status: KeyStatus::Active,
        compromised_at: None,
        expected_sha256: "aa".to_owned(),
        on_disk_sha256: Some("aa".to_owned()),
        served_sha256: Some("aa".to_owned()),
        chain_missing: None,
        error: None,
        never_there: false,
        checked_at: Some(now()),
        updated_at: now(),
        renewal_failing: false,
        renewal_error: None,
        last_checkin: Some(now()),
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

/// In every state of what is installed.
fn installed() -> Vec<Finding> {
    let failed = || Some("the reload command ended with 1".to_owned());
    let (none, other) = (None, || Some("cc".to_owned()));
    let states = [
        InUse {
            never_there: true,
            error: failed(),
            ..place()
        },
        InUse {
            on_disk_sha256: none.clone(),
            ..place()
        },
        InUse {
            on_disk_sha256: none.clone(),
            error: failed(),
            ..place()
        },
        InUse {
            on_disk_sha256: other(),
            ..place()
        },
        InUse {
            on_disk_sha256: other(),
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
            error: failed(),
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
    let adapter = |why: &str| Adapter {
        id: "adp_1".to_owned(),
        version: 1,
        name: "vault-pki".to_owned(),
        kind: "vault_pki".to_owned(),
        config: serde_json::json!({"address": "http://vault:8200"}),
        status: AdapterStatus::Paused,
        paused_reason: Some(why.to_owned()),
        paused_at: Some(now()),
        created_at: now(),
        updated_at: now(),
    };
    let mut found = vec![failed(None), failed(Some("crt_1"))];
    found.extend([0, 3].map(|n| requests::waits_for_agent(waits(n), now())));
    let paused = |why| requests::paused(adapter(why), Blocked::default(), now());
    found.extend(["Vault is sealed", "the token is refused"].map(paused));
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

fn others() -> Vec<Finding> {
    let agent = |last_checkin| Silent {
        id: "agt_1".to_owned(),
        version: 1,
        hostname: "web-01".to_owned(),
        tls_address: None,
        last_checkin,
        enrolled_at: now(),
    };
    let mut found: Vec<Finding> = [None, Some(now())]
        .map(|at| silent(agent(at), &OnAgent::default(), now()))
        .into();
    for duty in [Duty::Issuer, Duty::Scheduler] {
        let gone = Gone {
            duty,
            seen_at: Some(now()),
            last: Some("issuer@a".to_owned()),
        };
        for n in [0, 2] {
            let waiting = Blocked { n, names: Vec::new() };
            found.push(workers::finding(&gone, waiting));
        }
    }
    let revoked = Unconfirmed {
        certificate_id: "crt_1".to_owned(),
        version: 1,
        subject: "CN=shop.example.com".to_owned(),
        asked_at: now(),
        reason: None,
        error: None,
        queued: true,
        paused_reason: Some("Vault is sealed".to_owned()),
    };
    found.push(unconfirmed(revoked, now()));
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
    let found: Vec<Finding> = [used(), installed(), asked(), others()].concat();
    found.iter().for_each(assert_is_whole);
    let kinds: BTreeSet<FindingKind> = found.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, kinds_of(Maker::Api));
}
