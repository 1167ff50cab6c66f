//! `amends rules check`: all mistakes of all files at once, each with its place and how to mend it; then the rules of those
//! that can be read against what failures need, by playing every single failure.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{
    Diagnostic, RuleId, Rulebook, Severity, SourceFile, check_together, codes, sources_together,
};
use amends_simulate::{Proof, check_by_proof};
use amends_workbench::{
    CheckSettings, LoadedTests, check_with, load_tests, rulebook_path, run_tests, sarif,
};
use anyhow::Context;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Options of `rules check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules check rules.yaml\n  amends rules check rules/ --deny-warnings\n  \
amends rules check rules/ --json\n  amends rules check rules/ --severity rule-without-owner=warning\n  \
amends rules check rules/ --sarif > rules.sarif"
)]
pub struct CheckOptions {
    /// Rulebook files, or folders of them; they are also checked against each other
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print the findings as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Print the findings as SARIF 2.1.0, for code review tools
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
    /// How grave a kind of finding is: CODE=error, warning, note or off. Repeatable
    #[arg(long, value_name = "CODE=WORD", value_parser = severity)]
    severity: Vec<(String, Option<Severity>)>,
    /// Only whether the files can be loaded; not whether the rules leave anything behind
    #[arg(long)]
    load_only: bool,
    /// Judge the rules by what can be seen without playing their sagas
    #[arg(long)]
    no_proof: bool,
    /// Tell on standard error how far the proof has come, also where that is no terminal
    #[arg(long, conflicts_with = "no_proof")]
    progress: bool,
    /// Warnings fail too
    #[arg(long)]
    deny_warnings: bool,
}

fn severity(text: &str) -> Result<(String, Option<Severity>), String> {
    let (code, word) = text.split_once('=').ok_or("write `code=word`")?;
    let severity = match word {
        "error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "note" => Some(Severity::Note),
        "off" => None,
        other => return Err(format!("`{other}` is not `error`, `warning`, `note` or `off`")),
    };
    CheckSettings::default().set(code, severity)?;
    Ok((code.to_owned(), severity))
}

/// Findings with the files that they point into.
struct Findings {
    diagnostics: Vec<Diagnostic>,
    sources: Vec<SourceFile>,
    /// Those that the person has been reported.
    told: Vec<Diagnostic>,
}

impl Findings {
    fn of(diagnostics: Vec<Diagnostic>, sources: Vec<SourceFile>) -> Self {
        Self { diagnostics, sources, told: Vec::new() }
    }

    /// Tells what is seen without playing: playing may take minutes. What playing judges anew is not among it.
    fn tell_at_once(&mut self, book: &Rulebook, settings: &CheckSettings) {
        let mut seen = self.diagnostics.clone();
        let found = check_with(book, settings).into_iter();
        seen.extend(found.filter(|d| d.code != codes::UNDER_COMPENSATION));
        show(&seen, &self.sources);
        self.told = seen;
    }

    /// Tells what was not told yet.
    fn tell(&self) {
        let is_new = |d: &&Diagnostic| !self.told.contains(d);
        let rest: Vec<Diagnostic> = self.diagnostics.iter().filter(is_new).cloned().collect();
        show(&rest, &self.sources);
    }
}

fn show(diagnostics: &[Diagnostic], sources: &[SourceFile]) {
    if diagnostics.is_empty() {
        return;
    }
    let drawn = output::drawn(diagnostics, sources);
    // The last line counts these findings; the summary counts all of them.
    let drawn = drawn.trim_end();
    let body = drawn.rsplit_once("\n\n").map_or(drawn, |(body, _)| body);
    output::tell(&format!("{body}\n"));
}

pub(super) fn run(options: CheckOptions) -> Outcome {
    let mut all = Vec::new();
    let mut good = Vec::new();
    let mut files = 0;
    let mut seen = BTreeSet::new();
    let mut proofs = Vec::new();
    let as_text = !(options.sarif || options.json);
    for path in &options.paths {
        for file in super::read(path)? {
            // A file that is named twice, or stands in a folder that is named too, is no second rulebook.
            if !seen.insert(fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone())) {
                continue;
            }
            files += 1;
            let mut findings = Findings::of(file.loaded.diagnostics, file.loaded.sources);
            if let Some(book) = file.loaded.rulebook.as_ref().filter(|_| !options.load_only) {
                let settings = settings(&options, &file.path, book)?;
                if options.no_proof {
                    findings.diagnostics.extend(check_with(book, &settings));
                } else {
                    if as_text {
                        findings.tell_at_once(book, &settings);
                    }
                    let proof = super::proofs::of(book, options.progress);
                    findings.diagnostics.extend(check_by_proof(book, &settings, &proof));
                    proofs.push(proof);
                }
            }
            good.extend(file.loaded.rulebook);
            if as_text {
                findings.tell();
            }
            all.push(findings);
        }
    }
    let together = Findings::of(check_together(&good), sources_together(&good));
    if as_text {
        together.tell();
    }
    all.push(together);
    let count = |severity| {
        all.iter().flat_map(|f| &f.diagnostics).filter(|d| d.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let notes = count(Severity::Note);
    if options.sarif {
        let parts: Vec<_> =
            all.iter().map(|f| (f.diagnostics.as_slice(), f.sources.as_slice())).collect();
        output::json(&sarif(&parts))?;
    } else if options.json {
        print_json(&all, files, [errors, warnings, notes], &proofs)?;
    } else {
        tell_of(&proofs);
        print_summary(files, [errors, warnings, notes]);
    }
    if errors > 0 || (options.deny_warnings && warnings > 0) {
        Err(Failure::Findings)
    } else {
        Ok(())
    }
}

/// The severities asked for, and the rules that tests beside the rulebook reach, if that is asked for.
fn settings(options: &CheckOptions, path: &Path, book: &Rulebook) -> Outcome<CheckSettings> {
    let mut settings = CheckSettings::default();
    for (code, severity) in &options.severity {
        settings.set(code, *severity).map_err(Failure::Usage)?;
    }
    if settings.severities.get("rule-without-test").is_some_and(Option::is_some) {
        settings.tested = Some(tested(path, book)?);
    }
    Ok(settings)
}

/// The rules that the tests in `*.test.yaml` beside the rulebook reach. A test file that cannot be read reaches nothing,
/// which would be a finding for the wrong reason.
fn tested(path: &Path, book: &Rulebook) -> Outcome<BTreeSet<RuleId>> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = |path: &Path| format!("cannot read `{}`", path.display());
    let mut reached = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| named(folder))? {
        let file = entry.with_context(|| named(folder))?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !(name.ends_with(".test.yaml") || name.ends_with(".test.yml")) {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| named(&file))?;
        let source = SourceFile { path: file.display().to_string(), text: text.into() };
        let about = rulebook_path(&source).map(|of| folder.join(of));
        if about.is_none_or(|of| of.file_name() != path.file_name()) {
            continue;
        }
        let LoadedTests { tests, diagnostics } = load_tests(&source, book);
        if diagnostics.iter().any(|d| d.severity == Severity::Error) {
            let drawn = output::drawn(&diagnostics, &[source]);
            output::tell(drawn.trim_end());
            return Err(Failure::Findings);
        }
        let coverage = run_tests(book, &tests).coverage;
        let labels: BTreeSet<_> = coverage
            .rules
            .iter()
            .filter(|(_, hit)| **hit)
            .map(|(label, _)| label.as_str())
            .collect();
        let rules = book.rules().iter().filter(|r| labels.contains(r.index_label.as_str()));
        reached.extend(rules.map(|r| r.id));
    }
    Ok(reached)
}

fn print_json(
    all: &[Findings],
    files: usize,
    [errors, warnings, notes]: [usize; 3],
    proofs: &[Proof],
) -> Outcome {
    let each = all.iter().flat_map(|f| f.diagnostics.iter().map(|d| d.to_json(&f.sources)));
    let found: Vec<_> = each.collect();
    let plays: usize = proofs.iter().map(|p| p.plays).sum();
    let proved = !proofs.is_empty() && proofs.iter().all(Proof::is_whole);
    output::json(
        &json!({ "files": files, "plays": plays, "proved": proved, "errors": errors, "warnings": warnings, "notes": notes, "diagnostics": found }),
    )
}

fn print_summary(files: usize, [errors, warnings, notes]: [usize; 3]) {
    let notes = if notes > 0 { format!(", {}", counted(notes, "note")) } else { String::new() };
    output::tell(&format!(
        "{} checked: {}, {}{notes}",
        counted(files, "rulebook"),
        counted(errors, "error"),
        counted(warnings, "warning")
    ));
}

/// How much a clean result rests on.
fn tell_of(proofs: &[Proof]) {
    let plays = proofs.iter().map(|p| p.plays).sum();
    if plays > 0 && proofs.iter().all(Proof::is_whole) {
        output::tell(&format!("every single failure was played: {}", counted(plays, "time")));
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
