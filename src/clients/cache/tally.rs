//! Hits and misses, and what of them is told: a rate in coarse steps, so that a screen that shows it
//! doesn't move with every look-up.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Fewer look-ups say nothing about the rate.
const ENOUGH: u64 = 20;
/// The rate is that of about so many look-ups: with more, both counts are halved.
const RECENT: u64 = 2000;
/// The steps in which the rate is told, in per cent.
const STEP: u64 = 10;
/// A step that was told is left when the rate is further away from it, in per cent: more than half a
/// step, so that a rate between two steps doesn't go to and fro.
const AWAY: u64 = 8;

/// How well a cache does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Look-ups that found something, since the start.
    pub n_hits: u64,
    /// Look-ups that didn't.
    pub n_misses: u64,
    /// Of the recent look-ups, how many found something: in steps of ten per cent, and `None` as long as
    /// there were too few.
    pub hit_rate: Option<u8>,
    /// How long Redis takes to answer, where it is in use.
    pub latency: Option<Duration>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Clone, Copy, Default)]
struct Counts {
    n_hits: u64,
    n_misses: u64,
    recent_hits: u64,
    recent: u64,
    told: Option<u64>,
}

impl Tally {
    /// Something was looked up, and found or not.
    pub(super) fn looked_up(&self, found: bool) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found {
            counts.n_hits += 1;
            counts.recent_hits += 1;
        } else {
            counts.n_misses += 1;
        }
        counts.recent += 1;
        if counts.recent >= RECENT {
            counts.recent /= 2;
            counts.recent_hits /= 2;
        }
    }

    /// The figures, without those that Redis has.
    pub(super) fn figures(&self) -> Figures {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.recent >= ENOUGH {
            let rate = counts.recent_hits * 100 / counts.recent;
            if counts.told.is_none_or(|told| told.abs_diff(rate) > AWAY) {
                counts.told = Some((rate + STEP / 2) / STEP * STEP);
            }
        }
        Figures {
            n_hits: counts.n_hits,
            n_misses: counts.n_misses,
            hit_rate: counts.told.and_then(|told| u8::try_from(told).ok()),
            latency: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(tally: &Tally, n_hits: usize, n_misses: usize) {
        (0..n_hits).for_each(|_| tally.looked_up(true));
        (0..n_misses).for_each(|_| tally.looked_up(false));
    }

    #[test]
    fn too_few_say_nothing() {
        let tally = Tally::default();
        look_up(&tally, 19, 0);
        assert_eq!(tally.figures().hit_rate, None);
        look_up(&tally, 1, 0);
        assert_eq!(tally.figures().hit_rate, Some(100));
        assert_eq!(tally.figures().n_hits, 20);
    }

    #[test]
    fn a_rate_that_moves_a_little_is_told_as_before() {
        let tally = Tally::default();
        look_up(&tally, 470, 530);
        assert_eq!(tally.figures().hit_rate, Some(50));
        for _ in 0..20 {
            look_up(&tally, 0, 30);
            assert_eq!(tally.figures().hit_rate, Some(50));
            look_up(&tally, 30, 0);
            assert_eq!(tally.figures().hit_rate, Some(50));
        }
        look_up(&tally, 0, 2000);
        assert!(tally.figures().hit_rate.is_some_and(|rate| rate <= 20));
    }

    #[test]
    fn old_look_ups_are_forgotten() {
        let tally = Tally::default();
        look_up(&tally, 0, 10_000);
        assert_eq!(tally.figures().hit_rate, Some(0));
        look_up(&tally, 10_000, 0);
        assert_eq!(tally.figures().hit_rate, Some(100));
    }
}
