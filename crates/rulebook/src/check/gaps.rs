//! Reports that fall between conditions, and rules to which the conditions of others leave nothing.

use super::Findings;
use crate::condition::Field;
use crate::examples::{self, Example, Search};
use crate::rule_index::Bucket;
use crate::value_set::Landmarks;
use crate::{CodePattern, Diagnostic, ReportDecl, Rule, RuleId, Rulebook, codes};
use serde_json::{Value, json};

/// A declared report that only rules with conditions answer: is there one that none of them takes?
pub(super) fn check_fall_through(
    book: &Rulebook,
    report: &ReportDecl,
    name: &str,
    rules: &[RuleId],
    found: &mut Findings<'_>,
) {
    let service = &book.services()[report.service.0 as usize].name;
    let action = report.action.map(|id| &*book.get(id).name.action);
    let conditions = rules.iter().flat_map(|id| &book.rule(*id).when);
    let candidates = examples::candidates(conditions, action);
    if !found.spend(candidates.values().map(Vec::len).sum(), report.span) {
        return;
    }
    let search = examples::search(&candidates, &mut |example: &Example| {
        book.matching(&example.facts(service, &report.code)).is_none()
    });
    if let Search::Found(example) = search {
        let shown = shown(name, &example);
        let mut mistake = Diagnostic::new(
            codes::GAP_IN_CONDITIONS,
            report.span,
            format!("some reports `{name}` are answered by no rule"),
        )
        .with_label(format!("for example {shown}"));
        if let Some(rule) = rules.first().map(|id| book.rule(*id)) {
            mistake = mistake.with_place(rule.span, "this rule asks for more");
        }
        found.add(mistake.with_help(format!(
            "add a rule `on: {name}` without conditions, or one for `\"*/*\"`"
        )));
    }
}

fn shown(name: &str, example: &Example) -> String {
    let fields = example.to_json();
    if fields == json!({}) {
        format!("`{name}` without fields")
    } else {
        format!("`{name}` with `{fields}`")
    }
}

/// All patterns, one by one.
pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    let mut buckets: Vec<&Bucket> = book.index.buckets().collect();
    buckets.sort_by_key(|b| b.conditional.iter().chain(&b.unconditional).min().copied());
    for bucket in buckets {
        if !bucket.conditional.is_empty() {
            check_bucket(book, bucket, found);
        }
    }
}

fn check_bucket(book: &Rulebook, bucket: &Bucket, found: &mut Findings<'_>) {
    let rules = || bucket.conditional.iter().map(|id| book.rule(*id));
    let Some(first) = rules().next() else {
        return;
    };
    if !found.spend(rules().map(|r| r.when.len()).sum(), first.span) {
        return;
    }
    match bucket.unconditional.first().map(|id| book.rule(*id)) {
        Some(last) => {
            let candidates = examples::candidates(rules().flat_map(|r| &r.when), None);
            let free = |e: &Example| bucket.tree.find(book.rules(), &e.facts("", "")).is_none();
            if let Search::Impossible = examples::search(&candidates, &mut |e| free(e)) {
                let mistake = Diagnostic::new(
                    codes::SHADOWED_RULE,
                    last.span,
                    format!("rule `{}` never answers", last.index_label),
                );
                found.add(
                    mistake
                        .with_label("the conditions of the others leave no report to it")
                        .with_place(first.span, "one of the others")
                        .with_help("leave it out, or leave some reports to it"),
                );
            }
        }
        None => check_numbers(book, bucket, found),
    }
}

/// Rules that divide one number among themselves: does the division have a hole?
fn check_numbers(book: &Rulebook, bucket: &Bucket, found: &mut Findings<'_>) {
    let rules: Vec<&Rule> = bucket.conditional.iter().map(|id| book.rule(*id)).collect();
    let [first, second, ..] = rules.as_slice() else {
        return;
    };
    let on_one_field = |field: &Field| {
        rules.iter().all(|r| {
            r.when.len() == 1 && r.when[0].field == *field && !r.when[0].accepts.can_be_listed()
        })
    };
    let Some(field) = first.when.first().map(|c| &c.field).filter(|f| on_one_field(f)) else {
        return;
    };
    let mut marks = Landmarks::default();
    rules.iter().for_each(|r| marks.add(&r.when[0].accepts));
    let Some((low, high)) = marks.number_range() else {
        return;
    };
    let inside = |value: &Option<Value>| {
        value
            .as_ref()
            .and_then(Value::as_number)
            .and_then(crate::Number::from_json)
            .is_some_and(|n| n >= low && n <= high)
    };
    let mut candidates = examples::candidates(rules.iter().flat_map(|r| &r.when), None);
    candidates.values_mut().for_each(|values| values.retain(inside));
    let free = |e: &Example| bucket.tree.find(book.rules(), &e.facts("", "")).is_none();
    if let Search::Found(example) = examples::search(&candidates, &mut |e| free(e)) {
        let instead = instead(book, first, &example);
        let message = format!("the rules for `{}` leave out some values of `{field}`", first.on);
        found.add(
            Diagnostic::new(codes::GAP_IN_CONDITIONS, first.span, message)
                .with_label(format!("{} {instead}", shown(&first.on, &example)))
                .with_place(second.span, "the next one")
                .with_help("let one of the conditions begin where the other ends, with `gte` or `lte`; or add a rule without conditions"),
        );
    }
}

/// Which rule takes what falls through.
fn instead(book: &Rulebook, rule: &Rule, example: &Example) -> String {
    let service = rule.pattern.service.as_deref().unwrap_or("*");
    let code = match &rule.pattern.code {
        CodePattern::Exact(code) | CodePattern::Prefix(code) => code,
    };
    match book.matching(&example.facts(service, code)) {
        Some(id) => format!("is answered by `{}`", book.rule(id).index_label),
        None => "is answered by no rule".to_owned(),
    }
}
