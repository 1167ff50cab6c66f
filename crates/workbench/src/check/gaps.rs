//! Reports that fall between conditions, and rules to which the conditions of others leave nothing. Decided exactly, over
//! all kinds of reports that the conditions tell apart; what is beyond the bound of that is said to be.

use super::answers::About;
use super::findings::Findings;
use crate::cover::{Cover, Lists};
use amends_rulebook::{
    CodePattern, Condition, Diagnostic, Example, Field, ReportDecl, Rule, RuleId, Rulebook,
    RulesOfPattern, Span, codes,
};

/// A declared report that only rules with conditions answer: is there one that none of them takes?
pub(super) fn check_fall_through(
    book: &Rulebook,
    report: &ReportDecl,
    name: &str,
    rules: &[RuleId],
    found: &mut Findings<'_>,
) {
    let rules: Vec<&Rule> = rules.iter().map(|id| book.rule(*id)).collect();
    let Some(example) = find(book, &rules, Some(report), false, report.span, found) else {
        return;
    };
    let mistake = nobody_answers(name, report.span, &example);
    let mistake = match rules.first() {
        Some(rule) => mistake.with_place(rule.span, "this rule asks for more"),
        None => mistake,
    };
    found.add(mistake.with_help(help(name)));
}

fn nobody_answers(name: &str, at: Span, example: &Example) -> Diagnostic {
    let message = format!("some reports `{name}` are answered by no rule");
    Diagnostic::new(codes::GAP_IN_CONDITIONS, at, message)
        .with_label(format!("for example {}", example.shown(name)))
}

fn help(name: &str) -> String {
    format!("add a rule `on: {name}` without conditions, or one for `\"*/*\"`")
}

/// A report that none of the rules takes: any that can come, or `between` them one whose every field they ask for.
fn find(
    book: &Rulebook,
    rules: &[&Rule],
    report: Option<&ReportDecl>,
    between: bool,
    at: Span,
    found: &mut Findings<'_>,
) -> Option<Example> {
    let conditions: Vec<&[Condition]> = rules.iter().map(|r| r.when.as_slice()).collect();
    let action = report.and_then(|r| r.action).map(|id| &*book.get(id).name.action);
    let Some(mut lists) = Lists::new(&conditions, action) else {
        found.give_up(at);
        return None;
    };
    if let Some(about) = report.map(About::of) {
        lists.keep(|field, value| about.can_hold(book, field, value.as_ref()));
    }
    if between {
        lists.keep_what_is_asked_for();
    }
    let cover = lists.find_gap();
    if !found.spend(lists.looked(), at) {
        return None;
    }
    match cover {
        Cover::Gap(mut example) => {
            example.action = example.action.or_else(|| action.map(str::to_owned));
            Some(example)
        }
        Cover::Whole => None,
        Cover::Unknown => {
            found.give_up(at);
            None
        }
    }
}

/// All patterns, one by one.
pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    let mut buckets: Vec<&RulesOfPattern> = book.rules_by_pattern().collect();
    buckets.sort_by_key(|b| b.conditional.iter().chain(&b.unconditional).min().copied());
    for bucket in buckets {
        let rules: Vec<&Rule> = bucket.conditional.iter().map(|id| book.rule(*id)).collect();
        let Some(first) = rules.first() else {
            continue;
        };
        match bucket.unconditional.first().map(|id| book.rule(*id)) {
            Some(last) => check_rest(book, &rules, first, last, found),
            None => {
                let between = check_between(book, &rules, first, found);
                if let Some(written) = rules.iter().find(|r| !r.implied && !between) {
                    check_undeclared(book, written, found);
                }
            }
        }
    }
}

/// The rule without conditions takes the rest: is there any?
fn check_rest(
    book: &Rulebook,
    rules: &[&Rule],
    first: &Rule,
    last: &Rule,
    found: &mut Findings<'_>,
) {
    let before = found.gave_up_at;
    let report = declared(book, first);
    if find(book, rules, report, false, last.span, found).is_some() || found.gave_up_at != before {
        return;
    }
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

/// The report of a pattern that is just one.
fn declared<'b>(book: &'b Rulebook, rule: &Rule) -> Option<&'b ReportDecl> {
    match &rule.pattern.code {
        CodePattern::Exact(code) => book.report(rule.pattern.service.as_deref()?, code),
        CodePattern::Prefix(_) => None,
    }
}

/// Rules of one pattern that divide reports among themselves: does the division have a hole? One rule alone divides
/// nothing: it is a special case of what less specific rules answer.
fn check_between(book: &Rulebook, rules: &[&Rule], first: &Rule, found: &mut Findings<'_>) -> bool {
    let Some(second) = rules.get(1) else {
        return false;
    };
    let Some(example) = find(book, rules, declared(book, first), true, first.span, found) else {
        return false;
    };
    let mut fields: Vec<&Field> = rules.iter().flat_map(|r| &r.when).map(|c| &c.field).collect();
    fields.sort_unstable();
    fields.dedup();
    let what = match fields.as_slice() {
        [only] => format!("some values of `{only}`"),
        several => {
            let names: Vec<_> = several.iter().map(|f| format!("`{f}`")).collect();
            format!("some combinations of {}", names.join(", "))
        }
    };
    let instead = instead(book, first, &example);
    let message = format!("the rules for `{}` leave out {what}", first.on);
    found.add(
        Diagnostic::new(codes::GAP_IN_CONDITIONS, first.span, message)
            .with_label(format!("{} {instead}", example.shown(&first.on)))
            .with_place(second.span, "the next one")
            .with_help("let one of the conditions take it too, e.g. begin where the other ends with `gte` or `lte`; or add a rule without conditions"),
    );
    true
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

/// A pattern for reports that nobody declares, and no rule for what its conditions leave out. Where anything is declared,
/// each report is looked at for itself.
fn check_undeclared(book: &Rulebook, first: &Rule, found: &mut Findings<'_>) {
    let Some(service) = first.pattern.service.as_deref() else {
        return;
    };
    let declared = book.service(service).map(|id| book.reports_of(id));
    if declared.is_some_and(|declared| declared.len() > 0) {
        return;
    }
    let code = match &first.pattern.code {
        CodePattern::Exact(code) => code.to_string(),
        // A code that nobody uses: only rules for several codes cover it.
        CodePattern::Prefix(prefix) => format!("{prefix}\u{1}"),
    };
    let mut rules = Vec::new();
    for bucket in book.rules_covering(service, &code) {
        if !bucket.unconditional.is_empty() {
            return;
        }
        rules.extend(bucket.conditional.iter().map(|id| book.rule(*id)));
    }
    if let Some(example) = find(book, &rules, None, false, first.span, found) {
        found.add(nobody_answers(&first.on, first.span, &example).with_help(help(&first.on)));
    }
}
