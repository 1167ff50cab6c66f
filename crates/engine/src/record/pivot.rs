//! How a step stands to a pivot behind what it undoes, as it is stored.

use serde::{Deserialize, Serialize};

/// How a step stands to a pivot behind what it undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtPivot {
    /// It waits until whoever can tell has said whether the pivot took effect.
    Reads,
    /// It waits for a person: the pivot may have taken effect.
    Asks,
    /// It was waived, since the pivot has taken effect: by its rule, or by a person.
    Kept,
    /// A person wants it all the same.
    Cleared,
}
