//! What comes back from the store: rulebooks, open cases after a restart, settled ones for a late input.

use super::Engine;
use crate::case::Case;
use crate::lane::Job;
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::{ReportRole, SagaRow, SagaState, ServiceRow, StepState, StoredCase};
use amends_protocol::Timestamp;
use amends_rulebook::Rulebook;
use std::sync::Arc;

impl Engine {
    /// Makes a version known without making it active: cases that are restored may need it.
    pub fn learn_rulebook(&mut self, book: Arc<Rulebook>) {
        self.books.insert(book.hash().into(), book);
    }

    /// Makes a version the active one of its name, without audit: at start, from the store.
    pub fn restore_active(&mut self, book: Arc<Rulebook>) {
        self.set_limits(&book);
        self.learn_rulebook(Arc::clone(&book));
        self.active.insert(book.name().into(), book);
    }

    /// Takes back an open case after a restart: what was under way counts as unanswered, timers are set again.
    pub fn restore(&mut self, now: Timestamp, stored: StoredCase) {
        let id = stored.case.id;
        self.hydrate(stored);
        self.with_case(id, |case, engine| {
            let agenda = &mut engine.agenda;
            for index in 0..case.steps.len() {
                let step = &case.steps[index];
                let (step_id, service) = (step.id, Arc::clone(&step.action.service));
                match &step.state {
                    StepState::InFlight => case.interrupted(index, now, agenda),
                    StepState::Due(at) if *at <= now => {
                        agenda.enqueue(&service, Job::Step(step_id));
                    }
                    StepState::Due(at) if step.memo.not_before.is_some_and(|t| t > now.0) => {
                        agenda.timers.set(*at, Timer::Step(step_id));
                    }
                    // Who waited for whose return is not known any more, so each is tried at once.
                    StepState::Due(_) => {
                        case.must_change(index, StepEvent::Hurry(now), now, agenda)
                    }
                    StepState::Accepted { poll_at, until, location } => {
                        let at = if location.is_some() { (*poll_at).min(*until) } else { *until };
                        agenda.timers.set(at, Timer::Step(step_id));
                    }
                    _ => {}
                }
            }
            case.resume_walks(now, agenda);
            if let Some(at) = case.row.detail.quiet_at {
                agenda.timers.set(Timestamp(at), Timer::Quiet(id));
            }
            for row in &case.reports {
                if let ReportRole::AwaitsRoot(until) = row.role {
                    agenda.timers.set(Timestamp(until), Timer::Cause(id));
                }
            }
            case.plan(now, &mut engine.agenda);
            engine.advance(case, now);
        });
    }

    /// Takes back an announced saga after a restart.
    pub fn restore_saga(&mut self, row: SagaRow) {
        if row.state == SagaState::Begun {
            self.agenda.timers.set(row.deadline, Timer::Deadline(row.saga.clone()));
            self.sagas.insert(row.saga.clone(), row);
        }
    }

    /// Brings a settled case back into memory for the input that follows; it leaves again with the next output unless
    /// it was reopened. A case that is in memory already stays as it is.
    pub fn hydrate(&mut self, stored: StoredCase) {
        let id = stored.case.id;
        if self.cases.contains_key(&id) {
            return;
        }
        let book = stored.case.rulebook.as_ref().and_then(|r| self.books.get(&r.hash)).cloned();
        self.by_saga.insert(stored.case.saga.clone(), id);
        self.cases.insert(id, Box::new(Case::stored(stored, book)));
        self.last_case = self.last_case.max(id.0);
        self.changed.insert(id);
    }

    /// Takes back what operators set for a service, after a restart.
    pub fn restore_service(&mut self, row: ServiceRow) {
        self.agenda.lane(&row.service).settings = row.settings;
    }

    /// Takes over what is in memory only and a reload must not forget: the counts of limited rules.
    pub fn inherit(&mut self, old: Self) {
        self.limits = old.limits;
    }
}
