//! Rules for many reports, and for reports that nobody declared, against the failures that they can answer.

use super::answers::{answers, can_be_about};
use super::coverage::{
    asked, half_done, how_to_add, left_behind, left_failed, missing, untold_place,
};
use super::findings::Findings;
use super::place::step_names;
use crate::places::{NeededStep, Place, SagaState};
use amends_protocol::Verb;
use amends_rulebook::{ActionId, CodePattern, Diagnostic, Known, Mode, Rule, Rulebook, codes};
use std::collections::BTreeSet;

/// Rules for more than one code, which answer whatever no rule of its own answers.
pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    for rule in book.rules().iter().filter(|r| !r.implied) {
        match &rule.pattern.code {
            // `recorded` covers every place, unless something happens that nobody tells of.
            CodePattern::Prefix(_)
                if rule.demand.uses_recorded() && found.evidence.is_complete() => {}
            CodePattern::Prefix(_) => check_wildcard(book, rule, found),
            CodePattern::Exact(code) => {
                let service = rule.pattern.service.as_deref();
                // Nobody said at which place it comes, so it may come from any.
                let undeclared =
                    service.is_some_and(|service| book.report(service, code).is_none());
                let is_whole = rule.demand.uses_recorded() && found.evidence.is_complete();
                if undeclared && !is_whole {
                    check_wildcard(book, rule, found);
                }
            }
        }
        check_shadow(rule, found);
    }
}

/// A rule that only watches leaves everything behind, which is what it is for while it is being tried.
fn check_shadow(rule: &Rule, found: &mut Findings<'_>) {
    if rule.mode == Mode::Shadow {
        let message =
            format!("rule `{}` only watches: nothing that it asks for is sent", rule.index_label);
        found.add(
            Diagnostic::new(codes::SHADOW_RULE, rule.span, message)
                .with_label("its cases stay as they are")
                .with_help("when its plans are what you want, take `mode: shadow` out"),
        );
    }
}

/// What the rule leaves behind when `action` fails in this state.
fn left_by(
    book: &Rulebook,
    rule: &Rule,
    action: ActionId,
    state: &SagaState,
    found: &Findings<'_>,
) -> BTreeSet<NeededStep> {
    let told = found.evidence.told(book, Some(action), state.effects());
    let known = Known { reporter: Some(action), effects: &told };
    let asked = asked(book, &rule.demand, &known);
    if asked.contains(&(Verb::Retry, action)) {
        let failed = left_failed(book, action, &asked).into_iter().map(|id| (Verb::Retry, id));
        let given_up = rule.give_up.iter().flat_map(|g| missing(book, &g.then, &known, state));
        return failed.chain(given_up).collect();
    }
    let mut missing: BTreeSet<NeededStep> = state.undo(book).difference(&asked).copied().collect();
    if !rule.demand.is_backward() {
        missing.extend(half_done(book, Some(action)));
    }
    missing
}

fn check_wildcard(book: &Rulebook, rule: &Rule, found: &mut Findings<'_>) {
    let mut first: Option<(ActionId, SagaState, BTreeSet<NeededStep>)> = None;
    let mut others = 0;
    for action in actions_of(book, rule) {
        let state = Place::anywhere(book, action).state(book);
        // Sets of this size are built several times.
        if !found.spend(8 + 8 * state.maybe.len(), rule.span) {
            return;
        }
        let missing = left_by(book, rule, action, &state, found);
        if missing.is_empty() {
            continue;
        }
        match first {
            None => first = Some((action, state, missing)),
            Some(_) => others += 1,
        }
    }
    if let Some(first) = first {
        report_wildcard(book, rule, &first, others, found);
    }
}

fn report_wildcard(
    book: &Rulebook,
    rule: &Rule,
    (action, state, missing): &(ActionId, SagaState, BTreeSet<NeededStep>),
    others: usize,
    found: &mut Findings<'_>,
) {
    let name = &book.get(*action).name;
    let more = if others > 0 {
        format!(" (and failures of {others} more actions)")
    } else {
        String::new()
    };
    let message = format!(
        "rule `{}` leaves behind {} when `{name}` fails late{more}",
        rule.index_label,
        left_behind(book, missing)
    );
    let by_then =
        format!("by then may have happened: {}", state.in_words(book).replace("perhaps ", ""));
    let untold = untold_place(book, Some(*action), state, missing, found);
    let demand = rule.give_up.as_ref().map_or(&rule.demand, |give_up| &give_up.then);
    let mut help = how_to_add(book, rule, demand, missing, Some(*action), untold.is_some());
    if matches!(rule.pattern.code, CodePattern::Exact(_)) {
        help += "; or declare under `reports:` the place that the code comes from";
    }
    let mut mistake = Diagnostic::new(codes::UNDER_COMPENSATION, rule.span, message)
        .with_label(format!("asks for nothing of {}", step_names(book, missing)))
        .with_place(book.get(*action).span, by_then);
    if let Some((span, label)) = untold {
        mistake = mistake.with_place(span, label);
    }
    found.add(mistake.with_help(help));
}

/// The actions whose failure the rule can answer without a rule of the code's own.
fn actions_of<'b>(book: &'b Rulebook, rule: &'b Rule) -> impl Iterator<Item = ActionId> + 'b {
    let all: Vec<ActionId> = match &rule.pattern.service {
        Some(service) => book
            .service(service)
            .map_or_else(Vec::new, |id| book.services()[id.0 as usize].actions.clone()),
        None => book.action_ids().collect(),
    };
    all.into_iter().filter(move |id| {
        let action = book.get(*id);
        action.correction_of.is_none()
            && can_be_about(book, rule, *id)
            && !answered_before(book, rule, *id)
    })
}

/// Whether a more specific rule answers every failure of the action, whatever the code.
fn answered_before(book: &Rulebook, rule: &Rule, action: ActionId) -> bool {
    let CodePattern::Prefix(prefix) = &rule.pattern.code else {
        return false;
    };
    let service = &book.get(action).name.service;
    // A code that nobody uses: only rules for several codes cover it.
    let (rules, _) = answers(book, service, &format!("{prefix}\u{1}"), Some(action));
    !rules.contains(&rule.id)
}
