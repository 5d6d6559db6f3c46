//! How HTTP clients are set up here, and whom they trust.

use std::path::Path;

use reqwest::{Certificate, ClientBuilder};

use super::causes::chain;
use super::proxy::by_environment;
use crate::config::pem_file;
use crate::problem::Problem;
use crate::wire::idle::CLIENTS_KEEP;

/// The beginning of every client: it lets go of connections before our servers do.
pub(super) fn client_builder() -> ClientBuilder {
    reqwest::Client::builder().pool_idle_timeout(CLIENTS_KEEP)
}

/// Leaves the system's trust store alone when no TLS will be spoken: reading it costs more than all
/// the rest of a client.
pub(super) fn without_unused_roots(builder: ClientBuilder, scheme: &str) -> ClientBuilder {
    if scheme == "http" {
        builder.tls_certs_only([])
    } else {
        builder
    }
}

/// A client where a server may have its certificate from a CA of one's own: `ca` is a file with its
/// certificates in PEM. Then only that CA is trusted, since no other is expected to speak for the server.
///
/// # Errors
/// The file can't be read, or holds no certificate.
pub(super) fn trusting(
    builder: ClientBuilder,
    scheme: &str,
    ca: Option<&Path>,
) -> Result<ClientBuilder, Problem> {
    let builder = without_unused_roots(by_environment(builder), scheme);
    let Some(path) = ca.filter(|_| scheme != "http") else {
        return Ok(builder);
    };
    let wrong = |why: String| {
        Problem::bad_input(format!("the CA file `{}` {why}", path.display()))
            .hint("give the PEM file with the certificate of the CA that issued the server's")
    };
    let roots = roots_in(path).map_err(wrong)?;
    Ok(builder.tls_certs_only(roots))
}

/// The CAs that a file names, or why there are none, in words that follow its name.
pub(super) fn roots_in(path: &Path) -> Result<Vec<Certificate>, String> {
    let found = pem_file::certificates(path).map_err(|refusal| refusal.to_string())?;
    let certificate = |der: &Vec<u8>| Certificate::from_der(der).map_err(|error| chain(&error));
    found.iter().map(certificate).collect()
}
