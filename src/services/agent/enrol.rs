//! Becoming an agent: a one-time token is spent for an id and a token of its own.
//!
//! A crash between the platform's answer and our disk is survived: the same one-time token is sent
//! with the same idempotency key, and the platform answers as before.

use aws_lc_rs::digest::{SHA256, digest};

use super::AgentError;
use super::host::Host;
use super::identity::Identity;
use super::report::install_dirs;
use crate::clients::agent_api::AgentApi;
use crate::config::secret::{SecretError, SecretSource};
use crate::domain::secret::Secret;
use crate::wire::agents::EnrolBody;

/// Spends `token`; the identity is on disk when this returns. The second value is the interval that
/// the platform asks for, in seconds.
pub(super) async fn enrol(
    host: &Host,
    api: &AgentApi,
    token: &Secret,
    address: String,
) -> Result<(Identity, i64), AgentError> {
    let key = name_of(token);
    let body = EnrolBody {
        hostname: host.config.hostname.clone(),
        address,
        tls_address: host.config.tls_address.clone(),
        install_dirs: install_dirs(host),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        owner: host.config.owner.clone(),
    };
    let reply = api.enrol(token, &format!("enrol-{key}"), &body).await?;
    let identity = Identity {
        agent_id: reply.agent_id,
        token: reply.token,
        enrolled_with: Some(key),
    };
    identity.write(&host.config.state_dir)?;
    tracing::info!(agent = %identity.agent_id, "enrolled as `{}`", identity.agent_id);
    Ok((identity, reply.checkin_interval_s))
}

/// The one-time token, if there is one: it may be removed once it was spent.
///
/// # Errors
/// Why it can't be got though it is there.
pub async fn one_time_token(from: Option<&SecretSource>) -> Result<Option<Secret>, SecretError> {
    match from {
        Some(from) => from.read_if_there().await,
        None => Ok(None),
    }
}

/// Names a one-time token without giving it away.
pub(super) fn name_of(token: &Secret) -> String {
    let text = zeroize::Zeroizing::new(format!("cmp-agent one-time token\n{}", token.expose()));
    let hash = hex::encode(digest(&SHA256, text.as_bytes()));
    hash.get(..32).unwrap_or(&hash).to_owned()
}
