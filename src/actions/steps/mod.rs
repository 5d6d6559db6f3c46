//! Steps that several actions share, and the longer proofs.

pub(super) mod await_agent;
mod expected;
pub(super) mod prove_handshake;
pub(super) mod prove_revocation;
pub(super) mod standing;
