//! One call over HTTP, for every client. A connection that was kept may be closed on the other side (a server that
//! restarts, a gateway that keeps idle ones for less time than we do) while a call is sent into it. A question that
//! falls for this is asked once more, on a fresh connection, before anybody calls the other side down. A change can't
//! be sent again, since it may have arrived, and so it goes out on a fresh connection at once: whatever the other side
//! has closed, what became of the change is known. It costs a handshake, which a change is worth.

use std::io::ErrorKind;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, IntoUrl, Method, Request, RequestBuilder, Response};
use tokio::time::Instant;

use super::causes::sources;
use super::http::client_builder;

/// Who has closed a connection before says so within a round trip. What ends later was worked on, and whoever broke
/// off doing it is not made to begin again.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Connections of calls: questions on connections that are kept, changes on fresh ones.
#[derive(Clone, Debug)]
pub(super) struct Http {
    kept: Client,
    /// Keeps none. Nobody tells which calls go out on a kept connection, and where one of them is closed all may be.
    fresh: Client,
}

impl Http {
    /// By clients that `make` makes of what they begin with.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn new<E>(make: impl Fn(ClientBuilder) -> Result<Client, E>) -> Result<Self, E> {
        Ok(Self {
            kept: make(client_builder())?,
            fresh: make(client_builder().pool_max_idle_per_host(0))?,
        })
    }

    /// A call that isn't made yet.
    pub(super) fn call(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.kept.request(method, url)
    }

    /// The head of the answer to a call, which is a question if its method says so.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn send(&self, call: RequestBuilder) -> reqwest::Result<Response> {
        self.execute(call.build()?).await
    }

    /// A call that is made already, sent in the same way.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub(super) async fn execute(&self, request: Request) -> reqwest::Result<Response> {
        if asks(request.method()) {
            self.ask(request).await
        } else {
            self.fresh.execute(request).await
        }
    }

    /// The head of the answer to a question, whatever its method.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub(super) async fn question(&self, call: RequestBuilder) -> reqwest::Result<Response> {
        self.ask(call.build()?).await
    }

    async fn ask(&self, request: Request) -> reqwest::Result<Response> {
        // A body that can be read only once can be sent only once.
        let same = request.try_clone();
        let begin = Instant::now();
        match (self.kept.execute(request).await, same) {
            (Err(error), Some(same)) if was_closed(&error) && begin.elapsed() < AT_ONCE => {
                tracing::debug!(
                    host = same.url().host_str(),
                    "a kept connection was closed: asking again"
                );
                self.fresh.execute(same).await
            }
            (answer, _) => answer,
        }
    }
}

/// `LIST` is Vault's.
fn asks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || method.as_str() == "LIST"
}

/// True if the connection was there and ended without an answer.
fn was_closed(error: &reqwest::Error) -> bool {
    // A connection that never came about is no kept one.
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    sources(error).any(|cause| {
        let by_http = cause.downcast_ref::<hyper::Error>();
        let by_system = cause.downcast_ref::<std::io::Error>();
        by_http.is_some_and(hyper::Error::is_incomplete_message)
            || by_system.is_some_and(|error| {
                matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset
                        | ErrorKind::ConnectionAborted
                        | ErrorKind::BrokenPipe
                        | ErrorKind::NotConnected
                        // TLS without its farewell.
                        | ErrorKind::UnexpectedEof
                )
            })
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use super::super::api::{ApiReader, ApiWriter};
    use super::super::proxy::by_environment;
    use super::super::vault::{Login, Place, VaultError, VaultReader, VaultWriter};
    use super::*;
    use crate::domain::secret::Secret;
    use crate::problem::ProblemKind;
    use crate::wire::requests::WhyBody;

    /// Answers once on each connection, doesn't say that this was all, and hangs up on what is asked next. The first
    /// lines of all that came.
    fn forgetful(body: &'static str, slow: Duration) -> (String, Arc<Mutex<Vec<String>>>) {
        serving(body, slow, |_| true)
    }

    /// A server that answers only what it is to answer.
    fn serving(
        body: &'static str,
        slow: Duration,
        answers: fn(&str) -> bool,
    ) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let came = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    let Some(line) = call(&mut reader) else { return };
                    seen.lock().unwrap().push(line.clone());
                    if !answers(&line) {
                        return;
                    }
                    let n = body.len();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {n}\r\n\r\n"
                    );
                    (&stream).write_all(format!("{head}{body}").as_bytes()).unwrap();
                    if let Some(line) = call(&mut reader) {
                        seen.lock().unwrap().push(line);
                        #[expect(clippy::disallowed_methods, reason = "time is what is tested")]
                        std::thread::sleep(slow);
                    }
                });
            }
        });
        (address, came)
    }

    fn call(reader: &mut BufReader<&TcpStream>) -> Option<String> {
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<u64>().unwrap())
        });
        let mut body = String::new();
        let _ = reader.take(length.unwrap_or(0)).read_to_string(&mut body);
        head.lines().next().map(str::to_owned)
    }

    const ME: &str = r#"{"name":"ops","role":"operator"}"#;
    const AT_REST: Duration = Duration::ZERO;

    /// Number of calls with `method`.
    fn n_of(came: &Mutex<Vec<String>>, method: &str) -> usize {
        let came = came.lock().unwrap();
        came.iter().filter(|line| line.starts_with(method)).count()
    }

    fn api(address: &str) -> ApiReader {
        ApiReader::new(address, Some(Secret::new("t".to_owned()))).unwrap()
    }

    #[tokio::test]
    async fn a_question_into_a_closed_connection_is_asked_again() {
        let (address, came) = forgetful(ME, AT_REST);
        let api = api(&address);
        for _ in 0..5 {
            api.me().await.unwrap();
        }
        // Otherwise no connection was used twice, and this shows nothing.
        assert_eq!(n_of(&came, "GET "), 7);
    }

    #[tokio::test]
    async fn also_where_all_that_were_kept_are_closed() {
        let (address, came) = forgetful(ME, AT_REST);
        let api = api(&address);
        let all = [api.me(), api.me(), api.me()];
        assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
        api.me().await.unwrap();
        assert!(n_of(&came, "GET ") > 4);
    }

    #[tokio::test]
    async fn a_change_never_goes_into_a_connection_that_was_kept() {
        let (address, came) = forgetful(r#"{"id":"run_1"}"#, AT_REST);
        let http = Http::new(|builder| by_environment(builder).build()).unwrap();
        for _ in 0..3 {
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
                let answer = http.send(http.call(method.clone(), &address)).await;
                assert!(answer.is_ok_and(|answer| answer.status() == 200), "{method}");
            }
        }
        for method in ["POST ", "PUT ", "DELETE "] {
            assert_eq!(n_of(&came, method), 3, "{method}");
        }
    }

    #[tokio::test]
    async fn a_change_is_sent_once() {
        let (address, came) = serving(ME, AT_REST, |line| line.starts_with("GET "));
        let reader = api(&address);
        reader.me().await.unwrap();
        let body = WhyBody::default();
        let writer = ApiWriter::new(reader);
        let problem = writer.cancel("req_1", &body, "key").await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::NoAnswer);
        assert_eq!(n_of(&came, "POST "), 1);
    }

    #[tokio::test]
    async fn who_worked_on_a_question_and_broke_off_is_not_asked_again() {
        let (address, came) = forgetful(ME, AT_ONCE);
        let api = api(&address);
        api.me().await.unwrap();
        assert!(api.me().await.is_err());
        assert_eq!(n_of(&came, "GET "), 2);
    }

    #[tokio::test]
    async fn vault_is_asked_again_by_whatever_method_and_made_to_change_things_once() {
        let token = || Login::Token(Secret::new("hvs.of-the-test".to_owned()));
        let (address, came) = forgetful(
            r#"{"request_id":"r","lease_id":"","lease_duration":0,"renewable":false,"data":{"keys":[],"pki":["list"]}}"#,
            AT_REST,
        );
        let reader = VaultReader::new(&Place::at(&address), token()).unwrap();
        for _ in 0..3 {
            reader.may("update", "pki").await.unwrap();
        }
        for _ in 0..3 {
            reader.certificates("pki").await.unwrap();
        }
        assert_eq!((n_of(&came, "POST "), n_of(&came, "LIST ")), (4, 5));

        let no_store = r#"{"request_id":"r","data":{"no_store":true}}"#;
        let (address, came) = serving(no_store, AT_REST, |line| line.starts_with("GET "));
        let writer = VaultWriter::new(&Place::at(&address), token()).unwrap();
        for _ in 0..3 {
            writer.reader().keeps("pki", "r").await.unwrap();
        }
        let error = writer.revoke_certificate("pki", "PEM").await.unwrap_err();
        assert!(matches!(error, VaultError::Unknown(_)), "{error:?}");
        assert_eq!((n_of(&came, "GET "), n_of(&came, "POST ")), (4, 1));
    }
}
