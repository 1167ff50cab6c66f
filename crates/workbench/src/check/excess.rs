//! More than a failure needs: steps for what cannot have happened, and literal lists that a set would say. Harmless both.

use super::findings::Findings;
use super::place::{JudgedPlace, step_names};
use crate::places::is_caller;
use amends_protocol::Verb;
use amends_rulebook::{ActionId, CodePattern, Diagnostic, Rule, Rulebook, Target, codes};
use std::collections::BTreeSet;

/// Named steps for what cannot have happened at the place. Sets are not judged: being too large is what they are for.
pub(super) fn check_superfluous(
    book: &Rulebook,
    rule: &Rule,
    at: &JudgedPlace<'_>,
    effects: &BTreeSet<ActionId>,
    found: &mut Findings<'_>,
) {
    if at.report.anywhere
        || !matches!(rule.pattern.code, CodePattern::Exact(_))
        || !found.wants(codes::OVER_COMPENSATION)
    {
        return;
    }
    let happened = |id: ActionId| effects.contains(&id) || is_caller(book, id, at.report.action);
    let mut extra = BTreeSet::new();
    for stage in &rule.demand.stages {
        for target in &stage.compensate {
            if let Target::Action(id) = target
                && !happened(*id)
            {
                extra.insert((Verb::Compensate, *id));
            }
        }
        for target in &stage.notify {
            if let Target::Action(id) = target
                && book.get(*id).correction_of.is_some_and(|of| !happened(of))
            {
                extra.insert((Verb::Notify, *id));
            }
        }
    }
    if extra.is_empty() {
        return;
    }
    let names = step_names(book, &extra);
    let message_too = extra.iter().any(|s| s.0 == Verb::Notify);
    let label = if message_too {
        "a message that corrects nothing"
    } else {
        "harmless, and it costs calls"
    };
    let message = format!("`{}` asks for {names}, which cannot be needed by then", at.name);
    found.add(
        Diagnostic::new(codes::OVER_COMPENSATION, rule.span, message)
            .with_label(label)
            .with_place(
                at.report.span,
                format!("by then have happened: {}", at.state.in_words(book)),
            )
            .with_help("leave it out, or correct `after:` of the report"),
    );
}

/// From so many named actions on, a list that equals a set should be the set: the next action will be forgotten.
const LIST_CREEPS_FROM: usize = 6;

pub(super) fn check_creeping(
    book: &Rulebook,
    rule: &Rule,
    at: &JudgedPlace<'_>,
    found: &mut Findings<'_>,
) {
    let Some(action) = at.report.action else {
        return;
    };
    let named: BTreeSet<ActionId> = rule
        .demand
        .stages
        .iter()
        .flat_map(|s| &s.compensate)
        .filter_map(|t| if let Target::Action(id) = t { Some(*id) } else { None })
        .collect();
    let literal = rule
        .demand
        .stages
        .iter()
        .all(|s| s.compensate.iter().all(|t| matches!(t, Target::Action(_))));
    if named.len() < LIST_CREEPS_FROM || !literal {
        return;
    }
    let compensable = |ids: &[ActionId]| -> BTreeSet<ActionId> {
        ids.iter().copied().filter(|id| book.get(*id).compensation.is_some()).collect()
    };
    let set = if named == compensable(book.downstream(action)) {
        "downstream"
    } else if named == compensable(book.saga_reach(action)) {
        "all"
    } else if at
        .state
        .undo(book)
        .iter()
        .filter(|s| s.0 == Verb::Compensate)
        .all(|s| named.contains(&s.1))
        && found.evidence.told(book, at.report.action, at.state.effects()) == at.state.effects()
    {
        "recorded"
    } else {
        return;
    };
    let message =
        format!("`{}` lists {} actions that `compensate: {set}` would say", at.name, named.len());
    found.add(
        Diagnostic::new(codes::CREEPING_LIST, rule.span, message)
            .with_label("such a list must grow with every new call")
            .with_help(format!("write `compensate: {set}`")),
    );
}
