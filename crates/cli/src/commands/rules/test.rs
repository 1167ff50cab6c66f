//! `amends rules test`: runs the table tests beside rulebooks, with coverage of rules and cells.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{Diagnostic, Severity, SourceFile, position, render};
use amends_workbench::{LoadedTests, TestReport, junit, load_tests, rulebook_path, run_tests};
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest test file, as of a rulebook.
const FILE_LIMIT_BYTES: u64 = 16 << 20;

/// Options of `rules test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules test rules.test.yaml\n  \
amends rules test rules/ --junit results.xml\n  amends rules test rules.test.yaml --watch")]
pub struct TestOptions {
    /// Test files, rulebooks with such a file beside them, or folders with *.test.yaml files
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// The rulebook to test, instead of the one that each test file names
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Name what no test reaches
    #[arg(long)]
    missed: bool,
    /// Run again whenever a file changes, until interrupted
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &TestOptions) -> Outcome {
    if options.watch { super::watch::run(options) } else { once(options) }
}

/// What came of one test file.
enum Suite {
    Ran(TestReport),
    /// It or its rulebook has mistakes.
    Broken {
        diagnostics: Vec<Diagnostic>,
        sources: Vec<SourceFile>,
    },
}

/// Runs every test of every file.
pub(super) fn once(options: &TestOptions) -> Outcome {
    let mut suites: Vec<(String, Suite)> = Vec::new();
    for file in test_files(&options.paths)? {
        let source = read(&file)?;
        let suite = run_file(&source, &rulebook_of(options, &file, &source)?)?;
        match &suite {
            Suite::Ran(report) if !options.json => print(&source, report, options.missed)?,
            Suite::Ran(_) => {}
            Suite::Broken { diagnostics, sources } => {
                output::tell(output::drawn(diagnostics, sources).trim_end());
            }
        }
        suites.push((source.path, suite));
    }
    if let Some(path) = &options.junit {
        let place = path.display();
        fs::write(path, as_junit(&suites)).with_context(|| format!("cannot write `{place}`"))?;
    }
    let reports = || suites.iter().filter_map(|(_, s)| s.report());
    let failed: usize = reports().map(|r| r.failed().count()).sum();
    let passed = reports().map(|r| r.results.len()).sum::<usize>() - failed;
    let broken = suites.len() - reports().count();
    if options.json {
        output::json(&as_json(&suites, passed, failed))?;
    } else {
        let broken = match broken {
            0 => String::new(),
            1 => ", 1 file could not be run".to_owned(),
            n => format!(", {n} files could not be run"),
        };
        output::line(&format!("{passed} passed, {failed} failed{broken}"))?;
    }
    if failed > 0 || broken > 0 { Err(Failure::Findings) } else { Ok(()) }
}

fn run_file(source: &SourceFile, rulebook: &Path) -> Outcome<Suite> {
    let loaded = super::load_one(rulebook)?.loaded;
    let Some(book) = loaded.rulebook else {
        return Ok(Suite::Broken { diagnostics: loaded.diagnostics, sources: loaded.sources });
    };
    let LoadedTests { tests, diagnostics } = load_tests(source, &book);
    let sources = vec![source.clone()];
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return Ok(Suite::Broken { diagnostics, sources });
    }
    if !diagnostics.is_empty() {
        output::tell(output::drawn(&diagnostics, &sources).trim_end());
    }
    Ok(Suite::Ran(run_tests(&book, &tests)))
}

impl Suite {
    fn report(&self) -> Option<&TestReport> {
        match self {
            Self::Ran(report) => Some(report),
            Self::Broken { .. } => None,
        }
    }
}

fn as_junit(suites: &[(String, Suite)]) -> String {
    let mut told = Vec::new();
    for (file, suite) in suites {
        let suite = match suite {
            Suite::Ran(report) => amends_workbench::Suite::Ran(report),
            Suite::Broken { diagnostics, sources } => {
                amends_workbench::Suite::Broken(render(diagnostics, sources, false))
            }
        };
        told.push((file.clone(), suite));
    }
    junit(&told)
}

fn as_json(suites: &[(String, Suite)], passed: usize, failed: usize) -> Value {
    let mut files = Vec::new();
    let mut broken = Vec::new();
    for (file, suite) in suites {
        match suite {
            Suite::Ran(report) => {
                let mut one = report.to_json();
                one["file"] = json!(file);
                files.push(one);
            }
            Suite::Broken { diagnostics, sources } => {
                let found: Vec<_> = diagnostics.iter().map(|d| d.to_json(sources)).collect();
                broken.push(json!({ "file": file, "diagnostics": found }));
            }
        }
    }
    json!({ "files": files, "broken": broken, "passed": passed, "failed": failed })
}

/// Every file that the tests are made of, as far as it can be told now: test files, their rulebooks, what these import.
pub(super) fn files(options: &TestOptions) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for file in test_files(&options.paths).unwrap_or_default() {
        let rulebook = read(&file).and_then(|source| rulebook_of(options, &file, &source));
        if let Ok(book) = rulebook.and_then(|path| super::load_one(&path)) {
            all.extend(book.files().map(Path::to_owned));
        }
        all.push(file);
    }
    all
}

/// The folder that a file lies in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn test_files(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let place = path.display();
        if !path.is_dir() {
            files.push(beside(path).unwrap_or_else(|| path.clone()));
            continue;
        }
        let entries = fs::read_dir(path).with_context(|| format!("cannot read `{place}`"))?;
        let is_test = |p: &PathBuf| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.ends_with(".test.yaml") || name.ends_with(".test.yml")
        };
        let mut found: Vec<_> = entries.flatten().map(|e| e.path()).filter(is_test).collect();
        if found.is_empty() {
            return Err(Failure::Local(anyhow!(
                "`{place}` has no tests; they are named *.test.yaml"
            )));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// The test file that lies beside a rulebook, if there is one.
fn beside(rulebook: &Path) -> Option<PathBuf> {
    let stem = rulebook.file_stem()?.to_str()?;
    let extension = rulebook.extension()?.to_str()?;
    let tests = rulebook.with_file_name(format!("{stem}.test.{extension}"));
    (!stem.ends_with(".test") && tests.is_file()).then_some(tests)
}

fn read(path: &Path) -> Outcome<SourceFile> {
    let place = path.display();
    let size = fs::metadata(path).with_context(|| format!("cannot read `{place}`"))?.len();
    if size > FILE_LIMIT_BYTES {
        return Err(Failure::Local(anyhow!("`{place}` is larger than 16 MiB")));
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{place}`"))?;
    Ok(SourceFile { path: place.to_string(), text: text.into() })
}

/// The rulebook that was asked for, that the test file names, or that lies beside it under its name without `.test`.
fn rulebook_of(options: &TestOptions, file: &Path, source: &SourceFile) -> Outcome<PathBuf> {
    if let Some(path) = &options.rules {
        return Ok(path.clone());
    }
    let folder = folder_of(file);
    if let Some(named) = rulebook_path(source) {
        return Ok(folder.join(named));
    }
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = folder.join(name.replacen(".test.", ".", 1));
    if name.contains(".test.") && beside.is_file() {
        return Ok(beside);
    }
    let place = file.display();
    Err(Failure::Local(anyhow!(
        "`{place}` doesn't say which rulebook it tests; add `rulebook: FILE`"
    )))
}

fn print(source: &SourceFile, report: &TestReport, missed: bool) -> Outcome {
    for result in &report.results {
        let line = position(&source.text, result.span.start).0;
        let word = if result.differences.is_empty() { "ok    " } else { "FAILED" };
        output::line(&format!("{word} {}:{line} {}", source.path, result.name))?;
        for difference in &result.differences {
            output::line(&format!("         {difference}"))?;
        }
    }
    let [(rules, all_rules), (cells, all_cells)] = report.coverage.counts();
    output::line(&format!(
        "reached: {rules} of {all_rules} rules, {cells} of {all_cells} cells of reports and actions"
    ))?;
    if missed {
        for (rule, _) in report.coverage.rules.iter().filter(|(_, reached)| !**reached) {
            output::line(&format!("  no test reaches rule `{rule}`"))?;
        }
        for ((row, step), _) in report.coverage.cells.iter().filter(|(_, reached)| !**reached) {
            output::line(&format!("  no test of `{row}` reaches: {step}"))?;
        }
    }
    Ok(())
}
