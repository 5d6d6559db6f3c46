//! The HTTP API on 8082.
