//! Order in which the steps of a plan are carried out.

use super::plan::PlannedStep;
use super::tier::Harm;

/// Steps of one thing, by their places in the plan, of which each needs the one before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) target: usize,
    pub(super) steps: Vec<usize>,
}

/// The steps in the plan's order, those together that may go beside each other. What changes something goes alone: the
/// next thing is touched when this one is proven. What does no harm and stands together waits for its own thing only,
/// so that one host that doesn't answer holds up no other.
pub(super) fn beside_each_other(steps: &[PlannedStep]) -> Vec<Vec<Row>> {
    let mut all: Vec<(Harm, Vec<Row>)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let row = Row {
            target: step.target,
            steps: vec![index],
        };
        match all.last_mut() {
            Some((Harm::None, rows)) if step.harm == Harm::None => {
                match rows.iter_mut().find(|row| row.target == step.target) {
                    Some(row) => row.steps.push(index),
                    None => rows.push(row),
                }
            }
            _ => all.push((step.harm, vec![row])),
        }
    }
    all.into_iter().map(|(_, rows)| rows).collect()
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use serde_json::Value;

    use super::*;
    use crate::plan::ports::Reads;
    use crate::plan::step::{Proof, Step, StepContext};
    use crate::problem::Problem;

    #[test]
    fn what_changes_something_goes_alone_and_what_only_looks_beside_each_other() {
        struct Named(Harm);
        impl Step for Named {
            fn name(&self) -> &'static str {
                "named"
            }
            fn harm(&self) -> Harm {
                self.0
            }
            fn prove<'a>(
                &'a self,
                _: &'a StepContext,
                _: &'a Reads,
            ) -> BoxFuture<'a, Result<Proof, Problem>> {
                Box::pin(async { Ok(Proof::Waits(String::new())) })
            }
        }
        let steps = |all: &[(usize, Harm)]| -> Vec<PlannedStep> {
            let step = |&(target, harm): &(usize, Harm)| {
                PlannedStep::new(&Named(harm), target, String::new(), Value::Null)
            };
            all.iter().map(step).collect()
        };
        let order = |all: &[(usize, Harm)]| -> Vec<Vec<Vec<usize>>> {
            let rows = beside_each_other(&steps(all)).into_iter();
            rows.map(|rows| rows.into_iter().map(|row| row.steps).collect())
                .collect()
        };
        use Harm::{Changes, Final, None};
        let looks = [(0, None), (1, None), (1, None), (2, None)];
        assert_eq!(order(&looks), [vec![vec![0], vec![1, 2], vec![3]]]);
        let changes = [(0, Changes), (0, None), (1, Changes), (1, None), (2, Final)];
        let alone: Vec<Vec<Vec<usize>>> = (0..5).map(|index| vec![vec![index]]).collect();
        assert_eq!(order(&changes), alone);
    }
}
