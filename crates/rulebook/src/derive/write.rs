//! Writes derived answers as rulebook text: the rules that a person would have to write without sets and layers. Keeps the
//! services as they stand in the source.

use super::{Derived, FailurePoint, NeededStep, SagaState};
use crate::evidence::Evidence;
use crate::tree::{Builder, Entry, Kind};
use crate::{ReportDecl, Rulebook};
use amends_protocol::Verb;
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

/// The steps that a declared report needs: the retry of its action if that is what it says, else what undoes the state
/// at its place. None if the report doesn't name its action.
#[must_use]
pub(crate) fn needs_of_report(
    book: &Rulebook,
    report: &ReportDecl,
) -> Option<BTreeSet<NeededStep>> {
    let action = report.action?;
    if report.keep || book.get(action).on_failure_retry {
        return Some(BTreeSet::from([(Verb::Retry, action)]));
    }
    SagaState::of_report(book, report).map(|state| state.undo(book))
}

/// A rulebook with one report per failure point and one rule per report. What the source says of services stays as it
/// is written; its reports stay too, its rules don't.
#[must_use]
pub fn explicit_rulebook(book: &Rulebook, derived: &Derived, part: ExplicitPart) -> String {
    let root = book.sources.first().map_or("", |s| &*s.text);
    let (kept, cut) = without_sections(root);
    let moved = |r: &&ReportDecl| cut.iter().any(|c| r.span.file == 0 && c.contains(&r.span.start));
    let mut out = if part == ExplicitPart::Whole {
        kept.trim_end().to_owned() + "\n\n"
    } else {
        String::new()
    };
    out += "reports:\n";
    for report in book.reports().iter().filter(moved) {
        write_declared(book, report, &mut out);
    }
    let silent: Vec<&FailurePoint> = derived.silent().collect();
    for point in &silent {
        write_point(book, point, &mut out);
    }
    if part == ExplicitPart::Reports {
        return out;
    }
    out += "\nrules:\n";
    // What happens unseen is undone as well, wherever the saga could have reached it.
    let everything = if Evidence::new(book).is_complete() { "recorded" } else { "[recorded, all]" };
    for (n, report) in book.reports().iter().enumerate() {
        let needs = needs_of_report(book, report).unwrap_or_default();
        let give_up =
            report.keep.then(|| SagaState::of_report(book, report).unwrap_or_default().undo(book));
        write_rule(book, &book.report_name(n), &needs, give_up, everything, &mut out);
    }
    for point in &silent {
        let name = format!("{}/{}", book.get(point.action).name.service, point.code);
        // Its callers go on when it fails, so when it is given up more has happened than at the point: `recorded` finds it.
        let retry = point.needs.iter().any(|(verb, _)| *verb == Verb::Retry);
        write_rule(book, &name, &point.needs, retry.then(BTreeSet::new), everything, &mut out);
    }
    let _ = writeln!(out, "  - on: \"*/*\"\n    compensate: {everything}");
    out
}

/// The text without its sections `reports` and `rules`, and where those stood.
fn without_sections(text: &str) -> (String, Vec<std::ops::Range<usize>>) {
    let Ok((Some(root), _)) = Builder::new(0, 0).build(text) else {
        return (text.to_owned(), Vec::new());
    };
    let Kind::Map(entries) = root.kind else {
        return (text.to_owned(), Vec::new());
    };
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |n| at + n + 1);
    let cut = |e: &Entry| e.key_span.start..line_end(e.value.span.end.max(e.key_span.end));
    let cuts: Vec<_> =
        entries.iter().filter(|e| matches!(e.key.as_str(), "reports" | "rules")).map(cut).collect();
    let mut kept = String::new();
    let mut at = 0;
    for cut in &cuts {
        kept += &text[at..cut.start];
        at = cut.end;
    }
    kept += &text[at..];
    (kept, cuts)
}

fn write_declared(book: &Rulebook, report: &ReportDecl, out: &mut String) {
    let service = &book.services()[report.service.0 as usize].name;
    let names = |ids: &[crate::ActionId]| {
        ids.iter().map(|id| book.get(*id).name.to_string()).collect::<Vec<_>>().join(", ")
    };
    let mut parts = Vec::new();
    if let Some(action) = report.action {
        parts.push(format!("in: {}", book.get(action).name.action));
    }
    if !report.anywhere {
        parts.push(format!("after: [{}]", names(&report.after)));
    }
    if !report.without.is_empty() {
        parts.push(format!("without: [{}]", names(&report.without)));
    }
    if report.keep {
        parts.push("keep: true".to_owned());
    }
    if let Some(data) = &report.data {
        parts.push(format!(
            "data: [{}]",
            data.iter().map(|d| plain(d)).collect::<Vec<_>>().join(", ")
        ));
    }
    let _ = writeln!(
        out,
        "  {}: {{ {} }}",
        plain(&format!("{service}/{}", report.code)),
        parts.join(", ")
    );
}

fn write_point(book: &Rulebook, point: &FailurePoint, out: &mut String) {
    let action = book.get(point.action);
    let mut after: Vec<String> = Vec::new();
    let (last, sent) = match point.position {
        super::Position::Start => (None, false),
        super::Position::Sent(n) => (action.calls.get(n), true),
        super::Position::After(n) => (action.calls.get(n), false),
    };
    after.extend(last.map(|c| book.get(c.action).name.to_string()));
    for id in point.taken.iter().filter(|id| last.is_none_or(|c| c.action != **id)) {
        after.push(book.get(*id).name.to_string());
    }
    let mut parts =
        vec![format!("in: {}", action.name.action), format!("after: [{}]", after.join(", "))];
    let names = point.not_taken.iter().map(|id| book.get(*id).name.to_string());
    // An action that is called twice may be left out once.
    let without: Vec<String> = names.filter(|name| !after.contains(name)).collect();
    if !without.is_empty() {
        parts.push(format!("without: [{}]", without.join(", ")));
    }
    let name = plain(&format!("{}/{}", action.name.service, point.code));
    let comment = if sent { "  # the last call may still take effect" } else { "" };
    let _ = writeln!(out, "  {name}: {{ {} }}{comment}", parts.join(", "));
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
    if let Some(undo) = give_up {
        let undo = demand_lines(book, &undo);
        let then =
            if undo.is_empty() { format!("compensate: {everything}") } else { undo.join(", ") };
        let _ = writeln!(out, "    give_up: {{ after: 10 attempts, then: {{ {then} }} }}");
    }
}

fn demand_lines(book: &Rulebook, needs: &BTreeSet<NeededStep>) -> Vec<String> {
    let verbs = [Verb::Compensate, Verb::Retry, Verb::Notify];
    let line = |verb: Verb| {
        let of = |step: &&NeededStep| step.0 == verb;
        let names: Vec<_> =
            needs.iter().filter(of).map(|(_, id)| book.get(*id).name.to_string()).collect();
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
