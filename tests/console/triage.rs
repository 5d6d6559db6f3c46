//! Triage: one line a finding, a pane at its top until somebody moves in it, and what is out of sight is counted.

use chrono::Duration;
use cmp_console::domain::finding::{AnswerFor, Finding, FindingKind, LeftOut, Severity};
use cmp_console::domain::worker::{Duty, Worker};
use cmp_console::problem::Problem;
use cmp_console::wire::health::Findings;

use crate::fixtures::{self, now};
use crate::hands::*;

fn lines(state: &State, width: u16, height: u16) -> Vec<String> {
    let area = ratatui::layout::Rect::new(0, 0, width, height);
    let mut buffer = ratatui::buffer::Buffer::empty(area);
    cmp_console::views::draw(state, area, &mut buffer);
    let rows = buffer.content().chunks(usize::from(width));
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect())
        .collect()
}

fn finding(n: usize, severity: Severity) -> Finding {
    Finding {
        kind: FindingKind::ExpiringInUse,
        severity,
        risk: 100,
        entity: EntityKind::Certificate,
        entity_id: format!("crt_{n:04}"),
        version: 1,
        subject: format!("name-{n:02}.shop.example.com"),
        host: Some("web-0104".to_owned()),
        agent: None,
        matter: "ends, silent".to_owned(),
        what: format!("name-{n:02}.shop.example.com expires and is in use on 1 host, where nobody renews it"),
        since: None,
        due: Some(now() + Duration::days(2)),
        takes_down: vec!["web-0104".to_owned()],
        n_takes_down: 1,
        answer: Some("reissue".to_owned()),
        answer_for: Vec::new(),
        under_way: false,
    }
}

fn answered(state: &mut State, findings: Vec<Finding>, more: Findings) {
    let query = Query::Findings;
    let result = Ok(Answer::Findings(Findings { findings, ..more }));
    reply(state, query, result);
}

fn night(n_critical: usize, n_warnings: usize) -> State {
    let mut state = fixtures::night(80, 24);
    state.links.clear();
    let of = |severity| move |n| finding(n, severity);
    let mut all: Vec<Finding> = (0..n_critical).map(of(Severity::Critical)).collect();
    all.extend((50..50 + n_warnings).map(of(Severity::Warning)));
    answered(&mut state, all, Findings::default());
    state
}

#[test]
fn a_finding_is_one_line_with_all_that_a_person_needs() {
    let state = night(1, 3);
    let screen = lines(&state, 80, 24);
    assert_eq!(
        screen[2],
        format!(
            "{:80}",
            ">CRIT name-00.shop.example.com  web-0104 ends, silent     Wed 03:07Z r reissue"
        )
    );
    assert!(
        screen[1].starts_with("── Findings 4   1 critical   3 warning ─"),
        "{}",
        screen[1]
    );
    let strip = screen.iter().position(|line| line.contains("1 of 4")).unwrap();
    assert!(screen[strip].starts_with("── name-00.shop.example.com: ends, silent "));
    assert!(
        screen[strip + 1]
            .starts_with(" name-00.shop.example.com expires and is in use on 1 host, where nobody")
    );
    assert!(screen[strip + 3].contains("r reissue  enter opens it"));
}

#[test]
fn a_name_is_whole_while_another_column_can_go_at_every_width() {
    for width in [40, 48, 56, 64, 72, 80, 120, 160, 200] {
        let state = night(1, 3);
        let screen = lines(&state, width, 24).join("\n");
        let is_whole = screen.contains("name-50.shop.example.com");
        assert!(is_whole || width < 48, "{width}:\n{screen}");
        assert!(screen.contains(" CRIT") || screen.contains(">CRIT"), "{width}");
        assert!(screen.contains("Wed 03:07Z"), "{width}:\n{screen}");
        let whole = width >= 119;
        assert_eq!(
            screen.lines().nth(3).unwrap().contains("where nobody"),
            whole,
            "{width}"
        );
    }
}

#[test]
fn criticals_that_come_above_a_moved_cursor_are_counted_in_the_heading() {
    let mut state = night(0, 30);
    for _ in 0..12 {
        press(&mut state, "j");
    }
    let at = |state: &State| {
        let screen = lines(state, 80, 24);
        let row = screen.iter().find(|line| line.starts_with('>')).unwrap().clone();
        (screen[1].clone(), row)
    };
    let (_, row) = at(&state);
    assert!(row.contains("name-62"), "{row}");
    let mut all: Vec<Finding> = (0..5).map(|n| finding(n, Severity::Critical)).collect();
    all.extend((50..80).map(|n| finding(n, Severity::Warning)));
    answered(&mut state, all.clone(), Findings::default());
    let (heading, row) = at(&state);
    assert!(row.contains("name-62"), "it stays on its thing: {row}");
    assert!(heading.contains("↑ 5 critical  ↓ "), "{heading}");

    // Another visit begins at the top, and so does a list whose rows come while nobody has moved in it.
    press(&mut state, "2");
    press(&mut state, "1");
    let (heading, row) = at(&state);
    assert!(row.contains("name-00"), "{row}");
    assert!(!heading.contains('↑'), "{heading}");
    let mut more: Vec<Finding> = (20..40).map(|n| finding(n, Severity::Critical)).collect();
    more.extend(all);
    answered(&mut state, more, Findings::default());
    assert!(!at(&state).0.contains('↑'));
}

#[test]
fn what_is_not_told_one_by_one_is_a_row_that_leads_there() {
    let mut state = fixtures::night(80, 24);
    let mut more = Findings::default();
    let left_out = LeftOut {
        warning: 0,
        notice: 4_500,
    };
    more.more.insert(FindingKind::ExpiringInUse, left_out);
    answered(&mut state, vec![finding(1, Severity::Warning)], more);
    let screen = lines(&state, 80, 24).join("\n");
    assert!(screen.contains("4500 notice"), "{screen}");
    assert!(screen.contains("NOTE and 4500 more: enter"), "{screen}");
    press(&mut state, "G");
    press(&mut state, "enter");
    assert_eq!(state.place().view, ViewId::Certificates);
    assert_eq!(state.screen().list.q, "expires:<30d");
}

/// The row with the cursor, and the heading of the strip.
fn cursor_and_strip(state: &State) -> (String, String) {
    let screen = lines(state, 80, 24);
    let row = screen.iter().find(|line| line.starts_with('>')).unwrap().clone();
    let strip = screen
        .iter()
        .find(|line| line.contains(" of ") && line.starts_with("──"));
    (row, strip.unwrap().clone())
}

#[test]
fn cursor_and_strip_go_with_the_top_until_somebody_moves_the_cursor() {
    let mut state = night(0, 4);
    let with = |criticals: std::ops::Range<usize>| -> Vec<Finding> {
        let criticals = criticals.map(|n| finding(n, Severity::Critical));
        criticals
            .chain((50..54).map(|n| finding(n, Severity::Warning)))
            .collect()
    };
    assert!(cursor_and_strip(&state).0.contains("name-50"));
    answered(&mut state, with(9..10), Findings::default());
    let (row, strip) = cursor_and_strip(&state);
    assert!(
        row.contains("name-09") && strip.contains("name-09"),
        "{row}\n{strip}"
    );

    press(&mut state, "j");
    tell(&mut state, Event::Rested);
    answered(&mut state, with(8..10), Findings::default());
    let (row, strip) = cursor_and_strip(&state);
    assert!(
        row.contains("name-50") && strip.contains("name-50"),
        "{row}\n{strip}"
    );

    // Back at the top, by whatever key, it is with the top again.
    for keys in ["g", "j k"] {
        press(&mut state, keys);
        tell(&mut state, Event::Rested);
        answered(&mut state, with(8..10), Findings::default());
        assert!(cursor_and_strip(&state).0.contains("name-08"), "{keys}");
        answered(&mut state, with(7..10), Findings::default());
        let (row, strip) = cursor_and_strip(&state);
        assert!(
            row.contains("name-07") && strip.contains("name-07"),
            "{row}\n{strip}"
        );
    }

    // The finding that was acted on keeps the cursor, whatever comes above it.
    press(&mut state, "r");
    press(&mut state, "esc");
    answered(&mut state, with(5..10), Findings::default());
    assert!(cursor_and_strip(&state).0.contains("name-07"));
}

/// As with an unseal: the finding that was acted on turns from critical to a warning further down, and goes.
#[test]
fn an_action_is_no_move_and_takes_no_cursor_along_to_where_its_finding_is_sorted() {
    let mut state = night(3, 6);
    press(&mut state, "r");
    press(&mut state, "esc");
    let all = |acted: Option<Severity>| -> Vec<Finding> {
        let mut all = vec![finding(1, Severity::Critical), finding(2, Severity::Critical)];
        all.extend((50..53).map(|n| finding(n, Severity::Warning)));
        all.extend(acted.map(|severity| finding(0, severity)));
        all.extend((53..56).map(|n| finding(n, Severity::Warning)));
        all
    };
    for acted in [Some(Severity::Warning), None] {
        answered(&mut state, all(acted), Findings::default());
        let (row, strip) = cursor_and_strip(&state);
        assert!(
            row.contains("name-01") && strip.contains("name-01"),
            "{row}\n{strip}"
        );
    }
}

/// All the platform is away: the API and Vault don't answer, and what is behind them can't be seen.
fn killed(state: &mut State) {
    for backend in Backend::ALL {
        let mut link = fixtures::link(LinkState::Unknown, None);
        if matches!(backend, Backend::Api | Backend::Vault) {
            link.state = LinkState::Down;
            link.note = Some("nothing listens there".to_owned());
        }
        tell(state, Event::Link(backend, link));
    }
    let query = Query::Findings;
    let result = Err(Problem::unavailable("nothing listens there"));
    reply(state, query, result);
}

#[test]
fn with_the_platform_away_a_cause_is_one_row_and_what_is_old_says_so_and_offers_no_key() {
    let mut state = fixtures::night(80, 24);
    let sealed = Finding {
        kind: FindingKind::VaultSealed,
        entity: EntityKind::Vault,
        entity_id: "http://127.0.0.1:8200".to_owned(),
        subject: "vault".to_owned(),
        what: "vault is paused: Vault is sealed; nothing is issued or revoked, 4 requests waiting".to_owned(),
        answer: Some("unseal".to_owned()),
        ..finding(1, Severity::Critical)
    };
    let silent = Finding {
        kind: FindingKind::AgentSilent,
        entity: EntityKind::Agent,
        answer: Some("checkin".to_owned()),
        ..finding(2, Severity::Warning)
    };
    answered(
        &mut state,
        vec![sealed.clone(), finding(3, Severity::Critical), silent.clone()],
        Findings::default(),
    );
    let before = lines(&state, 80, 24);
    let of_vault = |screen: &[String]| -> Vec<String> {
        let rows = screen.iter().filter(|line| {
            line.trim_start_matches([' ', '>'])
                .to_lowercase()
                .starts_with("crit vault")
        });
        rows.cloned().collect()
    };
    assert!(
        matches!(of_vault(&before).as_slice(), [row] if row.contains("u unseal")),
        "{before:#?}"
    );
    killed(&mut state);
    let screen = lines(&state, 80, 24);
    let [row] = &of_vault(&screen)[..] else {
        panic!("{screen:#?}")
    };
    assert!(row.contains("doesn't answer") && !row.contains("unseal"), "{row}");
    for name in ["name-03", "name-02"] {
        let row = screen.iter().find(|line| line.contains(name)).unwrap();
        assert!(!row.contains("r reissue"), "{row}");
    }
    // One fact, once, and the older row says of when it is.
    let header = &screen[0];
    assert!(
        header.contains("API DOWN, showing data from 03:07Z  vault DOWN"),
        "{header}"
    );
    assert_eq!(header.matches("API DOWN").count(), 1, "{header}");
    press(&mut state, "j j");
    tell(&mut state, Event::Rested);
    let (row, strip) = cursor_and_strip(&state);
    assert!(
        row.contains("name-03") && strip.contains("last updated 03:07Z"),
        "{row}\n{strip}"
    );

    // Vault is back and open: that it was sealed is no row any more, though the API still can't be asked.
    let link = fixtures::link(LinkState::Up, None);
    tell(&mut state, Event::Link(Backend::Vault, link));
    assert!(of_vault(&lines(&state, 80, 24)).is_empty());

    // While the API answers, what it says of a Vault that this console can't reach is said in the one row.
    let mut state = fixtures::night(80, 24);
    answered(&mut state, vec![sealed, silent], Findings::default());
    let mut link = fixtures::link(LinkState::Down, Some("no route"));
    link.latency_ms = None;
    tell(&mut state, Event::Link(Backend::Vault, link));
    let found = state.findings();
    let of_vault: Vec<&str> = found
        .iter()
        .filter(|it| it.entity == EntityKind::Vault)
        .map(|it| it.what.as_str())
        .collect();
    assert_eq!(
        of_vault,
        ["Vault doesn't answer: no route; the issuer finds it sealed, and 1 request waits"]
    );
}

#[test]
fn the_header_says_that_the_api_is_down_at_every_width() {
    let mut state = fixtures::night(80, 24);
    killed(&mut state);
    for width in [40, 60, 80, 120, 200] {
        let header = lines(&state, width, 24)[0].clone();
        assert!(header.contains("API DOWN"), "{width}: {header}");
        // Of when the rows are is said there, or where there is no room by the panes.
        state.size.width = width;
        let screen = lines(&state, width, 24);
        let by_panes = screen[1].contains("last updated 03:07Z");
        assert_ne!(
            header.contains("showing data from 03:07Z"),
            by_panes,
            "{width}: {screen:#?}"
        );
        assert!(
            !header.contains("Zvault") && !header.contains("ZAPI"),
            "{width}: {header}"
        );
    }
}

#[test]
fn with_the_platform_away_nothing_grows_old_by_itself() {
    let mut state = fixtures::night(80, 24);
    let health = |state: &State| -> Vec<String> {
        let screen = lines(state, 80, 24);
        let of_agents = |line: &&String| line.contains("web-01   ") && line.contains("healthy");
        screen.iter().filter(of_agents).cloned().collect()
    };
    assert_eq!(health(&state).len(), 1);
    killed(&mut state);
    let later = Timed {
        at: now() + Duration::hours(3),
        event: Event::Minute,
    };
    update(&mut state, later, &mut Vec::new());
    assert_eq!(health(&state).len(), 1, "{:#?}", lines(&state, 80, 24));
    let worker = Worker {
        duty: Duty::Issuer,
        name: "issuer@a".to_owned(),
        version: "1".to_owned(),
        seen_at: now(),
        is_there: true,
        clock_ahead_s: None,
    };
    state.workers = vec![worker];
    press(&mut state, "6");
    let screen = lines(&state, 80, 24);
    let of = |name: &str| {
        screen
            .iter()
            .filter(|line| line.trim_start_matches(['>', ' ']).starts_with(name))
            .count()
    };
    assert!(
        screen
            .iter()
            .any(|line| line.contains("worker 1  was at work") && line.contains("issuer on a"))
    );
    assert_eq!(
        of("issuer"),
        1,
        "the backend, and no worker of that name: {screen:#?}"
    );
}

/// A finding about something that an agent saw can be looked at again by that agent.
#[test]
fn a_finding_of_what_an_agent_sees_has_that_agent_for_a_check_in() {
    let mut state = fixtures::night(80, 24);
    let unread = Finding {
        kind: FindingKind::NotServed,
        agent: Some("agt_0007".to_owned()),
        answer: Some("checkin".to_owned()),
        ..finding(1, Severity::Critical)
    };
    answered(&mut state, vec![unread], Findings::default());
    let screen = lines(&state, 80, 24).join("\n");
    assert!(screen.contains("c checkin"), "{screen}");
    while !cursor_and_strip(&state).0.contains("name-01") {
        press(&mut state, "j");
    }
    let effects = press(&mut state, "c");
    let asks = |effect: &Effect| matches!(effect, Effect::Plan { action: "checkin", on, .. } if on[0].id == "agt_0007");
    assert!(effects.iter().any(asks), "{effects:?}");
}

/// A certificate whose replacement waits for a silent agent leads to that agent, by its name.
#[test]
fn a_finding_that_waits_for_an_agent_leads_to_it() {
    let mut state = fixtures::night(80, 24);
    let waits = Finding {
        kind: FindingKind::RevokedInUse,
        host: Some("vpn-01".to_owned()),
        agent: Some("agt_0007".to_owned()),
        answer: Some("checkin".to_owned()),
        under_way: true,
        ..finding(1, Severity::Critical)
    };
    answered(&mut state, vec![waits], Findings::default());
    while !cursor_and_strip(&state).0.contains("name-01") {
        press(&mut state, "j");
    }
    assert!(cursor_and_strip(&state).0.contains("c checkin"));
    let effects = press(&mut state, "c");
    let asks = |effect: &Effect| matches!(effect, Effect::Plan { action: "checkin", on, .. } if on[0].id == "agt_0007");
    assert!(effects.iter().any(asks), "{effects:?}");
    press(&mut state, "esc o");
    let screen = lines(&state, 80, 24).join("\n");
    assert!(screen.contains("h the agent vpn-01"), "{screen}");
    press(&mut state, "h");
    assert_eq!(
        (state.place().view, state.place().subject.as_deref()),
        (ViewId::Agent, Some("agt_0007"))
    );
}

/// A footer has what is possible, at every width.
#[test]
fn what_is_not_possible_is_not_offered() {
    let footer = |state: &State| lines(state, 200, 30).pop().unwrap();
    let mut state = fixtures::night(200, 30);
    let expired = Finding {
        kind: FindingKind::ExpiredInUse,
        ..finding(1, Severity::Critical)
    };
    answered(&mut state, vec![expired], Findings::default());
    while !cursor_and_strip(&state).0.contains("name-01") {
        press(&mut state, "j");
    }
    tell(&mut state, Event::Rested);
    let line = footer(&state);
    assert!(line.contains("r reissue"), "{line}");
    for word in ["U unban", "c checkin"] {
        assert!(!line.contains(word), "{line}");
    }
}

#[test]
fn a_message_that_is_longer_than_the_line_wraps() {
    let mut state = fixtures::night(80, 24);
    let long = "nothing of ours matches 0xaa1aac28, read as a serial in hex, a decimal serial, a name under a wildcard and its END";
    state.say(cmp_console::state::Tone::Bad, long);
    let screen = lines(&state, 80, 24);
    assert!(screen[23].trim_end().ends_with("END"), "{screen:#?}");
    assert!(screen[22].contains("error: nothing of ours"), "{screen:#?}");
}

/// A row has its time at every width, whoever saw first that Vault is sealed.
#[test]
fn a_sealed_vaults_row_says_since_when() {
    let mut state = fixtures::night(80, 24);
    let open = Event::Link(Backend::Vault, fixtures::sealed(3));
    tell(&mut state, open);
    tell(&mut state, Event::Link(Backend::Vault, fixtures::sealed(0)));
    let since = |state: &State| {
        let found = state
            .findings()
            .into_iter()
            .find(|it| it.kind == FindingKind::VaultSealed);
        found.unwrap().since
    };
    assert_eq!(since(&state), Some(state.now));
    let later = Timed {
        at: now() + Duration::hours(1),
        event: Event::Link(Backend::Vault, fixtures::sealed(1)),
    };
    update(&mut state, later, &mut Vec::new());
    assert_eq!(since(&state), Some(now()), "another look is no other seal");
    let at = now().format("%H:%MZ").to_string();
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        state.size = Size { width, height };
        let screen = lines(&state, width, height);
        let row = screen.iter().find(|line| line.contains("CRIT Vault")).unwrap();
        assert!(row.contains(&at), "{width}: {row}");
    }
}

/// The console's own findings come first, and are not all while the platform is still asked.
#[test]
fn findings_of_ones_own_are_not_all_before_the_platform_has_answered() {
    let mut state = fixtures::blank(80, 24);
    tell(&mut state, Event::Link(Backend::Vault, fixtures::sealed(0)));
    let heading = |state: &State| lines(state, 80, 24)[1].clone();
    let before = heading(&state);
    assert!(
        before.starts_with("── Findings 1   1 critical ─") && before.contains("asking…"),
        "{before}"
    );
    let answer = Answer::Findings(Findings::default());
    fixtures::answer(&mut state, Query::Findings, answer);
    let after = heading(&state);
    assert!(
        after.starts_with("── Findings 1   1 critical ─") && !after.contains("asking…"),
        "{after}"
    );
}

/// A revoked certificate that is served where another one is expected is answered by that one, and by its key alone.
#[test]
fn the_key_of_a_finding_works_on_what_answers_it() {
    let shown = || {
        let mut state = night(0, 0);
        let revoked = Finding {
            kind: FindingKind::RevokedInUse,
            answer: Some("install".to_owned()),
            answer_for: vec![AnswerFor {
                id: "crt_expected".to_owned(),
                version: 4,
                name: "shop.example.com".to_owned(),
            }],
            ..finding(11, Severity::Critical)
        };
        answered(&mut state, vec![revoked], Findings::default());
        press(&mut state, "1");
        state
    };
    let screen = lines(&shown(), 120, 40).join("\n");
    assert!(screen.contains("i install"), "{screen}");
    let planned = |keys: &str| {
        let mut state = shown();
        let effects = press(&mut state, keys);
        let on = effects.into_iter().find_map(|effect| match effect {
            Effect::Plan { on, .. } => Some(on),
            _ => None,
        });
        on.map(|on| on.into_iter().map(|it| it.id).collect::<Vec<_>>())
    };
    assert_eq!(planned("i"), Some(vec!["crt_expected".to_owned()]));
    assert_eq!(
        planned("X"),
        Some(vec!["crt_0011".to_owned()]),
        "any other key means the row"
    );
}

/// The issuer tries a Vault that was opened after a while of its own: until then the screen doesn't call it sealed.
#[test]
fn a_vault_that_was_just_opened_is_not_called_sealed() {
    let mut state = fixtures::night(120, 40);
    let sealed = Finding {
        kind: FindingKind::VaultSealed,
        entity: EntityKind::Vault,
        entity_id: "http://127.0.0.1:8200".to_owned(),
        subject: "vault".to_owned(),
        matter: "sealed, 3 wait".to_owned(),
        what: "vault is paused: Vault is sealed; nothing is issued or revoked, 3 requests wait".to_owned(),
        n_takes_down: 3,
        answer: Some("unseal".to_owned()),
        ..finding(1, Severity::Critical)
    };
    tell(&mut state, Event::Link(Backend::Vault, fixtures::sealed(0)));
    answered(&mut state, vec![sealed], Findings::default());
    let mut open = fixtures::sealed(3);
    open.state = LinkState::Up;
    tell(&mut state, Event::Link(Backend::Vault, open));
    let screen = lines(&state, 120, 40).join("\n");
    let found = state.findings();
    let it = found.iter().find(|it| it.entity == EntityKind::Vault).unwrap();
    assert_eq!((it.severity, it.answer.as_deref()), (Severity::Warning, None));
    assert!(
        it.what.contains("is unsealed: the issuer tries it again"),
        "{}",
        it.what
    );
    assert!(
        screen.contains("issuer tries again") && !screen.contains("issuer paused"),
        "{screen}"
    );

    // A pause that stays has another cause.
    state.now = now() + Duration::minutes(2);
    let found = state.findings();
    let it = found.iter().find(|it| it.entity == EntityKind::Vault).unwrap();
    assert_eq!(it.severity, Severity::Critical);
}
