//! The embedded platform: everything in one process on loopback.
