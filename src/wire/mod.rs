//! HTTP bodies that both sides share: what the API, its clients and the agents say to each other.
//! The things themselves are in `domain`; here are the envelopes, questions and replies.

pub mod adapters;
pub mod agents;
pub mod certs;
pub mod filter;
pub mod health;
pub mod idle;
pub mod page;
pub mod problem_json;
pub mod requests;
pub mod runs;
pub mod strict;
pub mod tokens;
pub mod trends;
