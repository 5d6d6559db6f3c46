//! The console's loop: one ordered channel of events into `update`, effects out to tasks, and a frame
//! written when what is on screen changed. The loop owns no I/O but the terminal and awaits no backend.

mod asking;
pub mod backends;
mod clipboard;
mod clues;
mod command_line;
mod cursor;
mod databases;
mod decode;
pub mod defects;
mod dialogs;
pub mod effects;
pub mod entry;
mod exporting;
pub mod hand;
pub mod heard;
pub mod input;
mod layers;
mod leaving;
mod links;
mod lists;
mod live_filter;
mod logs;
mod menu;
pub mod neighbours;
mod outbox;
mod pace;
pub mod painter;
mod rests;
mod run_told;
pub mod saved_views;
mod shares;
mod snapshot;
mod source;
mod starting;
mod stream;
pub mod terminal;
mod together;
mod trouble;
pub mod update;
mod verify;
mod wants;
mod wiped;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Timelike;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::console::{Context, SlowLink};
use crate::plan::guard::Guard;
use crate::state::contexts::Configured;
use crate::state::effect::Effect;
use crate::state::event::{Event, Ignored, Timed};
use crate::state::keymap::Keymap;
use crate::state::snapshot::Snapshot;
use crate::state::{ContextInfo, Look, State};
use crate::views;

use backends::Backends;
use clipboard::Through;
use effects::{Effects, hear_of_agents};
use entry::Entry;
use heard::{Input, Packet};
use neighbours::Neighbours;
use outbox::{Outlet, is_written};
use pace::Pace;
use terminal::{Terminal, TerminalError};
use update::update;

/// Events that may wait.
const WAITING: usize = 1024;
/// Packets of what is typed that are taken at once: a long paste must not keep the rest waiting.
const AT_ONCE: usize = 16;
/// Before it is looked again for what the terminal has sent and nobody has read.
const UNREAD: Duration = Duration::from_millis(1);
/// The file with the saved views, in the state directory.
const VIEWS: &str = "views.json";
/// How long the terminal has for its last answer when the console leaves it.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// How long runs that are broken off have for their record when the person quits.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);
/// Time for runs that are broken off when the terminal is gone: the program is to be gone within a second.
const HUNG_UP_LIMIT: Duration = Duration::from_millis(500);

/// What a console is opened with.
pub struct Setup {
    /// Which environment.
    pub context: ContextInfo,
    /// Whether changes are allowed.
    pub guard: Guard,
    /// What is still being started, in words.
    pub starting: Option<String>,
    /// What keys mean.
    pub keymap: Keymap,
    /// How it looks.
    pub look: Look,
    /// When the link to the terminal is taken for slow.
    pub slow_link: SlowLink,
    /// The contexts that one can go on in, by name, the open one among them; none for the demo.
    pub contexts: BTreeMap<String, Context>,
    /// Where saved views are kept.
    pub state_dir: PathBuf,
    /// The file that what is known is kept in, for when nobody answers; none where there is nothing to come
    /// back to.
    pub snapshot: Option<PathBuf>,
}

/// What comes from whoever starts the backends.
pub enum Startup {
    /// They are up: these are their clients, and where the demo keeps its unseal shares.
    Connected(Box<Backends>, Option<String>),
    /// They can't be started, and why.
    Failed(String),
}

/// Runs a console until the person quits or the terminal is gone. The first frame is on screen before
/// anything is awaited; `startup` tells when the backends are there.
///
/// # Errors
/// That the terminal went away, or that the backends can't be started.
pub async fn run(
    terminal: &mut Terminal,
    setup: Setup,
    clock: Clock,
    startup: mpsc::Receiver<Startup>,
) -> Result<Left, ConsoleError> {
    let (to, events) = mpsc::channel::<Event>(WAITING);
    let neighbours = Neighbours::new(setup.contexts.clone(), clock.clone());
    let mut effects = Effects::new(
        to,
        setup.state_dir.join(VIEWS),
        setup.snapshot.clone(),
        neighbours,
    );
    let ended = until_left(terminal, setup, clock, startup, events, &mut effects).await;
    // A person who quits waits for the record; a terminal that is gone waits for nothing.
    let limit = match ended {
        Ok(Left::Quit | Left::Context(_)) => LEAVE_LIMIT,
        Ok(Left::HungUp) | Err(_) => HUNG_UP_LIMIT,
    };
    effects.leave(limit).await;
    ended
}

/// How a console was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// By a key.
    Quit,
    /// To go on in another context.
    Context(String),
    /// The terminal is gone, or the program was told to end.
    HungUp,
}

/// A cursor rests when no key came for so long: only then bar and strip follow it.
const RESTS: Duration = Duration::from_millis(150);

/// Typing counts as paused after so long: longer than a hand takes from one letter to the next.
const PAUSES: Duration = Duration::from_millis(350);

async fn until_left(
    terminal: &mut Terminal,
    setup: Setup,
    clock: Clock,
    mut startup: mpsc::Receiver<Startup>,
    mut events: mpsc::Receiver<Event>,
    effects: &mut Effects,
) -> Result<Left, ConsoleError> {
    let mut state = State::new(setup.context, terminal.size(), clock.now());
    state.keymap = setup.keymap;
    state.guard = setup.guard;
    state.look = setup.look;
    state.contexts = setup.contexts.iter().map(configured).collect();
    state.saved = saved_views::load(&setup.state_dir.join(VIEWS));
    state.starting = setup.starting.or_else(|| Some("connecting".to_owned()));
    if let Some(path) = &setup.snapshot {
        state.keeps_snapshot = true;
        snapshot::load(path).show(&mut state);
    }
    let mut pace = Pace::new(setup.slow_link, Through::here() != Through::Nothing);
    state.wire = pace.wire();
    paint(&mut state, terminal, &mut pace)?;

    let mut outlet = terminal.outlet();
    let mut inputs = terminal.listen().map_err(TerminalError::from)?;
    let mut entry = Entry::default();
    let mut asked = Vec::new();
    let mut minute = tokio::time::interval_at(next_minute(&clock), Duration::from_mins(1));
    minute.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut signals = Signals::new().map_err(TerminalError::from)?;
    let mut waits_for_startup = true;
    let mut hung_up = false;
    // A frame that is wanted, and whether by a key.
    let mut wanted: Option<bool> = None;
    // When the cursor counts as resting.
    let mut rests: Option<Instant> = None;
    let mut moves = state.moves;
    // The moment at which typing a filter counts as paused.
    let mut pauses: Option<Instant> = None;
    let mut typings = state.typings;
    while !state.quit {
        let typed = entry.wake(&state).map(|at| match input::is_pending() {
            true => at.max(Instant::now() + UNREAD),
            false => at,
        });
        let wake = pace.wake(wanted).into_iter().chain(typed).min();
        let relock = relock_at(&state, &clock);
        let packet = tokio::select! {
            biased;
            signal = signals.any() => match signal {
                Heard::End => Some(Packet::of(Input::HangUp)),
                Heard::Resized => Some(Packet::of(Input::Resize(terminal.size()))),
                Heard::Stop => {
                    answers_are_in(&mut pace, &mut inputs, &mut outlet).await;
                    terminal.stop().map_err(TerminalError::from)?;
                    None
                }
                Heard::Continued => {
                    terminal.take_back().map_err(TerminalError::from)?;
                    pace.forget();
                    entry.forget();
                    wanted = Some(true);
                    // While it was stopped, somebody else was told of a new size.
                    Some(Packet::of(Input::Resize(terminal.size())))
                }
            },
            told = outlet.changed() => {
                let outlet = *outlet.borrow_and_update();
                match outlet {
                    Outlet::Written if told.is_ok() => {
                        if is_written() {
                            pace.written();
                        }
                        None
                    }
                    _ => Some(Packet::of(Input::HangUp)),
                }
            },
            packet = inputs.recv() => Some(packet.unwrap_or_else(|| Packet::of(Input::HangUp))),
            Some(event) = events.recv() => {
                let visible = tell(&mut state, &clock, event, &mut asked);
                wanted = wanted.or(visible.then_some(false));
                None
            },
            startup = startup.recv(), if waits_for_startup => {
                waits_for_startup = false;
                match startup {
                    Some(Startup::Connected(backends, shares_in)) => {
                        let vault = backends.reads.vault.as_ref();
                        state.context.vault = vault.map(|vault| vault.address().to_owned());
                        state.context.api = backends.reads.api.base().to_owned();
                        state.context.shares_in = shares_in;
                        state.context.proxies = backends.proxies();
                        let answers = state.data.values().filter_map(|loaded| loaded.value.as_ref());
                        answers.for_each(|answer| hear_of_agents(&backends, answer));
                        effects.connect(*backends);
                        let visible = tell(&mut state, &clock, Event::Starting(None), &mut asked);
                        wanted = wanted.or(visible.then_some(false));
                    }
                    Some(Startup::Failed(why)) => return Err(ConsoleError::Startup(why)),
                    None => {}
                }
                None
            },
            report = defects::next() => {
                let event = Event::Defect(report.display().to_string());
                let visible = tell(&mut state, &clock, event, &mut asked);
                wanted = wanted.or(visible.then_some(false));
                None
            },
            _ = minute.tick() => {
                let visible = tell(&mut state, &clock, Event::Minute, &mut asked);
                wanted = wanted.or(visible.then_some(false));
                None
            },
            () = sleep_until(rests), if rests.is_some() => {
                rests = None;
                let visible = tell(&mut state, &clock, Event::Rested, &mut asked);
                wanted = wanted.or(visible.then_some(false));
                None
            },
            () = sleep_until(pauses), if pauses.is_some() => {
                pauses = None;
                let visible = tell(&mut state, &clock, Event::TypingPaused, &mut asked);
                wanted = wanted.or(visible.then_some(false));
                None
            },
            () = sleep_until(relock), if relock.is_some() => {
                let visible = tell(&mut state, &clock, Event::Relocked, &mut asked);
                wanted = wanted.or(visible.then_some(false));
                None
            },
            () = sleep_until(wake), if wake.is_some() => None,
        };
        // What has come meanwhile goes into the same frame. Keys too (a dialog that is not on screen
        // doesn't hear them), but only until one wants something done: a secret is handed over before
        // the next character of another one is heard.
        let mut next = packet;
        for _ in 0..AT_ONCE {
            let Some(packet) = next.take() else { break };
            for input in packet.inputs {
                match input {
                    Input::Answered(mark) => {
                        if let Some(n) = pace.answered(Instant::now(), mark) {
                            tell(&mut state, &clock, Event::Seen(n), &mut asked);
                            if state.wire != pace.wire() {
                                let visible = tell(&mut state, &clock, Event::Wire(pace.wire()), &mut asked);
                                wanted = wanted.or(visible.then_some(false));
                            }
                        }
                    }
                    input => {
                        hung_up |= input == Input::HangUp;
                        if matches!(input, Input::Resize(_)) {
                            // Of several sizes only the last may be heard of, which may be the one before:
                            // what the terminal kept of the screen is not known.
                            terminal.painter().forget();
                            wanted = Some(true);
                        }
                        entry.hear(packet.at, input, &state);
                    }
                }
            }
            if asked.is_empty() {
                type_in(&mut entry, packet.at, &mut state, &clock, &mut asked, &mut wanted);
            }
            if asked.is_empty() {
                next = inputs.try_recv().ok();
            }
        }
        // Whether a key came alone is known only when nothing else is on its way.
        if asked.is_empty() && inputs.is_empty() && !input::is_pending() {
            type_in(
                &mut entry,
                Instant::now(),
                &mut state,
                &clock,
                &mut asked,
                &mut wanted,
            );
        }
        if moves != state.moves {
            moves = state.moves;
            rests = Some(Instant::now() + RESTS);
        }
        if typings != state.typings {
            typings = state.typings;
            pauses = Some(Instant::now() + PAUSES);
        }
        while let Ok(event) = events.try_recv() {
            let visible = tell(&mut state, &clock, event, &mut asked);
            wanted = wanted.or(visible.then_some(false));
        }
        for effect in std::mem::take(&mut asked) {
            match effects.carry_out(effect) {
                Some(Effect::Copy(text)) => terminal.copy(&text).map_err(TerminalError::from)?,
                Some(Effect::Suspend) => Terminal::ask_to_stop().map_err(TerminalError::from)?,
                Some(Effect::TakeShare(at)) => {
                    let path = PathBuf::from(state.context.shares_in.clone().unwrap_or_default());
                    let event = entry.take_share(shares::take(&path, at));
                    let visible = tell(&mut state, &clock, event, &mut Vec::new());
                    wanted = wanted.or(visible.then_some(true));
                }
                Some(Effect::SubmitSecret(run)) => match entry.take_secret() {
                    Some(share) => effects.submit(&run, share),
                    None => {
                        let refused = Event::KeysIgnored(0, Ignored::NotSent);
                        let visible = tell(&mut state, &clock, refused, &mut Vec::new());
                        wanted = wanted.or(visible.then_some(true));
                    }
                },
                _ => {}
            }
        }
        entry.settle(&state);
        if let Some(n) = pace.seen_by_time(Instant::now()) {
            tell(&mut state, &clock, Event::Seen(n), &mut asked);
        }
        if let Some(by_key) = wanted
            && pace.is_ready(Instant::now(), by_key)
        {
            wanted = None;
            let (n, is_seen) = match paint(&mut state, terminal, &mut pace)? {
                Some(n) => (n, false),
                // It is on the screen already, or on its way.
                None => (pace.newest(), pace.is_seen()),
            };
            tell(&mut state, &clock, Event::Painted(n), &mut asked);
            if is_seen {
                tell(&mut state, &clock, Event::Seen(n), &mut asked);
            }
        }
        for effect in std::mem::take(&mut asked) {
            effects.carry_out(effect);
        }
    }
    if state.keeps_snapshot {
        effects.keep_last(Snapshot::of(&state)).await;
    }
    if !hung_up {
        answers_are_in(&mut pace, &mut inputs, &mut outlet).await;
    }
    terminal.listen_later(inputs);
    Ok(match (hung_up, state.next_context) {
        (true, _) => Left::HungUp,
        (false, Some(name)) => Left::Context(name),
        (false, None) => Left::Quit,
    })
}

/// What is shown of a context without asking.
fn configured((name, context): (&String, &Context)) -> Configured {
    Configured {
        name: name.clone(),
        protected: context.protected,
        read_only: context.read_only,
        api: context.api.clone(),
        vault: context.vault.clone(),
    }
}

/// When the context is to be locked again.
fn relock_at(state: &State, clock: &Clock) -> Option<Instant> {
    let Guard::Protected(Some(unlocked)) = &state.guard else {
        return None;
    };
    // A moment more, so that it is over by then.
    let left = (unlocked.until - clock.now()).to_std().unwrap_or_default();
    Some(Instant::now() + left + Duration::from_millis(1))
}

fn tell(state: &mut State, clock: &Clock, event: Event, asked: &mut Vec<Effect>) -> bool {
    let at = clock.now();
    update(state, Timed { at, event }, asked)
}

/// Tells what was typed as of `now`, until something is to be done about it: a secret is handed over before the
/// next character of another one is heard.
fn type_in(
    entry: &mut Entry,
    now: Instant,
    state: &mut State,
    clock: &Clock,
    asked: &mut Vec<Effect>,
    wanted: &mut Option<bool>,
) {
    while asked.is_empty()
        && let Some(event) = entry.next(now, state)
    {
        if tell(state, clock, event, asked) {
            *wanted = Some(true);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for what the terminal still has to answer: whoever reads from it next would take it for keys.
async fn answers_are_in(
    pace: &mut Pace,
    inputs: &mut mpsc::Receiver<Packet>,
    outlet: &mut watch::Receiver<Outlet>,
) {
    let all = async {
        while pace.is_waiting() {
            if is_written() {
                pace.written();
            }
            tokio::select! {
                told = outlet.changed() => if told.is_err() {
                    return;
                },
                packet = inputs.recv() => {
                    let Some(packet) = packet else { return };
                    for input in packet.inputs {
                        if let Input::Answered(mark) = input {
                            pace.answered(Instant::now(), mark);
                        }
                    }
                }
            }
        }
    };
    let _late = tokio::time::timeout(LAST_ANSWER, all).await;
}

/// Why a console ended otherwise than by the person.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The terminal.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The backends can't be started.
    #[error("{0}")]
    Startup(String),
}

/// Draws the state; writes only when cells differ, and gives the frame's number. At rest that is the header's time,
/// once a minute.
fn paint(state: &mut State, terminal: &mut Terminal, pace: &mut Pace) -> Result<Option<u64>, ConsoleError> {
    let frame = |state: &State| {
        let area = Rect::new(0, 0, state.size.width.max(1), state.size.height.max(1));
        let mut buffer = Buffer::empty(area);
        views::draw(state, area, &mut buffer);
        buffer
    };
    state.clock_label = state.by_platform(state.now).format("%H:%MZ").to_string();
    let next = frame(state);
    if !terminal.painter().differs(&next) {
        return Ok(None);
    }
    let before = terminal.flushed();
    let mark = pace.next_mark(state.size.width);
    terminal.painter().show(next, mark).map_err(TerminalError::from)?;
    Ok(Some(pace.sent(Instant::now(), terminal.flushed() - before, mark)))
}

fn next_minute(clock: &Clock) -> Instant {
    let into = clock.now().second();
    Instant::now() + Duration::from_secs(u64::from(60 - into.min(59)))
}

/// What a signal means.
enum Heard {
    /// SIGTERM, SIGINT and SIGHUP all end the console in order.
    End,
    /// SIGWINCH: the reader waits for keys and hears nothing of it.
    Resized,
    /// SIGTSTP, by ctrl-z here or from outside: the terminal is given back first.
    Stop,
    /// SIGCONT: whatever stopped it, somebody else had the terminal meanwhile.
    Continued,
}

/// The signals that a console listens to.
struct Signals {
    resized: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
    continued: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            continued: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    async fn any(&mut self) -> Heard {
        tokio::select! {
            _ = self.term.recv() => Heard::End,
            _ = self.int.recv() => Heard::End,
            _ = self.hup.recv() => Heard::End,
            _ = self.resized.recv() => Heard::Resized,
            _ = self.stop.recv() => Heard::Stop,
            _ = self.continued.recv() => Heard::Continued,
        }
    }
}
