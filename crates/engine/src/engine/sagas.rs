//! Sagas that announce themselves with a deadline, and the report that is made when they miss it.

use super::Engine;
use crate::timer::Timer;
use crate::transition::{claiming, sharing};
use crate::{Answer, Moment, SUPERVISOR, SagaRow, SagaState, Ticket, Trust, Write};
use amends_protocol::{Report, ReportData, SagaBegin, SagaId, Timestamp, check_data};
use std::sync::Arc;

/// Longest pause between looks at the deadlines that the wall clock tells, in milliseconds.
const WALL_LOOK_MS: u64 = 10_000;

/// Deadlines that are missed in one turn, so that no turn is too large for a commit.
const DEADLINES_SLICE: usize = 1_000;

impl Engine {
    pub(super) fn saga_began(&mut self, now: Timestamp, begin: SagaBegin, ticket: Ticket) {
        if let Err(why) = check_data("data", &begin.data) {
            return self.turn.answer(ticket, Answer::Invalid(why.to_string()));
        }
        let known = self.sagas.get(&begin.saga_id).or(self.ended_sagas.get(&begin.saga_id));
        if let Some(row) = known.cloned() {
            return self.turn.answer(ticket, Answer::Announced(Box::new(row))); // said again
        }
        let row = SagaRow::begun(begin);
        if self.by_saga.contains_key(&row.saga) {
            // It has failed already; its case tells the rest, and no deadline must make another.
            let row = SagaRow { state: SagaState::Overdue, ..row };
            self.end_announced(row.clone());
            self.tell_where_it_began(now, &row);
            return self.turn.answer(ticket, Answer::Announced(Box::new(row)));
        }
        self.turn.out.writes.push(Write::Saga(Box::new(row.clone())));
        self.watch_deadline(row.clone());
        self.turn.answer(ticket, Answer::Announced(Box::new(row)));
    }

    /// A case of which nothing said to which rulebook it belongs hears where its saga began.
    fn tell_where_it_began(&mut self, now: Timestamp, row: &SagaRow) {
        let Some(id) = self.by_saga.get(&row.saga).copied() else { return };
        self.with_case(id, |case, engine| {
            let first = case.reports.first().map_or("", |one| one.report.service());
            if case.book.is_some() || sharing(engine.active.values(), first).is_empty() {
                return;
            }
            case.row.extra.entry = row.entry().or(case.row.extra.entry.take());
            case.row_changed = true;
            let books = engine.active.values();
            if let Some(book) = claiming(books, None, first, Some(&*row.service)).cloned() {
                case.take_book(book);
                case.answer_shared_anew(now);
                case.assign_roles(None, now, &mut engine.limits, &mut engine.turn);
                engine.go_on(case, true, now);
            }
        });
    }

    /// Whoever began the saga says that it is over: no deadline has to be watched, and its case need not wait for what
    /// only the beginning could still call.
    pub(super) fn saga_ended(&mut self, now: Timestamp, saga: &SagaId, ticket: Ticket) {
        let case = self.by_saga.get(saga).copied();
        if let Some(why) = case.and_then(|case| self.refusal(case)) {
            // The case could not keep it. Whoever says it says it again.
            return self.turn.answer(ticket, Answer::Unavailable(why));
        }
        let is_announced = match self.sagas.remove(saga) {
            Some(mut row) => {
                row.state = SagaState::Ended;
                self.end_announced(row);
                true
            }
            None => self.ended_sagas.contains_key(saga), // said again, or it has failed
        };
        if let Some(case) = case {
            self.with_case(case, |case, engine| {
                if case.saga_has_ended() {
                    engine.go_on(case, false, now);
                }
            });
        }
        let answer = match is_announced || case.is_some() {
            true => Answer::Done,
            false => Answer::NotFound(format!(
                "no saga `{saga}` is under way: it was not announced, and no case is about it"
            )),
        };
        self.turn.answer(ticket, answer);
    }

    /// Writes down that an announced saga is over, in one way or another.
    pub(super) fn end_announced(&mut self, row: SagaRow) {
        self.by_wall.remove(&(row.deadline, row.saga.clone()));
        self.turn.out.writes.push(Write::Saga(Box::new(row.clone())));
        self.ended_sagas.insert(row.saga.clone(), row);
    }

    /// What the store knows of a saga that was announced, for the input that follows. One under way stays as it is.
    pub fn recall_saga(&mut self, row: SagaRow) {
        if !self.sagas.contains_key(&row.saga) {
            self.ended_sagas.insert(row.saga.clone(), row);
        }
    }

    /// A saga that is announced now has the time that is left by today's clock, however that is set later. If it is
    /// wrong now, or says that no time is left, the saga is judged once it can be trusted.
    fn watch_deadline(&mut self, row: SagaRow) {
        let Moment { now, wall, trust } = self.turn.moment;
        let left_ms = row.deadline.ms_since(wall);
        if trust == Trust::Agreed || (trust == Trust::Started && left_ms > 0) {
            self.turn.traffic.timers.set(now.plus_ms(left_ms), Timer::Deadline(row.saga.clone()));
            self.sagas.insert(row.saga.clone(), row);
        } else {
            self.restore_saga(row);
        }
    }

    /// Takes back an announced saga after a restart.
    pub fn restore_saga(&mut self, row: SagaRow) {
        if row.state == SagaState::Begun {
            self.by_wall.insert((row.deadline, row.saga.clone()));
            self.sagas.insert(row.saga.clone(), row);
            self.watch_wall();
        }
    }

    /// Sets the timer for the first deadline that the wall clock tells, which is looked at often: it may be set.
    fn watch_wall(&mut self) {
        let Moment { now, wall, trust } = self.turn.moment;
        let Some((first, _)) = self.by_wall.first() else { return };
        let left_ms = if trust == Trust::Agreed { first.ms_since(wall) } else { WALL_LOOK_MS };
        self.turn.traffic.timers.set(now.plus_ms(left_ms.min(WALL_LOOK_MS)), Timer::Deadlines);
    }

    /// Judges the deadlines that the wall clock tells, if it can be trusted.
    pub(super) fn deadlines(&mut self) {
        let Moment { now, wall, trust } = self.turn.moment;
        for _ in 0..DEADLINES_SLICE {
            let due = |(deadline, _): &&(Timestamp, SagaId)| *deadline <= wall;
            let due = self.by_wall.first().filter(due).filter(|_| trust == Trust::Agreed).cloned();
            let Some((deadline, saga)) = due else { break };
            self.by_wall.remove(&(deadline, saga.clone()));
            match self.is_shared() {
                true => self.turn.traffic.timers.set(now, Timer::Deadline(saga)),
                false => self.deadline(now, &saga),
            }
        }
        self.watch_wall();
    }

    /// A saga that neither ended nor reported in time gets a report made for it.
    pub(super) fn deadline(&mut self, now: Timestamp, saga: &SagaId) {
        let Some(row) = self.sagas.get(saga).cloned() else { return };
        let report = Report {
            id: format!("deadline-{saga}"),
            source: SUPERVISOR.to_owned(),
            saga_id: saga.clone(),
            time: Some(self.turn.moment.wall),
            traceparent: None,
            data: ReportData {
                code: "deadline".to_owned(),
                action: row.entry(),
                entry: row.entry(),
                message: Some(format!(
                    "{} neither ended nor reported by {}",
                    row.service, row.deadline
                )),
                data: (*row.data).clone(),
                ..ReportData::default()
            },
        };
        let owner = self.by_saga.get(saga).copied();
        if owner.is_some_and(|case| self.quarantine.contains_key(&case)) {
            return self.saga_reported(saga); // it has failed already
        }
        let case = self.case_for(&report);
        self.with_case(case, |case, engine| engine.add_report(case, now, Arc::new(report)));
    }
}
