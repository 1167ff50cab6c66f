//! What the shell needs of the outside world: somebody who performs an effect and says what it brought. Decides nothing.

use amends_engine::Effect;
use amends_node::EffectResult;
use std::future::Future;

/// Performs effects. The production implementation is [`crate::dispatch::HttpOutbound`].
pub trait Outbound: Clone + Send + Sync + 'static {
    /// Performs one effect, once, within its time limit, and never fails: what went wrong is part of the answer.
    ///
    /// Dropping the future early may leave the request sent or not sent.
    fn perform(&self, effect: Effect) -> impl Future<Output = EffectResult> + Send;
}
