//! Judgements of a handshake, by the record of the place and of those beside it.

use chrono::DateTime;

use super::*;
use crate::domain::certificate::CertificateStatus;

fn certificate(id: &str) -> Certificate {
    let empty = serde_json::json!({
        "id": id, "version": 1, "subject": "CN=www.example.com", "sans": [], "issuer": "CN=CA", "serial": id,
        "fingerprint_sha256": id.repeat(16), "spki_sha256": id, "key_algorithm": "ecdsa-p256",
        "not_before": DateTime::UNIX_EPOCH, "not_after": DateTime::UNIX_EPOCH,
        "status": CertificateStatus::Active.word(), "created_at": DateTime::UNIX_EPOCH,
        "updated_at": DateTime::UNIX_EPOCH, "n_installations": 1, "n_reissuable": 1,
    });
    serde_json::from_value(empty).unwrap()
}

/// The place of this certificate, which is on its disk.
fn place(path: &str, certificate: &Certificate) -> Installation {
    Installation {
        id: path.to_owned(),
        version: 2,
        agent_id: "agt_1".to_owned(),
        hostname: "web-01".to_owned(),
        owner: None,
        path: path.to_owned(),
        tls_address: Some("web-01:443".to_owned()),
        certificate_id: certificate.id.clone(),
        subject: certificate.subject.clone(),
        not_after: certificate.not_after,
        expected_sha256: certificate.fingerprint_sha256.clone(),
        on_disk_sha256: Some(certificate.fingerprint_sha256.clone()),
        served_sha256: None,
        served_revoked: false,
        chain_missing: None,
        failed: false,
        under_way: false,
        error: None,
        checked_at: Some(DateTime::UNIX_EPOCH),
        is_left_out: false,
    }
}

/// Two places that have each their own.
fn both() -> Expected {
    let (a, b) = (certificate("a"), certificate("b"));
    Expected {
        place: Some(place("/a.pem", &a)),
        own: Some(a),
        failed: None,
        at: "/a.pem on web-01".to_owned(),
        is_shared: true,
        beside: vec![Beside {
            place: place("/b.pem", &b),
            certificate: b,
            is_good: true,
        }],
    }
}

fn judged(it: &Expected, served: &str) -> String {
    match it.judge(Ok(served), "web-01:443") {
        Judged::Shown(shown) => match &shown.instead {
            None => format!("shown: {} of {:?}", shown.certificate.id, shown.any_of),
            Some(instead) => format!("shown: {}: {}", shown.certificate.id, instead.words("web-01:443")),
        },
        Judged::NotYet(words) => format!("not yet: {words}"),
        Judged::Open(words) => format!("open: {words}"),
        Judged::Refuted(problem) => format!("refuted: {problem}"),
    }
}

#[test]
fn a_place_that_has_its_own_is_proven_where_another_ones_is_served_and_says_so() {
    let it = both();
    assert_eq!(
        judged(&it, "aaaaaaaaaaaaaaaa"),
        "shown: a of [\"bbbbbbbbbbbbbbbb\", \"aaaaaaaaaaaaaaaa\"]"
    );
    assert_eq!(
        judged(&it, "bbbbbbbbbbbbbbbb"),
        "shown: b: /a.pem on web-01 has the new certificate aaaaaaaaaaaaaaaa…, as its agent reports; web-01:443 serves that \
         of /b.pem"
    );
    assert_eq!(
        judged(&it, "old"),
        "not yet: web-01:443 still serves another certificate"
    );
}

#[test]
fn a_place_beside_others_is_not_proven_before_its_agent_has_said_that_it_is_there() {
    let under_way: [fn(&mut Expected); 4] = [
        |it| it.place.as_mut().unwrap().under_way = true,
        |it| it.place.as_mut().unwrap().on_disk_sha256 = None,
        |it| it.place.as_mut().unwrap().certificate_id = "old".to_owned(),
        |it| it.place = None,
    ];
    for spoil in under_way {
        let mut it = both();
        spoil(&mut it);
        for served in ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "old"] {
            assert_eq!(
                judged(&it, served),
                "open: issued, and its agent has not reported the installation at /a.pem on web-01 yet"
            );
        }
        // Alone at its address, its own handshake is the proof.
        it.is_shared = false;
        it.beside.clear();
        assert!(judged(&it, "aaaaaaaaaaaaaaaa").starts_with("shown: a of [\"a"));
        assert!(judged(&it, "bbbbbbbbbbbbbbbb").starts_with("not yet"));
    }
}

#[test]
fn a_place_whose_installation_failed_is_refuted_whatever_is_served() {
    let mut it = both();
    it.place = None;
    it.failed = Some(Failed {
        error: Some("no room".to_owned()),
        is_old_there: true,
        new: Some("a".to_owned()),
    });
    for served in ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "old"] {
        let words = judged(&it, served);
        assert!(
            words.starts_with("refuted: web-01:443: the installation failed; its agent says"),
            "{words}"
        );
        assert_eq!(
            words.contains("the new certificate of /b.pem"),
            served == "bbbbbbbbbbbbbbbb",
            "{words}"
        );
    }
    // A loss at another place is not served for this one.
    let mut it = both();
    it.beside[0].is_good = false;
    assert!(judged(&it, "aaaaaaaaaaaaaaaa").starts_with("shown: a of [\"aaaaaaaaaaaaaaaa\"]"));
    for served in ["bbbbbbbbbbbbbbbb", "old"] {
        let words = judged(&it, served);
        assert!(
            words.starts_with("refuted: web-01:443 serves another certificate: /a.pem on web-01 has the new one, and at /b.pem "),
            "{words}"
        );
    }
}
