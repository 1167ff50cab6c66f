//! One step, several requests: of which requests of its action a step is made, with a row for each of them.

use crate::case::Case;
use crate::subject::{endpoint_of, has_fields};
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{StepExtra, StepRow, StepState, Subject};
use amends_api::StuckReason;
use amends_protocol::{HistoryState, StepId, Timestamp, Verb};
use amends_rulebook::{ActionId, Endpoint, Facts, Rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Case {
    /// The rows of the step that a row belongs to.
    pub(crate) fn rows_of_step(&self, step: &StepRow) -> impl Iterator<Item = usize> {
        let ordinal = step.ordinal_of_step();
        let first = (ordinal as usize).saturating_sub(1);
        (first..self.steps.len()).filter(move |row| self.steps[*row].ordinal_of_step() == ordinal)
    }

    /// The rows that an id means to a person: all of a step, or one part.
    pub(crate) fn rows_meant(&self, id: StepId) -> Vec<usize> {
        match self.step_index(id) {
            Some(index) if id.part.is_none() && self.steps[index].extra.part_of.is_none() => {
                self.rows_of_step(&self.steps[index]).collect()
            }
            found => found.into_iter().collect(),
        }
    }

    /// Whether a step asks for each request of its action by itself.
    fn is_per_request(&self, step: &StepRow, book: &Rulebook) -> bool {
        let action = book.action(&step.action.service, &step.action.action).map(|id| book.get(id));
        action.is_some_and(|action| match (step.verb, action.endpoints.get(step.verb)) {
            (Verb::Notify, _) => false,
            (Verb::Compensate | Verb::Retry, Some(endpoint)) => endpoint.is_for_one_request(),
            // The participant protocol undoes an action as a whole, and runs again what failed, one by one.
            (Verb::Retry, None) => true,
            (Verb::Compensate, None) => false,
        })
    }

    /// The known requests that a step is for: those that may have taken effect, or, to be run again, those that failed.
    pub(crate) fn requests_for(&self, step: &StepRow) -> BTreeSet<Arc<str>> {
        let known = self.requests_of(&step.action);
        let mut wanted: BTreeSet<Arc<str>> = BTreeSet::new();
        if step.verb == Verb::Retry {
            // Its own service reports that the action failed, and names the request.
            let own = self.reports.iter().map(|row| &row.report).filter(|report| {
                let action = report.data.action.as_deref();
                *report.service() == *step.action.service && action == Some(&*step.action.action)
            });
            // Half done, or found unfinished after a crash, it has failed all the same.
            let failed = own.filter_map(|report| report.data.request_id.as_deref());
            let is_over = |id: &str| known.get(id).is_some_and(|state| is_no_failure(*state));
            wanted.extend(failed.filter(|id| !is_over(id)).map(Arc::from));
        }
        let concerned = |state: HistoryState| match step.verb {
            Verb::Compensate => state.may_have_effect(),
            Verb::Retry => state == HistoryState::Failed,
            Verb::Notify => false,
        };
        let known = known.into_iter().filter(|(_, state)| concerned(*state));
        wanted.extend(known.map(|(request, _)| request));
        wanted
    }

    /// Gives every request that a step is for a row of its own. More evidence only ever adds rows.
    pub(crate) fn split_steps(&mut self, book: &Rulebook, now: Timestamp, turn: &mut Turn) {
        for index in 0..self.steps.len() {
            let lead = &self.steps[index];
            let stands = !matches!(lead.state, StepState::Shadow | StepState::Superseded);
            if lead.extra.part_of.is_none() && stands && self.is_per_request(lead, book) {
                self.split(index, book, now, turn);
            }
        }
    }

    fn split(&mut self, index: usize, book: &Rulebook, now: Timestamp, turn: &mut Turn) {
        let lead = &self.steps[index];
        let mut wanted = self.requests_for(lead);
        for row in self.rows_of_step(lead).collect::<Vec<_>>() {
            let Some(request) = self.steps[row].request() else { continue };
            // It ended since its request had no effect, by what was known then.
            if wanted.remove(request) && self.steps[row].ended_without_effect() {
                self.wake_unasked(row, now, turn);
            }
        }
        for request in wanted {
            let lead = &self.steps[index];
            if lead.request().is_none() && self.can_take(lead, &request, book) {
                let extra = &mut self.step_mut(index).extra;
                extra.subject.get_or_insert_default().request = Some(request);
                continue;
            }
            let extra = StepExtra {
                because: lead.extra.because.clone(),
                // A yes to what was known is none to what was not.
                held: lead.extra.held || lead.extra.asks,
                asks: lead.extra.asks,
                part_of: Some(lead.id.ordinal),
                subject: Some(Subject { request: Some(request), ..Subject::default() }),
                last_try: lead.extra.last_try,
                ..StepExtra::default()
            };
            let (verb, action, stage) = (lead.verb, lead.action.clone(), lead.stage);
            self.push_step(turn.salt, verb, action, stage, StepState::Waiting, extra);
        }
    }

    /// Whether a step that was about no certain request can be about this one. Once it was asked for, it can unless
    /// what was told of the request says something else than what was asked; which request was run again without its
    /// name, nobody knows, unless the report that it was planned for names it: so asked a version of before.
    fn can_take(&self, lead: &StepRow, request: &str, book: &Rulebook) -> bool {
        match (lead.attempts, lead.verb) {
            (0, _) => !lead.state.is_terminal(),
            (_, Verb::Retry) => self
                .report_for(lead)
                .is_some_and(|row| row.report.data.request_id.as_deref() == Some(request)),
            _ => self.asked_the_same(lead, request, book),
        }
    }

    /// Steps for the requests of an action of which none is known: they wait for all who could tell of one, and end
    /// when nobody has. One that names no request and lacks the fields ends so only if nobody has called the action at
    /// all; else a person must hear of what is missing. True if one has ended.
    pub(crate) fn end_without_request(
        &mut self,
        frontier: u16,
        now: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let Some(book) = self.book.clone() else { return false };
        let mut ended = false;
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let (waits, is_due) =
                (step.state == StepState::Waiting, matches!(step.state, StepState::Due(_)));
            if !(waits || is_due) || step.stage != frontier {
                continue;
            }
            if self.has_no_effect_by_now(step, &book) {
                let extra = &mut self.step_mut(index).extra;
                extra.awaits = None;
                extra.message = Some("it took no effect, by all that is known".to_owned());
                if is_due {
                    self.must_change(index, StepEvent::CloseStage, now, turn);
                }
                self.must_change(index, StepEvent::Void, now, turn);
                ended = true;
                continue;
            }
            if is_due {
                continue;
            }
            let step = &self.steps[index];
            if !self.lacks_request(step, &book) {
                continue;
            }
            let Some(id) = book.action(&step.action.service, &step.action.action) else { continue };
            let callers = callers(&book, id);
            let held = step.extra.held;
            let names_one = endpoint_of(step, &book).is_some_and(Endpoint::names_request);
            let knows_some = self.heard().requests(&step.action).next().is_some();
            let services = callers.iter().map(|caller| book.get(*caller));
            let with_history = services.filter(|caller| book.keeps_history(caller.service));
            let services = with_history.map(|caller| Arc::clone(&caller.name.service)).collect();
            self.ask_histories(services, now, turn);
            let names: Vec<_> = callers.iter().map(|id| book.get(*id).name.clone()).collect();
            if !names_one && !knows_some {
                self.ask_for_calls(|step| names.contains(&step.action), now, turn);
            }
            if self.histories_pending() || self.is_being_stopped(&callers, &book) {
                continue;
            }
            let why = match knows_some {
                true => "no request of it took effect, by all that is known",
                false if names_one => "no request of it is known",
                false if self.nobody_has_called(&book, id) => "nobody has called it",
                false => {
                    let event = if held { StepEvent::Hold } else { StepEvent::Open(now) };
                    self.must_change(index, event, now, turn);
                    continue;
                }
            };
            self.step_mut(index).extra.message = Some(why.to_owned());
            self.must_change(index, StepEvent::Void, now, turn);
            ended = true;
        }
        ended
    }

    /// A step that ended since its request had no effect is asked for after all.
    fn wake_unasked(&mut self, row: usize, now: Timestamp, turn: &mut Turn) {
        self.step_mut(row).extra.message = None;
        self.must_change(row, StepEvent::Doubt(now), now, turn);
        if self.steps[row].extra.held {
            self.must_change(row, StepEvent::Stick(StuckReason::AwaitsApproval), now, turn);
        }
    }

    /// Whether a step that was planned to undo one request, and was never sent, has nothing to undo: by the word that
    /// counts the request took no effect, as was not known before. More evidence may wake it again (`split`).
    pub(crate) fn has_no_effect_by_now(&self, step: &StepRow, book: &Rulebook) -> bool {
        let planned_by_rule = !step.extra.because.is_empty() && step.extra.edited.is_none();
        let Some(request) = step.request().filter(|_| planned_by_rule && step.attempts == 0) else {
            return false;
        };
        step.verb == Verb::Compensate
            && self.is_per_request(step, book)
            && self.state_of(&step.action, request).is_some_and(|state| !state.may_have_effect())
    }

    /// Whether all who call an action have ended or are barred, and none of them has called it.
    fn nobody_has_called(&self, book: &Rulebook, id: ActionId) -> bool {
        let reached = self.reached(book);
        let callers = callers(book, id);
        let told = |caller: &ActionId| self.is_barred_and_told(&book.get(*caller).name);
        !self.heard().anybodys_word(&book.get(id).name).may_have_effect()
            && !reached.entries.contains(&id)
            && (!reached.now.contains(&id)
                || callers.iter().all(|id| told(id) || !reached.now.contains(id)))
    }

    /// Whether a step has nothing to ask for: none of the requests that are known took effect, or none is known and
    /// without one it can't be asked for.
    pub(crate) fn lacks_request(&self, step: &StepRow, book: &Rulebook) -> bool {
        if step.verb != Verb::Compensate || step.request().is_some() || step.extra.edited.is_some()
        {
            return false;
        }
        let Some(endpoint) = endpoint_of(step, book) else { return false };
        let knows_some = self.heard().requests(&step.action).next().is_some();
        let is_needed = match endpoint.is_for_one_request() {
            true => knows_some || !self.can_be_asked_without_request(endpoint),
            false => !knows_some && !self.can_be_asked_without_request(endpoint),
        };
        is_needed && !self.heard().tells_of_unnamed(&step.action)
    }

    fn can_be_asked_without_request(&self, endpoint: &Endpoint) -> bool {
        let needs_none = endpoint.data_fields().next().is_none();
        let mut reports = self.reports.iter();
        let has_all = needs_none || reports.any(|row| has_fields(&row.report.data.data, endpoint));
        !endpoint.names_request() && has_all
    }

    /// Whether a caller is just being undone: its answer may tell of further requests.
    fn is_being_stopped(&self, callers: &[ActionId], book: &Rulebook) -> bool {
        self.steps.iter().any(|step| {
            let under_way = match step.state {
                StepState::Due(_)
                | StepState::InFlight
                | StepState::Accepted { .. }
                | StepState::Stuck(_) => true,
                StepState::Waiting
                | StepState::Done(_)
                | StepState::Superseded
                | StepState::Shadow => false,
            };
            let action = book.action(&step.action.service, &step.action.action);
            under_way
                && step.verb == Verb::Compensate
                && action.is_some_and(|action| callers.contains(&action))
        })
    }

    /// How far the reporting action of a report is from an action, in calls; none if it doesn't call it.
    pub(crate) fn call_distance(
        book: &Rulebook,
        report: &Facts<'_>,
        to: ActionId,
    ) -> Option<usize> {
        let mut at = vec![book.reporter(report)?];
        let mut seen: BTreeSet<ActionId> = at.iter().copied().collect();
        for distance in 0.. {
            if at.contains(&to) {
                return Some(distance);
            }
            let called = at.iter().flat_map(|id| &book.get(*id).calls).map(|call| call.action);
            at = called.filter(|id| seen.insert(*id)).collect();
            if at.is_empty() {
                break;
            }
        }
        None
    }
}

/// Whether a request in this state is none to be run again, whatever was reported of it before.
fn is_no_failure(state: HistoryState) -> bool {
    match state {
        HistoryState::Succeeded | HistoryState::Compensated | HistoryState::Fenced => true,
        HistoryState::Started | HistoryState::Unknown | HistoryState::Failed => false,
    }
}

/// The actions that call an action.
fn callers(book: &Rulebook, id: ActionId) -> Vec<ActionId> {
    let calls = |caller: &ActionId| book.get(*caller).calls.iter().any(|call| call.action == id);
    book.action_ids().filter(calls).collect()
}
