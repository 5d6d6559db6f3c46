//! What every screen has: the header with context and links, the title line, the footer with keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{find, palette, related, selected};
use crate::actions::{self, Availability};
use crate::domain::database::Source;
use crate::domain::link::{Backend, LinkState};
use crate::plan::guard::Guard;
use crate::state::cmd::Cmd;
use crate::state::databases;
use crate::state::link::latency_words;
use crate::state::run::Phase;
use crate::state::screen::{Place, ViewId};
use crate::state::{SMALLEST, State, Tone};
use crate::widgets::text::{columns, fit, fit_start, put};
use crate::widgets::theme::Meaning;
use crate::widgets::when::ago;

/// Rows that the header takes.
pub const HEADER: u16 = 2;
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
        for (y, line) in
            (area.y..area.bottom()).zip(crate::widgets::text::wrap(&text, usize::from(area.width)))
        {
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
    links(state, area, buffer);
    title(state, area, buffer);
    (find(state.place().view).draw)(state, body(area), buffer);
    footer(state, area, buffer);
}

fn links(state: &State, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let y = area.y;
    let mut x = put(buffer, area, area.x, y, " cmp ", palette.style(Meaning::Cursor));
    let name = format!(" {} ", state.context.name);
    // What is protected doesn't look like the rest.
    let meaning = match state.guard {
        Guard::Protected(_) => Meaning::Danger,
        _ if state.context.protected => Meaning::Danger,
        _ => Meaning::Title,
    };
    x = put(buffer, area, x, y, &name, palette.style(meaning));
    let guard = match (&state.guard, state.guard.unlocked(state.now)) {
        (Guard::ReadWrite, _) => String::new(),
        (Guard::ReadOnly, _) => "READ-ONLY ".to_owned(),
        (Guard::Protected(_), None) => " locked ".to_owned(),
        // In whole minutes: a countdown by seconds would write all the time.
        (Guard::Protected(_), Some(unlocked)) => {
            let left = (unlocked.until - state.now).num_seconds().saturating_add(59) / 60;
            format!(" UNLOCKED {left}m {} ", fit(&unlocked.ticket, 16))
        }
    };
    x = put(buffer, area, x, y, &guard, palette.style(Meaning::Warn));
    // The time of the last change on screen, not a clock that ticks: a screen at rest stays at rest.
    let clock = format!(" {} ", state.clock_label);
    let clock_x = area.right().saturating_sub(8);
    let room = Rect {
        width: clock_x.saturating_sub(area.x),
        ..area
    };
    for backend in Backend::ALL {
        let link = state.links.get(&backend);
        let (glyph, meaning) = match link.map_or(LinkState::Unknown, |link| link.state) {
            LinkState::Unknown => ("?", Meaning::Dim),
            LinkState::Up => ("+", Meaning::Good),
            LinkState::Degraded => ("!", Meaning::Warn),
            LinkState::Down => ("X", Meaning::Bad),
            LinkState::Absent => ("-", Meaning::Dim),
        };
        let slow = link.and_then(|link| link.latency_ms).map_or("", latency_words);
        // What stops everything is named at every width; the rest where there is room. Why a backend is
        // down is said on the services screen: here it would hide the others.
        let note = match link {
            Some(link) if link.state == LinkState::Down => "down",
            // Which host of the database is read, where the console reads it itself.
            Some(link) if backend == Backend::Database && !state.hosts.is_empty() && area.width >= 120 => {
                link.note.as_deref().unwrap_or_default()
            }
            Some(link)
                if link.state == LinkState::Degraded && (area.width >= 100 || backend == Backend::Vault) =>
            {
                link.note.as_deref().unwrap_or_default()
            }
            _ => "",
        };
        let mut text = format!("{glyph}{}", backend.word());
        for extra in [slow, note].into_iter().filter(|extra| !extra.is_empty()) {
            text.push(' ');
            text.push_str(extra);
        }
        x = put(buffer, room, x + 1, y, &text, palette.style(meaning));
    }
    put(buffer, area, clock_x, y, &clock, palette.style(Meaning::Title));
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
        Some(name) => format!("{title} {name}"),
        None => title.to_owned(),
    }
}

/// Where what is shown is from, where that is neither the primary nor the API that is asked anyway.
fn source(state: &State) -> Option<String> {
    let through_api = databases::reads_from(&state.hosts) == Source::Api;
    if !through_api || state.link(Backend::Api) != LinkState::Down {
        return databases::note(&state.hosts);
    }
    let needs = (find(state.place().view).needs)(state);
    let known = needs.iter().filter_map(|query| state.data.get(query)?.as_of);
    let at = known.min()?;
    Some(format!(
        "nobody answers: as of {}",
        ago(state.by_platform(at), state.shown_at())
    ))
}

fn title(state: &State, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let y = area.y + 1;
    let place = state.place();
    let view = find(place.view);
    let trail: Vec<String> = state.places.iter().map(|place| crumb(state, place)).collect();
    let screen = state.screen();
    let mut notes = Vec::new();
    if !screen.list.q.is_empty() {
        notes.push(fit(&format!("/{}", screen.list.q), usize::from(area.width) / 3));
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
        notes.push(format!("FROZEN since {}", since.format("%H:%M:%SZ")));
    }
    if let Some(starting) = &state.starting {
        notes.push(starting.clone());
    }
    notes.extend(source(state));
    notes.extend(Some(state.wire.words()).filter(|words| !words.is_empty()));
    let running = state
        .runs
        .iter()
        .filter(|run| matches!(run.phase, Phase::Running))
        .count();
    let running = (running > 0).then(|| format!("{running} running"));
    // What must not be overlooked has its room first; where one is, is said by what is left of its end.
    let taken: usize = notes.iter().chain(&running).map(|note| columns(note) + 2).sum();
    let room = usize::from(area.width).saturating_sub(taken + 1);
    let trail = fit_start(&trail.join(" > "), room);
    let mut x = put(buffer, area, area.x + 1, y, &trail, palette.style(Meaning::Title));
    for note in notes {
        x = put(buffer, area, x + 2, y, &note, palette.style(Meaning::Warn));
    }
    if let Some(running) = running {
        put(buffer, area, x + 2, y, &running, palette.style(Meaning::Key));
    }
}

fn footer(state: &State, area: Rect, buffer: &mut Buffer) {
    let palette = palette(state);
    let y = area.bottom() - 1;
    if let Some(toast) = &state.toast {
        let (word, meaning) = match toast.tone {
            Tone::Good => ("ok", Meaning::Good),
            Tone::Plain => ("note", Meaning::Plain),
            Tone::Bad => ("trouble", Meaning::Bad),
        };
        let x = put(
            buffer,
            area,
            area.x + 1,
            y,
            &format!("{word}: "),
            palette.style(meaning),
        );
        put(buffer, area, x, y, &toast.text, palette.style(Meaning::Plain));
        return;
    }
    let mut x = area.x + 1;
    let selected = selected(state);
    for action in actions::ALL {
        let spec = action.spec();
        let ready = state.availability(*action, &selected) == Availability::Ready;
        let key = if ready { Meaning::Key } else { Meaning::Dim };
        let word = if ready { Meaning::Plain } else { Meaning::Dim };
        x = put(
            buffer,
            area,
            x,
            y,
            state.keymap.key_of(Cmd::Start(spec.id)),
            palette.style(key),
        );
        x = put(buffer, area, x + 1, y, spec.id, palette.style(word)) + 2;
    }
    let more: &[(Cmd, &str)] = match state.place().view {
        ViewId::Triage => &[
            (Cmd::Help, "keys"),
            (Cmd::Open, "open"),
            (Cmd::NextPane, "pane"),
            (Cmd::Quit, "quit"),
        ],
        _ => &[
            (Cmd::Help, "keys"),
            (Cmd::Open, "open"),
            (Cmd::Filter, "filter"),
            (Cmd::Back, "back"),
        ],
    };
    for (cmd, what) in more {
        let key = state.keymap.key_of(*cmd);
        // Half a word helps nobody; help has them all.
        let width = u16::try_from(key.len() + 1 + what.len()).unwrap_or(u16::MAX);
        if x.saturating_add(width) > area.right() {
            continue;
        }
        x = put(buffer, area, x, y, key, palette.style(Meaning::Key));
        x = put(buffer, area, x + 1, y, what, palette.style(Meaning::Plain)) + 2;
    }
}
