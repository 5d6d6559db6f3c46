//! Bodies that others send: the one place where they are read, each up to a limit in size and in time. Nobody's
//! answer takes more memory, or lasts longer, than whoever asked has said.

use std::time::Duration;

use futures::{Stream, StreamExt};
use reqwest::Response;
use serde::de::DeserializeOwned;

use crate::domain::told::told;
use crate::wire::strict;

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// In bytes.
    pub(super) bytes: usize,
    /// From when its head is there.
    pub(super) time: Duration,
}

/// Why a body wasn't read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// It is longer than is read.
    #[error("the answer is larger than {}", size(*.0))]
    TooLarge(usize),
    /// Its end didn't come in time.
    #[error("the answer did not end within {} s", .0.as_secs_f32())]
    TooSlow(Duration),
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// The whole body.
///
/// # Errors
/// It is too large, too slow, or broke off.
pub(super) async fn whole(mut response: Response, limit: Limit) -> Result<Vec<u8>, BodyError> {
    let too_large = BodyError::TooLarge(limit.bytes);
    let announced = response.content_length().unwrap_or_default();
    if usize::try_from(announced).map_or(true, |announced| announced > limit.bytes) {
        return Err(too_large);
    }
    let reading = async {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > limit.bytes {
                return Err(too_large);
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    };
    tokio::time::timeout(limit.time, reading)
        .await
        .unwrap_or(Err(BodyError::TooSlow(limit.time)))
}

/// A body without an end, line by line without their ends, until it breaks, or is silent for `limit.time`. A line
/// that is longer than `limit.bytes` ends it: whoever sends one is not who was asked. Its end stays its end, however
/// often it is asked for more.
pub(super) fn lines(response: Response, limit: Limit) -> impl Stream<Item = Vec<u8>> + use<> {
    let start = (Box::pin(response.bytes_stream()), Vec::new());
    let together = futures::stream::unfold(start, move |(mut pieces, mut rest)| async move {
        let piece = tokio::time::timeout(limit.time, pieces.next()).await.ok()??;
        rest.extend_from_slice(&piece.ok()?);
        let lines = take_lines(&mut rest);
        let fits = rest.len() <= limit.bytes && lines.iter().all(|line| line.len() <= limit.bytes);
        fits.then_some((lines, (pieces, rest)))
    });
    together.fuse().flat_map(futures::stream::iter)
}

/// Takes all whole lines out of `rest`.
fn take_lines(rest: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let whole: Vec<u8> = rest.drain(..=end).collect();
    let whole = whole.strip_suffix(b"\n").unwrap_or(&whole);
    whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Digits of the largest number that is taken: above all that is counted, and far below where sums overflow.
const MOST_DIGITS: usize = 15;

/// Reads JSON. The words for what is wrong with it quote the sender, so they are cut.
///
/// # Errors
/// It is no JSON, or not what was asked for, or has a number that no server of the platform sends.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    if let Some(number) = beyond_counting(body) {
        return Err(format!("`{number}…` is a number beyond all that is counted here"));
    }
    strict::from_slice(body).map_err(|error| told(&error.to_string()))
}

/// The first number in JSON with more than fifteen digits before its point, up to there. All others are exact in every
/// reader (RFC 8259 §6), and may be added and multiplied.
fn beyond_counting(body: &[u8]) -> Option<String> {
    let mut bytes = body.iter().enumerate();
    let (mut is_text, mut is_fraction, mut digits) = (false, false, 0);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            // An escaped quote ends no text.
            b'\\' if is_text => drop(bytes.next()),
            b'"' => is_text = !is_text,
            b'0'..=b'9' if is_fraction => continue,
            b'0'..=b'9' if !is_text => {
                digits += 1;
                if digits > MOST_DIGITS {
                    let number = body.get(at + 1 - digits..at)?;
                    return Some(String::from_utf8_lossy(number).into_owned());
                }
                continue;
            }
            _ => {}
        }
        // Digits behind the point are no count.
        is_fraction = !is_text && *byte == b'.';
        digits = 0;
    }
    None
}

fn size(bytes: usize) -> String {
    match bytes {
        mib if mib >= 1 << 20 => format!("{} MiB", mib >> 20),
        kib => format!("{} KiB", kib >> 10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Limit = Limit {
        bytes: 64 << 10,
        time: Duration::from_secs(30),
    };

    /// Answers one request with these bytes, and holds the connection open for as long as it is read. Says how
    /// much it could send.
    async fn answers(
        head: &'static str,
        piece: Vec<u8>,
        n: usize,
    ) -> (String, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\n{head}connection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut sent = 0;
            for _ in 0..n {
                if stream.write_all(&piece).await.is_err() {
                    return sent;
                }
                sent += piece.len();
            }
            let _ = stream.read(&mut request).await;
            sent
        });
        (url, task)
    }

    async fn get(url: &str) -> Response {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
        http.unwrap().get(url).send().await.unwrap()
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_not_taken_in() {
        let (url, sending) = answers("", vec![b'x'; 1 << 16], 4800).await;
        let error = whole(get(&url).await, LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is larger than 64 KiB");
        assert!(sending.await.unwrap() < 300 << 20, "the rest is not read");
    }

    #[tokio::test]
    async fn one_that_says_how_large_it_is_is_not_begun() {
        let (url, sending) = answers("content-length: 314572800\r\n", Vec::new(), 0).await;
        let error = whole(get(&url).await, LIMIT).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge(_)), "{error}");
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn one_that_has_no_end_ends_in_time() {
        let limit = Limit {
            time: Duration::from_millis(50),
            ..LIMIT
        };
        let (url, sending) = answers("content-length: 100\r\n", b"{".to_vec(), 1).await;
        let error = whole(get(&url).await, limit).await.unwrap_err();
        assert!(matches!(error, BodyError::TooSlow(_)), "{error}");
        sending.abort();
    }

    #[tokio::test]
    async fn after_its_end_there_is_nothing_more_however_often_it_is_asked() {
        let (url, sending) = answers("content-length: 8\r\n", b"data: a\n".to_vec(), 1).await;
        let mut read = std::pin::pin!(lines(get(&url).await, LIMIT));
        assert_eq!(read.next().await.unwrap(), b"data: a");
        for _ in 0..3 {
            assert_eq!(read.next().await, None);
        }
        sending.abort();
    }

    #[tokio::test]
    async fn lines_are_read_across_pieces_and_one_without_an_end_ends_the_stream() {
        let (url, sending) = answers("", b"data: a\ndata".to_vec(), 2).await;
        let mut read = std::pin::pin!(lines(get(&url).await, LIMIT));
        assert_eq!(read.next().await.unwrap(), b"data: a");
        assert_eq!(read.next().await.unwrap(), b"datadata: a");
        sending.abort();
        let (url, sending) = answers("", vec![b'x'; 1 << 16], 4800).await;
        let mut read = std::pin::pin!(lines(get(&url).await, LIMIT));
        assert_eq!(read.next().await, None);
        sending.abort();
    }

    #[test]
    fn a_number_beyond_counting_is_no_answer() {
        for (body, words) in [
            (
                r#"{"checkin_interval_s":9223372036854775807}"#,
                Some("922337203685477…"),
            ),
            (r#"[-9223372036854775808]"#, Some("922337203685477…")),
            (
                r#"{"n":999999999999999,"digits":"9223372036854775807 \" 9223372036854775807"}"#,
                None,
            ),
            (r"[0.12345678901234567890123, 5]", None),
            (r#"["a\\",9223372036854775807]"#, Some("922337203685477…")),
        ] {
            let read = json::<serde_json::Value>(body.as_bytes());
            match words {
                Some(words) => assert!(read.unwrap_err().contains(words), "{body}"),
                None => assert!(read.is_ok(), "{body}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_with_json_is_told_in_a_few_words() {
        let body = format!("\"{}\"", "x".repeat(60_000));
        let words = json::<u8>(body.as_bytes()).unwrap_err();
        assert!(
            words.chars().count() <= crate::domain::told::LONGEST,
            "{}",
            words.len()
        );
    }

    proptest! {
        #[test]
        fn no_line_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut rest = bytes.clone();
            let mut all = take_lines(&mut rest);
            prop_assert!(!rest.contains(&b'\n'));
            all.push(rest);
            prop_assert_eq!(all.join(&b'\n'), bytes);
        }
    }
}
