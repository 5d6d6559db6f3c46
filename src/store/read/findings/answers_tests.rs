//! Answers of findings where several things stand in the way.

use chrono::Duration;

use super::in_use::in_use;
use super::revocations::unconfirmed;
use super::tests::{now, place};
use crate::domain::adapter::Pause;
use crate::domain::certificate::CertificateStatus;
use crate::store::findings::{InUse, Instead, Unconfirmed};

#[test]
fn a_refused_revocation_is_told_as_that_whatever_stands_in_the_way_of_the_next_one() {
    let refused = |paused: Option<Pause>| {
        let it = Unconfirmed {
            certificate_id: "crt_1".to_owned(),
            version: 1,
            subject: "CN=shop.example.com".to_owned(),
            adapter_id: Some("adp_1".to_owned()),
            asked_at: now(),
            reason: None,
            error: Some("unknown serial".to_owned()),
            queued: false,
            paused,
        };
        let finding = unconfirmed(it, now());
        assert_eq!(
            (finding.answer.as_deref(), finding.matter.as_str()),
            (Some("revoke"), "refused by CA")
        );
        finding.what
    };
    let (first, last) = (
        "shop.example.com's revocation was refused by the CA",
        "; the CA says `unknown serial`",
    );
    assert_eq!(refused(None), format!("{first}{last}"));
    assert_eq!(
        refused(Some(Pause::sealed())),
        format!("{first}, and waits while Vault is sealed if it is asked for again{last}")
    );
    let away = Pause::no_answer("issuer-1", "Vault at http://vault:8200", "refused");
    assert_eq!(
        refused(Some(away)),
        format!("{first}, and waits while its adapter is paused if it is asked for again{last}")
    );
}

/// Things on their way to a host come when its agent does.
#[test]
fn what_waits_for_a_silent_agent_is_answered_by_that_agents_check_in() {
    let silent = || InUse {
        status: CertificateStatus::Revoked,
        n_reissues: 1,
        n_reissuable: 0,
        last_checkin: Some(now() - Duration::days(1)),
        ..place()
    };
    let told = |places: &[InUse]| {
        let places: Vec<&InUse> = places.iter().collect();
        let finding = in_use(&places, now()).unwrap();
        (finding.answer, finding.agent, finding.host)
    };
    let words = |[answer, agent, host]: [&str; 3]| {
        let some = |it: &str| (!it.is_empty()).then(|| it.to_owned());
        (some(answer), some(agent), some(host))
    };
    assert_eq!(told(&[silent()]), words(["checkin", "agt_1", "web-01"]));
    // Of several places the one that is waited for is named.
    let other = InUse {
        agent_id: "agt_2".to_owned(),
        hostname: "web-02".to_owned(),
        n_reissues: 2,
        ..silent()
    };
    let answers = InUse {
        last_checkin: Some(now()),
        n_reissues: 2,
        ..silent()
    };
    assert_eq!(told(&[answers, other]), words(["checkin", "agt_2", "web-02"]));
    // An agent that answers needs no call; one that is banned hears none; and without a request there is one to make.
    let here = InUse {
        last_checkin: Some(now()),
        ..silent()
    };
    assert_eq!(told(&[here]), words(["reissue", "", "web-01"]));
    let banned = InUse {
        agent_banned: true,
        ..silent()
    };
    assert_eq!(told(&[banned]).0, None);
    // One without a token can't come, whoever calls it.
    let outside = InUse {
        status: CertificateStatus::Active,
        agent_has_no_token: true,
        ..silent()
    };
    assert_eq!(told(std::slice::from_ref(&outside)), words(["", "", "web-01"]));
    let finding = in_use(&[&outside], now()).unwrap();
    assert_eq!(finding.matter, "ends, no token");
    assert!(
        finding.what.contains("; its agent has no token: enrol it again"),
        "{}",
        finding.what
    );
    assert!(!finding.what.contains("silent"), "{}", finding.what);
    let unasked = InUse {
        n_reissues: 0,
        n_reissuable: 1,
        ..silent()
    };
    assert_eq!(told(&[unasked]), words(["reissue", "", "web-01"]));
}

#[test]
fn what_is_found_where_another_one_is_expected_is_answered_by_what_belongs_there() {
    let instead = |id: &str| Instead {
        certificate_id: id.to_owned(),
        version: 3,
        subject: "CN=shop.example.com".to_owned(),
        is_good: true,
        is_queued: false,
        is_being_reissued: false,
    };
    let found = |instead: Instead| InUse {
        status: CertificateStatus::Revoked,
        is_expected: false,
        instead: Some(instead),
        ..place()
    };
    let told = |places: &[InUse]| {
        let places: Vec<&InUse> = places.iter().collect();
        let finding = in_use(&places, now()).unwrap();
        let on: Vec<String> = finding.answer_for.into_iter().map(|it| it.id).collect();
        (finding.answer, on.join(" "), finding.what)
    };
    let (action, on, _) = told(&[
        found(instead("crt_b")),
        found(instead("crt_a")),
        found(instead("crt_b")),
    ]);
    assert_eq!((action.as_deref(), on.as_str()), (Some("install"), "crt_a crt_b"));
    let bad = || Instead {
        is_good: false,
        ..instead("crt_bad")
    };
    let (action, on, _) = told(&[found(bad())]);
    assert_eq!((action.as_deref(), on.as_str()), (Some("reissue"), "crt_bad"));
    for (it, words) in [
        (
            Instead {
                is_queued: true,
                ..instead("crt_a")
            },
            "where another one is expected, and that one is being installed",
        ),
        (
            Instead {
                is_being_reissued: true,
                ..bad()
            },
            "where another one is expected, and that one is being reissued",
        ),
    ] {
        let (action, on, what) = told(&[found(it)]);
        assert_eq!((action, on.as_str()), (None, ""), "{what}");
        assert!(what.ends_with(words), "{what}");
    }
    // A certificate that is expected there too is reissued itself.
    let (action, on, _) = told(&[found(instead("crt_a")), place()]);
    assert_eq!((action.as_deref(), on.as_str()), (Some("reissue"), ""));
}

/// A wish that the CA has not confirmed is no revocation yet.
#[test]
fn what_is_only_asked_back_is_not_told_as_revoked() {
    let told = |status, is_expected| {
        let place = InUse {
            status,
            is_expected,
            ..place()
        };
        let it = in_use(&[&place], now()).unwrap();
        (it.what, it.matter)
    };
    let (what, matter) = told(CertificateStatus::RevocationPending, true);
    assert!(
        what.contains(" is to be revoked ") && what.contains(" and still in use on 1 host"),
        "{what}"
    );
    assert_eq!(matter, "revoking, served");
    let (what, matter) = told(CertificateStatus::Held, true);
    assert!(
        what.contains(" is on hold ") && !what.contains("revoked"),
        "{what}"
    );
    assert_eq!(matter, "held, served");
    assert!(told(CertificateStatus::Revoked, true).0.contains(" is revoked "));
}
