//! What the loop knows of its part of a store that nodes share: what it holds, what it gives up, and the time there.

use crate::clock::{Clock, ms};
use crate::gathering::Gathering;
use crate::leases;
use crate::mailbox::Shared;
use crate::permits::ServicePermits;
use crate::sharing::{self, Sharing, Told};
use crate::store_line::StoreLine;
use amends_engine::{Lease, Moment, Partition};
use amends_node::{Jump, Node};
use amends_protocol::Timestamp;
use amends_store::{Store, StoreError};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Partitions that are given up at one look: each waits for what is under way of it, and is read anew elsewhere.
const AT_ONCE: usize = 4;

/// What the loop knows of its part of a store that nodes share.
pub(crate) struct Shares {
    sharing: Sharing,
    pub(crate) line: StoreLine,
    trust_after: Duration,
    /// What the store has said last, but for what was given back since.
    pub(crate) held: BTreeSet<Partition>,
    /// Those of them that are above our due, and on their way to others.
    pub(crate) leaving: BTreeSet<Partition>,
    /// The life in which they were taken.
    pub(crate) life: u64,
    /// Something could not be given back: by the store it is ours, and nobody works on it.
    pub(crate) is_unsure: bool,
    /// The life in which the commit was asked for whose effects are released next.
    pub(crate) asked_in: Option<u64>,
    /// The partitions for which that commit has left letters.
    pub(crate) posted: BTreeSet<Partition>,
    /// All that was held has been read once since the last loading.
    pub(crate) was_ready: bool,
    /// The version of the settings that others know this node to go by.
    pub(crate) settings_seen: u64,
    /// What it has of the concurrency of services.
    pub(crate) permits: ServicePermits,
    /// When the next turn may begin.
    pub(crate) gathering: Gathering,
}

impl Shares {
    /// Shows that this node lives, and takes what is its due, as far as nobody holds it.
    pub(crate) async fn begin<S: Store>(
        store: &S,
        clock: &impl Clock,
        shared: &Arc<Shared>,
        trust_after: Duration,
    ) -> Result<Self, StoreError> {
        leases::beat(store, clock, shared).await?;
        store.raise().await?;
        let look = sharing::look(store).await?;
        let held = store.claim(look.share).await?;
        let mut shares = Self {
            sharing: Sharing::begin(store, clock, shared),
            line: StoreLine::begin(ms(clock.boot()), clock.now()),
            trust_after,
            held: BTreeSet::new(),
            leaving: BTreeSet::new(),
            life: shared.life.current(),
            is_unsure: false,
            asked_in: None,
            posted: BTreeSet::new(),
            was_ready: false,
            settings_seen: 0,
            permits: ServicePermits::default(),
            gathering: Gathering::default(),
        };
        shares.trust(look.since);
        shares.gathering.is_due(look.share);
        shares.hold(partitions(&held), shared);
        Ok(shares)
    }

    pub(crate) fn told(&self) -> Arc<Told> {
        Arc::clone(self.sharing.told())
    }

    /// What the clock of the store says now.
    pub(crate) fn read_clock(
        &mut self,
        clock: &impl Clock,
        shared: &Shared,
    ) -> (Moment, Option<Jump>) {
        self.line.read(ms(clock.boot()), shared.life.clock())
    }

    /// So much is held now.
    pub(crate) fn hold(&mut self, held: BTreeSet<Partition>, shared: &Shared) {
        if held != self.held {
            self.leaving.retain(|partition| held.contains(partition));
            *shared.held.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(held.clone());
            self.held = held;
        }
    }

    /// Whoever has something to tell could reach one of the nodes since then.
    pub(crate) fn trust(&mut self, since: Option<Timestamp>) {
        let since = since.unwrap_or(Timestamp(i64::MAX));
        self.line.trust_from(since.plus_ms(ms(self.trust_after)));
    }

    /// A partition that comes while others are worked on keeps nobody out.
    pub(crate) fn is_ready(&mut self, node: &Node, stopped: bool) -> bool {
        self.was_ready |= node.is_ready();
        self.was_ready && !stopped && !node.is_away()
    }

    /// What is to be given up, of what is above our due.
    pub(crate) fn above(&mut self, share: usize) -> Vec<Partition> {
        let held = &self.held;
        let above = (held.len() - self.leaving.len()).saturating_sub(share);
        let leaving = &self.leaving;
        // What concerns all sagas stays where it is as long as it can.
        let stays = |one: &&Partition| **one != Partition::SEAT && !leaving.contains(*one);
        let next: Vec<Partition> =
            held.iter().rev().filter(stays).take(above.min(AT_ONCE)).copied().collect();
        self.leaving.extend(next);
        self.leaving.iter().copied().collect()
    }
}

/// The partitions of leases.
pub(crate) fn partitions(leases: &[Lease]) -> BTreeSet<Partition> {
    leases.iter().map(|lease| lease.partition).collect()
}
