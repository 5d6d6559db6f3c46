//! Plans before they are confirmed: their reach, what is asked for, and what is lost.

use super::*;

/// A plan on many things and hosts, with all that a plan can have to say.
pub(super) fn wide_plan(things: usize) -> Plan {
    let one = plan(Tier::Sweeping);
    let host = |n: usize| format!("web-{:02}", n / 4 + 1);
    let name = |n: usize| format!("host-{n}.example.com");
    Plan {
        title: format!("Reissue {things} of {} certificates", things + 21),
        targets: (0..things)
            .map(|n| Target {
                id: format!("crt_{n}"),
                name: name(n),
                ..one.targets[0].clone()
            })
            .collect(),
        changes: vec![format!("{things} new keys, 14 hosts reload. The old ones stay valid until they end.")],
        losses: (0..things)
            .map(|n| Loss {
                host: host(n),
                name: name(n),
                what: "no longer served from site.pem".to_owned(),
            })
            .collect(),
        by_name: (0..things)
            .map(|n| format!("{}  …57:80:2e:dd  ends 8 Jan  {}  site.pem", name(n), host(n)))
            .collect(),
        left_out: (0..18)
            .map(|n| LeftOut {
                name: format!("old-{n}.example.com"),
                why: "replaced".to_owned(),
            })
            .collect(),
        in_the_way: vec![
            "vpn-01 is silent since 27 Nov: vpn, vpn-admin wait for it. Nothing is installed there until it is back; \
             nothing else waits."
                .to_owned(),
        ],
        steps: (0..things)
            .map(|target| PlannedStep {
                target,
                hosts: vec![host(target)],
                ..one.steps[0].clone()
            })
            .collect(),
        ..one
    }
}

#[test]
fn blast_radius() {
    snapshot("key", |state| {
        let spki = fixtures::certificates()[0].spki_sha256.clone();
        go(state, ViewId::Key, Some(&spki));
        let certificates = fixtures::certificates()[..3].to_vec();
        let mut there = fixtures::installation(&certificates[0], true);
        there.id = "ins_1".to_owned();
        let elsewhere = fixtures::installation(&certificates[1], false);
        let endpoint = Endpoint::of(&elsewhere).unwrap();
        let made = Handshake {
            served: Some(Ok(ServedNow {
                shown: [(elsewhere.expected_sha256.clone(), 8)].into(),
                broken: None,
            })),
            expected: elsewhere.expected_sha256.clone(),
            at: now(),
        };
        state.handshakes.insert(endpoint, made);
        there.tls_address = Some("127.0.0.1:1".to_owned());
        let key = Key {
            spki_sha256: spki.clone(),
            version: 3,
            algorithm: "ecdsa-p256".to_owned(),
            status: KeyStatus::Compromised,
            agent_id: None,
            hostname: None,
            is_holder_banned: false,
            n_certificates: 2,
            created_at: now(),
            compromised_at: Some(now()),
        };
        let detail = KeyDetail {
            key,
            certificates,
            installations: vec![there, elsewhere],
            found: Vec::new(),
        };
        fixtures::answer(state, Query::Key(spki), Answer::Key(Box::new(detail)));
    });
}

#[test]
fn dialogs() {
    snapshot("help", |state| state.layers.push(Layer::Help { scroll: 0 }));
    snapshot("no_filter", |state| state.layers.push(Layer::NoFilter));
    snapshot("filter", |state| {
        go(state, ViewId::Certificates, None);
        let typed = TextArea::from(["shop".to_owned()]);
        state.layers.push(Layer::Filter(Box::new(FilterLine {
            typed,
            ..FilterLine::default()
        })));
    });
    let press = |state: &mut State, key: &str| {
        let event = Event::Key(key.to_owned());
        update(state, Timed { at: now(), event }, &mut Vec::new());
    };
    snapshot("copy", |state| {
        go(state, ViewId::Certificates, None);
        press(state, "y");
    });
    snapshot("related", |state| {
        go(state, ViewId::Certificates, None);
        press(state, "o");
    });
    snapshot("plan_irreversible", |state| {
        open_run(state, "revoke", plan(Tier::Irreversible));
    });
    snapshot("plan_planning", |state| {
        open_run(state, "revoke", plan(Tier::Irreversible));
        state.runs[0].phase = Phase::Planning;
        state.runs[0].plan = None;
    });
    snapshot("plan_key_dropped", |state| {
        open_run(state, "revoke", plan(Tier::Irreversible));
        if let Some(Layer::Run(layer)) = state.layers.last_mut() {
            layer.shown = Shown::Not;
        }
        press(state, "y");
    });
    snapshot("plan_refused", |state| {
        open_run(state, "revoke", plan(Tier::Irreversible));
        let problem = Problem::conflict(
            "certificate shop.example.com changed since the plan was made, so nothing was done: it was active and \
             is revoked now; done to it last: revoke by dana at 02:14:07Z (done, INC-7)",
        );
        state.runs[0].begin(now());
        state.runs[0].phase = Phase::Ended(Outcome::Refused(problem));
    });
    snapshot("slow_link", |state| {
        state.wire.poor = true;
        state.wire.round_trip_ms = Some(420);
    });
    snapshot("plan_reversible", |state| {
        let plan = Plan {
            title: "Reissue shop.example.com".to_owned(),
            ..plan(Tier::Contained)
        };
        open_run(state, "reissue", plan);
    });
    snapshot("plan_sweeping", |state| open_run(state, "revoke", wide_plan(56)));
    snapshot("plan_commands", |state| {
        open_run(state, "revoke", wide_plan(56));
        if let Some(Layer::Run(layer)) = state.layers.last_mut() {
            (layer.detail, layer.scroll) = (Detail::Commands, 5);
        }
    });
    snapshot("help_scrolled", |state| {
        state.layers.push(Layer::Help { scroll: 12 });
    });
    snapshot("frozen", |state| state.frozen = Some(now()));
    snapshot("filter_wrong", |state| {
        go(state, ViewId::Certificates, None);
        for key in "/ e x p i r e s : s o o n enter".split(' ') {
            press(state, key);
        }
    });
    snapshot("production_read_only", |state| {
        state.guard = Guard::of(true, true);
        state.context.protected = true;
    });
    snapshot("toast", |state| {
        state.say(Tone::Bad, "web-07: connection refused");
    });
}

/// At 80×24 as at the crowd's size: what is lost is whole above the names, and a heading counts what it names.
#[test]
fn losses_never_slide_under_the_names() {
    for things in [12, 58] {
        for detail in [Detail::Names, Detail::Losses, Detail::Commands] {
            let mut state = night(80, 24);
            let mut plan = wide_plan(things);
            plan.losses.truncate(if things == 12 { 12 } else { 58 });
            plan.losses.iter_mut().step_by(3).for_each(|loss| {
                loss.what = "served when its agent last looked, 29 Nov 03:02Z: clients that check refuse it"
                    .to_owned();
            });
            plan.changes
                .push("Keys change: clients that pin one have to be told.".to_owned());
            open_run(&mut state, "revoke", plan);
            if let Some(Layer::Run(layer)) = state.layers.last_mut() {
                layer.detail = detail;
            }
            let shown = text(&state);
            let mut rules = shown.lines().filter(|line| line.starts_with('├'));
            if detail != Detail::Losses {
                let breaks = rules.next().unwrap();
                assert!(breaks.starts_with("├ breaks ─"), "{shown}");
            }
            let rules: Vec<&str> = rules.collect();
            let (heading, n) = match detail {
                Detail::Names => ("by name", things),
                Detail::Losses => (
                    "all losses",
                    state.runs[0].plan.as_ref().unwrap().losses_by_host().len(),
                ),
                Detail::Commands => ("commands", things),
            };
            assert!(rules[0].starts_with(&format!("├ {heading} ─")), "{shown}");
            assert!(rules[0].contains(&format!(" of {n}  ↓ ")), "{shown}");
            assert!(rules[1].starts_with("├ in the way ─"), "{shown}");
        }
    }
}

/// The least is cut: the cause that hits the most is named first, and first among all of them.
#[test]
fn the_largest_loss_of_a_sweeping_plan_is_what_is_seen_at_once() {
    let mut state = night(80, 24);
    let mut plan = wide_plan(58);
    for (n, loss) in plan.losses.iter_mut().enumerate() {
        loss.what = match n {
            0 | 1 => "served when its agent last looked, 29 Nov 03:02Z".to_owned(),
            2 => "on its disk".to_owned(),
            _ => "served now: refused from the next CRL on".to_owned(),
        };
    }
    plan.changes
        .push("Keys change: clients that pin one have to be told.".to_owned());
    open_run(&mut state, "revoke", plan);
    let first_behind = |shown: &str, heading: &str| {
        let mut lines = shown.lines().skip_while(|line| !line.starts_with(heading));
        lines.nth(1).unwrap_or_default().to_owned()
    };
    let shown = text(&state);
    assert!(
        first_behind(&shown, "├ breaks ─").contains("served now: refused"),
        "{shown}"
    );
    if let Some(Layer::Run(layer)) = state.layers.last_mut() {
        layer.detail = Detail::Losses;
    }
    let shown = text(&state);
    assert!(
        first_behind(&shown, "├ all losses ─").contains("served now: refused"),
        "{shown}"
    );
}

/// A plan of nearly all certificates, with as much in its way as on the night that is rehearsed.
fn plan_of_a_night() -> Plan {
    let left_out = [
        ("img.example.com", "being reissued already"),
        ("legacy.example.com", "expected on banned agents only"),
        ("old.example.com", "replaced"),
    ];
    let plan = wide_plan(58);
    Plan {
        title: "Reissue 58 of 61 certificates".to_owned(),
        for_good: String::new(),
        changes: vec![
            "58 certificates get new keys on 14 hosts, which load them by a reload. Of the old certificates 56 stay \
             valid until they end; 2 with compromised keys stay valid until they are revoked, `X`."
                .to_owned(),
            "2 other certificates keep one of the old keys: mx1.example.com, smtp.example.com. Reissue them too to be \
             rid of the key."
                .to_owned(),
        ],
        left_out: left_out
            .map(|(name, why)| LeftOut {
                name: name.to_owned(),
                why: why.to_owned(),
            })
            .to_vec(),
        in_the_way: vec![
            "vault-pki is paused: Vault is sealed. A reissue can be asked for: the CA signs when that is over; nothing \
             else waits."
                .to_owned(),
            "vpn-01, api-02 are silent since 27 Nov 03:02Z: vpn, vpn-admin, payments, invoices and 3 more wait for \
             them. Nothing is installed there until they are back; nothing else waits."
                .to_owned(),
            "web-03 is banned: nothing is issued for it and nothing installed there until it is unbanned, `U`."
                .to_owned(),
        ],
        steps: plan
            .steps
            .iter()
            .map(|step| PlannedStep {
                harm: Harm::Changes,
                ..step.clone()
            })
            .collect(),
        ..plan
    }
}

/// No heading stands over nothing, what is left out is in sight, and the key that opens a part goes there.
#[test]
fn a_plan_with_much_in_its_way_shows_what_is_left_out_and_what_was_opened() {
    let press = |state: &mut State, key: &str| {
        let event = Event::Key(key.to_owned());
        update(state, Timed { at: now(), event }, &mut Vec::new());
    };
    for (losses, headings) in [
        (58, ["by name", "all losses", "commands"]),
        (1, ["by name", "commands", "by name"]),
    ] {
        let mut state = night(80, 24);
        let mut plan = plan_of_a_night();
        plan.losses.truncate(losses);
        open_run(&mut state, "reissue", plan);
        for (n, heading) in headings.into_iter().enumerate() {
            let shown = text(&state);
            assert!(
                shown.contains("│  Left out: img.example.com (being reissued already)"),
                "{shown}"
            );
            let lines: Vec<&str> = shown.lines().collect();
            let bare = lines
                .windows(2)
                .find(|pair| pair[0].starts_with("├ ") && pair[1].starts_with('├'));
            assert_eq!(bare, None, "{shown}");
            if n > 0 && heading != "by name" {
                assert!(shown.contains(&format!("├ {heading} ─")), "{heading}: {shown}");
            }
            press(&mut state, "ctrl-o");
        }
    }
    snapshot("plan_of_a_night", |state| {
        open_run(state, "reissue", plan_of_a_night());
    });
}

/// An older certificate in a newer one's place is typed for, and can be undone.
#[test]
fn only_what_cannot_be_undone_says_so() {
    snapshot("plan_backward", |state| {
        let plan = Plan {
            title: "Install shop.example.com".to_owned(),
            for_good: "An OLDER certificate takes a newer one's place; `i` on the newer one puts it back: \
                       shop.example.com was issued 3 Nov 10:00Z; what is there was issued 27 Nov 10:00Z."
                .to_owned(),
            ..plan(Tier::Backward)
        };
        open_run(state, "install", plan);
    });
    let mut state = night(120, 40);
    open_run(&mut state, "install", plan(Tier::Backward));
    let shown = text(&state);
    assert!(!shown.contains("CAN'T BE UNDONE"), "{shown}");
    assert!(
        shown.contains("Type the last four of the serial (8402)"),
        "{shown}"
    );
}
