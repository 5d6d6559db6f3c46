//! The API's event stream, told to the screen; while it can't be had, that it can't, so that the screen asks
//! instead. How the API itself is, `links` says: only the stream may be cut, by a proxy or an old token.

use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::together::together;
use crate::clients::api::ApiReader;
use crate::state::event::Event;

/// How long it waits for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Between the end of a stream and the next try.
    pub(super) again: Duration,
    /// While there is none, between two words about it.
    pub(super) poll: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            again: Duration::from_secs(2),
            poll: Duration::from_secs(10),
        }
    }
}

/// Follows it until nobody listens; nothing is passed on while `told_elsewhere` is so.
pub(super) async fn follow(
    api: ApiReader,
    told_elsewhere: impl Fn() -> bool,
    times: Times,
    to: Sender<Event>,
) {
    let mut told = Instant::now();
    loop {
        if let Ok(stream) = api.events().await {
            if to.send(Event::StreamBack).await.is_err() {
                return;
            }
            let mut changes = std::pin::pin!(stream);
            while let Some(together) = together(&mut changes).await {
                if !told_elsewhere() && to.send(Event::Changed(together)).await.is_err() {
                    return;
                }
            }
            told = Instant::now();
        }
        if !told_elsewhere() && told.elapsed() >= times.poll {
            told = Instant::now();
            if to.send(Event::StreamLost).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(times.again).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::task::AbortHandle;

    use super::*;

    /// What refuses every request, and says that it was asked.
    async fn refuses() -> (ApiReader, mpsc::Receiver<()>, AbortHandle) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (said, asked) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(refusal.as_bytes()).await.unwrap();
                if said.send(()).await.is_err() {
                    return;
                }
            }
        });
        (ApiReader::new(&base, None).unwrap(), asked, task.abort_handle())
    }

    const AT_ONCE: Times = Times {
        again: Duration::ZERO,
        poll: Duration::ZERO,
    };

    #[tokio::test]
    async fn a_stream_that_is_refused_is_told_again_and_again() {
        let (api, mut asked, server) = refuses().await;
        tokio::spawn(async move { while asked.recv().await.is_some() {} });
        let (to, mut events) = mpsc::channel(1);
        let following = tokio::spawn(follow(api, || false, AT_ONCE, to));
        for _ in 0..3 {
            let event = tokio::time::timeout(Duration::from_secs(10), events.recv());
            assert!(matches!(event.await, Ok(Some(Event::StreamLost))));
        }
        following.abort();
        server.abort();
    }

    #[tokio::test]
    async fn it_is_not_told_while_another_tells_of_changes() {
        let (api, mut asked, server) = refuses().await;
        let (to, mut events) = mpsc::channel(1);
        let following = tokio::spawn(follow(api, || true, AT_ONCE, to));
        // Between two questions it would have been told.
        for _ in 0..4 {
            let question = tokio::time::timeout(Duration::from_secs(10), asked.recv());
            assert!(question.await.unwrap().is_some());
        }
        assert!(events.try_recv().is_err());
        following.abort();
        server.abort();
    }
}
