//! The console's loop.
