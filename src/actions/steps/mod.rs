//! Steps that several actions share.

pub(super) mod prove_handshake;
