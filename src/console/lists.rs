//! Moving, marking, sorting and opening in lists: by ids, never by row numbers.

use super::cursor::step;
use super::{cursor, layers, leaving, trouble};
use crate::state::cmd::Cmd;
use crate::state::layer::{FilterLine, Layer};
use crate::state::query::Answer;
use crate::state::screen::{Place, Screen, ViewId};
use crate::state::{State, Tone};
use crate::views::{self, Opens};
use crate::wire::page::n_rows;

/// Rows that a list holds at most when somebody goes to its end.
pub(super) const MOST: u32 = 10_000;

/// Carries a list command out.
pub(super) fn on(state: &mut State, cmd: Cmd) {
    let view = views::find(state.place().view);
    cursor::follow_the_end(state, cmd);
    match cmd {
        Cmd::Down => step(state, 1),
        Cmd::Up => step(state, -1),
        Cmd::Top => step(state, isize::MIN / 2),
        Cmd::Bottom => {
            load_to_the_end(state);
            step(state, isize::MAX / 2);
        }
        Cmd::HalfDown | Cmd::HalfUp => {
            let half = isize::try_from(state.size.height.saturating_sub(5) / 2)
                .unwrap_or(1)
                .max(1);
            let by = if cmd == Cmd::HalfDown { half } else { -half };
            if is_detail(view.id) {
                let screen = state.screen_mut();
                let by = i16::try_from(by).unwrap_or(1);
                screen.scroll = screen.scroll.saturating_add_signed(by).min(200);
            } else {
                step(state, by);
            }
        }
        Cmd::NextPane => turn(state, 1, view.n_panes),
        Cmd::PreviousPane => turn(state, view.n_panes - 1, view.n_panes),
        Cmd::Open => match current(state).and_then(|row| row.open) {
            Some(Opens::Place(place)) => {
                go(state, place);
            }
            Some(Opens::List(view, filter)) => go_filtered(state, view, &filter),
            Some(Opens::Run(run)) => {
                let layer = layers::reopen(state, run);
                state.layers.push(layer);
            }
            Some(Opens::Context(name)) => leaving::switch(state, name),
            None => {}
        },
        Cmd::Back => back(state),
        Cmd::Filter if view.is_filtered() => {
            // An empty line each time: the former filter is one key away, and goes on in no new one unseen.
            let layer = FilterLine {
                typed: layers::field(""),
                before: state.screen().list.q,
                ..FilterLine::default()
            };
            state.layers.push(Layer::Filter(Box::new(layer)));
        }
        Cmd::Sort if !view.sorts.is_empty() => {
            let list = &mut state.screen_mut().list;
            let now = list.sort.trim_start_matches('-');
            let at = view.sorts.iter().position(|(name, _)| *name == now);
            let next = at.map_or(0, |at| at + 1) % view.sorts.len();
            view.sorts[next].0.clone_into(&mut list.sort);
            state.screen_mut().release_cursors();
        }
        Cmd::Reverse if !view.sorts.is_empty() => {
            let list = &mut state.screen_mut().list;
            list.sort = match list.sort.strip_prefix('-') {
                Some(rising) => rising.to_owned(),
                None if list.sort.is_empty() => format!("-{}", view.sorts[0].0),
                None => format!("-{}", list.sort),
            };
            state.screen_mut().release_cursors();
        }
        // Its letters follow, and each of them would be a key.
        Cmd::Filter => state.layers.push(Layer::NoFilter),
        Cmd::Sort | Cmd::Reverse => say_open_a_list(state),
        Cmd::NextTrouble => trouble::step(state, true),
        Cmd::PreviousTrouble => trouble::step(state, false),
        Cmd::Mark => {
            if let Some(row) = current(state) {
                let screen = state.screen_mut();
                screen.anchor = Some(row.id.clone());
                if !screen.marks.remove(&row.id) {
                    screen.marks.insert(row.id);
                }
                step(state, 1);
            }
        }
        Cmd::Unmark => state.screen_mut().marks.clear(),
        Cmd::MarkRange => mark_range(state),
        Cmd::MarkAll => {
            let rows = views::focused_rows(state);
            let ids: Vec<String> = rows.ids().iter().map(ToString::to_string).collect();
            drop(rows);
            let n = ids.len();
            state.screen_mut().marks.extend(ids);
            let total = n_in_all(state).filter(|total| *total > n);
            let loads = state.keymap.call(Cmd::Bottom);
            let more = total.map_or(String::new(), |total| {
                let total = n_rows(i64::try_from(total).unwrap_or(i64::MAX));
                format!(" of {total}: {loads} loads the others")
            });
            state.say(Tone::Plain, format!("{n} rows are marked{more}"));
        }
        Cmd::Quit
        | Cmd::Help
        | Cmd::CommandLine
        | Cmd::Copy
        | Cmd::Verify
        | Cmd::Related
        | Cmd::HistoryBack
        | Cmd::HistoryForward
        | Cmd::Show(_)
        | Cmd::Refresh
        | Cmd::Suspend
        | Cmd::Freeze
        | Cmd::Dialog(_)
        | Cmd::Start(_) => {}
    }
}

/// The lists that have filters and orders, by their keys.
pub(super) fn by_keys(state: &State) -> String {
    let lists = [
        ViewId::Certificates,
        ViewId::Agents,
        ViewId::Requests,
        ViewId::Audit,
    ];
    let keys = lists.map(|view| state.keymap.call(Cmd::Show(view)));
    keys.join(" ")
}

/// This screen is no list.
pub(super) fn say_open_a_list(state: &mut State) {
    let lists = by_keys(state);
    state.say(
        Tone::Plain,
        format!("nothing to filter or sort here; {lists} are lists"),
    );
}

/// Goes to a thing's detail, as it is seen for the first time; of services to the row.
pub(super) fn go(state: &mut State, place: Place) {
    let row = match place.view {
        ViewId::Services => place.subject.clone(),
        _ => None,
    };
    let subject = place.subject.filter(|_| row.is_none());
    state.places.push(Place { subject, ..place });
    *state.screen_mut() = Screen::default();
    cursor::begin(state);
    let Some(row) = row else { return };
    let rows = views::focused_rows(state);
    let at = rows.ids().iter().position(|id| *id == row);
    let ids: Vec<String> = rows.ids().iter().map(ToString::to_string).collect();
    drop(rows);
    if let Some(at) = at {
        state.screen_mut().move_cursor(0, at, &ids);
    }
}

pub(super) fn show_filtered(state: &mut State, filter: &str) {
    state.places = vec![Place::of(ViewId::Triage)];
    go_filtered(state, ViewId::Certificates, filter);
}

/// Goes to a list with this filter.
pub(super) fn go_filtered(state: &mut State, view: ViewId, filter: &str) {
    go(state, Place::of(view));
    filter.clone_into(&mut state.screen_mut().list.q);
}

fn is_detail(view: ViewId) -> bool {
    matches!(
        view,
        ViewId::Certificate | ViewId::Key | ViewId::Agent | ViewId::Request | ViewId::AuditRow
    )
}

/// Marks everything between the row that was marked last and the cursor.
fn mark_range(state: &mut State) {
    let rows = views::focused_rows(state);
    let screen = state.screen();
    let at = screen.cursor_index(screen.pane, rows.ids());
    let anchor = screen.anchor.as_deref();
    let from = anchor.and_then(|id| rows.ids().iter().position(|other| other == id));
    let from = from.unwrap_or(at);
    let (first, last) = (from.min(at), from.max(at));
    let ids = rows.ids().iter().take(last + 1).skip(first);
    let ids: Vec<String> = ids.map(ToString::to_string).collect();
    drop(rows);
    state.screen_mut().marks.extend(ids);
}

/// How many rows the open list has at the server.
fn n_in_all(state: &State) -> Option<usize> {
    let needs = (views::find(state.place().view).needs)(state);
    let total = needs.iter().find_map(|query| state.answer(query)?.total())?;
    usize::try_from(total).ok()
}

/// The row with the cursor.
pub(super) fn current(state: &State) -> Option<views::Row> {
    let rows = views::focused_rows(state);
    let screen = state.screen();
    rows.get(screen.cursor_index(screen.pane, rows.ids()))
}

fn turn(state: &mut State, by: usize, n: usize) {
    let screen = state.screen_mut();
    screen.pane = (screen.pane + by) % n.max(1);
}

/// One thing at a time: the filter, the marks, then the screen.
fn back(state: &mut State) {
    let screen = state.screen_mut();
    if !screen.list.q.is_empty() {
        screen.list.q.clear();
    } else if !screen.marks.is_empty() {
        screen.marks.clear();
    } else if state.places.len() > 1 {
        state.places.pop();
    }
}

/// Asks for all rows of the list, as far as one would ever scroll; the cursor follows to the last.
fn load_to_the_end(state: &mut State) {
    for query in (views::find(state.place().view).needs)(state) {
        if let Some(loaded) = state.data.get_mut(&query) {
            let total = loaded.value.as_ref().and_then(Answer::total).unwrap_or(0);
            let wanted = u32::try_from(total).unwrap_or(MOST).min(MOST);
            if wanted > loaded.rows {
                loaded.rows = wanted;
                loaded.dirty = true;
            }
        }
    }
}
