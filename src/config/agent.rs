//! The configuration of `cmp-agent`.
