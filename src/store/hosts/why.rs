//! Why a host of the database can't be read, for people at a console: what happened and the next step. The
//! address they know already.

use std::io::ErrorKind;

use super::PATIENCE;
use crate::store::tls;

/// What went wrong, and what to do.
pub(super) fn why(error: &sqlx::Error) -> String {
    if let Some(it) = tls::refused(error) {
        let hint = it
            .hint
            .unwrap_or("name the CA that it comes from in `ca` of the context's database");
        return format!("{}: {hint}", it.what);
    }
    match error {
        sqlx::Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                format!("{error}: look whether it runs, and at host and port")
            }
            _ => format!("{error}: look whether it runs and can be reached"),
        },
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // Bad password, or no line for it.
            Some("28P01" | "28000") => format!(
                "{}: check user and password, and what `pg_hba.conf` lets in",
                error.message()
            ),
            _ => error.message().to_owned(),
        },
        sqlx::Error::PoolTimedOut => silent(),
        error => error.to_string(),
    }
}

/// It said nothing in time.
pub(super) fn silent() -> String {
    format!(
        "no answer within {} s: look whether it runs and can be reached",
        PATIENCE.as_secs()
    )
}
