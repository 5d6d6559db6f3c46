//! One file a screen: state in, cells out. A view draws, says which rows it shows and which questions
//! it needs answered; it changes nothing and asks nobody.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use pane::Pane;
use rows::Rows;

use crate::config::console::Colours;
use crate::plan::plan::Target;
use crate::state::loaded::Loaded;
use crate::state::query::{Answer, Query};
use crate::state::screen::{Place, ViewId};
use crate::state::{Look, State};
use crate::widgets::ascii::to_ascii;
use crate::widgets::clusters::mark_disputed;
use crate::widgets::table::{Cell, Column};
use crate::widgets::theme::Palette;

mod agent;
mod agents;
mod audit;
mod audit_row;
mod certificate;
mod certificates;
pub mod chrome;
mod command_log;
mod contexts;
pub mod copies;
mod detail;
pub mod dialogs;
pub mod export;
mod facts;
mod key;
mod logs;
mod nothing;
mod pane;
pub mod related;
mod request;
mod requests;
pub mod rows;
mod runs;
mod services;
mod strip;
mod timeline;
mod times;
mod trends;
mod triage;

/// One screen.
pub struct View {
    /// Which.
    pub id: ViewId,
    /// Its title.
    pub title: &'static str,
    /// How many panes the focus can be in.
    pub n_panes: usize,
    /// The columns that it can be sorted by: the API's name and the label.
    pub sorts: &'static [(&'static str, &'static str)],
    /// The fields that it can be filtered by beside words; none if it can't be filtered.
    pub filters: &'static [&'static str],
    /// The questions whose answers it shows.
    pub needs: fn(&State) -> Vec<Query>,
    /// The columns of a pane's rows.
    pub columns: fn(usize) -> &'static [Column],
    /// The rows of a pane, in order.
    pub rows: fn(&State, usize) -> Rows<'_>,
    /// Draws it.
    pub draw: fn(&State, Rect, &mut Buffer),
}

impl View {
    /// Whether its rows can be filtered.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        // The log is filtered here and not by the server, so it has words and no fields.
        !self.filters.is_empty() || self.id == ViewId::Logs
    }

    /// What it can be sorted by, each as one word.
    #[must_use]
    pub fn sort_words(&self) -> Vec<&'static str> {
        let word = |(name, label): &(&'static str, &'static str)| match label.contains(' ') {
            true => *name,
            false => *label,
        };
        self.sorts.iter().map(word).collect()
    }
}

/// Every screen.
pub static ALL: &[&View] = &[
    &triage::VIEW,
    &certificates::VIEW,
    &agents::VIEW,
    &requests::VIEW,
    &audit::VIEW,
    &services::VIEW,
    &command_log::VIEW,
    &runs::VIEW,
    &trends::VIEW,
    &contexts::VIEW,
    &logs::VIEW,
    &certificate::VIEW,
    &key::VIEW,
    &agent::VIEW,
    &request::VIEW,
    &audit_row::VIEW,
];

/// One row of a list: what it shows, what can be done with it, where Enter leads.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the cursor and the marks remember it by.
    pub id: String,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// What actions can work on, the preferred thing first.
    pub targets: Vec<Target>,
    /// Where Enter leads.
    pub open: Option<Opens>,
    /// What `y` copies.
    pub copy: String,
}

/// Where Enter leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opens {
    /// To a screen.
    Place(Place),
    /// To a list, filtered.
    List(ViewId, String),
    /// To the dialog of the run with this id.
    Run(String),
    /// Into the context with this name.
    Context(String),
}

impl Opens {
    /// The detail of one thing.
    fn detail(view: ViewId, id: &str) -> Self {
        Self::Place(Place {
            view,
            subject: Some(id.to_owned()),
        })
    }
}

/// The view with this id.
#[must_use]
pub fn find(id: ViewId) -> &'static View {
    ALL.iter()
        .copied()
        .find(|view| view.id == id)
        .unwrap_or(&triage::VIEW)
}

/// The rows of the pane that has the focus.
#[must_use]
pub fn focused_rows(state: &State) -> Rows<'_> {
    (find(state.place().view).rows)(state, state.screen().pane)
}

/// How many marked rows are not among the rows of the pane that has the focus: filtered out, gone, or in
/// another pane. An action would not do what the person means.
#[must_use]
pub fn n_hidden_marks(state: &State) -> usize {
    let screen = state.screen();
    let rows = focused_rows(state);
    screen.marks.iter().filter(|id| !rows.has(id)).count()
}

/// What actions would work on: the marked rows, or the one with the cursor.
#[must_use]
pub fn selected(state: &State) -> Vec<Target> {
    let rows = focused_rows(state);
    let screen = state.screen();
    if !screen.marks.is_empty() {
        let marked = rows.ids().iter().enumerate();
        let marked = marked.filter(|(_, id)| screen.marks.contains(id.as_ref()));
        let marked = marked.filter_map(|(index, _)| rows.get(index));
        return marked.flat_map(|row| row.targets).collect();
    }
    let row = rows.get(screen.cursor_index(screen.pane, rows.ids()));
    row.map(|row| row.targets).unwrap_or_default()
}

/// Things for which keys are offered, which follow the cursor once it rests.
#[must_use]
pub fn offered(state: &State) -> Vec<Target> {
    let screen = state.screen();
    if !screen.marks.is_empty() {
        return selected(state);
    }
    let rows = focused_rows(state);
    let row = rows.get(resting(state, screen.pane, rows.ids()));
    row.map(|row| row.targets).unwrap_or_default()
}

/// The row that bar and strip are about: the cursor's, once it rests.
fn resting(state: &State, pane: usize, ids: &[impl AsRef<str>]) -> usize {
    let screen = state.screen();
    let settled = screen
        .settled
        .as_ref()
        .filter(|_| state.moving && screen.pane == pane);
    let settled = settled.and_then(|settled| ids.iter().position(|id| id.as_ref() == settled));
    settled.unwrap_or_else(|| screen.cursor_index(pane, ids))
}

/// The marked rows that are about none of `on`, by id and name: an action on these leaves them out.
#[must_use]
pub fn others_marked(state: &State, on: &[Target]) -> Vec<(String, String)> {
    let rows = focused_rows(state);
    let marks = state.screen().marks;
    let marked = rows.ids().iter().enumerate();
    let marked = marked.filter(|(_, id)| marks.contains(id.as_ref()));
    let marked = marked.filter_map(|(index, _)| rows.get(index));
    let is_other = |row: &Row| {
        let is_on = |target: &Target| on.iter().any(|it| it.kind == target.kind && it.id == target.id);
        !row.targets.iter().any(is_on)
    };
    let others = marked.filter(is_other);
    let named = others.map(|row| {
        let name = row.targets.first().map_or(&row.copy, |target| &target.name);
        (row.id.clone(), name.clone())
    });
    named.collect()
}

/// True if the row that was acted on has gone from under the cursor: the same key would act on one that nobody chose.
#[must_use]
pub fn is_adrift(state: &State) -> bool {
    let screen = state.screen();
    screen.marks.is_empty() && screen.is_adrift(focused_rows(state).ids())
}

/// Draws everything: header, screen, footer, dialogs.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    chrome::draw(state, area, buffer);
    for layer in &state.layers {
        dialogs::draw(state, layer, area, buffer);
    }
    if state.look.ascii || state.wire.poor {
        to_ascii(buffer);
    }
    mark_disputed(buffer);
}

/// The colours in use; on a slow link none, since every change of colour costs as much as a word.
fn palette(state: &State) -> Palette {
    let Look { colours, depth, .. } = state.look;
    match state.wire.poor {
        true => Palette::new(Colours::Mono, depth),
        false => Palette::new(colours, depth),
    }
}

fn total(answer: &Answer, n: usize) -> usize {
    answer
        .total()
        .and_then(|total| usize::try_from(total).ok())
        .unwrap_or(n)
}

/// `last updated 14:02Z` where the newest answer was none.
fn freshness(state: &State, loaded: Option<&Loaded<Answer>>) -> String {
    match loaded {
        Some(Loaded {
            trouble: Some(_),
            as_of: Some(at),
            value: Some(_),
            kept: false,
            ..
        }) => {
            format!("last updated {}", times::when(state.by_platform(*at), state))
        }
        Some(Loaded {
            kept: true,
            as_of: Some(at),
            ..
        }) => format!("snapshot of {}", times::when(state.by_platform(*at), state)),
        Some(Loaded { trouble: Some(_), .. }) => "no answer".to_owned(),
        _ => String::new(),
    }
}
