//! Steps that several actions share, and the longer ones.

pub(super) mod await_agent;
mod expected;
pub(super) mod prove_handshake;
pub(super) mod prove_revocation;
pub(super) mod reissue;
pub(super) mod standing;
