//! The API and, by role, the issuer.
fn main() {}
