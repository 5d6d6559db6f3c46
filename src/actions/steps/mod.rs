//! Steps that several actions share.

pub(super) mod await_agent;
pub(super) mod prove_handshake;
pub(super) mod standing;
