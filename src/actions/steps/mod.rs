//! Steps that several actions share, and the longer proofs.

pub(super) mod await_agent;
pub(super) mod prove_handshake;
pub(super) mod prove_revocation;
pub(super) mod standing;
