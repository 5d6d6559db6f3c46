//! Configuration files: found, read, and refused with the line, what is wrong and what is allowed.

pub mod agent;
