//! An answer without an end, such as events, lasts only as long as whoever asked may ask: not past the end of a token
//! or session, and not past its being revoked.

use super::keyring::Keyring;
use crate::clock::{Clock as _, SystemClock};
use amends_protocol::Timestamp;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// How long somebody may stay.
#[derive(Clone, Debug)]
pub(crate) struct Stay {
    /// When it ends at the latest.
    pub(crate) until: Option<Timestamp>,
    /// What was shown, by its digest, where it can be taken back.
    pub(crate) shown: Option<(Keyring, [u8; 32])>,
}

impl Stay {
    fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
            && self.shown.as_ref().is_none_or(|(keys, digest)| keys.is_live(digest, now))
    }

    /// An answer that ends with it; one whose length is told is sent whole.
    pub(crate) fn bounds(self, answer: Response) -> Response {
        if answer.body().size_hint().exact().is_some() {
            return answer;
        }
        answer.map(|inner| Body::new(Bounded { inner: inner.boxed_unsync(), stay: self }))
    }
}

struct Bounded<B> {
    inner: B,
    stay: Stay,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Bounded<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// Streams of events say every 15 s that they live, so none outlasts its right for longer.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let next = Pin::new(&mut self.inner).poll_frame(cx);
        match next {
            Poll::Ready(Some(_)) if !self.stay.lasts(SystemClock.now()) => Poll::Ready(None),
            next => next,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
