//! A report finds its saga's case, or makes it.

use super::Engine;
use crate::case::Case;
use crate::plan::{EXCESS_LIMIT, REPORTS_LIMIT};
use crate::transition::{claiming, sharing};
use crate::{
    Answer, CaseExtra, CaseRow, DomainEvent, ReportRole, ReportRow, RulebookRef, SUPERVISOR,
    SagaRow, SagaState, Ticket, Veil, Write,
};
use amends_api::CaseState;
use amends_protocol::{CaseId, Report, SagaId, Timestamp, check_data};
use amends_rulebook::Rulebook;
use std::sync::Arc;

impl Engine {
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        report: Arc<Report>,
        known_in: Option<CaseId>,
        ticket: Ticket,
    ) {
        if report.service() == SUPERVISOR {
            // Its ids must stay free for the reports that the engine makes itself.
            let text = format!(
                "`{SUPERVISOR}` is the name of the supervisor's own reports; use the service's"
            );
            return self.turn.answer(ticket, Answer::Invalid(text));
        }
        if let Err(why) = check_data("data.data", &report.data.data) {
            return self.turn.answer(ticket, Answer::Invalid(why.to_string()));
        }
        let in_memory =
            self.by_saga.get(&report.saga_id).and_then(|id| self.cases.get(id)).filter(|case| {
                case.reports
                    .iter()
                    .any(|r| r.report.id == report.id && r.report.source == report.source)
            });
        if let Some(case) = known_in.or(in_memory.map(|c| c.row.id)) {
            return self.turn.answer(ticket, Answer::Received { case, duplicate: true });
        }
        let owner = self.by_saga.get(&report.saga_id).copied();
        if let Some(case) = owner.filter(|case| self.quarantine.contains_key(case)) {
            return self.report_in_quarantine(case, report, ticket);
        }
        let announced = self.sagas.get(&report.saga_id).and_then(SagaRow::entry);
        let case = self.case_for(&report);
        let taken = self.with_case(case, |case, engine| {
            if case.row.extra.entry.is_none() && announced.is_some() {
                case.row.extra.entry = announced;
                case.row_changed = true;
            }
            let report = with_entry(report, case);
            if case.reports.len() < REPORTS_LIMIT {
                engine.add_report(case, now, report);
                true
            } else {
                engine.add_excess(case, now, report)
            }
        });
        let answer = match taken {
            Some(true) => Answer::Received { case, duplicate: false },
            // For ever: that a report is malformed is what a service stops to send it for.
            _ => Answer::Invalid(format!(
                "case {case} holds {EXCESS_LIMIT} reports beyond its limit and takes no more; its saga reports in a loop"
            )),
        };
        self.turn.answer(ticket, answer);
    }

    /// A report of a case that is full follows no rule and is not kept in memory, so that a service that reports in a
    /// loop costs no more than its rows. What it tells of requests counts all the same. False if not even a row is
    /// left.
    fn add_excess(&mut self, case: &mut Case, now: Timestamp, report: Arc<Report>) -> bool {
        if case.row.extra.excess >= EXCESS_LIMIT {
            return false;
        }
        let before = u32::try_from(case.reports.len()).unwrap_or(u32::MAX);
        let position = before.saturating_add(case.row.extra.excess);
        case.row.extra.excess += 1;
        case.row_changed = true;
        case.note(format!(
                "the saga has more than {REPORTS_LIMIT} reports: later ones ask for nothing, what they tell of requests counts"
            ),
        );
        let news = case.record_excess(report.service(), &report.data.history);
        self.turn.out.writes.push(Write::Report(Box::new(ReportRow {
            case: case.row.id,
            position,
            received_at: case.wall,
            role: ReportRole::Excess,
            report: Arc::clone(&report),
        })));
        let report = case.shown(report);
        self.turn.publish(DomainEvent::Reported { case: case.row.id, report });
        self.saga_reported(&case.row.saga);
        if news {
            case.reopen(&mut self.turn);
        }
        if !case.is_settled() {
            case.sign_of_life();
            self.go_on(case, news, now);
        }
        true
    }

    /// An announced saga that has reported needs no deadline any more.
    pub(super) fn saga_reported(&mut self, saga: &SagaId) {
        if let Some(mut saga) = self.sagas.remove(saga) {
            saga.state = SagaState::Overdue;
            self.end_announced(saga);
        }
    }

    pub(super) fn add_report(&mut self, case: &mut Case, now: Timestamp, report: Arc<Report>) {
        if case.book.is_none() && self.take_its_rulebook(case, &report) {
            case.answer_shared_anew(now);
        }
        case.reopen(&mut self.turn);
        let index = case.reports.len();
        case.add_report(ReportRow {
            case: case.row.id,
            position: u32::try_from(index).unwrap_or(u32::MAX),
            received_at: case.wall,
            role: ReportRole::Unmatched,
            report: Arc::clone(&report),
        });
        let shown = case.shown(Arc::clone(&report));
        self.turn.publish(DomainEvent::Reported { case: case.row.id, report: shown });
        let sharing = sharing(self.active.values(), report.service());
        if case.book.is_none() && !sharing.is_empty() {
            case.await_rulebook(index, &sharing, now, &mut self.turn);
        } else {
            case.assign_roles(Some(index), now, &mut self.limits, &mut self.turn);
        }
        self.saga_reported(&case.row.saga);
        self.go_on(case, true, now);
    }

    /// The saga's case, made if there is none.
    pub(super) fn case_for(&mut self, report: &Report) -> CaseId {
        if let Some(id) = self.by_saga.get(&report.saga_id) {
            return *id;
        }
        let id = self.next_case(&report.saga_id);
        let book = self.book_for(report);
        let wall = self.turn.moment.wall;
        let row = CaseRow {
            id,
            saga: report.saga_id.clone(),
            rulebook: book
                .as_ref()
                .map(|b| RulebookRef { name: b.name().into(), hash: b.hash().into() }),
            state: CaseState::Open,
            closed_on: None,
            opened_at: wall,
            updated_at: wall,
            settled_at: None,
            report: format!("{}/{}", report.service(), report.data.code).into(),
            message: shown_message(report, book.as_deref()),
            extra: CaseExtra::default(),
        };
        self.by_saga.insert(report.saga_id.clone(), id);
        self.cases.insert(id, Box::new(Case::new(row, book)));
        id
    }

    /// The active rulebook that a report belongs to. The supervisor's own reports go where the saga began, and so do
    /// those of a service that several rulebooks share; a service that nobody claims goes to the only rulebook, if
    /// there is just one.
    pub(super) fn book_for(&self, report: &Report) -> Option<Arc<Rulebook>> {
        let announced = self.sagas.get(&report.saga_id).map(|row| &*row.service);
        let service = match announced {
            Some(service) if report.service() == SUPERVISOR => service,
            _ => report.service(),
        };
        let entry = report.data.entry.as_deref().or(announced);
        claiming(self.active.values(), None, service, entry).cloned()
    }

    /// A case without a rulebook takes that of a further report. True if there is one.
    fn take_its_rulebook(&self, case: &mut Case, report: &Report) -> bool {
        let Some(book) = self.book_for(report) else { return false };
        case.take_book(book);
        true
    }
}

/// What a report says for people, without secrets.
fn shown_message(report: &Report, book: Option<&Rulebook>) -> Option<Arc<str>> {
    let mut message = report.data.message.as_deref().map(Into::into);
    if let Some(book) = book {
        Veil::of_report(book.secrets().clone(), report).shared_text(&mut message);
    }
    message
}

/// Where a report doesn't say with what its saga began, the saga's announcement may have.
fn with_entry(mut report: Arc<Report>, case: &Case) -> Arc<Report> {
    if report.data.entry.is_none() && case.row.extra.entry.is_some() {
        Arc::make_mut(&mut report).data.entry.clone_from(&case.row.extra.entry);
    }
    report
}
