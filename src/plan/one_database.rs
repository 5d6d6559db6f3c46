//! Whether the database is one, asked of its hosts and of the API as of now: before a change, whatever the screen
//! shows. What needs no database goes on.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::ports::Reads;
use crate::domain::database::ApiOn;
use crate::domain::divided::divided;
use crate::domain::link::{Backend, BackendHealth, LinkState};
use crate::problem::{Problem, ProblemKind};
use crate::wire::health::Ready;

/// How long an answer holds while a run goes from one thing to the next.
const HOLDS: Duration = Duration::from_secs(2);

/// What the API says about the database that it is on.
#[must_use]
pub fn api_on(ready: &Ready, at: chrono::DateTime<chrono::Utc>) -> ApiOn {
    let is_lost =
        |health: &BackendHealth| health.backend == Backend::Database && health.state == LinkState::Down;
    ApiOn {
        instance: ready.database.clone(),
        answers: !ready.backends.iter().any(is_lost),
        at,
    }
}

/// Why nothing may be changed now: two databases take changes, or the API is on another one than the primary.
pub async fn not_one(reads: &Reads) -> Option<Problem> {
    let hosts = reads.hosts.as_ref()?;
    let (hosts, ready) = tokio::join!(hosts.look_now(), reads.api.ready());
    let api = ready.ok().map(|ready| api_on(&ready, reads.local_now()));
    let divided = divided(&hosts, api.as_ref())?;
    let problem = Problem::new(
        ProblemKind::Refused,
        format!("nothing was changed: {}", divided.what(&hosts)),
    );
    Some(problem.hint(divided.next(&hosts)))
}

/// Answers for one run, which asks again and again.
#[derive(Debug, Default)]
pub(super) struct OneDatabase(Mutex<Option<Instant>>);

impl OneDatabase {
    /// That it is one.
    ///
    /// # Errors
    /// How it is not.
    pub(super) async fn must_be(&self, reads: &Reads) -> Result<(), Problem> {
        let lately = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if lately.is_some_and(|at| at.elapsed() < HOLDS) {
            return Ok(());
        }
        if let Some(problem) = not_one(reads).await {
            return Err(problem);
        }
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }
}
