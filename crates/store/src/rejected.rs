//! Messages of brokers that could not be taken as reports, and letters of nodes that their owner has refused. Nobody
//! waits for an answer to them, so they lie here until a person has looked.

use crate::{PageRequest, Partition, RowPage, StoreError};
use amends_api::{RejectedId, RejectedWay};
use amends_engine::{Letter, LetterId};
use amends_protocol::{ProblemCode, Timestamp};
use std::future::Future;

/// A message that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its place at the broker: `nats/STREAM/SEQUENCE@TIME/SUBJECT` or `kafka/TOPIC/PARTITION/OFFSET@TIME`, with the
    /// message's time there in milliseconds; of a letter, `letter/ID`. The key: a message that is delivered again is
    /// the same row, and one of a stream or topic that was made anew is another.
    pub id: String,
    /// How it came.
    pub way: RejectedWay,
    /// Its place, in words for people.
    pub place: String,
    /// Who it says that it comes from, if that could be read.
    pub source: Option<String>,
    /// The event's own id, if that could be read.
    pub event_id: Option<String>,
    /// The saga that it is about, if that could be read; perhaps no valid id.
    pub saga: Option<String>,
    /// Why it was not taken.
    pub code: ProblemCode,
    /// What exactly is wrong with it.
    pub detail: String,
    /// Its headers, in their order.
    pub headers: Vec<(String, String)>,
    /// Its body, or the beginning of it.
    pub body: Vec<u8>,
    /// Its body was longer than what is kept.
    pub cut: bool,
    /// When it was rejected first.
    pub rejected_at: Timestamp,
    /// When it was sent, by the clock of the broker or the store.
    pub sent_at: Option<Timestamp>,
}

impl RejectedRow {
    /// What people call it by.
    #[must_use]
    pub fn name(&self) -> RejectedId {
        RejectedId::of_place(&self.id)
    }

    /// What people call a letter by that was refused.
    #[must_use]
    pub fn name_of_letter(id: LetterId) -> RejectedId {
        RejectedId::of_place(&place_of_letter(id))
    }

    /// The letter that it was; none if it was no letter, or nobody can read it here.
    #[must_use]
    pub fn letter(&self) -> Option<Letter> {
        let (_, kind) = self.headers.iter().find(|(name, _)| name == KIND)?;
        let id = u128::from_str_radix(&self.id.strip_prefix(LETTER)?.replace('-', ""), 16).ok()?;
        let body = String::from_utf8(self.body.clone()).ok()?;
        let (id, partition) = (LetterId(id), Partition::default());
        Some(Letter { id, partition, kind: kind.parse().ok()?, body })
    }
}

/// Where the ids of letters begin, and where their kind stands.
const LETTER: &str = "letter/";
pub(crate) const KIND: &str = "kind";

/// The key of a letter's row.
pub(crate) fn place_of_letter(id: LetterId) -> String {
    format!("{LETTER}{id}")
}

/// A row of a list: without headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRejected {
    /// The message.
    pub row: RejectedRow,
    /// Bytes of its body that are kept.
    pub body_bytes: u64,
}

/// How many may lie here. Of more, the oldest go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedLimits {
    /// Messages.
    pub rows: u64,
    /// What they take together, in bytes.
    pub bytes: u64,
}

impl Default for RejectedLimits {
    fn default() -> Self {
        Self { rows: 10_000, bytes: 256 << 20 }
    }
}

/// What has become of a message that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedKept {
    /// It did not lie here before.
    pub is_new: bool,
    /// So many older ones went, because there was no room for all.
    pub dropped: u64,
}

/// Which messages. Everything given has to match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedFilter {
    /// That came so.
    pub way: Option<RejectedWay>,
    /// That say they come from there.
    pub source: Option<String>,
}

/// Messages that wait for a person. Few are written as long as all is well; they never wait for the loop.
pub trait Rejected: Clone + Send + Sync + 'static {
    /// Keeps a message, durably once this returns. Of one that lies here already, everything is replaced but its place
    /// in the order and when it was rejected first.
    ///
    /// # Errors
    /// When it can't be written; nothing has changed then.
    fn reject(
        &self,
        row: RejectedRow,
        most: RejectedLimits,
    ) -> impl Future<Output = Result<RejectedKept, StoreError>> + Send;

    /// One page, newest first.
    ///
    /// # Errors
    /// When the store can't be read, or the cursor is of no such page.
    fn rejected(
        &self,
        filter: RejectedFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage<ListedRejected>, StoreError>> + Send;

    /// One message, whole.
    ///
    /// # Errors
    /// When the store can't be read.
    fn rejected_one(
        &self,
        id: RejectedId,
    ) -> impl Future<Output = Result<Option<RejectedRow>, StoreError>> + Send;

    /// Removes the oldest until the others have room: letters that are refused come with a commit, which waits for
    /// nothing. Says how many.
    ///
    /// # Errors
    /// When it can't be written.
    fn make_room_for_rejected(
        &self,
        most: RejectedLimits,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// How many there are.
    ///
    /// # Errors
    /// When the store can't be read.
    fn rejected_count(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Removes one; says whether it was there.
    ///
    /// # Errors
    /// When it can't be written.
    fn forget_rejected(
        &self,
        id: RejectedId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes those that were rejected before a moment, oldest first, at most `limit` (an implementation may cap it);
    /// says how many.
    ///
    /// # Errors
    /// When it can't be written.
    fn prune_rejected(
        &self,
        rejected_before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;
}
