//! A connection whose visitor has to take what it is sent, and at a rate: one that takes less than the least while
//! something waits for it is given up, so that an answer that nobody reads, or somebody reads byte by byte, holds
//! neither a connection nor memory. Event streams on which there is nothing to tell wait for nobody.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The least that a visitor takes of what waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Least {
    /// So many bytes, or all that there are,
    pub(super) bytes: usize,
    /// within each period.
    pub(super) within: Duration,
}

/// A connection with a limit on how slowly it takes what it is sent.
pub(super) struct Patient<S> {
    stream: S,
    least: Least,
    /// The period's end; there while something waits for the visitor.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Bytes taken in this period.
    taken: usize,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, least: Least) -> Self {
        Self {
            stream,
            least,
            waiting: None,
            taken: 0,
        }
    }

    fn look<T>(&mut self, done: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            return done;
        }
        loop {
            let waiting = match &mut self.waiting {
                Some(waiting) => waiting,
                none => {
                    self.taken = 0;
                    none.insert(Box::pin(sleep(self.least.within)))
                }
            };
            if waiting.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if self.taken < self.least.bytes {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            self.waiting = None;
        }
    }

    /// Notes bytes that were taken; more may wait.
    fn wrote(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &written {
            self.taken = self.taken.saturating_add(*n);
        }
        self.look(written, context)
    }

    /// A flush comes after everything is written: once it is out, nothing waits.
    fn flushed(&mut self, done: Poll<io::Result<()>>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if done.is_ready() {
            self.waiting = None;
        }
        self.look(done, context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.wrote(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.flushed(done, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.flushed(done, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const WITHIN: Duration = Duration::from_millis(200);

    /// Takes `each` bytes five times in a period, until there are no more.
    async fn takes(mut from: DuplexStream, each: usize) -> usize {
        let mut taken = 0;
        let mut bytes = vec![0; each];
        loop {
            sleep(WITHIN / 5).await;
            match from.read(&mut bytes).await {
                Ok(n @ 1..) => taken += n,
                _ => return taken,
            }
        }
    }

    #[tokio::test]
    async fn who_takes_at_the_least_rate_gets_everything() {
        let (ours, theirs) = duplex(16);
        let mut patient = Patient::new(
            ours,
            Least {
                bytes: 16,
                within: WITHIN,
            },
        );
        let reading = tokio::spawn(takes(theirs, 16));
        patient.write_all(&[0; 512]).await.unwrap();
        patient.flush().await.unwrap();
        drop(patient);
        assert_eq!(reading.await.unwrap(), 512);
    }

    #[tokio::test]
    async fn who_takes_byte_by_byte_is_given_up_and_so_is_who_takes_nothing() {
        for each in [1, 0] {
            let (ours, theirs) = duplex(16);
            let mut patient = Patient::new(
                ours,
                Least {
                    bytes: 16,
                    within: WITHIN,
                },
            );
            let (reading, _kept) = match each {
                0 => (None, Some(theirs)),
                _ => (Some(tokio::spawn(takes(theirs, each))), None),
            };
            let error = patient.write_all(&[0; 512]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            drop(patient);
            if let Some(reading) = reading {
                assert!(reading.await.unwrap() < 64, "of 512 bytes");
            }
        }
    }

    #[tokio::test]
    async fn what_is_told_now_and_then_is_no_slow_visitor() {
        let (ours, mut theirs) = duplex(16);
        let mut patient = Patient::new(
            ours,
            Least {
                bytes: 16,
                within: WITHIN,
            },
        );
        // It waits once, and is taken as a whole before the period is over.
        let event = [0; 20];
        let mut taken = [0; 20];
        for _ in 0..2 {
            let (told, heard) = tokio::join!(
                async {
                    patient.write_all(&event).await?;
                    patient.flush().await
                },
                theirs.read_exact(&mut taken)
            );
            told.unwrap();
            heard.unwrap();
            sleep(WITHIN * 2).await;
        }
        assert!(patient.waiting.is_none());
    }
}
