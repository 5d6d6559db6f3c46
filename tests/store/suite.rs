//! The whole suite, for one of the databases: which one it is for, its name says.

mod audit;
mod fixture;
mod issuance;
mod jobs;
mod kept_states;
mod pages;
mod renewals;
mod revocation;
mod searches;
mod since;
mod states;
mod tokens;
mod turns;
mod words;
