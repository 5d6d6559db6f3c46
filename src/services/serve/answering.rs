//! An answer on its way out, handed over piece by piece as its visitor takes it. What it holds in memory is owed to
//! the visitor until all but the last pieces are taken.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, SizeHint};

use super::places::Busy;

/// No larger piece is handed over at once, so that an answer ends only when nearly all of it is taken: until then
/// its connection isn't idle, and the time for the next request doesn't run.
const PIECE: usize = 16 * 1024;

/// An answer's body; its connection is idle again once it is out.
pub(super) struct Answering {
    body: Body,
    /// Bytes that the body gave and the connection has not got yet.
    rest: Bytes,
    _busy: Busy,
}

impl Answering {
    /// The answer's body on a connection, which owes what is in it from now on.
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        // Streams have no length, and hold next to nothing.
        let n = body.size_hint().exact().unwrap_or(0);
        busy.owes(usize::try_from(n).unwrap_or(usize::MAX));
        Self {
            body,
            rest: Bytes::new(),
            _busy: busy,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let n = self.rest.len().min(PIECE);
        Frame::data(self.rest.split_to(n))
    }
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    self.piece()
                }
                Err(other) => other,
            }))),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        match hint.exact() {
            Some(n) => hint.set_exact(n.saturating_add(rest)),
            None => hint.set_lower(hint.lower().saturating_add(rest)),
        }
        hint
    }
}
