//! A call as a report names it: by its action, or by the way on which it is made, where there are several.

use crate::ActionId;

/// A call that a report names: an action, wherever it is called, or with those that call it, each directly:
/// `b.do>d.go`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedCall {
    /// Who calls whom; the last one is what is called.
    chain: Vec<ActionId>,
}

impl NamedCall {
    /// The action, on whatever way it is called.
    #[must_use]
    pub fn of(action: ActionId) -> Self {
        Self { chain: vec![action] }
    }

    /// The last of these, called by the one before, and so on.
    pub(crate) fn by_way(chain: Vec<ActionId>) -> Option<Self> {
        (!chain.is_empty()).then_some(Self { chain })
    }

    /// What is called.
    #[must_use]
    pub fn action(&self) -> ActionId {
        self.chain[self.chain.len() - 1]
    }

    /// Where its way begins: the action itself if no way is named.
    #[must_use]
    pub fn first(&self) -> ActionId {
        self.chain[0]
    }

    /// Whether it means this action on whatever way.
    #[must_use]
    pub fn is_plain(&self, action: ActionId) -> bool {
        self.chain == [action]
    }

    /// Whether a call is meant that came about so: the last of these was called by the one before, and so on.
    #[must_use]
    pub fn means(&self, way: &[ActionId]) -> bool {
        way.ends_with(&self.chain)
    }

    /// The same as it is seen from a call of `from`: without the way's first part, if that is `from` itself.
    #[must_use]
    pub(crate) fn own_call_of(&self, from: ActionId) -> Option<&[ActionId]> {
        match self.chain.as_slice() {
            [first, rest @ ..] if *first == from && !rest.is_empty() => Some(rest),
            _ => None,
        }
    }

    /// Where its way begins below `from`.
    #[must_use]
    pub fn first_below(&self, from: ActionId) -> ActionId {
        self.own_call_of(from).map_or(self.first(), |rest| rest[0])
    }

    /// Those that are called one after another.
    #[must_use]
    pub fn chain(&self) -> &[ActionId] {
        &self.chain
    }

    /// The action that a call by this way begins with where `from` makes it itself, if it does.
    #[must_use]
    pub fn direct(&self, from: ActionId) -> Option<ActionId> {
        match self.chain.as_slice() {
            [only] => Some(*only),
            [first, called] if *first == from => Some(*called),
            _ => None,
        }
    }

    /// As a rulebook writes it; `name` gives the actions' names.
    #[must_use]
    pub fn written(&self, name: impl Fn(ActionId) -> String) -> String {
        self.chain.iter().map(|id| name(*id)).collect::<Vec<_>>().join(">")
    }
}
