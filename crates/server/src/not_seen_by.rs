//! Which nodes have yet to read what was set for all sagas.

/// Nodes that live and have not yet read what was set, by name. Each goes by it as soon as it has, and sends nothing
/// once it counts as dead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotSeenBy(pub Vec<String>);
