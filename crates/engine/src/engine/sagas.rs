//! Sagas that announce themselves with a deadline, and the report that is made when they miss it.

use super::Engine;
use crate::{Answer, SUPERVISOR, SagaRow, SagaState, Ticket, Write};
use amends_protocol::resources::SagaBegin;
use amends_protocol::{Report, ReportData, SagaId, Timestamp, check_data};
use std::sync::Arc;

impl Engine {
    pub(super) fn saga_began(&mut self, begin: SagaBegin, ticket: Ticket) {
        if let Err(why) = check_data("data", &begin.data) {
            return self.agenda.answer(ticket, Answer::Invalid(why.to_string()));
        }
        let known = self.sagas.get(&begin.saga_id).or(self.ended_sagas.get(&begin.saga_id));
        if let Some(row) = known.cloned() {
            return self.agenda.answer(ticket, Answer::Announced(Box::new(row))); // said again
        }
        let row = SagaRow {
            saga: begin.saga_id,
            service: begin.service.into(),
            action: begin.action.map(Into::into),
            deadline: begin.deadline,
            state: SagaState::Begun,
            data: Arc::new(begin.data),
        };
        if self.by_saga.contains_key(&row.saga) {
            // It has failed already; its case tells the rest, and no deadline must make another.
            let row = SagaRow { state: SagaState::Overdue, ..row };
            self.end_announced(row.clone());
            return self.agenda.answer(ticket, Answer::Announced(Box::new(row)));
        }
        self.agenda.out.writes.push(Write::Saga(Box::new(row.clone())));
        self.restore_saga(row.clone());
        self.agenda.answer(ticket, Answer::Announced(Box::new(row)));
    }

    pub(super) fn saga_ended(&mut self, saga: &SagaId, ticket: Ticket) {
        let answer = match self.sagas.remove(saga) {
            Some(mut row) => {
                row.state = SagaState::Ended;
                self.end_announced(row);
                Answer::Done
            }
            None if self.ended_sagas.contains_key(saga) => Answer::Done, // said again
            None => Answer::NotFound(format!("no saga `{saga}` is under way")),
        };
        self.agenda.answer(ticket, answer);
    }

    /// Writes down that an announced saga is over, in one way or another.
    pub(super) fn end_announced(&mut self, row: SagaRow) {
        self.agenda.out.writes.push(Write::Saga(Box::new(row.clone())));
        self.ended_sagas.insert(row.saga.clone(), row);
    }

    /// What the store knows of a saga that was announced, for the input that follows. One under way stays as it is.
    pub fn recall_saga(&mut self, row: SagaRow) {
        if !self.sagas.contains_key(&row.saga) {
            self.ended_sagas.insert(row.saga.clone(), row);
        }
    }

    /// A saga that neither ended nor reported in time gets a report made for it.
    pub(super) fn deadline(&mut self, now: Timestamp, saga: &SagaId) {
        let Some(row) = self.sagas.get(saga).filter(|row| row.deadline <= now).cloned() else {
            return;
        };
        let report = Report {
            id: format!("deadline-{saga}"),
            source: SUPERVISOR.to_owned(),
            saga_id: saga.clone(),
            time: Some(now),
            traceparent: None,
            data: ReportData {
                code: "deadline".to_owned(),
                action: row.action.as_ref().map(|action| format!("{}.{action}", row.service)),
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
        let case = self.case_for(now, &report);
        self.with_case(case, |case, engine| engine.add_report(case, now, report));
    }
}
