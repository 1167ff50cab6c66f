//! What may come of a request to a service, in a closed list of words.

use amends_engine::HistoryResult;
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
                HistoryResult::Told(_)
                | HistoryResult::NoHistory
                | HistoryResult::Unproven { .. } => "history",
                HistoryResult::Failed { unreachable: true, .. } => "not_sent",
                HistoryResult::Failed { .. } => "unknown",
            },
        }
    }
}
