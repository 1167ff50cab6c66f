//! Which effects of a saga a case hears of. An effect is told by the History of its own service, by the report of the
//! one that failed, or by whoever called it and is asked or fails because of it. `recorded` undoes what is told, and
//! no more. Follows the declared services and calls; knows nothing of rules.

use crate::places::callers;
use amends_rulebook::{ActionClass, ActionId, Rulebook, ServiceId};
use std::collections::BTreeSet;

/// Who tells of what in one rulebook.
pub(crate) struct Evidence {
    /// By service: it has a History that can be asked for.
    keeps_history: Vec<bool>,
    /// By action: it can be undone, and its own service has no History to ask for.
    untold: Vec<bool>,
}

impl Evidence {
    pub(crate) fn new(book: &Rulebook) -> Self {
        let services = (0..).map(ServiceId).take(book.services().len());
        let keeps_history: Vec<bool> = services.map(|id| book.keeps_history(id)).collect();
        let untold = |id: ActionId| {
            can_be_undone(book, id) && !keeps_history[book.get(id).service.0 as usize]
        };
        let untold = book.action_ids().map(untold).collect();
        Self { keeps_history, untold }
    }

    /// Whether every effect of this rulebook is told by its own service.
    pub(crate) fn is_complete(&self) -> bool {
        !self.untold.contains(&true)
    }

    /// Those of `effects` that a case hears of, when the saga's failure is that of `failing`.
    pub(crate) fn told(
        &self,
        book: &Rulebook,
        failing: Option<ActionId>,
        effects: BTreeSet<ActionId>,
    ) -> BTreeSet<ActionId> {
        if !effects.iter().any(|id| self.untold[id.0 as usize]) {
            return effects;
        }
        let above = failing.map_or_else(BTreeSet::new, |id| callers(book, id));
        let saga = Saga { book, failing, effects: &effects, above: &above };
        effects.iter().copied().filter(|id| self.silent_caller(*id, &saga).is_none()).collect()
    }

    /// The caller by whose call `id` can have happened without anybody telling of it, if there is one.
    pub(crate) fn hidden_behind(
        &self,
        book: &Rulebook,
        failing: Option<ActionId>,
        effects: &BTreeSet<ActionId>,
        id: ActionId,
    ) -> Option<ActionId> {
        let above = failing.map_or_else(BTreeSet::new, |id| callers(book, id));
        self.silent_caller(id, &Saga { book, failing, effects, above: &above })
    }

    fn silent_caller(&self, id: ActionId, saga: &Saga<'_>) -> Option<ActionId> {
        if !self.untold[id.0 as usize] || saga.is_reporter(saga.book.get(id).service) {
            return None;
        }
        let callers = saga.book.callers(id).iter().copied();
        callers.filter(|caller| saga.takes_part(*caller)).find(|caller| !self.tells(*caller, saga))
    }

    /// Whether a caller's service says which calls it made.
    fn tells(&self, caller: ActionId, saga: &Saga<'_>) -> bool {
        let service = saga.book.get(caller).service;
        saga.is_reporter(service)
            || self.is_asked(service, saga)
            // It fails as well, and its own report says what it called, whether that report is declared or not.
            || (saga.above.contains(&caller) && !is_silent(saga.book, service))
    }

    /// A case asks the services that it may have to ask for something.
    fn is_asked(&self, service: ServiceId, saga: &Saga<'_>) -> bool {
        let reached = |id: &ActionId| {
            saga.failing.is_none_or(|f| saga.book.saga_reach(f).binary_search(id).is_ok())
        };
        self.keeps_history[service.0 as usize]
            && saga.book.services()[service.0 as usize]
                .actions
                .iter()
                .any(|id| may_tell(saga.book, *id) && reached(id))
    }
}

/// A saga at the moment of its failure.
struct Saga<'a> {
    book: &'a Rulebook,
    failing: Option<ActionId>,
    effects: &'a BTreeSet<ActionId>,
    /// Who called the failing action, directly or through others.
    above: &'a BTreeSet<ActionId>,
}

impl Saga<'_> {
    /// A report brings what its own service knows.
    fn is_reporter(&self, service: ServiceId) -> bool {
        self.failing.is_some_and(|id| self.book.get(id).service == service)
    }

    fn takes_part(&self, id: ActionId) -> bool {
        self.failing == Some(id) || self.effects.contains(&id) || self.above.contains(&id)
    }
}

/// Whether a service says nothing when one of its calls fails: it is asked through endpoints of its own, keeps no
/// History, and declares no report though others do.
#[must_use]
pub fn is_silent(book: &Rulebook, service: ServiceId) -> bool {
    let mut own = book.services()[service.0 as usize].actions.iter().map(|id| book.get(*id));
    !book.reports().is_empty()
        && book.reports_of(service).len() == 0
        && !book.keeps_history(service)
        && own.any(|action| !action.endpoints.is_empty())
}

/// What to ask for so that every effect is undone: what is told, and where some of it happens unseen, wherever the saga
/// could have reached it.
pub(crate) fn everything(book: &Rulebook) -> &'static str {
    if Evidence::new(book).is_complete() { "recorded" } else { "[recorded, all]" }
}

/// Whether a case asks the service of an action for its sake: for what it did itself, or for its calls.
fn may_tell(book: &Rulebook, id: ActionId) -> bool {
    can_be_undone(book, id) || !book.get(id).calls.is_empty()
}

fn can_be_undone(book: &Rulebook, id: ActionId) -> bool {
    let action = book.get(id);
    action.class == ActionClass::Compensable || action.correction.is_some()
}
