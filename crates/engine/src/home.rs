//! To whom an input belongs, of a store that several loops share. Plain data.

use crate::Partition;
use amends_protocol::CaseId;

/// To whom an input belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// To whoever takes it: time, and what became of a request that is nobody's any more.
    Here,
    /// To the owner of a partition.
    Partition(Partition),
    /// To the owner of a case that is not here, and whose number does not tell its partition.
    Case(CaseId),
}
