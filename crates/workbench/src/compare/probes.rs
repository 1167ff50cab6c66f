//! Reports that are worth trying on two rulebooks, and what can have happened when they come.

use crate::places::Place;
use amends_rulebook::{ActionId, CodePattern, Example, Facts, Field, Rule, Rulebook};
use std::collections::BTreeMap;

/// Reports that are tried per rule: some combinations of the values that its conditions tell apart, for each action that
/// it can be about.
pub(super) const COMBINATIONS_PER_RULE: usize = 6;

/// A code that no rule has for its own.
pub(super) const ANY_CODE: &str = "any-other-code";

pub(super) struct Probe {
    pub(super) service: String,
    pub(super) code: String,
    pub(super) example: Example,
}

/// Reports worth trying: of each rule at the ends of its conditions, of each declared report, and of each action under a
/// code without a rule.
pub(super) fn probes(book: &Rulebook, values_left: &mut usize) -> Vec<Probe> {
    let mut all = Vec::new();
    let mut by_report: BTreeMap<(String, String), Option<ActionId>> = BTreeMap::new();
    for report in book.reports() {
        let service = book.services()[report.service.0 as usize].name.to_string();
        by_report.insert((service, report.code.to_string()), report.action);
    }
    for rule in book.rules() {
        let services: Vec<String> = match &rule.pattern.service {
            Some(service) => vec![service.to_string()],
            None => book.services().iter().map(|s| s.name.to_string()).collect(),
        };
        let code = match &rule.pattern.code {
            CodePattern::Exact(code) => code.to_string(),
            CodePattern::Prefix(prefix) => format!("{prefix}{ANY_CODE}"),
        };
        for service in services {
            let declared = by_report.get(&(service.clone(), code.clone())).copied().flatten();
            all.extend(of_rule(book, rule, service, &code, declared, values_left));
        }
    }
    for ((service, code), action) in by_report {
        let action = action.map(|id| book.get(id).name.action.to_string());
        all.push(Probe { service, code, example: Example { action, ..Example::default() } });
    }
    all
}

fn of_rule(
    book: &Rulebook,
    rule: &Rule,
    service: String,
    code: &str,
    declared: Option<ActionId>,
    values_left: &mut usize,
) -> Vec<Probe> {
    let says_action = rule.when.iter().any(|c| c.field == Field::Action);
    let actions: Vec<Option<String>> = match (declared, says_action) {
        (_, true) => vec![None],
        (Some(id), false) => vec![Some(book.get(id).name.action.to_string())],
        (None, false) => {
            let own = book
                .service(&service)
                .map_or(&[][..], |id| &book.services()[id.0 as usize].actions);
            let own = own.iter().filter(|id| book.get(**id).correction_of.is_none());
            own.map(|id| Some(book.get(*id).name.action.to_string())).chain([None]).collect()
        }
    };
    let mut all = Vec::new();
    let examples = Example::values_of(rule, *values_left, COMBINATIONS_PER_RULE);
    for (n, example) in examples.into_iter().enumerate() {
        let further = n >= COMBINATIONS_PER_RULE;
        *values_left = values_left.saturating_sub(usize::from(further));
        for action in actions.iter().take(if further { 1 } else { actions.len() }) {
            let mut example = example.clone();
            if !says_action {
                example.action.clone_from(action);
            }
            all.push(Probe { service: service.clone(), code: code.to_owned(), example });
        }
    }
    all
}

/// As much as can have happened when the report comes, by names.
pub(super) fn effects(book: &Rulebook, facts: &Facts<'_>) -> Vec<String> {
    let declared = book.report(facts.service, facts.code).and_then(|r| Place::of_report(book, r));
    let place = declared.or_else(|| {
        let action = facts.action.and_then(|a| book.action(facts.service, a))?;
        Some(Place::anywhere(book, action))
    });
    let ids = place.map_or_else(|| book.action_ids().collect(), |p| p.state(book).effects());
    ids.iter().map(|id| book.get(*id).name.to_string()).collect()
}
