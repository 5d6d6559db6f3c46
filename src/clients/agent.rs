//! The wake-up of an agent, step by step: name, connect, HTTP.
