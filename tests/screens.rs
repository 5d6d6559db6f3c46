//! Snapshots of every screen and dialog at 80×24, 120×40 and 200×60, and what holds for all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "screens/hints.rs"]
mod hints;

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

/// A plan on many things and hosts, with all that a plan can have to say.
fn wide_plan(things: usize) -> Plan {
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

#[test]
fn runs_of_this_console() {
    snapshot("runs", |state| {
        go(state, ViewId::Runs, None);
        let ends = [
            Some(Outcome::Proven("serial 4f:2a is in the CRL #7".to_owned())),
            Some(Outcome::Failed(Problem::refused("connect failed: refused"))),
            None,
        ];
        for end in ends {
            let id = state.begin_run("revoke", Vec::new());
            let plan = plan(Tier::Irreversible);
            let run = state.run_mut(&id).unwrap();
            run.plan = Some(Box::new(plan));
            run.begin(run.opened_at);
            run.phase = end.map_or(Phase::Running, Phase::Ended);
        }
    });
}

#[test]
fn services_when_all_is_lost() {
    snapshot("services_down", |state| {
        go(state, ViewId::Services, None);
        for backend in [Backend::Api, Backend::Vault] {
            let seal = state.links.get(&backend).and_then(|link| link.seal.clone());
            let why = "no connection: Connection refused (os error 111)";
            let mut link = fixtures::link(LinkState::Down, Some(why));
            link.seal = seal;
            state.links.insert(backend, link);
        }
    });
}

/// The primary of the console's database is lost, and its replica read.
fn lose_the_primary(state: &mut State) {
    let lost = HostState::Lost {
        since: now() - Duration::minutes(2),
        why: "Connection refused (os error 111)".to_owned(),
        was: Some(HostRole::Primary),
    };
    let replica = HostState::Up(Standing {
        role: HostRole::Replica,
        timeline: 0,
        behind_ms: 0,
        follows: false,
        last_change: Some(now() - Duration::minutes(2)),
        latency_ms: 3,
    });
    let host = |name: &str, state| Host {
        name: name.to_owned(),
        unchecked: None,
        late: std::collections::BTreeSet::new(),
        state,
        instance: None,
    };
    let hosts = vec![host("db-1", lost), host("db-2", replica)];
    let event = Event::Hosts(hosts.clone());
    update(state, Timed { at: now(), event }, &mut Vec::new());
    // The rows on screen came from it since.
    let from = hosts[1].standing().map(|standing| ReadFrom::Host {
        name: "db-2".to_owned(),
        standing: *standing,
    });
    for loaded in state.data.values_mut() {
        loaded.from.clone_from(&from);
    }
}

#[test]
fn a_lost_primary() {
    snapshot("services_failover", |state| {
        go(state, ViewId::Services, None);
        lose_the_primary(state);
    });
    snapshot("triage_failover", lose_the_primary);
}

#[test]
fn what_an_earlier_console_left() {
    snapshot("triage_kept", |state| {
        let text = serde_json::to_string(&Snapshot::of(state)).unwrap();
        for secret in ["BEGIN CERTIFICATE", "leaked in a paste"] {
            assert!(!text.contains(secret), "{secret} is on disk");
        }
        let kept: Snapshot = serde_json::from_str(&text).unwrap();
        let size = state.size;
        *state = blank(size.width, size.height);
        state.now += Duration::hours(17);
        kept.show(state);
        let why = "no connection: Connection refused (os error 111)";
        for backend in [Backend::Api, Backend::Vault] {
            let link = fixtures::link(LinkState::Down, Some(why));
            let event = Event::Link(backend, link);
            update(state, Timed { at: state.now, event }, &mut Vec::new());
        }
    });
}

#[test]
fn services_say_what_to_do_next_however_long_that_is() {
    snapshot("services_in_full", |state| {
        go(state, ViewId::Services, None);
        let why = "its schema isn't up to date, and this account may not change it: run `cmp-server \
                   --migrate-only` once, as the schema's owner";
        let link = fixtures::link(LinkState::Down, Some(why));
        state.links.insert(Backend::Database, link);
        let ids = Backend::ALL.map(Backend::word);
        state.screen_mut().put_cursor(0, 1, &ids);
    });
}

#[test]
fn logs_of_this_console() {
    snapshot("logs", |state| {
        go(state, ViewId::Logs, None);
        let lines = [
            "2026-11-23T03:01:12.481516Z  INFO cmp_console::console: connected context=demo",
            "2026-11-23T03:06:58.120003Z  WARN cmp_console::console::links: the event stream broke off",
            "2026-11-23T03:06:59.000001Z ERROR cmp_console::console::effects: an event of #3 was lost",
            "a line of another make",
        ];
        let lines = lines.iter().zip(0..).map(|(text, at)| LogLine {
            at: at * 100,
            text: (*text).to_owned(),
        });
        fixtures::answer(state, Query::Logs, Answer::Logs(lines.collect()));
        state.screen_mut().at_end = true;
    });
}

#[test]
fn services_of_a_platform_without_vault() {
    snapshot("services_without_vault", |state| {
        go(state, ViewId::Services, None);
        state.context.vault = None;
        let absent = fixtures::link(LinkState::Absent, Some("not configured"));
        state.links.insert(Backend::Vault, absent);
        let up = fixtures::link(LinkState::Up, None);
        state.links.insert(Backend::Issuer, up);
    });
}

#[test]
fn services_and_command_log() {
    snapshot("services", |state| {
        go(state, ViewId::Services, None);
        state.links.insert(Backend::Vault, fixtures::sealed(2));
    });
    snapshot("command_log", |state| {
        go(state, ViewId::CommandLog, None);
        state.command_log.push(LoggedCommand {
            at: now(),
            command: "VAULT_ADDR=http://127.0.0.1:8200 vault operator unseal <share>".to_owned(),
            how: "sent".to_owned(),
            run: None,
        });
    });
}

/// Beside the open one: production, whose API is lost; what is read only and well; what is read with no token;
/// what was not heard of yet.
fn with_other_contexts(state: &mut State) {
    let configured = |name: &str, protected, read_only| Configured {
        name: name.to_owned(),
        protected,
        read_only,
        api: format!("http://api.{name}:8082"),
        vault: Some(format!("http://vault.{name}:8200")),
    };
    state.contexts = vec![
        configured("demo", false, false),
        configured("lab", false, false),
        configured("prod-ap", true, true),
        configured("prod-eu", true, false),
        configured("staging", false, true),
    ];
    let open = || {
        let mut link = fixtures::sealed(3);
        (link.state, link.note) = (LinkState::Up, None);
        link
    };
    let links = |api, vault| Answer::Links([(Backend::Api, api), (Backend::Vault, vault)].into());
    let lost = "the API at `http://api.prod-eu:8082` did not answer within 5 s";
    let lost = fixtures::link(LinkState::Down, Some(lost));
    let of = |name: &str| Query::LinksOf(name.to_owned());
    fixtures::answer(state, of("prod-eu"), links(lost, fixtures::sealed(1)));
    for name in ["lab", "staging"] {
        let up = fixtures::link(LinkState::Up, None);
        fixtures::answer(state, of(name), links(up, open()));
    }
    let of = |name: &str| Query::FiguresOf(name.to_owned());
    let figures = Figures {
        critical: 2,
        warnings: 11,
        expiring: 148,
        silent: 3,
        requests: 7,
        failed: 1,
    };
    fixtures::answer(state, of("prod-eu"), Answer::Figures(figures));
    let stale = state.data.get_mut(&of("prod-eu")).unwrap();
    stale.trouble = Some(Problem::unavailable("the API did not answer"));
    stale.as_of = Some(now() - Duration::minutes(4));
    fixtures::answer(state, of("staging"), Answer::Figures(Figures::default()));
    let no_token = Problem::new(
        cmp_console::problem::ProblemKind::NotAuthenticated,
        "there is no API token: the command `pass` is run only for the context that is opened",
    );
    fixtures::answer(state, of("lab"), Answer::Figures(Figures::default()));
    let unknown = state.data.get_mut(&of("lab")).unwrap();
    (unknown.value, unknown.as_of, unknown.trouble) = (None, None, Some(no_token));
}

#[test]
fn contexts() {
    snapshot("contexts", |state| {
        with_other_contexts(state);
        go(state, ViewId::Contexts, None);
    });
    snapshot("contexts_no_token", |state| {
        with_other_contexts(state);
        go(state, ViewId::Contexts, None);
        let ids = ["prod-eu", "demo", "prod-ap", "lab", "staging"];
        state.screen_mut().put_cursor(0, 3, &ids);
    });
    // The demo is a context of its own.
    snapshot("contexts_alone", |state| go(state, ViewId::Contexts, None));
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

/// Lines out of a dialog's sight are counted and can be reached, and a larger screen shows them.
#[test]
fn a_result_shows_every_step_or_says_how_many_are_out_of_sight() {
    let steps = |n: usize| {
        let mut plan = plan(Tier::Contained);
        plan.steps = (0..n)
            .map(|n| PlannedStep {
                title: format!("step {n} of it"),
                ..plan.steps[0].clone()
            })
            .collect();
        plan
    };
    let ended = |height: u16, n: usize| {
        let mut state = night(80, height);
        open_run(&mut state, "revoke", steps(n));
        let run = &mut state.runs[0];
        run.begin(run.opened_at);
        for index in 0..n {
            let proven = Outcome::Proven(format!(
                "seen {index}, in words that go on for longer than a line has room for them"
            ));
            run.take(RunEvent::StepEnded(index, proven));
        }
        run.take(RunEvent::Ended(Outcome::Proven("all of it is seen".to_owned())));
        state
    };
    let small = text(&ended(24, 3));
    assert!(
        small.contains("├ steps ─────────────────────────────────────────────────────────────────── 3 ─┤"),
        "{small}"
    );
    assert!(
        (0..3).all(|n| small.contains(&format!("step {n} of it"))),
        "{small}"
    );
    let mut state = ended(24, 12);
    let first = text(&state);
    assert!(
        first.contains("1-9 of 12  ↓ 3") && first.contains("ctrl-d scrolls"),
        "{first}"
    );
    let mut seen = first;
    for _ in 0..3 {
        let event = Event::Key("ctrl-d".to_owned());
        update(&mut state, Timed { at: now(), event }, &mut Vec::new());
        seen.push_str(&text(&state));
    }
    assert!(
        (0..12).all(|n| seen.contains(&format!("step {n} of it"))),
        "{seen}"
    );
    assert!(seen.contains("↑ "), "{seen}");
    let large = text(&ended(40, 12));
    assert!(
        (0..12).all(|n| large.contains(&format!("step {n} of it"))) && !large.contains("scrolls"),
        "{large}"
    );
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
            let rules: Vec<&str> = shown.lines().filter(|line| line.starts_with('├')).collect();
            assert!(rules[0].starts_with("├ breaks ─"), "{shown}");
            let (heading, n) = match detail {
                Detail::Names => ("by name", things),
                Detail::Losses => (
                    "all losses",
                    state.runs[0].plan.as_ref().unwrap().losses_by_host().len(),
                ),
                Detail::Commands => ("commands", things),
            };
            assert!(rules[1].starts_with(&format!("├ {heading} ─")), "{shown}");
            assert!(rules[1].contains(&format!(" of {n}  ↓ ")), "{shown}");
            assert!(rules[2].starts_with("├ in the way ─"), "{shown}");
        }
    }
}

#[test]
fn runs() {
    let begin = |state: &mut State| {
        open_run(state, "revoke", plan(Tier::Irreversible));
        state.runs[0].begin(now());
        state.runs[0].take(RunEvent::StepStarted(0));
    };
    snapshot("run_running", |state| {
        begin(state);
        state.runs[0].take(RunEvent::StepNote(
            0,
            "accepted by the CA, not in its CRL yet".to_owned(),
        ));
    });
    snapshot("run_proven", |state| {
        begin(state);
        let proven = Outcome::Proven("serial 39:dd is in the CRL #4".to_owned());
        state.runs[0].take(RunEvent::StepEnded(0, proven.clone()));
        state.runs[0].take(RunEvent::Ended(proven));
    });
    let ended = |state: &mut State, outcome: Outcome| {
        begin(state);
        state.runs[0].take(RunEvent::StepEnded(0, outcome.clone()));
        state.runs[0].take(RunEvent::ThingEnded(0, outcome.clone()));
        state.runs[0].take(RunEvent::Ended(outcome));
    };
    snapshot("run_failed", |state| {
        let why = Problem::refused("the CA refused: serial is unknown to it").hint("look at the CA's log");
        ended(state, Outcome::Failed(why));
    });
    snapshot("run_unknown", |state| {
        let why = Problem::no_answer("not proven within 60 s: accepted by the CA, not in its CRL yet");
        ended(state, Outcome::Unknown(why));
    });
    snapshot("run_mixed", |state| {
        open_run(state, "reissue", wide_plan(12));
        state.runs[0].begin(now());
        for target in 0..12 {
            let end = match target {
                3 => Outcome::Refused(
                    Problem::refused(
                        "no certificate is issued for key cac29f37: it is compromised since 08:24Z",
                    )
                    .hint("ask for a new key"),
                ),
                7 => Outcome::Unknown(
                    Problem::no_answer("not proven within 90 s: waits for the agent's key and CSR")
                        .hint("it may still finish; check the certificate before you retry"),
                ),
                9 => Outcome::Waiting(
                    "asked, waits for the agent: request req_9 goes on when vpn-01 is back".to_owned(),
                ),
                _ => Outcome::Proven("web-01:443 serves the new certificate".to_owned()),
            };
            state.runs[0].take(RunEvent::ThingEnded(target, end));
        }
        let whole = state.runs[0].named_ends().whole();
        state.runs[0].take(RunEvent::Ended(whole));
        state.runs[0].ended_at = Some(now());
    });
    snapshot("run_unseal", |state| {
        let mut plan = plan(Tier::Shares);
        plan.title = "Unseal Vault".to_owned();
        plan.changes =
            vec!["Vault opens after 3 of 5 shares; `vault operator seal` closes it again.".to_owned()];
        plan.steps[0].step = "enter_shares".to_owned();
        plan.steps[0].title = "enter shares".to_owned();
        open_run(state, "unseal", plan);
        state.runs[0].begin(now());
        state.runs[0].take(RunEvent::StepStarted(0));
        state.runs[0].take(RunEvent::StepNote(0, "sealed, 1 of 3 shares".to_owned()));
        if let Some(Layer::Run(layer)) = state.layers.last_mut() {
            layer.secret_typed = 44;
        }
    });
}

#[test]
fn no_size_makes_any_screen_panic() {
    let views = [
        (ViewId::Triage, None),
        (ViewId::Certificates, None),
        (ViewId::Services, None),
        (ViewId::CommandLog, None),
        (ViewId::Trends, None),
        (ViewId::Contexts, None),
        (ViewId::Logs, None),
        (ViewId::AuditRow, Some("2")),
        (ViewId::Certificate, Some("crt_0002")),
        (ViewId::Agent, Some("agt_0003")),
        (ViewId::Request, Some("req_0001")),
    ];
    for width in [1, 2, 10, 39, 40, 41, 60, 200] {
        for height in [1, 2, 9, 10, 11, 13, 24, 60] {
            for (view, subject) in views {
                let mut state = night(width, height);
                go(&mut state, view, subject);
                drawn(&state);
                open_run(&mut state, "revoke", plan(Tier::Irreversible));
                drawn(&state);
                state.layers = vec![Layer::Help { scroll: 3 }];
                let shown = text(&state);
                if width < 40 || height < 10 {
                    assert!(!shown.contains("Keys"));
                }
            }
        }
    }
}

#[test]
fn no_colour_keeps_every_meaning() {
    let mut state = night(120, 40);
    let with = text(&state);
    state.look.colours = Colours::Mono;
    assert_eq!(text(&state), with);
    for cell in drawn(&state).content() {
        assert_eq!(cell.fg, Color::Reset);
    }
}
