//! When a case is at its end, and on what evidence.
//!
//! INVARIANT: a case settles by itself only when no step, no query and no report waits for anything.

use crate::case::{Case, NOTES_LIMIT};
use crate::standing::Finding;
use crate::timer::Timer;
use crate::turn::Turn;
use crate::{ReportRole, StepState};
use amends_api::{CaseState, ClosedOn};
use amends_protocol::{ActionName, HistoryState, Outcome, StepId, Timestamp, Verb};
use amends_rulebook::{ActionId, Coupling, Facts, Rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Case {
    /// Brings the case's own state up to date; settles it if it is at its end.
    pub(crate) fn conclude(&mut self, now: Timestamp, turn: &mut Turn) {
        if !self.is_settled() {
            self.look_twice(now, turn);
            self.mark_unavailable(turn);
            self.heed_decisions(turn);
        }
        if self.reports.iter().any(|r| r.role == ReportRole::Unmatched) {
            self.set_quiet_at(None);
            return self.set_state(CaseState::Unmatched, turn);
        }
        let is_held = self.row.closed_on != Some(ClosedOn::ByPerson) && self.is_held(turn);
        if is_held || self.steps.iter().any(|s| matches!(s.state, StepState::Stuck(_))) {
            self.set_quiet_at(None);
            return self.set_state(CaseState::Stuck, turn);
        }
        let awaits_root = self.reports.iter().any(|r| matches!(r.role, ReportRole::AwaitsRoot(_)));
        if awaits_root
            || self.histories_pending()
            || !self.steps.iter().all(|s| s.state.is_terminal())
        {
            self.set_quiet_at(None);
            return self.set_state(CaseState::Open, turn);
        }
        if self.is_settled() {
            return; // nothing new came of what was looked at
        }
        self.ask_unreported(now, turn);
        if self.histories_pending() {
            return self.set_state(CaseState::Open, turn);
        }
        match self.closing_evidence(now, turn) {
            Some(evidence) => match self.answered_by() {
                Some(by) => {
                    self.row.extra.settled_by = Some(by);
                    self.settle(ClosedOn::ByPerson, turn);
                }
                None => self.settle(evidence, turn),
            },
            None => self.set_state(CaseState::Open, turn),
        }
    }

    /// A callee that failed or did not answer, and never reported, is asked for its History before the case is closed.
    fn ask_unreported(&mut self, now: Timestamp, turn: &mut Turn) {
        let Some(book) = self.book.clone() else { return };
        self.ask_histories(self.unreported_with_history(&book), now, turn);
    }

    pub(crate) fn settle(&mut self, evidence: ClosedOn, turn: &mut Turn) {
        let unreported = self.heard().unreported().iter().take(NOTES_LIMIT).cloned();
        for service in unreported.collect::<Vec<_>>() {
            self.note(format!(
                "{service} was called, failed or did not answer, and never reported"
            ));
        }
        if evidence == ClosedOn::Quiet
            && let Some(book) = self.book.clone()
        {
            self.note_declared_without_fence(&book);
        }
        if evidence == ClosedOn::Forward {
            self.note_failed_callers();
        }
        self.forget_readings(turn);
        self.set_quiet_at(None);
        if matches!(evidence, ClosedOn::Quiet | ClosedOn::ByPerson) {
            self.row.extra.may_still_stand = self.may_still_stand();
        }
        self.row.closed_on = Some(evidence);
        self.row.settled_at = Some(self.wall);
        self.row_changed = true;
        self.set_state(CaseState::Settled, turn);
    }

    /// Running an inner action again does not bring its callers back: they have answered. A person must hear of those
    /// that nobody runs again.
    fn note_failed_callers(&mut self) {
        let Some(book) = self.book.clone() else { return };
        let is_run_again = |name: &ActionName| {
            self.steps.iter().any(|s| s.verb == Verb::Retry && s.action == *name)
        };
        if !self.steps.iter().any(|s| s.state == StepState::Done(Outcome::Retried)) {
            return;
        }
        let failed = self.reports.iter().filter(|row| row.role == ReportRole::Derived);
        let names = failed
            .filter_map(|row| book.reporter(&Facts::of(&row.report)))
            .map(|id| &book.get(id).name);
        let succeeded =
            |name: &ActionName| self.heard().anybodys_word(name).has(HistoryState::Succeeded);
        let left: Vec<String> = names
            .filter(|name| !is_run_again(name) && !succeeded(name))
            .map(|name| format!("{name} failed because of it and is not run again by any rule"))
            .collect();
        left.into_iter().for_each(|text| self.note(text));
    }

    /// Anything new makes a settled case an open one again.
    pub(crate) fn reopen(&mut self, turn: &mut Turn) {
        self.set_state(CaseState::Open, turn);
        self.sign_of_life();
    }

    /// Something was heard of the saga: the quiet time begins anew.
    pub(crate) fn sign_of_life(&mut self) {
        if self.is_settled() {
            return;
        }
        self.row.extra.looked_again = false;
        self.forget_who_had_ended();
        self.set_quiet_at(None);
    }

    /// Whoever could have called something may do so again: that a History knew nothing proves nothing any more.
    fn forget_who_had_ended(&mut self) {
        for query in &mut self.row.extra.histories {
            if query.asked_after_callers || query.asked_after_end {
                query.asked_after_callers = false;
                query.asked_after_end = false;
                self.row_changed = true;
            }
        }
    }

    /// The saga is said to have ended. True if that is new to a case that is not settled.
    pub(crate) fn saga_has_ended(&mut self) -> bool {
        let is_new = !self.is_settled() && self.row.extra.saga_ended_at.is_none();
        if is_new {
            self.row.extra.saga_ended_at = Some(self.wall.0);
            self.row.extra.looked_again = false;
            self.row_changed = true;
        }
        is_new
    }

    fn set_quiet_at(&mut self, at: Option<Timestamp>) {
        let at = at.map(|t| t.0);
        if self.row.extra.quiet_at != at {
            self.row.extra.quiet_at = at;
            self.row_changed = true;
        }
    }

    /// On what the case can be closed now; sets the quiet timer if only time can tell.
    fn closing_evidence(&mut self, now: Timestamp, turn: &mut Turn) -> Option<ClosedOn> {
        let is_backward = self.is_backward();
        let may_be_in_shadow = self.steps.iter().any(|step| step.state == StepState::Shadow);
        if (!is_backward && !may_be_in_shadow) || self.keeps_everything() {
            return Some(ClosedOn::Forward);
        }
        let book = self.book.clone()?;
        let mut open = self.findings(&book);
        open.retain(|finding| if is_backward { finding.is_open() } else { finding.is_in_shadow() });
        if !is_backward && open.is_empty() {
            return Some(ClosedOn::Forward);
        }
        let (is_open, corrects) = (!open.is_empty(), self.uses_recorded());
        let wanted: BTreeSet<StepId> = self
            .steps
            .iter()
            .filter(|s| (is_open && s.extra.fence) || (corrects && self.may_have_sent(s, &book)))
            .map(|s| s.id)
            .collect();
        if self.ask_for_calls(|step| wanted.contains(&step.id), now, turn) {
            self.set_quiet_at(None);
            return None;
        }
        if open.is_empty() && !self.lacks_evidence() {
            return Some(ClosedOn::Proven);
        }
        // What a person has answered for is not waited for.
        if self.answered_by().is_some() && open.iter().all(Finding::is_contradicted) {
            return Some(ClosedOn::ByPerson);
        }
        let heard = turn.heard.map_or(i64::MAX, |heard| heard.0);
        match self.row.extra.quiet_at {
            None if self.row.extra.looked_again => Some(ClosedOn::Quiet),
            _ if self.nobody_goes_on(&book, &open) => self.look_again(&book, &open, now, turn),
            None => {
                let at = now.plus_ms(quiet_ms(&book, &open).max(1));
                self.set_quiet_at(Some(at));
                turn.traffic.timers.set(at, Timer::Quiet(self.row.id));
                None
            }
            Some(at) if now.0.min(heard) < at => None,
            Some(_) => self.look_again(&book, &open, now, turn),
        }
    }

    /// Time can't bring anything more: one last look at the Histories of services that may still surprise us.
    fn look_again(
        &mut self,
        book: &Rulebook,
        open: &[Finding],
        now: Timestamp,
        turn: &mut Turn,
    ) -> Option<ClosedOn> {
        let mut services = self.unreported_with_history(book);
        if self.uses_recorded() {
            // What nobody told of was read before the saga was over, perhaps before it began.
            let mut actions = self.reach(book);
            actions.extend(open.iter().filter_map(|finding| finding.id));
            services.extend(self.services_to_ask(book, &actions));
        }
        self.row.extra.looked_again = true;
        self.row_changed = true;
        self.ask_again(&services, now, turn);
        self.ask_histories(services, now, turn);
        if self.histories_pending() {
            self.set_quiet_at(None);
            return None;
        }
        Some(ClosedOn::Quiet)
    }

    /// Callees that a report calls failed or unknown, that have not reported themselves, and that can be asked.
    fn unreported_with_history(&self, book: &Rulebook) -> BTreeSet<Arc<str>> {
        let unreported = self.heard().unreported();
        let services = book.services().iter().map(|service| &service.name);
        let mut known: BTreeSet<Arc<str>> = match unreported.len() < services.len() {
            true => unreported.clone(),
            false => services.filter(|name| unreported.contains(*name)).cloned().collect(),
        };
        known.retain(|s| book.service(s).is_some_and(|id| book.keeps_history(id)));
        known
    }
}

/// How long nothing must be heard before what is open counts as quiet: a message to one of these may be under way for
/// as long as its sender says.
fn quiet_ms(book: &Rulebook, open: &[Finding]) -> u64 {
    let is_open = |id: ActionId| open.iter().any(|finding| finding.id == Some(id));
    let calls = book.actions().iter().flat_map(|action| &action.calls);
    let within = calls.filter_map(|call| match call.coupling {
        Coupling::Event { within_ms } if is_open(call.action) => within_ms,
        _ => None,
    });
    within.fold(book.settings().quiet_ms, u64::max)
}
