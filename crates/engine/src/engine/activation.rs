//! A version of a rulebook becomes the active one of its name: what refuses it, and the one commit that makes it so.

use super::Engine;
use crate::{Activation, ActivationRow, Answer, DomainEvent, Replaces, Ticket, Write};
use amends_api::AuditActName;
use amends_protocol::{ActionName, Verb};
use amends_rulebook::{Rulebook, Service, StillNeeded, asks_for_all_of, check_activation};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    /// The versions that new cases are planned with, by name.
    #[must_use]
    pub fn active_rulebooks(&self) -> Vec<Arc<Rulebook>> {
        self.active.values().cloned().collect()
    }

    pub(super) fn activate(&mut self, activation: Activation, ticket: Ticket) {
        let answer = match self.check_activation(&activation) {
            Err(refused) => refused,
            Ok(()) => {
                self.make_active(activation);
                Answer::Done
            }
        };
        self.turn.answer(ticket, answer);
    }

    fn check_activation(&self, activation: &Activation) -> Result<(), Answer> {
        let book = &*activation.rulebook;
        if let Replaces::Exactly(seen) = &activation.replaces
            && self.active.get(book.name()).map(|active| active.hash()) != seen.as_deref()
        {
            let text = "another version was activated meanwhile; look again at what would change";
            return Err(Answer::Conflict(text.to_owned()));
        }
        self.check_owners(book)?;
        self.check_open_cases(book)
    }

    /// A report is answered by exactly one rulebook, so a service belongs to one, or all of them share it.
    fn check_owners(&self, book: &Rulebook) -> Result<(), Answer> {
        for other in self.active.values().filter(|other| other.name() != book.name()) {
            let is_taken = |service: &&Service| {
                other.service(&service.name).is_some()
                    && !(service.shared && other.shares(&service.name))
            };
            if let Some(service) = book.services().iter().find(is_taken) {
                return Err(Answer::Conflict(format!(
                    "service `{}` already belongs to rulebook `{}`",
                    service.name,
                    other.name()
                )));
            }
        }
        Ok(())
    }

    /// A version that drops what open cases of its name still have to ask for is not taken: whoever removed it may not
    /// know of them.
    fn check_open_cases(&self, book: &Rulebook) -> Result<(), Answer> {
        let are_all_here = self.holds_all_sagas();
        if are_all_here && !self.knows_all_open() {
            let text = "open cases are still being read after the start; try again shortly";
            return Err(Answer::Unavailable(text.to_owned()));
        }
        let mut versions = self.books.values().filter(|known| known.name() == book.name());
        // Where every case's steps are of a version that is known here, nothing can be missing: no case is looked at.
        if are_all_here
            && self.knows_all_versions()
            && versions.all(|known| asks_for_all_of(book, known))
        {
            return Ok(());
        }
        let dropped = check_activation(book, &self.still_needed(book.name()));
        if dropped.is_empty() {
            return Ok(());
        }
        Err(Answer::Dropped {
            detail: format!(
                "open cases still need what this version of `{}` drops; keep it declared until they are settled",
                book.name()
            ),
            needed: dropped.into_iter().map(|found| found.message).collect(),
        })
    }

    /// What the open cases of a rulebook still have to ask for, or may have to again; those of other nodes as the store
    /// has told, which does not know yet what this turn brings.
    fn still_needed(&self, rulebook: &str) -> Vec<StillNeeded> {
        let mut cases = self.needed_here(rulebook);
        for (_, step) in self.needed.iter().filter(|(name, _)| **name == *rulebook) {
            let ActionName { service, action } = &step.action;
            let here = cases.entry((step.verb, service, action)).or_default();
            *here = step.cases.max(*here);
        }
        cases
            .into_iter()
            .map(|((verb, service, action), cases)| {
                let action = ActionName { service: service.into(), action: action.into() };
                StillNeeded { verb, action, cases }
            })
            .collect()
    }

    /// The same of the cases that are here: verb, service and action of each step, with the number of its cases.
    fn needed_here(&self, rulebook: &str) -> BTreeMap<(Verb, &str, &str), u64> {
        let mut cases: BTreeMap<(Verb, &str, &str), u64> = BTreeMap::new();
        let open = self.cases.values().filter(|case| {
            !case.is_settled() && case.row.rulebook.as_ref().is_some_and(|r| *r.name == *rulebook)
        });
        // A case has one step of a verb and action, so steps count cases.
        for step in open.flat_map(|case| &case.steps).filter(|step| !step.state.is_terminal()) {
            let ActionName { service, action } = &step.action;
            *cases.entry((step.verb, service, action)).or_default() += 1;
        }
        let spilled = self.spilled_briefs();
        let spilled =
            spilled.filter(|brief| brief.version.as_ref().is_some_and(|v| *v.name == *rulebook));
        for step in spilled.flat_map(|brief| &brief.steps) {
            *cases.entry((step.verb, &step.service, &step.action)).or_default() += 1;
        }
        cases
    }

    fn make_active(&mut self, activation: Activation) {
        let Activation { rulebook, actor, reason, from_file, replaces: _ } = activation;
        let (name, hash): (Arc<str>, Arc<str>) = (rulebook.name().into(), rulebook.hash().into());
        let row = ActivationRow::of(&rulebook, self.turn.moment.wall, from_file);
        self.turn.out.writes.push(Write::Activate(Box::new(row)));
        if from_file && self.active.get(&name).is_some_and(|active| active.hash() == &*hash) {
            return; // only that the file says it, too, is new
        }
        if let Some(before) = self.active.get(&name) {
            self.turn.strangers.learn(before);
        }
        self.end_decisions(&rulebook);
        self.restore_active(rulebook);
        let detail = serde_json::json!({ "rulebook": name, "hash": hash });
        self.audit(AuditActName::Activate, &actor, &reason, detail);
        self.turn.publish(DomainEvent::Rulebook { name, hash });
    }

    pub(super) fn set_limits(&mut self, book: &Rulebook) {
        for service in book.services() {
            let queue = self.turn.traffic.queue(&service.name);
            queue.limit = service.concurrency.max(1);
            queue.history_age_ms = book.settings().history_age_ms;
            self.turn.traffic.stir(&service.name); // there may be more room now
        }
    }
}
