//! What is wrong with a configuration: all of it at once.

/// A configuration that cannot be used, with every mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);
