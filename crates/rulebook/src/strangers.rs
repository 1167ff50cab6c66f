//! What a rulebook says of services and actions that it does not know, when evidence tells of them.

use std::sync::Arc;

/// How strangers are met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// Each of them holds its case, also one that no earlier version declared.
    pub hold: bool,
    /// Names that nobody needs to hear of.
    pub ignore: Vec<StrangerPattern>,
}

/// Names of actions: `catalog.*` or `mail.send`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrangerPattern {
    /// The service.
    pub service: Arc<str>,
    /// The action; none for all of the service.
    pub action: Option<Arc<str>>,
}

impl Strangers {
    /// Whether nobody needs to hear of an action.
    #[must_use]
    pub fn ignores(&self, service: &str, action: &str) -> bool {
        self.ignore.iter().any(|pattern| {
            *pattern.service == *service
                && pattern.action.as_ref().is_none_or(|name| **name == *action)
        })
    }
}
