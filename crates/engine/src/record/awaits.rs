//! What a step waits for besides its stage.

use amends_protocol::ActionName;
use serde::{Deserialize, Serialize};

/// Who may still call what a step undoes, where nothing would bar that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitsCallers {
    /// Milliseconds of supervisor time: then it goes whatever they do.
    pub until: i64,
    /// Who.
    pub callers: Vec<ActionName>,
}
