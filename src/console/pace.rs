//! When the next frame may be written: not before the terminal has shown what is on its way, so that a
//! slow link never carries what is out of date by the time it arrives. Every frame ends with a question for
//! the cursor's position (DSR 6, ECMA-48 §8.3.35), put where it was moved to for that question; the answer
//! says which frame was shown, how long the way is, and from when on a dialog may hear keys. A terminal
//! that never answered is paced by time; one that fell silent is too, but what it didn't answer for was not
//! seen. A multiplexer (tmux, screen) answers for itself, wherever the person sits: under one only time tells,
//! and the way's length is unknown. It writes and reads nothing itself.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::console::SlowLink;
use crate::state::wire::Wire;

/// Between two frames at least.
const FRAME: Duration = Duration::from_millis(16);
/// Between two frames that no key asked for, on a slow link.
const NEWS: Duration = Duration::from_secs(2);
/// How long a dialog is on its way to a person whose terminal doesn't answer.
const UNANSWERED: Duration = Duration::from_millis(300);
/// Time for a dialog under a multiplexer, where the way to the person is not known and more time is given.
const MULTIPLEXED: Duration = Duration::from_millis(500);
/// When a terminal that used to answer is taken for one that doesn't.
const GIVE_UP: Duration = Duration::from_secs(3);
/// So many marks, at most, tell frames apart.
const MARKS: u16 = 32;
/// Bytes that may be on their way while another frame is sent: a few steps of a cursor.
const ON_THE_WAY: usize = 512;
/// What is shorter tells the round trip, what is longer the rate, in bytes.
const SMALL: usize = 600;

/// A link is slow from this round trip on, and no more below the other.
const SLOW_TRIP: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(150));
/// A link is slow below this rate, and no more above the other, in bytes a second.
const SLOW_RATE: (f64, f64) = (50_000.0, 100_000.0);

/// A frame that was sent.
#[derive(Debug)]
struct Sent {
    n: u64,
    mark: u16,
    at: Instant,
    bytes: usize,
    /// Nothing else was on its way.
    alone: bool,
    /// It was taken for shown, since there was time enough.
    taken: bool,
}

/// What is on its way to the terminal.
#[derive(Debug)]
pub(super) struct Pace {
    slow_link: SlowLink,
    n: u64,
    /// The newest frame that is known to be seen.
    seen: u64,
    unanswered: VecDeque<Sent>,
    /// The frames that are on the screen once there was time enough, and when each was sent. A newer one makes no
    /// older one wait.
    by_time: VecDeque<(u64, Instant)>,
    answers: bool,
    /// It has answered before: then a frame without an answer was not seen.
    answered_before: bool,
    /// A multiplexer answers in the terminal's place.
    multiplexed: bool,
    writing: bool,
    last: Option<Instant>,
    trip: Option<Duration>,
    rate: Option<f64>,
    /// The shortest that any frame took: the round trip is no longer.
    bound: Option<Duration>,
    /// The newest big frame: its bytes, and how long it took to be shown.
    big: Option<(usize, Duration)>,
    poor: bool,
}

impl Pace {
    /// For a terminal of which nothing is known.
    pub(super) fn new(slow_link: SlowLink, multiplexed: bool) -> Self {
        Self {
            multiplexed,
            answered_before: false,
            slow_link,
            n: 0,
            seen: 0,
            unanswered: VecDeque::new(),
            by_time: VecDeque::new(),
            answers: false,
            writing: false,
            last: None,
            trip: None,
            rate: None,
            bound: None,
            big: None,
            poor: slow_link == SlowLink::Always,
        }
    }

    /// The column, from 0, that marks the next frame on a screen of `width` columns.
    pub(super) fn next_mark(&self, width: u16) -> u16 {
        let marks = u64::from(width.clamp(1, MARKS));
        u16::try_from((self.n + 1) % marks).unwrap_or(0)
    }

    /// A frame of so many bytes was handed over, marked so; gives its number.
    pub(super) fn sent(&mut self, at: Instant, bytes: usize, mark: u16) -> u64 {
        self.n += 1;
        if self.only_time_tells() {
            self.by_time.push_back((self.n, at));
        }
        self.last = Some(at);
        self.writing = true;
        // A mark is used again: what bore it before will never be answered.
        if let Some(index) = self.unanswered.iter().position(|sent| sent.mark == mark) {
            self.unanswered.drain(..=index);
        }
        self.unanswered.push_back(Sent {
            n: self.n,
            mark,
            at,
            bytes,
            alone: self.unanswered.is_empty(),
            taken: false,
        });
        self.n
    }

    /// All that was handed over is written.
    pub(super) fn written(&mut self) {
        self.writing = false;
    }

    /// The terminal answered; gives the number of the newest frame that is shown for certain.
    pub(super) fn answered(&mut self, at: Instant, mark: u16) -> Option<u64> {
        self.answers = true;
        self.answered_before = true;
        if !self.multiplexed {
            self.by_time.clear();
        }
        let index = self.unanswered.iter().position(|sent| sent.mark == mark)?;
        let sent = self.unanswered.drain(..=index).next_back()?;
        if self.multiplexed {
            // It says what has left us, which paces the next frame, and nothing about the person's screen.
            return None;
        }
        self.measure(&sent, at.saturating_duration_since(sent.at));
        self.seen = self.seen.max(sent.n);
        Some(sent.n)
    }

    /// Only what was alone on its way tells something: the rest waited for others.
    fn measure(&mut self, sent: &Sent, took: Duration) {
        match (sent.alone, sent.bytes < SMALL) {
            (true, true) => {
                self.trip = Some(match self.trip {
                    Some(trip) if took > trip => trip.mul_f64(0.7) + took.mul_f64(0.3),
                    _ => took,
                });
            }
            // The very first frame meets a terminal that is still busy with itself.
            (true, false) if sent.n > 1 => self.big = Some((sent.bytes, took)),
            _ => {}
        }
        self.bound = Some(self.bound.map_or(took, |bound| bound.min(took)));
        let trip = self.trip.or(self.bound).unwrap_or_default();
        let carried = self.big.filter(|_| self.trip.is_some());
        self.rate = carried.map(|(bytes, took)| {
            // What takes no time to speak of is a fast link.
            let carried = took.saturating_sub(trip).as_secs_f64().max(0.005);
            u32::try_from(bytes).map_or(f64::MAX, f64::from) / carried
        });
        let rate = self.rate.unwrap_or(f64::MAX);
        self.poor = match self.slow_link {
            SlowLink::Always => true,
            SlowLink::Never => false,
            SlowLink::Auto if self.poor => trip > SLOW_TRIP.1 || rate < SLOW_RATE.1,
            SlowLink::Auto => trip > SLOW_TRIP.0 || rate < SLOW_RATE.0,
        };
    }

    /// How the wire is.
    pub(super) fn wire(&self) -> Wire {
        Wire {
            answers: self.answers && !self.multiplexed,
            round_trip_ms: self
                .trip
                .or(self.bound)
                .and_then(|trip| u32::try_from(trip.as_millis()).ok()),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is cut at its ends"
            )]
            bytes_per_second: self.rate.map(|rate| rate.clamp(0.0, 1e9) as u32),
            poor: self.poor,
        }
    }

    /// From when on a frame may be sent; `by_key` if a key asked for it. Nothing if that will be told.
    fn ready(&self, by_key: bool) -> Option<Instant> {
        if self.writing {
            return None;
        }
        let on_the_way: usize = self.unanswered.iter().map(|sent| sent.bytes).sum();
        let oldest = self.unanswered.front().filter(|_| self.answers);
        let between = if self.poor && !by_key { NEWS } else { FRAME };
        let paced = self.last.map_or_else(Instant::now, |last| last + between);
        match oldest {
            Some(oldest) if on_the_way > ON_THE_WAY || !by_key => Some(paced.max(oldest.at + GIVE_UP)),
            _ => Some(paced),
        }
    }

    /// Whether a frame may be sent at `now`.
    pub(super) fn is_ready(&self, now: Instant, by_key: bool) -> bool {
        self.ready(by_key).is_some_and(|at| at <= now)
    }

    /// Whether the terminal's answer is still to come, for a terminal that answers.
    pub(super) fn is_waiting(&self) -> bool {
        self.writing || self.answers && !self.unanswered.is_empty()
    }

    /// When to look again though nothing is heard; `wanted` is the frame that waits, and whether by a key.
    pub(super) fn wake(&self, wanted: Option<bool>) -> Option<Instant> {
        let silent = self.due().filter(|_| !self.writing);
        let ready = wanted.and_then(|by_key| self.ready(by_key));
        silent.into_iter().chain(ready).min()
    }

    /// Whether no answer says what is on the person's screen, and none ever did.
    fn only_time_tells(&self) -> bool {
        self.multiplexed || !self.answered_before
    }

    /// When it is to be decided whether a frame is seen, if nothing is heard until then.
    fn due(&self) -> Option<Instant> {
        if self.only_time_tells() {
            let wait = if self.multiplexed { MULTIPLEXED } else { UNANSWERED };
            return self.by_time.front().map(|(_, sent)| *sent + wait);
        }
        let newest = self.unanswered.back().filter(|sent| !sent.taken)?;
        Some(newest.at + if self.answers { GIVE_UP } else { UNANSWERED })
    }

    /// The newest frame that has to be taken for shown, since a terminal that doesn't answer had the time.
    pub(super) fn seen_by_time(&mut self, now: Instant) -> Option<u64> {
        if self.writing || self.due().is_none_or(|due| now < due) {
            return None;
        }
        if self.only_time_tells() {
            while self.due().is_some_and(|due| due <= now)
                && let Some((n, _)) = self.by_time.pop_front()
            {
                self.seen = n;
            }
            return Some(self.seen);
        }
        if let Some(newest) = self.unanswered.back_mut() {
            // Its answer may still come, and tell how long the way is.
            newest.taken = true;
        }
        // The link stalls: what was sent may be on its way for minutes. It is waited for no more, and the next
        // frame asks again.
        self.answers = false;
        None
    }

    /// Whether the newest frame is known to be seen.
    pub(super) fn is_seen(&self) -> bool {
        self.seen >= self.n
    }

    /// The number of the newest frame; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.n
    }

    /// Nothing is on its way any more, as after the program was stopped.
    pub(super) fn forget(&mut self) {
        self.unanswered.clear();
        self.by_time.clear();
        self.writing = false;
        self.seen = self.n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn send(pace: &mut Pace, at: Instant, bytes: usize) -> (u64, u16) {
        let mark = pace.next_mark(80);
        let n = pace.sent(at, bytes, mark);
        pace.written();
        (n, mark)
    }

    #[test]
    fn nothing_is_sent_after_a_big_frame_before_it_is_shown() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowLink::Auto, false);
        let (one, mark) = send(&mut pace, start, 100);
        assert_eq!(pace.answered(after(start, 5), mark), Some(one));
        let (two, mark) = send(&mut pace, after(start, 20), 4000);
        assert!(!pace.is_ready(after(start, 100), true));
        assert_eq!(pace.answered(after(start, 180), mark), Some(two));
        assert!(pace.is_ready(after(start, 180), true));
        assert!(pace.wire().poor, "4000 bytes took 160 ms");
        assert!(
            !pace.is_ready(after(start, 500), false),
            "news can wait on a slow link"
        );
    }

    #[test]
    fn small_frames_follow_each_other_on_a_long_way() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowLink::Auto, false);
        let (_, mark) = send(&mut pace, start, 100);
        pace.answered(after(start, 400), mark);
        assert!(pace.wire().poor);
        assert_eq!(pace.wire().words(), "SLOW LINK 400ms");
        send(&mut pace, after(start, 500), 120);
        assert!(pace.is_ready(after(start, 520), true));
        send(&mut pace, after(start, 520), 500);
        assert!(!pace.is_ready(after(start, 540), true));
    }

    #[test]
    fn a_late_answer_is_never_taken_for_that_of_a_newer_frame() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowLink::Auto, false);
        let (one, first) = send(&mut pace, start, 100);
        let (two, second) = send(&mut pace, after(start, 20), 100);
        assert_eq!(pace.answered(after(start, 30), first), Some(one));
        assert_eq!(
            pace.answered(after(start, 31), first),
            None,
            "it was answered before"
        );
        assert_eq!(pace.answered(after(start, 32), second), Some(two));
    }

    #[test]
    fn a_terminal_that_does_not_answer_is_paced_by_time() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowLink::Auto, false);
        let (one, mark) = send(&mut pace, start, 4000);
        assert!(pace.is_ready(after(start, 16), true));
        assert_eq!(pace.wake(None), Some(after(start, 300)));
        assert_eq!(pace.seen_by_time(after(start, 299)), None);
        assert_eq!(pace.seen_by_time(after(start, 300)), Some(one));
        assert_eq!(pace.wake(None), None, "no wake-ups at rest");
        // It answers after all, and later falls silent.
        assert_eq!(pace.answered(after(start, 900), mark), Some(one));
        send(&mut pace, after(start, 1000), 4000);
        assert_eq!(pace.seen_by_time(after(start, 1300)), None);
        assert_eq!(
            pace.seen_by_time(after(start, 4000)),
            None,
            "a stalled link shows nothing"
        );
        assert!(pace.is_ready(after(start, 4000), true));
        assert!(!pace.is_seen(), "nor does a screen that stays as it is");
        assert_eq!(pace.wake(None), None, "no wake-ups at rest");
        let (three, mark) = send(&mut pace, after(start, 60_000), 4000);
        assert_eq!(pace.seen_by_time(after(start, 70_000)), None);
        assert_eq!(pace.answered(after(start, 70_001), mark), Some(three));
    }

    #[test]
    fn under_a_multiplexer_an_answer_proves_nothing() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowLink::Auto, true);
        let (_, mark) = send(&mut pace, start, 4000);
        assert_eq!(pace.answered(after(start, 1), mark), None);
        let (two, mark) = send(&mut pace, after(start, 100), 4000);
        assert!(pace.is_waiting(), "its answer must not be left to the shell");
        assert_eq!(pace.answered(after(start, 101), mark), None);
        assert!(!pace.is_waiting() && !pace.is_seen());
        assert_eq!(pace.wake(None), Some(after(start, 500)));
        assert_eq!(pace.seen_by_time(after(start, 499)), None);
        assert_eq!(
            pace.seen_by_time(after(start, 599)),
            Some(1),
            "a newer frame makes it wait no longer"
        );
        assert!(!pace.is_seen());
        assert_eq!(pace.seen_by_time(after(start, 600)), Some(two));
        assert!(pace.is_seen() && pace.wake(None).is_none());
        assert_eq!(pace.wire().round_trip_ms, None);
    }

    #[test]
    fn while_the_terminal_takes_nothing_nothing_more_is_written() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowLink::Auto, false);
        pace.sent(start, 100, 1);
        assert!(!pace.is_ready(after(start, 60_000), true));
        assert_eq!(pace.seen_by_time(after(start, 60_000)), None);
        assert_eq!(pace.wake(Some(true)), None, "that it is written will be told");
        pace.written();
        assert!(pace.is_ready(after(start, 60_001), true));
    }
}
