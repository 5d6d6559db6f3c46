//! Snapshots of every screen and dialog at 80×24, 120×40 and 200×60, and what holds for all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[path = "screens/contexts.rs"]
mod contexts;
#[path = "screens/extremes.rs"]
mod extremes;
#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "screens/hints.rs"]
mod hints;
#[path = "screens/plans.rs"]
mod plans;
#[path = "screens/runs.rs"]
mod runs;
#[path = "screens/services.rs"]
mod services;
#[path = "screens/sizes.rs"]
mod sizes;

use chrono::Duration;
use cmp_console::config::console::Colours;
use cmp_console::console::update::update;
use cmp_console::domain::database::{Host, HostRole, HostState, ReadFrom, Standing};
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::key::{Key, KeyStatus};
use cmp_console::domain::link::{Backend, LinkState};
use cmp_console::plan::executor::RunEvent;
use cmp_console::plan::guard::{Guard, Unlocked};
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Field, LeftOut, Loss, Plan, PlannedStep, Target};
use cmp_console::plan::tier::{Harm, Tier};
use cmp_console::problem::Problem;
use cmp_console::state::contexts::Configured;
use cmp_console::state::event::{Event, Timed};
use cmp_console::state::figures::Figures;
use cmp_console::state::layer::{CommandLine, Detail, FilterLine, Layer, RunLayer, Shown};
use cmp_console::state::query::{Answer, LogLine, Query};
use cmp_console::state::run::{Phase, Run};
use cmp_console::state::screen::{Place, ViewId};
use cmp_console::state::served::{Endpoint, Handshake, ServedNow};
use cmp_console::state::snapshot::Snapshot;
use cmp_console::state::{Depth, LoggedCommand, Look, State, Tone};
use cmp_console::views;
use cmp_console::wire::certs::{CertificateDetail, KeyDetail};
use cmp_console::wire::trends::Trends;
use fixtures::{blank, night, now};
use plans::wide_plan;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use tui_textarea::TextArea;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn drawn(state: &State) -> Buffer {
    let area = Rect::new(0, 0, state.size.width, state.size.height);
    let mut buffer = Buffer::empty(area);
    views::draw(state, area, &mut buffer);
    buffer
}

fn text(state: &State) -> String {
    let buffer = drawn(state);
    let rows = buffer.content().chunks(usize::from(buffer.area.width.max(1)));
    rows.map(|row| {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    })
    .collect()
}

/// The screen's text at three sizes; and what holds for every screen: without colours it says the same,
/// and in plain ASCII nothing else is left.
fn snapshot(name: &str, prepare: impl Fn(&mut State)) {
    for (width, height) in SIZES {
        let mut state = night(width, height);
        prepare(&mut state);
        let with_colours = text(&state);
        for colours in [Colours::Dark, Colours::Light, Colours::Mono, Colours::Safe] {
            state.look.colours = colours;
            state.look.depth = Depth::Indexed;
            assert_eq!(
                text(&state),
                with_colours,
                "{name} says something by colour alone"
            );
        }
        for cell in drawn(&state).content() {
            assert!(
                matches!(cell.fg, Color::Reset | Color::Indexed(_)),
                "{name}: {cell:?}"
            );
        }
        state.look.ascii = true;
        let plain = text(&state);
        assert!(plain.is_ascii(), "{name} at {width}x{height}:\n{plain}");
        state.look = Look::default();
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), text(&state));
        insta::assert_snapshot!(format!("{name}_{width}x{height}_ascii"), plain);
        insta::assert_snapshot!(format!("{name}_{width}x{height}_colours"), styles(&state));
        state.look.colours = Colours::Mono;
        insta::assert_snapshot!(format!("{name}_{width}x{height}_mono"), styles(&state));
    }
}

/// A letter for the style of each cell: a colour's first, capital if bold; `=` reversed, `_` underlined,
/// `,` dim.
fn styles(state: &State) -> String {
    let buffer = drawn(state);
    let rows = buffer.content().chunks(usize::from(buffer.area.width.max(1)));
    rows.map(|row| {
        let line: String = row.iter().map(style).collect();
        format!("{}\n", line.trim_end())
    })
    .collect()
}

fn style(cell: &ratatui::buffer::Cell) -> char {
    let bold = cell.modifier.contains(Modifier::BOLD);
    let letter = match cell.fg {
        Color::Green => 'g',
        Color::Yellow => 'y',
        Color::Red => 'r',
        Color::Cyan => 'c',
        _ if cell.modifier.contains(Modifier::REVERSED) => return '=',
        _ if cell.modifier.contains(Modifier::UNDERLINED) => return '_',
        _ if cell.modifier.contains(Modifier::DIM) => return ',',
        _ if bold => 'b',
        _ => return ' ',
    };
    if bold { letter.to_ascii_uppercase() } else { letter }
}

fn go(state: &mut State, view: ViewId, subject: Option<&str>) {
    state.places.push(Place {
        view,
        subject: subject.map(str::to_owned),
    });
}

fn plan(tier: Tier) -> Plan {
    let harm = match tier {
        Tier::Harmless => Harm::None,
        Tier::Shares => Harm::Shares,
        Tier::Contained => Harm::Changes,
        Tier::Backward => Harm::Backward,
        Tier::Irreversible | Tier::Sweeping => Harm::Final,
    };
    Plan {
        run_id: "run_0001".to_owned(),
        title: "Revoke shop.example.com".to_owned(),
        targets: vec![Target {
            kind: EntityKind::Certificate,
            id: "crt_0002".to_owned(),
            version: 1,
            name: "shop.example.com".to_owned(),
            status: "active".to_owned(),
        }],
        phrase: "8402".to_owned(),
        phrase_is: "the last four of the serial".to_owned(),
        fields: vec![Field {
            name: "reason".to_owned(),
            label: "Reason".to_owned(),
            value: "keyCompromise".to_owned(),
            options: vec!["keyCompromise".to_owned(), "superseded".to_owned()],
        }],
        for_good: match tier {
            Tier::Irreversible | Tier::Sweeping => {
                "No certificate will be issued for its key again.".to_owned()
            }
            _ => String::new(),
        },
        changes: vec!["shop.example.com   serial 39:dd   ends 27 Jan 2027 10:00Z".to_owned()],
        losses: vec![Loss {
            host: "web-01".to_owned(),
            name: "shop.example.com".to_owned(),
            what: "served now: clients that check revocation refuse it from the next CRL on".to_owned(),
        }],
        steps: vec![PlannedStep {
            step: "revoke".to_owned(),
            title: "revoke shop.example.com".to_owned(),
            target: 0,
            harm,
            hosts: vec!["web-01".to_owned()],
            args: serde_json::json!({}),
            command: "curl -X POST http://127.0.0.1:8082/api/v1/certs/crt_0002/revoke".to_owned(),
        }],
        ..Plan::new("revoke", now())
    }
}

fn open_run(state: &mut State, action: &'static str, plan: Plan) {
    let mut run = Run::new("#1".to_owned(), action, plan.targets.clone(), now());
    run.phase = Phase::Planned;
    let mut layer = RunLayer::new("#1".to_owned());
    layer.fields = plan
        .fields
        .iter()
        .map(|field| TextArea::from([field.value.clone()]))
        .collect();
    layer.shown = Shown::Seen;
    run.plan = Some(Box::new(plan));
    state.runs.push(run);
    state.layers.push(Layer::Run(Box::new(layer)));
}

#[test]
fn triage() {
    snapshot("triage", |_| {});
}

/// A long name is cut, and not the status of all: that one has expired is what matters.
#[test]
fn a_long_name_takes_no_status_away() {
    snapshot("triage_long_name", |state| {
        let mut rows = fixtures::certificates();
        rows[1].subject = "CN=backup.db-01.example.com".to_owned();
        let total = i64::try_from(rows.len()).unwrap();
        let expiring = Answer::Certificates(cmp_console::state::query::Window { total, rows });
        fixtures::answer(state, Query::Expiring, expiring);
        let shown = text(state);
        let pane = shown.lines().skip_while(|line| !line.contains("── Certificates"));
        assert!(pane.take(4).any(|line| line.contains("expired")), "{shown}");
    });
}

#[test]
fn triage_knows_nothing_yet() {
    for (width, height) in SIZES {
        let mut state = blank(width, height);
        state.starting = Some("starting the embedded platform".to_owned());
        insta::assert_snapshot!(format!("triage_blank_{width}x{height}"), text(&state));
        state.look.ascii = true;
        insta::assert_snapshot!(format!("triage_blank_{width}x{height}_ascii"), text(&state));
        for (colours, name) in [(Colours::Sixteen, "colours"), (Colours::Mono, "mono")] {
            state.look.colours = colours;
            insta::assert_snapshot!(format!("triage_blank_{width}x{height}_{name}"), styles(&state));
        }
    }
}

#[test]
fn triage_keeps_what_it_knew_when_the_api_is_lost() {
    snapshot("triage_stale", |state| {
        for loaded in state.data.values_mut() {
            loaded.trouble = Some(Problem::unavailable("the API can't be reached"));
        }
        state.links.insert(
            Backend::Api,
            fixtures::link(LinkState::Down, Some("connection refused")),
        );
    });
}

#[test]
fn lists() {
    snapshot("certificates", |state| go(state, ViewId::Certificates, None));
    snapshot("agents", |state| go(state, ViewId::Agents, None));
    snapshot("requests", |state| go(state, ViewId::Requests, None));
    snapshot("audit", |state| go(state, ViewId::Audit, None));
    snapshot("certificates_marked", |state| {
        go(state, ViewId::Certificates, None);
        let screen = state.screen_mut();
        screen
            .marks
            .extend(["crt_0002".to_owned(), "crt_9999".to_owned()]);
        let ids: Vec<String> = (1..6).map(|n| format!("crt_000{n}")).collect();
        screen.put_cursor(0, 2, &ids);
    });
}

#[test]
fn details() {
    snapshot("certificate", |state| {
        go(state, ViewId::Certificate, Some("crt_0002"));
    });
    snapshot("agent", |state| go(state, ViewId::Agent, Some("agt_0003")));
    snapshot("request", |state| go(state, ViewId::Request, Some("req_0001")));
    snapshot("audit_row", |state| go(state, ViewId::AuditRow, Some("2")));
}

#[test]
fn what_is_protected_looks_so() {
    snapshot("protected_locked", |state| state.guard = Guard::of(false, true));
    snapshot("protected_unlocked", |state| {
        state.guard = Guard::Protected(Some(Unlocked {
            until: now() + Duration::minutes(14),
            ticket: "INC-1234".to_owned(),
            reason: None,
        }));
    });
    snapshot("read_only", |state| state.guard = Guard::of(true, false));
}

#[test]
fn the_command_line() {
    for (name, typed) in [("all", ""), ("some", "re"), ("things", "shop"), ("none", "zzz")] {
        snapshot(&format!("command_{name}"), |state| {
            go(state, ViewId::Certificates, None);
            let line = CommandLine {
                typed: TextArea::from([typed]),
                ..CommandLine::default()
            };
            state.layers.push(Layer::CommandLine(Box::new(line)));
        });
    }
}

/// A certificate that nobody should see any more is never "as expected" where it is seen.
#[test]
fn what_is_revoked_or_replaced_and_served_is_called_that() {
    let mut state = night(120, 40);
    let mut detail = fixtures::certificate_detail();
    let (other, mut found) = (detail.same_key[0].clone(), detail.installations.remove(0));
    let fingerprint = detail.certificate.fingerprint_sha256.clone();
    found.certificate_id = other.id;
    found.expected_sha256 = other.fingerprint_sha256;
    found.on_disk_sha256 = Some(found.expected_sha256.clone());
    found.served_sha256 = Some(fingerprint.clone());
    go(&mut state, ViewId::Certificate, Some(&detail.certificate.id));
    let query = Query::Certificate(detail.certificate.id.clone());
    detail.found = vec![found.clone()];
    let answer = |state: &mut State, detail: &CertificateDetail| {
        fixtures::answer(
            state,
            query.clone(),
            Answer::Certificate(Box::new(detail.clone())),
        );
        text(state)
    };
    let words = answer(&mut state, &detail);
    assert!(words.contains("another one is expected, served at"), "{words}");

    detail.certificate.status = cmp_console::domain::certificate::CertificateStatus::Revoked;
    found.certificate_id.clone_from(&detail.certificate.id);
    found.expected_sha256.clone_from(&fingerprint);
    found.on_disk_sha256 = Some(fingerprint.clone());
    (detail.installations, detail.found) = (vec![found.clone()], Vec::new());
    let words = answer(&mut state, &detail);
    assert!(
        words.contains("revoked, served at its report") && !words.contains("as expected"),
        "{words}"
    );
    let made = Handshake {
        served: Some(Ok(ServedNow {
            shown: [(fingerprint.clone(), 8)].into(),
            broken: None,
        })),
        expected: fingerprint,
        at: now(),
    };
    state.handshakes.insert(Endpoint::of(&found).unwrap(), made);
    let words = text(&state);
    assert!(
        words.contains("now: revoked, still served") && !words.contains("as expected"),
        "{words}"
    );

    // On its host's page too, whose row is the place.
    found.served_revoked = true;
    let agent = fixtures::agents().remove(2);
    let id = agent.id.clone();
    go(&mut state, ViewId::Agent, Some(&id));
    let page = Answer::Agent(Box::new(cmp_console::wire::agents::AgentDetail {
        agent,
        installations: vec![found.clone()],
    }));
    fixtures::answer(&mut state, Query::Agent(id), page);
    let words = text(&state);
    assert!(
        words.contains("now: revoked, still served") && !words.contains("as expected"),
        "{words}"
    );
    state.handshakes.clear();
    let words = text(&state);
    assert!(
        words.contains("revoked, served at its report") && !words.contains("as expected"),
        "{words}"
    );

    // And a place where its installation failed is none where all is well.
    detail.certificate.status = cmp_console::domain::certificate::CertificateStatus::Active;
    found.served_revoked = false;
    found.certificate_id = "crt_0004".to_owned();
    found.expected_sha256 = "dd".repeat(32);
    (found.on_disk_sha256, found.served_sha256) = (Some("dd".repeat(32)), Some("dd".repeat(32)));
    (detail.installations, detail.failed) = (Vec::new(), vec![found]);
    let words = answer(&mut state, &detail);
    go(&mut state, ViewId::Certificate, Some(&detail.certificate.id));
    let shown = text(&state);
    assert!(
        shown.contains("could not be installed; ") && !shown.contains("as expected"),
        "{words}{shown}"
    );
}

/// The place has what it should have, and no client takes it.
#[test]
fn what_has_expired_and_is_served_is_called_that() {
    let mut state = night(120, 40);
    let mut detail = fixtures::certificate_detail();
    let place = &mut detail.installations[0];
    let fingerprint = place.expected_sha256.clone();
    (place.on_disk_sha256, place.served_sha256) = (Some(fingerprint.clone()), Some(fingerprint.clone()));
    place.error = None;
    let endpoint = Endpoint::of(place).unwrap();
    let mut of = |handshake: bool, ends: chrono::DateTime<chrono::Utc>| {
        let mut detail = detail.clone();
        detail.installations.truncate(1);
        detail.installations[0].not_after = ends;
        detail.certificate.not_after = ends;
        state.handshakes.clear();
        if handshake {
            let made = Handshake {
                served: Some(Ok(ServedNow {
                    shown: [(fingerprint.clone(), 8)].into(),
                    broken: None,
                })),
                expected: fingerprint.clone(),
                at: now(),
            };
            state.handshakes.insert(endpoint.clone(), made);
        }
        let id = detail.certificate.id.clone();
        go(&mut state, ViewId::Certificate, Some(&id));
        fixtures::answer(
            &mut state,
            Query::Certificate(id),
            Answer::Certificate(Box::new(detail)),
        );
        text(&state)
    };
    let good = of(true, now() + Duration::days(3));
    assert!(good.contains("as expected"), "{good}");
    for handshake in [false, true] {
        let words = of(handshake, now() - Duration::hours(1));
        assert!(
            words.contains("expired, still served") && !words.contains("as expected"),
            "{words}"
        );
    }
}

#[test]
fn charts() {
    snapshot("trends", |state| {
        go(state, ViewId::Trends, None);
        let trends = Trends {
            expiring: vec![7, 2, 0, 1, 4, 0, 0, 12, 31, 3, 0, 9],
            expired: 1,
            checked_in: vec![13, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
            silent: 2,
            issued: vec![1; 24],
            failed: [vec![0; 20], vec![3, 0, 0, 0]].concat(),
        };
        fixtures::answer(state, Query::Trends, Answer::Trends(Box::new(trends)));
    });
}
