//! Rows as people are shown them: what runs on supervisor time, by the wall clock.

use amends_engine::{CaseRow, StepRow, StepState};
use amends_protocol::Timestamp;
use amends_store::{CaseRecord, ListedCase, ListedStep, StepRecord};

/// How supervisor time and the wall clock lie to each other now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnTheWall {
    /// Milliseconds that the wall clock is ahead of supervisor time.
    pub(crate) ahead_ms: i64,
    /// The wall clock.
    pub(crate) now: Timestamp,
}

impl OnTheWall {
    /// When a timer fires by the wall clock. One that is due already, and waits for something else, is due now.
    fn due(self, at: Timestamp) -> Timestamp {
        Timestamp(at.0.saturating_add(self.ahead_ms)).max(self.now)
    }

    fn step_row(self, row: &mut StepRow) {
        if let Some(awaits) = &mut row.extra.awaits {
            awaits.until = self.due(Timestamp(awaits.until)).0;
        }
        match &mut row.state {
            StepState::Due(at) => *at = self.due(*at),
            StepState::Accepted { poll_at, until, .. } => {
                *poll_at = self.due(*poll_at);
                *until = self.due(*until);
            }
            StepState::Waiting
            | StepState::InFlight
            | StepState::Done(_)
            | StepState::Stuck(_)
            | StepState::Superseded
            | StepState::Shadow => {}
        }
    }

    fn case_row(self, row: &mut CaseRow) {
        row.extra.quiet_at = row.extra.quiet_at.map(|at| self.due(Timestamp(at)).0);
        for walk in &mut row.extra.histories {
            walk.due_at = walk.due_at.map(|at| self.due(Timestamp(at)).0);
        }
    }

    pub(crate) fn listed_case(self, mut listed: ListedCase) -> ListedCase {
        self.case_row(&mut listed.case);
        listed.steps.iter_mut().for_each(|row| self.step_row(row));
        listed
    }

    pub(crate) fn case(self, mut record: CaseRecord) -> CaseRecord {
        self.case_row(&mut record.stored.case);
        record.stored.steps.iter_mut().for_each(|row| self.step_row(row));
        record
    }

    pub(crate) fn listed_step(self, mut listed: ListedStep) -> ListedStep {
        self.step_row(&mut listed.step);
        listed
    }

    pub(crate) fn step(self, mut record: StepRecord) -> StepRecord {
        self.step_row(&mut record.listed.step);
        record.others.iter_mut().for_each(|row| self.step_row(row));
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_try_is_told_by_the_wall_clock_and_never_in_the_past() {
        let wall = OnTheWall { ahead_ms: 100_000, now: Timestamp(600_000) };
        assert_eq!(wall.due(Timestamp(501_000)), Timestamp(601_000));
        assert_eq!(wall.due(Timestamp(400_000)), Timestamp(600_000));
    }
}
