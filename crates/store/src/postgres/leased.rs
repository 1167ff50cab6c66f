//! What this process has leased: the whole store, or parts of it each by itself.

use super::{
    lease::{Held, Me, WholeLease},
    options::Taking,
    parts::PartLeases,
    session::Session,
};
use crate::{Batch, Epoch, Lease, Partition, Share, StoreError};

#[derive(Debug)]
pub(super) enum Leased {
    Whole(WholeLease),
    Parts(PartLeases),
}

impl Leased {
    pub(super) fn new(taking: Taking) -> Self {
        match taking {
            Taking::Whole => Self::Whole(WholeLease::default()),
            Taking::Parts => Self::Parts(PartLeases::default()),
        }
    }

    /// Whether everything is held, and nothing left to be claimed.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(WholeLease(Some(_))))
    }

    /// For writes that carry no epoch.
    pub(super) fn held(&self) -> Result<&Held, StoreError> {
        match self {
            Self::Whole(whole) => whole.held(),
            Self::Parts(parts) => Ok(&parts.0),
        }
    }

    /// Refuses a batch from before as a whole. Of one in parts the commit tells which are not held.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        match self {
            Self::Whole(whole) => whole.check(batch).map(drop),
            Self::Parts(_) => Ok(()),
        }
    }

    /// Partitions of shares whose epoch is not held: they are lost without asking.
    pub(super) fn stale(&self, batch: &Batch) -> impl Iterator<Item = Partition> {
        let held = match self {
            Self::Whole(_) => None,
            Self::Parts(parts) => Some(&parts.0),
        };
        let is_stale = move |share: &&Share| {
            held.is_some_and(|held| held.part(share.partition, share.epoch).is_none())
        };
        batch.shares.iter().filter(is_stale).map(|share| share.partition)
    }

    /// Whether the database need not be asked for it. In parts, a share without writes asks whether it is held.
    pub(super) fn asks_nothing(&self, batch: &Batch) -> bool {
        match self {
            Self::Whole(_) => batch.is_empty(),
            Self::Parts(_) => batch.is_empty() && batch.shares.is_empty(),
        }
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        match self {
            Self::Whole(whole) => whole.leases(),
            Self::Parts(parts) => parts.leases(),
        }
    }

    /// What the lease of a part that is held tells: the highest sequence that its case numbers may have, and whether it
    /// was given back before.
    pub(super) fn adopted(
        &self,
        session: &Session,
        me: &Me,
        partition: Partition,
    ) -> Result<(u64, bool), StoreError> {
        match self {
            Self::Parts(parts) => parts.adopted(session, me, partition),
            Self::Whole(_) => Err(StoreError::NotHeld { partition, epoch: Epoch::default() }),
        }
    }

    /// The connection is gone, and nobody knows what is held.
    pub(super) fn forget(&mut self) {
        match self {
            Self::Whole(whole) => whole.0 = None,
            Self::Parts(parts) => *parts = PartLeases::default(),
        }
    }

    /// These have gone to others.
    pub(super) fn lose(&mut self, lost: &[i16]) {
        match self {
            Self::Whole(whole) => whole.0 = None,
            Self::Parts(parts) => lost.iter().for_each(|part| parts.0.drop_part(*part)),
        }
    }

    pub(super) fn claim(
        &mut self,
        session: &Session,
        me: &Me,
        most: usize,
    ) -> Result<(), StoreError> {
        match self {
            Self::Whole(whole) => whole.claim(session, me),
            Self::Parts(parts) => parts.claim(session, me, most),
        }
    }

    pub(super) fn raise(&mut self, session: &Session, me: &Me) -> Result<(), StoreError> {
        match self {
            Self::Whole(whole) => whole.raise(session, me),
            Self::Parts(parts) => parts.raise(session, me),
        }
    }

    pub(super) fn release(
        &mut self,
        session: &Session,
        me: &Me,
        partitions: &[Partition],
    ) -> Result<(), StoreError> {
        match self {
            Self::Whole(whole) if partitions.contains(&Partition::WHOLE) => {
                whole.release(session, me)
            }
            Self::Whole(_) => Ok(()),
            Self::Parts(parts) => parts.release(session, me, partitions),
        }
    }

    /// At the end.
    pub(super) fn release_all(&mut self, session: &Session, me: &Me) -> Result<(), StoreError> {
        let held: Vec<Partition> = self.leases().iter().map(|lease| lease.partition).collect();
        self.release(session, me, &held)
    }
}
