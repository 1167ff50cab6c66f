//! To whom an input belongs, and what must have been heard before time alone may decide something of a case.

use super::Engine;
use crate::brief::{Standing, StepDue};
use crate::timer::Timer;
use crate::{Home, Input, Partition};
use amends_protocol::{CaseId, SagaId, Timestamp};
use std::collections::BTreeSet;

impl Engine {
    /// To whom an input belongs, of a store that several loops share.
    #[must_use]
    pub fn home(&self, input: &Input) -> Home {
        match input {
            Input::Report { report, .. } => Home::Partition(Partition::of(&report.saga_id)),
            Input::SagaBegan { begin, .. } => Home::Partition(Partition::of(&begin.saga_id)),
            Input::SagaEnded { saga, .. } => Home::Partition(Partition::of(saga)),
            Input::StepEnded { step, .. }
            | Input::EndedElsewhere { step, .. }
            | Input::StepCalledBack { step, .. }
            | Input::StepAct { step, .. } => self.home_of(step.case),
            Input::HistoryEnded { case, .. } | Input::CaseAct { case, .. } => self.home_of(*case),
            Input::QuestionAct { question, .. } => self.home_of(question.case),
            Input::Mend { mend, .. } => self.home_of(mend.case),
            Input::StrangerAct { .. }
            | Input::Pause { .. }
            | Input::HoldRule { .. }
            | Input::Limit { .. }
            | Input::Audit { .. }
            | Input::Activate { .. } => Home::Partition(Partition::SEAT),
            Input::Erase { erase, .. } => Home::Partition(erase.partition()),
            Input::Unheld(_) | Input::Tick => Home::Here,
        }
    }

    fn home_of(&self, case: CaseId) -> Home {
        self.partition_of_case(case).map_or(Home::Case(case), Home::Partition)
    }

    /// All has been taken that had been left for a partition before this moment.
    pub fn heard(&mut self, partition: Partition, until: Timestamp) {
        if let Some(holdings) = &mut self.holdings {
            holdings.heard(partition, until);
            for (at, timer) in std::mem::take(&mut self.unheard) {
                self.turn.traffic.timers.set(at, timer);
            }
        }
    }

    /// Partitions of which time alone would decide something now, but for what may have been left for them meanwhile.
    #[must_use]
    pub fn waits_to_hear(&self) -> BTreeSet<Partition> {
        self.unheard.iter().filter_map(|(_, timer)| self.partition_of_timer(timer)).collect()
    }

    /// From now on nothing new of a partition is sent: it is about to be handed over.
    pub fn hold_back(&mut self, partition: Partition) {
        if let Some(holdings) = &mut self.holdings {
            holdings.hold_back(partition);
        }
    }

    /// Whether a case is of a partition that is about to be handed over.
    pub(super) fn is_held_back(&self, case: CaseId) -> bool {
        let holdings = self.holdings.as_ref();
        holdings.is_some_and(|holdings| {
            holdings.holds_any_back()
                && self.partition_of_case(case).is_some_and(|one| holdings.is_held_back(one))
        })
    }

    /// Until when all that was left for the partition of a saga has been taken; none if nothing can be left for it.
    pub(super) fn heard_of(&self, saga: &SagaId) -> Option<Timestamp> {
        let holdings = self.holdings.as_ref()?;
        Some(holdings.heard_until(Partition::of(saga)))
    }

    /// Keeps a timer that was due at this moment until all that was left before it has been taken. False if it may go.
    pub(super) fn must_hear_first(&mut self, now: Timestamp, at: Timestamp, timer: &Timer) -> bool {
        let Some(holdings) = &self.holdings else { return false };
        let decides = match timer {
            Timer::Quiet(_) | Timer::Deadline(_) => true,
            Timer::Step(id) => self.standing(*id).is_some_and(|(_, standing)| {
                matches!(standing, Standing::Accepted { .. })
                    && standing.due(now, false) == StepDue::PatienceOver
            }),
            Timer::TooOld(_)
            | Timer::Query(..)
            | Timer::Cause(_)
            | Timer::Probe(_)
            | Timer::Ages(_)
            | Timer::Deadlines => false,
        };
        // What nobody here owns any more decides nothing.
        let partition =
            self.partition_of_timer(timer).filter(|one| decides && holdings.holds(*one));
        let waits = partition.is_some_and(|one| holdings.heard_until(one) < at);
        if waits {
            self.unheard.push((at, timer.clone()));
        }
        waits
    }

    fn partition_of_timer(&self, timer: &Timer) -> Option<Partition> {
        match timer {
            Timer::Step(id) | Timer::TooOld(id) => self.partition_of_case(id.case),
            Timer::Query(id, _) | Timer::Cause(id) | Timer::Quiet(id) => {
                self.partition_of_case(*id)
            }
            Timer::Deadline(saga) => Some(Partition::of(saga)),
            Timer::Probe(_) | Timer::Ages(_) | Timer::Deadlines => None,
        }
    }
}
