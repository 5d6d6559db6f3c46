//! One call over HTTP, for every client. A connection that was kept may be closed on the other side (a server that
//! restarts, a gateway that keeps idle ones for less time than we do) while a call is sent into it. A question that
//! falls for this is asked again, before anybody calls the other side down; a change never is: it may have arrived, and
//! lost answers have a way of their own.

use std::io::ErrorKind;
use std::time::Duration;

use reqwest::{Client, Method, Request, RequestBuilder, Response};
use tokio::time::Instant;

use super::causes::sources;

/// Who has closed a connection before says so within a round trip. What ends later was worked on, and whoever broke
/// off doing it is not made to begin again.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Nobody tells which calls go out on a kept connection. Each one that turns out to be closed is kept no longer, so
/// that a few more tries come to a fresh one, also where all that were kept are closed.
const MORE: usize = 3;

/// The head of the answer to a call, which is a question if its method says so.
///
/// # Errors
/// There is none.
pub(super) async fn send(call: RequestBuilder) -> reqwest::Result<Response> {
    let (http, request) = call.build_split();
    execute(&http, request?).await
}

/// The same for a call that is made already.
///
/// # Errors
/// See [`send`].
pub(super) async fn execute(http: &Client, request: Request) -> reqwest::Result<Response> {
    if asks(request.method()) {
        ask(http, request).await
    } else {
        http.execute(request).await
    }
}

/// The head of the answer to a question, whatever its method.
///
/// # Errors
/// See [`send`].
pub(super) async fn question(call: RequestBuilder) -> reqwest::Result<Response> {
    let (http, request) = call.build_split();
    ask(&http, request?).await
}

async fn ask(http: &Client, request: Request) -> reqwest::Result<Response> {
    let begin = Instant::now();
    for _ in 0..MORE {
        // A body that can be read only once can be sent only once.
        let Some(same) = request.try_clone() else { break };
        match http.execute(same).await {
            Err(error) if was_closed(&error) && begin.elapsed() < AT_ONCE => {
                tracing::debug!(host = request.url().host_str(), "a kept connection was closed: asking again");
            }
            answer => return answer,
        }
    }
    http.execute(request).await
}

/// `LIST` is Vault's.
fn asks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || method.as_str() == "LIST"
}

/// Whether the connection was there and ended without an answer.
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
    use super::super::vault::{Login, Place, VaultError, VaultReader, VaultWriter};
    use super::*;
    use crate::domain::secret::Secret;
    use crate::problem::ProblemKind;
    use crate::wire::requests::WhyBody;

    /// Answers once on each connection, doesn't say that this was all, and hangs up on what is asked next. The first
    /// lines of all that came.
    fn forgetful(body: &'static str, slow: Duration) -> (String, Arc<Mutex<Vec<String>>>) {
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
                    seen.lock().unwrap().push(line);
                    let n = body.len();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {n}\r\n\r\n"
                    );
                    (&stream).write_all(format!("{head}{body}").as_bytes()).unwrap();
                    if let Some(line) = call(&mut reader) {
                        seen.lock().unwrap().push(line);
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

    /// How many of `method` came.
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
        assert_eq!(n_of(&came, "GET "), 9);
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
    async fn a_change_is_sent_once() {
        let (address, came) = forgetful(ME, AT_REST);
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
        assert_eq!((n_of(&came, "POST "), n_of(&came, "LIST ")), (5, 6));

        let (address, came) = forgetful(r#"{"request_id":"r","data":{"no_store":true}}"#, AT_REST);
        let writer = VaultWriter::new(&Place::at(&address), token()).unwrap();
        for _ in 0..3 {
            writer.reader().keeps("pki", "r").await.unwrap();
        }
        let error = writer.revoke_certificate("pki", "PEM").await.unwrap_err();
        assert!(matches!(error, VaultError::Unknown(_)), "{error:?}");
        assert_eq!((n_of(&came, "GET "), n_of(&came, "POST ")), (5, 1));
    }
}
