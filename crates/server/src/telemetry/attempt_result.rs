//! What may come of a request to a service, in a closed list of words.

use amends_engine::WalkResult;
use amends_node::EffectResult;

/// The closed list of what may come of a request to a service.
pub(super) struct AttemptResult;

impl AttemptResult {
    pub(super) const ALL: [&'static str; 10] = [
        "done",
        "accepted",
        "refused",
        "rejected",
        "definite",
        "unsendable",
        "busy",
        "not_sent",
        "unknown",
        "history",
    ];

    pub(super) fn of(ended: &EffectResult) -> &'static str {
        match ended {
            EffectResult::Step(result) => result.answer.kind(),
            EffectResult::History(result) => match result {
                WalkResult::Told(_) | WalkResult::NoHistory | WalkResult::Unproven { .. } => {
                    "history"
                }
                WalkResult::Failed { unreachable: true, .. } => "not_sent",
                WalkResult::Failed { .. } => "unknown",
            },
        }
    }
}
