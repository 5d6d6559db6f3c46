//! Many handshakes instead of one: a server has workers and addresses, and each of them may serve something else.
//!
//! Users come with fresh connections, so each look is one. Those of a first burst are there at the same time, which
//! brings workers to answer that a row of single connections never reaches.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::anchors;
use super::tls_probe::{ProbeFailure, Served, addresses, probe_at};
use crate::domain::chain::{self, Fault, Known};

/// Addresses behind one name that are looked at. Of a name with more, nothing is said of all.
const MAX_ADDRESSES: usize = 64;
/// Connections of one look, each of its two parts.
const MAX_AT_ONCE: u32 = 32;
/// Handshakes of this process that are under way at a time, whoever asked for them.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(128));

/// How often each address is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Connections at the same time, at once.
    pub at_once: u32,
    /// Connections after these, one by one.
    pub later: u32,
    /// The time over which those are spread.
    pub over: Duration,
}

impl Effort {
    /// For a proof: of three workers of which one still has the old certificate, 16 connections that are spread by
    /// chance miss that one in 2 of 1,000 proofs.
    pub const PROOF: Self = Self {
        at_once: 8,
        later: 8,
        over: Duration::from_secs(2),
    };
    /// For one proof among many that follow each other: as many connections, all at the same time.
    pub const AT_ONCE: Self = Self {
        at_once: 16,
        later: 0,
        over: Duration::ZERO,
    };
    /// For a routine look, which is made again before long.
    pub const ROUTINE: Self = Self {
        at_once: 8,
        later: 0,
        over: Duration::ZERO,
    };

    /// Twice as many connections in the same time, up to a limit.
    #[must_use]
    pub fn doubled(self) -> Self {
        Self {
            at_once: (self.at_once * 2).min(MAX_AT_ONCE),
            later: (self.later * 2).min(MAX_AT_ONCE),
            ..self
        }
    }

    /// As many connections, the later ones spread over another time.
    #[must_use]
    pub fn over(self, over: Duration) -> Self {
        Self { over, ..self }
    }
}

/// One connection, and what it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where it went.
    pub address: SocketAddr,
    /// What was served there.
    pub outcome: Result<Served, ProbeFailure>,
}

/// Connections to one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Certificate, or failure, of each of them.
    pub samples: Vec<Sample>,
    /// Addresses behind the name.
    pub n_addresses: usize,
    /// Those of them that were looked at.
    pub n_looked_at: usize,
}

/// Looks at every address behind `address` (`host:port`); `limit` is for each connection.
///
/// # Errors
/// That the address is none, or its name doesn't resolve.
pub async fn look(
    address: &str,
    server_name: Option<&str>,
    limit: Duration,
    effort: Effort,
) -> Result<Look, ProbeFailure> {
    let found = addresses(address, limit).await?;
    Ok(look_at(address, &found, server_name, limit, effort).await)
}

/// Look at these addresses of it.
async fn look_at(
    address: &str,
    found: &[SocketAddr],
    server_name: Option<&str>,
    limit: Duration,
    effort: Effort,
) -> Look {
    let looked_at = found.get(..MAX_ADDRESSES).unwrap_or(found);
    let mut waits = vec![Duration::ZERO; effort.at_once as usize];
    waits.extend((1..=effort.later).map(|i| effort.over * i / effort.later));
    let samples = looked_at.iter().flat_map(|at| {
        waits.iter().map(move |wait| async move {
            sleep(*wait).await;
            // Never closed.
            let _room = ROOM.acquire().await;
            let outcome = probe_at(address, &[*at], server_name, limit).await;
            Sample {
                address: *at,
                outcome,
            }
        })
    });
    Look {
        samples: join_all(samples).await,
        n_addresses: found.len(),
        n_looked_at: looked_at.len(),
    }
}

/// What all samples together say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Connections that showed a certificate.
    pub n: usize,
    /// Those of them that showed another one than expected.
    pub n_other: usize,
    /// The first of the others.
    pub other: Option<Served>,
    /// Where others were seen.
    pub others_at: Vec<SocketAddr>,
    /// The one that was expected.
    pub expected: Option<Served>,
    /// Why a connection showed nothing, where some other one did.
    pub silent: Vec<(SocketAddr, ProbeFailure)>,
    /// Fault of the chain that was sent with the expected one.
    pub fault: Option<Fault>,
    /// Addresses behind the name, and how many of them were looked at.
    pub addresses: (usize, usize),
}

impl Seen {
    /// Holds the samples against the fingerprints of which one is expected, and what was sent with that against `known`,
    /// the chain above it, and the time.
    ///
    /// # Errors
    /// The first failure, where no connection showed a certificate.
    pub fn of(
        look: Look,
        expected: &[String],
        known: &[Vec<u8>],
        now: DateTime<Utc>,
    ) -> Result<Self, ProbeFailure> {
        let known = Known {
            chain: known,
            anchors: anchors::of_this_machine(),
            now,
        };
        // All workers mostly send the same.
        let mut checked: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut seen = Self {
            n: 0,
            n_other: 0,
            other: None,
            others_at: Vec::new(),
            expected: None,
            silent: Vec::new(),
            fault: None,
            addresses: (look.n_addresses, look.n_looked_at),
        };
        for Sample { address, outcome } in look.samples {
            match outcome {
                Err(failure) => seen.silent.push((address, failure)),
                Ok(served) => {
                    seen.n += 1;
                    let is_it = |it: &String| it.eq_ignore_ascii_case(&served.fingerprint_sha256);
                    if expected.iter().any(is_it) {
                        if seen.fault.is_none() && !checked.contains(&served.chain_der) {
                            seen.fault = chain::complete(&served.chain_der, &known).err();
                            checked.push(served.chain_der.clone());
                        }
                        seen.expected.get_or_insert(served);
                    } else {
                        seen.n_other += 1;
                        if !seen.others_at.contains(&address) {
                            seen.others_at.push(address);
                        }
                        seen.other.get_or_insert(served);
                    }
                }
            }
        }
        match seen.silent.first() {
            Some((_, failure)) if seen.n == 0 => Err(failure.clone()),
            _ => Ok(seen),
        }
    }

    /// `3 of 16 connections to \`web-01:443\` still show another certificate: …`; nothing where all show what is
    /// expected.
    #[must_use]
    pub fn disagreement(&self, address: &str) -> Option<String> {
        let Some(other) = self.other.as_ref() else {
            return self.broken(address).or_else(|| self.unseen(address));
        };
        let which = format!(
            "`{}…` (`{}`, until {})",
            other.fingerprint_sha256.get(..16).unwrap_or_default(),
            other.subject,
            other.not_after.format("%Y-%m-%d %H:%M:%SZ")
        );
        if self.n_other == self.n {
            return Some(format!("`{address}` serves another certificate: {which}"));
        }
        let at: Vec<String> = self.others_at.iter().map(SocketAddr::to_string).collect();
        Some(format!(
            "{} of {} connections to `{address}` still show another certificate: {which}, at {}; a worker or a host \
             behind the address was not reloaded",
            self.n_other,
            self.n,
            at.join(", ")
        ))
    }

    /// Addresses that nobody looked at say nothing, good or bad.
    fn unseen(&self, address: &str) -> Option<String> {
        let (n, looked_at) = self.addresses;
        (looked_at < n).then(|| {
            format!(
                "{looked_at} of {n} addresses behind `{address}` looked at, and all show it: what the others show is not \
                 known; give each part of them a name of its own"
            )
        })
    }

    /// Handshakes that failed where others came about: who meets such a worker sees an error. An address where nobody
    /// listens is passed over, as clients do.
    fn broken(&self, address: &str) -> Option<String> {
        let failed = |(_, failure): &&(SocketAddr, ProbeFailure)| matches!(failure, ProbeFailure::Tls { .. });
        let n = self.silent.iter().filter(failed).count();
        let (at, failure) = self.silent.iter().find(failed)?;
        Some(format!(
            "{n} of {} connections to `{address}` showed no certificate, at {at}: {failure}",
            self.n + self.silent.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_lc_rs::digest::{SHA256, digest};
    use rustls::crypto::aws_lc_rs as provider;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;
    use crate::clock::Clock;

    /// A server that shows a certificate of its own; its fingerprint, and when it was asked.
    async fn server(listener: TcpListener) -> (String, Arc<Mutex<Vec<Instant>>>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let fingerprint = hex::encode(digest(&SHA256, certificate.der()));
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                notes.lock().unwrap().push(Instant::now());
                let acceptor = acceptor.clone();
                tokio::spawn(async move { drop(acceptor.accept(stream).await) });
            }
        });
        (fingerprint, asked)
    }

    /// A proof asks each address of a name, eight times at once and eight times over two seconds.
    #[tokio::test]
    async fn a_proof_asks_every_address_often_enough_and_for_two_seconds() {
        let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = one.local_addr().unwrap();
        let other = TcpListener::bind(("127.0.0.2", at.port())).await.unwrap();
        let addresses = [at, other.local_addr().unwrap()];
        let (one, asked_one) = server(one).await;
        let (other, asked_other) = server(other).await;
        let began = Instant::now();
        let limit = Duration::from_secs(20);
        let samples = look_at("web-01:443", &addresses, None, limit, Effort::PROOF).await;
        assert_eq!(samples.samples.len(), 32);
        for asked in [asked_one, asked_other] {
            let asked = asked.lock().unwrap();
            assert_eq!(asked.len(), 16);
            let last = asked.iter().max().unwrap().duration_since(began);
            assert!(last >= Duration::from_secs(2), "{last:?}");
            let late = asked
                .iter()
                .filter(|at| at.duration_since(began) >= Duration::from_secs(1));
            assert!(late.count() >= 4, "they are spread");
        }
        // The one address that wasn't reloaded is told, with its place.
        let seen = Seen::of(samples, std::slice::from_ref(&one), &[], Clock::system().now()).unwrap();
        assert_eq!((seen.n, seen.n_other), (32, 16));
        assert_eq!(seen.other.as_ref().unwrap().fingerprint_sha256, other);
        let words = seen.disagreement("web-01:443").unwrap();
        assert!(
            words.starts_with("16 of 32 connections") && words.contains("at 127.0.0.2:"),
            "{words}"
        );
    }

    /// Ten addresses behind one name, of which the last two were not reloaded: as many as a load balancer has.
    #[tokio::test]
    async fn a_proof_asks_the_last_address_of_many() {
        let first = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let (good, _) = server(first).await;
        let mut addresses = vec![SocketAddr::from(([127, 0, 0, 2], port)); 9];
        let stale = TcpListener::bind(("127.0.0.10", port)).await.unwrap();
        addresses.push(stale.local_addr().unwrap());
        let (old, _) = server(stale).await;
        let effort = Effort {
            at_once: 1,
            ..Effort::AT_ONCE
        };
        let limit = Duration::from_secs(20);
        let seen = |look| Seen::of(look, std::slice::from_ref(&good), &[], Clock::system().now()).unwrap();
        let look = look_at("web:443", &addresses, None, limit, effort).await;
        assert_eq!((look.n_addresses, look.n_looked_at), (10, 10));
        let words = seen(look).disagreement("web:443").unwrap();
        assert!(
            words.contains(&old[..16]) && words.contains("at 127.0.0.10:"),
            "{words}"
        );

        // Of more than are looked at, nothing is said of all.
        let many = vec![addresses[0]; 80];
        let look = look_at("web:443", &many, None, limit, effort).await;
        assert_eq!(look.samples.len(), 64);
        let words = seen(look).disagreement("web:443").unwrap();
        assert!(
            words.starts_with("64 of 80 addresses behind `web:443` looked at"),
            "{words}"
        );
    }

    fn of_one(samples: Vec<Sample>) -> Look {
        Look {
            samples,
            n_addresses: 1,
            n_looked_at: 1,
        }
    }

    fn sample(port: u16, shows: Result<&str, ()>) -> Sample {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let failed = |()| ProbeFailure::Tls {
            address: address.to_string(),
            why: "alert".to_owned(),
        };
        let served = |fingerprint: &str| Served {
            fingerprint_sha256: fingerprint.to_owned(),
            spki_sha256: String::new(),
            subject: "CN=a".to_owned(),
            serial: String::new(),
            not_before: DateTime::UNIX_EPOCH,
            not_after: DateTime::UNIX_EPOCH,
            chain_der: Vec::new(),
            protocol: None,
        };
        Sample {
            address,
            outcome: shows.map(served).map_err(failed),
        }
    }

    #[test]
    fn one_that_shows_the_old_one_is_counted_and_placed() {
        let expected = ["new".to_owned()];
        let all = vec![sample(1, Ok("NEW")), sample(1, Ok("new")), sample(2, Ok("old"))];
        let words = Seen::of(of_one(all), &expected, &[], Clock::system().now())
            .unwrap()
            .disagreement("web:443")
            .unwrap();
        assert!(
            words.starts_with("1 of 3 connections to `web:443` still show another certificate")
                && words.contains("127.0.0.1:2"),
            "{words}"
        );
        let good = Seen::of(
            of_one(vec![sample(1, Ok("new"))]),
            &expected,
            &[],
            Clock::system().now(),
        )
        .unwrap();
        assert_eq!(good.disagreement("web:443"), None);
        let mixed = vec![sample(1, Ok("new")), sample(1, Err(()))];
        let words = Seen::of(of_one(mixed), &expected, &[], Clock::system().now())
            .unwrap()
            .disagreement("web:443")
            .unwrap();
        assert!(
            words.starts_with("1 of 2 connections to `web:443` showed no certificate"),
            "{words}"
        );
        assert!(
            Seen::of(
                of_one(vec![sample(1, Err(()))]),
                &expected,
                &[],
                Clock::system().now()
            )
            .is_err()
        );
    }
}
