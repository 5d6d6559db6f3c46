//! The wake-up of an agent, step by step: name, connect, HTTP.
//!
//! It says which step of reaching the agent failed, because that decides whom to wake next: the
//! resolver's people, the network's, or whoever can restart the agent.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, timeout_at};

use super::body::{self, BodyError, Limit};
use super::causes::{chain, sources};
use super::http::{client_builder, without_unused_roots};
use crate::domain::told::{SAID, cited};
use crate::wire::agents::WakeReply;
use crate::wire::strict;

/// The most that an agent's answer may hold; what it says is a few hundred bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Which step of reaching an agent failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeStep {
    /// Its name did not resolve (or its address is malformed).
    Name,
    /// No connection came about.
    Connect,
    /// Connected, but no usable answer came.
    Http,
}

impl WakeStep {
    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Connect => "connect",
            Self::Http => "HTTP",
        }
    }
}

/// Why an agent could not be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeFailure {
    /// Which step failed.
    pub step: WakeStep,
    /// What happened, in words.
    pub what: String,
    /// What to look at next.
    pub hint: &'static str,
}

impl fmt::Display for WakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for WakeFailure {}

/// Which addresses may be called.
#[derive(Clone, Copy)]
pub enum Reach<'a> {
    /// Whatever the address says: a person has seen it and asks for it.
    Anywhere,
    /// Only some: the address is the agent's own word.
    Only {
        /// Whether this one may.
        may: &'a (dyn Fn(IpAddr) -> bool + Send + Sync),
        /// Where its last report came from, for the words.
        from: Option<&'a str>,
    },
}

impl Reach<'_> {
    /// Those of `found` that may be called.
    fn keep(self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, WakeFailure> {
        let Self::Only { may, from } = self else {
            return Ok(found);
        };
        let (kept, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|it| may(it.ip().to_canonical()));
        if !kept.is_empty() {
            return Ok(kept);
        }
        let at: Vec<String> = others
            .iter()
            .map(|it| it.ip().to_canonical().to_string())
            .collect();
        let from = from.map_or_else(
            || "and it has never reported".to_owned(),
            |from| format!("and its reports come from {from}"),
        );
        Err(WakeFailure {
            step: WakeStep::Connect,
            what: format!(
                "not called: the agent says that it listens at `{host}` ({}), {from}",
                at.join(", ")
            ),
            hint: "correct `advertise` in the agent's configuration, or allow the network in `api.wake_networks` of \
                   cmp-server; it checks in by itself meanwhile",
        })
    }
}

/// Asks the agent at `address` (`http://host:8084`) to check in now; all steps share `limit`. For who has seen the
/// address and wants that one.
///
/// # Errors
/// Which step of reaching it failed.
pub async fn wake(address: &str, limit: Duration) -> Result<WakeReply, WakeFailure> {
    wake_within(address, Reach::Anywhere, limit).await
}

/// Wake-up where not every address may be called.
///
/// # Errors
/// Which step of reaching it failed.
pub async fn wake_within(address: &str, reach: Reach<'_>, limit: Duration) -> Result<WakeReply, WakeFailure> {
    let until = Instant::now() + limit;
    let (url, host, port) = parse(address)?;
    let addresses = reach.keep(&host, resolve(&host, port, until, limit).await?)?;
    let client = client(&url, &host, &addresses, limit).map_err(|error| WakeFailure {
        step: WakeStep::Http,
        what: format!("no HTTP client could be made: {}", chain(&error)),
        hint: "this is a defect of the console, not of the agent",
    })?;
    let reply = timeout_at(until, client.post(url).send())
        .await
        .map_err(|_| silent(address, limit))?
        .map_err(|error| unreachable_or_silent(address, &error, limit))?;
    let status = reply.status();
    if !status.is_success() {
        return Err(WakeFailure {
            step: WakeStep::Http,
            what: format!("{} answered {}", said(address), status_words(status)),
            hint: "something else than a `cmp-agent` may listen there, or it is overloaded; see its log",
        });
    }
    let left = Limit {
        bytes: MAX_ANSWER_BYTES,
        time: until.saturating_duration_since(Instant::now()),
    };
    let body = body::whole(reply, left).await.map_err(|error| match error {
        BodyError::TooSlow(_) => silent(address, limit),
        other => no_agent(address, &chain(&other)),
    })?;
    // What it says instead is nobody's business: the words would carry it on.
    strict::from_slice(&body).map_err(|_| no_agent(address, "it is not of that form"))
}

/// The address in a sentence: it is the agent's own word.
fn said(address: &str) -> String {
    cited(address, SAID)
}

fn no_agent(address: &str, why: &str) -> WakeFailure {
    WakeFailure {
        step: WakeStep::Http,
        what: format!(
            "{} answered something that is not an agent's answer: {why}",
            said(address)
        ),
        hint: "check that a `cmp-agent` of a version that fits listens there",
    }
}

fn parse(address: &str) -> Result<(Url, String, u16), WakeFailure> {
    let malformed = || WakeFailure {
        step: WakeStep::Name,
        what: format!(
            "the agent's address {} is not of the form `http://host:8084`",
            said(address)
        ),
        hint: "correct `advertise` in the agent's configuration; its next check-in reports it",
    };
    let base = Url::parse(address).map_err(|_| malformed())?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(malformed());
    }
    let host = base.host_str().ok_or_else(malformed)?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = base.port_or_known_default().ok_or_else(malformed)?;
    let url = base.join("/checkin").map_err(|_| malformed())?;
    Ok((url, host, port))
}

async fn resolve(
    host: &str,
    port: u16,
    until: Instant,
    limit: Duration,
) -> Result<Vec<SocketAddr>, WakeFailure> {
    let failed = |why: String| WakeFailure {
        step: WakeStep::Name,
        what: format!("the name `{host}` did not resolve: {why}"),
        hint: "check DNS and `/etc/hosts` here, and that the host still exists",
    };
    let found: Vec<_> = timeout_at(until, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| failed(format!("no answer within {} s", limit.as_secs_f32())))?
        .map_err(|error| failed(error.to_string()))?
        .collect();
    if found.is_empty() {
        return Err(failed("it has no address".to_owned()));
    }
    Ok(found)
}

fn client(
    url: &Url,
    host: &str,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    let builder = client_builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limit)
        .timeout(limit)
        .resolve_to_addrs(host, addresses);
    without_unused_roots(builder, url.scheme()).build()
}

fn unreachable_or_silent(address: &str, error: &reqwest::Error, limit: Duration) -> WakeFailure {
    if !error.is_connect() {
        return if error.is_timeout() {
            silent(address, limit)
        } else {
            WakeFailure {
                step: WakeStep::Http,
                what: format!("{} hung up without an answer: {}", said(address), chain(error)),
                hint: "the agent may be restarting; see `journalctl -u cmp-agent` on the host",
            }
        };
    }
    let io = sources(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    let (why, hint) = match io {
        Some(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => (
            "refused, nothing listens there".to_owned(),
            "the host is up, the agent is not: `systemctl restart cmp-agent` on the host",
        ),
        _ if error.is_timeout() => (
            format!("no answer within {} s", limit.as_secs_f32()),
            "the host is down, or a firewall drops the port: ping it and check the firewall",
        ),
        Some(io) => (
            super::tls_probe::connect_words(io),
            "check that the host is up and reachable from here",
        ),
        None => (chain(error), "check that the host is up and reachable from here"),
    };
    WakeFailure {
        step: WakeStep::Connect,
        what: format!("no connection to {}: {why}", said(address)),
        hint,
    }
}

fn silent(address: &str, limit: Duration) -> WakeFailure {
    WakeFailure {
        step: WakeStep::Http,
        what: format!(
            "{} accepted the connection but did not answer within {} s",
            said(address),
            limit.as_secs_f32()
        ),
        hint: "the agent hangs, or the API that it reports to does; see `journalctl -u cmp-agent` on the host",
    }
}

fn status_words(status: reqwest::StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} ({reason})", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_name_that_does_not_resolve() {
        let failure = wake("http://no-such-host.invalid:8084", LIMIT).await.unwrap_err();
        assert_eq!(failure.step, WakeStep::Name);
        assert!(failure.what.contains("`no-such-host.invalid` did not resolve"));
        assert_eq!(wake("web-01", LIMIT).await.unwrap_err().step, WakeStep::Name);
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens() {
        // Held without listening, so that no other test gets the port meanwhile.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = format!("http://{}", held.local_addr().unwrap());
        let failure = wake(&address, LIMIT).await.unwrap_err();
        assert_eq!(failure.step, WakeStep::Connect);
        assert!(failure.what.contains("nothing listens there"), "{failure}");
    }

    #[tokio::test]
    async fn something_that_is_no_agent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
        let failure = wake(&address, LIMIT).await.unwrap_err();
        assert_eq!(failure.step, WakeStep::Http);
        assert!(failure.what.contains("404 (Not Found)"), "{failure}");
        server.abort();
    }

    #[tokio::test]
    async fn something_that_never_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let failure = wake(&address, Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(failure.step, WakeStep::Http);
        assert!(failure.what.contains("did not answer"), "{failure}");
    }

    #[tokio::test]
    async fn an_address_that_may_not_be_called_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let may = |ip: IpAddr| ip == IpAddr::from([192, 0, 2, 7]);
        let reach = Reach::Only {
            may: &may,
            from: Some("192.0.2.7"),
        };
        let failure = wake_within(&address, reach, LIMIT).await.unwrap_err();
        assert_eq!(failure.step, WakeStep::Connect);
        assert!(failure.what.contains("127.0.0.1"), "{failure}");
        assert!(
            failure.what.contains("its reports come from 192.0.2.7"),
            "{failure}"
        );
        let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept());
        assert!(connected.await.is_err(), "nobody called");
    }

    #[tokio::test]
    async fn an_answer_of_another_form_is_not_repeated() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let routes =
            axum::Router::new().fallback(async || r#"{"reported": "the secret of the metadata service"}"#);
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        let failure = wake(&address, LIMIT).await.unwrap_err();
        assert!(failure.what.contains("not an agent's answer"), "{failure}");
        assert!(!failure.what.contains("secret"), "{failure}");
        server.abort();
    }
}
