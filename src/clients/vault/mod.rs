//! Vault or OpenBao, through `vaultrs`, behind types of our own: a reader that can change nothing and
//! a writer that signs, revokes and unseals. It knows no request and no certificate of the inventory.
//!
//! Every call has a time limit. What `vaultrs` has no call for, or whose answer it cuts short (seal
//! status with its nonce, CRL and chain as raw PEM), goes through `reqwest` here and nowhere else.

mod error;
mod link;
mod place;
mod reader;
mod request;
mod session;
mod writer;

pub use error::VaultError;
pub use place::{Login, Place};
pub use reader::{CaCertificate, CrlRule, Health, Mount, SealStatus, VaultReader};
pub use session::Lasts;
pub use writer::{Revoked, Signed, VaultWriter};
