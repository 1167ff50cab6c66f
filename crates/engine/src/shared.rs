//! Services that several rulebooks share: to which of them a case belongs, and what becomes of it until that is known.

use crate::case::Case;
use crate::plan::DEFAULT_CAUSE_WAIT_MS;
use crate::timer::Timer;
use crate::turn::Turn;
use crate::{ReportRole, RulebookRef};
use amends_protocol::Timestamp;
use amends_rulebook::Rulebook;
use std::sync::Arc;

impl Case {
    /// Nothing says yet to which of the rulebooks that share its service a report belongs: another report may.
    pub(crate) fn await_rulebook(
        &mut self,
        index: usize,
        sharing: &[&Arc<Rulebook>],
        now: Timestamp,
        turn: &mut Turn,
    ) {
        let names: Vec<String> = sharing.iter().map(|book| format!("`{}`", book.name())).collect();
        let service = self.reports[index].report.service().to_owned();
        self.note(format!(
            "which rulebook? {service} is shared by {}, and nothing says where the saga began: announce the saga with its action, or replan the case with one of them",
            names.join(", ")
        ));
        let wait = sharing.iter().map(|book| book.settings().cause_wait_ms).max();
        let until = now.plus_ms(wait.unwrap_or(DEFAULT_CAUSE_WAIT_MS));
        self.set_role(index, ReportRole::AwaitsRoot(until.0));
        turn.traffic.timers.set(until, Timer::Cause(self.row.id));
    }

    /// It is known now to which rulebook the case belongs: its reports of services that others share, too, are answered
    /// anew.
    pub(crate) fn answer_shared_anew(&mut self, now: Timestamp) {
        let Some(book) = self.book.clone() else { return };
        for index in 0..self.reports.len() {
            let row = &self.reports[index];
            if row.role == ReportRole::Unmatched && book.shares(row.report.service()) {
                self.set_role(index, ReportRole::AwaitsRoot(now.0));
            }
        }
    }

    /// Plans with this rulebook from now on.
    pub(crate) fn take_book(&mut self, book: Arc<Rulebook>) {
        self.row.rulebook =
            Some(RulebookRef { name: book.name().into(), hash: book.hash().into() });
        self.row_changed = true;
        self.book = Some(book);
        if let Some(heard) = self.heard_mut() {
            heard.forget_what_is_noted();
        }
    }

    /// The action with which the saga began, by its announcement or a report.
    pub(crate) fn began_with(&self) -> Option<&str> {
        let announced = self.row.extra.entry.as_deref();
        announced.or_else(|| self.reports.iter().find_map(|row| row.report.data.entry.as_deref()))
    }
}
