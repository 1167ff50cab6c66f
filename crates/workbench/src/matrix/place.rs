//! What becomes of each action when a report comes from one place in the work of a service.

use super::{Cell, CellKind};
use crate::places::{self, SagaState, is_caller};
use amends_protocol::Verb;
use amends_rulebook::{
    ActionClass, ActionId, Demand, Known, PlannedStep, ReportDecl, Rulebook, Stage, Target,
};
use std::collections::{BTreeMap, BTreeSet};

/// A place in the work of a service, and what has happened by then. Without a report: anywhere.
pub(crate) struct PlaceOfRow<'a> {
    report: Option<&'a ReportDecl>,
    state: Option<SagaState>,
    effects: BTreeSet<ActionId>,
}

impl<'a> PlaceOfRow<'a> {
    pub(crate) fn new(book: &Rulebook, report: Option<&'a ReportDecl>) -> Self {
        let state =
            report.and_then(|r| places::Place::of_report(book, r)).map(|place| place.state(book));
        let effects =
            state.as_ref().map_or_else(|| book.action_ids().collect(), SagaState::effects);
        Self { report, state, effects }
    }

    /// Whether a place is declared; else the report may come from anywhere.
    pub(super) fn is_known(&self) -> bool {
        self.state.is_some()
    }

    /// The pivot that has taken effect by then, or may have; none if no place is declared.
    pub(super) fn passed(&self, book: &Rulebook) -> Option<ActionId> {
        let state = self.state.as_ref()?;
        let mut pivots = book.pivots().iter().map(|pivot| pivot.action);
        pivots.find(|id| state.happened.contains(id) || state.maybe.contains(id))
    }

    /// What becomes of each action under a demand; none: no rule answers.
    pub(crate) fn cells(
        &self,
        book: &Rulebook,
        columns: &[ActionId],
        demand: Option<&Demand>,
    ) -> Vec<Cell> {
        let reporter = self.report.and_then(|r| r.action);
        let known = Known { reporter, effects: &self.effects };
        let steps = demand.map_or_else(Vec::new, |d| book.resolve(d, &known));
        let asked: BTreeMap<(Verb, ActionId), &PlannedStep> =
            steps.iter().map(|s| ((s.verb, s.action), s)).collect();
        let many_stages = demand.is_some_and(|d| d.stages.len() > 1);
        columns.iter().map(|id| self.cell(book, *id, &asked, demand, many_stages)).collect()
    }

    fn cell(
        &self,
        book: &Rulebook,
        id: ActionId,
        asked: &BTreeMap<(Verb, ActionId), &PlannedStep>,
        demand: Option<&Demand>,
        many_stages: bool,
    ) -> Cell {
        let action = book.get(id);
        let own = self.report.and_then(|r| r.action) == Some(id);
        let named = |verb: Verb, id: ActionId| demand.is_some_and(|d| is_named(book, d, verb, id));
        let happened = self.effects.contains(&id);
        let unknown_place = self.state.is_none();
        let cell = |kind: CellKind, step: Option<&PlannedStep>, superfluous: bool| {
            let stage =
                step.filter(|s| many_stages && s.stage != Stage::NOTICES).map(|s| s.stage.0 + 1);
            Cell { kind, stage, superfluous }
        };
        let reached = happened || is_caller(book, id, self.report.and_then(|r| r.action));
        if let Some(step) = asked.get(&(Verb::Retry, id)) {
            return cell(CellKind::Retry, Some(step), false);
        }
        if let Some(step) = asked.get(&(Verb::Compensate, id)) {
            let sure = !unknown_place || named(Verb::Compensate, id);
            let kind = if sure { CellKind::Compensate } else { CellKind::CompensateIfRecorded };
            return cell(kind, Some(step), !reached);
        }
        let notice = [Some(id), action.correction].into_iter().flatten();
        for notice in notice {
            if let Some(step) = asked.get(&(Verb::Notify, notice)) {
                let sure = !unknown_place || named(Verb::Notify, notice);
                let kind = if sure { CellKind::Notify } else { CellKind::NotifyIfRecorded };
                return cell(kind, Some(step), !reached);
            }
        }
        let forward = asked.keys().any(|(verb, _)| *verb == Verb::Retry);
        let keeps = self.report.is_some_and(|r| r.keep) || forward;
        let needs_undo = match action.class {
            ActionClass::Compensable => true,
            ActionClass::Notice => action.correction.is_some(),
            ActionClass::Retriable | ActionClass::Pivot | ActionClass::Free => false,
        };
        let kind = if own {
            CellKind::Own
        } else if !unknown_place && !happened && reached {
            CellKind::Called
        } else if unknown_place || !happened {
            CellKind::NotReached
        } else if !keeps && needs_undo {
            CellKind::Missing
        } else {
            CellKind::Kept
        };
        cell(kind, None, false)
    }
}

/// Whether the demand names the step itself or by a tag, so that it is asked for in every saga.
fn is_named(book: &Rulebook, demand: &Demand, verb: Verb, id: ActionId) -> bool {
    let of = |target: &Target| match target {
        Target::Action(named) => *named == id,
        Target::Tag(tag) => book.tagged(tag).any(|t| t == id),
        Target::All => true,
        Target::Recorded | Target::Downstream => false,
    };
    demand.stages.iter().any(|s| match verb {
        Verb::Compensate => s.compensate.iter().any(of),
        Verb::Retry => s.retry.iter().any(of),
        Verb::Notify => s.notify.iter().any(of),
    })
}
