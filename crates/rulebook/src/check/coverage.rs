//! Compares what rules ask for with what failures need. A declared report has one place, so its rule is judged at that
//! place; a rule for many reports is judged where most has happened, because whoever covers that covers all places before.

use super::Findings;
use super::answers::{answers, can_be_about};
use crate::derive::state::callers;
use crate::derive::{NeededStep, SagaState};
use crate::{
    ActionClass, ActionId, CodePattern, Demand, Diagnostic, Known, Mode, ReportDecl, Rule,
    Rulebook, Target, codes,
};
use amends_protocol::Verb;
use std::collections::BTreeSet;

/// Names listed in one message.
const NAMES: usize = 8;

/// One declared report against every rule that can answer it.
pub(super) fn check_report(
    book: &Rulebook,
    n: usize,
    report: &ReportDecl,
    found: &mut Findings<'_>,
) {
    let service = &book.services()[report.service.0 as usize].name;
    let (rules, answered) = answers(book, service, &report.code, report.action);
    let name = book.report_name(n);
    if rules.is_empty() {
        let mistake = Diagnostic::new(
            codes::REPORT_WITHOUT_RULE,
            report.span,
            format!("no rule answers the report `{name}`"),
        );
        found.add(
            mistake
                .with_label("its cases would wait for a person")
                .with_help(format!("add a rule `on: {name}`, or one for `\"*/*\"`")),
        );
    } else if !answered {
        super::gaps::check_fall_through(book, report, &name, &rules, found);
    }
    let Some(state) = SagaState::of_report(book, report) else {
        return;
    };
    for id in rules {
        let rule = book.rule(id);
        if !found.spend(
            8 + rule.demand.stages.len() + state.happened.len() + state.maybe.len(),
            rule.span,
        ) {
            return;
        }
        let at = Place { report, name: &name, state: &state };
        check_rule(book, rule, &at, found);
    }
}

/// Where a declared report stands.
struct Place<'a> {
    report: &'a ReportDecl,
    name: &'a str,
    state: &'a SagaState,
}

fn check_rule(book: &Rulebook, rule: &Rule, at: &Place<'_>, found: &mut Findings<'_>) {
    let effects = at.state.effects();
    let known = Known { reporter: at.report.action, effects: &effects };
    let asked = asked(book, &rule.demand, &known);
    let retries: Vec<ActionId> = asked.iter().filter(|s| s.0 == Verb::Retry).map(|s| s.1).collect();
    if at.report.keep && rule.demand.is_backward() {
        // A rule for many codes undoes whatever has no rule of its own: safe, if more than was asked for.
        if matches!(rule.pattern.code, CodePattern::Prefix(_)) {
            return;
        }
        let mistake = Diagnostic::new(
            codes::UNDOES_WHAT_IS_KEPT,
            rule.span,
            format!("`{}` says that everything below stays, and its rule undoes it", at.name),
        );
        found.add(
            mistake
                .with_place(at.report.span, "declared with `keep: true`")
                .with_help("run the action again with `retry:`, or leave `keep` out of the report"),
        );
        return;
    }
    let own = at.report.action.map(|a| (Verb::Retry, a));
    // Running something else again completes nothing.
    let forward = own.is_none_or(|own| asked.contains(&own)) && !retries.is_empty();
    if forward || at.report.keep {
        if let Some(own) = own.filter(|own| at.report.keep && !asked.contains(own)) {
            let name = &book.get(own.1).name;
            let message = format!(
                "`{}` says that everything below stays, and its rule never runs `{name}` again",
                at.name
            );
            found.add(
                Diagnostic::new(codes::UNDER_COMPENSATION, rule.span, message)
                    .with_place(at.report.span, "declared with `keep: true`")
                    .with_help(format!("add `{name}` to `retry:`")),
            );
        }
        if let Some(give_up) = &rule.give_up {
            let missing = missing(book, &give_up.then, &known, at.state);
            if !missing.is_empty() {
                report_missing(book, rule, at, &missing, "after giving up, ", found);
            }
        }
        return;
    }
    let mut missing: BTreeSet<NeededStep> =
        at.state.undo(book).difference(&asked).copied().collect();
    if !rule.demand.is_backward() {
        missing.extend(half_done(book, at.report.action));
    }
    if !missing.is_empty() {
        report_missing(book, rule, at, &missing, "", found);
    }
    check_superfluous(book, rule, at, &effects, found);
    check_creeping(book, rule, at, found);
}

/// The failing action and its callers, as far as they can be undone. A rule that undoes anything undoes them too unless
/// they are proven without effect; a rule that undoes nothing leaves them as they are.
fn half_done(book: &Rulebook, failing: Option<ActionId>) -> BTreeSet<NeededStep> {
    let Some(failing) = failing else { return BTreeSet::new() };
    // A call that is only run again, or a message, doesn't make its caller fail.
    let fails_alone = book.get(failing).on_failure_retry;
    let callers = if fails_alone { BTreeSet::new() } else { callers(book, failing) };
    let undoable = |id: &ActionId| book.get(*id).class == ActionClass::Compensable;
    let own = (!fails_alone).then_some(failing);
    callers.into_iter().chain(own).filter(undoable).map(|id| (Verb::Compensate, id)).collect()
}

fn asked(book: &Rulebook, demand: &Demand, known: &Known<'_>) -> BTreeSet<NeededStep> {
    book.resolve(demand, known).into_iter().map(|s| (s.verb, s.action)).collect()
}

fn missing(
    book: &Rulebook,
    demand: &Demand,
    known: &Known<'_>,
    state: &SagaState,
) -> BTreeSet<NeededStep> {
    state.undo(book).difference(&asked(book, demand, known)).copied().collect()
}

fn report_missing(
    book: &Rulebook,
    rule: &Rule,
    at: &Place<'_>,
    missing: &BTreeSet<NeededStep>,
    when: &str,
    found: &mut Findings<'_>,
) {
    let message = format!("{when}`{}` leaves behind {}", at.name, left_behind(book, missing));
    let label = format!("asks for nothing of {}", step_names(book, missing));
    let failing = at.report.action.map_or(String::new(), |a| {
        format!("`{}` fails when these have happened: ", book.get(a).name)
    });
    found.add(
        Diagnostic::new(codes::UNDER_COMPENSATION, rule.span, message)
            .with_label(label)
            .with_place(at.report.span, format!("{failing}{}", at.state.in_words(book)))
            .with_help(how_to_add(book, rule, missing)),
    );
}

/// The effects that stay when these steps are not asked for.
fn left_behind(book: &Rulebook, missing: &BTreeSet<NeededStep>) -> String {
    let effect = |(verb, id): &NeededStep| {
        let action = book.get(*id);
        match (verb, action.correction_of) {
            (Verb::Notify, Some(of)) => format!("the message `{}` uncorrected", book.get(of).name),
            _ => format!("`{}`", action.name),
        }
    };
    list(missing.iter().map(effect))
}

fn step_names(book: &Rulebook, steps: &BTreeSet<NeededStep>) -> String {
    list(steps.iter().map(|(verb, id)| format!("`{verb}: {}`", book.get(*id).name)))
}

fn list(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMES);
    let few: Vec<_> = all.take(NAMES).collect();
    few.join(", ") + &(if more > 0 { format!(" and {more} more") } else { String::new() })
}

fn how_to_add(book: &Rulebook, rule: &Rule, missing: &BTreeSet<NeededStep>) -> String {
    if rule.implied {
        return "write the rule out, with what it needs".to_owned();
    }
    let all: Vec<_> = [Verb::Compensate, Verb::Retry, Verb::Notify]
        .into_iter()
        .filter_map(|verb| {
            let of = missing.iter().filter(|s| s.0 == verb);
            let names: Vec<_> =
                of.map(|(_, id)| book.get(*id).name.to_string()).take(NAMES).collect();
            (!names.is_empty()).then(|| {
                format!(
                    "{} to `{verb}:`",
                    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
                )
            })
        })
        .collect();
    format!("add {}; or `compensate: recorded`, which covers every place", all.join(" and "))
}

/// Named steps for what cannot have happened at the place. Sets are not judged: being too large is what they are for.
fn check_superfluous(
    book: &Rulebook,
    rule: &Rule,
    at: &Place<'_>,
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

/// Whether `id` is the failing action or calls it, directly or through others.
pub(crate) fn is_caller(book: &Rulebook, id: ActionId, failing: Option<ActionId>) -> bool {
    failing.is_some_and(|f| f == id || book.downstream(id).binary_search(&f).is_ok())
}

/// From so many named actions on, a list that equals a set should be the set: the next action will be forgotten.
const LIST_CREEPS_FROM: usize = 6;

fn check_creeping(book: &Rulebook, rule: &Rule, at: &Place<'_>, found: &mut Findings<'_>) {
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

/// Rules for more than one code, which answer whatever no rule of its own answers.
pub(super) fn check_wildcards(book: &Rulebook, found: &mut Findings<'_>) {
    for rule in book.rules().iter().filter(|r| !r.implied) {
        match &rule.pattern.code {
            CodePattern::Prefix(_) if !rule.demand.uses_recorded() => {
                check_wildcard(book, rule, found);
            }
            CodePattern::Prefix(_) => {}
            CodePattern::Exact(code) => {
                let service = rule.pattern.service.as_deref();
                if service.is_some_and(|service| book.report(service, code).is_none()) {
                    check_undeclared(book, rule, found);
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

/// A rule for one code that no report declares: nobody said at which place that is, so it is judged where least has
/// happened. What it leaves behind there it leaves behind everywhere.
fn check_undeclared(book: &Rulebook, rule: &Rule, found: &mut Findings<'_>) {
    if rule.demand.uses_recorded() {
        return;
    }
    let mut least: Option<(ActionId, SagaState, BTreeSet<NeededStep>)> = None;
    for action in actions_of(book, rule) {
        let state = SagaState::at_least(book, action);
        if !found.spend(8 + 8 * state.maybe.len(), rule.span) {
            return;
        }
        match left_by(book, rule, action, &state) {
            missing if missing.is_empty() => return,
            missing => least = least.or(Some((action, state, missing))),
        }
    }
    if let Some(first) = least {
        report_wildcard(book, rule, &first, "fails", 0, found);
    }
}

/// What the rule leaves behind when `action` fails in this state.
fn left_by(
    book: &Rulebook,
    rule: &Rule,
    action: ActionId,
    state: &SagaState,
) -> BTreeSet<NeededStep> {
    let effects = state.effects();
    let known = Known { reporter: Some(action), effects: &effects };
    let asked = asked(book, &rule.demand, &known);
    if asked.contains(&(Verb::Retry, action)) {
        return match &rule.give_up {
            Some(give_up) if !give_up.then.uses_recorded() => {
                missing(book, &give_up.then, &known, state)
            }
            _ => BTreeSet::new(),
        };
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
        let state = SagaState::at_most(book, action);
        // Sets of this size are built several times.
        if !found.spend(8 + 8 * state.maybe.len(), rule.span) {
            return;
        }
        let missing = left_by(book, rule, action, &state);
        if missing.is_empty() {
            continue;
        }
        match first {
            None => first = Some((action, state, missing)),
            Some(_) => others += 1,
        }
    }
    if let Some(first) = first {
        report_wildcard(book, rule, &first, "fails late", others, found);
    }
}

fn report_wildcard(
    book: &Rulebook,
    rule: &Rule,
    (action, state, missing): &(ActionId, SagaState, BTreeSet<NeededStep>),
    fails: &str,
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
        "rule `{}` leaves behind {} when `{name}` {fails}{more}",
        rule.index_label,
        left_behind(book, missing)
    );
    found.add(
        Diagnostic::new(codes::UNDER_COMPENSATION, rule.span, message)
            .with_label(format!("asks for nothing of {}", step_names(book, missing)))
            .with_place(
                book.get(*action).span,
                format!(
                    "by then may have happened: {}",
                    state.in_words(book).replace("perhaps ", "")
                ),
            )
            .with_help(how_to_add(book, rule, missing)),
    );
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
