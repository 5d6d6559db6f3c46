//! The whole suite, for one of the databases: which one it is for, its name says.

mod adapters;
mod agents;
mod bad_input;
mod bans;
mod cache;
mod crowd;
mod csr;
mod denials;
mod document;
mod doors;
mod edge;
mod events;
mod findings;
mod full;
mod identity;
mod lists;
mod load;
mod mirror;
mod routes;
mod runbooks;
mod support;
mod tokens;
mod twice;
mod whose;
mod words;
mod workers;
