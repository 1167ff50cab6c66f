//! Which partitions of a store that several loops share are here, and the case numbers that tell their partition.

use crate::{Lease, Partition, RuleMinute, SagaRow};
use amends_protocol::{CaseId, SagaId, Timestamp};
use std::collections::BTreeMap;

const PARTS: u64 = Partition::PARTS as u64;

/// What a store that several loops share tells at a start, beside what belongs to no saga.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedStore {
    /// From this case number on, numbers tell their partition: they are `sequence * 64 + partition`.
    pub first_number: u64,
    /// What is held, in order.
    pub leases: Vec<Lease>,
    /// The current minutes of limited rules.
    pub rule_minutes: Vec<RuleMinute>,
}

/// What a partition has beside its open cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopted {
    /// The highest sequence of its case numbers, also of one that has been removed; 0 if there is none.
    pub last_sequence: u64,
    /// Its announced sagas that are still under way, by deadline.
    pub sagas: Vec<SagaRow>,
    /// Who held it before gave it back, and left nothing of it under way. Then nothing has been interrupted: no try is
    /// counted, and what waits for a time goes on to wait for it.
    pub orderly: bool,
}

/// The partitions that are here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings {
    first_number: u64,
    held: BTreeMap<Partition, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    last_sequence: u64,
    orderly: bool,
    /// All that was left for it before this moment has been taken.
    heard: Timestamp,
    /// Nothing new of it is sent.
    held_back: bool,
}

impl Held {
    const fn none() -> Self {
        Self { last_sequence: 0, orderly: false, heard: Timestamp(i64::MIN), held_back: false }
    }
}

impl Holdings {
    pub(crate) fn new(first_number: u64) -> Self {
        Self { first_number, held: BTreeMap::new() }
    }

    pub(crate) fn adopt(&mut self, partition: Partition, adopted: &Adopted) {
        let &Adopted { last_sequence, orderly, .. } = adopted;
        self.held.insert(partition, Held { last_sequence, orderly, ..Held::none() });
    }

    pub(crate) fn abandon(&mut self, partition: Partition) {
        self.held.remove(&partition);
    }

    pub(crate) fn holds(&self, partition: Partition) -> bool {
        self.held.contains_key(&partition)
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = Partition> {
        self.held.keys().copied()
    }

    /// Whether its cases go on where another loop has left them.
    pub(crate) fn is_orderly(&self, partition: Partition) -> bool {
        self.held.get(&partition).is_some_and(|held| held.orderly)
    }

    pub(crate) fn heard(&mut self, partition: Partition, until: Timestamp) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.heard = held.heard.max(until);
        }
    }

    /// Until when all that was left for a partition has been taken.
    pub(crate) fn heard_until(&self, partition: Partition) -> Timestamp {
        self.held.get(&partition).map_or(Timestamp(i64::MIN), |held| held.heard)
    }

    pub(crate) fn hold_back(&mut self, partition: Partition) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.held_back = true;
        }
    }

    pub(crate) fn holds_any_back(&self) -> bool {
        self.held.values().any(|held| held.held_back)
    }

    pub(crate) fn is_held_back(&self, partition: Partition) -> bool {
        self.held.get(&partition).is_some_and(|held| held.held_back)
    }

    /// The partition that a case number tells; none of one from before numbers did.
    pub(crate) fn told_by(&self, case: CaseId) -> Option<Partition> {
        let part = u16::try_from(case.0 % PARTS).ok()?;
        (case.0 >= self.first_number).then_some(Partition(part))
    }

    /// A new number for the case of a saga. Each partition counts for itself: its owner alone makes numbers.
    pub(crate) fn next_number(&mut self, saga: &SagaId) -> CaseId {
        let partition = Partition::of(saga);
        let first_sequence = self.first_number.div_ceil(PARTS).max(1);
        let held = self.held.entry(partition).or_insert(Held::none());
        held.last_sequence = (held.last_sequence + 1).max(first_sequence);
        CaseId(held.last_sequence * PARTS + u64::from(partition.0))
    }

    /// Numbers of all partitions go on after this sequence, so that they follow time from one to the other.
    pub(crate) fn raise_numbers(&mut self, sequence: u64) {
        for held in self.held.values_mut() {
            held.last_sequence = held.last_sequence.max(sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saga(id: &str) -> SagaId {
        SagaId::new(id).expect("valid")
    }

    fn holdings(first_number: u64, last_sequence: u64) -> Holdings {
        let mut holdings = Holdings::new(first_number);
        let adopted = Adopted { last_sequence, sagas: Vec::new(), orderly: true };
        Partition::parts().for_each(|partition| holdings.adopt(partition, &adopted));
        holdings
    }

    #[test]
    fn a_new_number_tells_its_partition_and_is_higher_than_any_before() {
        let mut holdings = holdings(130, 0);
        let twelve = saga("order-1");
        let first = holdings.next_number(&twelve);
        assert_eq!((first, holdings.told_by(first)), (CaseId(3 * 64 + 12), Some(Partition(12))));
        assert_eq!(holdings.told_by(CaseId(129)), None, "it is of before");
        assert_eq!(holdings.next_number(&twelve), CaseId(4 * 64 + 12));
        assert_eq!(holdings.next_number(&saga("order-2")), CaseId(3 * 64 + 53));
    }

    #[test]
    fn numbers_go_on_after_those_of_others() {
        let mut holdings = holdings(0, 7);
        holdings.raise_numbers(1_000);
        holdings.raise_numbers(900);
        assert_eq!(holdings.next_number(&saga("order-1")), CaseId(1_001 * 64 + 12));
    }
}
