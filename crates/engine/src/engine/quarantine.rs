//! Cases that can't be worked on, because a row of theirs doesn't read back or the store takes none of their writes.
//! Each is kept out of the way of all others, with what belongs to it still known, until a person mends or discards it.
//!
//! INVARIANT: a report of such a case is stored and acknowledged, and asks for nothing until the case can be worked on
//! again: repaired, or read by a start. A callback, and the end of its saga, are told to come again.

use super::Engine;
use crate::case::Case;
use crate::plan::EXCESS_LIMIT;
use crate::{
    ActRow, Answer, BrokenCase, DomainEvent, Mend, Mending, Note, Quarantined, ReportRole,
    ReportRow, StoredCase, Ticket, UnreadableRow, Veil, Write,
};
use amends_api::{CaseState, ClosedOn};
use amends_protocol::{CaseId, Report, Timestamp};
use amends_rulebook::Rulebook;
use std::sync::Arc;

impl StoredCase {
    /// What keeps it from being worked on: its rows can be read each, but not together, or not with its rulebook.
    #[must_use]
    pub fn flaw(&self, book: Option<&Rulebook>) -> Option<UnreadableRow> {
        let id = self.case.id;
        let of_case = |why: String| Some(UnreadableRow { row: format!("case `{id}`"), why });
        if self.reports.is_empty() {
            return of_case("it has no report".to_owned());
        }
        if let Some((n, _)) = (0..).zip(&self.reports).find(|(n, row)| row.position != *n) {
            return of_case(format!("its report {n} is missing"));
        }
        if let Some((n, _)) = (1..).zip(&self.steps).find(|(n, row)| row.id.ordinal != *n) {
            return of_case(format!("its step {n} is missing"));
        }
        let rules = book?.rules().len();
        let is_known = |rule: &u32| (*rule as usize) < rules;
        let unknown = self.reports.iter().find(|row| match &row.role {
            ReportRole::Rule(rule) | ReportRole::RuleHeld(rule) => !is_known(rule),
            ReportRole::ByHand
            | ReportRole::Derived
            | ReportRole::AwaitsRoot(_)
            | ReportRole::Unmatched
            | ReportRole::Excess => false,
        });
        if let Some(row) = unknown {
            return Some(UnreadableRow {
                row: format!("report {} of case `{id}`", row.position),
                why: format!("its rulebook has only {rules} rules"),
            });
        }
        let gave_up = self.case.extra.gave_up.iter().find(|rule| !is_known(rule))?;
        of_case(format!("it names rule {gave_up}, and its rulebook has only {rules} rules"))
    }

    fn rest(&self, broken: UnreadableRow) -> BrokenCase {
        BrokenCase {
            id: self.case.id,
            saga: Some(self.case.saga.clone()),
            settled: self.case.state == CaseState::Settled,
            next_report: self.reports.last().map_or(0, |row| row.position.saturating_add(1)),
            broken,
        }
    }
}

impl Engine {
    /// Cases that can't be worked on, by number.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.quarantine.values().cloned().collect()
    }

    /// Whether anything can't be worked on.
    #[must_use]
    pub fn has_quarantined(&self) -> bool {
        !self.quarantine.is_empty() || !self.unreadable.is_empty()
    }

    /// Stored rows of no case that can't be read: announced sagas, settings, versions of rulebooks.
    #[must_use]
    pub fn unreadable(&self) -> &[UnreadableRow] {
        &self.unreadable
    }

    /// Keeps a case out of the way that the store could not give back whole.
    pub(super) fn isolate(&mut self, case: BrokenCase) {
        self.last_case = self.last_case.max(case.id.0);
        self.residence.remove(case.id); // it may have been in the store alone until now
        if let Some(saga) = &case.saga {
            self.by_saga.insert(saga.clone(), case.id);
        }
        let known = self.quarantine.get(&case.id).or(self.quarantined_before.get(&case.id));
        let is_news = known.is_none_or(|known| known.case.broken != case.broken);
        let since = known.map_or(self.turn.moment.wall, |known| known.since);
        if is_news {
            let broken = case.broken.clone();
            self.turn.publish(DomainEvent::Quarantined { case: Some(case.id), broken });
        }
        self.quarantine.insert(case.id, Quarantined { case, since });
    }

    /// Stored rows of no case can't be used.
    pub(super) fn tell_unreadable(&mut self) {
        for row in self.unreadable.clone() {
            self.tell_unreadable_row(&row);
        }
    }

    pub(super) fn tell_unreadable_row(&mut self, row: &UnreadableRow) {
        if !self.unreadable_before.contains(row) {
            self.turn.publish(DomainEvent::Quarantined { case: None, broken: row.clone() });
        }
    }

    /// Keeps a case out of the way whose writes the store refuses. False if it is not in memory.
    pub fn quarantine(&mut self, id: CaseId, why: &str) -> bool {
        let Some(case) = self.cases.remove(&id) else { return self.quarantine.contains_key(&id) };
        self.residence.left(&case);
        let reports = u32::try_from(case.reports.len()).unwrap_or(u32::MAX);
        let broken = UnreadableRow {
            row: format!("case `{id}`"),
            why: format!("the store refuses what is to be written of it: {why}"),
        };
        let rest = BrokenCase {
            id,
            saga: Some(case.row.saga.clone()),
            settled: case.is_settled(),
            next_report: reports.saturating_add(case.row.extra.excess),
            broken,
        };
        self.isolate(rest);
        true
    }

    /// What can be done about a case that can't be worked on, for whoever wants something else of it.
    pub(super) fn refusal(&self, id: CaseId) -> Option<String> {
        let UnreadableRow { row, why } = &self.quarantine.get(&id)?.case.broken;
        Some(format!(
            "case {id} is quarantined, because {row} can't be used: {why}; repair or discard it first, by `POST /v1/quarantine/{id}/acts`"
        ))
    }

    /// The version that a stored case is planned with; an error if it has one that nobody knows.
    pub(super) fn book_of(
        &self,
        stored: &StoredCase,
    ) -> Result<Option<Arc<Rulebook>>, UnreadableRow> {
        let Some(named) = &stored.case.rulebook else { return Ok(None) };
        match self.books.get(&named.hash) {
            Some(book) => Ok(Some(Arc::clone(book))),
            None => Err(UnreadableRow {
                row: format!("rulebook `{}` ({})", named.name, named.hash),
                why: "the version that the case is planned with can't be read".to_owned(),
            }),
        }
    }

    /// Keeps a case out of the way if its rows don't go together, or are not those of its version. True if they do.
    pub(super) fn is_usable(&mut self, stored: &StoredCase, book: Option<&Rulebook>) -> bool {
        match stored.flaw(book) {
            None => true,
            Some(broken) => {
                self.isolate(stored.rest(broken));
                false
            }
        }
    }

    /// As [`Engine::is_usable`], for an open case: it can't go on without the version that it is planned with.
    pub(super) fn is_usable_with_its_book(&mut self, stored: &StoredCase) -> bool {
        match self.book_of(stored) {
            Ok(book) => self.is_usable(stored, book.as_deref()),
            Err(broken) => {
                self.isolate(stored.rest(broken));
                false
            }
        }
    }

    /// Stores a report of a case that can't be worked on.
    pub(super) fn report_in_quarantine(
        &mut self,
        case: CaseId,
        mut report: Arc<Report>,
        ticket: Ticket,
    ) {
        let Some(quarantined) = self.quarantine.get_mut(&case) else { return };
        let position = quarantined.case.next_report;
        if position >= EXCESS_LIMIT {
            let text = format!("case {case} holds {EXCESS_LIMIT} reports and takes no more");
            return self.turn.answer(ticket, Answer::Invalid(text));
        }
        quarantined.case.next_report += 1;
        self.turn.out.writes.push(Write::Report(Box::new(ReportRow {
            case,
            position,
            received_at: self.turn.moment.wall,
            role: ReportRole::Unmatched,
            report: Arc::clone(&report),
        })));
        self.saga_reported(&report.saga_id);
        if let Some(book) = self.book_for(&report) {
            Veil::of_report(book.secrets().clone(), &report).report(&mut report);
        }
        self.turn.publish(DomainEvent::Reported { case, report });
        self.turn.answer(ticket, Answer::Received { case, duplicate: false });
    }

    /// Between two turns only what may be open is kept in mind: a settled case is found again, or has been pruned.
    pub(super) fn forget_settled_in_quarantine(&mut self) {
        for Quarantined { case, .. } in self.quarantine.values().filter(|q| q.case.settled) {
            if let Some(saga) = &case.saga {
                self.by_saga.remove(saga);
            }
        }
    }

    /// A person has mended the rows of a case, or gives it up.
    pub(super) fn mend(&mut self, now: Timestamp, mend: Mend, ticket: Ticket) {
        let id = mend.case;
        let answer = self.check_mend(&mend).map(|()| self.apply_mend(now, mend));
        debug_assert!(answer.is_err() || !self.quarantine.contains_key(&id));
        self.turn.answer(ticket, answer.map_or_else(|refused| refused, |()| Answer::Done));
    }

    fn check_mend(&self, mend: &Mend) -> Result<(), Answer> {
        crate::act::check_reason(&mend.reason)?;
        let id = mend.case;
        let Some(quarantined) = self.quarantine.get(&id) else {
            return Err(Answer::Conflict(format!("case {id} is not quarantined")));
        };
        let Some(stored) = &mend.stored else { return Ok(()) };
        if stored.case.id != id {
            return Err(Answer::Invalid(format!("these are the rows of case {}", stored.case.id)));
        }
        let known = u32::try_from(stored.reports.len()).unwrap_or(u32::MAX);
        if known != quarantined.case.next_report {
            return Err(Answer::Conflict(format!(
                "case {id} has {} reports by now, and these rows {known}; export it again",
                quarantined.case.next_report
            )));
        }
        let owner = self.by_saga.get(&stored.case.saga).filter(|owner| **owner != id);
        if let Some(owner) = owner {
            return Err(Answer::Conflict(format!(
                "saga `{}` is that of case {owner}",
                stored.case.saga
            )));
        }
        if mend.mending == Mending::Discard {
            return Ok(());
        }
        let flaw = match self.book_of(stored) {
            // Its version is looked up when it is needed.
            Err(_) if stored.case.state == CaseState::Settled => stored.flaw(None),
            Err(broken) => Some(broken),
            Ok(book) => stored.flaw(book.as_deref()),
        };
        match flaw {
            Some(UnreadableRow { row, why }) => {
                Err(Answer::Invalid(format!("{row} can't be used: {why}")))
            }
            None => Ok(()),
        }
    }

    fn apply_mend(&mut self, now: Timestamp, mend: Mend) {
        let Mend { case: id, mending, stored, before, actor, reason } = mend;
        if let Some(Quarantined { case: BrokenCase { saga: Some(saga), .. }, .. }) =
            self.quarantine.remove(&id)
        {
            self.by_saga.remove(&saga);
        }
        self.quarantined_before.remove(&id);
        self.removed.push(id);
        let act = mending.act();
        let by = actor.to_string();
        self.turn.out.writes.push(Write::Act(Box::new(ActRow {
            at: self.turn.moment.wall,
            actor: actor.clone(),
            act: act.as_str().into(),
            reason: Arc::clone(&reason),
            case: Some(id),
            step: None,
            detail: serde_json::json!({ "before": before }),
        })));
        self.turn.publish(DomainEvent::Acted {
            case: Some(id),
            step: None,
            act,
            actor: actor.name,
        });
        let Some(mut stored) = stored else { return };
        match mending {
            Mending::Repair => {
                // They are in the store only.
                for row in stored.reports.iter().filter(|row| row.role == ReportRole::Excess) {
                    self.turn.out.writes.push(Write::Report(Box::new(row.clone())));
                }
                self.take_back(now, stored);
            }
            Mending::Discard => {
                stored.steps.clear();
                let row = &mut stored.case;
                row.state = CaseState::Settled;
                row.closed_on = Some(ClosedOn::ByPerson);
                row.settled_at = Some(self.turn.moment.wall);
                row.rulebook = None;
                // Whoever wanted its data gone still does.
                let erasure = row.extra.erasure.take();
                let settled_by = Some(by);
                row.extra = crate::CaseExtra { settled_by, erasure, ..crate::CaseExtra::default() };
                let text = format!("given up while it could not be read: {reason}");
                row.extra.notes.push(Note { at: self.turn.moment.wall.0, text });
                for report in &mut stored.reports {
                    report.role = ReportRole::ByHand;
                }
                stored.case.extra.may_still_stand =
                    Case::stored(stored.clone(), None).may_still_stand();
                self.put_whole(stored, None);
            }
        }
    }

    /// Goes on with a repaired case; what was reported meanwhile is answered now.
    fn take_back(&mut self, now: Timestamp, mut stored: StoredCase) {
        let excess = stored.reports.iter().filter(|row| row.role == ReportRole::Excess).count();
        stored.case.extra.excess = u32::try_from(excess).unwrap_or(u32::MAX);
        let book = self.book_of(&stored).ok().flatten();
        let id = stored.case.id;
        self.put_whole(stored, book);
        self.with_case(id, |case, engine| engine.answer_unanswered(case, now));
        if self.cases.get(&id).is_some_and(|case| !case.is_settled()) {
            self.resume(now, id);
        }
    }

    /// Answers reports that have no answer. A settled case has none but what came while nobody could work on it, so
    /// such a report opens it again.
    pub(super) fn answer_unanswered(&mut self, case: &mut Case, now: Timestamp) {
        let rows = case.reports.iter().enumerate();
        let unanswered = rows.filter(|(_, row)| row.role == ReportRole::Unmatched);
        let unanswered: Vec<usize> = unanswered.map(|(index, _)| index).collect();
        if unanswered.is_empty() {
            return;
        }
        if case.is_settled() {
            case.reopen(&mut self.turn);
        }
        for index in unanswered {
            case.set_role(index, ReportRole::AwaitsRoot(now.0));
        }
        case.assign_roles(None, now, &mut self.limits, &mut self.turn);
    }

    /// Puts a case into memory of which every row is to be written.
    fn put_whole(&mut self, stored: StoredCase, book: Option<Arc<Rulebook>>) {
        let id = stored.case.id;
        self.by_saga.insert(stored.case.saga.clone(), id);
        let mut case = Case::stored(stored, book);
        case.wall = self.turn.moment.wall;
        case.mark_all();
        self.cases.insert(id, Box::new(case));
        self.changed.insert(id);
    }
}
