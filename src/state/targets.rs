//! Targets of an action among what is selected, and its availability on them.

use super::State;
use super::answers_of;
use super::screen::ViewId;
use crate::actions::{self, Action, Availability};
use crate::domain::finding::Finding;
use crate::domain::id::EntityKind;
use crate::plan::plan::Target;

impl State {
    /// Vault as a target: it has no row, so no version.
    #[must_use]
    pub fn vault_target(&self) -> Target {
        Target {
            kind: EntityKind::Vault,
            id: self.context.vault.clone().unwrap_or_default(),
            version: 0,
            name: "Vault".to_owned(),
            status: String::new(),
        }
    }

    /// Targets of `action`: those that fit among `selected`; Vault needs no selection.
    #[must_use]
    pub fn targets_for(&self, action: &dyn Action, selected: &[Target]) -> Vec<Target> {
        let is_of_others = self.place().view == ViewId::Contexts && selected.is_empty();
        if action.spec().kinds.contains(&EntityKind::Vault) && !is_of_others {
            return vec![self.vault_target()];
        }
        let fit = actions::fitting(action, selected);
        self.answering(action, fit)
    }

    /// Things in the place of those whose finding `action` answers, where the answer is for other things.
    /// Among findings only: elsewhere a row means itself.
    fn answering(&self, action: &dyn Action, fit: Vec<Target>) -> Vec<Target> {
        if self.place().view != ViewId::Triage || self.screen().pane != 0 {
            return fit;
        }
        let id = Some(action.spec().id);
        let told = self.told();
        let told: Vec<&Finding> = told
            .filter(|it| it.answer.as_deref() == id && !it.answer_for.is_empty())
            .collect();
        let mut on: Vec<Target> = Vec::new();
        for target in fit {
            let finding = told.iter().find(|it| it.entity_id == target.id);
            let mut instead = finding.map(|it| answers_of(it)).unwrap_or_default();
            if instead.is_empty() {
                instead.push(target);
            }
            instead.retain(|it| on.iter().all(|known| known.id != it.id));
            on.extend(instead);
        }
        on
    }

    /// Availability of `action` on `selected`.
    #[must_use]
    pub fn availability(&self, action: &dyn Action, selected: &[Target]) -> Availability {
        self.availability_on(action, &self.targets_for(action, selected))
    }

    /// Availability of `action` for exactly these things.
    #[must_use]
    pub fn availability_on(&self, action: &dyn Action, on: &[Target]) -> Availability {
        actions::availability(action, &self.seen(on), &self.facts())
    }
}
