//! Where agents are, as this console last heard: for what must work when neither API nor database answers. It
//! is never asked while the API is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::agent::Agent;

/// The agents by id. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct KnownAgents(Arc<Mutex<BTreeMap<String, Agent>>>);

impl KnownAgents {
    /// Remembers an agent as it was seen now.
    pub fn hear(&self, agent: &Agent) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(agent.id.clone(), agent.clone());
    }

    /// The agent as it was last seen.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Agent> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned()
    }
}
