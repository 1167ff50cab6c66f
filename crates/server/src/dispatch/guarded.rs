//! The body of a request that may be withdrawn until its first byte is written: a connection may have been long in
//! coming. hyper asks for a body before it writes anything of the request, and closes the connection on its error. A
//! request without one has been looked at before; such requests change nothing.

use crate::outbound::Permit;
use amends_protocol::causes;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A body that is there as long as it may be sent.
#[derive(Clone, Debug)]
pub(super) struct Guarded {
    body: Full<Bytes>,
    may: Permit,
}

/// It may not be sent any more.
#[derive(Debug, thiserror::Error)]
#[error("not sent: another supervisor may have taken the case over")]
pub(super) struct Withdrawn;

impl Guarded {
    pub(super) fn new(body: Full<Bytes>, may: Permit) -> Self {
        Self { body, may }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        if !self.may.holds() {
            return Poll::Ready(Some(Err(Withdrawn)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a request failed because it was withdrawn. Nothing of it was written then.
pub(super) fn was_withdrawn(error: &(dyn Error + 'static)) -> bool {
    causes::innermost(error).is::<Withdrawn>()
}
