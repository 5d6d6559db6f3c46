//! Life of a run after it has ended as waiting or unknown: it goes on by itself, and its state follows the
//! fact. Here one only looks; nothing is sent that changes anything.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::executor::{Ended, Means, Rest, RunEvent, Thing, context, end, ends, record};
use super::journal::Patience;
use super::outcome::Outcome;
use super::plan::PlannedStep;
use super::sent::still_open;
use super::step::Proof;
use super::tier::Harm;
use crate::problem::Problem;

/// Between two looks, for as long as somebody is likely to sit before the screen, and afterwards.
const SOON: Duration = Duration::from_secs(3);
const LATER: Duration = Duration::from_secs(30);
/// How long that is.
const FRESH: Duration = Duration::from_mins(10);
/// More things than this are not looked at so often.
const FEW: usize = 8;
/// Upper bound for following a run; after it whoever wants to know looks.
const AT_MOST: Duration = Duration::from_hours(24);

impl Ended {
    /// Follows what may still come about, and tells `watch` and the record each time that the end is another one;
    /// until all is known, or the console is left.
    pub async fn follow(self, means: &Means<'_>, watch: &(dyn Fn(RunEvent) + Send + Sync)) {
        let Some(rest) = self.rest else { return };
        let mut leaving = means.leaving.clone();
        tokio::select! {
            () = rest.follow(self.outcome, means, watch) => {}
            Ok(_) = leaving.wait_for(|leaving| *leaving) => {}
        }
    }
}

impl Rest {
    async fn follow(
        mut self,
        mut told: Outcome,
        means: &Means<'_>,
        watch: &(dyn Fn(RunEvent) + Send + Sync),
    ) {
        let began = Instant::now();
        let first = ends(self.confirmed.plan(), &self.things);
        let (mut seen, mut counted) = (first.whole(), first.counted());
        while (self.is_denied_for_now || self.things.values().any(is_open)) && began.elapsed() < AT_MOST {
            let n_open = self.things.values().filter(|thing| is_open(thing)).count();
            let is_soon = began.elapsed() < FRESH && n_open <= FEW;
            sleep(if is_soon { SOON } else { LATER }).await;
            let mut things = std::mem::take(&mut self.things);
            for (target, thing) in things.iter_mut().filter(|(_, thing)| is_open(thing)) {
                self.look_after(*target, thing, means, watch).await;
            }
            self.things = things;
            let ends = ends(self.confirmed.plan(), &self.things);
            let is_same = std::mem::replace(&mut seen, ends.whole()) == seen;
            if is_same && !self.is_denied_for_now {
                continue;
            }
            let is_counted_so = std::mem::replace(&mut counted, ends.counted()) == counted;
            // For whom it waits by now is for the screen alone.
            let now = match is_counted_so && !self.is_denied_for_now {
                true => seen.clone(),
                false => {
                    let patience = match is_counted_so {
                        true => Patience::None,
                        false => Patience::ForAReport,
                    };
                    let has = end(means, self.recorded, &self.confirmed, &seen, patience).await;
                    self.is_denied_for_now = has.is_under_way;
                    has.end
                }
            };
            if now != told {
                watch(RunEvent::Ended(now.clone()));
                told = now;
            }
        }
    }

    /// Looks at the step that stopped a thing; once that came about, at those behind it.
    async fn look_after(
        &self,
        target: usize,
        thing: &mut Thing,
        means: &Means<'_>,
        watch: &(dyn Fn(RunEvent) + Send + Sync),
    ) {
        while let Some((index, cx)) = thing.stopped_at.take() {
            let steps = &self.confirmed.plan().steps;
            let found = steps.get(index).map(|it| (it, (means.find_step)(&it.step)));
            let Some((planned, Some(step))) = found else {
                return;
            };
            let end = match step.prove(&cx, means.reads).await {
                Ok(Proof::Proven(words)) => Outcome::Proven(words),
                Ok(Proof::Refuted(problem)) => Outcome::Failed(problem),
                Ok(Proof::Stopped(problem)) => Outcome::Stopped(problem),
                Ok(Proof::Open(words)) => {
                    thing.end = Some(Outcome::Waiting(still_open(&words)));
                    return thing.stopped_at = Some((index, cx));
                }
                Ok(Proof::Waits(words)) => {
                    // Its host or CA may be another one by now.
                    thing.end = Some(Outcome::Waiting(words));
                    return thing.stopped_at = Some((index, cx));
                }
                // Its end stays true until something else is known.
                Ok(Proof::NotYet(_)) | Err(_) => return thing.stopped_at = Some((index, cx)),
            };
            self.note(index, planned, &end, means).await;
            watch(RunEvent::StepEnded(index, end.clone()));
            let behind = steps.iter().enumerate().skip(index + 1);
            let mut behind = behind.filter(|(_, next)| next.target == target);
            thing.end = Some(match (behind.next(), end) {
                (Some((next, after)), Outcome::Proven(words)) if after.harm == Harm::None => {
                    watch(RunEvent::StepStarted(next));
                    let earlier = thing.results.clone();
                    thing.results.push(Value::Null);
                    thing.stopped_at = Some((next, context(&self.confirmed, next, after, earlier, means)));
                    Outcome::Waiting(format!("{words}; next: {}", after.title))
                }
                // Nobody said yes to changes at this time.
                (Some((_, after)), Outcome::Proven(words)) => Outcome::NotSent(
                    Problem::conflict(format!(
                        "{words}, and that later than this run went on: nothing was sent for \"{}\"",
                        after.title
                    ))
                    .hint("make a new plan for the rest"),
                ),
                (_, end) => end,
            });
            if thing.stopped_at.is_none()
                && let Some(end) = &thing.end
            {
                watch(RunEvent::ThingEnded(target, end.clone()));
            }
        }
    }

    async fn note(&self, index: usize, planned: &PlannedStep, end: &Outcome, means: &Means<'_>) {
        let (run, words) = (&self.confirmed.plan().run_id, Some(end.words()));
        record(means, self.recorded, run, index, planned, end.recorded(), words).await;
    }
}

/// True if more may be known of a thing later.
fn is_open(thing: &Thing) -> bool {
    let may_come = matches!(thing.end, Some(Outcome::Waiting(_) | Outcome::Unknown(_)));
    may_come && thing.stopped_at.is_some()
}
