//! What operators hold, as people are shown it.

use amends_api::RuleHoldView;
use amends_engine::RuleHold;
use amends_protocol::Timestamp;

/// A hold in force.
pub(crate) fn rule_hold(hold: &RuleHold) -> RuleHoldView {
    RuleHoldView {
        rulebook: hold.scope.rulebook.to_string(),
        rule: hold.scope.rule.as_ref().map(ToString::to_string),
        at: Timestamp(hold.decision.at),
        by: hold.decision.by.to_string(),
        reason: hold.decision.reason.to_string(),
    }
}
