//! Keys that a hand typed, told from a paste that came without brackets (GNU screen, mosh, serial and IPMI
//! consoles, noVNC send one as bare keys). It reads nothing, and acts on nothing: it says which keys count.
//!
//! A key waits until it is known that no other one came with it. Keys that come together are few, and then
//! they were typed ahead over a link that held them up, or they are a paste: one thing, into the open field
//! or nowhere.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::command_line;
use super::heard::typed_character;
use crate::plan::tier::Ask;
use crate::state::State;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::layer::{Layer, RunLayer};
use crate::state::run::Phase;

/// Two different keys within this time came together. A serial line of 9600 baud has one in 1.04 ms (ten bits
/// each), `xdotool type` one in 12 ms; bursts of fast typists have 15 to 20 a second (50 to 66 ms). A key that
/// is held repeats every 25 to 40 ms, which is why the same key again is not another one.
const TOGETHER: Duration = Duration::from_millis(40);
/// So many different keys that came together are a paste. What people type ahead and a link holds up
/// (`2jjjX`, `/web-01`) is shorter; a line of 9600 baud is there after 17 ms.
const TYPED_AHEAD: usize = 16;
/// An action at the end of keys that came together counts after so many different ones: `2jjjX` has three.
/// A word does not end in an action.
const BEFORE_AN_ACTION: usize = 4;
/// A paste is over when nothing came for so long: mosh sends at least every 250 ms while it has something. That holds
/// behind one in brackets, too: its text may hold the mark of its end, and a link may cut it there.
const PASTE_ENDS: Duration = Duration::from_millis(300);
/// Different keys of a hand are mostly this far apart or more: the fastest typists have 15 a second, and none of
/// them keeps time.
const PACED: Duration = Duration::from_millis(70);
/// Gaps in a row between different keys, each shorter than [`PACED`] and all alike within [`JITTER`], that only a
/// program leaves: a remote console pastes with 48 or 60 ms between keys.
const STEADY: usize = 9;
/// Greatest difference between the gaps that a program leaves.
const JITTER: Duration = Duration::from_millis(15);
/// Gaps shorter than [`PACED`] in a row that no hand leaves, however much they vary: that is 170 words a minute
/// without a pause.
const SUSTAINED: usize = 16;
/// Beginning of a PEM block, which nobody types by hand. The key behind it may come late.
const BEGIN: &str = "-----BEGIN ";
/// A paste that began so is over when nothing came for so long.
const BEGUN_ENDS: Duration = Duration::from_secs(1);
/// A key that comes this soon behind the rest of what was dropped belongs to it.
const REST: Duration = Duration::from_millis(500);
/// Outside of a field nothing counts for so long after a paste: a late rest of it is held up by TCP for 200 ms
/// (its shortest time before it sends again) up to a second.
const DEAF: Duration = Duration::from_secs(1);
/// A `y` confirms after so long a pause: prose has one every twenty letters, and no pauses.
const BEFORE_YES: Duration = Duration::from_millis(500);
/// A `y` confirms when nothing follows it for so long.
const AFTER_YES: Duration = Duration::from_millis(200);
/// A key again within this time is one that is held.
const HELD: Duration = Duration::from_millis(120);
/// What is kept of a paste, in bytes.
const LONGEST: usize = 1024 * 1024;

/// Keys that count, and those that don't.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A key that was typed.
    Key(String),
    /// A paste has begun where no field takes it.
    PasteBegan,
    /// A paste without brackets, whole, and of how many keys it was.
    Paste(Zeroizing<String>, usize),
    /// So many keys in all came with a paste, or after it.
    Late(usize),
    /// Number of keys that came right behind a text that was dropped, since it may be a secret.
    Rest(usize),
    /// Number of keys that came right behind a paste in brackets, whose text may have held the mark of its end.
    Behind(usize),
    /// A key came before the dialog was seen that it would be for now.
    Early,
    /// A key that confirms came too soon after another one, or another one after it.
    Hasty(String),
    /// Keys that act came within others, and so many of what followed them.
    Among(usize),
    /// A line that acts came at once with the key that runs it, and so many keys behind that one.
    AtOnce(usize),
}

/// What a key does, as the screen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// It moves the cursor.
    Moves,
    /// It begins an action.
    Acts,
    /// It is for a field.
    Types,
    /// It carries a plan out by itself.
    Yes,
    /// It takes what is typed to confirm, or a share, or drops the shares that were taken.
    Confirms,
    /// It runs a line that does more than show something else.
    Runs,
    /// Anything else.
    Other,
}

struct Held {
    key: Zeroizing<String>,
    at: Instant,
    /// How long nothing had come before it.
    pause: Duration,
    /// It is the key before once more, so soon that it is being held.
    again: bool,
    /// Number of times that it came again while it waited.
    repeats: usize,
    /// It came together with the one before.
    together: bool,
    /// It came after a paste, too soon.
    late: bool,
    /// The run whose dialog heard keys when it came.
    listening: Option<String>,
}

/// A paste that goes on.
struct Paste {
    text: Zeroizing<String>,
    keys: usize,
    told: bool,
    /// Silence after which it is over.
    ends: Duration,
}

/// Different keys in a row, none of them together with another, with less between them than hands leave.
#[derive(Default)]
struct Paced {
    gaps: usize,
    shortest: Duration,
    longest: Duration,
}

/// Keys that come until then don't count.
#[derive(Clone, Copy)]
struct Deaf {
    until: Instant,
    behind: Behind,
}

/// Kind of what keys are the rest of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// A paste of bare keys: in a field they count.
    Bare,
    /// A paste in brackets.
    Brackets,
    /// A text that was dropped, since it may be a secret.
    Dropped,
}

impl Behind {
    /// Silence after which keys count again.
    fn silence(self) -> Duration {
        match self {
            Self::Bare | Self::Dropped => DEAF,
            Self::Brackets => PASTE_ENDS,
        }
    }
}

impl Deaf {
    /// True if a key that comes `pause` after the one before goes on with what it is behind. Of bare keys a single one is
    /// a person who waits for the end.
    fn goes_on(self, pause: Duration) -> bool {
        pause < TOGETHER || self.behind != Behind::Bare && pause < REST
    }
}

/// What has been typed and does not count yet.
#[derive(Default)]
pub struct Hand {
    waiting: VecDeque<Held>,
    /// The newest key and when it came.
    last: Option<(Zeroizing<String>, Instant)>,
    /// The newest key that was given, and whether the next one may still belong to it.
    given: Option<Zeroizing<String>>,
    /// How many different keys came together, the newest among them.
    different: usize,
    /// How many keys came together.
    together: usize,
    paced: Paced,
    /// The newest characters, as many as [`BEGIN`] has.
    tail: Zeroizing<String>,
    paste: Option<Paste>,
    deaf: Option<Deaf>,
    /// How many keys that act came within the newest ones that came together.
    among: usize,
    /// Number of the keys that came together with the one that would have run a line, from that one on.
    at_once: usize,
    /// How many keys came while that was so, the paste's among them.
    late: usize,
}

impl Hand {
    /// A key came. What counts of it is given by [`Self::next`].
    pub fn hear(&mut self, at: Instant, key: &str, listening: Option<String>) {
        let before = self.last.as_ref();
        let pause = before.map_or(Duration::MAX, |(_, before)| at.saturating_duration_since(*before));
        let same = before.is_some_and(|(before, _)| before.as_str() == key);
        let together = pause < TOGETHER;
        self.last = Some((Zeroizing::new(key.to_owned()), at));
        if let Some(paste) = &mut self.paste {
            paste.take(key);
            return;
        }
        if !together {
            (self.different, self.together) = (0, 0);
        }
        self.together += 1;
        if !same || !together {
            self.different += 1;
        }
        let deaf = self.deaf.filter(|deaf| at < deaf.until);
        let late = deaf.is_some();
        let is_rest = deaf.is_some_and(|deaf| deaf.behind != Behind::Bare);
        if let Some(deaf) = deaf.filter(|deaf| deaf.goes_on(pause)) {
            let until = at + deaf.behind.silence();
            self.deaf = Some(Deaf { until, ..deaf });
        }
        self.paced.note(pause, same);
        let begins = self.begins(key, pause);
        self.waiting.push_back(Held {
            key: Zeroizing::new(key.to_owned()),
            at,
            pause,
            again: same && pause < HELD,
            repeats: 0,
            together,
            late,
            listening,
        });
        if !is_rest && (self.different > TYPED_AHEAD || self.paced.is_no_hand() || begins) {
            let mut paste = Paste {
                text: Zeroizing::new(String::with_capacity(4096)),
                // Those that moved the cursor are gone already.
                keys: self.together.saturating_sub(self.waiting.len()),
                told: false,
                ends: if begins { BEGUN_ENDS } else { PASTE_ENDS },
            };
            self.paced = Paced::default();
            self.waiting.drain(..).for_each(|held| paste.take(&held.key));
            self.paste = Some(paste);
        }
    }

    /// The next that counts, or doesn't, as of `now`; nothing while it isn't known yet. Each is carried out
    /// before the next is asked for, since it may open a field.
    pub fn next(&mut self, now: Instant, state: &State) -> Option<Heard> {
        let (_, newest) = self.last.as_ref()?;
        let silent = now.saturating_duration_since(*newest);
        if let Some(paste) = &mut self.paste {
            if silent < paste.ends {
                let tells = !paste.told && !has_field(state);
                paste.told |= tells;
                return tells.then_some(Heard::PasteBegan);
            }
            let paste = self.paste.take()?;
            self.late = paste.keys;
            if !has_field(state) {
                self.deaf = Some(Deaf {
                    until: *newest + DEAF,
                    behind: Behind::Bare,
                });
            }
            self.given = None;
            return Some(Heard::Paste(paste.text, paste.keys));
        }
        let held = self.waiting.front()?;
        let behind = self.deaf.map(|deaf| deaf.behind);
        let is_everywhere = behind.is_some_and(|behind| behind != Behind::Bare);
        if held.late && (is_everywhere || !has_field(state)) {
            let n = self.waiting.iter().take_while(|held| held.late).count();
            self.waiting.drain(..n);
            self.late += n;
            return Some(match behind {
                Some(Behind::Dropped) => Heard::Rest(self.late),
                Some(Behind::Brackets) => Heard::Behind(self.late),
                Some(Behind::Bare) | None => Heard::Late(self.late),
            });
        }
        let does = does(state, &held.key);
        let is_given_again = held.again && self.given.as_ref().is_some_and(|given| *given == held.key);
        let at_once = match does {
            Does::Moves => true,
            // Held down: the first of it has waited.
            Does::Types | Does::Runs | Does::Other => is_given_again,
            Does::Acts | Does::Yes | Does::Confirms => false,
        };
        if does == Does::Acts {
            // A key that is held down is pressed once.
            while self.waiting.get(1).is_some_and(|next| next.again) {
                self.waiting.remove(1);
                if let Some(first) = self.waiting.front_mut() {
                    first.repeats += 1;
                }
            }
        }
        let held = self.waiting.front()?;
        let silent = match self.waiting.len() {
            1 if does == Does::Acts => now.saturating_duration_since(held.at),
            _ => silent,
        };
        let follows = self.waiting.get(1).map(|next| next.at);
        let wait = if does == Does::Yes { AFTER_YES } else { TOGETHER };
        if !at_once && follows.is_none_or(|next| next < held.at + wait) && silent < wait {
            return None;
        }
        let held = self.waiting.pop_front()?;
        let is_followed = follows.is_some_and(|next| next < held.at + wait);
        if !held.together {
            (self.among, self.at_once) = (0, 0);
        }
        let heard = match does {
            Does::Acts if is_given_again => return self.next(now, state),
            _ if is_early(state, &held) => Heard::Early,
            Does::Acts if is_followed || (held.together && self.different > BEFORE_AN_ACTION) => {
                self.among += 1 + held.repeats;
                Heard::Among(self.among)
            }
            // Keys that come at once, and as few as are typed ahead, may still be a paste.
            Does::Runs if held.together => {
                self.at_once += 1;
                Heard::AtOnce(self.at_once - 1)
            }
            Does::Types if self.at_once > 0 => {
                self.at_once += 1;
                Heard::AtOnce(self.at_once - 1)
            }
            // A key behind a dropped one was typed for the dialog that that one would have opened.
            Does::Other if self.among > 0 && state.layers.is_empty() => {
                self.among += 1;
                Heard::Among(self.among)
            }
            Does::Yes if is_followed || held.pause < BEFORE_YES => Heard::Hasty(held.key.to_string()),
            Does::Confirms if is_followed || held.together => Heard::Hasty(held.key.to_string()),
            _ => Heard::Key(held.key.to_string()),
        };
        self.given = Some(held.key);
        Some(heard)
    }

    /// When to ask again though no key came; nothing if nothing waits.
    #[must_use]
    pub fn wake(&self, state: &State) -> Option<Instant> {
        let (_, newest) = self.last.as_ref()?;
        if let Some(paste) = &self.paste {
            return Some(*newest + paste.ends);
        }
        let held = self.waiting.front()?;
        let wait = if does(state, &held.key) == Does::Yes {
            AFTER_YES
        } else {
            TOGETHER
        };
        Some(*newest + wait)
    }

    /// Whether keys came of which it isn't known yet whether they count.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.paste.is_some() || !self.waiting.is_empty()
    }

    /// What was pasted must not get into a field either, nor what still comes of it.
    pub fn stay_deaf(&mut self, now: Instant) {
        self.stay_deaf_behind(Behind::Dropped, now);
        self.drop_waiting();
    }

    fn stay_deaf_behind(&mut self, behind: Behind, at: Instant) {
        let until = at + behind.silence();
        let longer = self.deaf.filter(|deaf| deaf.until > until);
        // Nothing makes the time after a secret shorter.
        if longer.is_none_or(|deaf| deaf.behind != Behind::Dropped) {
            let until = longer.map_or(until, |deaf| deaf.until);
            self.deaf = Some(Deaf { until, behind });
            self.late = 0;
        }
    }

    fn drop_waiting(&mut self) {
        for held in &mut self.waiting {
            held.late = true;
        }
    }

    /// True if this key completes the beginning of a PEM block.
    fn begins(&mut self, key: &str, pause: Duration) -> bool {
        if pause > 2 * BEGUN_ENDS {
            self.tail.clear();
        }
        let Some(c) = typed_character(key) else {
            self.tail.clear();
            return false;
        };
        if self.tail.chars().count() >= BEGIN.len() {
            self.tail.remove(0);
        }
        self.tail.push(c);
        self.tail.as_str() == BEGIN
    }

    /// A paste in brackets came: what comes right behind it is no hand's, but its rest, behind a mark of the end that
    /// it held itself.
    pub fn heard_paste(&mut self, at: Instant) {
        self.last = Some((Zeroizing::default(), at));
        self.stay_deaf_behind(Behind::Brackets, at);
    }

    /// The mark of a paste's end came outside of one: what waits is the rest of a paste that held such a mark.
    pub fn heard_end(&mut self, at: Instant) {
        self.heard_paste(at);
        self.drop_waiting();
    }

    /// Nothing that was typed counts any more, as after the program was stopped.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Paced {
    /// A key came after this pause; the same one as before says nothing.
    fn note(&mut self, pause: Duration, same: bool) {
        if pause >= PACED {
            *self = Self::default();
        } else if pause >= TOGETHER && !same {
            self.shortest = if self.gaps == 0 {
                pause
            } else {
                self.shortest.min(pause)
            };
            self.longest = self.longest.max(pause);
            self.gaps += 1;
        }
    }

    fn is_no_hand(&self) -> bool {
        self.gaps >= SUSTAINED || self.gaps >= STEADY && self.longest - self.shortest <= JITTER
    }
}

impl Paste {
    fn take(&mut self, key: &str) {
        self.keys += 1;
        if self.text.len() + 4 >= LONGEST {
            return;
        }
        let typed = match key {
            "enter" | "ctrl-j" => Some('\n'),
            "tab" => Some('\t'),
            key => typed_character(key),
        };
        let Some(typed) = typed else { return };
        // Room beforehand: a text that moves leaves what it held behind.
        if self.text.len() + typed.len_utf8() > self.text.capacity() {
            let mut roomy = Zeroizing::new(String::with_capacity(self.text.capacity() * 2));
            roomy.push_str(&self.text);
            self.text = roomy;
        }
        self.text.push(typed);
    }
}

/// Whether what is typed now goes into a field.
#[must_use]
pub fn has_field(state: &State) -> bool {
    match state.layers.last() {
        Some(Layer::Filter(_) | Layer::CommandLine(_)) => true,
        Some(Layer::Run(layer)) => is_typed_into(state, layer),
        Some(Layer::Help { .. } | Layer::Menu(_) | Layer::NoFilter) | None => false,
    }
}

fn is_typed_into(state: &State, layer: &RunLayer) -> bool {
    let Some(run) = state.run(&layer.run).filter(|_| layer.hears()) else {
        return false;
    };
    match (&run.phase, &run.plan) {
        (Phase::Planned, Some(plan)) => {
            layer.focus > 0 || matches!(plan.asks(state.context.for_plans()), Ask::Type(_))
        }
        _ => run.wants_secret(),
    }
}

fn does(state: &State, key: &str) -> Does {
    let Some(layer) = state.layers.last() else {
        return match state.keymap.lookup(key) {
            Some(Cmd::Start(_)) => Does::Acts,
            Some(Cmd::Down | Cmd::Up | Cmd::HalfDown | Cmd::HalfUp | Cmd::NextPane | Cmd::PreviousPane) => {
                Does::Moves
            }
            _ => Does::Other,
        };
    };
    let is = state.keymap.in_dialog(key);
    let confirms = matches!(is, Some(InDialog::Confirm | InDialog::Reset));
    match layer {
        Layer::CommandLine(_) if is == Some(InDialog::Confirm) && command_line::would_act(state) => {
            Does::Runs
        }
        Layer::Filter(_) | Layer::NoFilter | Layer::CommandLine(_) => Does::Types,
        Layer::Run(layer) if has_field(state) && confirms && layer.focus == 0 => Does::Confirms,
        Layer::Run(_) if has_field(state) => Does::Types,
        Layer::Run(layer) if key == "y" && asks_yes(state, layer) => Does::Yes,
        Layer::Run(layer) if is == Some(InDialog::Retry) && has_ended(state, layer) => Does::Acts,
        _ if matches!(is, Some(InDialog::Next | InDialog::Previous)) => Does::Moves,
        _ => Does::Other,
    }
}

/// Whether a key came before the dialog was seen that would take it as something typed for it.
fn is_early(state: &State, held: &Held) -> bool {
    let Some(Layer::Run(layer)) = state.layers.last() else {
        return false;
    };
    let counts = matches!(does(state, &held.key), Does::Yes | Does::Confirms | Does::Types);
    let closes = state.keymap.in_dialog(&held.key) == Some(InDialog::Close);
    counts && !closes && held.listening.as_ref() != Some(&layer.run)
}

fn has_ended(state: &State, layer: &RunLayer) -> bool {
    let run = state.run(&layer.run);
    run.is_some_and(|run| matches!(run.phase, Phase::Ended(_)))
}

fn asks_yes(state: &State, layer: &RunLayer) -> bool {
    let Some(run) = state.run(&layer.run).filter(|run| run.phase == Phase::Planned) else {
        return false;
    };
    let asks = run.plan.as_ref().map(|plan| plan.asks(state.context.for_plans()));
    layer.hears() && asks == Some(Ask::Yes)
}
