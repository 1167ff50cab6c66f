//! Conditions against the types that reports declare of their fields.

use super::scope::Scope;
use crate::mistakes::Diagnostics;
use crate::{CodePattern, Condition, DataType, Diagnostic, Field, ReportDecl, Rule, codes};

/// Looks at every condition on a business field.
pub(crate) fn check(
    rules: &[Rule],
    scope: &Scope,
    reports: &[ReportDecl],
    found: &mut Diagnostics,
) {
    let typed: Vec<&ReportDecl> = reports.iter().filter(|r| r.is_typed()).collect();
    if typed.is_empty() {
        return;
    }
    let all =
        rules.iter().flat_map(|rule| rule.when.iter().map(move |condition| (rule, condition)));
    for (rule, condition) in all {
        // A rule for one report need not look at all of them.
        let exact: Vec<&ReportDecl> = exact(rule, scope, reports).into_iter().collect();
        let is_exact = matches!(rule.pattern.code, CodePattern::Exact(_));
        let typed = types(rule, condition, scope, if is_exact { &exact } else { &typed });
        check_types(condition, &typed, scope, found);
    }
}

/// The one report that a rule is for, if it is for one.
fn exact<'r>(rule: &Rule, scope: &Scope, reports: &'r [ReportDecl]) -> Option<&'r ReportDecl> {
    let CodePattern::Exact(code) = &rule.pattern.code else { return None };
    let service = scope.names.services.get(rule.pattern.service.as_ref()?)?;
    reports.get(*scope.names.reports[service.0 as usize].get(code)?)
}

/// What those of these reports that a rule can answer declare of a field.
fn types<'r>(
    rule: &Rule,
    condition: &Condition,
    scope: &Scope,
    reports: &[&'r ReportDecl],
) -> Vec<(&'r ReportDecl, Option<DataType>)> {
    let Field::Data(path) = &condition.field else { return Vec::new() };
    let covered = reports.iter().copied().filter(|report| {
        let service = &scope.services[report.service.0 as usize].name;
        rule.pattern.covers(service, &report.code)
    });
    // Of a text or a number nothing lies inside.
    let declared = |report: &'r ReportDecl| {
        (1..=path.len()).find_map(|length| {
            let kind = report.type_of(&path[..length].join("."))?;
            match (length == path.len(), kind) {
                (true, kind) => Some(Some(kind)),
                (false, DataType::Object) => None,
                (false, _) => Some(None),
            }
        })
    };
    covered.filter_map(|report| Some((report, declared(report)?))).collect()
}

/// An error if no report that declares the field can hold what the condition compares it with.
fn check_types(
    condition: &Condition,
    typed: &[(&ReportDecl, Option<DataType>)],
    scope: &Scope,
    found: &mut Diagnostics,
) {
    let fits = |kind: &Option<DataType>| {
        kind.is_some_and(|kind| condition.matchers.iter().all(|m| kind.fits(m)))
    };
    if typed.iter().any(|(_, kind)| fits(kind)) {
        return;
    }
    let Some((report, kind)) = typed.first() else { return };
    let service = &scope.services[report.service.0 as usize].name;
    let is = kind.map_or("has no fields of its own".to_owned(), |kind| {
        format!("is declared as `{}`", kind.as_str())
    });
    let message = format!("`{condition}` never holds: the field {is}");
    let help = match kind {
        Some(DataType::Text) => "compare it with a text, in quotes if it looks like a number",
        Some(DataType::Integer | DataType::Decimal) => "compare it with a number, without quotes",
        _ => "correct the condition, or the type in `data:` of the report",
    };
    found.add(
        Diagnostic::new(codes::WRONG_DATA_TYPE, condition.span, message)
            .with_place(report.span, format!("`{service}/{}` declares it", report.code))
            .with_help(help),
    );
}
