//! What keeps a rulebook in order over the years: owners, reasons and tests of rules, and fields that requests need.

use super::answers::answers_to;
use super::findings::Findings;
use crate::places::{NeededStep, Place, callers};
use amends_protocol::Verb;
use amends_rulebook::mistakes::closest;
use amends_rulebook::{
    ActionClass, DataField, Demand, Diagnostic, Endpoint, Known, ReportDecl, Rule, Rulebook, codes,
};
use std::collections::BTreeSet;

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    for rule in book.rules().iter().filter(|r| !r.implied) {
        check_people(rule, found);
    }
    let mut nowhere = BTreeSet::new();
    for (n, report) in book.reports().iter().enumerate() {
        if let Some(data) = &report.data {
            check_fields(book, n, report, data, &mut nowhere, found);
        }
    }
}

fn check_people(rule: &Rule, found: &mut Findings<'_>) {
    let mut lacks = |code, what: &str, help: &str| {
        if found.wants(code) {
            let message = format!("rule `{}` has no {what}", rule.index_label);
            found.add(Diagnostic::new(code, rule.span, message).with_help(help));
        }
    };
    if rule.owner.is_none() {
        lacks(
            codes::RULE_WITHOUT_OWNER,
            "`owner`",
            "say whom to ask about it: `owner: payment team`",
        );
    }
    if rule.why.is_none() {
        lacks(codes::RULE_WITHOUT_WHY, "`why`", "say in a sentence why it is so: `why: …`");
    }
    if let Some(tested) = &found.settings.tested
        && !tested.contains(&rule.id)
        && found.wants(codes::RULE_WITHOUT_TEST)
    {
        let message = format!("no test reaches rule `{}`", rule.index_label);
        let mistake = Diagnostic::new(codes::RULE_WITHOUT_TEST, rule.span, message);
        found.add(
            mistake
                .with_help("add a report that it answers to a `*.test.yaml` beside the rulebook"),
        );
    }
}

/// A report that says which fields it carries, against the requests that its rules lead to, also after giving up.
/// `nowhere` holds fields that no report carries and that were reported.
fn check_fields(
    book: &Rulebook,
    n: usize,
    report: &ReportDecl,
    data: &[DataField],
    nowhere: &mut BTreeSet<String>,
    found: &mut Findings<'_>,
) {
    let place = Place::of_report(book, report);
    let state = place.map(|place| place.state(book)).unwrap_or_default();
    let known = Known { reporter: report.action, effects: &state.effects() };
    let mut told = BTreeSet::new();
    // Whoever called the failing action fails too, and its report is another source of the same case.
    let above = report.action.map_or_else(BTreeSet::new, |failing| callers(book, failing));
    let by_callers = |needed: &[String]| {
        let of_callers =
            book.reports().iter().filter(|r| r.action.is_some_and(|id| above.contains(&id)));
        of_callers
            .filter_map(|r| r.data.as_deref())
            .any(|theirs| needed.iter().all(|f| carried(f, theirs)))
    };
    for rule in answers_to(book, report).0.into_iter().map(|id| book.rule(id)) {
        if !found.spend(8 + state.happened.len() + state.maybe.len(), rule.span) {
            return;
        }
        let given_up = rule.give_up.as_ref().map(|give_up| &give_up.then);
        for demand in std::iter::once(&rule.demand).chain(given_up) {
            for (verb, id) in asked(book, demand, &known) {
                let action = book.get(id);
                let needed = action.endpoints.get(verb).map_or_else(Vec::new, fields);
                let mut lacking = needed.clone();
                lacking.retain(|f| !carried(f, data));
                lacking.sort_unstable();
                lacking.dedup();
                if lacking.is_empty() || !told.insert((verb, id)) || by_callers(&needed) {
                    continue;
                }
                let name = book.report_name(n);
                // A slip in a placeholder is one mistake, however many reports there are.
                let is_nowhere = |f: &String| {
                    !book.reports().iter().filter_map(|r| r.data.as_deref()).any(|d| carried(f, d))
                };
                if lacking.iter().all(|f| is_nowhere(f) && !nowhere.insert(f.clone())) {
                    continue;
                }
                let help = help_to_supply(&lacking, data);
                let first = lacking.first().map_or("", String::as_str);
                let place = action.endpoints.get(verb).map_or(action.span, |e| e.place_of(first));
                let lacking: Vec<_> = lacking.iter().map(|f| format!("`{{{f}}}`")).collect();
                let message = format!(
                    "to {verb} `{}` needs {}, which `{name}` doesn't carry",
                    action.name,
                    lacking.join(" and ")
                );
                found.add(
                    Diagnostic::new(codes::UNSUPPLIED_FIELD, report.span, message)
                        .with_label("its `data:` lacks the field")
                        .with_place(place, "the request needs it")
                        .with_place(rule.span, "this rule asks for it")
                        .with_help(help),
                );
            }
        }
    }
}

fn help_to_supply(lacking: &[String], data: &[DataField]) -> String {
    let close = lacking.iter().find_map(|field| {
        let path = field.strip_prefix("data.").unwrap_or(field);
        closest(path, data.iter().map(|d| &*d.path))
    });
    match close {
        Some(close) => format!("did you mean `{{data.{close}}}`?"),
        None => "let the service put the field into the report and name it in `data:`, or leave the placeholder out".to_owned(),
    }
}

/// The steps that a demand leads to: a rule that undoes anything undoes the failing action too, unless that is proven
/// to be without effect.
fn asked(book: &Rulebook, demand: &Demand, known: &Known<'_>) -> BTreeSet<NeededStep> {
    let mut steps: BTreeSet<NeededStep> =
        book.resolve(demand, known).into_iter().map(|s| (s.verb, s.action)).collect();
    let own = known.reporter.filter(|id| book.get(*id).class == ActionClass::Compensable);
    if let Some(own) = own.filter(|_| demand.is_backward()) {
        steps.insert((Verb::Compensate, own));
    }
    steps
}

/// Whether a placeholder's field is among the paths, or inside one of them.
fn carried(field: &str, data: &[DataField]) -> bool {
    let path = field.strip_prefix("data.").unwrap_or(field);
    data.iter().map(|field| &*field.path).any(|d| {
        let inside = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
        };
        d == path || inside(d, path) || inside(path, d)
    })
}

/// The business fields that a request needs.
fn fields(endpoint: &Endpoint) -> Vec<String> {
    let all = endpoint.placeholders().into_iter();
    all.filter(|f| f.starts_with("data.")).map(str::to_owned).collect()
}
