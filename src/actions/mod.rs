//! The registry of everything an operator can start.
