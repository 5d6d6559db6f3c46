//! The terminal console; `demo` starts the embedded platform beside it.
fn main() {}
