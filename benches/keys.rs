//! How long a key takes from `update` to the bytes on the wire, in a short list and in a long one. The
//! figure is the ratio of the two, measured in turns: a machine's noise hits both.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench says what it measured, and may panic"
)]

#[allow(dead_code, reason = "a bench uses a part of it")]
#[path = "../tests/support/fixtures.rs"]
mod fixtures;

use std::io;
use std::time::{Duration, Instant};

use cmp_console::console::painter::Painter;
use cmp_console::console::update::update;
use cmp_console::state::State;
use cmp_console::state::event::{Event, Timed};
use cmp_console::state::query::{Answer, Query, Window};
use cmp_console::views;
use fixtures::{night, now};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const SHORT: usize = 200;
const LONG: usize = 10_000;
const TURNS: usize = 200;

struct Console {
    state: State,
    painter: Painter<io::Sink>,
}

impl Console {
    fn with_rows(n: usize) -> Self {
        let mut state = night(120, 40);
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
        let mut console = Self {
            painter: Painter::new(io::sink()),
            state: {
                let query = Query::Certificates(Default::default());
                fixtures::answer(&mut state, query, Answer::Certificates(Window { total, rows }));
                state
            },
        };
        console.key("2");
        console
    }

    /// One key, as the loop takes it in and paints it; how long that took.
    fn key(&mut self, key: &str) -> Duration {
        let began = Instant::now();
        let event = Event::Key(key.to_owned());
        update(&mut self.state, Timed { at: now(), event }, &mut Vec::new());
        let area = Rect::new(0, 0, self.state.size.width, self.state.size.height);
        let mut frame = Buffer::empty(area);
        views::draw(&self.state, area, &mut frame);
        if self.painter.differs(&frame) {
            self.painter.show(frame, 1).unwrap();
        }
        began.elapsed()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let mut short = Console::with_rows(SHORT);
    let mut long = Console::with_rows(LONG);
    let (mut in_short, mut in_long) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let key = if turn % 100 < 50 { "j" } else { "k" };
        in_short.push(short.key(key));
        in_long.push(long.key(key));
    }
    let (in_short, in_long) = (median(in_short), median(in_long));
    println!("a key in {SHORT} rows: {in_short:?}, in {LONG} rows: {in_long:?}");
    println!("ratio: {:.2}", in_long.as_secs_f64() / in_short.as_secs_f64());
}
