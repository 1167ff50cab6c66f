//! The walk of the other services' Histories: who is asked, when again, and what the answers add.
//!
//! A walk is durable like a step, but it changes nothing at the service and is never stuck: it is repeated until the
//! service answers or a person settles the case.

use crate::agenda::Agenda;
use crate::backoff;
use crate::case::Case;
use crate::lane::{Health, Job};
use crate::timer::Timer;
use crate::{Errand, Happening, WalkHistory, WalkResult, WalkRow};
use amends_api::Cause;
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::{ActionClass, ActionId, RetryPolicy, Rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pauses between tries; a History is cheap to read, so the cap is low.
const WALK_POLICY: RetryPolicy =
    RetryPolicy { first_ms: 200, cap_ms: 30_000, ..RetryPolicy::DEFAULT };

impl Case {
    /// Services whose History may tell of something to undo: those with an undoable or correctable action in `actions`,
    /// or a pivot, and those that call others. The reporter's too: a report may tell less than its service's History,
    /// and more by the time of the answer.
    pub(crate) fn services_to_ask(
        &self,
        book: &Rulebook,
        actions: &BTreeSet<ActionId>,
    ) -> BTreeSet<Arc<str>> {
        actions
            .iter()
            .map(|id| book.get(*id))
            .filter(|a| {
                let is_told_of = matches!(a.class, ActionClass::Compensable | ActionClass::Pivot);
                is_told_of || a.correction.is_some() || !a.calls.is_empty()
            })
            .filter(|a| book.keeps_history(a.service))
            .map(|a| &a.name.service)
            .cloned()
            .collect()
    }

    /// Asks each service once; one that was asked before is left alone.
    pub(crate) fn ask_histories(
        &mut self,
        services: BTreeSet<Arc<str>>,
        now: Timestamp,
        agenda: &mut Agenda,
    ) {
        for service in services {
            if self.row.detail.walks.iter().any(|w| w.service == service) {
                continue;
            }
            self.row.detail.walks.push(WalkRow {
                service: Arc::clone(&service),
                due_at: Some(now.0),
                since: Some(agenda.moment.wall.0),
                in_flight: false,
                answered: false,
                told_at: None,
                asked_after_end: false,
                asked_after_callers: false,
                attempts: 0,
                message: None,
                entries: Vec::new(),
                unavailable: false,
                recheck: None,
            });
            self.row_changed = true;
            agenda.enqueue(&service, Job::Walk(self.row.id));
        }
    }

    /// Asks again those that have answered before; for the last look around. What a person went without stays unread.
    pub(crate) fn ask_again(
        &mut self,
        services: &BTreeSet<Arc<str>>,
        now: Timestamp,
        agenda: &mut Agenda,
    ) {
        let id = self.row.id;
        for walk in self
            .row
            .detail
            .walks
            .iter_mut()
            .filter(|w| w.has_told() && services.contains(&w.service))
        {
            read_anew(walk, id, now, agenda);
            self.row_changed = true;
        }
    }

    pub(crate) fn walks_pending(&self) -> bool {
        self.row.detail.walks.iter().any(|w| !w.answered)
    }

    /// The errand for a walk whose turn has come; none if it has been answered or is under way.
    pub(crate) fn launch_walk(
        &mut self,
        service: &Arc<str>,
        now: Timestamp,
        probing: bool,
    ) -> Option<Errand> {
        let rulebook = Arc::clone(self.book.as_ref()?);
        let saga_has_ended = self.row.detail.saga_ended_at.is_some();
        let callers_have_ended = self.nobody_calls(&rulebook, service);
        let walk = self.row.detail.walks.iter_mut().find(|w| w.service == *service)?;
        if walk.answered || walk.in_flight || (!probing && walk.due_at.is_some_and(|at| at > now.0))
        {
            return None;
        }
        walk.in_flight = true;
        walk.asked_after_end = saga_has_ended;
        walk.asked_after_callers = callers_have_ended;
        if let Some(recheck) = &mut walk.recheck {
            recheck.asked = true;
        }
        walk.attempts = walk.attempts.saturating_add(1);
        self.row_changed = true;
        self.calls_are_asked_for(service);
        Some(Errand::Walk(Box::new(WalkHistory {
            case: self.row.id,
            service: Arc::clone(service),
            rulebook,
            saga: self.row.saga.clone(),
        })))
    }

    /// A service has answered, or not. True if there is new evidence.
    pub(crate) fn walk_ended(
        &mut self,
        service: &Arc<str>,
        result: WalkResult,
        now: Timestamp,
        agenda: &mut Agenda,
    ) -> bool {
        let id = self.row.id;
        let Some(walk) = self.row.detail.walks.iter_mut().find(|w| w.service == *service) else {
            return false;
        };
        walk.in_flight = false;
        self.row_changed = true;
        let begun_too_early = walk.recheck.as_ref().is_some_and(|recheck| !recheck.asked);
        match result {
            WalkResult::Told(told) => {
                walk.answered = true;
                walk.told_at = Some(self.wall.0);
                walk.due_at = None;
                walk.message = None;
                walk.unavailable = false;
                if let Some(recheck) = &mut walk.recheck {
                    recheck.answered(service, Some(&told));
                }
                if begun_too_early {
                    read_anew(walk, id, now, agenda);
                }
                self.calls_are_read(service);
                let news = self.hear_history(service, told);
                let walk = self.row.detail.walks.iter().find(|w| w.service == *service);
                let entries = walk.map_or(0, |walk| walk.entries.len());
                agenda.tell(Happening::Walked { case: id, service: Arc::clone(service), entries });
                news
            }
            WalkResult::NoHistory | WalkResult::Unproven { .. } => {
                walk.answered = true;
                walk.due_at = None;
                walk.message = Some("keeps no History".to_owned());
                walk.unavailable = false;
                if let Some(recheck) = &mut walk.recheck {
                    recheck.answered(service, None);
                }
                if begun_too_early {
                    read_anew(walk, id, now, agenda);
                }
                false
            }
            WalkResult::Failed { message, unreachable, retry_after_ms } => {
                let seed = id.0 ^ (service.len() as u64) << 40;
                let pause = backoff::pause_ms(&WALK_POLICY, seed, walk.attempts)
                    .max(retry_after_ms.unwrap_or(0));
                let at = now.plus_ms(pause);
                walk.due_at = Some(at.0);
                walk.message = Some(message);
                agenda.timers.set(at, Timer::Walk(id, Arc::clone(service)));
                let all_wait = unreachable || agenda.lane(service).histories.out_of_order();
                if all_wait && retry_after_ms.is_none() {
                    agenda.lane(service).back_off(Job::Walk(id));
                }
                false
            }
        }
    }

    /// The time of the next try has come, unless the service returned before it.
    pub(crate) fn walk_timer(&mut self, service: &Arc<str>, now: Timestamp, agenda: &mut Agenda) {
        let due = |w: &&WalkRow| w.service == *service && w.due_at.is_some_and(|at| at <= now.0);
        if self.row.detail.walks.iter().find(due).is_some_and(|w| !w.answered && !w.in_flight) {
            agenda.enqueue(service, Job::Walk(self.row.id));
        }
    }

    /// The service has returned: the pause that is left is forgotten.
    pub(crate) fn hurry_walk(&mut self, service: &Arc<str>, now: Timestamp, agenda: &mut Agenda) {
        let waits =
            |w: &&mut WalkRow| w.service == *service && w.due_at.is_some_and(|at| at > now.0);
        if let Some(walk) = self.row.detail.walks.iter_mut().find(waits) {
            walk.due_at = Some(now.0);
            self.row_changed = true;
            agenda.enqueue(service, Job::Walk(self.row.id));
        }
    }

    /// After a restart every History that is still missing is asked for at once: who waited for whose return is not
    /// known any more.
    pub(crate) fn resume_walks(&mut self, now: Timestamp, agenda: &mut Agenda) {
        let id = self.row.id;
        for walk in self.row.detail.walks.iter_mut().filter(|w| !w.answered) {
            walk.in_flight = false;
            walk.due_at = Some(now.0);
            self.row_changed = true;
            agenda.enqueue(&walk.service, Job::Walk(id));
        }
    }

    /// Nobody waits for the Histories any more.
    pub(crate) fn forget_walks(&self, agenda: &mut Agenda) {
        for walk in &self.row.detail.walks {
            agenda.lane(&walk.service).forget(Job::Walk(self.row.id));
        }
    }
}

impl WalkRow {
    /// Whether it was answered by its service, rather than given up by a person.
    pub(crate) fn has_told(&self) -> bool {
        self.answered && !self.unavailable
    }

    /// Why it has not answered yet, where its service keeps things back for this cause; none if it has.
    #[must_use]
    pub fn cause_while(&self, kept_back: Option<Cause>) -> Option<Cause> {
        (!self.answered).then(|| awaited(self.in_flight, self.attempts > 0, kept_back))
    }
}

/// Why a History has not answered yet.
pub(crate) fn awaited(in_flight: bool, was_tried: bool, kept_back: Option<Cause>) -> Cause {
    match (in_flight, was_tried) {
        (true, _) => Cause::Asked,
        (false, false) => kept_back.unwrap_or(Cause::Queued),
        (false, true) => kept_back.unwrap_or(Cause::History),
    }
}

/// An answered one is asked for again.
pub(crate) fn read_anew(walk: &mut WalkRow, case: CaseId, now: Timestamp, agenda: &mut Agenda) {
    walk.answered = false;
    walk.due_at = Some(now.0);
    walk.since = Some(agenda.moment.wall.0);
    agenda.enqueue(&walk.service, Job::Walk(case));
}

/// What a walk's result says of the service.
pub(crate) fn health(result: &WalkResult) -> (Health, Option<&str>) {
    match result {
        WalkResult::Told(_) | WalkResult::Unproven { .. } => (Health::Alive, None),
        WalkResult::NoHistory => (Health::NoSign, None),
        WalkResult::Failed { message, unreachable: true, .. } => (Health::Gone, Some(message)),
        WalkResult::Failed { message, unreachable: false, .. } => (Health::Alive, Some(message)),
    }
}
