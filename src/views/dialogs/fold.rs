//! A sheet laid out for the room that there is: what is lost stays whole or is shortened, what scrolls gives way
//! first, and headings count things and not lines.

use super::sheet::{Line, Pinned, Scrolling, Section, Sheet, Thing};
use crate::widgets::theme::Meaning;

/// Lines of what scrolls that are kept in sight while something else can be shortened, its heading among them.
const SCROLLS: usize = 4;
/// Lines of it that stay when nothing else can be shortened.
const LEAST: usize = 2;

/// A sheet that is laid out.
pub(super) struct Folded<'a> {
    above: Vec<Thing<'a>>,
    losses: Option<Pinned<'a>>,
    flow: Flow<'a>,
    in_the_way: Vec<Thing<'a>>,
    below: Vec<Line<'a>>,
    /// Lines of what scrolls that are in sight, the heading at its top among them.
    shown: usize,
    /// Number of sections before the sheet's own.
    moved: usize,
}

impl<'a> Folded<'a> {
    /// Layout of `room` lines: the part that is pinned and the part that scrolls.
    pub(super) fn of(mut sheet: Sheet<'a>, room: usize) -> Self {
        let (at, proof) = std::mem::take(&mut sheet.proof);
        let own = sheet.sections.len();
        let all = pinned(&sheet) + flow(&sheet.sections);
        if all + sheet.losses.first().map_or(0, Pinned::n_lines) + proof.len() <= room
            && at <= sheet.below.len()
        {
            sheet.below.splice(at..at, proof);
        }
        let mut losses = shortened(&mut sheet, room);
        let fits = |sheet: &Sheet<'_>, losses: Option<&Pinned<'_>>| {
            let losses = losses.map_or(0, Pinned::n_lines);
            pinned(sheet) + losses + flow(&sheet.sections).min(LEAST) <= room
        };
        if !fits(&sheet, losses.as_ref())
            && let Some(short) = sheet.short.take()
            && let Some(last) = sheet.kept.checked_sub(1).and_then(|at| sheet.above.get_mut(at))
        {
            let whole = std::mem::replace(last, short);
            sheet.above.push(whole);
        }
        // Paragraphs that have no room above the scrolling part scroll with it, the least weighty first.
        let mut changes = Vec::new();
        while sheet.above.len() > sheet.kept.max(1) && !fits(&sheet, losses.as_ref()) {
            changes.extend(sheet.above.pop());
            if changes.len() == 1 {
                sheet.sections.insert(0, Section::default());
            }
        }
        if let Some(section) = sheet.sections.first_mut().filter(|_| !changes.is_empty()) {
            changes.reverse();
            (section.heading, section.things) = ("changes", changes);
        }
        if !fits(&sheet, losses.as_ref()) && !sheet.in_the_way.is_empty() {
            let things = std::mem::take(&mut sheet.in_the_way);
            let heading = "in the way";
            sheet.sections.insert(0, Section { heading, things });
        }
        if !fits(&sheet, losses.as_ref())
            && let Some(Pinned { things, .. }) = losses.take()
        {
            let heading = "breaks";
            sheet.sections.insert(0, Section { heading, things });
        }
        if !fits(&sheet, losses.as_ref()) && sheet.above.len() > 1 {
            let things = sheet.above.split_off(1);
            let heading = "left out";
            sheet.sections.insert(0, Section { heading, things });
        }
        // Below is what is typed: its end stays.
        let too_many = (pinned(&sheet)).saturating_sub(room);
        sheet.below.drain(..too_many.min(sheet.below.len()));
        let left = pinned(&sheet) + losses.as_ref().map_or(0, Pinned::n_lines);
        let left = room.saturating_sub(left);
        let moved = sheet.sections.len() - own;
        let follows = sheet.follows.map(|thing| (moved, thing));
        let flow = Flow::of(sheet.sections, follows);
        // A heading by itself says nothing.
        let shown = if left < LEAST {
            0
        } else {
            left.min(flow.lines.len())
        };
        Self {
            above: sheet.above,
            losses,
            flow,
            in_the_way: sheet.in_the_way,
            below: sheet.below,
            shown,
            moved,
        }
    }

    /// Limits of scrolling.
    pub(super) fn scrolling(&self) -> Scrolling {
        let before = self
            .flow
            .lines
            .iter()
            .take_while(|line| line.section < self.moved);
        Scrolling {
            most: self.flow.lines.len() - self.shown,
            page: self.shown.saturating_sub(1).max(1),
            own: before.count(),
        }
    }

    /// All lines as they are shown, scrolled by `scroll`.
    pub(super) fn lines(self, scroll: usize) -> Vec<Line<'a>> {
        let most = self.scrolling().most;
        let first = if scroll == 0 {
            self.flow.follows(self.shown)
        } else {
            scroll
        };
        let first = self.flow.past_bare(first.min(most)).min(most);
        let mut all: Vec<Line<'a>> = self.above.into_iter().flatten().collect();
        if let Some(losses) = self.losses {
            all.push(Line::Rule("breaks", losses.more));
            all.extend(losses.things.into_iter().flatten());
        }
        all.extend(self.flow.shown(first, self.shown));
        if !self.in_the_way.is_empty() {
            all.push(Line::Rule("in the way", String::new()));
            all.extend(self.in_the_way.into_iter().flatten());
        }
        all.extend(self.below);
        all
    }
}

/// Lines of what is pinned, without what is lost.
fn pinned(sheet: &Sheet<'_>) -> usize {
    let lines = |things: &[Thing<'_>]| things.iter().map(Vec::len).sum::<usize>();
    let known = match sheet.in_the_way.as_slice() {
        [] => 0,
        known => 1 + lines(known),
    };
    lines(&sheet.above) + known + sheet.below.len()
}

/// Lines of what scrolls, headings among them.
fn flow(sections: &[Section<'_>]) -> usize {
    let lines = |section: &Section<'_>| 1 + section.things.iter().map(Vec::len).sum::<usize>();
    sections.iter().map(lines).sum()
}

/// Losses, in the most lines that there is room for.
fn shortened<'a>(sheet: &mut Sheet<'a>, room: usize) -> Option<Pinned<'a>> {
    let mut losses = std::mem::take(&mut sheet.losses);
    let left = room.saturating_sub(pinned(sheet));
    let flow = flow(&sheet.sections);
    let fits = |kept: usize| {
        let left = left.saturating_sub(flow.min(kept));
        losses.iter().position(|losses| losses.n_lines() <= left)
    };
    let last = losses.len().checked_sub(1)?;
    let at = fits(SCROLLS).or_else(|| fits(LEAST)).unwrap_or(last);
    Some(losses.swap_remove(at))
}

/// A line of what scrolls.
struct FlowLine<'a> {
    section: usize,
    /// Number of the thing in its section; none for the heading.
    thing: Option<usize>,
    line: Option<Line<'a>>,
}

/// The scrolling part, in one row of lines. Its top line is always the heading of the lines below.
struct Flow<'a> {
    lines: Vec<FlowLine<'a>>,
    /// Heading and how many things, by section.
    headings: Vec<(&'static str, usize)>,
    /// The thing that stays in sight, after its section.
    follows: Option<(usize, usize)>,
}

impl<'a> Flow<'a> {
    fn of(sections: Vec<Section<'a>>, follows: Option<(usize, usize)>) -> Self {
        let headings = sections.iter().map(|it| (it.heading, it.things.len())).collect();
        let mut lines = Vec::new();
        for (section, it) in sections.into_iter().enumerate() {
            let (thing, line) = (None, None);
            lines.push(FlowLine { section, thing, line });
            for (thing, all) in it.things.into_iter().enumerate() {
                let thing = Some(thing);
                lines.extend(all.into_iter().map(|line| FlowLine {
                    section,
                    thing,
                    line: Some(line),
                }));
            }
        }
        Self {
            lines,
            headings,
            follows,
        }
    }

    /// Offset at which the followed line is in sight.
    fn follows(&self, shown: usize) -> usize {
        let Some((section, thing)) = self.follows else {
            return 0;
        };
        let is_it = |line: &FlowLine<'_>| line.section == section && line.thing == Some(thing);
        let at = self.lines.iter().rposition(is_it);
        at.map_or(0, |at| (at + 1).saturating_sub(shown))
    }

    /// The same offset, or that of the next heading where that comes right below: the heading at the top would stand
    /// over nothing.
    fn past_bare(&self, first: usize) -> usize {
        let next = self.lines.get(first + 1);
        first + usize::from(next.is_some_and(|line| line.line.is_none()))
    }

    /// The lines in sight.
    fn shown(mut self, first: usize, shown: usize) -> Vec<Line<'a>> {
        if shown == 0 {
            return Vec::new();
        }
        let top = self.note(first, shown);
        let is_bare = shown > 1 && self.lines[first + 1].line.is_none();
        let seen = self.lines.drain(first..first + shown).enumerate();
        let headings = &self.headings;
        seen.map(|(index, line)| {
            let (heading, n) = headings[line.section];
            match line.line {
                _ if index == 0 && is_bare => Line::Text(String::new(), Meaning::Plain),
                _ if index == 0 => Line::Rule(heading, top.clone()),
                Some(line) => line,
                // A heading by itself says nothing: the next page begins with it.
                None if index + 1 == shown => Line::Text(String::new(), Meaning::Plain),
                None => Line::Rule(heading, n.to_string()),
            }
        })
        .collect()
    }

    /// Note of the heading at the top: its things in sight, of how many, and the number out of sight above and below.
    fn note(&self, first: usize, shown: usize) -> String {
        let section = self.lines[first].section;
        let seen = first + 1..first + shown;
        let (mut above, mut below) = (0, 0);
        let (mut from, mut to) = (None, None);
        let mut begin = 0;
        while begin < self.lines.len() {
            let FlowLine {
                section: of, thing, ..
            } = self.lines[begin];
            let same = self.lines[begin..].iter();
            let same = same
                .take_while(|line| (line.section, line.thing) == (of, thing))
                .count();
            let end = begin + same;
            if let Some(thing) = thing {
                let is_whole = seen.start <= begin && end <= seen.end;
                match is_whole {
                    true if of == section => {
                        from = from.or(Some(thing + 1));
                        to = Some(thing + 1);
                    }
                    true => {}
                    false if end > seen.end => below += 1,
                    false => above += 1,
                }
            }
            begin = end;
        }
        let n = self.headings[section].1;
        let here = || {
            self.lines[seen.clone()]
                .iter()
                .find(|line| line.section == section)?
                .thing
        };
        let counted = match (from, to) {
            (Some(1), Some(to)) if to == n => n.to_string(),
            (Some(from), Some(to)) if from == to => format!("{from} of {n}"),
            (Some(from), Some(to)) => format!("{from}-{to} of {n}"),
            _ => here().map_or_else(|| n.to_string(), |thing| format!("{} of {n}", thing + 1)),
        };
        let above = (above > 0).then(|| format!("↑ {above}"));
        let below = (below > 0).then(|| format!("↓ {below}"));
        let parts = [Some(counted), above, below];
        parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(n: usize) -> Vec<Line<'static>> {
        let text = |n: usize| Line::Text(n.to_string(), Meaning::Plain);
        (0..n).map(text).collect()
    }

    fn things(n: usize, lines: usize) -> Vec<Thing<'static>> {
        (0..n).map(|_| texts(lines)).collect()
    }

    fn losses(lines: &[usize]) -> Vec<Pinned<'static>> {
        let pinned = |n: &usize| Pinned {
            things: things(*n, 1),
            more: String::new(),
        };
        lines.iter().map(pinned).collect()
    }

    fn sheet(above: usize, lost: &[usize], scrolls: usize, below: usize) -> Sheet<'static> {
        Sheet {
            above: things(above, 1),
            losses: losses(lost),
            sections: vec![Section {
                heading: "by name",
                things: things(scrolls, 1),
            }],
            in_the_way: things(1, 1),
            below: texts(below),
            ..Sheet::default()
        }
    }

    /// The rules of a laid out sheet with their notes, and how many lines it has.
    fn laid_out(sheet: Sheet<'static>, room: usize, scroll: usize) -> (Vec<String>, usize) {
        let lines = Folded::of(sheet, room).lines(scroll);
        let rules = lines.iter().filter_map(|line| match line {
            Line::Rule(heading, note) => Some(format!("{heading} {note}").trim_end().to_owned()),
            _ => None,
        });
        (rules.collect(), lines.len())
    }

    #[test]
    fn losses_stay_pinned_and_whole_and_are_shortened_before_they_would_scroll() {
        let (rules, n) = laid_out(sheet(3, &[6, 4, 2], 58, 4), 20, 0);
        assert_eq!(rules, ["breaks", "by name 1-3 of 58  ↓ 55", "in the way"]);
        assert_eq!(n, 20);
        // The least of it is pinned even where one name is left.
        let (rules, n) = laid_out(sheet(3, &[6, 4, 2], 58, 4), 14, 0);
        assert_eq!(rules, ["breaks", "by name 1 of 58  ↓ 57", "in the way"]);
        assert_eq!(n, 14);
    }

    #[test]
    fn what_has_no_room_scrolls_under_its_own_heading_and_count() {
        let (rules, _) = laid_out(sheet(4, &[3], 58, 4), 13, 0);
        assert_eq!(rules, ["breaks", "changes 1 of 3  ↓ 60", "in the way"]);
        let (rules, _) = laid_out(sheet(1, &[3], 5, 4), 8, 0);
        assert_eq!(rules, ["breaks 1-2 of 3  ↓ 7"]);
    }

    #[test]
    fn no_heading_is_the_last_line_that_is_in_sight() {
        for room in 10..30 {
            for scroll in 0..70 {
                let lines = Folded::of(sheet(4, &[3], 58, 4), room).lines(scroll);
                let is_rule = |line: &Line<'_>| matches!(line, Line::Rule(..));
                let pairs = lines.windows(2);
                let bare = pairs.filter(|pair| is_rule(&pair[0]) && is_rule(&pair[1]));
                assert_eq!(bare.count(), 0, "{room}, {scroll}");
            }
        }
    }

    #[test]
    fn what_is_kept_gives_way_last() {
        let kept = |room| {
            let sheet = Sheet {
                kept: 2,
                ..sheet(4, &[3], 58, 4)
            };
            let folded = Folded::of(sheet, room);
            (folded.above.len(), folded.scrolling().own)
        };
        assert_eq!(kept(40), (4, 0));
        assert_eq!(kept(14), (2, 3), "two changes and their heading scroll");
        assert_eq!(kept(6).0, 1);
        // In one line where there is no room for all of it, which scrolls.
        let kept = |room| {
            let mut sheet = Sheet {
                kept: 2,
                short: Some(texts(1)),
                ..sheet(3, &[3], 58, 4)
            };
            sheet.above[1] = texts(3);
            let folded = Folded::of(sheet, room);
            (
                folded.above.iter().map(Vec::len).collect::<Vec<_>>(),
                folded.scrolling().own,
            )
        };
        assert_eq!(kept(40), (vec![1, 3, 1], 0));
        assert_eq!(kept(14), (vec![1, 1], 5));
    }

    #[test]
    fn a_page_skips_nothing_and_every_thing_is_reached() {
        for room in 14..40 {
            let folded = || Folded::of(sheet(3, &[6, 2], 58, 4), room);
            let Scrolling { most, page, .. } = folded().scrolling();
            let last_of = |rules: &[String]| -> (usize, usize) {
                let note = rules
                    .iter()
                    .find(|rule| rule.starts_with("by name"))
                    .map_or("", String::as_str);
                let seen = note.split_whitespace().nth(2).unwrap_or_default();
                let (from, to) = seen.split_once('-').unwrap_or((seen, seen));
                (from.parse().unwrap_or(0), to.parse().unwrap_or(0))
            };
            let (mut scroll, mut last) = (0, 0);
            loop {
                let (rules, _) = laid_out(sheet(3, &[6, 2], 58, 4), room, scroll);
                let (from, to) = last_of(&rules);
                assert!(from <= last + 1 && to > last, "{room}: {rules:?} after {last}");
                last = to;
                if scroll >= most {
                    break;
                }
                scroll = (scroll + page).min(most);
            }
            assert_eq!(last, 58, "{room}");
        }
    }

    #[test]
    fn sections_count_their_own_things_and_lines_are_none() {
        let sections = || {
            let one = Section {
                heading: "not proven",
                things: things(1, 9),
            };
            let other = Section {
                heading: "proven",
                things: things(14, 1),
            };
            Sheet {
                sections: vec![one, other],
                ..Sheet::default()
            }
        };
        let (rules, _) = laid_out(sections(), 40, 0);
        assert_eq!(rules, ["not proven 1", "proven 14"]);
        let (rules, _) = laid_out(sections(), 8, 0);
        assert_eq!(rules, ["not proven 1 of 1  ↓ 15"]);
        let (rules, _) = laid_out(sections(), 8, 12);
        assert_eq!(rules, ["proven 3-9 of 14  ↑ 3  ↓ 5"]);
    }

    #[test]
    fn nothing_is_laid_out_beyond_its_room() {
        for room in 1..16 {
            for above in 0..8 {
                for below in 0..6 {
                    let (_, n) = laid_out(sheet(above, &[5, 2], 5, below), room, 0);
                    assert!(n <= room.max(2), "{n} in {room}, {above} above, {below} below");
                }
            }
        }
    }
}
