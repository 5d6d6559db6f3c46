//! The embedded platform: everything in one process on loopback, for `demo`. It wires and seeds; the
//! services themselves are next door and know nothing of it.

mod fleet;
mod listeners;
mod port_owner;
mod secrets;
mod state_dir;

pub use listeners::{BindError, Ports};
