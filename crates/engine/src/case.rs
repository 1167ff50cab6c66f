//! A case in memory: its rows, the rulebook version that it is planned with, and what has changed since the last
//! commit.
//!
//! Here are the questions that one can ask a case. What happens to it is in `plan`, `release`, `attempt`, `query`,
//! `closing` and `act`.

use crate::heard::{Heard, States};
use crate::service_queue::EffectKey;
use crate::timer::Timer;
use crate::transition::{self, Illegal, StepEvent};
use crate::turn::Turn;
use crate::{
    CaseRow, DomainEvent, Event, Note, ReportRole, ReportRow, StepRow, StepState, StoredCase, Write,
};
use amends_api::{CaseState, ClosedOn};
use amends_protocol::{Outcome, OutcomeCallback, Timestamp};
use amends_rulebook::{ActionId, Facts, RetryPolicy, Rulebook};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// Notes of one case; past this a person has long known that something is wrong with it.
pub(crate) const NOTES_LIMIT: usize = 100;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) row: CaseRow,
    pub(crate) book: Option<Arc<Rulebook>>,
    pub(crate) reports: Vec<ReportRow>,
    pub(crate) steps: Vec<StepRow>,
    pub(crate) row_changed: bool,
    /// The wall clock of the turn that changes it: its stamps.
    pub(crate) wall: Timestamp,
    reports_changed: BTreeSet<usize>,
    steps_changed: BTreeSet<usize>,
    /// By a step's ordinal, when it is too old on its service's own line of time; as in the service's queue.
    pub(crate) ends_of_age: Vec<(u32, Timestamp)>,
    /// Bytes of its reports.
    report_bytes: usize,
    /// Bytes that it was last counted with, for all cases in memory.
    pub(crate) counted_bytes: usize,
    /// The number of the change that it was last counted at.
    pub(crate) changed_as: u64,
    /// Callbacks that wait for the end of a try, by its step's ordinal.
    pub(crate) early: BTreeMap<u32, OutcomeCallback>,
    /// Questions that people have been reported; none while that is not known.
    pub(crate) asked: Option<BTreeSet<u64>>,
    /// Made when something is first asked of it; kept up by whoever adds evidence.
    heard: OnceLock<Heard>,
}

/// Bytes of a case without its reports, steps and Histories.
const CASE_BYTES: usize = 1_000;
/// Bytes of a step: its row, its key and what an allocator adds.
const STEP_BYTES: usize = 500;
/// Bytes of one piece of evidence, in a row or put together.
const EVIDENCE_BYTES: usize = 200;

impl Case {
    pub(crate) fn new(row: CaseRow, book: Option<Arc<Rulebook>>) -> Self {
        Self {
            row,
            book,
            reports: Vec::new(),
            steps: Vec::new(),
            row_changed: true,
            wall: Timestamp::default(),
            reports_changed: BTreeSet::new(),
            steps_changed: BTreeSet::new(),
            ends_of_age: Vec::new(),
            report_bytes: 0,
            counted_bytes: 0,
            changed_as: 0,
            early: BTreeMap::new(),
            asked: None,
            heard: OnceLock::new(),
        }
    }

    pub(crate) fn stored(stored: StoredCase, book: Option<Arc<Rulebook>>) -> Self {
        let mut reports = stored.reports;
        // The last ones, so that the position of every other is still its index.
        reports.retain(|row| row.role != ReportRole::Excess);
        let report_bytes = reports.iter().map(|row| row.report.bytes()).sum();
        Self {
            row: stored.case,
            book,
            reports,
            steps: stored.steps,
            row_changed: false,
            wall: Timestamp::default(),
            reports_changed: BTreeSet::new(),
            steps_changed: BTreeSet::new(),
            ends_of_age: Vec::new(),
            report_bytes,
            counted_bytes: 0,
            changed_as: 0,
            early: BTreeMap::new(),
            asked: None,
            heard: OnceLock::new(),
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.row.state == CaseState::Settled
    }

    /// Whether something of it is under way outside.
    pub(crate) fn is_under_way(&self) -> bool {
        self.steps.iter().any(|step| step.state == StepState::InFlight)
            || self.row.extra.histories.iter().any(|query| query.in_flight)
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let histories = self.row.extra.histories.iter().map(|query| query.entries.len());
        let early = self.early.values().map(|callback| callback.history.len());
        let evidence = histories.chain(early).sum::<usize>() + self.row.extra.told.len();
        let heard = self.heard.get().map_or(0, Heard::pieces);
        CASE_BYTES
            + self.report_bytes
            + self.steps.len() * STEP_BYTES
            + (evidence + heard) * EVIDENCE_BYTES
    }

    pub(crate) fn add_report(&mut self, row: ReportRow) {
        self.report_bytes += row.report.bytes();
        if let Some(heard) = self.heard.get_mut() {
            heard.add_report(&row.report);
        }
        self.reports_changed.insert(self.reports.len());
        self.reports.push(row);
    }

    pub(crate) fn add_step(&mut self, row: StepRow) {
        self.steps_changed.insert(self.steps.len());
        self.steps.push(row);
    }

    pub(crate) fn set_role(&mut self, index: usize, role: ReportRole) {
        if self.reports[index].role != role {
            self.reports[index].role = role;
            self.reports_changed.insert(index);
        }
    }

    /// The report has changed.
    pub(crate) fn mark_report(&mut self, index: usize) {
        self.reports_changed.insert(index);
    }

    /// Whether something has changed since the last writes.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.row_changed || !self.reports_changed.is_empty() || !self.steps_changed.is_empty()
    }

    /// Whether no report has changed since the last writes.
    pub(crate) fn reports_are_as_stored(&self) -> bool {
        self.reports_changed.is_empty()
    }

    /// Marks the step as changed and hands it out.
    pub(crate) fn step_mut(&mut self, index: usize) -> &mut StepRow {
        self.steps_changed.insert(index);
        &mut self.steps[index]
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        let notes = &mut self.row.extra.notes;
        if notes.len() < NOTES_LIMIT && notes.iter().all(|n| n.text != text) {
            notes.push(Note { at: self.wall.0, text });
            self.row_changed = true;
        }
    }

    /// Every row is to be written.
    pub(crate) fn mark_all(&mut self) {
        self.row_changed = true;
        self.reports_changed = (0..self.reports.len()).collect();
        self.steps_changed = (0..self.steps.len()).collect();
    }

    /// Everything that has changed since the last call, as writes: the case first, so that what belongs to it follows.
    pub(crate) fn drain_writes(&mut self, writes: &mut Vec<Write>) {
        if self.has_unwritten() {
            self.row.updated_at = self.wall;
            writes.push(Write::Case(Box::new(self.row.clone())));
        }
        self.row_changed = false;
        for index in std::mem::take(&mut self.reports_changed) {
            writes.push(Write::Report(Box::new(self.reports[index].clone())));
        }
        for index in std::mem::take(&mut self.steps_changed) {
            writes.push(Write::Step(Box::new(self.steps[index].clone())));
        }
    }

    /// Applies the transition table to one step. An illegal event leaves the step as it is.
    pub(crate) fn change(
        &mut self,
        index: usize,
        event: StepEvent,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Illegal> {
        let state = transition::next(&self.steps[index].state, event)?;
        let wall = self.wall;
        let step = self.step_mut(index);
        step.state = state;
        step.updated_at = wall;
        let (id, service) = (step.id, Arc::clone(&step.action.service));
        match &step.state {
            StepState::Due(at) if *at <= now => turn.traffic.enqueue(&service, EffectKey::Step(id)),
            StepState::Due(at) => turn.traffic.timers.set(*at, Timer::Step(id)),
            StepState::Accepted { poll_at, until, location } => {
                let at = if location.is_some() { (*poll_at).min(*until) } else { *until };
                turn.traffic.timers.set(at, Timer::Step(id));
            }
            StepState::Waiting
            | StepState::InFlight
            | StepState::Done(_)
            | StepState::Stuck(_)
            | StepState::Superseded
            | StepState::Shadow => {}
        }
        if step.state.is_terminal() {
            turn.traffic.queue(&service).forget(EffectKey::Step(id));
            turn.traffic.queue(&service).forget(EffectKey::Poll(id));
        }
        self.tell_of_step(index, turn);
        Ok(())
    }

    /// Tells where a step stands, and why.
    pub(crate) fn tell_of_step(&self, index: usize, turn: &mut Turn) {
        let step = &self.steps[index];
        let held = step.on_hold().map(|hold| format!("held: {}", hold.scope));
        turn.publish(DomainEvent::Step {
            step: step.shown_id(),
            verb: step.verb,
            action: step.action.clone(),
            state: step.state.clone(),
            message: held.or_else(|| step.extra.message.clone()),
        });
    }

    /// Like [`Case::change`] where the table must allow it. If it does not, the engine has a fault: the case says so
    /// and the step stays, for a person to look at.
    pub(crate) fn must_change(
        &mut self,
        index: usize,
        event: StepEvent,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        if let Err(illegal) = self.change(index, event, now, turn) {
            let step = self.steps[index].id;
            self.note(format!("fault in the supervisor: {illegal} ({step})"));
        }
    }

    pub(crate) fn set_state(&mut self, state: CaseState, turn: &mut Turn) {
        if self.row.state != state {
            self.row.state = state;
            self.row_changed = true;
            if state != CaseState::Settled {
                self.row.closed_on = None;
                self.row.settled_at = None;
                self.row.extra.settled_by = None;
                self.row.extra.may_still_stand.clear();
            }
            let noted = match (state, self.row.closed_on) {
                (CaseState::Settled, Some(ClosedOn::ByPerson)) => BTreeSet::new(),
                (CaseState::Settled, _) => self.noted(),
                _ => BTreeSet::new(),
            };
            turn.out.events.push(Event {
                at: self.wall,
                what: DomainEvent::Case {
                    rulebook: self.row.rulebook.as_ref().map(|version| Arc::clone(&version.name)),
                    noted,
                    case: self.row.id,
                    saga: self.row.saga.clone(),
                    opened_at: self.row.opened_at,
                    state,
                    closed_on: self.row.closed_on,
                },
            });
        }
    }

    /// All evidence.
    pub(crate) fn heard(&self) -> &Heard {
        let extra = &self.row.extra;
        self.heard.get_or_init(|| Heard::of(&self.reports, &extra.histories, &extra.told))
    }

    /// The same, for whoever adds to it what is in the rows now; none if nothing was asked of it yet.
    pub(crate) fn heard_mut(&mut self) -> Option<&mut Heard> {
        self.heard.get_mut()
    }

    /// All actions that the saga may have reached: by the calls that the rulebook declares, from where reports came and
    /// from whatever happened or may have, by anybody's word or by the end of its step. Everything, as soon as one
    /// report does not say which action failed, or is not looked at because the case is full: more reports never make
    /// it less. Below a call that is tolerated or not waited for, only what the failures there concern.
    pub(crate) fn reach(&self, book: &Rulebook) -> BTreeSet<ActionId> {
        if let Some(concerned) = self.concerns(book) {
            return concerned;
        }
        let reporters: Option<BTreeSet<ActionId>> =
            self.reports.iter().map(|r| book.reporter(&Facts::of(&r.report))).collect();
        let Some(reporters) = reporters.filter(|_| self.row.extra.excess == 0) else {
            return book.action_ids().collect();
        };
        let mut reach: BTreeSet<ActionId> =
            reporters.iter().flat_map(|r| book.saga_reach(*r).iter().copied()).collect();
        for id in self.happened(book) {
            if reach.insert(id) {
                reach.extend(book.downstream(id).iter().copied());
            }
        }
        reach
    }

    /// The actions that the case concerns, if that is not the whole saga.
    pub(crate) fn concerns(&self, book: &Rulebook) -> Option<BTreeSet<ActionId>> {
        let failing = self.reports.iter().map(|r| book.reporter(&Facts::of(&r.report)));
        book.concerned_by(failing).filter(|_| self.row.extra.excess == 0)
    }

    /// Actions that happened or may have happened: by anybody's word, or since there was something to undo.
    pub(crate) fn happened(&self, book: &Rulebook) -> BTreeSet<ActionId> {
        let mut all = self.heard().effects(book);
        let undone = |step: &&StepRow| {
            matches!(
                step.state,
                StepState::Done(
                    Outcome::Compensated | Outcome::AlreadyCompensated | Outcome::Retried
                )
            ) && !step.extra.fence
        };
        let undone = self.steps.iter().filter(undone);
        all.extend(undone.filter_map(|s| book.action(&s.action.service, &s.action.action)));
        all
    }

    /// What `action`'s own service said of its requests, in reports, histories and answers.
    pub(crate) fn owners_word(&self, book: &Rulebook, action: ActionId) -> States {
        let name = &book.get(action).name;
        self.heard().word_of(&name.service, name)
    }

    /// The steps' earliest stage in which something is not finished. Nothing of a later stage may be sent. Fences are
    /// of no stage: who is out of reach holds up no refund.
    pub(crate) fn frontier(&self) -> Option<u16> {
        let unfinished = self.steps.iter().filter(|s| !s.state.is_terminal() && !s.extra.fence);
        unfinished.map(|s| s.stage).min()
    }

    /// Whether a retry is under way that a compensation waits for.
    pub(crate) fn awaits_retry(&self) -> bool {
        self.steps.iter().any(|s| {
            s.extra.last_try && matches!(s.state, StepState::InFlight | StepState::Accepted { .. })
        })
    }

    pub(crate) fn policy(&self, step: &StepRow) -> RetryPolicy {
        self.book
            .as_ref()
            .and_then(|book| {
                let id = book.action(&step.action.service, &step.action.action)?;
                Some(book.get(id).retry)
            })
            .unwrap_or_default()
    }

    /// The report whose fields fill a step's request: the first that demands it.
    pub(crate) fn report_for(&self, step: &StepRow) -> Option<&ReportRow> {
        let position = step.extra.because.first().copied().unwrap_or(0);
        self.reports.get(position as usize).or_else(|| self.reports.first())
    }
}

/// Whether a retry step has run, or may have.
pub(crate) fn retry_may_have_effect(step: &StepRow) -> bool {
    match &step.state {
        StepState::Done(Outcome::Retried) => true,
        StepState::Done(_) | StepState::Shadow => false,
        // A try under way counts once it has ended; until then compensations wait for it.
        StepState::InFlight
        | StepState::Accepted { .. }
        | StepState::Waiting
        | StepState::Due(_)
        | StepState::Stuck(_)
        | StepState::Superseded => step.extra.may_have_run,
    }
}
