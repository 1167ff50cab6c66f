//! Evidence says that a request succeeded, and its service says that there was nothing to undo; or its service says
//! that it succeeded after it has undone the action, and was not heard of it before.
//!
//! A participant's History is read once more first: what that calls compensated, failed or fenced is resolved, and a
//! service that remembers nothing of the saga any more is believed. A mapped endpoint has no History: its `nothing` is
//! believed if the answer's body says so, or if it came twice after a try of unknown end.

use super::Facts;
use crate::case::Case;
use crate::fences::is_undone_by_its_service;
use crate::heard::{Heard, States, joined};
use crate::history_query::read_anew;
use crate::turn::Turn;
use crate::{HistoryQuery, KnownRequests, Question, Recheck, Said, Statement, StepRow, StepState};
use amends_api::QuestionKind;
use amends_protocol::{ActionName, HistoryState, Outcome, Timestamp, Verb};
use amends_rulebook::{Endpoint, Rulebook};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whether any step ended in a way that can be contradicted.
pub(super) fn is_possible(steps: &[StepRow], heard: &Heard) -> bool {
    steps.iter().any(|step| ended_with_nothing(step) || ended_before_a_request(step, heard))
}

fn ended_with_nothing(step: &StepRow) -> bool {
    ended_by_its_service(step) && step.state == StepState::Done(Outcome::NothingToCompensate)
}

fn ended_by_its_service(step: &StepRow) -> bool {
    // A fence undoes nothing, whatever its action has done.
    step.verb == Verb::Compensate && is_undone_by_its_service(step) && !step.extra.fence
}

/// Whether a participant has undone an action, and of a request that was not known by then its own word is that it
/// succeeded: behind the fence that the undoing put up, that can't be.
fn ended_before_a_request(step: &StepRow, heard: &Heard) -> bool {
    let name = &step.action;
    let learned = |knew: KnownRequests| {
        let knows = heard.known_requests(name);
        knows.by_anybody > knew.by_anybody && knows.by_own > knew.by_own
    };
    ended_by_its_service(step)
        && step.extra.knew.is_some_and(learned)
        && heard.own_word_is(name, HistoryState::Succeeded)
}

pub(super) fn add(facts: &Facts<'_>, all: &mut BTreeSet<Question>) {
    // One question for an action, whichever parts of its step it is about.
    let mut asked: BTreeMap<(Arc<str>, Arc<str>), Question> = BTreeMap::new();
    let in_doubt =
        |step: &&StepRow| ended_with_nothing(step) || ended_before_a_request(step, facts.heard);
    for step in facts.steps.iter().filter(in_doubt) {
        let StepState::Done(outcome) = step.state else { continue };
        let Some(action) = facts.book.action(&step.action.service, &step.action.action) else {
            continue;
        };
        let standing = match &facts.book.get(action).endpoints.compensate {
            Some(endpoint) => mapped(facts, step, endpoint),
            None => participant(facts, step),
        };
        if standing.is_empty() {
            continue;
        }
        let mut statements = BTreeSet::from([Statement {
            by: Arc::clone(&step.action.service),
            request: None,
            says: Said::Outcome(outcome),
        }]);
        for (request, witnesses) in standing {
            statements.extend(witnesses.into_iter().map(|by| Statement {
                by,
                request: Some(Arc::clone(&request)),
                says: Said::State(HistoryState::Succeeded),
            }));
        }
        let kind = QuestionKind::Contradiction;
        let name = (Arc::clone(&step.action.service), Arc::clone(&step.action.action));
        if let Some(known) = asked.get_mut(&name) {
            known.statements.append(&mut statements);
            continue;
        }
        let question = Question {
            kind,
            effect: facts.book.settings().effect_of(kind),
            service: Arc::clone(&step.action.service),
            action: Some(step.action.clone()),
            field: None,
            statements,
            can_ask_again: true,
        };
        asked.insert(name, question);
    }
    all.extend(asked.into_values());
}

impl Case {
    /// The rows of endpoints of a service's own whose "nothing" is in question.
    pub(super) fn contradicted_endpoints(&self, question: &Question) -> Vec<usize> {
        let (Some(book), Some(name)) = (self.book.as_deref(), &question.action) else {
            return Vec::new();
        };
        let action = book.action(&name.service, &name.action).map(|id| book.get(id));
        let Some(endpoint) = action.and_then(|action| action.endpoints.compensate.as_ref()) else {
            return Vec::new();
        };
        let facts = Facts { book, steps: &self.steps, extra: &self.row.extra, heard: self.heard() };
        let is_in_doubt = |step: &StepRow| {
            step.action == *name
                && ended_with_nothing(step)
                && !mapped(&facts, step, endpoint).is_empty()
        };
        (0..self.steps.len()).filter(|row| is_in_doubt(&self.steps[*row])).collect()
    }
}

/// Requests that succeeded, each with who says so.
type Standing = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// Of one request to a mapped endpoint: that request; of one for the whole saga, all.
fn mapped(facts: &Facts<'_>, step: &StepRow, endpoint: &Endpoint) -> Standing {
    if is_believed(step, endpoint) {
        return Standing::new();
    }
    let mut standing = succeeded(facts, &step.action, None);
    if let Some(about) = step.extra.subject.as_ref().and_then(|subject| subject.request.as_ref()) {
        standing.retain(|request, _| request == about);
    }
    standing
}

/// Whether a mapped endpoint's `nothing` is enough.
fn is_believed(step: &StepRow, endpoint: &Endpoint) -> bool {
    let by_status = step.extra.status.is_some_and(|status| endpoint.says_nothing_by(status));
    !by_status || (step.extra.said_nothing && step.extra.may_have_run)
}

fn participant(facts: &Facts<'_>, step: &StepRow) -> Standing {
    let name = &step.action;
    let ended_with_nothing = ended_with_nothing(step);
    let said_undone = |(_, by): (&Arc<str>, &BTreeMap<Arc<str>, States>)| {
        by.values().any(|states| states.has(HistoryState::Compensated))
    };
    if ended_with_nothing && facts.heard.by_witness(name).any(said_undone) {
        return Standing::new();
    }
    let query = facts.extra.histories.iter().find(|query| query.service == name.service);
    let Some(read) = query.and_then(|query| read_after(query, step)) else {
        return Standing::new();
    };
    if read.has_history && !read.knows_saga {
        return Standing::new(); // it has forgotten, as services may
    }
    succeeded(facts, name, Some(read))
}

/// The reading that was begun after the step had ended, if it is there.
fn read_after<'w>(query: &'w HistoryQuery, step: &StepRow) -> Option<&'w Recheck> {
    query
        .recheck
        .as_ref()
        .filter(|recheck| recheck.read && recheck.after.contains(&step.id.ordinal))
}

/// By the word that counts: the service's own, as it was last read, else that of others.
fn succeeded(facts: &Facts<'_>, name: &ActionName, read: Option<&Recheck>) -> Standing {
    let mut standing = Standing::new();
    for (request, by) in facts.heard.by_witness(name) {
        let read_now = read.and_then(|read| read.word_of(name, request));
        let own = by.get(&name.service).copied().and_then(joined);
        let says_so = |states: &States| states.has(HistoryState::Succeeded);
        let stands = match (read_now, own) {
            (Some(now), _) => now == HistoryState::Succeeded,
            // It knew the request, and knows it no more.
            (None, Some(_)) if read.is_some_and(|read| read.has_history) => false,
            (None, Some(own)) => own == HistoryState::Succeeded,
            (None, None) => {
                let others = by.values().fold(States::default(), |all, one| all.with(*one));
                joined(others) == Some(HistoryState::Succeeded)
            }
        };
        if stands {
            let witnesses = by.iter().filter(|(_, states)| says_so(states));
            let mut witnesses: BTreeSet<_> = witnesses.map(|(by, _)| Arc::clone(by)).collect();
            if read_now.is_some() {
                witnesses.insert(Arc::clone(&name.service));
            }
            standing.insert(Arc::clone(request), witnesses);
        }
    }
    standing
}

impl Case {
    /// Has Histories read once more that may resolve what would be a question else.
    pub(crate) fn look_twice(&mut self, now: Timestamp, turn: &mut Turn) {
        if !is_possible(&self.steps, self.heard()) {
            return;
        }
        let Some(book) = self.book.clone() else { return };
        for (service, ordinals) in self.to_be_looked_at_twice(&book) {
            self.look_again_after(service, ordinals, now, turn);
        }
    }

    /// By service, the steps of participants that ended with nothing to undo though something is said to stand.
    fn to_be_looked_at_twice(&self, book: &Rulebook) -> BTreeMap<Arc<str>, BTreeSet<u32>> {
        let mut found: BTreeMap<Arc<str>, BTreeSet<u32>> = BTreeMap::new();
        let facts = Facts { book, steps: &self.steps, extra: &self.row.extra, heard: self.heard() };
        let in_doubt =
            |step: &&StepRow| ended_with_nothing(step) || ended_before_a_request(step, facts.heard);
        for step in self.steps.iter().filter(in_doubt) {
            let action = book.action(&step.action.service, &step.action.action);
            let speaks = action.is_some_and(|id| book.get(id).endpoints.compensate.is_none());
            if speaks && !succeeded(&facts, &step.action, None).is_empty() {
                found.entry(Arc::clone(&step.action.service)).or_default().insert(step.id.ordinal);
            }
        }
        let histories = &self.row.extra.histories;
        found.retain(|service, ordinals| {
            let query = histories.iter().find(|query| query.service == *service);
            let after =
                query.and_then(|query| query.recheck.as_ref()).map(|recheck| &recheck.after);
            !after.is_some_and(|after| ordinals.is_subset(after))
        });
        found
    }

    fn look_again_after(
        &mut self,
        service: Arc<str>,
        after: BTreeSet<u32>,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        self.ask_histories(BTreeSet::from([Arc::clone(&service)]), now, turn);
        let id = self.row.id;
        let Some(query) = self.row.extra.histories.iter_mut().find(|w| w.service == service) else {
            return;
        };
        query.recheck = Some(Recheck { after, ..Recheck::default() });
        // One that is under way was begun too early; it is asked for again when it has ended.
        if query.has_told() {
            read_anew(query, id, now, turn);
        }
        self.row_changed = true;
    }

    /// Whether a mapped endpoint that says that there was nothing to undo is asked once more before it is believed: the
    /// try before may have done it, or not be seen yet.
    pub(crate) fn must_say_it_twice(&self, index: usize, status: Option<u16>) -> bool {
        let step = &self.steps[index];
        let Some(book) = self.book.as_deref() else { return false };
        let action = book.action(&step.action.service, &step.action.action);
        let endpoint = action.and_then(|id| book.get(id).endpoints.compensate.as_ref());
        let Some(endpoint) = endpoint.filter(|_| step.verb == Verb::Compensate) else {
            return false;
        };
        let by_status = status.is_some_and(|status| endpoint.says_nothing_by(status));
        if !by_status || !step.extra.may_have_run || step.extra.said_nothing {
            return false;
        }
        let facts = Facts { book, steps: &self.steps, extra: &self.row.extra, heard: self.heard() };
        let about = step.extra.subject.as_ref().and_then(|subject| subject.request.as_ref());
        let standing = succeeded(&facts, &step.action, None);
        about.map_or(!standing.is_empty(), |request| standing.contains_key(request))
    }
}
