//! Rules that never answer anything: what services declare of their reports leaves nothing to them.

use super::answers::{About, answers_to, can_be_about};
use super::findings::Findings;
use amends_rulebook::mistakes::closest;
use amends_rulebook::{
    ActionId, CodePattern, Condition, Diagnostic, Field, ReportDecl, Rule, Rulebook, Scalar,
    ServiceId, codes,
};

pub(super) fn check(book: &Rulebook, found: &mut Findings<'_>) {
    for rule in book.rules().iter().filter(|r| !r.implied) {
        let ways_told = check_ways(book, rule, found);
        let service = rule.pattern.service.as_deref();
        match (&rule.pattern.code, service.map(|name| book.service(name))) {
            (CodePattern::Exact(code), Some(Some(_))) => {
                if let Some(report) = book.report(service.unwrap_or_default(), code) {
                    check_exact(book, rule, report, ways_told, found);
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
fn check_exact(
    book: &Rulebook,
    rule: &Rule,
    report: &ReportDecl,
    ways_told: bool,
    found: &mut Findings<'_>,
) {
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
        (Field::Entry | Field::Caller, Some(_)) if ways_told => return,
        (Field::Entry | Field::Caller, Some(action)) => {
            let name = &book.get(action).name;
            never(rule, format!("it wants `{condition}`, and no `calls:` lead so to `{name}`"))
                .with_place(book.get(action).span, "declared here")
                .with_help("correct the condition, or the `calls:` of whoever calls it")
        }
        _ => never_by(condition, rule)
            .with_place(report.span, "its `data:` says what it carries")
            .with_help(help_to_field(condition, &[report])),
    };
    found.add(mistake);
}

/// A rule that wants a field which nothing carries, shown at the field.
fn never_by(condition: &Condition, rule: &Rule) -> Diagnostic {
    let label = format!("it wants `{condition}`, and no report carries that");
    Diagnostic { at: condition.span, ..never(rule, label) }
}

fn help_to_field(condition: &Condition, reports: &[&ReportDecl]) -> String {
    let written = condition.field.to_string();
    let path = written.strip_prefix("data.").unwrap_or(&written);
    let carried = reports.iter().flat_map(|r| r.data.iter().flatten()).map(|field| &*field.path);
    match closest(path, carried) {
        Some(close) => format!("did you mean `data.{close}`?"),
        None => "correct the condition, or name the field in `data:` of the report".to_owned(),
    }
}

/// A rule for failures on one way, if none of what it is about is ever called on that way. Where no calls are declared,
/// nothing is known of ways. True if that is so.
fn check_ways(book: &Rulebook, rule: &Rule, found: &mut Findings<'_>) -> bool {
    let ways = |c: &&Condition| matches!(c.field, Field::Entry | Field::Caller);
    if !rule.when.iter().any(|c| ways(&c)) || book.actions().iter().all(|a| a.calls.is_empty()) {
        return false;
    }
    let about = subjects(book, rule);
    if about.is_empty() || !found.spend(about.len() * rule.when.len(), rule.span) {
        return false;
    }
    let mut told = false;
    for condition in rule.when.iter().filter(ways) {
        let Some(named) = named(book, condition) else { continue };
        let calls = |from: ActionId, id: ActionId| match condition.field {
            Field::Caller => book.callers(id).contains(&from),
            _ => from == id || book.downstream(from).binary_search(&id).is_ok(),
        };
        if about.iter().any(|id| named.iter().any(|from| calls(*from, *id))) {
            continue;
        }
        let label = match condition.field {
            Field::Caller => {
                format!("it wants `{condition}`, which calls nothing that the rule is about")
            }
            _ => {
                format!("it wants `{condition}`, whose sagas never come to what the rule is about")
            }
        };
        let mut callers: Vec<String> = about
            .iter()
            .flat_map(|id| book.callers(*id))
            .map(|id| format!("`{}`", book.get(*id).name))
            .collect();
        callers.sort_unstable();
        callers.dedup();
        let help = match callers.len() {
            0 => "nobody calls what the rule is about: leave the condition out".to_owned(),
            1..=8 => format!("what the rule is about is called by {}", callers.join(", ")),
            _ => "correct the condition, or `calls:` of the action that it names".to_owned(),
        };
        found.add(Diagnostic { at: condition.span, ..never(rule, label) }.with_help(help));
        told = true;
    }
    told
}

/// The actions whose failure a rule can be about.
fn subjects(book: &Rulebook, rule: &Rule) -> Vec<ActionId> {
    let service = rule.pattern.service.as_deref();
    if let (Some(service), CodePattern::Exact(code)) = (service, &rule.pattern.code)
        && let Some(action) = book.report(service, code).and_then(|report| report.action)
    {
        return vec![action];
    }
    let all = match service {
        Some(name) => book
            .service(name)
            .map_or_else(Vec::new, |id| book.services()[id.0 as usize].actions.clone()),
        None => book.action_ids().collect(),
    };
    let fails =
        |id: &ActionId| book.get(*id).correction_of.is_none() && can_be_about(book, rule, *id);
    all.into_iter().filter(fails).collect()
}

/// The actions that a condition allows; none if it allows whatever isn't excluded.
fn named(book: &Rulebook, condition: &Condition) -> Option<Vec<ActionId>> {
    let listed = condition.accepts().listed()?;
    let action = |scalar: &Scalar| match scalar {
        Scalar::Text(name) => {
            name.split_once('.').and_then(|(service, action)| book.action(service, action))
        }
        Scalar::Number(_) | Scalar::Bool(_) => None,
    };
    Some(listed.iter().filter_map(action).collect())
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
            never_by(condition, rule)
                .with_place(place, "a report says in `data:` what it carries")
                .with_help(help_to_field(condition, &reports)),
        );
    }
}
