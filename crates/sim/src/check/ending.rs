//! How a run ends: every case has come to its end, and nothing is left behind that nobody knows of.

use super::plan::demands;
use super::seen::{Check, End, Seen, when};
use crate::event::BEGINNING;
use crate::scenario::{Corpus, Item};
use crate::stored::Stored;
use amends_api::{CaseState, ClosedOn};
use amends_engine::{CaseRow, SagaState};
use amends_protocol::{ActionName, Timestamp};
use amends_rulebook::{ActionClass, ActionId, Mode, Rulebook, Target};

/// Honest systems stay quiet: every case is settled, and not by a person. Under anything else nothing is left open: a
/// case is settled, or waits visibly for a person.
pub(super) struct Ends;

impl Check for Ends {
    fn name(&self) -> &'static str {
        "ends"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::End(end) = seen else { return Ok(()) };
        if let Some(saga) = store.rows.sagas().find(|saga| saga.state == SagaState::Begun) {
            return Err(format!("saga {} has announced itself, and never ended", saga.saga));
        }
        for case in store.rows.cases().filter(|case| !store.quarantined.contains(&case.id)) {
            when(case.state == CaseState::Open, || format!("{} is open for ever", case.id))?;
            let honest = end.scenario.corpus == Corpus::Honest;
            when(honest && case.state != CaseState::Settled, || {
                let steps: Vec<String> = store
                    .rows
                    .steps_of(case.id)
                    .filter(|s| !s.state.is_terminal())
                    .map(|s| format!("{} {} {:?}", s.verb, s.action, s.state))
                    .collect();
                format!(
                    "every service kept its promises, and {} ends {}: {}",
                    case.id,
                    case.state,
                    steps.join(", ")
                )
            })?;
        }
        Ok(())
    }
}

/// A settled case has left nothing behind that its rules undo, unless a person decided, a service lied, or the case
/// says `quiet`, the effect came after that, and the case names it as what may still stand.
pub(super) struct NothingLeft;

impl Check for NothingLeft {
    fn name(&self) -> &'static str {
        "nothing left behind"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::End(end) = seen else { return Ok(()) };
        // What a quarantined case hears asks for nothing until a person repairs it, and people see that.
        let mut kept = store.rows.cases().filter(|case| !store.quarantined.contains(&case.id));
        kept.try_for_each(|case| look(end, store, case))
    }
}

fn look(end: &End<'_>, store: &Stored, case: &CaseRow) -> Result<(), String> {
    let Some(saga) = end.services.saga_number(&case.saga) else { return Ok(()) };
    let decided = store.rows.acts().iter().any(|act| {
        act.case == Some(case.id) && matches!(&*act.act, "waive" | "record" | "plan" | "settle")
    });
    // `proven` is a claim about services that no decision of a person can make; a message is corrected or not.
    let claims = case.closed_on == Some(ClosedOn::Proven);
    // After a case was removed its old reports make a new one, about what its services have forgotten.
    let again = store.removed.contains(&case.saga);
    if case.state != CaseState::Settled || end.services.sagas[saga].lied_to || again {
        return Ok(());
    }
    let Some(book) = store.book_of(case.id) else { return Ok(()) };
    for (action, since) in end.services.standing(saga) {
        let name = &end.services.book.get(action).name;
        let Some(id) = book.action(&name.service, &name.action) else { continue };
        let asked = is_to_be_undone(end, saga, action) && is_asked_for(store, case, book, id);
        if !asked || nobody_tells(end, saga, action) {
            continue;
        }
        let message = book.get(id).class != ActionClass::Compensable;
        let excused = match case.closed_on {
            _ if decided && (message || !claims) => true,
            _ if message && has_caller_without_fence(end, saga, action) => true,
            Some(ClosedOn::Proven) => false,
            Some(ClosedOn::Quiet) => {
                came_later(end, case, since) && (message || is_named(case, name))
            }
            Some(ClosedOn::Forward | ClosedOn::ByPerson) | None => true,
        };
        when(!excused, || {
            let on = case.closed_on.map(|c| c.to_string()).unwrap_or_default();
            format!(
                "{} ({}) is settled on `{on}`, and {name} stands since {since} ms",
                case.id, case.saga
            )
        })?;
    }
    Ok(())
}

/// Whether neither its own service nor any that calls it has a History: `rules check` says so of such a rulebook.
fn nobody_tells(end: &End<'_>, saga: usize, action: ActionId) -> bool {
    let book = &end.services.book;
    let tells = |action: ActionId| book.keeps_history(book.get(action).service);
    let nodes = &end.services.sagas[saga].plan.flow.nodes;
    let callers = nodes.iter().filter(|node| node.action == action).filter_map(|node| node.parent);
    !tells(action) && !callers.into_iter().any(|caller| tells(nodes[caller].action))
}

/// Whether somebody in this saga calls it who can't be undone, and so can't be fenced: it may go on calling.
fn has_caller_without_fence(end: &End<'_>, saga: usize, action: ActionId) -> bool {
    let book = &end.services.book;
    let nodes = &end.services.sagas[saga].plan.flow.nodes;
    nodes.iter().filter(|node| node.action == action).filter_map(|node| node.parent).any(|caller| {
        let caller = book.get(nodes[caller].action);
        caller.class != ActionClass::Compensable || caller.endpoints.compensate.is_some()
    })
}

/// Whether an effect of this action is something that could be undone, and was not.
fn is_to_be_undone(end: &End<'_>, saga: usize, action: ActionId) -> bool {
    let known = end.services.book.get(action);
    known.class == ActionClass::Compensable
        || (known.correction.is_some() && !end.services.sagas[saga].corrected[action.0 as usize])
}

/// Whether the rules that answered ask for this action's undoing: by a set, or by its name.
fn is_asked_for(store: &Stored, case: &CaseRow, book: &Rulebook, action: ActionId) -> bool {
    let message = book.get(action).class != ActionClass::Compensable;
    let targets = demands(store, case.id, book)
        .into_iter()
        .filter(|(rule, _)| rule.mode != Mode::Shadow)
        .flat_map(|(_, demand)| &demand.stages)
        .flat_map(|s| &s.compensate);
    targets.into_iter().any(|target| match target {
        Target::Recorded => true,
        Target::All => !message,
        Target::Action(named) => *named == action,
        Target::Downstream | Target::Tag(_) => false,
    })
}

/// Whether the case says that something of this action may still stand.
fn is_named(case: &CaseRow, name: &ActionName) -> bool {
    case.extra.may_still_stand.iter().any(|one| one.name() == *name)
}

/// Whether the effect came when the case had said already that it can prove nothing. By a clock that has jumped nobody
/// can tell.
fn came_later(end: &End<'_>, case: &CaseRow, since: i64) -> bool {
    let jumps = end.scenario.kept_items().any(|(_, item)| matches!(item, Item::Clock { .. }));
    jumps || case.settled_at.is_some_and(|at| since > at.0 - BEGINNING.0)
}
