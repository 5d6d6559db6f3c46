//! The platform's own daemons, and the embedded platform that runs them all in one process.

pub mod agent;
pub mod api;
mod beat;
mod certify;
pub mod issuer;
pub mod platform;
pub mod scheduler;
pub mod serve;
pub mod vault;
pub mod wake;
