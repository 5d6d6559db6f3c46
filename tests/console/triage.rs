//! Triage: one line a finding, a pane at its top until somebody moves in it, and what is out of sight is counted.

use chrono::Duration;
use cmp_console::domain::finding::{Finding, FindingKind, LeftOut, Severity};
use cmp_console::domain::id::EntityKind;
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
        matter: "ends, no agent".to_owned(),
        what: "expires and is in use on 1 host, where nobody renews it".to_owned(),
        since: None,
        due: Some(now() + Duration::days(2)),
        takes_down: vec!["web-0104".to_owned()],
        n_takes_down: 1,
        answer: Some("reissue".to_owned()),
    }
}

fn answered(state: &mut State, findings: Vec<Finding>, more: Findings) {
    let query = Query::Findings;
    let asked = state.data[&query].asked;
    let result = Ok(Answer::Findings(Findings { findings, ..more }));
    tell(state, Event::Answer { query, asked, result });
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
            ">CRIT name-00.shop.example.com  web-0104 ends, no agent   Wed 03:07Z r reissue"
        )
    );
    assert!(
        screen[1].starts_with("── Findings 4   1 critical   3 warning ─"),
        "{}",
        screen[1]
    );
    let strip = screen.iter().position(|line| line.contains("1 of 4")).unwrap();
    assert!(screen[strip].starts_with("── name-00.shop.example.com: ends, no agent "));
    assert!(screen[strip + 1].contains("expires and is in use on 1 host, where nobody renews it"));
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
