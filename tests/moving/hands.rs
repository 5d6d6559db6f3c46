//! Letters that no choice loses, rows in trouble, lines that are completed and taken back, ids that lead by
//! themselves, the log, and exports.

use cmp_console::domain::audit::{AuditEntry, AuditOutcome, AuditRow, GENESIS};
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::key::{Key, KeyStatus};
use cmp_console::plan::executor::RunEvent;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Plan, Target};
use cmp_console::state::layer::Chosen;
use cmp_console::state::palette::Leads;
use cmp_console::state::query::{LogLine, Window};
use cmp_console::state::screen::Place;
use cmp_console::state::{LoggedCommand, Tone};
use cmp_console::views;
use cmp_console::wire::certs::KeyDetail;

use super::*;
use crate::keys::written;

fn at(view: ViewId, subject: &str) -> Place {
    Place {
        view,
        subject: Some(subject.to_owned()),
    }
}

fn offered(state: &State) -> Vec<Chosen> {
    match state.layers.last() {
        Some(Layer::Menu(menu)) => menu.items.iter().map(|item| item.leads.clone()).collect(),
        _ => Vec::new(),
    }
}

fn audit_of(kind: EntityKind, id: &str, seq: i64) -> AuditRow {
    let entry = AuditEntry {
        actor: "ops".to_owned(),
        action: "compromise".to_owned(),
        entity_type: kind,
        entity_id: id.to_owned(),
        outcome: AuditOutcome::Done,
        reason: None,
        ticket: None,
        run_id: None,
        source: "127.0.0.1".to_owned(),
        detail: None,
    };
    AuditRow::chained(entry, seq, now(), GENESIS.to_owned())
}

fn plan() -> Plan {
    Plan {
        run_id: "run_77".to_owned(),
        title: "Revoke shop.example.com".to_owned(),
        ..Plan::new("revoke", now())
    }
}

/// A run of `revoke` on one certificate, carried out and proven.
fn with_a_run(state: &mut State) -> String {
    let on = Target {
        kind: EntityKind::Certificate,
        id: "crt_0002".to_owned(),
        version: 1,
        name: "shop.example.com".to_owned(),
        status: String::new(),
    };
    let id = state.begin_run("revoke", vec![on]);
    let run = state.run_mut(&id).unwrap();
    run.plan = Some(Box::new(plan()));
    run.begin(run.opened_at);
    run.comment = Some("leaked in\na paste".to_owned());
    run.ticket = Some("INC-7".to_owned());
    for event in [
        RunEvent::Command("curl -X POST http://api/revoke".to_owned(), "done".to_owned()),
        RunEvent::Ended(Outcome::Proven("it is in the CRL #7".to_owned())),
    ] {
        tell(state, Event::Run(id.clone(), event));
    }
    id
}

#[test]
fn a_line_of_the_command_log_offers_no_other_things_links() {
    let mut state = certificates();
    // The audit rows 1 and 2 are known, and so are two lines of the log.
    for how in ["ok", "sent", "ok"] {
        state.log(LoggedCommand {
            at: now(),
            command: "true".to_owned(),
            how: how.to_owned(),
            run: None,
        });
    }
    press(&mut state, "@ o");
    assert!(offered(&state).is_empty());
    assert_eq!(said(&state), "nothing is known to touch this");
}

#[test]
fn a_run_leads_to_its_things_and_to_its_audit() {
    let mut state = certificates();
    with_a_run(&mut state);
    press(&mut state, "7 o");
    assert_eq!(
        offered(&state),
        [
            Chosen::List(ViewId::Audit, "run:run_77".to_owned()),
            Chosen::Place(at(ViewId::Certificate, "crt_0002")),
        ]
    );
    press(&mut state, "u");
    assert_eq!(
        (state.place().view, state.screen().list.q.as_str()),
        (ViewId::Audit, "run:run_77")
    );
}

#[test]
fn an_audit_row_leads_to_what_it_is_about_whatever_that_is() {
    let spki = "ab".repeat(32);
    for (kind, id, leads) in [
        (
            EntityKind::Key,
            spki.as_str(),
            Chosen::Place(at(ViewId::Key, &spki)),
        ),
        (
            EntityKind::Run,
            "run_9",
            Chosen::List(ViewId::Audit, "run:run_9".to_owned()),
        ),
        (
            EntityKind::Request,
            "req_9",
            Chosen::Place(at(ViewId::Request, "req_9")),
        ),
    ] {
        let mut state = certificates();
        let window = Window {
            rows: vec![audit_of(kind, id, 40)],
            total: 1,
        };
        fixtures::answer(&mut state, Query::AuditRow(40), Answer::Audit(window));
        state.places.push(at(ViewId::AuditRow, "40"));
        press(&mut state, "o");
        assert_eq!(offered(&state)[0], leads, "{kind}");
        press(&mut state, "esc y");
        assert!(!offered(&state).is_empty(), "{kind}");
        press(&mut state, "esc enter");
        assert_ne!(state.place().view, ViewId::AuditRow, "{kind}");
    }
}

#[test]
fn nothing_is_missing_on_a_blast_radius() {
    let mut state = certificates();
    state.data.clear();
    let mut certificate = fixtures::certificates().remove(1);
    certificate.replaces = Some("crt_0000".to_owned());
    let spki = certificate.spki_sha256.clone();
    let key = Key {
        spki_sha256: spki.clone(),
        version: 1,
        algorithm: "ecdsa-p256".to_owned(),
        status: KeyStatus::Active,
        agent_id: None,
        hostname: None,
        is_holder_banned: false,
        n_certificates: 1,
        created_at: now(),
        compromised_at: None,
    };
    let detail = KeyDetail {
        key,
        installations: vec![fixtures::installation(&certificate, false)],
        certificates: vec![certificate],
        found: Vec::new(),
    };
    fixtures::answer(
        &mut state,
        Query::Key(spki.clone()),
        Answer::Key(Box::new(detail)),
    );
    state.places.push(at(ViewId::Key, &spki));
    press(&mut state, "o");
    let leads = offered(&state);
    for wanted in [
        Chosen::Place(at(ViewId::Certificate, "crt_0000")),
        Chosen::Place(at(ViewId::Agent, "agt_0003")),
        // The certificate's requests and audit, and the agent's: each has a letter.
        Chosen::List(ViewId::Requests, "cert:crt_0002".to_owned()),
        Chosen::List(ViewId::Requests, "agent:agt_0003".to_owned()),
        Chosen::List(ViewId::Audit, "entity:crt_0002".to_owned()),
        Chosen::List(ViewId::Audit, "entity:agt_0003".to_owned()),
    ] {
        assert!(leads.contains(&wanted), "{wanted:?}");
    }
    let Some(Layer::Menu(menu)) = state.layers.last() else {
        panic!("the choice is open")
    };
    let mut keys: Vec<char> = menu.items.iter().map(|item| item.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), menu.items.len(), "no two want one key");
    press(&mut state, "esc y");
    let copies = offered(&state);
    assert!(copies.contains(&Chosen::CopyPem("crt_0002".to_owned())));
    assert!(copies.contains(&Chosen::Copy("127.0.0.1:9445".to_owned())));
}

#[test]
fn n_steps_from_trouble_to_trouble_and_around() {
    let mut state = certificates();
    let on = |state: &State| {
        let rows = views::focused_rows(state);
        state.screen().cursor_index(0, rows.ids())
    };
    // The first two agents are silent, the others are well.
    press(&mut state, "3 n");
    assert_eq!(on(&state), 1);
    press(&mut state, "n");
    assert_eq!((on(&state), said(&state)), (0, "wrapped around to the top"));
    press(&mut state, "N");
    assert_eq!((on(&state), said(&state)), (1, "wrapped around to the end"));
    press(&mut state, "G N");
    assert_eq!((on(&state), said(&state)), (1, ""));
    press(&mut state, "7 n");
    assert_eq!(said(&state), "no row here is in trouble");
}

/// Columns of free text, which no index orders: the API refuses an order by them with the reason.
const UNSORTED: [(ViewId, &str); 1] = [(ViewId::Audit, "why")];

#[test]
fn every_titled_column_of_a_sortable_list_has_an_order() {
    for view in views::ALL.iter().filter(|view| !view.sorts.is_empty()) {
        for column in (view.columns)(0).iter().filter(|column| !column.title.is_empty()) {
            let is_sorted = view.sorts.iter().any(|(_, label)| *label == column.title);
            assert!(
                is_sorted != UNSORTED.contains(&(view.id, column.title)),
                "{} can't be sorted by `{}`",
                view.title,
                column.title
            );
        }
        let mut names: Vec<&str> = view.sorts.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(
            names.len(),
            view.sorts.len(),
            "an order twice would end the round"
        );
    }
}

#[test]
fn what_can_be_typed_next_is_offered() {
    let mut state = certificates();
    state.saved.insert(
        "week".to_owned(),
        cmp_console::state::saved::SavedView {
            view: ViewId::Certificates,
            list: ListQuery::default(),
        },
    );
    let found = |state: &State, typed: &str| {
        let sorts = views::find(state.place().view).sort_words();
        let found = cmp_console::state::palette::candidates_with(state, typed, &sorts);
        found.into_iter().map(|found| found.name).collect::<Vec<_>>()
    };
    assert!(found(&state, "sort ").contains(&"sort -serial".to_owned()));
    assert_eq!(found(&state, "sort -ser"), ["sort -serial"]);
    assert_eq!(found(&state, "forget "), ["forget week"]);
    assert!(found(&state, "unlock ").contains(&"unlock 15m".to_owned()));
    press(&mut state, "3");
    assert!(found(&state, "sort ").contains(&"sort health".to_owned()));
    // One that is picked is run, and so is one that is completed.
    press(&mut state, "2 : s o r t space down down enter");
    assert_eq!(state.screen().list.sort, "-not_after");
    press(&mut state, ": s o r t space - s e r tab enter");
    assert_eq!(state.screen().list.sort, "-serial");
    // And one that needs more is written down.
    press(&mut state, ": u n l o c k space 3 0 enter");
    let Some(Layer::CommandLine(layer)) = state.layers.last() else {
        panic!("it goes on")
    };
    assert_eq!(line(&layer.typed), "unlock 30m ");
}

#[test]
fn an_id_leads_to_its_thing_though_it_is_not_known_here() {
    let state = certificates();
    for (id, leads) in [
        ("crt_01k9zz", Leads::Place(at(ViewId::Certificate, "crt_01k9zz"))),
        ("agt_01k9zz", Leads::Place(at(ViewId::Agent, "agt_01k9zz"))),
        ("req_01k9zz", Leads::Place(at(ViewId::Request, "req_01k9zz"))),
        ("aud_17", Leads::Place(at(ViewId::AuditRow, "17"))),
        (
            "run_01k9zz",
            Leads::List(ViewId::Audit, "run:run_01k9zz".to_owned()),
        ),
    ] {
        assert_eq!(candidates(&state, id)[0].leads, leads, "{id}");
        let mut state = certificates();
        run(&mut state, id);
        assert_ne!(state.place().view, ViewId::Certificates, "{id}");
    }
    // One that is known has its name beside it, and is there once.
    let known = candidates(&state, "crt_0002");
    let leads = |found: &&cmp_console::state::palette::Candidate| {
        found.leads == Leads::Place(at(ViewId::Certificate, "crt_0002"))
    };
    assert_eq!(known.iter().filter(leads).count(), 1);
}

#[test]
fn lines_that_were_typed_come_back() {
    let mut state = certificates();
    run(&mut state, "sort serial");
    run(&mut state, "sort ends");
    let typed = |state: &State| match state.layers.last() {
        Some(Layer::CommandLine(layer)) => line(&layer.typed),
        _ => String::new(),
    };
    press(&mut state, ": up");
    assert_eq!(typed(&state), "sort ends");
    press(&mut state, "up up");
    assert_eq!(typed(&state), "sort serial");
    press(&mut state, "down");
    assert_eq!(typed(&state), "sort ends");
    press(&mut state, "ctrl-n ctrl-p ctrl-p enter");
    assert_eq!(state.screen().list.sort, "serial");
    // Where a line is picked, the arrows pick.
    press(&mut state, ": down up");
    assert_eq!(typed(&state), "");
    press(&mut state, "ctrl-c");
    assert!(state.layers.is_empty());
}

#[test]
fn the_log_is_read_when_it_is_opened_and_filtered_here() {
    let mut state = certificates();
    let asks = |effects: &[Effect]| {
        let logs = |effect: &&Effect| {
            matches!(
                effect,
                Effect::Ask {
                    query: Query::Logs,
                    ..
                }
            )
        };
        effects.iter().filter(logs).count()
    };
    assert_eq!(asks(&press(&mut state, "L")), 1);
    let lines = |texts: &[&str]| {
        let lines = texts.iter().zip(0..).map(|(text, at)| LogLine {
            at,
            text: format!("2026-11-23T03:01:12.481516Z {text}"),
        });
        Answer::Logs(lines.collect())
    };
    let asked = state.data[&Query::Logs].asked;
    let result = Ok(lines(&[" INFO a: up", " WARN b: slow", " INFO c: up again"]));
    let query = Query::Logs;
    tell(
        &mut state,
        Event::Answer {
            query,
            asked,
            from: None,
            result,
        },
    );
    let at_row = |state: &State| {
        let rows = views::focused_rows(state);
        (state.screen().cursor_index(0, rows.ids()), rows.len())
    };
    assert_eq!(at_row(&state), (2, 3), "the newest line");
    press(&mut state, "n");
    assert_eq!(at_row(&state), (1, 3));
    press(&mut state, "/ ! s l o w enter");
    assert_eq!(at_row(&state), (1, 2));
    assert_eq!(asks(&press(&mut state, "ctrl-r")), 1);
    press(&mut state, "1");
    let asked = state.data[&Query::Logs].asked;
    let query = Query::Logs;
    let result = Ok(lines(&[]));
    tell(
        &mut state,
        Event::Answer {
            query,
            asked,
            from: None,
            result,
        },
    );
    assert_eq!(asks(&press(&mut state, "L")), 1, "it is read again");
}

/// The log's answer to the last question: lines of these numbers.
fn log_is(state: &mut State, lines: std::ops::Range<u64>) {
    let line = |at| LogLine {
        at,
        text: format!("2026-11-23T03:01:12.481516Z  INFO a: line {at}"),
    };
    let event = Event::Answer {
        query: Query::Logs,
        asked: state.data[&Query::Logs].asked,
        from: None,
        result: Ok(Answer::Logs(lines.map(line).collect())),
    };
    tell(state, event);
}

/// The line under the cursor.
fn line_at(state: &State) -> String {
    let rows = views::focused_rows(state);
    rows.ids()[state.screen().cursor_index(0, rows.ids())].to_string()
}

/// Presses keys on a log of the lines 0 to 99, then lets it be of the lines `later`.
fn line_after(keys: &str, later: std::ops::Range<u64>) -> String {
    let mut state = certificates();
    press(&mut state, "L");
    log_is(&mut state, 0..100);
    if !keys.is_empty() {
        press(&mut state, keys);
    }
    press(&mut state, "ctrl-r");
    log_is(&mut state, later);
    line_at(&state)
}

#[test]
fn in_the_log_the_cursor_stays_on_its_line_and_with_the_newest_where_it_was_there() {
    // Whoever is at the newest line goes with it, whatever key was pressed that leads nowhere else.
    for keys in ["", "j", "space", "ctrl-d", "k j", "s", "g G", "y esc", "/ esc"] {
        assert_eq!(line_after(keys, 10..110), "109", "after {keys:?}");
    }
    // Whoever is elsewhere stays there.
    for (keys, at) in [("k", "98"), ("g j j", "2"), ("g j j j j space", "5")] {
        assert_eq!(line_after(keys, 0..110), at, "after {keys:?}");
    }
    assert_eq!(line_after("k", 98..1098), "98");
    // The oldest is the nearest to one that is gone, and there the cursor stays.
    assert_eq!(line_after("g j j j", 50..150), "50");
    let mut state = certificates();
    press(&mut state, "L");
    log_is(&mut state, 0..100);
    press(&mut state, "g j j j ctrl-r");
    log_is(&mut state, 50..150);
    press(&mut state, "j ctrl-r");
    log_is(&mut state, 51..151);
    assert_eq!(line_at(&state), "51");
}

#[test]
fn in_the_command_log_the_cursor_stays_on_its_command_when_the_oldest_is_dropped() {
    let mut state = certificates();
    let log = |state: &mut State, n: usize| {
        state.log(LoggedCommand {
            at: now(),
            command: format!("command {n}"),
            how: "ok".to_owned(),
            run: None,
        });
    };
    let under_the_cursor = |state: &State| {
        let rows = views::focused_rows(state);
        let at = state.screen().cursor_index(0, rows.ids());
        (rows.get(at).unwrap().copy, rows.len())
    };
    for n in 0..5000 {
        log(&mut state, n);
    }
    press(&mut state, "@ j j");
    let (command, n) = under_the_cursor(&state);
    assert!(n < 5000, "the oldest are dropped");
    for n in 0..10 {
        log(&mut state, 5000 + n);
    }
    tell(&mut state, Event::Minute);
    assert_eq!(under_the_cursor(&state), (command, n));
}

fn exported(state: &mut State, format: &str) -> String {
    let effects = run(state, &format!("export {format}"));
    written(&effects).unwrap().1.to_owned()
}

#[test]
fn an_export_has_what_the_screen_has() {
    let mut state = certificates();
    press(&mut state, "1");
    let text = exported(&mut state, "text");
    for pane in ["Findings", "Certificates", "Agents", "Requests", "Audit"] {
        assert!(text.contains(&format!(" {pane} ")), "{pane}:\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&exported(&mut state, "json")).unwrap();
    assert_eq!(json["certificates"][0]["certificate"], "pay.example.com");
    assert_eq!(json["agents"].as_array().map(Vec::len), Some(4));
    state.places.push(at(ViewId::Certificate, "crt_0002"));
    assert!(exported(&mut state, "text").contains("Subject      CN=shop.example.com"));
    let csv = exported(&mut state, "csv");
    assert!(
        csv.contains("Subject,CN=shop.example.com\r\n") && csv.contains("on,expected,on disk"),
        "{csv}"
    );
    let json: serde_json::Value = serde_json::from_str(&exported(&mut state, "json")).unwrap();
    let facts = json["facts"].as_array().unwrap();
    assert!(
        facts
            .iter()
            .any(|fact| fact["field"] == "Issuer" && fact["value"] == "CN=cmp demo root")
    );
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_timeline_is_one_list_by_time() {
    let mut state = certificates();
    state.guard = Guard::Protected(None);
    run(&mut state, "unlock 15m INC-7 a leak");
    with_a_run(&mut state);
    run(&mut state, "lock");
    state.say(Tone::Plain, "");
    let timeline = exported(&mut state, "timeline");
    let places: Vec<usize> = [
        ":unlock 15m INC-7 a leak",
        "- 2026-11-23T03:07:00Z **Revoke shop.example.com** on certificate shop.example.com (`crt_0002`); \
         reason: leaked in a paste; ticket: INC-7; run: run_77",
        "done: it is in the CRL #7",
        "      curl -X POST http://api/revoke",
        ":lock",
    ]
    .iter()
    .map(|words| {
        timeline
            .find(words)
            .unwrap_or_else(|| panic!("{words}:\n{timeline}"))
    })
    .collect();
    assert!(places.iter().all(|place| *place > 0));
    assert!(
        timeline.contains("unlocked until 2026-11-23 03:22Z under INC-7"),
        "{timeline}"
    );
}
