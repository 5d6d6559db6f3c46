//! Trends: what people would rather look at than read. When certificates end, when agents checked in, what
//! was issued and what failed; each bar leads to its rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Opens, Row, View, freshness, palette};
use crate::state::State;
use crate::state::query::{Answer, Query};
use crate::state::screen::ViewId;
use crate::widgets::bars::{self, Bar};
use crate::widgets::heading::heading;
use crate::widgets::table::{Column, Width, plain};
use crate::widgets::text::put;
use crate::widgets::theme::Meaning;
use crate::wire::trends::{CHECKIN_MIN, CHECKINS, Trends};

/// See the module.
pub(super) static VIEW: View = View {
    id: ViewId::Trends,
    title: "Trends",
    n_panes: 3,
    sorts: &[],
    filters: &[],
    needs: |_| vec![Query::Trends],
    columns: |_| COLUMNS,
    rows: |state, pane| rows(state, pane),
    draw,
};

/// What its panes are called.
pub(super) const PANES: &[&str] = &[
    "Certificates that end within the next weeks",
    "Agents by their last check-in",
    "Issuance over the last day, done and failed",
];

const COLUMNS: &[Column] = &[
    Column {
        title: "span",
        width: Width::Fixed(12),
    },
    Column {
        title: "count",
        width: Width::Fixed(8),
    },
];

/// A bar, what it counts in words, and the list of it.
struct Counted {
    bar: Bar,
    words: String,
    view: ViewId,
    filter: String,
}

fn trends(state: &State) -> Option<&Trends> {
    match state.answer(&Query::Trends) {
        Some(Answer::Trends(trends)) => Some(trends),
        _ => None,
    }
}

fn rows(state: &State, pane: usize) -> Rows<'_> {
    let counted = trends(state)
        .map(|trends| counted(trends, pane))
        .unwrap_or_default();
    let row = |(index, it): (usize, Counted)| Row {
        id: format!("{pane}/{index}"),
        cells: vec![plain(it.words.clone()), plain(it.bar.n.to_string())],
        targets: Vec::new(),
        open: Some(Opens::List(it.view, it.filter)),
        copy: format!("{}: {}", it.words, it.bar.n),
    };
    counted
        .into_iter()
        .enumerate()
        .map(row)
        .collect::<Vec<_>>()
        .into()
}

fn counted(trends: &Trends, pane: usize) -> Vec<Counted> {
    match pane {
        0 => expiring(trends),
        1 => checked_in(trends),
        _ => issued(trends),
    }
}

fn bar(label: String, n: i64, meaning: Meaning) -> Bar {
    Bar {
        label,
        n: u64::try_from(n).unwrap_or(0),
        meaning,
    }
}

fn expiring(trends: &Trends) -> Vec<Counted> {
    let expired = Counted {
        bar: bar("expired".to_owned(), trends.expired, Meaning::Bad),
        words: "expired".to_owned(),
        view: ViewId::Certificates,
        filter: "expires:<0h".to_owned(),
    };
    let weeks = trends.expiring.iter().enumerate().map(|(week, n)| Counted {
        bar: bar(
            format!("<{}d", (week + 1) * 7),
            *n,
            if week == 0 { Meaning::Warn } else { Meaning::Plain },
        ),
        words: match week {
            0 => "ends within 7 days".to_owned(),
            _ => format!("ends in {} to {} days", week * 7, (week + 1) * 7),
        },
        view: ViewId::Certificates,
        filter: format!("expires:>{}d expires:<{}d", week * 7, (week + 1) * 7),
    });
    std::iter::once(expired).chain(weeks).collect()
}

fn checked_in(trends: &Trends) -> Vec<Counted> {
    let spans = trends.checked_in.iter().zip(1..).map(|(n, span)| Counted {
        bar: bar(
            format!("<{}m", CHECKIN_MIN * span),
            *n,
            if span == 1 { Meaning::Good } else { Meaning::Warn },
        ),
        words: format!(
            "checked in {} to {} min ago",
            CHECKIN_MIN * (span - 1),
            CHECKIN_MIN * span
        ),
        view: ViewId::Agents,
        filter: format!(
            "status:active silent:>{}m silent:<{}m",
            CHECKIN_MIN * (span - 1),
            CHECKIN_MIN * span
        ),
    });
    let silent = Counted {
        bar: bar(
            format!(">{}m", CHECKIN_MIN * i64::try_from(CHECKINS).unwrap_or(0)),
            trends.silent,
            Meaning::Bad,
        ),
        words: format!(
            "silent for {} min",
            CHECKIN_MIN * i64::try_from(CHECKINS).unwrap_or(0)
        ),
        view: ViewId::Agents,
        filter: format!(
            "status:active silent:>{}m",
            CHECKIN_MIN * i64::try_from(CHECKINS).unwrap_or(0)
        ),
    };
    spans.chain(std::iter::once(silent)).collect()
}

/// Groups of bars in the last pane, of equal number, one after the other.
const GROUPS: [&str; 2] = ["issued", "failed"];

/// Four hours a bar, so that a day fits into eighty columns twice: what was issued, then what failed.
fn issued(trends: &Trends) -> Vec<Counted> {
    let spans = |counts: &[i64], outcome: &str, group: &str, meaning| {
        let sums = counts
            .chunks(4)
            .map(|span| span.iter().copied().fold(0, i64::saturating_add));
        let counted = sums.zip(1..).map(|(n, span)| Counted {
            bar: bar(format!("<{}h", span * 4), n, meaning),
            words: match span {
                1 => format!("{group}, last 4 h"),
                _ => format!("{group}, {} to {} h ago", (span - 1) * 4, span * 4),
            },
            view: ViewId::Audit,
            filter: format!(
                "action:issue outcome:{outcome} when:>{}h when:<{}h",
                (span - 1) * 4,
                span * 4
            ),
        });
        counted.collect::<Vec<_>>()
    };
    let mut all = spans(&trends.issued, "done", GROUPS[0], Meaning::Good);
    all.extend(spans(&trends.failed, "failed", GROUPS[1], Meaning::Bad));
    all
}

fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let screen = state.screen();
    let loaded = state.data.get(&Query::Trends);
    let note = freshness(state, loaded);
    let height = area.height / 3;
    for (pane, title) in PANES.iter().enumerate() {
        let above = height * u16::try_from(pane).unwrap_or(0);
        let place = Rect {
            y: area.y + above,
            // What is left over goes to the last.
            height: if pane == 2 { area.height - above } else { height },
            ..area
        };
        let focused = screen.pane == pane;
        // The heading says in words what the few letters of the bar under the cursor mean.
        let on = rows(state, pane);
        let on = on.get(screen.cursor_index(pane, on.ids())).filter(|_| focused);
        let on = on.map_or(String::new(), |row| row.copy);
        let note = match note.is_empty() {
            true => (on, Meaning::Plain),
            false => (format!("{on}  {note}").trim_start().to_owned(), Meaning::Warn),
        };
        let inner = heading(buffer, place, palette, title, (&note.0, note.1), focused);
        match trends(state) {
            None => {
                let trouble = loaded.and_then(|loaded| loaded.trouble.as_ref());
                let words = trouble.map_or("asking…", |problem| problem.what.as_str());
                put(
                    buffer,
                    inner,
                    inner.x + 1,
                    inner.y,
                    words,
                    palette.style(Meaning::Dim),
                );
            }
            Some(trends) => {
                let counted = counted(trends, pane);
                let bars: Vec<Bar> = counted.into_iter().map(|it| it.bar).collect();
                let rows = rows(state, pane);
                let cursor = focused.then(|| screen.cursor_index(pane, rows.ids()));
                let inside = Rect {
                    x: inner.x + 1,
                    width: inner.width.saturating_sub(1),
                    ..inner
                };
                let captions = u16::from(pane == 2 && inside.height > 3);
                let above = Rect {
                    height: inside.height - captions,
                    ..inside
                };
                bars::draw(buffer, above, &bars, cursor, palette);
                let width = bars::width(above, bars.len());
                for (group, at) in GROUPS
                    .iter()
                    .zip([0, bars.len() / 2])
                    .take(2 * usize::from(captions))
                {
                    let x = inside.x + width * u16::try_from(at).unwrap_or(0);
                    let style = palette.style(Meaning::Plain);
                    put(
                        buffer,
                        inside,
                        x,
                        above.bottom(),
                        &format!("{group}, how long ago"),
                        style,
                    );
                }
            }
        }
    }
}
