//! What nodes leave for each other: each partition of a store that several share has an inbox, which its owner reads.

use crate::StoreError;
use amends_engine::{Epoch, LetterId, LettersRead, LettersWanted, Partition};
use std::future::Future;

/// Letters of a partition past which no more should be taken in for it, some seconds' worth of a busy node: whoever
/// comes then is told to come later.
pub const LETTERS_LIMIT: u64 = 20_000;

/// The inboxes of a store that nodes share. Letters come with a commit ([`Batch::letters`](crate::Batch)) and go with
/// one ([`Share::taken`](crate::Share)). As it comes: of a store that one node owns as a whole, where there are none.
pub trait Letters: Clone + Send + Sync + 'static {
    /// Reads letters of some partitions, of each at most so many as are wanted; told in the order in which they were
    /// asked for.
    ///
    /// A letter is durable before it can be read. None is ever passed over: a letter may be told again, time after
    /// time, until it is deleted, and comes late if its sender's commit does. Read from the beginning when the
    /// partition is adopted, and about once a minute.
    ///
    /// Those of a kind that this version does not know are told apart: the partition is for a newer one.
    ///
    /// # Errors
    /// When the store can't be read.
    fn letters(
        &self,
        wanted: Vec<LettersWanted>,
    ) -> impl Future<Output = Result<Vec<LettersRead>, StoreError>> + Send {
        let partition = wanted.first().map_or(Partition::WHOLE, |wanted| wanted.partition);
        async move { Err(StoreError::NotHeld { partition, epoch: Epoch::default() }) }
    }

    /// Whether a letter waits still.
    ///
    /// # Errors
    /// When the store can't be read.
    fn letter_waits(&self, id: LetterId) -> impl Future<Output = Result<bool, StoreError>> + Send {
        let _ = id;
        async { Ok(false) }
    }

    /// How many letters wait, of partitions that have any, by number; counted up to just above [`LETTERS_LIMIT`].
    ///
    /// # Errors
    /// When the store can't be read.
    fn letters_waiting(
        &self,
    ) -> impl Future<Output = Result<Vec<(Partition, u64)>, StoreError>> + Send {
        async { Ok(Vec::new()) }
    }
}
