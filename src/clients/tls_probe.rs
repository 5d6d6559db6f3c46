//! A real TLS handshake that reads what a server serves, without trusting it.
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct ProbeError;
pub struct Served {
    pub fingerprint_sha256: String,
}
pub async fn probe(_address: &str, _name: &str, _limit: std::time::Duration) -> Result<Served, ProbeError> {
    Err(ProbeError)
}
