//! Rows for an action's keys where the cursor is in no list: a page of one thing is that thing's row, and an audit row is
//! that of what it is about.

use crate::hands::*;

#[test]
fn the_pages_own_request_is_the_row_for_its_keys_while_there_is_no_audit_row() {
    for rows in [Some(Vec::new()), None] {
        let mut state = night(120, 40);
        press(&mut state, "4 enter");
        let query = Query::AuditOf("req_0001".to_owned());
        let says = if rows.is_some() {
            "no audit row"
        } else {
            "asking…"
        };
        match rows {
            Some(rows) => fixtures::answer(&mut state, query, Answer::Audit(Window { total: 0, rows })),
            None => drop(state.data.remove(&query)),
        }
        tell(&mut state, Event::Rested);
        let screen = drawn(&state);
        assert!(screen.contains(says) && screen.contains("x cancel"), "{screen}");
        let effects = press(&mut state, "x");
        let planned = effects.iter().find_map(|effect| match effect {
            Effect::Plan { action, on, .. } => Some((*action, on[0].id.clone())),
            _ => None,
        });
        assert_eq!(planned, Some(("cancel", "req_0001".to_owned())), "{says}");
    }
}

#[test]
fn every_page_of_one_thing_has_a_row_for_its_keys() {
    let mut state = night(120, 40);
    for view in cmp_console::views::ALL {
        let subject = match view.id {
            ViewId::Certificate => "crt_0002",
            ViewId::Agent => "agt_0003",
            ViewId::Request => "req_0001",
            ViewId::AuditRow => "1",
            _ => continue,
        };
        state.places = vec![Place {
            view: view.id,
            subject: Some(subject.to_owned()),
        }];
        let kind = match view.id {
            ViewId::Certificate | ViewId::AuditRow => EntityKind::Certificate,
            ViewId::Agent => EntityKind::Agent,
            _ => EntityKind::Request,
        };
        let selected = cmp_console::views::selected(&state);
        assert_eq!(selected.first().map(|it| it.kind), Some(kind), "{}", view.title);
    }
}

#[test]
fn a_request_can_be_cancelled_from_its_audit_row() {
    let mut state = night(120, 40);
    let mut rows = fixtures::audit();
    rows[0].entity_type = EntityKind::Request;
    rows[0].entity_id = "req_0001".to_owned();
    let query = Query::Audit(ListQuery::default());
    fixtures::answer(&mut state, query, Answer::Audit(Window { total: 2, rows }));
    press(&mut state, "5");
    let effects = press(&mut state, "x");
    assert!(
        effects.iter().any(
            |effect| matches!(effect, Effect::Plan { action: "cancel", on, .. } if on[0].id == "req_0001")
        )
    );
}
