//! TLS with a PostgreSQL: why it doesn't come about, the file with its CA, and what is left unchecked. Where
//! the CA is named differs, and so does that one next step: whoever tells it knows it.

use std::error::Error;
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::clients::distrust::distrust;
use crate::config::pem_file;

/// What sqlx says where the server has no TLS and it has to be; it has no kind of its own.
const HAS_NONE: &str = "server does not support TLS";

/// Why TLS didn't come about.
pub(super) struct NoTls {
    pub(super) what: String,
    /// The next step; `None` is to name the CA.
    pub(super) hint: Option<&'static str>,
}

/// The reason, if TLS is why `error` happened.
pub(super) fn refused(error: &sqlx::Error) -> Option<NoTls> {
    if let Some(it) = distrust(error) {
        return Some(NoTls {
            what: format!("its certificate {}", it.what),
            hint: (!it.is_of_unknown_ca).then_some(it.hint),
        });
    }
    let (what, hint) = match error {
        sqlx::Error::Tls(why) if why.to_string() == HAS_NONE => (
            "it doesn't speak TLS, and has to".to_owned(),
            "set `ssl = on` with a certificate in its postgresql.conf",
        ),
        sqlx::Error::Tls(why) => (
            format!("TLS doesn't come about: {why}"),
            "look at the host's name and the CA file",
        ),
        // The handshake failed for what the other side said or can't do.
        sqlx::Error::Io(why) => {
            let why = why.get_ref()?.downcast_ref::<rustls::Error>()?;
            (
                format!("TLS doesn't come about: {why}"),
                "look at its log, and at `ssl_min_protocol_version` there",
            )
        }
        _ => return None,
    };
    Some(NoTls {
        what,
        hint: Some(hint),
    })
}

/// Whether CAs can be read from `file`. Asked before connecting: the connection would only say that there is
/// no such file, as of a socket, or trust nobody.
///
/// # Errors
/// Why not, in words that follow the file's name.
pub(super) fn readable_ca(file: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    pem_file::certificates(file)?;
    Ok(())
}

/// Whether the CA that an address names can be read, where it is needed.
///
/// # Errors
/// Which file can't, and why.
pub(super) fn check_ca(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    if !matches!(
        options.get_ssl_mode(),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull
    ) {
        return Ok(());
    }
    // The options don't give it, but their address does; one that stands there itself has no file.
    let url = options.to_url_lossy();
    let named = url.query_pairs().find(|(name, _)| name == "sslrootcert");
    let Some(file) = named.as_ref().and_then(|(_, it)| it.strip_prefix("file: ")) else {
        return Ok(());
    };
    readable_ca(Path::new(file))
        .map_err(|why| sqlx::Error::Configuration(format!("`sslrootcert`: `{file}` {why}").into()))
}

/// What isn't checked of who answers there, as long as it could be somebody else: not through a socket.
pub(super) fn unchecked(options: &PgConnectOptions) -> Option<&'static str> {
    if options.get_socket().is_some() || options.get_host().starts_with('/') {
        return None;
    }
    match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow => Some("without TLS"),
        PgSslMode::Prefer => Some("TLS only if it offers it, and unchecked who it is"),
        PgSslMode::Require => Some("TLS, but unchecked who it is"),
        PgSslMode::VerifyCa => Some("TLS, but any host that its CA knows would do"),
        PgSslMode::VerifyFull => None,
    }
}
