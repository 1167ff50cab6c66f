//! The query of the other services' Histories: who is asked, when again, and what the answers add.
//!
//! A query is durable like a step, but it changes nothing at the service and is never stuck: it is repeated until the
//! service answers or a person settles the case.

use crate::backoff;
use crate::case::Case;
use crate::service_queue::{EffectKey, Health};
use crate::timer::Timer;
use crate::turn::Turn;
use crate::{DomainEvent, Effect, HistoryQuery, HistoryResult, ReadHistory};
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
        turn: &mut Turn,
    ) {
        for service in services {
            if self.row.extra.histories.iter().any(|w| w.service == service) {
                continue;
            }
            self.row.extra.histories.push(HistoryQuery {
                service: Arc::clone(&service),
                due_at: Some(now.0),
                since: Some(turn.moment.wall.0),
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
            turn.traffic.enqueue(&service, EffectKey::History(self.row.id));
        }
    }

    /// Asks again those that have answered before; for the last look around. What a person went without stays unread.
    pub(crate) fn ask_again(
        &mut self,
        services: &BTreeSet<Arc<str>>,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        let id = self.row.id;
        for query in self
            .row
            .extra
            .histories
            .iter_mut()
            .filter(|w| w.has_told() && services.contains(&w.service))
        {
            read_anew(query, id, now, turn);
            self.row_changed = true;
        }
    }

    pub(crate) fn histories_pending(&self) -> bool {
        self.row.extra.histories.iter().any(|w| !w.answered)
    }

    /// The effect for a query whose turn has come; none if it has been answered or is under way.
    pub(crate) fn launch_reading(
        &mut self,
        service: &Arc<str>,
        now: Timestamp,
        probing: bool,
    ) -> Option<Effect> {
        let rulebook = Arc::clone(self.book.as_ref()?);
        let all_have_ended = self.nobody_calls_after_the_end(&rulebook, service);
        let callers_have_ended = self.nobody_calls(&rulebook, service);
        let query = self.row.extra.histories.iter_mut().find(|w| w.service == *service)?;
        if query.answered
            || query.in_flight
            || (!probing && query.due_at.is_some_and(|at| at > now.0))
        {
            return None;
        }
        query.in_flight = true;
        query.asked_after_end = all_have_ended;
        query.asked_after_callers = callers_have_ended;
        if let Some(recheck) = &mut query.recheck {
            recheck.asked = true;
        }
        query.attempts = query.attempts.saturating_add(1);
        self.row_changed = true;
        self.calls_are_asked_for(service);
        Some(Effect::ReadHistory(Box::new(ReadHistory {
            case: self.row.id,
            service: Arc::clone(service),
            rulebook,
            saga: self.row.saga.clone(),
        })))
    }

    /// A service has answered, or not. True if there is new evidence.
    pub(crate) fn reading_ended(
        &mut self,
        service: &Arc<str>,
        result: HistoryResult,
        now: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let id = self.row.id;
        let Some(query) = self.row.extra.histories.iter_mut().find(|w| w.service == *service)
        else {
            return false;
        };
        query.in_flight = false;
        self.row_changed = true;
        let begun_too_early = query.recheck.as_ref().is_some_and(|recheck| !recheck.asked);
        match result {
            HistoryResult::Told(told) => {
                query.answered = true;
                query.told_at = Some(self.wall.0);
                query.due_at = None;
                query.message = None;
                query.unavailable = false;
                if let Some(recheck) = &mut query.recheck {
                    recheck.answered(service, Some(&told));
                }
                if begun_too_early {
                    read_anew(query, id, now, turn);
                }
                self.calls_are_read(service);
                let news = self.record_history(service, told);
                let query = self.row.extra.histories.iter().find(|w| w.service == *service);
                let entries = query.map_or(0, |query| query.entries.len());
                turn.publish(DomainEvent::Walked {
                    case: id,
                    service: Arc::clone(service),
                    entries,
                });
                news
            }
            HistoryResult::NoHistory | HistoryResult::Unproven { .. } => {
                query.answered = true;
                query.due_at = None;
                query.message = Some("keeps no History".to_owned());
                query.unavailable = false;
                if let Some(recheck) = &mut query.recheck {
                    recheck.answered(service, None);
                }
                if begun_too_early {
                    read_anew(query, id, now, turn);
                }
                false
            }
            HistoryResult::Failed { message, unreachable, retry_after_ms } => {
                let seed = id.0 ^ (service.len() as u64) << 40;
                let pause = backoff::pause_ms(&WALK_POLICY, seed, query.attempts)
                    .max(retry_after_ms.unwrap_or(0));
                let at = now.plus_ms(pause);
                query.due_at = Some(at.0);
                query.message = Some(message);
                turn.traffic.timers.set(at, Timer::Query(id, Arc::clone(service)));
                let all_wait = unreachable || turn.traffic.queue(service).histories.out_of_order();
                if all_wait && retry_after_ms.is_none() {
                    turn.traffic.queue(service).back_off(EffectKey::History(id));
                }
                false
            }
        }
    }

    /// The time of the next try has come, unless the service returned before it.
    pub(crate) fn history_timer(&mut self, service: &Arc<str>, now: Timestamp, turn: &mut Turn) {
        let due =
            |w: &&HistoryQuery| w.service == *service && w.due_at.is_some_and(|at| at <= now.0);
        if self.row.extra.histories.iter().find(due).is_some_and(|w| !w.answered && !w.in_flight) {
            turn.traffic.enqueue(service, EffectKey::History(self.row.id));
        }
    }

    /// The service has returned: the pause that is left is forgotten.
    pub(crate) fn expedite_query(&mut self, service: &Arc<str>, now: Timestamp, turn: &mut Turn) {
        let waits =
            |w: &&mut HistoryQuery| w.service == *service && w.due_at.is_some_and(|at| at > now.0);
        if let Some(query) = self.row.extra.histories.iter_mut().find(waits) {
            query.due_at = Some(now.0);
            self.row_changed = true;
            turn.traffic.enqueue(service, EffectKey::History(self.row.id));
        }
    }

    /// After a restart every History that is still missing is asked for at once: who waited for whose return is not
    /// known any more.
    pub(crate) fn resume_readings(&mut self, is_orderly: bool, now: Timestamp, turn: &mut Turn) {
        let id = self.row.id;
        for query in self.row.extra.histories.iter_mut().filter(|w| !w.answered) {
            let due_at = query.due_at.map(Timestamp).filter(|_| is_orderly && !query.in_flight);
            if let Some(at) = due_at.filter(|at| *at > now) {
                turn.traffic.timers.set(at, Timer::Query(id, Arc::clone(&query.service)));
                continue;
            }
            query.in_flight = false;
            query.due_at = Some(now.0);
            self.row_changed = true;
            turn.traffic.enqueue(&query.service, EffectKey::History(id));
        }
    }

    /// Nobody waits for the Histories any more.
    pub(crate) fn forget_readings(&self, turn: &mut Turn) {
        for query in &self.row.extra.histories {
            turn.traffic.queue(&query.service).forget(EffectKey::History(self.row.id));
        }
    }
}

impl HistoryQuery {
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
pub(crate) fn read_anew(query: &mut HistoryQuery, case: CaseId, now: Timestamp, turn: &mut Turn) {
    query.answered = false;
    query.due_at = Some(now.0);
    query.since = Some(turn.moment.wall.0);
    turn.traffic.enqueue(&query.service, EffectKey::History(case));
}

/// What a query's result says of the service.
pub(crate) fn health(result: &HistoryResult) -> (Health, Option<&str>) {
    match result {
        HistoryResult::Told(_) | HistoryResult::Unproven { .. } => (Health::Alive, None),
        HistoryResult::NoHistory => (Health::NoSign, None),
        HistoryResult::Failed { message, unreachable: true, .. } => (Health::Gone, Some(message)),
        HistoryResult::Failed { message, unreachable: false, .. } => (Health::Alive, Some(message)),
    }
}
