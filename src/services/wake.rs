//! How the API wakes agents: over HTTP, through the client. It knows no agent and no route.

use std::time::Duration;

use futures::future::BoxFuture;

use super::api::{Unreached, Wake};
use crate::clients::agent::wake;
use crate::problem::Problem;
use crate::wire::agents::WakeReply;

/// A wake-up answers after the agent's own report, so it takes as long as two calls may.
const LIMIT: Duration = Duration::from_secs(10);

/// `POST http://agent-host:8084/checkin`.
pub struct OverHttp;

impl Wake for OverHttp {
    fn wake(&self, address: String) -> BoxFuture<'static, Result<WakeReply, Unreached>> {
        Box::pin(async move {
            wake(&address, LIMIT).await.map_err(|failure| Unreached {
                failed_step: failure.step.word().to_lowercase(),
                problem: Problem::unavailable(failure.what).hint(failure.hint),
            })
        })
    }
}
