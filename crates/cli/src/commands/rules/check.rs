//! `amends rules check`: all mistakes of all files at once, each with its place and how to mend it.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{Diagnostic, Severity, SourceFile, check_together, render, sources_together};
use serde_json::json;
use std::path::PathBuf;

/// Options of `rules check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules check rules.yaml\n  amends rules check rules/ --deny-warnings\n  \
amends rules check rules/ --json"
)]
pub struct CheckOptions {
    /// Rulebook files, or folders of them; they are also checked against each other
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print the findings as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Warnings fail too
    #[arg(long)]
    deny_warnings: bool,
}

/// Findings with the files that they point into.
struct Findings {
    diagnostics: Vec<Diagnostic>,
    sources: Vec<SourceFile>,
}

pub(super) fn run(options: CheckOptions) -> Outcome {
    let mut all = Vec::new();
    let mut good = Vec::new();
    let mut files = 0;
    for path in &options.paths {
        for file in super::read(path)? {
            files += 1;
            good.extend(file.loaded.rulebook);
            all.push(Findings {
                diagnostics: file.loaded.diagnostics,
                sources: file.loaded.sources,
            });
        }
    }
    all.push(Findings { diagnostics: check_together(&good), sources: sources_together(&good) });
    let count = |severity| {
        all.iter().flat_map(|f| &f.diagnostics).filter(|d| d.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if options.json {
        print_json(&all, files, errors, warnings)?;
    } else {
        print_text(&all, files, errors, warnings);
    }
    if errors > 0 || (options.deny_warnings && warnings > 0) {
        Err(Failure::Findings)
    } else {
        Ok(())
    }
}

fn print_json(all: &[Findings], files: usize, errors: usize, warnings: usize) -> Outcome {
    let each = all.iter().flat_map(|f| f.diagnostics.iter().map(|d| d.to_json(&f.sources)));
    let found: Vec<_> = each.collect();
    output::json(
        &json!({ "files": files, "errors": errors, "warnings": warnings, "diagnostics": found }),
    )
}

fn print_text(all: &[Findings], files: usize, errors: usize, warnings: usize) {
    for findings in all.iter().filter(|f| !f.diagnostics.is_empty()) {
        let drawn = render(&findings.diagnostics, &findings.sources, output::color_on_stderr());
        // The last line counts one file's findings; the summary below counts them all.
        let drawn = drawn.trim_end();
        let body = drawn.rsplit_once("\n\n").map_or(drawn, |(body, _)| body);
        output::tell(&format!("{body}\n"));
    }
    output::tell(&format!(
        "{} checked: {}, {}",
        counted(files, "rulebook"),
        counted(errors, "error"),
        counted(warnings, "warning")
    ));
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
