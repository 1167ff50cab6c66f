//! Sagas that announce themselves with a deadline, and the report that is made when they miss it.

use super::Engine;
use crate::{Answer, SUPERVISOR, SagaRow, SagaState, Ticket, Write};
use amends_protocol::resources::SagaBegin;
use amends_protocol::{Report, ReportData, SagaId, Timestamp};
use std::sync::Arc;

impl Engine {
    pub(super) fn saga_began(&mut self, begin: SagaBegin, ticket: Ticket) {
        if self.holds_announced(&begin.saga_id) {
            return self.agenda.answer(ticket, Answer::Done); // said again
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
            self.agenda.out.writes.push(Write::Saga(Box::new(row)));
            return self.agenda.answer(ticket, Answer::Done);
        }
        self.agenda.out.writes.push(Write::Saga(Box::new(row.clone())));
        self.restore_saga(row);
        self.agenda.answer(ticket, Answer::Done);
    }

    pub(super) fn saga_ended(&mut self, saga: &SagaId, ticket: Ticket) {
        let answer = match self.sagas.remove(saga) {
            Some(mut row) => {
                row.state = SagaState::Ended;
                self.agenda.out.writes.push(Write::Saga(Box::new(row)));
                Answer::Done
            }
            None => Answer::NotFound(format!("no saga `{saga}` is under way")),
        };
        self.agenda.answer(ticket, answer);
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
        let case = self.case_for(now, &report);
        self.with_case(case, |case, engine| engine.add_report(case, now, report));
    }
}
