//! The end of an effect, told to the loop whatever becomes of whoever performs it.

use amends_node::{EffectId, EffectResult};
use tokio::sync::mpsc;

/// What an effect brought; none if whoever performed it is gone.
pub(super) type Ending = (EffectId, Option<EffectResult>);

/// Exactly one result for each effect, even if whoever performs it panics: then nobody knows what became of it.
pub(super) struct Promise {
    pub(super) results: mpsc::UnboundedSender<Ending>,
    pub(super) id: EffectId,
    pub(super) result: Option<EffectResult>,
}

impl Promise {
    pub(super) fn keep(mut self, result: EffectResult) {
        self.result = Some(result);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        // Nobody takes it any more when the loop has ended; the store knows the step as in flight.
        let _ = self.results.send((self.id, self.result.take()));
    }
}
