//! cmp-console: a terminal console for the people who are on call for a Certificate Management
//! Platform, together with the platform's own services.
//!
//! Modules stand on floors and import downward only (`tests/architecture.rs` holds them to it);
//! `ARCHITECTURE.md` is the map.

pub mod clock;
pub mod config;
pub mod domain;
pub mod problem;
pub mod telemetry;

pub mod clients;
pub mod store;
pub mod wire;

pub mod plan;

pub mod actions;

pub mod services;

pub mod state;

pub mod views;
pub mod widgets;

pub mod console;

pub mod cli;
