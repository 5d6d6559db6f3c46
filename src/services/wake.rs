//! How the API wakes agents: over HTTP, through the client, and only where their reports come from. It knows no
//! agent and no route.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use ipnet::IpNet;

use super::api::{Unreached, Wake};
use crate::clients::agent::{Reach, wake_within};
use crate::problem::Problem;
use crate::store::jobs::Listening;
use crate::wire::agents::WakeReply;

/// A wake-up answers after the agent's own report, so it takes as long as two calls may.
const LIMIT: Duration = Duration::from_secs(10);

/// `POST http://agent-host:8084/checkin`. An agent says itself where it listens, so that what it says is called
/// only if that is where its last report came from, or in one of these networks.
#[derive(Clone, Debug, Default)]
pub struct OverHttp {
    networks: Vec<IpNet>,
}

impl OverHttp {
    /// With the networks in which agents may listen wherever their reports come from.
    #[must_use]
    pub fn within(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }
}

impl Wake for OverHttp {
    fn wake(&self, agent: Listening) -> BoxFuture<'static, Result<WakeReply, Unreached>> {
        let networks = self.networks.clone();
        Box::pin(async move {
            let from: Option<IpAddr> = agent.reported_from.as_deref().and_then(|from| from.parse().ok());
            let may = |ip: IpAddr| {
                from.is_some_and(|from| from == ip) || networks.iter().any(|network| network.contains(&ip))
            };
            let reach = Reach::Only {
                may: &may,
                from: agent.reported_from.as_deref(),
            };
            wake_within(&agent.address, reach, LIMIT)
                .await
                .map_err(|failure| Unreached {
                    failed_step: failure.step.word().to_lowercase(),
                    problem: Problem::unavailable(failure.what).hint(failure.hint),
                })
        })
    }
}
