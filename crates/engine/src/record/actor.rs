//! Who acts: under which name, let in as whom, and from where.

use std::fmt;
use std::sync::Arc;

/// Who acts. The engine keeps it with the act and looks at nothing but the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name that people read.
    pub name: Arc<str>,
    /// As whom the request was let in, as `token:ci`; none where nobody is asked who they are, and of the supervisor's
    /// own acts.
    pub principal: Option<Arc<str>>,
    /// The address that the request came from; none of the supervisor's own acts.
    pub address: Option<Arc<str>>,
}

impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        Self { name: name.into(), principal: None, address: None }
    }
}

impl From<&Self> for Actor {
    fn from(actor: &Self) -> Self {
        actor.clone()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<&String> for Actor {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}
