//! Writes derived answers as rulebook text: the rules that a person would have to write without sets and layers. Keeps the
//! services as they stand in the source.

use super::kept::Kept;
use super::point::{Derived, FailurePoint};
use crate::evidence::everything;
use crate::places::{NeededStep, Place};
use amends_protocol::Verb;
use amends_rulebook::{ActionId, DataField, DataRole, Endpoint, NamedCall, ReportDecl, Rulebook};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplicitPart {
    /// The whole rulebook.
    Whole,
    /// The reports that the services should declare, with the place of each.
    Reports,
}

/// The steps that a declared report needs: the retry of its action if that is what it says and nobody fails because of
/// it who would have to be run again as well; else what undoes the state at its place. None if the report doesn't name
/// its action.
#[must_use]
pub(crate) fn needs_of_report(
    book: &Rulebook,
    report: &ReportDecl,
) -> Option<BTreeSet<NeededStep>> {
    let action = report.action?;
    let fails_too = |caller: &ActionId| {
        book.get(*caller).calls.iter().any(|call| call.action == action && call.is_strict())
    };
    let is_kept = report.keep && !book.callers(action).iter().any(fails_too);
    if is_kept || book.get(action).on_failure_retry {
        return Some(BTreeSet::from([(Verb::Retry, action)]));
    }
    Place::of_report(book, report).map(|place| place.state(book).undo(book))
}

/// A rulebook with one report per failure point and one rule per report. What the source says of services stays as it
/// is written; its reports stay too, its rules don't. A point that no report could tell from another one is left to the
/// last rule, and named.
#[must_use]
pub fn explicit_rulebook(book: &Rulebook, derived: &Derived, part: ExplicitPart) -> String {
    let root = book.sources().first().map_or("", |s| &*s.text);
    let Kept { text: kept, cut } = Kept::of(root, &["reports", "rules"]);
    let moved = |r: &&ReportDecl| cut.iter().any(|c| r.span.file == 0 && c.contains(&r.span.start));
    let mut out = match part {
        ExplicitPart::Whole if !kept.is_empty() => kept + "\n",
        ExplicitPart::Whole | ExplicitPart::Reports => String::new(),
    };
    out += "reports:\n";
    for report in book.reports().iter().filter(moved) {
        write_declared(book, report, &mut out);
    }
    let silent: Vec<(&FailurePoint, Option<ReportDecl>)> =
        derived.silent().map(|point| (point, point.declaration(book))).collect();
    for (point, report) in &silent {
        match report {
            Some(report) => write_declared(book, report, &mut out),
            None => {
                let name = &book.get(point.action).name;
                let place = point.in_words(book);
                let _ =
                    writeln!(out, "  # `{name}` {place}: no report tells it from another place");
            }
        }
    }
    if part == ExplicitPart::Reports {
        return out;
    }
    out += "\nrules:\n";
    let everything = everything(book);
    for (n, report) in book.reports().iter().enumerate() {
        let needs = needs_of_report(book, report).unwrap_or_default();
        // Its callers go on when it is only run again, so more has happened when it is given up: `recorded` finds it.
        let goes_on = report.action.is_some_and(|id| book.get(id).on_failure_retry);
        let undo = |place: Place| place.state(book).undo(book);
        let give_up = report.keep.then(|| {
            let place = Place::of_report(book, report).filter(|_| !goes_on);
            place.map(undo).unwrap_or_default()
        });
        write_rule(book, &book.report_name(n), &needs, give_up, everything, &mut out);
    }
    for (point, _) in silent.iter().filter(|(_, report)| report.is_some()) {
        let name = format!("{}/{}", book.get(point.action).name.service, point.code);
        // Its callers go on when it fails, so when it is given up more has happened than at the point: `recorded` finds it.
        let retry = point.needs.iter().any(|(verb, _)| *verb == Verb::Retry);
        write_rule(book, &name, &point.needs, retry.then(BTreeSet::new), everything, &mut out);
    }
    let _ = writeln!(out, "  - on: \"*/*\"\n    compensate: {everything}");
    out
}

fn write_declared(book: &Rulebook, report: &ReportDecl, out: &mut String) {
    let service = &book.services()[report.service.0 as usize].name;
    let names = |calls: &[NamedCall]| {
        calls
            .iter()
            .map(|call| call.written(|id| book.get(id).name.to_string()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut parts = Vec::new();
    if let Some(action) = report.action {
        parts.push(format!("in: {}", book.get(action).name.action));
    }
    let starts = !report.anywhere && report.sent.is_none();
    if starts || !report.after.is_empty() {
        parts.push(format!("after: [{}]", names(&report.after)));
    }
    if let Some(sent) = report.sent {
        parts.push(format!("sent: {}", book.get(sent).name));
    }
    if !report.without.is_empty() {
        parts.push(format!("without: [{}]", names(&report.without)));
    }
    if report.keep {
        parts.push("keep: true".to_owned());
    }
    if let Some(data) = &report.data {
        parts.push(data_fields(data));
    }
    let _ = writeln!(
        out,
        "  {}: {{ {} }}",
        plain(&format!("{service}/{}", report.code)),
        parts.join(", ")
    );
}

fn write_rule(
    book: &Rulebook,
    on: &str,
    needs: &BTreeSet<NeededStep>,
    give_up: Option<BTreeSet<NeededStep>>,
    everything: &str,
    out: &mut String,
) {
    let _ = writeln!(out, "  - on: {}", plain(on));
    if needs.iter().all(|(verb, _)| *verb == Verb::Notify) {
        // A rule without `compensate` doesn't undo the failing action itself, which may be half done.
        out.push_str("    compensate: recorded  # nothing below it is to be undone by then\n");
    }
    for line in demand_lines(book, needs) {
        let _ = writeln!(out, "    {line}");
    }
    let is_retried = needs.iter().any(|(verb, _)| *verb == Verb::Retry);
    if let Some(undo) = give_up.filter(|_| is_retried) {
        let undo = demand_lines(book, &undo);
        let then =
            if undo.is_empty() { format!("compensate: {everything}") } else { undo.join(", ") };
        let _ = writeln!(out, "    give_up: {{ after: 10 attempts, then: {{ {then} }} }}");
    }
}

fn demand_lines(book: &Rulebook, needs: &BTreeSet<NeededStep>) -> Vec<String> {
    let verbs = [Verb::Compensate, Verb::Retry, Verb::Notify];
    // What is undone request by request is undone as far as it is told, and for a list nobody is asked.
    let is_by_request = |step: &&NeededStep| {
        let undo = book.get(step.1).endpoints.compensate.as_ref();
        step.0 == Verb::Compensate && undo.is_some_and(Endpoint::is_for_one_request)
    };
    let asks = needs.iter().any(|step| is_by_request(&step));
    let line = |verb: Verb| {
        let of = |step: &&NeededStep| step.0 == verb;
        let recorded = (asks && verb == Verb::Compensate).then(|| "recorded".to_owned());
        let names = needs.iter().filter(of).map(|(_, id)| book.get(*id).name.to_string());
        let names: Vec<String> = recorded.into_iter().chain(names).collect();
        (!names.is_empty()).then(|| format!("{verb}: [{}]", names.join(", ")))
    };
    verbs.into_iter().filter_map(line).collect()
}

/// In quotes if YAML would read it as something else.
fn plain(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let clear = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(safe)
        && text.contains(['/', '.']);
    if clear { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// `data:` as short as what is known of its fields allows.
fn data_fields(data: &[DataField]) -> String {
    let of_field = |field: &DataField| {
        let mut known = Vec::new();
        known.extend(field.kind.map(|kind| format!("type: {}", kind.as_str())));
        known.extend(field.secret.then(|| "secret: true".to_owned()));
        if let Some(role) = &field.role {
            known.push(format!("role: {}", role.as_str()));
            if let DataRole::Amount(currency) = role {
                known.push(format!("currency: {}", plain(currency.as_str())));
            }
        }
        let value = match (field.kind, known.len()) {
            (_, 0) => "~".to_owned(),
            (Some(kind), 1) => kind.as_str().to_owned(),
            _ => format!("{{ {} }}", known.join(", ")),
        };
        format!("{}: {value}", plain(&field.path))
    };
    let is_bare = |field: &DataField| field.kind.is_none() && !field.secret && field.role.is_none();
    match data.iter().all(is_bare) {
        true => {
            let paths: Vec<_> = data.iter().map(|field| plain(&field.path)).collect();
            format!("data: [{}]", paths.join(", "))
        }
        false => {
            format!("data: {{ {} }}", data.iter().map(of_field).collect::<Vec<_>>().join(", "))
        }
    }
}
