//! How long a step may take, and how often it may be tried, before a person must hear of it.
//!
//! A step's age counts from when its stage opened, whether or not it was ever tried. It stands still while the
//! supervisor is down (supervisor time does), while the service is paused (a service keeps the total of its pauses, so
//! that a pause touches no step), while the step waits for a person, while its stage is shut again, and while a person
//! holds its rule.

use crate::case::Case;
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{ReportRole, StepRow, StepState};
use amends_api::StuckReason;
use amends_protocol::{Timestamp, Verb};
use amends_rulebook::{GiveUp, RetryPolicy};
use std::sync::Arc;

impl Case {
    /// Starts and stops the ages of the steps by their states, and keeps the services' lists of when each is too old.
    pub(crate) fn keep_ages(&mut self, now: Timestamp, turn: &mut Turn) {
        for index in 0..self.steps.len() {
            let counts = matches!(
                self.steps[index].state,
                StepState::Due(_) | StepState::InFlight | StepState::Accepted { .. }
            );
            let since = self.steps[index].extra.counting_since;
            if counts != since.is_some() {
                let service = Arc::clone(&self.steps[index].action.service);
                let ended = self.steps[index].state.is_terminal();
                let paused_ms = turn.traffic.queue(&service).paused_ms(now);
                let aged_ms = self.age_ms(&self.steps[index], now, turn);
                let extra = &mut self.step_mut(index).extra;
                extra.counting_since = counts.then_some(now.0);
                extra.paused_before_ms = if counts { paused_ms } else { 0 };
                extra.aged_ms = if ended { 0 } else { aged_ms };
            }
            self.keep_end_of_age(index, counts, now, turn);
        }
    }

    /// What the lists of the services know of the steps' ages, once the case is in memory again.
    pub(crate) fn recall_ages(&mut self) {
        let counting = self.steps.iter().filter(|step| step.extra.counting_since.is_some());
        let ends = counting.filter_map(|step| {
            let limit_ms = self.limits(step, &self.policy(step)).1?;
            Some((step.id.ordinal, self.begin_of_age(step).plus_ms(limit_ms)))
        });
        self.ends_of_age = ends.collect();
    }

    fn keep_end_of_age(&mut self, index: usize, counts: bool, now: Timestamp, turn: &mut Turn) {
        let step = &self.steps[index];
        let limit = || self.limits(step, &self.policy(step)).1;
        let end =
            counts.then(limit).flatten().map(|limit_ms| self.begin_of_age(step).plus_ms(limit_ms));
        let (id, service) = (step.id, Arc::clone(&step.action.service));
        let known = self.ends_of_age.iter().position(|(ordinal, _)| *ordinal == id.ordinal);
        if known.map(|at| self.ends_of_age[at].1) == end {
            return;
        }
        if let Some(at) = known {
            let (_, end) = self.ends_of_age.swap_remove(at);
            turn.traffic.queue(&service).ages.remove(&(end, id));
        }
        if let Some(end) = end {
            self.ends_of_age.push((id.ordinal, end));
            turn.traffic.queue(&service).ages.insert((end, id));
            turn.traffic.watch_ages(&service, now);
        }
    }

    /// When a step would have begun to age on its service's own line of time, had its age never stood still. Only
    /// meaningful while it counts.
    fn begin_of_age(&self, step: &StepRow) -> Timestamp {
        let extra = &step.extra;
        let since = Timestamp(extra.counting_since.unwrap_or_default());
        since.minus_ms(extra.paused_before_ms).minus_ms(extra.aged_ms)
    }

    fn age_ms(&self, step: &StepRow, now: Timestamp, turn: &mut Turn) -> u64 {
        if step.extra.counting_since.is_none() {
            return step.extra.aged_ms;
        }
        turn.traffic.queue(&step.action.service).own_time(now).ms_since(self.begin_of_age(step))
    }

    /// Which limit a step has reached, if any.
    pub(crate) fn out_of(
        &self,
        step: &StepRow,
        policy: &RetryPolicy,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Option<StuckReason> {
        let (attempts, age_ms) = self.limits(step, policy);
        if attempts.is_some_and(|limit| step.extra.counted >= limit) {
            Some(StuckReason::OutOfAttempts)
        } else if age_ms.is_some_and(|limit| self.age_ms(step, now, turn) >= limit) {
            Some(StuckReason::OutOfTime)
        } else {
            None
        }
    }

    /// When the step will be too old if nothing stops its age; not before the next moment.
    pub(crate) fn too_old_at(
        &self,
        step: &StepRow,
        policy: &RetryPolicy,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Option<Timestamp> {
        let limit_ms = self.limits(step, policy).1?;
        let left_ms = limit_ms.saturating_sub(self.age_ms(step, now, turn));
        Some(now.plus_ms(left_ms.max(1)))
    }

    /// A step that waits, in backoff or in its service's queue, may have grown too old. One under way is looked at when
    /// its try ends.
    pub(crate) fn expire(&mut self, index: usize, now: Timestamp, turn: &mut Turn) -> bool {
        let step = &self.steps[index];
        if !matches!(step.state, StepState::Due(_)) {
            return false;
        }
        if self.is_on_hold(index, turn) {
            self.must_change(index, StepEvent::CloseStage, now, turn);
            return true;
        }
        let policy = self.policy(step);
        match self.out_of(step, &policy, now, turn) {
            Some(reason) => {
                self.end_try(index, StepEvent::Stick(reason), now, turn);
                true
            }
            None => false,
        }
    }

    /// Most attempts and greatest age of a step: the policy's, or those of any rule that would give it up before.
    fn limits(&self, step: &StepRow, policy: &RetryPolicy) -> (Option<u32>, Option<u64>) {
        let start = (policy.max_attempts, policy.max_age_ms);
        self.give_ups(step).fold(start, |(attempts, age_ms), (_, give_up)| {
            (min_limit(attempts, give_up.attempts), min_limit(age_ms, give_up.age_ms))
        })
    }

    /// The `give_up` clauses that cover a retry: of every rule that demands it.
    fn give_ups(&self, step: &StepRow) -> impl Iterator<Item = (u32, &GiveUp)> {
        let positions = if step.verb == Verb::Retry { &step.extra.because[..] } else { &[] };
        positions.iter().filter_map(|position| {
            let book = self.book.as_ref()?;
            let rule = match self.reports.get(*position as usize)?.role {
                ReportRole::Rule(rule) | ReportRole::RuleHeld(rule) => rule,
                ReportRole::Derived
                | ReportRole::AwaitsRoot(_)
                | ReportRole::Unmatched
                | ReportRole::ByHand
                | ReportRole::Excess => return None,
            };
            Some((rule, book.rules().get(rule as usize)?.give_up.as_ref()?))
        })
    }

    /// Puts the `give_up` demands of a retry into force, if it has any.
    pub(crate) fn give_up(&mut self, index: usize) -> bool {
        let rules: Vec<u32> = self.give_ups(&self.steps[index]).map(|(rule, _)| rule).collect();
        for rule in &rules {
            if !self.row.extra.gave_up.contains(rule) {
                self.row.extra.gave_up.push(*rule);
                self.row_changed = true;
            }
        }
        !rules.is_empty()
    }
}

fn min_limit<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
