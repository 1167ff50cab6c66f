//! Messages that nobody waits for: written down before they go on a queue, whatever carries them. Sends nothing itself.

use crate::context::ActionContext;
use crate::failure::CallFailed;
use crate::recorded::{Reading, RecordedCall};
use crate::store::HistoryStore;
use http::HeaderMap;

/// What a message is to carry, so that its consumer takes it once and knows its saga.
#[derive(Clone, Debug)]
pub struct Message {
    request_id: String,
    headers: HeaderMap,
}

impl Message {
    /// The id under which the consumer takes it; the same when the request that sends it runs again.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The saga context: as headers of an HTTP request, or as those of a message on a queue.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl<S: HistoryStore> ActionContext<S> {
    /// Writes down that a message for `action` of another service goes out, and gives what it is to carry.
    ///
    /// Put it on the queue only when this is `Ok`. History says of it that the action may have happened, so whoever
    /// undoes the saga also bars the consumer. It answers `409 saga-fenced` to a message that comes later; take that
    /// one off the queue.
    ///
    /// # Errors
    /// [`CallFailed`] when it must not be sent: a compensation has fenced this request's action.
    pub fn message(
        &self,
        service: &str,
        action: &str,
    ) -> impl Future<Output = Result<Message, CallFailed>> + Send + use<S> {
        let call = self.next_call(service, action);
        async move { call.message().await }
    }
}

impl<S: HistoryStore> RecordedCall<S> {
    async fn message(&self) -> Result<Message, CallFailed> {
        self.begin().await?;
        let mut headers = HeaderMap::new();
        self.write_context(&mut headers);
        let under_way = "a message is under way, and nobody waits for it".to_owned();
        self.end(&Err(Reading::none(under_way))).await;
        Ok(Message { request_id: self.row.call_id.clone(), headers })
    }
}
