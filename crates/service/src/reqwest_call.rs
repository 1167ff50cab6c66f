//! A recorded call through `reqwest`. Sends with the host's own client and its settings.

use crate::context::ActionContext;
use crate::failure::CallFailed;
use crate::recorded::{Reading, RecordedCall, judge};
use crate::store::HistoryStore;
use crate::transport::ANSWER_LIMIT;
use reqwest::{RequestBuilder, Response, ResponseBuilderExt as _};

impl<S: HistoryStore> ActionContext<S> {
    /// Sends a request of the host's own `reqwest` client as a recorded call to `action` of `service`.
    ///
    /// As with [`ActionContext::call`], it is durable in History before it is sent and again when it is answered, under a
    /// request id that a re-run repeats, with the saga context in its headers. The answer is read whole (up to 1 MiB) to
    /// see what it proves, and given back whole, whatever its status. An answer "still running" (409 `in-progress`) is not
    /// waited for. The client should have a time-out.
    ///
    /// # Errors
    /// [`CallFailed`] when the call was not sent, or no whole answer came.
    ///
    /// Calls to one action are counted in the order in which this is called, also when they are awaited together.
    pub fn send(
        &self,
        service: &str,
        action: &str,
        request: RequestBuilder,
    ) -> impl Future<Output = Result<Response, CallFailed>> + Send + use<S> {
        let call = self.next_call(service, action);
        async move { call.send(request).await }
    }
}

impl<S: HistoryStore> RecordedCall<S> {
    async fn send(&self, request: RequestBuilder) -> Result<Response, CallFailed> {
        let (client, request) = request.build_split();
        let mut request = request.map_err(|error| self.not_sent(format!("not sent: {error}")))?;
        self.begin().await?;
        self.write_context(request.headers_mut());
        let (answer, reading) = match whole(client.execute(request)).await {
            Ok(answer) => {
                let reading = judge(answer.status(), answer.headers(), answer.body());
                (Some(answer), reading)
            }
            Err(why) => (None, Err(Reading::none(why))),
        };
        self.end(&reading).await;
        match (answer, reading) {
            (Some(answer), _) => Ok(answer.into()),
            (None, Err(bad)) => Err(self.failed(bad)),
            (None, Ok(())) => Err(self.failed(Reading::none("no answer".to_owned()))),
        }
    }
}

/// The whole answer, or why there is none.
async fn whole(
    answering: impl Future<Output = Result<Response, reqwest::Error>>,
) -> Result<http::Response<Vec<u8>>, String> {
    let mut answer = answering.await.map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    while let Some(chunk) =
        answer.chunk().await.map_err(|error| format!("the answer broke off: {error}"))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            return Err(format!("the answer is longer than {ANSWER_LIMIT} bytes"));
        }
    }
    let mut whole = http::Response::builder()
        .status(answer.status())
        .version(answer.version())
        .url(answer.url().clone())
        .body(body)
        .map_err(|error| error.to_string())?;
    *whole.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(whole)
}
