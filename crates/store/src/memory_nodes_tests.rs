//! Nodes that share the engine's [`Memory`] pass the chapter of nodes: leases, shares and letters, as in a database.

use crate::{
    Adopted, Batch, Beat, Committed, Lease, Leases, Ledger, Letter, LetterId, LetterMark, Letters,
    LettersRead, LettersWanted, Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace,
    Partition, Settings, Share, StoreError, conformance::nodes::SharedPlace,
};
use amends_engine::{Epoch, Memory, MemoryConflict, RuleMinutes, SharedStore};
use amends_protocol::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
struct Base {
    rows: Memory,
    /// Who holds what. Nobody dies here.
    leases: BTreeMap<Partition, (Option<String>, Epoch)>,
    /// Those that were given back before their owner took them.
    orderly: BTreeSet<Partition>,
    inbox: Vec<(i64, Letter)>,
    letters: i64,
    minutes: RuleMinutes,
}

/// All happens at one moment.
const NOW: Timestamp = Timestamp(0);

#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Base>>);

impl SharedPlace for Shared {
    type Store = Node;

    async fn open(&self, node: &str) -> Node {
        Node { name: node.to_owned(), base: Arc::clone(&self.0) }
    }
}

/// The store as one node has it.
#[derive(Clone)]
pub(crate) struct Node {
    name: String,
    base: Arc<Mutex<Base>>,
}

impl Node {
    fn lock(&self) -> MutexGuard<'_, Base> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Vec<Lease> {
        let base = self.lock();
        let mine = base.leases.iter().filter(|(_, (owner, _))| owner.as_ref() == Some(&self.name));
        mine.map(|(partition, (_, epoch))| Lease { partition: *partition, epoch: *epoch }).collect()
    }

    fn holds(&self, base: &Base, share: &Share) -> bool {
        let is_there = |id: &LetterId| {
            let mut there = base.inbox.iter().map(|(_, letter)| letter);
            there.any(|letter| letter.id == *id && letter.partition == share.partition)
        };
        base.leases.get(&share.partition) == Some(&(Some(self.name.clone()), share.epoch))
            && share.taken.iter().all(is_there)
    }
}

impl Ledger for Node {
    async fn find(&self, wanted: LookupRequest) -> Result<LookupResult, StoreError> {
        let base = self.lock();
        let minutes = wanted.rule_minutes.then(|| base.minutes.told(NOW));
        Ok(LookupResult { rule_minutes: minutes, ..base.rows.find(&wanted) })
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        let leases = self.held();
        let base = self.lock();
        let rule_minutes = base.minutes.told(NOW);
        Ok(base.rows.load_shared(SharedStore { first_number: 64, leases, rule_minutes }))
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        Ok(self.lock().rows.settings())
    }

    async fn adopt(&self, partition: Partition) -> Result<Adopted, StoreError> {
        let lease = self.held().into_iter().find(|lease| lease.partition == partition);
        let base = self.lock();
        match lease {
            Some(_) => Ok(base.rows.adopt(partition, base.orderly.contains(&partition))),
            None => Err(StoreError::NotHeld { partition, epoch: Epoch::default() }),
        }
    }

    async fn open(
        &self,
        partition: Partition,
        after: OpenPlace,
        most: usize,
    ) -> Result<OpenPage, StoreError> {
        Ok(self.lock().rows.open(partition, after, most))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let base = &mut *self.lock();
        if base.rows.is_outdated(&batch) {
            return Err(StoreError::Outdated);
        }
        let Batch { shares, letters, clock, settings } = batch;
        let (held, lost): (Vec<Share>, Vec<Share>) =
            shares.into_iter().partition(|share| self.holds(base, share));
        if lost.iter().any(|share| share.partition == Partition::SEAT) {
            return Err(StoreError::Outdated);
        }
        if !base.minutes.count(held.iter().flat_map(|share| &share.rule_cases), NOW) {
            return Err(StoreError::Outdated);
        }
        for share in &held {
            share.writes.iter().try_for_each(|write| is_of(write, share.partition))?;
        }
        let taken: Vec<_> = held.iter().flat_map(|share| share.taken.clone()).collect();
        let rows = Batch { shares: held, clock, settings, ..Batch::default() };
        let done = base
            .rows
            .commit(rows)
            .map_err(|MemoryConflict { row, case }| StoreError::Conflict { row, case })?;
        base.inbox.retain(|(_, letter)| !taken.contains(&letter.id));
        for letter in letters {
            if base.inbox.iter().all(|(_, there)| there.id != letter.id) {
                base.letters += 1;
                base.inbox.push((base.letters, letter));
            }
        }
        Ok(Committed { lost: lost.into_iter().map(|share| share.partition).collect(), ..done })
    }
}

fn is_of(write: &amends_engine::Write, partition: Partition) -> Result<(), StoreError> {
    let saga = match write {
        amends_engine::Write::Case(row) => &row.saga,
        amends_engine::Write::Saga(row) => &row.saga,
        _ => return Ok(()),
    };
    if Partition::of(saga) == partition {
        return Ok(());
    }
    let row = format!("what is of saga `{saga}`");
    Err(StoreError::Unstorable { row, case: None, what: format!("it comes with {partition}") })
}

impl Leases for Node {
    async fn beat(&self) -> Result<Beat, StoreError> {
        let settings = self.lock().rows.settings_version();
        Ok(Beat { settings, ..Beat::default() })
    }

    async fn claim(&self, most: usize) -> Result<Vec<Lease>, StoreError> {
        let mut left = most;
        for partition in Partition::parts().chain([Partition::SEAT]) {
            let base = &mut *self.lock();
            let (owner, epoch) = base.leases.entry(partition).or_default();
            if owner.is_none() && left > 0 {
                (*owner, *epoch) = (Some(self.name.clone()), Epoch(epoch.0 + 1));
                left -= 1;
            }
        }
        Ok(self.held())
    }

    async fn raise(&self) -> Result<Vec<Lease>, StoreError> {
        for Lease { partition, epoch } in self.held() {
            let lease = (Some(self.name.clone()), Epoch(epoch.0 + 1));
            let mut base = self.lock();
            base.leases.insert(partition, lease);
            base.orderly.remove(&partition);
        }
        Ok(self.held())
    }

    async fn release(&self, partitions: Vec<Partition>) -> Result<(), StoreError> {
        for lease in self.held().into_iter().filter(|l| partitions.contains(&l.partition)) {
            let mut base = self.lock();
            base.leases.insert(lease.partition, (None, lease.epoch));
            base.orderly.insert(lease.partition);
        }
        Ok(())
    }

    fn saw_settings(&self, _: u64) {}
}

impl Letters for Node {
    async fn letters(&self, wanted: Vec<LettersWanted>) -> Result<Vec<LettersRead>, StoreError> {
        Ok(wanted.into_iter().map(|wanted| self.read(wanted)).collect())
    }

    async fn letters_waiting(&self) -> Result<Vec<(Partition, u64)>, StoreError> {
        let mut counts = BTreeMap::new();
        for (_, letter) in &self.lock().inbox {
            *counts.entry(letter.partition).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }
}

impl Node {
    fn read(&self, LettersWanted { partition, after, most }: LettersWanted) -> LettersRead {
        let base = self.lock();
        let LetterMark([_, from]) = after.unwrap_or(LetterMark([0; 2]));
        let of_it =
            |(number, letter): &&(i64, Letter)| *number > from && letter.partition == partition;
        let told: Vec<_> = base.inbox.iter().filter(of_it).take(most).collect();
        let (last, ended) = (told.last().map_or(from, |(number, _)| *number), told.len() < most);
        let next = LetterMark([0, if ended { base.letters } else { last }]);
        let letters = told.iter().map(|(_, l)| l.clone()).collect();
        LettersRead { partition, letters, unread: Vec::new(), next, ended }
    }
}

mod conformance {
    crate::nodes_conformance!(crate::memory_nodes_tests::Shared::default());
}
