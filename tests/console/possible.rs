//! Actions that can only be refused are not offered, and their keys say why before a plan is asked for: by the same rule
//! as the plan's, on every screen.

use chrono::Duration;
use cmp_console::actions;
use cmp_console::domain::agent::AgentStatus;
use cmp_console::domain::certificate::{Certificate, CertificateStatus, Revocation};
use cmp_console::domain::reason::Reason;
use cmp_console::domain::request::RequestStatus;
use cmp_console::wire::page::Change;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::hands::*;

fn revoked(index: i64, name: &str, reason: Reason) -> Certificate {
    Certificate {
        status: CertificateStatus::Revoked,
        revocation: Some(Revocation {
            reason,
            asked_at: now() - Duration::days(3),
            accepted_at: Some(now() - Duration::days(3)),
            in_crl_by: None,
            in_crl_at: None,
            without_crl_at: None,
            was_in_crl_at: None,
            left_crl: None,
            refusal: None,
        }),
        ..fixtures::certificate(index, name, Duration::days(40))
    }
}

fn pending(index: i64, name: &str, refusal: Option<&str>) -> Certificate {
    let mut certificate = revoked(index, name, Reason::KeyCompromise);
    certificate.status = CertificateStatus::RevocationPending;
    if let Some(revocation) = &mut certificate.revocation {
        revocation.accepted_at = None;
        revocation.refusal = refusal.map(str::to_owned);
    }
    certificate
}

fn replaced(index: i64, name: &str, ends: Duration) -> Certificate {
    Certificate {
        is_replaced: true,
        replaced_by: Some("crt_0002".to_owned()),
        n_installations: 0,
        n_reissuable: 0,
        host: None,
        ..fixtures::certificate(index, name, ends)
    }
}

/// A certificate of each standing, with what can't be done to it and a piece of the reason.
fn standings() -> Vec<(Certificate, Vec<(&'static str, &'static str)>)> {
    let days = Duration::days;
    vec![
        (fixtures::certificate(20, "good.example.com", days(40)), vec![]),
        (
            fixtures::certificate(21, "expired.example.com", -days(2)),
            vec![("revoke", "expired at 2026-11-21 03:07Z"), ("install", "ended")],
        ),
        (
            revoked(22, "leaked.example.com", Reason::KeyCompromise),
            vec![("revoke", "is revoked already"), ("install", "is revoked")],
        ),
        (
            pending(34, "pending.example.com", None),
            vec![
                ("revoke", "is being revoked already"),
                ("install", "is revocation pending"),
            ],
        ),
        // Whoever has mended what the CA refused it for asks again.
        (
            pending(35, "refused.example.com", Some("unknown serial")),
            vec![("install", "is revocation pending")],
        ),
        // Expected nowhere, since its installation failed where it belongs.
        (
            Certificate {
                n_installations: 0,
                n_reissuable: 1,
                ..revoked(36, "rolled-back.example.com", Reason::KeyCompromise)
            },
            vec![("revoke", "is revoked already"), ("install", "is revoked")],
        ),
        // It may still be told that the key is in other hands.
        (
            revoked(23, "old.example.com", Reason::Superseded),
            vec![("install", "is revoked")],
        ),
        (
            replaced(24, "replaced.example.com", days(40)),
            vec![("reissue", "is replaced and installed nowhere")],
        ),
        (
            replaced(25, "gone.example.com", -days(2)),
            vec![
                ("revoke", "expired at"),
                ("reissue", "is replaced"),
                ("install", "ended"),
            ],
        ),
        (
            Certificate {
                replaced_by: Some("crt_0002".to_owned()),
                n_installations: 0,
                n_reissuable: 0,
                ..revoked(27, "both.example.com", Reason::KeyCompromise)
            },
            vec![
                ("revoke", "is revoked already"),
                ("reissue", "is revoked and installed nowhere"),
                ("install", "is revoked"),
            ],
        ),
        // Others have its key.
        (
            Certificate {
                is_key_compromised: true,
                ..fixtures::certificate(32, "known.example.com", days(40))
            },
            vec![("install", "key is compromised")],
        ),
        (
            Certificate {
                is_key_compromised: true,
                ..replaced(33, "known-old.example.com", days(40))
            },
            vec![
                ("reissue", "is replaced and installed nowhere"),
                ("install", "key is compromised"),
            ],
        ),
        // Served where its successor is expected.
        (
            Certificate {
                is_replaced: false,
                ..replaced(28, "stale.example.com", days(10))
            },
            vec![(
                "reissue",
                "is replaced, and a host where another one is expected still has it",
            )],
        ),
        (
            Certificate {
                n_reissues: 1,
                n_reissuable: 0,
                ..fixtures::certificate(29, "asked.example.com", days(10))
            },
            vec![("reissue", "is being reissued already")],
        ),
        // One of its two places has been asked for.
        (
            Certificate {
                n_reissues: 1,
                n_installations: 2,
                ..fixtures::certificate(30, "half.example.com", days(10))
            },
            vec![],
        ),
        // Its one place is on a banned agent.
        (
            Certificate {
                n_reissuable: 0,
                ..fixtures::certificate(31, "banned.example.com", days(10))
            },
            vec![("reissue", "only banned agents have banned.example.com")],
        ),
        (
            Certificate {
                status: CertificateStatus::Held,
                ..fixtures::certificate(26, "held.example.com", -days(1))
            },
            vec![("revoke", "expired at"), ("install", "is held")],
        ),
    ]
}

fn with_certificates() -> State {
    let mut state = unsealed();
    let rows: Vec<Certificate> = standings().into_iter().map(|(it, _)| it).collect();
    let total = i64::try_from(rows.len()).unwrap();
    let list = Answer::Certificates(Window { rows, total });
    fixtures::answer(&mut state, Query::Certificates(ListQuery::default()), list);
    state
}

/// The footer at this width, and whether a text in it looks otherwise than a key does.
fn footer(state: &State, width: u16) -> (String, impl Fn(&str) -> bool) {
    let area = Rect::new(0, 0, width, 40);
    let mut state = state.clone();
    state.toast = None;
    state.size = Size { width, height: 40 };
    let mut buffer = Buffer::empty(area);
    cmp_console::views::draw(&state, area, &mut buffer);
    let line: String = (0..width).map(|x| buffer[(x, 39)].symbol().to_owned()).collect();
    let footer = line.clone();
    let style = move |text: &str| {
        let at = line.find(text).map(|at| line[..at].chars().count());
        buffer[(u16::try_from(at.unwrap()).unwrap(), 39)].style()
    };
    (footer, move |text: &str| style(text) != style(": command"))
}

/// Puts the cursor on the row with this name, where it rests.
fn to_row(state: &mut State, id: &str) {
    let rows = cmp_console::views::focused_rows(state);
    let at = rows.ids().iter().position(|other| other == id);
    let at = at.unwrap_or_else(|| panic!("no row {id}: {:?}", rows.ids()));
    let ids: Vec<String> = rows.ids().iter().map(ToString::to_string).collect();
    drop(rows);
    let pane = state.screen().pane;
    state.screen_mut().move_cursor(pane, at, &ids);
    tell(state, Event::Rested);
}

/// On the row with the cursor: what `refused` names is not offered and says why, all else makes a plan.
fn assert_offers(state: &State, ids: &[&'static str], refused: &[(&'static str, &'static str)], what: &str) {
    for id in ids {
        let spec = actions::find(id).unwrap().spec();
        let offer = format!("{} {id}", spec.key);
        let (narrow, _) = footer(state, 119);
        let (wide, is_not_plain) = footer(state, 120);
        let mut state = state.clone();
        let effects = press(&mut state, spec.key);
        let plans = effects.iter().any(|effect| matches!(effect, Effect::Plan { .. }));
        let said = state.toast.as_ref().map_or("", |toast| toast.text.as_str());
        match refused.iter().find(|(refused, _)| refused == id) {
            Some((_, why)) => {
                assert!(!plans && state.runs.is_empty(), "{id} of {what} makes a plan");
                assert!(said.contains(why), "{id} of {what} says `{said}`");
                assert!(!narrow.contains(&offer), "{id} of {what} is offered: {narrow}");
                assert!(
                    wide.contains(&offer) && is_not_plain(&offer),
                    "{id} of {what}: {wide}"
                );
                press(&mut state, "?");
                assert!(drawn(&state).contains("(not now: "), "{id} of {what}");
            }
            None => {
                assert!(plans, "{id} of {what} makes no plan: {said}");
                assert!(narrow.contains(&offer), "{id} of {what} is not offered: {narrow}");
            }
        }
    }
}

#[test]
fn what_can_not_be_done_to_a_certificate_is_not_offered_and_says_why() {
    for (certificate, refused) in standings() {
        let mut state = with_certificates();
        to_row(&mut state, &certificate.id);
        let ids = ["revoke", "reissue", "install"];
        assert_offers(&state, &ids, &refused, certificate.name());
    }
}

#[test]
fn what_can_not_be_done_to_a_request_or_an_agent_is_not_offered_and_says_why() {
    use RequestStatus::{Cancelled, Denied, Failed, Issued, Issuing, Pending};
    let mut index = 0;
    for (status, why) in [
        (Pending, None),
        (Failed, None),
        (Issuing, Some("is at the CA now")),
        (Issued, Some("is issued already")),
        (Denied, Some("is denied already")),
        (Cancelled, Some("is cancelled already")),
    ] {
        index += 1;
        let mut state = unsealed();
        press(&mut state, "4");
        let rows = vec![fixtures::request(90 + index, "new.example.com", status, None)];
        let id = rows[0].id.clone();
        let list = Answer::Requests(Window { rows, total: 1 });
        fixtures::answer(&mut state, Query::Requests(ListQuery::default()), list);
        to_row(&mut state, &id);
        let refused: Vec<_> = why.map(|why| ("cancel", why)).into_iter().collect();
        assert_offers(&state, &["cancel"], &refused, status.word());
    }
    for (status, refused) in [
        (AgentStatus::Active, ("unban", "is not banned")),
        (AgentStatus::Banned, ("checkin", "is banned")),
    ] {
        let mut state = unsealed();
        press(&mut state, "3");
        let mut agent = fixtures::agent(77, "web-77", None);
        agent.status = status;
        let list = Answer::Agents(Window {
            rows: vec![agent],
            total: 1,
        });
        fixtures::answer(&mut state, Query::Agents(ListQuery::default()), list);
        to_row(&mut state, "agt_0077");
        assert_offers(&state, &["checkin", "unban"], &[refused], status.word());
    }
}

/// The thing is the same, whatever list it is met in; of one that no list has, a finding may say enough.
#[test]
fn what_is_known_of_a_thing_counts_on_every_screen() {
    let expired = ("revoke", "expired at");
    let mut state = unsealed();
    press(&mut state, "1");
    let pay = |state: &State| {
        let rows = cmp_console::views::focused_rows(state);
        let of = |index| {
            rows.get(index)
                .is_some_and(|row| row.targets.iter().any(|it| it.id == "crt_0001"))
        };
        let at = (0..rows.len()).find(|index| of(*index)).unwrap();
        rows.ids()[at].to_string()
    };
    let row = pay(&state);
    to_row(&mut state, &row);
    assert_offers(
        &state,
        &["revoke"],
        &[expired],
        "a finding whose certificate is in a list",
    );
    state
        .data
        .retain(|query, _| !matches!(query, Query::Expiring | Query::Certificates(_)));
    assert_offers(
        &state,
        &["revoke"],
        &[expired],
        "a finding that alone tells of it",
    );

    // The newest of what is known, whatever was answered first.
    let mut state = with_certificates();
    let mut newer = fixtures::certificate(20, "good.example.com", Duration::days(40));
    newer.version = 2;
    newer.status = CertificateStatus::Held;
    let list = Answer::Certificates(Window {
        rows: vec![newer],
        total: 1,
    });
    fixtures::answer(&mut state, Query::Expiring, list);
    to_row(&mut state, "crt_0020");
    assert_offers(
        &state,
        &["install"],
        &[("install", "is held")],
        "one that was changed",
    );
}

/// A copy that another screen left and that news has overtaken is asked for again by nobody: what it refuses may be
/// what the finding asks for.
#[test]
fn what_news_has_overtaken_refuses_nothing_on_another_screen() {
    let mut state = unsealed();
    press(&mut state, "1");
    let subject = "crt_0002";
    let target = [cmp_console::plan::plan::Target {
        kind: EntityKind::Certificate,
        id: subject.to_owned(),
        version: 1,
        name: "rolled-back.example.com".to_owned(),
        status: String::new(),
    }];
    state
        .data
        .retain(|query, _| !matches!(query, Query::Expiring | Query::Certificates(_)));
    let mut before = fixtures::certificate_detail();
    before.certificate = Certificate {
        id: subject.to_owned(),
        n_installations: 0,
        n_reissuable: 0,
        ..revoked(2, "rolled-back.example.com", Reason::KeyCompromise)
    };
    before.installations.clear();
    before.failed.clear();
    let query = Query::Certificate(subject.to_owned());
    fixtures::answer(&mut state, query, Answer::Certificate(Box::new(before)));
    let reissue = actions::find("reissue").unwrap();
    let is_ready = |state: &State| state.availability_on(reissue, &target) == actions::Availability::Ready;
    assert!(!is_ready(&state), "it is installed nowhere");
    // The place that it is put back in is all that is told.
    let news = Change {
        entity: EntityKind::Installation,
        id: "ins_0001".to_owned(),
        routine: false,
    };
    tell(&mut state, Event::Changed(vec![news]));
    assert!(is_ready(&state));
}

/// A plan counts what it leaves out by the statuses that the list shows.
#[test]
fn what_is_left_out_is_called_what_lists_call_it() {
    for (certificate, _) in standings() {
        let shown = certificate.shown(now()).word();
        let seen = actions::Seen::Certificate(actions::SeenCertificate {
            row: &certificate,
            detail: None,
            is_listed: false,
        });
        for id in ["revoke", "reissue", "install"] {
            let Some(refusal) = actions::find(id).unwrap().refuses(&seen, now()) else {
                continue;
            };
            // These are no matter of its status.
            let is_other =
                ["being reissued already", "which only banned agents have"].contains(&refusal.word);
            assert!(
                is_other || refusal.word.contains(shown),
                "{id} of {}, which is {shown}: {}",
                certificate.name(),
                refusal.word
            );
        }
    }
}

/// A finding alone may tell that its certificate is being reissued.
#[test]
fn a_reissue_that_is_under_way_is_not_offered_by_the_finding() {
    let mut state = unsealed();
    press(&mut state, "1");
    let mut findings = fixtures::findings();
    for finding in &mut findings {
        finding.under_way = finding.entity_id == "crt_0002";
    }
    state.data.retain(|query, _| {
        !matches!(
            query,
            Query::Expiring | Query::Certificates(_) | Query::Certificate(_)
        )
    });
    let answer = Answer::Findings(cmp_console::wire::health::Findings {
        findings,
        ..Default::default()
    });
    fixtures::answer(&mut state, Query::Findings, answer);
    let rows = cmp_console::views::focused_rows(&state);
    let of = |index: &usize| {
        let row = rows.get(*index);
        row.is_some_and(|row| row.targets.iter().any(|it| it.id == "crt_0002"))
    };
    let at = (0..rows.len()).find(of).unwrap();
    let row = rows.ids()[at].to_string();
    drop(rows);
    to_row(&mut state, &row);
    let refused = [("reissue", "shop.example.com is being reissued already")];
    assert_offers(&state, &["reissue"], &refused, "its finding");
}

/// The plan counts and names those that it can't be done to; where it can be done to none, nothing is planned.
#[test]
fn of_marked_rows_one_that_it_can_be_done_to_is_enough() {
    let mut state = with_certificates();
    press(&mut state, "g space space X");
    assert_eq!(state.runs[0].on.len(), 2, "{:?}", state.toast);
    let mut state = with_certificates();
    press(&mut state, "g j space space X");
    assert!(state.runs.is_empty());
    let said = &state.toast.as_ref().unwrap().text;
    assert!(
        said.contains("none of these 2: 1 expired, 1 revoked already"),
        "{said}"
    );
}

/// On its own page the holder of its key is known, and what the CA's list says once it was looked into.
#[test]
fn a_certificate_whose_key_no_agent_holds_is_not_installed_from_its_page() {
    let mut state = unsealed();
    state.places.push(Place {
        view: ViewId::Certificate,
        subject: Some("crt_0002".to_owned()),
    });
    assert_offers(&state, &["install"], &[], "its page");
    let mut detail = fixtures::certificate_detail();
    detail.key.as_mut().unwrap().agent_id = None;
    let answer = Answer::Certificate(Box::new(detail));
    fixtures::answer(&mut state, Query::Certificate("crt_0002".to_owned()), answer);
    let refused = [("install", "no agent holds the private key")];
    assert_offers(&state, &["install"], &refused, "its page");
}

/// It would be refused, however often it is woken.
#[test]
fn an_agent_without_a_token_is_not_woken_and_every_screen_says_what_it_lacks() {
    let checkin = actions::find("checkin").unwrap();
    let mut agents = fixtures::agents();
    let agent = agents
        .iter_mut()
        .find(|agent| agent.hostname == "web-01")
        .unwrap();
    agent.has_no_token = true;
    let agent = agent.clone();
    let refusal = checkin.refuses(&actions::Seen::Agent(&agent), now()).unwrap();
    assert!(
        refusal.problem.what.starts_with("web-01 has no token"),
        "{refusal:?}"
    );

    let mut state = unsealed();
    for query in [Query::AgentHealth, Query::Agents(ListQuery::default())] {
        let window = Window {
            total: 4,
            rows: agents.clone(),
        };
        fixtures::answer(&mut state, query, Answer::Agents(window));
    }
    press(&mut state, "3");
    let screen = drawn(&state);
    assert!(screen.contains("no token"), "{screen}");
    state.data.remove(&Query::Agent(agent.id.clone()));
    let request = fixtures::request(1, "new.example.com", RequestStatus::Pending, None);
    let request = cmp_console::domain::request::Request {
        waiting_on: Some(cmp_console::domain::request::WaitingOn::Key),
        agent_id: Some(agent.id.clone()),
        ..request
    };
    state.places.push(Place {
        view: ViewId::Request,
        subject: Some(request.id.clone()),
    });
    fixtures::answer(
        &mut state,
        Query::Request(request.id.clone()),
        Answer::Request(Box::new(request)),
    );
    let screen = drawn(&state);
    // Behind help and back is what can't be done.
    let (offered, _) = screen.split_once("? help").unwrap();
    assert!(!offered.contains("c checkin"), "{screen}");
    assert!(
        screen.contains("when the agent is enrolled again: it has no token"),
        "{screen}"
    );
}
