//! The strip of triage: what there is to say of the finding where the cursor rests, whole, and what to press.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::times::with_distance;
use super::triage::{VIEW, answer, id, opens, with_names};
use super::{freshness, palette};
use crate::domain::finding::{Finding, FindingKind};
use crate::state::State;
use crate::state::cmd::Cmd;
use crate::state::own_findings::is_of_now;
use crate::state::query::Query;
use crate::widgets::heading::heading;
use crate::widgets::text::{put, wrap};
use crate::widgets::theme::Meaning;

/// See the module.
pub(super) struct Strip<'a> {
    title: String,
    note: String,
    words: String,
    keys: Vec<(&'a str, &'static str)>,
}

/// The strip of the finding where the cursor rests.
pub(super) fn of<'a>(state: &'a State, findings: &[Finding]) -> Option<Strip<'a>> {
    let screen = state.screen();
    let settled = screen.settled.as_ref().filter(|_| screen.pane == 0);
    let settled = settled.and_then(|settled| findings.iter().position(|it| id(it) == *settled));
    let at = settled.unwrap_or_else(|| screen.cursor_index(0, (VIEW.rows)(state, 0).ids()));
    let finding = findings.get(at)?;
    let from = match is_of_now(state, finding.kind) {
        true => String::new(),
        false => freshness(state, state.data.get(&Query::Findings)),
    };
    let note = format!("{from}  {} of {}", at + 1, findings.len());
    let open_key = state.keymap.key_of(Cmd::Open);
    let open = opens(finding, state).map(|_| (open_key, "opens it"));
    let related = (state.keymap.key_of(Cmd::Related), "go to…");
    let answer = answer(finding, state).filter(|(key, _)| *key != open_key);
    Some(Strip {
        title: format!("{}: {}", finding.subject, finding.matter),
        note: note.trim_start().to_owned(),
        words: words(finding, state),
        keys: answer.into_iter().chain(open).chain([related]).collect(),
    })
}

/// Its sentence, and when it is due.
fn words(finding: &Finding, state: &State) -> String {
    let now = state.shown_at();
    let what = with_names(finding, &finding.what);
    let Some(due) = finding.due else {
        let since = finding.since.filter(|_| finding.kind == FindingKind::NotServed);
        return match since {
            Some(at) => format!("{what}. Since {}.", with_distance(at, state)),
            None => format!("{what}."),
        };
    };
    match due_words(finding.kind, due > now) {
        Some(is) => format!("{what}. {is} {}.", with_distance(due, state)),
        None => format!("{what}."),
    }
}

/// Words before the time of a finding of this kind, where it says more than its sentence does.
fn due_words(kind: FindingKind, is_to_come: bool) -> Option<&'static str> {
    Some(match (kind, is_to_come) {
        (FindingKind::RequestStuck, true) => "It is tried again",
        (FindingKind::RequestStuck, false) => "It was to be tried again",
        (FindingKind::CompromisedKeyInUse | FindingKind::CompromisedNotRevoked, _) => {
            "Its key counts as compromised since"
        }
        (FindingKind::RevokedInUse, _) => "Its revocation was asked for",
        (FindingKind::RenewalAsked, true) => "That is to be done by",
        (FindingKind::RenewalAsked, false) => "That was to be done by",
        (ends, is_to_come) if has_an_end(ends) => match is_to_come {
            true => "It ends",
            false => "It ended",
        },
        _ => return None,
    })
}

/// True if the time of such a finding is the end of what it is about.
fn has_an_end(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::ExpiredInUse
            | FindingKind::ExpiringInUse
            | FindingKind::NotServed
            | FindingKind::ChainIncomplete
    )
}

impl Strip<'_> {
    /// Its sentence as it is wrapped on a screen of this width.
    pub(super) fn lines(&self, width: u16) -> Vec<String> {
        wrap(&self.words, usize::from(width.saturating_sub(2)))
    }

    pub(super) fn draw(&self, state: &State, area: Rect, buffer: &mut Buffer) {
        if area.height < 2 {
            return;
        }
        let palette = palette(state);
        let note = (self.note.as_str(), Meaning::Dim);
        let inner = heading(buffer, area, palette, &self.title, note, false);
        let mut lines = self.lines(area.width);
        let room = usize::from(inner.height.saturating_sub(1));
        if lines.len() > room {
            lines.truncate(room);
            if let Some(last) = lines.last_mut() {
                last.push('…');
            }
        }
        for (y, line) in (inner.y..inner.bottom()).zip(&lines) {
            put(buffer, inner, inner.x + 1, y, line, palette.style(Meaning::Plain));
        }
        let y = inner.bottom().saturating_sub(1);
        let mut x = inner.x + 1;
        for (key, word) in &self.keys {
            x = put(buffer, inner, x, y, key, palette.style(Meaning::Key));
            x = put(buffer, inner, x + 1, y, word, palette.style(Meaning::Plain)) + 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_is_told_to_have_ended() {
        for is_to_come in [true, false] {
            assert_eq!(due_words(FindingKind::RevocationNotListed, is_to_come), None);
        }
        assert_eq!(due_words(FindingKind::ExpiredInUse, false), Some("It ended"));
        assert_eq!(due_words(FindingKind::ExpiringInUse, true), Some("It ends"));
        assert_eq!(due_words(FindingKind::NotServed, true), Some("It ends"));
    }
}
