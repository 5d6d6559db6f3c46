//! What every screen has: the header with context and links, the title line, the footer with keys.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use super::times::when;
use super::{find, offered, palette, related};
use crate::actions::{self, Action, Availability};
use crate::domain::database::{ReadFrom, Source, only_reads};
use crate::domain::divided::Divided;
use crate::domain::link::{Backend, LinkState};
use crate::domain::role::Role;
use crate::plan::guard::Guard;
use crate::state::cmd::Cmd;
use crate::state::databases::{self, Reads};
use crate::state::link::latency_words;
use crate::state::own_findings::{is_just_unsealed, unread};
use crate::state::query::Query;
use crate::state::run::Phase;
use crate::state::screen::{Place, ViewId};
use crate::state::{SMALLEST, State, Tone};
use crate::widgets::text::{columns, fit, fit_start, put, wrap};
use crate::widgets::theme::Meaning;

/// Rows that the header takes.
pub const HEADER: u16 = 1;
/// Rows that the footer takes.
pub const FOOTER: u16 = 1;

/// Where the screen itself is drawn.
#[must_use]
pub fn body(area: Rect) -> Rect {
    Rect {
        y: area.y + HEADER,
        height: area.height.saturating_sub(HEADER + FOOTER),
        ..area
    }
}

/// Draws header, screen and footer.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.width < SMALLEST.width || area.height < SMALLEST.height {
        let text = format!(
            "{}x{} is too small; at least {}x{} is needed",
            area.width, area.height, SMALLEST.width, SMALLEST.height
        );
        for (y, line) in (area.y..area.bottom()).zip(wrap(&text, usize::from(area.width))) {
            put(
                buffer,
                area,
                area.x,
                y,
                &line,
                palette(state).style(Meaning::Plain),
            );
        }
        return;
    }
    header(state, area, buffer);
    (find(state.place().view).draw)(state, body(area), buffer);
    footer(state, area, buffer);
}

/// What a place is called: the screen, and for a detail whose it is.
fn crumb(state: &State, place: &Place) -> String {
    let title = find(place.view).title;
    let Some(id) = &place.subject else {
        return title.to_owned();
    };
    let name = match place.view {
        ViewId::Certificate => related::certificate(state, id).map(|it| it.name().to_owned()),
        ViewId::Agent => related::agent(state, id).map(|it| it.hostname.clone()),
        ViewId::Request => related::request(state, id).map(|it| it.common_name.clone()),
        ViewId::Key => id.get(..8).map(str::to_owned),
        _ => Some(id.clone()),
    };
    match name {
        Some(name) if place.view == ViewId::Key => format!("{title} {name}: where it is used"),
        Some(name) => format!("{title} {name}"),
        None => title.to_owned(),
    }
}

/// Place where the rows of the open screen were read.
fn reads(state: &State) -> Reads {
    let mut needs = (find(state.place().view).needs)(state);
    if needs.is_empty() {
        // Asked for whatever is open.
        needs.push(Query::Findings);
    }
    Reads::of(needs.iter().filter_map(|query| state.data.get(query)))
}

/// True if the screen was read through an API that is away.
fn is_left_over(state: &State) -> bool {
    let by_host = matches!(
        reads(state),
        Reads::From {
            from: ReadFrom::Host { .. },
            ..
        }
    );
    databases::reads_from(&state.hosts) == Source::Api
        && state.link(Backend::Api) == LinkState::Down
        && !by_host
}

/// Of when what is shown is, where it came through an API that is away.
fn left_over_from(state: &State) -> Option<DateTime<Utc>> {
    let needs = (find(state.place().view).needs)(state);
    let known = needs.iter().filter_map(|query| state.data.get(query)?.as_of);
    known.min().filter(|_| is_left_over(state))
}

/// One line: where one is, at the right what is not right, and the time of the last change on screen: a clock that
/// ticks would write all the time.
fn header(state: &State, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let y = area.y;
    let clock = format!("{} ", state.clock_label);
    let width = |text: &str| u16::try_from(columns(text)).unwrap_or(u16::MAX);
    let clock_x = area.right().saturating_sub(width(&clock));
    put(buffer, area, clock_x, y, &clock, palette.style(Meaning::Title));
    let context = format!(" {} ", state.context.name);
    // What is protected doesn't look like the rest.
    let meaning = match state.guard {
        Guard::Protected(_) => Meaning::Danger,
        _ if state.context.protected => Meaning::Danger,
        _ => Meaning::Title,
    };
    let mut x = put(buffer, area, area.x, y, &context, palette.style(meaning));
    if let Some(guard) = guard(state) {
        x = put(buffer, area, x, y, &guard, palette.style(Meaning::Warn));
    }
    // What is not right is named whole, as far as there is room for it and for what must not be overlooked.
    let notes = notes(state);
    let room = room(state, &notes, area.width);
    let right = fitting(wrong(state), room);
    let needs: usize = right.iter().map(|(text, _)| columns(text) + 2).sum();
    // Two columns are between it and what stands before it, as everywhere.
    let room = room.saturating_sub(needs + 3);
    // Of a trail that is too long its end says where one is.
    let trail: Vec<String> = trail(state);
    let trail = fit_start(&trail.join(" > "), room);
    x = put(buffer, area, x + 1, y, &trail, palette.style(Meaning::Title));
    let end = Rect {
        width: clock_x.saturating_sub(area.x),
        ..area
    };
    for note in notes {
        x = put(buffer, end, x + 2, y, &note, palette.style(Meaning::Warn));
    }
    let mut x = clock_x.saturating_sub(u16::try_from(needs).unwrap_or(u16::MAX));
    for (text, meaning) in right {
        x = put(buffer, end, x, y, &text, palette.style(meaning)) + 2;
    }
}

/// Columns of a header between what is always at its left and its right, and its notes.
fn room(state: &State, notes: &[String], width: u16) -> usize {
    let notes: usize = notes.iter().map(|note| columns(note) + 2).sum();
    let guard = guard(state).map_or(0, |guard| columns(&guard));
    let taken = notes + guard + columns(&state.context.name) + 2 + columns(&state.clock_label) + 1;
    usize::from(width).saturating_sub(taken)
}

/// Of each the first words that there is room for, while what is bad after it keeps room for its shortest. What there is no
/// room for is counted where there is room for that.
fn fitting(wrong: Vec<Wrong>, room: usize) -> Vec<(String, Meaning)> {
    let mut room = room.saturating_sub(TRAIL);
    let needs = |text: &str| columns(text) + 2;
    let shortest = |it: &Wrong| it.forms.iter().map(|form| needs(form)).min().unwrap_or(0);
    let bad = wrong.iter().filter(|it| it.meaning == Meaning::Bad);
    let mut kept: usize = bad.map(shortest).sum();
    let (mut fit, mut n_left) = (Vec::new(), 0);
    for it in wrong {
        if it.meaning == Meaning::Bad {
            kept -= shortest(&it);
        }
        let fits = |beside: usize| it.forms.iter().find(|form| needs(form) + beside <= room);
        // The first one goes first where there isn't room for all.
        match fits(kept).or_else(|| fits(0)).cloned() {
            Some(text) => {
                room -= needs(&text);
                fit.push((text, it.meaning));
            }
            None => n_left += 1,
        }
    }
    let more = format!("+{n_left} more");
    if n_left > 0 && needs(&more) <= room {
        fit.push((more, Meaning::Warn));
    }
    fit
}

/// True if the header gives the time of everything that came through an API that is away: then panes need not.
pub(super) fn says_age(state: &State) -> bool {
    // A frame where all is well needs no layout of the header for this.
    if left_over_from(state).is_none() {
        return false;
    }
    let room = room(state, &notes(state), state.size.width);
    let is_age = |(text, _): &(String, Meaning)| text.contains(SHOWING);
    fitting(wrong(state), room).iter().any(is_age)
}

/// Before the time of what is shown.
const SHOWING: &str = "showing data from";

/// Columns that are left to the trail, with the blanks around it.
const TRAIL: usize = 6;

/// One thing that is not right, in words that get shorter: the first that there is room for are shown.
struct Wrong {
    forms: Vec<String>,
    meaning: Meaning,
}

impl Wrong {
    fn new(text: impl Into<String>, meaning: Meaning) -> Self {
        Self {
            forms: vec![text.into()],
            meaning,
        }
    }

    /// A backend that doesn't answer; of an API that is away there may be data left, and of when that is says more.
    fn down(state: &State, backend: Backend, name: &str) -> Self {
        let at = |at| when(state.by_platform(at), state);
        let data = left_over_from(state).filter(|_| backend == Backend::Api);
        let data = data.map(|data| format!("{name} DOWN, {SHOWING} {}", at(data)));
        let since = state.down_since.get(&backend);
        let since = since.map(|since| format!("{name} DOWN since {}", at(*since)));
        let whole = data.or(since);
        Self {
            forms: whole.into_iter().chain([format!("{name} DOWN")]).collect(),
            meaning: Meaning::Bad,
        }
    }
}

fn guard(state: &State) -> Option<String> {
    let viewer = state.role.and_then(Role::forbids);
    match (&state.guard, viewer, state.guard.unlocked(state.now)) {
        (Guard::ReadOnly, ..) => Some(" READ-ONLY ".to_owned()),
        // No unlock helps a token that may only read.
        (_, Some(word), _) => Some(format!(" {word} ")),
        (Guard::ReadWrite, ..) => None,
        (Guard::Protected(_), _, None) => Some(" locked ".to_owned()),
        // In whole minutes: a countdown by seconds would write all the time.
        (Guard::Protected(_), _, Some(unlocked)) => {
            let left = (unlocked.until - state.now).num_seconds().saturating_add(59) / 60;
            Some(format!(" UNLOCKED {left}m {} ", fit(&unlocked.ticket, 16)))
        }
    }
}

/// Where one is: triage is where everything begins, and goes without saying.
fn trail(state: &State) -> Vec<String> {
    let begin = usize::from(state.places.len() > 1 && state.places[0].view == ViewId::Triage);
    state.places[begin..]
        .iter()
        .map(|place| crumb(state, place))
        .collect()
}

/// What is not right, the worst first, or how much is well. What only follows from it isn't told again: what is behind
/// an API that is away, and an issuer that waits for a sealed Vault.
fn wrong(state: &State) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut n_up = 0;
    let mut unknown = false;
    for backend in Backend::ALL {
        let Some(link) = state.links.get(&backend) else {
            unknown = true;
            continue;
        };
        let name = if backend == Backend::Api {
            "API"
        } else {
            backend.word()
        };
        let note = link.note.as_deref().unwrap_or_default();
        match link.state {
            LinkState::Up => {
                n_up += 1;
                let slow = link.latency_ms.map_or("", latency_words);
                if !slow.is_empty() {
                    wrong.push(Wrong::new(format!("{name} {slow}"), Meaning::Warn));
                }
            }
            LinkState::Down => wrong.push(Wrong::down(state, backend, name)),
            LinkState::Degraded => wrong.extend(degraded(state, backend, note)),
            LinkState::Absent => {}
            LinkState::Unknown => unknown = state.link(Backend::Api) != LinkState::Down,
        }
    }
    if state.token_refused.is_some() && state.link(Backend::Api) == LinkState::Up {
        wrong.insert(0, Wrong::new("API: TOKEN REFUSED", Meaning::Bad));
    }
    if unread(state).contains(&&Query::Findings) {
        wrong.insert(0, Wrong::new("FINDINGS NOT READ", Meaning::Bad));
    }
    match state.divided() {
        Some(Divided::TwoPrimaries { .. }) => wrong.insert(0, Wrong::new("TWO PRIMARIES", Meaning::Bad)),
        Some(Divided::ApiElsewhere { .. }) => {
            wrong.insert(0, Wrong::new("API ON ANOTHER DATABASE", Meaning::Bad));
        }
        Some(Divided::OlderPrimary { .. }) => wrong.insert(0, Wrong::new("OLDER PRIMARY", Meaning::Bad)),
        // The API's own state says so.
        Some(Divided::ApiCutOff { .. } | Divided::ApiOnLost { .. }) | None => {}
    }
    wrong.sort_by_key(|it| u8::from(it.meaning != Meaning::Bad));
    match (wrong.is_empty(), unknown) {
        (true, false) => vec![Wrong::new(format!("all {n_up} up"), Meaning::Good)],
        (true, true) => vec![Wrong::new("asking", Meaning::Dim)],
        _ => wrong,
    }
}

fn degraded(state: &State, backend: Backend, note: &str) -> Option<Wrong> {
    let (text, meaning) = match backend {
        Backend::Api if state.token_refused.is_some() => ("API: TOKEN REFUSED".to_owned(), Meaning::Bad),
        Backend::Api => ("API without database".to_owned(), Meaning::Bad),
        Backend::Vault if state.vault_sealed() => {
            let seal = state.links.get(&backend).and_then(|link| link.seal.as_ref())?;
            (
                format!("vault SEALED {}/{}", seal.progress, seal.threshold),
                Meaning::Bad,
            )
        }
        Backend::Issuer if state.vault_sealed() && note.starts_with("paused") => return None,
        Backend::Issuer if note.starts_with("paused") && is_just_unsealed(state) => {
            ("issuer tries again".to_owned(), Meaning::Warn)
        }
        Backend::Issuer if note.starts_with("signing is paused") => {
            ("signing paused".to_owned(), Meaning::Bad)
        }
        Backend::Issuer if note.starts_with("paused") => ("issuer paused".to_owned(), Meaning::Bad),
        Backend::Database => return Some(database(state, note)),
        Backend::Agents => {
            let numbers: Vec<&str> = note
                .split_whitespace()
                .filter(|word| word.chars().all(|c| c.is_ascii_digit()))
                .collect();
            match numbers.as_slice() {
                [healthy, all] => (format!("agents {healthy}/{all}"), Meaning::Warn),
                _ => ("agents silent".to_owned(), Meaning::Warn),
            }
        }
        other => (format!("{} degraded", other.word()), Meaning::Warn),
    };
    Some(Wrong::new(text, meaning))
}

/// A database that is in trouble: what the API says of it is a sentence, which is told as a finding; or which host of it is
/// read, where the console reads it itself.
fn database(state: &State, note: &str) -> Wrong {
    let said = state.api_database_note.as_deref();
    let said = said.filter(|_| state.api_database == LinkState::Degraded);
    match said {
        Some(said) if only_reads(said) => Wrong::new("db READ-ONLY", Meaning::Bad),
        Some(_) => Wrong::new("db degraded", Meaning::Bad),
        None if state.hosts.is_empty() || note.is_empty() => Wrong::new("db degraded", Meaning::Warn),
        None => Wrong {
            forms: vec![format!("db {note}"), "db degraded".to_owned()],
            meaning: Meaning::Warn,
        },
    }
}

/// What must not be overlooked about what is shown.
fn notes(state: &State) -> Vec<String> {
    let view = find(state.place().view);
    let screen = state.screen();
    let mut notes = Vec::new();
    if !screen.list.q.is_empty() {
        notes.push(fit(
            &format!("/{}", screen.list.q),
            usize::from(state.size.width) / 3,
        ));
    }
    if !screen.list.sort.is_empty() {
        let column = screen.list.sort.trim_start_matches('-');
        let label = view
            .sorts
            .iter()
            .find(|(name, _)| *name == column)
            .map_or(column, |(_, label)| label);
        notes.push(format!(
            "by {label}{}",
            if screen.list.sort.starts_with('-') {
                " (falling)"
            } else {
                ""
            }
        ));
    }
    if !screen.marks.is_empty() {
        let hidden = super::n_hidden_marks(state);
        let hidden = if hidden > 0 {
            format!(" ({hidden} not shown)")
        } else {
            String::new()
        };
        notes.push(format!("{} marked{hidden}", screen.marks.len()));
    }
    if let Some(since) = state.frozen {
        notes.push(format!(
            "FROZEN since {}",
            state.by_platform(since).format("%H:%M:%SZ")
        ));
    }
    if let Some(starting) = &state.starting {
        notes.push(starting.clone());
    }
    notes.extend(databases::note(&state.hosts, &reads(state)).filter(|_| !is_left_over(state)));
    notes.extend(Some(state.wire.words()).filter(|words| !words.is_empty()));
    let running = state
        .runs
        .iter()
        .filter(|run| matches!(run.phase, Phase::Running))
        .count();
    notes.extend((running > 0).then(|| format!("{running} running")));
    notes
}

/// From this width on the footer has room for what can't be done.
const SHOWS_DIM: u16 = 120;

/// A message has so many lines at most.
const SAID: usize = 3;

fn footer(state: &State, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let y = area.bottom() - 1;
    if let Some(toast) = &state.toast {
        let (word, meaning) = match toast.tone {
            Tone::Good => ("done", Meaning::Good),
            Tone::Plain => ("info", Meaning::Plain),
            Tone::Bad => ("error", Meaning::Bad),
        };
        let begin = format!("{word}: ");
        let room = usize::from(area.width).saturating_sub(columns(&begin) + 2);
        let mut lines = wrap(&toast.text, room);
        lines.truncate(SAID);
        // The lines above it are covered as long as it is said.
        let above = u16::try_from(lines.len()).unwrap_or(1).saturating_sub(1);
        let top = y.saturating_sub(above).max(area.y + 1);
        let rows = Rect {
            y: top,
            height: y + 1 - top,
            ..area
        };
        Clear.render(rows, buffer);
        let x = put(buffer, area, area.x + 1, top, &begin, palette.style(meaning));
        for (y, line) in (top..=y).zip(&lines) {
            put(buffer, area, x, y, line, palette.style(Meaning::Plain));
        }
        return;
    }
    let mut x = area.x + 1;
    let on = offered(state);
    // Their keys say why not, and help does.
    let (can, can_not): (Vec<&dyn Action>, Vec<&dyn Action>) = actions::ALL
        .iter()
        .partition(|action| state.availability(**action, &on) == Availability::Ready);
    for action in can {
        let id = action.spec().id;
        let key = state.keymap.key_of(Cmd::Start(id));
        x = put(buffer, area, x, y, key, palette.style(Meaning::Key));
        x = put(buffer, area, x + 1, y, id, palette.style(Meaning::Plain)) + 2;
    }
    let more: &[(Cmd, &str)] = match state.place().view {
        ViewId::Triage => &[
            (Cmd::Related, "go to…"),
            (Cmd::NextPane, "pane"),
            (Cmd::CommandLine, "command"),
            (Cmd::Help, "help"),
            (Cmd::Quit, "quit"),
        ],
        _ => &[
            (Cmd::Related, "go to…"),
            (Cmd::Filter, "filter"),
            (Cmd::CommandLine, "command"),
            (Cmd::Help, "help"),
            (Cmd::Back, "back"),
        ],
    };
    for (cmd, what) in more {
        let key = state.keymap.key_of(*cmd);
        // Half a word helps nobody; help has them all.
        let width = u16::try_from(key.len() + 1 + columns(what)).unwrap_or(u16::MAX);
        if x.saturating_add(width) > area.right() {
            continue;
        }
        x = put(buffer, area, x, y, key, palette.style(Meaning::Key));
        x = put(buffer, area, x + 1, y, what, palette.style(Meaning::Plain)) + 2;
    }
    // Actions that the row is of the right kind for, and that can't be done to it now.
    let can_not = can_not
        .into_iter()
        .filter(|it| !actions::fitting(*it, &on).is_empty());
    for spec in can_not.map(Action::spec).filter(|_| area.width >= SHOWS_DIM) {
        let text = format!("{} {}", state.keymap.key_of(Cmd::Start(spec.id)), spec.id);
        if x.saturating_add(u16::try_from(columns(&text)).unwrap_or(u16::MAX)) <= area.right() {
            x = put(buffer, area, x, y, &text, palette.style(Meaning::Dim)) + 2;
        }
    }
}
