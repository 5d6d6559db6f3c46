//! Becoming an agent: a one-time token is spent for an id and a token of its own.
//!
//! A crash between the platform's answer and our disk is survived: the same one-time token is sent
//! with the same idempotency key, and the platform answers as before.

use aws_lc_rs::digest::{SHA256, digest};

use super::AgentError;
use super::host::Host;
use super::identity::{Identity, Proof};
use super::next_identity::{NextError, NextIdentity};
use super::report::install_dirs;
use crate::clients::agent_api::AgentApi;
use crate::config::secret::{SecretError, SecretSource};
use crate::domain::secret::Secret;
use crate::problem::Problem;
use crate::wire::agents::EnrolBody;

/// Spends `token`; the identity is on disk when this returns. The second value is the interval that
/// the platform asks for, in seconds.
pub(super) async fn enrol(
    host: &Host,
    api: &AgentApi,
    token: &Secret,
    before: Option<&Proof>,
    address: String,
) -> Result<(Identity, i64), AgentError> {
    let key = name_of(token);
    let next = match api.speaks_tls() {
        true => Some(NextIdentity::begin(&host.config.state_dir, before).map_err(not_begun)?),
        false => None,
    };
    let body = EnrolBody {
        hostname: host.config.hostname.clone(),
        address,
        tls_address: host.config.tls_address.clone(),
        install_dirs: install_dirs(host),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        owner: host.config.owner.clone(),
        identity_csr_pem: next.as_ref().map(|next| next.csr_pem.clone()),
    };
    let reply = api.enrol(token, &format!("enrol-{key}"), &body).await?;
    let proof = match (&next, reply.identity_pem) {
        (Some(next), Some(pem)) => Some(next.certified(pem).map_err(not_begun)?),
        _ => None,
    };
    let identity = Identity {
        agent_id: reply.agent_id,
        token: reply.token,
        enrolled_with: Some(key),
        proof,
    };
    identity.write(&host.config.state_dir)?;
    if let Some(proof) = &identity.proof {
        api.show(&proof.certificate_pem, &proof.key_pem)?;
        if let Some(next) = next {
            next.done()?;
        }
    }
    tracing::info!(
        agent = %identity.agent_id, certified = identity.proof.is_some(),
        "enrolled as `{}`", identity.agent_id
    );
    Ok((identity, reply.checkin_interval_s))
}

pub(super) fn not_begun(error: NextError) -> AgentError {
    match error {
        NextError::File(error) => AgentError::File(error),
        NextError::Key(error) => AgentError::Key(error),
        error => AgentError::Platform(Problem::internal(error.to_string())),
    }
}

/// The one-time token, if there is one: it may be removed once it was spent.
///
/// # Errors
/// Why it can't be got though it is there.
pub async fn one_time_token(from: Option<&SecretSource>) -> Result<Option<Secret>, SecretError> {
    match from {
        Some(from) => from.read_token_if_there().await,
        None => Ok(None),
    }
}

/// Names a one-time token without giving it away.
pub(super) fn name_of(token: &Secret) -> String {
    let text = zeroize::Zeroizing::new(format!("cmp-agent one-time token\n{}", token.expose()));
    let hash = hex::encode(digest(&SHA256, text.as_bytes()));
    hash.get(..32).unwrap_or(&hash).to_owned()
}
