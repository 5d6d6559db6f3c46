//! The agent on a host.
fn main() {}
