//! Order in which the steps of a plan are carried out, and how much of it goes on at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

use super::plan::PlannedStep;

/// Things that are in hand at the same time: changed, or waited for.
pub(super) const IN_HAND: usize = 64;
/// Steps that have a turn at the same time.
const AT_ONCE: usize = 8;
/// A proof that takes longer gives its turn up while it goes on being waited for.
const SOON: Duration = Duration::from_secs(2);

/// Steps of one thing, by their places in the plan, of which each needs the one before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) target: usize,
    pub(super) steps: Vec<usize>,
}

/// The steps of each thing in the plan's order, the things in the order of their first steps. Things go beside each
/// other, so that one that waits for its proof, as at a host that doesn't answer, holds up no other.
pub(super) fn rows(steps: &[PlannedStep]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        let target = step.target;
        let place = *places.entry(target).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(row) => row.steps.push(index),
            None => rows.push(Row {
                target,
                steps: vec![index],
            }),
        }
    }
    rows
}

/// Turns of the steps of one run: who wants one gets it in the order of asking.
pub(super) struct Turns(Semaphore);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }

    /// Waits for a turn.
    pub(super) async fn next(&self) -> Turn<'_> {
        // Nobody closes it.
        Turn(self.0.acquire().await.ok())
    }
}

/// One step's turn, until it is given up.
pub(super) struct Turn<'a>(Option<SemaphorePermit<'a>>);

impl Turn<'_> {
    /// End of `proof`. The turn is given up as soon as that takes long.
    pub(super) async fn until<T>(mut self, proof: impl Future<Output = T>) -> T {
        let mut proof = std::pin::pin!(proof);
        tokio::select! {
            biased;
            done = &mut proof => return done,
            () = sleep(SOON) => {}
        }
        drop(self.0.take());
        proof.await
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use serde_json::Value;

    use super::*;
    use crate::plan::ports::Reads;
    use crate::plan::step::{Proof, Step, StepContext};
    use crate::plan::tier::Harm;
    use crate::problem::Problem;

    struct Named;

    impl Step for Named {
        fn name(&self) -> &'static str {
            "named"
        }

        fn harm(&self) -> Harm {
            Harm::Changes
        }

        fn prove<'a>(&'a self, _: &'a StepContext, _: &'a Reads) -> BoxFuture<'a, Result<Proof, Problem>> {
            Box::pin(async { Ok(Proof::Waits(String::new())) })
        }
    }

    #[test]
    fn each_thing_has_its_steps_in_order() {
        let step = |target| PlannedStep::new(&Named, target, String::new(), Value::Null);
        let steps = [0, 0, 1, 2, 1].map(step);
        let order: Vec<(usize, Vec<usize>)> = (rows(&steps).into_iter())
            .map(|row| (row.target, row.steps))
            .collect();
        assert_eq!(order, [(0, vec![0, 1]), (1, vec![2, 4]), (2, vec![3])]);
    }

    #[tokio::test]
    async fn who_is_waited_for_long_gives_its_turn_to_the_next() {
        let turns = Turns::new();
        let mut waiting = Vec::new();
        for _ in 0..AT_ONCE {
            waiting.push(turns.next().await.until(std::future::pending::<()>()));
        }
        let next = async { turns.next().await.until(async { "done" }).await };
        let done = tokio::select! {
            done = next => done,
            _ = futures::future::join_all(waiting) => "never",
            () = sleep(20 * SOON) => "not in time",
        };
        assert_eq!(done, "done");
    }
}
