//! Rules that never answer anything: what services declare of their reports leaves nothing to them.

use super::answers::{About, answers_to};
use super::findings::Findings;
use amends_rulebook::{
    CodePattern, Condition, Diagnostic, Field, ReportDecl, Rule, Rulebook, ServiceId, codes,
};

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    for rule in book.rules().iter().filter(|r| !r.implied) {
        let service = rule.pattern.service.as_deref();
        match (&rule.pattern.code, service.map(|name| book.service(name))) {
            (CodePattern::Exact(code), Some(Some(_))) => {
                if let Some(report) = book.report(service.unwrap_or_default(), code) {
                    check_exact(book, rule, report, found);
                }
            }
            (CodePattern::Prefix(prefix), Some(Some(id))) if !prefix.is_empty() => {
                check_prefix(book, rule, id, prefix, found);
            }
            (CodePattern::Prefix(_), Some(Some(id))) => check_fields(book, rule, &[id], found),
            (CodePattern::Prefix(_), None) => {
                if rule.when.iter().any(|c| matches!(c.field, Field::Data(_))) {
                    check_fields(book, rule, &reporting_services(book), found);
                }
            }
            // Reports of the supervisor itself.
            (_, Some(None)) | (CodePattern::Exact(_), None) => {}
        }
    }
}

fn never(rule: &Rule, label: String) -> Diagnostic {
    let message = format!("rule `{}` never answers", rule.index_label);
    Diagnostic::new(codes::SHADOWED_RULE, rule.span, message).with_label(label)
}

/// A rule for one declared report: can it meet the conditions?
fn check_exact(book: &Rulebook, rule: &Rule, report: &ReportDecl, found: &mut Findings<'_>) {
    let about = About::of(report);
    let Some(condition) = rule.when.iter().find(|c| !about.can_meet(book, c)) else {
        return;
    };
    let mistake = match (&condition.field, report.action) {
        (Field::Action, Some(action)) => {
            never(rule, "its condition on `action` excludes the report's own".to_owned())
                .with_place(report.span, format!("declared in `{}`", book.get(action).name))
                .with_help("correct the condition, or `in:` of the report")
        }
        _ => never(rule, wants_field(condition))
            .with_place(report.span, "its `data:` says what it carries")
            .with_help("correct the condition, or name the field in `data:` of the report"),
    };
    found.add(mistake);
}

fn wants_field(condition: &Condition) -> String {
    format!("it wants `{condition}`, and no report carries that")
}

/// A rule for codes that begin alike: does any declared one come to it?
fn check_prefix(
    book: &Rulebook,
    rule: &Rule,
    service: ServiceId,
    prefix: &str,
    found: &mut Findings<'_>,
) {
    let declared = book.reports_of(service);
    let declared_count = declared.len();
    let covered: Vec<&ReportDecl> = declared
        .map(|n| &book.reports()[n])
        .filter(|report| report.code.starts_with(prefix))
        .collect();
    if covered.is_empty() || !found.spend(declared_count + covered.len(), rule.span) {
        return;
    }
    let meets = |report: &&ReportDecl| {
        let about = About::of(report);
        rule.when.iter().all(|c| about.can_meet(book, c))
    };
    let place = book.services()[service.0 as usize].span;
    if !covered.iter().any(meets) {
        let label = "no declared report that begins so meets its conditions".to_owned();
        found.add(
            never(rule, label)
                .with_place(place, "its reports are declared")
                .with_help("correct the conditions, or `in:` and `data:` of the reports"),
        );
    } else if !covered.iter().any(|r| answers_to(book, r).0.contains(&rule.id)) {
        let label = if rule.when.is_empty() {
            "every declared report that begins so has a rule of its own"
        } else {
            "every declared report that meets its conditions has a rule of its own"
        };
        found.add(
            never(rule, label.to_owned())
                .with_place(place, "its reports are declared")
                .with_help("leave it out, or declare the reports that it is for"),
        );
    }
}

/// Services with something that can fail.
fn reporting_services(book: &Rulebook) -> Vec<ServiceId> {
    let all = (0u32..).map(ServiceId).zip(book.services());
    let fails = |ids: &[amends_rulebook::ActionId]| {
        ids.iter().any(|id| book.get(*id).correction_of.is_none())
    };
    all.filter(|(_, service)| fails(&service.actions)).map(|(id, _)| id).collect()
}

/// A rule for whatever these services report, declared or not: other reports than the declared ones carry no other
/// fields, as long as every service says of all of its reports what they carry.
fn check_fields(book: &Rulebook, rule: &Rule, services: &[ServiceId], found: &mut Findings<'_>) {
    if rule.when.is_empty() {
        return;
    }
    if services.iter().any(|id| book.reports_of(*id).len() == 0) {
        return;
    }
    let mut positions: Vec<usize> = services.iter().flat_map(|id| book.reports_of(*id)).collect();
    positions.sort_unstable();
    let reports: Vec<&ReportDecl> =
        positions.into_iter().filter_map(|n| book.reports().get(n)).collect();
    if !found.spend(reports.len() * rule.when.len(), rule.span)
        || reports.iter().any(|r| r.data.is_none())
    {
        return;
    }
    let meets = |c: &&Condition| !reports.iter().any(|r| About::fields_of(r).can_meet(book, c));
    if let Some(condition) = rule.when.iter().find(meets) {
        let place = reports.first().map_or(rule.span, |r| r.span);
        found.add(
            never(rule, wants_field(condition))
                .with_place(place, "a report says in `data:` what it carries")
                .with_help("correct the condition, or name the field in `data:` of a report"),
        );
    }
}
