//! Diagnostics as SARIF 2.1.0, which code review tools show beside the lines.

use amends_protocol::wire::percent;
use amends_rulebook::{CODES, Diagnostic, LineIndex, Severity, SourceFile, Span};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where each kind of mistake is described.
const HELP_PAGE: &str =
    "https://github.com/amends-dev/amends/blob/main/docs/reference/diagnostics.md";

/// One run with all findings. `parts` are findings with the sources that their spans point into.
#[must_use]
pub fn sarif(parts: &[(&[Diagnostic], &[SourceFile])]) -> Value {
    let used: BTreeSet<&str> =
        parts.iter().flat_map(|(found, _)| found.iter().map(|d| d.code)).collect();
    let rules: Vec<Value> = CODES
        .iter()
        .filter(|c| used.contains(c.code))
        .map(|c| {
            json!({
                "id": c.code,
                "shortDescription": { "text": c.summary },
                "helpUri": format!("{HELP_PAGE}#{}", c.code),
                "defaultConfiguration": { "level": level(c.severity) },
            })
        })
        .collect();
    let mut results = Vec::new();
    for (found, sources) in parts {
        let lines: Vec<LineIndex<'_>> = sources.iter().map(|s| LineIndex::new(&s.text)).collect();
        for diagnostic in *found {
            let position = rules.iter().position(|r| r["id"] == diagnostic.code);
            results.push(result(diagnostic, position, sources, &lines));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "amends",
                "informationUri": "https://github.com/amends-dev/amends",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    severity.as_str()
}

fn result(
    diagnostic: &Diagnostic,
    rule: Option<usize>,
    sources: &[SourceFile],
    lines: &[LineIndex<'_>],
) -> Value {
    let place = |span: Span| {
        let source = sources.get(span.file)?;
        let index = lines.get(span.file)?;
        let ((line, column), (end_line, end_column)) =
            (index.position(span.start), index.position(span.end));
        Some(json!({ "physicalLocation": {
            "artifactLocation": { "uri": percent::path(&source.path).to_string() },
            "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
        } }))
    };
    let mut text = diagnostic.message.clone();
    if let Some(help) = &diagnostic.help {
        text += &format!(". Help: {help}");
    }
    let related: Vec<Value> = diagnostic
        .related
        .iter()
        .enumerate()
        .filter_map(|(n, (span, label))| {
            let mut one = place(*span)?;
            one["id"] = (n + 1).into();
            one["message"] = json!({ "text": if label.is_empty() { "see here" } else { label } });
            Some(one)
        })
        .collect();
    let mut all = json!({
        "ruleId": diagnostic.code,
        "level": level(diagnostic.severity),
        "message": { "text": text },
        "locations": place(diagnostic.at).into_iter().collect::<Vec<_>>(),
        "relatedLocations": related,
    });
    if let Some(rule) = rule {
        all["ruleIndex"] = rule.into();
    }
    all
}
