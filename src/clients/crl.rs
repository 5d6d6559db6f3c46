//! Fetches a certificate revocation list and reads it. It checks no signature: the proof that it serves is
//! "the CA now publishes this serial", not trust in the CA.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::redirect::Policy;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::body::{self, BodyError, Limit};
use super::http::client_builder;
use super::proxy::{self, by_environment};
use crate::domain::certificate::normal_serial;
use crate::problem::{Problem, ProblemKind};

/// How long fetching may take.
const TIME: Duration = Duration::from_secs(10);
/// A million revocations are some 40 MiB.
const LIST: Limit = Limit {
    bytes: 64 << 20,
    time: TIME,
};

/// Redirects that are followed at most; distribution points have one, to a mirror.
const MOST_REDIRECTS: usize = 3;

/// A list as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// The distinguished name of the CA that made it.
    pub issuer: String,
    /// When it was made.
    pub this_update: DateTime<Utc>,
    /// When the next one is due.
    pub next_update: Option<DateTime<Utc>>,
    /// Its number (RFC 5280 §5.2.3), if it carries one.
    pub number: Option<String>,
    /// The serials on it, in the platform's notation.
    pub serials: BTreeSet<String>,
}

/// Fetches the list at `url`, in DER or PEM.
///
/// # Errors
/// That it can't be reached, was refused, or isn't a CRL.
pub async fn fetch(url: &str) -> Result<Crl, Problem> {
    let unreachable = |error: reqwest::Error| {
        Problem::unavailable(format!(
            "the CRL at `{url}` can't be fetched{}: {}",
            proxy::words(url),
            error.without_url()
        ))
    };
    let http = by_environment(client_builder())
        .timeout(TIME)
        .redirect(Policy::custom(|attempt| {
            let was_secret = attempt.previous().iter().any(|url| url.scheme() == "https");
            match attempt.previous().len() {
                // A list that TLS was wanted for is not taken without it.
                1..=MOST_REDIRECTS if !was_secret || attempt.url().scheme() == "https" => attempt.follow(),
                _ => attempt.stop(),
            }
        }))
        .build()
        .map_err(unreachable)?;
    let response = http.get(url).send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        let status = response.status();
        return Err(Problem::new(
            ProblemKind::BackendFailed,
            format!("the CRL at `{url}` was answered with {status}"),
        ));
    }
    let bytes = body::whole(response, LIST).await.map_err(|error| match error {
        BodyError::Broken(error) => unreachable(error),
        other => Problem::new(
            ProblemKind::BackendFailed,
            format!("the CRL at `{url}` can't be taken: {other}"),
        ),
    })?;
    parse(&bytes).map_err(|error| {
        Problem::new(
            ProblemKind::BackendFailed,
            format!("`{url}` is not a CRL: {error}"),
        )
    })
}

/// Reads a list in DER or PEM.
///
/// # Errors
/// What is wrong with the bytes.
pub fn parse(bytes: &[u8]) -> Result<Crl, String> {
    let from_pem = bytes
        .starts_with(b"-----")
        .then(|| pem::parse(bytes))
        .transpose()
        .map_err(|e| e.to_string())?;
    let der = from_pem.as_ref().map_or(bytes, |pem| pem.contents());
    let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
    let time = |time: x509_parser::time::ASN1Time| DateTime::from_timestamp(time.timestamp(), 0);
    Ok(Crl {
        issuer: list.issuer().to_string(),
        this_update: time(list.last_update()).ok_or("thisUpdate is out of range")?,
        next_update: list.next_update().and_then(time),
        number: list.crl_number().map(|number| number.to_str_radix(10)),
        serials: list
            .iter_revoked_certificates()
            .filter_map(|revoked| normal_serial(&hex::encode(revoked.raw_serial())))
            .map(|serial| serial.strip_prefix("00:").map(str::to_owned).unwrap_or(serial))
            .collect(),
    })
}

impl Crl {
    /// Whether `serial`, in any notation, is on the list.
    #[must_use]
    pub fn lists(&self, serial: &str) -> bool {
        normal_serial(serial).is_some_and(|serial| {
            self.serials.contains(&serial)
                || serial
                    .strip_prefix("00:")
                    .is_some_and(|s| self.serials.contains(s))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_pem_makes_it_panic(text in "-----BEGIN X509 CRL-----\n[A-Za-z0-9+/=\n]{0,200}-----END X509 CRL-----\n") {
            let _ = parse(text.as_bytes());
        }
    }
}
