//! Ports for servers that have to be told one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the system gives to connections that go out.
const FIRST: u32 = 10_000;
const N: u32 = 22_000;

/// One that is free now, and given to nobody else in this process.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..N {
        // Processes that run beside this one begin elsewhere.
        let n = std::process::id()
            .wrapping_mul(131)
            .wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + n % N).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free")
}
