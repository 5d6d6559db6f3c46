//! Whether a caller is the agent that its token is of. The token alone can be copied off a backup or a wire;
//! the key of the certificate that goes with it doesn't leave the host.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::ApiState;
use super::reply::problem_of;
use crate::domain::certificate::normal_serial;
use crate::domain::role::Role;
use crate::problem::{Denial, Problem, ProblemKind};
use crate::services::serve::Peer;
use crate::store::tokens::{Known, Purpose};
use crate::store::{StoreError, identities};

/// Asked of an agent that has an identity: the certificate that counts, or the one that it was given to
/// follow, which counts from then on. Nothing is asked of others.
pub(super) async fn prove(api: &ApiState, known: &Known, peer: Option<&Peer>) -> Result<(), Problem> {
    let token = &known.token;
    let asked = token.role == Role::Agent && token.purpose == Purpose::Bearer;
    let (Some(agent_id), true) = (&token.agent_id, asked) else {
        return Ok(());
    };
    // Refused for that in any case, and nothing that it shows is to change anything.
    if token.good(api.store.now()).is_err() {
        return Ok(());
    }
    if known.identity.is_none() && known.next_identity.is_none() {
        return Ok(());
    }
    let shown = shown(api, peer);
    if let Ok(serial) = &shown {
        if known.identity.as_ref() == Some(serial) {
            return Ok(());
        }
        if known.next_identity.as_ref() == Some(serial) && promote(api, agent_id, serial).await? {
            tracing::info!(agent = %agent_id, %serial, "the agent's next identity is in force");
            return Ok(());
        }
    }
    if known.identity.is_none() {
        // Its first one was signed and never shown: it may not have arrived.
        return Ok(());
    }
    let why = match shown {
        Ok(serial) => refused(format!(
            "the agent showed the certificate {serial}, which is not the one that counts"
        ))
        .hint("its state was set back or copied, or another one shows what was its own; find out which before it enrols again"),
        Err(problem) => problem,
    };
    tracing::warn!(agent = %agent_id, "an agent's token was used by who did not prove to be it: {}", why.what);
    Err(why)
}

/// The serial that was shown by who may be believed.
fn shown(api: &ApiState, peer: Option<&Peer>) -> Result<String, Problem> {
    if api.identity_ca.is_none() {
        return Err(Problem::unavailable(
            "this server can't tell whether the agent is itself: it has no CA for agents",
        )
        .hint("start it with the `agent_ca_cert` and `agent_ca_key` of the other servers"));
    }
    let Some(peer) = peer else {
        return Err(
            refused("the agent's token is good only with the agent's certificate, which was not shown".to_owned())
                .hint("if something between agent and API ends TLS, let it pass TLS on; otherwise the token was copied, or the agent has lost its state"),
        );
    };
    let (_, certificate) = X509Certificate::from_der(&peer.certificate)
        .map_err(|_| refused("the agent's certificate can't be read".to_owned()))?;
    let (now, validity) = (api.store.now().timestamp(), certificate.validity());
    if now < validity.not_before.timestamp() {
        // It was signed by a server whose clock is ahead, which enrolling again would not help.
        return Err(
            Problem::unavailable("the agent's certificate is not valid yet by this server's clock")
                .hint("check the clocks of the API's servers; the agent asks again by itself"),
        );
    }
    // Asked again here: a connection may stay open for longer than what it was opened with is good.
    if now > validity.not_after.timestamp() {
        return Err(refused("the agent's certificate has expired".to_owned()));
    }
    if let Some(why) = &peer.distrusted {
        return Err(refused(format!("the agent's certificate {why}")));
    }
    normal_serial(&hex::encode(certificate.raw_serial()))
        .ok_or_else(|| refused("the agent's certificate has no serial".to_owned()))
}

fn refused(what: String) -> Problem {
    Problem::new(ProblemKind::NotAuthenticated, what).denial(Denial::ReEnrol)
}

async fn promote(api: &ApiState, agent_id: &str, serial: &str) -> Result<bool, Problem> {
    let done = async {
        let mut tx = api.store.begin().await?;
        let promoted = identities::promote(&mut tx, agent_id, serial).await?;
        tx.commit().await?;
        Ok::<bool, StoreError>(promoted)
    };
    done.await.map_err(problem_of)
}
