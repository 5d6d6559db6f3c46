//! How HTTP clients are set up here.

use reqwest::ClientBuilder;

/// Leaves the system's trust store alone when no TLS will be spoken: reading it costs more than all
/// the rest of a client.
pub(super) fn without_unused_roots(builder: ClientBuilder, scheme: &str) -> ClientBuilder {
    if scheme == "http" {
        builder.tls_certs_only([])
    } else {
        builder
    }
}
