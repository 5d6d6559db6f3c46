//! The statements that a run of the suite sends, written on a list.

#![allow(
    dead_code,
    reason = "who runs the suite and who sends its statements use each a part"
)]

use std::fs::OpenOptions;
use std::sync::{Mutex, Once};

/// Variable with the path of the list.
pub(crate) const LIST: &str = "CMP_TEST_STATEMENTS";

/// Has the statements of this process written down, where that is wanted of it.
pub(crate) fn note() {
    static ONCE: Once = Once::new();
    let Ok(path) = std::env::var(LIST) else { return };
    ONCE.call_once(|| {
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        tracing_subscriber::fmt()
            .json()
            .with_env_filter("sqlx::query=debug")
            .with_writer(Mutex::new(file))
            .try_init()
            .unwrap();
    });
}
