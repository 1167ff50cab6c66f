//! Partitions come and go. What an engine does for one of them is what it would do without the others: `abandon` takes
//! all of a partition away, and nothing else.

use super::Engine;
use crate::{Adopted, DomainEvent, Partition, Write};
use amends_protocol::{CaseId, SagaId};
use std::collections::BTreeSet;

impl Engine {
    /// Takes a partition that is held now: its announced sagas, and from now on its inputs. Its open cases follow page
    /// by page ([`Engine::take_open`]). Only of a store that several loops share.
    pub fn adopt(&mut self, partition: Partition, adopted: Adopted) {
        let Some(holdings) = &mut self.holdings else { return };
        holdings.adopt(partition, &adopted);
        self.turn.traffic.share_pace(holdings.partitions());
        self.residence.reading.insert(partition);
        adopted.sagas.into_iter().for_each(|saga| self.restore_saga(saga));
    }

    /// Forgets all of a partition: its cases, with what they wait for and what has still to be written of them, and its
    /// announced sagas. What is under way to services goes on to count against their limits.
    pub fn abandon(&mut self, partition: Partition) {
        let Some(holdings) = &mut self.holdings else { return };
        holdings.abandon(partition);
        self.turn.traffic.share_pace(holdings.partitions());
        self.take_back_output_of(partition);
        let gone = self.cases_of(partition);
        for id in &gone {
            self.forget_case(*id);
        }
        let is_of_it = |saga: &SagaId| Partition::of(saga) == partition;
        self.by_saga.retain(|saga, _| !is_of_it(saga));
        self.sagas.retain(|saga, _| !is_of_it(saga));
        self.ended_sagas.retain(|saga, _| !is_of_it(saga));
        self.by_wall.retain(|(_, saga)| !is_of_it(saga));
        let holdings = self.holdings.as_ref();
        let told = |id: CaseId| holdings.and_then(|holdings| holdings.told_by(id));
        let is_gone = |id: CaseId| gone.contains(&id) || told(id) == Some(partition);
        self.turn.traffic.forget(is_gone, is_of_it);
        self.unheard.retain(|(_, timer)| !timer.is_of(is_gone, is_of_it));
        self.turn.strangers.forget(is_gone);
        self.residence.reading.remove(&partition);
    }

    /// Whether the store is shared: then only some partitions are here.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.holdings.is_some()
    }

    /// Whether the partition is here. All are, of a store that is owned as a whole.
    #[must_use]
    pub fn holds_partition(&self, partition: Partition) -> bool {
        self.holdings.as_ref().is_none_or(|holdings| holdings.holds(partition))
    }

    /// Whether no saga is another's.
    pub(super) fn holds_all_sagas(&self) -> bool {
        Partition::parts().all(|partition| self.holds_partition(partition))
    }

    /// The partitions that are here, in order; none of a store that is owned as a whole.
    #[must_use]
    pub fn partitions(&self) -> Vec<Partition> {
        self.holdings.iter().flat_map(|holdings| holdings.partitions()).collect()
    }

    /// Numbers of new cases go on after this sequence, so that they follow time from one loop to the other.
    pub fn raise_numbers(&mut self, sequence: u64) {
        if let Some(holdings) = &mut self.holdings {
            holdings.raise_numbers(sequence);
        }
    }

    /// Whether a case goes on where the loop that had its partition before has left it.
    pub(super) fn was_handed_over(&self, id: CaseId) -> bool {
        let holdings = self.holdings.as_ref();
        let partition = self.partition_of_case(id);
        holdings.zip(partition).is_some_and(|(holdings, partition)| holdings.is_orderly(partition))
    }

    /// The partition of a case, as far as its number tells it or the case is here, or was until the last output.
    #[must_use]
    pub fn partition_of_case(&self, id: CaseId) -> Option<Partition> {
        if let told @ Some(_) = self.holdings.as_ref()?.told_by(id) {
            return told;
        }
        let of_saga = |saga: &SagaId| Partition::of(saga);
        let resident = || self.cases.get(&id).map(|case| of_saga(&case.row.saga));
        let spilled = || self.residence.spilled.get(&id).map(|brief| brief.partition);
        let broken = || self.quarantine.get(&id)?.case.saga.as_ref().map(of_saga);
        let left = || self.left.get(&id).copied();
        resident().or_else(spilled).or_else(broken).or_else(left)
    }

    /// The partition that a write is of; none if nothing here tells it.
    #[must_use]
    pub fn partition_of_write(&self, write: &Write) -> Option<Partition> {
        match write {
            Write::Case(row) => Some(Partition::of(&row.saga)),
            Write::Report(row) => Some(Partition::of(&row.report.saga_id)),
            Write::Saga(row) => Some(Partition::of(&row.saga)),
            Write::Erased(row) => Some(Partition::of(&row.saga)),
            Write::Step(row) => self.partition_of_case(row.id.case),
            Write::Attempt(row) => self.partition_of_case(row.step.case),
            Write::Remove(id) => self.partition_of_case(*id),
            Write::Act(row) => match row.case.or(row.step.map(|step| step.case)) {
                Some(case) => self.partition_of_case(case),
                None => Some(Partition::SEAT),
            },
            Write::Service(_)
            | Write::Stranger(_)
            | Write::RuleHold(_)
            | Write::Activate(_)
            | Write::Erasure(_) => Some(Partition::SEAT),
        }
    }

    /// The partition that an event is of; none of what is told of a service, or of no case.
    #[must_use]
    pub fn partition_of_event(&self, event: &DomainEvent) -> Option<Partition> {
        self.partition_of_case(event.case()?)
    }

    /// What the reading of open cases has left to be written and told with the next output.
    fn take_back_output_of(&mut self, partition: Partition) {
        let mut out = std::mem::take(&mut self.turn.out);
        out.writes.retain(|write| self.partition_of_write(write) != Some(partition));
        out.events.retain(|event| self.partition_of_event(&event.what) != Some(partition));
        self.turn.out = out;
    }

    fn cases_of(&self, partition: Partition) -> BTreeSet<CaseId> {
        let (resident, spilled) = (self.cases.keys(), self.residence.spilled.keys());
        let all = resident.chain(spilled).chain(self.quarantine.keys()).copied();
        all.filter(|id| self.partition_of_case(*id) == Some(partition)).collect()
    }

    fn forget_case(&mut self, id: CaseId) {
        if let Some(case) = self.cases.remove(&id) {
            self.residence.left(&case);
        }
        self.residence.remove(id);
        self.residence.wanted.remove(&id);
        self.residence.refused.remove(&id);
        self.quarantine.remove(&id);
        self.quarantined_before.remove(&id);
        self.changed.remove(&id);
    }

    /// A new number for the case of a saga.
    pub(super) fn next_case(&mut self, saga: &SagaId) -> CaseId {
        match &mut self.holdings {
            Some(holdings) => holdings.next_number(saga),
            None => {
                self.last_case += 1;
                CaseId(self.last_case)
            }
        }
    }
}

impl DomainEvent {
    /// The case that it is of, if of one.
    #[must_use]
    pub fn case(&self) -> Option<CaseId> {
        match self {
            Self::Reported { case, .. }
            | Self::Case { case, .. }
            | Self::Planned { case, .. }
            | Self::Walked { case, .. } => Some(*case),
            Self::Step { step, .. } => Some(step.case),
            Self::Acted { case, step, .. } => case.or(step.map(|step| step.case)),
            Self::Question { question, .. } => Some(question.case),
            Self::Quarantined { case, .. } => *case,
            Self::Breaker { .. } | Self::Histories { .. } | Self::Rulebook { .. } => None,
        }
    }
}
