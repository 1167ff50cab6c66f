//! What is known of the calls that somebody made before his fence was up, as it is stored.

use serde::{Deserialize, Serialize};

/// Whether the calls that an action made before its fence was up are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallsBefore {
    /// Its service told them, perhaps that there were none.
    Told,
    /// The answer that put up the fence said nothing of calls.
    Untold,
    /// The same, and its service's History was asked for after the fence.
    Asked,
}

impl CallsBefore {
    /// By an answer, which tells of calls or says nothing of them.
    #[must_use]
    pub const fn by_answer(tells: bool) -> Self {
        if tells { Self::Told } else { Self::Untold }
    }
}
