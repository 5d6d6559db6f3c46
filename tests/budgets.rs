//! Budgets in bytes and draws, which a slow machine does not change: what a frame, a cursor's step and a
//! minute at rest may cost on the wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic, and says what it measured"
)]

#[allow(dead_code, reason = "every test program uses a part of it")]
#[path = "support/fixtures.rs"]
mod fixtures;

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use chrono::Duration;
use cmp_console::config::console::Colours;
use cmp_console::console::painter::Painter;
use cmp_console::console::update::update;
use cmp_console::domain::agent::AgentHealth;
use cmp_console::state::event::{Event, Timed};
use cmp_console::state::query::{Answer, Query, Window};
use cmp_console::state::screen::{Place, ViewId};
use cmp_console::state::{Depth, Look, State};
use cmp_console::views;
use fixtures::{night, now};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// A whole 80x24 frame, in bytes.
const FRAME: usize = 4096;
/// The header's time, when a minute ends, in bytes.
const CLOCK: usize = 100;
/// A step of the cursor in a list, in bytes.
const STEP: usize = 200;

/// Counts what is written to it.
struct Wire(Rc<Cell<usize>>);

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A console's screen, and what went over the wire to it.
struct Screen {
    painter: Painter<Wire>,
    wire: Rc<Cell<usize>>,
}

impl Screen {
    fn new() -> Self {
        let wire = Rc::new(Cell::new(0));
        Self {
            painter: Painter::new(Wire(Rc::clone(&wire))),
            wire,
        }
    }

    /// Paints as the loop does; gives the bytes that it took.
    fn paint(&mut self, state: &mut State) -> usize {
        let before = self.wire.get();
        let draw = |state: &State| {
            let area = Rect::new(0, 0, state.size.width, state.size.height);
            let mut buffer = Buffer::empty(area);
            views::draw(state, area, &mut buffer);
            buffer
        };
        state.clock_label = state.now.format("%H:%MZ").to_string();
        if self.painter.differs(&draw(state)) {
            self.painter.show(draw(state), 1).unwrap();
        }
        self.wire.get() - before
    }
}

fn tell(state: &mut State, after: Duration, event: Event) {
    let at = now() + after;
    update(state, Timed { at, event }, &mut Vec::new());
}

fn press(state: &mut State, key: &str) {
    tell(state, Duration::zero(), Event::Key(key.to_owned()));
}

/// A long list of certificates on the open screen.
fn many(state: &mut State, n: usize) {
    let one = fixtures::certificates().remove(1);
    let rows: Vec<_> = (0..n)
        .map(|index| {
            let mut row = one.clone();
            row.id = format!("crt_{index:06}");
            row.subject = format!("CN=host-{index:06}.example.com");
            row
        })
        .collect();
    let total = i64::try_from(n).unwrap();
    let query = Query::Certificates(Default::default());
    fixtures::answer(state, query, Answer::Certificates(Window { total, rows }));
}

#[test]
fn a_whole_frame_fits_its_budget_on_every_screen() {
    for look in looks() {
        for (name, open) in screens() {
            let mut state = night(80, 24);
            state.look = look;
            open(&mut state);
            let bytes = Screen::new().paint(&mut state);
            eprintln!("a whole frame of {name} in {look:?}: {bytes} bytes");
            assert!(bytes <= FRAME, "{name} in {look:?}: {bytes} bytes");
        }
    }
}

/// Every look that a terminal can have.
fn looks() -> Vec<Look> {
    let mut looks = Vec::new();
    for colours in [
        Colours::Sixteen,
        Colours::Dark,
        Colours::Light,
        Colours::Safe,
        Colours::Mono,
    ] {
        for depth in [Depth::Sixteen, Depth::Indexed, Depth::True] {
            for ascii in [false, true] {
                looks.push(Look {
                    colours,
                    depth,
                    ascii,
                    whole_times: false,
                });
            }
        }
    }
    looks
}

/// How one gets to a screen.
type Opens = fn(&mut State);

/// Every screen, list, detail and dialog, and how one gets there.
fn screens() -> Vec<(&'static str, Opens)> {
    vec![
        ("triage", |state| press(state, "1")),
        ("certificates", |state| press(state, "2")),
        ("agents", |state| press(state, "3")),
        ("requests", |state| press(state, "4")),
        ("audit", |state| press(state, "5")),
        ("services", |state| press(state, "6")),
        ("runs", |state| press(state, "7")),
        ("trends", |state| press(state, "8")),
        ("command log", |state| press(state, "@")),
        ("a certificate", |state| {
            go(state, ViewId::Certificate, "crt_0002");
        }),
        ("an agent", |state| go(state, ViewId::Agent, "agt_0003")),
        ("a request", |state| go(state, ViewId::Request, "req_0001")),
        ("an audit row", |state| go(state, ViewId::AuditRow, "2")),
        ("help", |state| press(state, "?")),
        ("the command line", |state| press(state, ":")),
        ("what to copy", |state| {
            press(state, "2");
            press(state, "y");
        }),
        ("a plan", |state| {
            press(state, "2");
            press(state, "X");
        }),
    ]
}

fn go(state: &mut State, view: ViewId, id: &str) {
    state.places.push(Place {
        view,
        subject: Some(id.to_owned()),
    });
}

/// On a slow link a frame is plainer, so that it is there sooner.
#[test]
fn a_frame_on_a_slow_link_costs_far_less() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let bytes = |poor| {
            let mut state = night(width, height);
            state.wire.poor = poor;
            Screen::new().paint(&mut state)
        };
        let (rich, poor) = (bytes(false), bytes(true));
        eprintln!("triage at {width}x{height}: {rich} bytes, on a slow link {poor}");
        assert!(poor * 10 <= rich * 8, "{poor} of {rich} bytes");
    }
}

#[test]
fn a_step_of_the_cursor_costs_two_rows() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut state = night(width, height);
        press(&mut state, "2");
        many(&mut state, 500);
        let mut screen = Screen::new();
        screen.paint(&mut state);
        let mut most = 0;
        for _ in 0..10 {
            press(&mut state, "j");
            most = most.max(screen.paint(&mut state));
        }
        eprintln!("a step at {width}x{height}: {most} bytes");
        assert!(most <= STEP, "{width}x{height}: {most} bytes");
    }
}

#[test]
fn an_answer_that_says_the_same_writes_nothing_and_a_minute_at_rest_its_time() {
    for (name, open) in screens() {
        let mut state = night(120, 40);
        open(&mut state);
        let mut screen = Screen::new();
        // The night of the fixtures begins on the hour, where `5h` becomes `4h`.
        tell(&mut state, Duration::seconds(1), Event::Minute);
        screen.paint(&mut state);
        let mut draws = 0;
        for second in 2..60 {
            let query = Query::Expiring;
            let asked = state.data[&query].asked;
            let result = Ok(state.answer(&query).unwrap().clone());
            let at = now() + Duration::seconds(second);
            let event = Event::Answer {
                query,
                asked,
                from: None,
                result,
            };
            draws += usize::from(update(&mut state, Timed { at, event }, &mut Vec::new()));
        }
        assert_eq!(draws, 0, "{name} is drawn for nothing");
        assert_eq!(screen.paint(&mut state), 0, "{name} moved by itself");
        tell(&mut state, Duration::seconds(60), Event::Minute);
        let written = screen.paint(&mut state);
        assert!(
            (1..=CLOCK).contains(&written),
            "{name}: {written} bytes for a minute"
        );
    }
}

#[test]
fn a_healthy_agents_check_in_writes_nothing_on_any_screen() {
    for key in ["1", "2", "3", "4", "5", "6", "7", "8", "@"] {
        let mut state = night(120, 40);
        press(&mut state, key);
        let query = Query::Agents(Default::default());
        let rows = |after: i64| {
            let mut rows = fixtures::agents();
            for agent in &mut rows {
                if agent.health(now()) == AgentHealth::Healthy {
                    agent.last_checkin = Some(now() + Duration::seconds(after));
                }
            }
            let total = i64::try_from(rows.len()).unwrap();
            Answer::Agents(Window { rows, total })
        };
        fixtures::answer(&mut state, query.clone(), rows(0));
        let mut screen = Screen::new();
        tell(&mut state, Duration::seconds(1), Event::Minute);
        screen.paint(&mut state);
        for query in [query, Query::AgentHealth] {
            let asked = state.data[&query].asked;
            let result = Ok(rows(5));
            tell(
                &mut state,
                Duration::seconds(6),
                Event::Answer {
                    query,
                    asked,
                    from: None,
                    result,
                },
            );
        }
        assert_eq!(screen.paint(&mut state), 0, "screen {key} moved");
    }
}
