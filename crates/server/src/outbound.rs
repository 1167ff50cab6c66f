//! What the shell needs of the outside world: somebody who performs an effect and says what it brought. Decides nothing.

use amends_engine::Effect;
use amends_node::EffectResult;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Performs effects. The production implementation is [`crate::dispatch::HttpOutbound`].
pub trait Outbound: Clone + Send + Sync + 'static {
    /// Performs one effect, once, within its time limit, and never fails: what went wrong is part of the answer.
    ///
    /// Looks immediately before it writes the request whether it still `may`; if not, the request is not sent.
    ///
    /// Dropping the future early may leave the request sent or not sent.
    fn perform(&self, effect: Effect, may: Permit) -> impl Future<Output = EffectResult> + Send;
}

/// Whether what was decided may still be done. Clones are the same one.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Permit {
    /// For as long as this is true.
    pub fn while_true(holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(holds)))
    }

    /// Whether it may be done now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.as_ref().is_none_or(|holds| holds())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.holds()).finish()
    }
}
