//! Plans are data; one executor carries them out. Planning only reads; a change needs [`ports::Writes`],
//! which only the executor makes, from a [`confirm::Confirmed`] that only the confirm rules make, after
//! the run is on record. No action has a rule of its own here.

mod aftermath;
pub mod confirm;
pub mod executor;
pub mod guard;
pub mod journal;
pub mod known;
pub mod one_database;
mod order;
pub mod outcome;
mod owner;
#[expect(
    clippy::module_inception,
    reason = "the room is named after the one thing it is about"
)]
pub mod plan;
pub mod ports;
mod recheck;
pub mod record;
mod sent;
pub mod step;
pub mod tier;
pub mod vault_nodes;
