//! What comes back from the store: what it knows at a start, and what a look-up found for the inputs that follow.

use super::Engine;
use crate::case::Case;
use crate::holdings::Holdings;
use crate::service_queue::EffectKey;
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::{
    Input, Loaded, LookupRequest, LookupResult, Moment, Partition, ReportRole, RuleMinute,
    RulebookRow, StepState, StoredCase,
};
use amends_api::CaseState;
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::Rulebook;
use std::sync::Arc;

impl Engine {
    /// An engine with what the store tells at a start; the open cases follow page by page ([`Engine::take_open`]). What
    /// is in memory only and must not be forgotten is taken over from the engine before: the counts of limited rules,
    /// rulebooks that have been read, what people have been told can't be read, and the budget.
    ///
    /// What can't be read stops nothing else. A case is quarantined. A version of a rulebook is left out and told of:
    /// its cases are quarantined, and if it is the active one, no version of its name is active, so that new reports
    /// wait as unmatched. An older version would undo what somebody had a reason to change.
    #[must_use]
    pub fn load(loaded: Loaded, before: &mut Self, moment: impl Into<Moment>) -> Self {
        let moment = moment.into();
        let mut engine = Self::new(loaded.last_case);
        engine.turn.moment = moment;
        engine.turn.salt = loaded.salt;
        engine.residence = before.residence.emptied();
        match loaded.shared {
            Some(shared) => {
                engine.holdings = Some(Holdings::new(shared.first_number));
                engine.turn.traffic.share_pace(std::iter::empty());
                engine.limits.know(shared.rule_minutes, moment.now);
            }
            None => {
                engine.residence.reading.insert(Partition::WHOLE);
                engine.limits = std::mem::take(&mut before.limits);
            }
        }
        engine.quarantined_before = std::mem::take(&mut before.quarantine);
        engine.take_settings(loaded.settings, &before.books);
        for saga in loaded.sagas {
            engine.restore_saga(saga);
        }
        engine.unreadable_before = std::mem::take(&mut before.unreadable);
        engine.tell_unreadable();
        engine
    }

    /// Effects to a service that an engine before this one let out and that are still under way: they count against the
    /// service's limit until they end.
    pub fn restore_under_way(&mut self, service: &Arc<str>, effects: u32) {
        self.turn.traffic.queue(service).in_flight = effects;
    }

    /// What the store must be asked before these inputs are handled.
    #[must_use]
    pub fn look_up<'a>(&self, inputs: impl IntoIterator<Item = &'a Input>) -> LookupRequest {
        let mut request = LookupRequest::default();
        for input in inputs {
            let about = input.about();
            request.reports.extend(about.report);
            request.sagas.extend(about.saga.filter(|saga| !self.holds_saga(saga)).cloned());
            request.cases.extend(about.case.filter(|case| self.must_look_up(*case)));
            request.announced.extend(about.announced.filter(|s| !self.holds_announced(s)).cloned());
            let cases = about.sagas.iter().filter(|saga| !self.holds_saga(saga));
            request.sagas.extend(cases.cloned());
            let announced = about.sagas.iter().filter(|saga| !self.holds_announced(saga));
            request.announced.extend(announced.cloned());
            if let Input::Activate { activation, .. } = input
                && !self.holds_all_sagas()
            {
                request.needed.push(activation.rulebook.name().into());
            }
        }
        request.cases.extend(self.wanted_cases());
        request.rule_minutes = !request.reports.is_empty() && self.shares_limits();
        request
    }

    /// Whether rules are limited, and nodes count their cases together.
    fn shares_limits(&self) -> bool {
        let is_limited =
            |book: &Arc<Rulebook>| book.rules().iter().any(|rule| rule.limit_per_minute.is_some());
        self.holdings.is_some() && self.active.values().any(is_limited)
    }

    /// The current minutes of limited rules, of a store that several share.
    pub fn learn_rule_minutes(&mut self, told: Vec<RuleMinute>, moment: impl Into<Moment>) {
        self.limits.know(told, moment.into().now);
    }

    fn must_look_up(&self, case: CaseId) -> bool {
        let quarantined = self.quarantine.get(&case);
        !self.holds_case(case) && quarantined.is_none_or(|quarantined| quarantined.case.settled)
    }

    /// Versions that cases are planned with and that must be looked up before the cases can come back.
    #[must_use]
    pub fn missing_rulebooks(&self, cases: &[StoredCase]) -> Vec<Arc<str>> {
        let mut missing: Vec<Arc<str>> = Vec::new();
        for book in cases.iter().filter_map(|stored| stored.case.rulebook.as_ref()) {
            if !self.knows_rulebook(&book.hash) && !missing.contains(&book.hash) {
                missing.push(Arc::clone(&book.hash));
            }
        }
        missing
    }

    /// Takes in the answer to [`Engine::look_up`], for the engine and for the inputs that it was asked for, in the same
    /// order. A case that can't be read is quarantined.
    pub fn learn<'a>(
        &mut self,
        found: LookupResult,
        inputs: impl IntoIterator<Item = &'a mut Input>,
    ) {
        self.learn_rulebooks(&found.rulebooks);
        self.needed = found.needed;
        for saga in found.announced {
            self.recall_saga(saga);
        }
        for stored in found.cases {
            match stored.case.state {
                CaseState::Settled => self.hydrate(stored),
                CaseState::Open | CaseState::Stuck | CaseState::Unmatched => {
                    self.bring_in(stored);
                }
            }
        }
        for case in found.broken {
            self.isolate(case);
        }
        self.wanted_are_here();
        let mut known = found.reports.into_iter();
        for input in inputs {
            if let Input::Report { known_in, .. } = input {
                *known_in = known.next().flatten();
            }
        }
    }

    /// Makes versions known that cases are planned with. One that can't be read is reported.
    pub fn learn_rulebooks(&mut self, rows: &[RulebookRow]) {
        for row in rows {
            match row.read() {
                Ok(book) => self.learn_rulebook(book),
                Err(unreadable) => {
                    let unreadable = unreadable.into_row(row.active);
                    if !self.unreadable.contains(&unreadable) {
                        self.tell_unreadable_row(&unreadable);
                        self.unreadable.push(unreadable);
                    }
                }
            }
        }
    }

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

    /// Takes back an open case after a restart: what was under way counts as unanswered, what was reported while nobody
    /// could work on it is answered, timers are set again, and it goes on.
    pub(super) fn resume(&mut self, now: Timestamp, id: CaseId) {
        let is_orderly = self.was_handed_over(id);
        self.with_case(id, |case, engine| {
            if case.row.state != CaseState::Unmatched {
                engine.answer_unanswered(case, now);
            }
            let turn = &mut engine.turn;
            for index in 0..case.steps.len() {
                let step = &case.steps[index];
                let (step_id, service) = (step.id, Arc::clone(&step.action.service));
                match &step.state {
                    StepState::InFlight => case.interrupted(index, now, turn),
                    StepState::Due(at) if *at <= now => {
                        turn.traffic.enqueue(&service, EffectKey::Step(step_id));
                    }
                    StepState::Due(at)
                        if is_orderly || step.extra.not_before.is_some_and(|t| t > now.0) =>
                    {
                        turn.traffic.timers.set(*at, Timer::Step(step_id));
                    }
                    // Who waited for whose return is not known any more, so each is tried at once.
                    StepState::Due(_) => {
                        case.must_change(index, StepEvent::Expedite(now), now, turn)
                    }
                    StepState::Accepted { poll_at, until, location } => {
                        let at = if location.is_some() { (*poll_at).min(*until) } else { *until };
                        turn.traffic.timers.set(at, Timer::Step(step_id));
                    }
                    _ => {}
                }
            }
            case.resume_readings(is_orderly, now, turn);
            if let Some(at) = case.row.extra.quiet_at {
                turn.traffic.timers.set(Timestamp(at), Timer::Quiet(id));
            }
            for row in &case.reports {
                if let ReportRole::AwaitsRoot(until) = row.role {
                    turn.traffic.timers.set(Timestamp(until), Timer::Cause(id));
                }
            }
            case.plan(now, &mut engine.turn);
            engine.advance(case, now);
        });
    }

    /// Brings a settled case back into memory for the input that follows; it leaves again with the next output unless
    /// it was reopened. A case that is in memory already stays as it is.
    pub fn hydrate(&mut self, stored: StoredCase) {
        let id = stored.case.id;
        if self.cases.contains_key(&id) {
            return;
        }
        // A settled case whose version can't be read is answered by the active one, if it comes to that.
        let book = self.book_of(&stored).ok().flatten();
        if !self.is_usable(&stored, book.as_deref()) {
            return;
        }
        self.put_in(stored, book);
    }

    pub(super) fn put_in(&mut self, stored: StoredCase, book: Option<Arc<Rulebook>>) {
        let id = stored.case.id;
        self.by_saga.insert(stored.case.saga.clone(), id);
        self.cases.insert(id, Box::new(Case::stored(stored, book)));
        self.last_case = self.last_case.max(id.0);
        self.changed.insert(id);
    }

    /// A case as it is in memory; for checks that memory and store tell the same.
    #[must_use]
    pub fn held(&self, id: CaseId) -> Option<StoredCase> {
        let case = self.cases.get(&id)?;
        Some(StoredCase {
            case: case.row.clone(),
            reports: case.reports.clone(),
            steps: case.steps.clone(),
        })
    }
}
