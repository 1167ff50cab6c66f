//! A recorded call through any `tower` client of `http` requests: a layer from the request's context. Sends nothing itself,
//! and repeats nothing.

use crate::context::ActionContext;
use crate::failure::CallFailed;
use crate::recorded::{Reading, judge};
use crate::store::{BoxFuture, HistoryStore};
use crate::transport::ANSWER_LIMIT;
use amends_protocol::HistoryState;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use std::error::Error;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

impl<S: HistoryStore> ActionContext<S> {
    /// A layer for calls to `action` of `service`, for whatever client the host has.
    ///
    /// Each request that goes through it is one recorded call, as with [`ActionContext::call`]: durable in History before
    /// it is sent and again when it is answered, under a request id that a re-run repeats, with the saga context in its
    /// headers. The answer is read whole (up to 1 MiB) to see what it proves, and given back whole, whatever its status.
    /// An answer "still running" (409 `in-progress`) is not waited for: layer a retry on the inside for that, so that all
    /// tries are one call.
    ///
    /// The layered client fails with [`CallFailed`] when the call was not sent, or no whole answer came.
    #[must_use]
    pub fn layer(&self, service: &str, action: &str) -> CallLayer<S> {
        CallLayer { context: self.clone(), service: service.to_owned(), action: action.to_owned() }
    }
}

/// Made by [`ActionContext::layer`].
#[derive(Debug)]
pub struct CallLayer<S: HistoryStore> {
    context: ActionContext<S>,
    service: String,
    action: String,
}

impl<S: HistoryStore, C> Layer<C> for CallLayer<S> {
    type Service = RecordedClient<S, C>;

    fn layer(&self, client: C) -> Self::Service {
        RecordedClient { layer: self.clone(), client }
    }
}

/// A client whose requests are recorded calls.
#[derive(Debug)]
pub struct RecordedClient<S: HistoryStore, C> {
    layer: CallLayer<S>,
    client: C,
}

// By hand: a store need not be `Clone` for its handles to be.
impl<S: HistoryStore> Clone for CallLayer<S> {
    fn clone(&self) -> Self {
        let Self { context, service, action } = self;
        Self { context: context.clone(), service: service.clone(), action: action.clone() }
    }
}

impl<S: HistoryStore, C: Clone> Clone for RecordedClient<S, C> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone(), client: self.client.clone() }
    }
}

impl<S, C, Sent, Answered> Service<Request<Sent>> for RecordedClient<S, C>
where
    S: HistoryStore,
    C: Service<Request<Sent>, Response = Response<Answered>> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
    Sent: Send + 'static,
    Answered:
        http_body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = CallFailed;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.client.poll_ready(context).map_err(|error| CallFailed {
            service: self.layer.service.clone(),
            action: self.layer.action.clone(),
            // It was not begun, so it has none.
            request_id: String::new(),
            state: HistoryState::Failed,
            status: None,
            report: None,
            problem: None,
            detail: format!("not sent: {}", error.into()),
        })
    }

    fn call(&mut self, mut request: Request<Sent>) -> Self::Future {
        let call = self.layer.context.next_call(&self.layer.service, &self.layer.action);
        // The one that is ready does the call; its clone may not be.
        let fresh = self.client.clone();
        let mut client = std::mem::replace(&mut self.client, fresh);
        Box::pin(async move {
            call.begin().await?;
            call.write_context(request.headers_mut());
            let (answer, reading) = match whole(client.call(request)).await {
                Ok(answer) => {
                    let reading = judge(answer.status(), answer.headers(), answer.body());
                    (Some(answer), reading)
                }
                Err(why) => (None, Err(Reading::none(why))),
            };
            call.end(&reading).await;
            match (answer, reading) {
                (Some(answer), _) => Ok(answer.map(Full::new)),
                (None, Err(bad)) => Err(call.failed(bad)),
                (None, Ok(())) => Err(call.failed(Reading::none("no answer".to_owned()))),
            }
        })
    }
}

/// The whole answer, or why there is none.
async fn whole<Answered, E>(
    answering: impl Future<Output = Result<Response<Answered>, E>>,
) -> Result<Response<Bytes>, String>
where
    Answered: http_body::Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let (head, body) = answering.await.map_err(|error| error.into().to_string())?.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT)
        .collect()
        .await
        .map_err(|error| format!("the answer broke off: {error}"))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
