//! Reports that fall between conditions, and rules that no report ever reaches.

use super::Findings;
use super::answers::can_be_about;
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
    for rule in book.rules().iter().filter(|r| !r.implied) {
        check_reached(book, rule, found);
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

/// A rule that what its services declare leaves nothing to.
fn check_reached(book: &Rulebook, rule: &Rule, found: &mut Findings<'_>) {
    let Some(service) = rule.pattern.service.as_deref() else {
        return;
    };
    let Some(id) = book.service(service) else {
        return;
    };
    match &rule.pattern.code {
        CodePattern::Exact(code) => {
            let Some((report, action)) =
                book.report(service, code).and_then(|r| Some((r, r.action?)))
            else {
                return;
            };
            if !can_be_about(book, rule, action) {
                let mistake = Diagnostic::new(
                    codes::SHADOWED_RULE,
                    rule.span,
                    format!("rule `{}` never answers", rule.index_label),
                );
                found.add(
                    mistake
                        .with_label("its condition on `action` excludes the report's own")
                        .with_place(report.span, format!("declared in `{}`", book.get(action).name))
                        .with_help("correct the condition, or `in:` of the report"),
                );
            }
        }
        CodePattern::Prefix(prefix) if !prefix.is_empty() && rule.when.is_empty() => {
            let declared = &book.names.reports[id.0 as usize];
            let mut covered = declared.keys().filter(|code| code.starts_with(&**prefix)).peekable();
            if covered.peek().is_none() || !found.spend(declared.len(), rule.span) {
                return;
            }
            let reaches = |code: &str| {
                book.index
                    .covering(service, code)
                    .find(|b| !b.unconditional.is_empty())
                    .is_some_and(|b| b.unconditional.contains(&rule.id))
            };
            if !covered.any(|code| reaches(code)) {
                let mistake = Diagnostic::new(
                    codes::SHADOWED_RULE,
                    rule.span,
                    format!("rule `{}` never answers", rule.index_label),
                );
                found.add(
                    mistake
                        .with_label("every declared report that begins so has a rule of its own")
                        .with_place(book.services()[id.0 as usize].span, "its reports are declared")
                        .with_help("leave it out, or declare the reports that it is for"),
                );
            }
        }
        CodePattern::Prefix(_) => {}
    }
}
