//! What a person should know of a case, as it is stored.

use serde::{Deserialize, Serialize};

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// UTC milliseconds.
    pub at: i64,
    /// In plain words.
    pub text: String,
}
