//! Idle times at the two ends of a connection. The one who asks lets go first, clearly:
//! a call that is sent into a connection that is just being closed is neither answered nor known to be lost.

use std::time::Duration;

/// Our clients.
pub const CLIENTS_KEEP: Duration = Duration::from_secs(10);

/// Our servers, all of them.
pub const SERVERS_KEEP: Duration = Duration::from_secs(20);

/// The time a call may be under way to a server that is about to let go, and that a clock's tick may take.
pub const APART: Duration = Duration::from_secs(5);

const _: () = assert!(CLIENTS_KEEP.as_secs() + APART.as_secs() <= SERVERS_KEEP.as_secs());
