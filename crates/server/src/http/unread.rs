//! Lets a client whose body is not wanted read why. Closing a connection while bytes are on their way to it resets it,
//! and with it the answer; so what is left of a body is taken and thrown away, for a while.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;

/// Most bytes that are thrown away: the longest body that any resource takes, and some more.
const MOST: usize = 32 << 20;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives the handlers a body whose rest is thrown away if they leave it.
pub(crate) async fn take_the_rest(request: Request, next: Next) -> Response {
    let wrap = |body: Body| {
        if body.is_end_stream() { body } else { Body::new(Unread { body: Some(body) }) }
    };
    next.run(request.map(wrap)).await
}

struct Unread {
    /// None once all of it has come, or it broke off.
    body: Option<Body>,
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(PATIENCE, async move {
            let mut taken = 0;
            while let Some(Ok(frame)) = body.frame().await
                && taken < MOST
            {
                taken += frame.data_ref().map_or(0, Bytes::len);
            }
        }));
    }
}
