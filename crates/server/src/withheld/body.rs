//! The last look at every answer before it leaves: whatever handler made it, no value of the configuration is in it.

use super::values::Withheld;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// An answer without the values. Each piece of its body is looked through as it goes; our answers are one piece, and
/// those that are streamed have whole rows or events in each.
pub(crate) fn of_answer(withheld: &Withheld, answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    for value in head.headers.values_mut() {
        if let Some(bytes) = withheld.hidden(value.as_bytes()) {
            // What is no header's value any more is none at all.
            *value = HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static(""));
        }
    }
    Response::from_parts(head, withhold(withheld.clone(), body))
}

/// A body without the values.
fn withhold(withheld: Withheld, body: Body) -> Body {
    Body::new(Looked { withheld, body })
}

struct Looked {
    withheld: Withheld,
    body: Body,
}

impl http_body::Body for Looked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|data| self.withheld.hidden(&data).map_or(data, Bytes::from))
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn the_last_look_finds_it_in_head_and_body_and_keeps_the_length() {
        let withheld = Withheld::default();
        withheld.add("sk_live_4711").expect("it can be withheld");
        let mut answer = Response::new(Body::from("{\"message\":\"no key sk_live_4711\"}"));
        answer.headers_mut().insert("location", HeaderValue::from_static("/x?k=sk_live_4711"));
        let answer = of_answer(&withheld, answer);
        assert_eq!(answer.headers()["location"], "/x?k=[hidden]****");
        assert_eq!(answer.body().size_hint().exact(), Some(33));
        let body = answer.into_body().collect().await.expect("read").to_bytes();
        assert_eq!(&body[..], b"{\"message\":\"no key [hidden]****\"}");
    }
}
