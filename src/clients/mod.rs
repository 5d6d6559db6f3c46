//! Typed clients of the backends. They speak; they decide nothing.

pub mod acme;
pub mod agent;
pub mod agent_api;
pub mod anchors;
mod answer;
pub mod api;
mod body;
pub mod cache;
mod causes;
pub mod crl;
mod crl_scope;
mod crl_signature;
pub(crate) mod distrust;
mod exchange;
mod http;
pub mod proxy;
pub mod tls_look;
pub mod tls_probe;
pub mod vault;
