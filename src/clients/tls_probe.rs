//! A real TLS handshake that reads what a server serves, without trusting it.
