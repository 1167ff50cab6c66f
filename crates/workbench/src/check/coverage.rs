//! Compares what rules ask for with what failures need. A declared report has one place, so its rule is judged at that
//! place; a rule for many reports is judged where most has happened, because whoever covers that covers all places before.

use super::answers::answers_to;
use super::excess;
use super::findings::Findings;
use super::place::{JudgedPlace, NAMES, list, step_names};
use crate::evidence::everything;
use crate::places::{self, NeededStep, SagaState, callers};
use amends_protocol::Verb;
use amends_rulebook::{
    ActionClass, ActionId, CodePattern, Demand, Diagnostic, Known, ReportDecl, Rule, Rulebook,
    Span, codes,
};
use std::collections::BTreeSet;

/// One declared report against every rule that can answer it.
pub(super) fn check_report(
    book: &Rulebook,
    n: usize,
    report: &ReportDecl,
    found: &mut Findings<'_>,
) {
    let (rules, answered) = answers_to(book, report);
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
    let Some(state) = places::Place::of_report(book, report).map(|place| place.state(book)) else {
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
        let at = JudgedPlace { report, name: &name, state: &state };
        check_rule(book, rule, &at, found);
    }
}

fn check_rule(book: &Rulebook, rule: &Rule, at: &JudgedPlace<'_>, found: &mut Findings<'_>) {
    let effects = at.state.effects();
    let told = found.evidence.told(book, at.report.action, effects.clone());
    let known = Known { reporter: at.report.action, effects: &told };
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
        let failed = own.map_or_else(Vec::new, |own| left_failed(book, own.1, &asked));
        if forward && !failed.is_empty() {
            report_left_failed(book, rule, at, &failed, found);
        }
        if let Some(give_up) = &rule.give_up {
            let missing = missing(book, &give_up.then, &known, at.state);
            if !missing.is_empty() {
                report_missing(book, rule, &give_up.then, at, &missing, "after giving up, ", found);
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
        report_missing(book, rule, &rule.demand, at, &missing, "", found);
    }
    excess::check_superfluous(book, rule, at, &effects, found);
    excess::check_creeping(book, rule, at, found);
}

/// Who failed because of an action that a rule runs again, and is not run again itself: it has answered its own caller
/// by then, so nobody brings it back. From the inside out.
pub(super) fn left_failed(
    book: &Rulebook,
    failing: ActionId,
    asked: &BTreeSet<NeededStep>,
) -> Vec<ActionId> {
    let (mut open, mut seen, mut left) = (vec![failing], BTreeSet::new(), Vec::new());
    while let Some(at) = open.pop() {
        // A call of what is only run again doesn't make its caller fail.
        if book.get(at).on_failure_retry {
            continue;
        }
        for caller in book.callers(at).iter().copied() {
            let fails = book.get(caller).calls.iter().any(|c| c.action == at && c.is_strict());
            if !fails || !seen.insert(caller) {
                continue;
            }
            if book.get(caller).class != ActionClass::Free
                && !asked.contains(&(Verb::Retry, caller))
            {
                left.push(caller);
            }
            open.push(caller);
        }
    }
    left
}

fn report_left_failed(
    book: &Rulebook,
    rule: &Rule,
    at: &JudgedPlace<'_>,
    failed: &[ActionId],
    found: &mut Findings<'_>,
) {
    let names = list(failed.iter().map(|id| format!("`{}`", book.get(*id).name)));
    let message = format!("rule `{}` runs again what failed, and not {names}", rule.index_label);
    found.add(
        Diagnostic::new(codes::UNDER_COMPENSATION, rule.span, message)
            .with_label("callers that nobody runs again")
            .with_place(at.report.span, "they have failed because of it by then")
            .with_help(format!(
                "run them again too, from the inside out: `then: {{ retry: {} }}`; or `compensate: {}`",
                failed.first().map_or_else(String::new, |id| book.get(*id).name.to_string()),
                everything(book)
            )),
    );
}

/// The failing action and its callers, as far as they can be undone. A rule that undoes anything undoes them too unless
/// they are proven without effect; a rule that undoes nothing leaves them as they are.
pub(super) fn half_done(book: &Rulebook, failing: Option<ActionId>) -> BTreeSet<NeededStep> {
    let Some(failing) = failing else { return BTreeSet::new() };
    // A call that is only run again, or a message, doesn't make its caller fail.
    let fails_alone = book.get(failing).on_failure_retry;
    let callers = if fails_alone { BTreeSet::new() } else { callers(book, failing) };
    let undoable = |id: &ActionId| book.get(*id).class == ActionClass::Compensable;
    let own = (!fails_alone).then_some(failing);
    callers.into_iter().chain(own).filter(undoable).map(|id| (Verb::Compensate, id)).collect()
}

pub(super) fn asked(book: &Rulebook, demand: &Demand, known: &Known<'_>) -> BTreeSet<NeededStep> {
    book.resolve(demand, known).into_iter().map(|s| (s.verb, s.action)).collect()
}

pub(super) fn missing(
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
    demand: &Demand,
    at: &JudgedPlace<'_>,
    missing: &BTreeSet<NeededStep>,
    when: &str,
    found: &mut Findings<'_>,
) {
    let message = format!("{when}`{}` leaves behind {}", at.name, left_behind(book, missing));
    let label = format!("asks for nothing of {}", step_names(book, missing));
    let failing = at.report.action.map_or(String::new(), |a| {
        format!("`{}` fails when these have happened: ", book.get(a).name)
    });
    let untold = untold_place(book, at.report.action, at.state, missing, found);
    let help = how_to_add(book, rule, demand, missing, at.report.action, untold.is_some());
    let mut mistake = Diagnostic::new(codes::UNDER_COMPENSATION, rule.span, message)
        .with_label(label)
        .with_place(at.report.span, format!("{failing}{}", at.state.in_words(book)));
    if let Some((span, label)) = untold {
        mistake = mistake.with_place(span, label);
    }
    found.add(mistake.with_help(help));
}

/// Why no evidence tells of a step that is missing, shown at its action.
pub(super) fn untold_place(
    book: &Rulebook,
    failing: Option<ActionId>,
    state: &SagaState,
    missing: &BTreeSet<NeededStep>,
    found: &Findings<'_>,
) -> Option<(Span, String)> {
    let effects = state.effects();
    missing.iter().find_map(|(_, id)| {
        let id = book.get(*id).correction_of.unwrap_or(*id);
        let caller = found.evidence.hidden_behind(book, failing, &effects, id)?;
        let (action, caller) = (book.get(id), book.get(caller));
        let services = if action.service == caller.service {
            format!("`{}` keeps no History", action.name.service)
        } else if book.keeps_history(caller.service) {
            // Its History is only read for the sake of what can be undone there.
            format!(
                "`{}` keeps no History, and that of `{}`, which calls it, is not asked for: nothing there is undone",
                action.name.service, caller.name.service
            )
        } else if caller.endpoints.is_empty() {
            format!(
                "`{}` keeps no History, and `{}`, which calls it, has nothing to be undone and so is not asked for one",
                action.name.service, caller.name.service
            )
        } else {
            format!(
                "neither `{}` nor `{}`, which calls it, keeps a History",
                action.name.service, caller.name.service
            )
        };
        Some((action.span, format!("{services}, so nobody tells that it happened")))
    })
}

/// The effects that stay when these steps are not asked for.
pub(super) fn left_behind(book: &Rulebook, missing: &BTreeSet<NeededStep>) -> String {
    let effect = |(verb, id): &NeededStep| {
        let action = book.get(*id);
        match (verb, action.correction_of) {
            (Verb::Notify, Some(of)) => format!("the message `{}` uncorrected", book.get(of).name),
            _ => format!("`{}`", action.name),
        }
    };
    list(missing.iter().map(effect))
}

pub(super) fn how_to_add(
    book: &Rulebook,
    rule: &Rule,
    demand: &Demand,
    missing: &BTreeSet<NeededStep>,
    failing: Option<ActionId>,
    untold: bool,
) -> String {
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
    let add = all.join(" and ");
    // A rule that runs something again undoes nothing beside it.
    if demand.stages.iter().any(|stage| !stage.retry.is_empty()) {
        return match failing {
            Some(id) => format!(
                "run what failed again too: `then: {{ retry: {} }}`; or write `compensate: recorded` in place of `retry` and `give_up`",
                book.get(id).name
            ),
            None => "write `compensate: recorded` in place of `retry` and `give_up`".to_owned(),
        };
    }
    match (untold, demand.uses_recorded()) {
        (true, true) => format!(
            "add {add} beside `recorded`, which undoes only what is told; undoing what didn't happen changes nothing"
        ),
        (true, false) => format!("add {add}"),
        (false, _) => {
            format!("add {add}; or `compensate: {}`, which covers every place", everything(book))
        }
    }
}
