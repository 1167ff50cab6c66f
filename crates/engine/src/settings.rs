//! What people have set for all sagas, as a store tells it: at a start, and again where another loop has changed it.

use crate::{HoldScope, RuleHoldRow, RulebookRow, ServiceRow, StrangerDecisionRow, UnreadableRow};
use std::sync::Arc;

/// What belongs to no saga and holds for all of them. Of a store that several loops share, the owner of the seat alone
/// changes it, and the others read it again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Grows with each change, in a store that several loops share; what is told here is at least as new. 0 in a store
    /// that is owned as a whole.
    pub version: u64,
    /// Active versions of rulebooks.
    pub rulebooks: Vec<RulebookRow>,
    /// The newest versions that are not active, at most [`crate::EARLIER_VERSIONS`]: what they declared is no stranger.
    pub earlier: Vec<RulebookRow>,
    /// What operators have set for services, by name.
    pub services: Vec<ServiceRow>,
    /// What people have said of names that rulebooks don't know, by rulebook and action.
    pub strangers: Vec<StrangerDecisionRow>,
    /// What people hold, by rulebook and rule.
    pub rule_holds: Vec<RuleHoldRow>,
    /// The highest number of an erasure, 0 if none.
    pub last_erasure: u64,
    /// Rows of no case that can't be read; they are left out above.
    pub unreadable: Vec<UnreadableRow>,
    /// Services whose settings can't be read, by name: among them may be a pause.
    pub broken_services: Vec<(Arc<str>, UnreadableRow)>,
    /// Holds of which can't be read whose they are.
    pub broken_rule_holds: Vec<(HoldScope, UnreadableRow)>,
}
