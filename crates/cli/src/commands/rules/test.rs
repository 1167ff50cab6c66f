//! `amends rules test`: runs the table tests beside rulebooks, with coverage of rules and cells.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_rulebook::{
    LoadedTests, SourceFile, TestReport, junit, load_tests, position, render, rulebook_path,
    run_tests,
};
use anyhow::{Context, anyhow};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Longest test file, as of a rulebook.
const FILE_LIMIT_BYTES: u64 = 16 << 20;

/// How often `--watch` looks: a person who saves a file sees the result at once.
const WATCH_EVERY: Duration = Duration::from_millis(300);

/// Options of `rules test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends rules test rules.test.yaml\n  \
amends rules test rules/ --junit results.xml\n  amends rules test rules.test.yaml --watch")]
pub struct TestOptions {
    /// Test files, rulebooks with such a file beside them, or folders with *.test.yaml files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The rulebook to test, instead of the one that each test file names
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
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
    if !options.watch {
        return once(options);
    }
    loop {
        let before = stamps(options)?;
        match once(options) {
            Ok(()) | Err(Failure::Findings) => {}
            Err(Failure::Local(error)) => output::tell(&format!("error: {error:#}")),
            Err(other) => return Err(other),
        }
        output::tell("waiting for a change");
        while stamps(options)? == before {
            std::thread::sleep(WATCH_EVERY);
        }
    }
}

/// When each file that may matter changed last: the test files and all that lies beside them.
fn stamps(options: &TestOptions) -> Outcome<BTreeMap<PathBuf, Option<SystemTime>>> {
    let mut all = BTreeMap::new();
    let mut folders: Vec<PathBuf> = options.paths.clone();
    folders.extend(options.rules.clone());
    for path in folders {
        let folder = if path.is_dir() { path } else { folder_of(&path) };
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for file in entries.flatten().map(|e| e.path()).filter(|p| is_yaml(p)) {
            let changed = fs::metadata(&file).and_then(|m| m.modified()).ok();
            all.insert(file, changed);
        }
    }
    Ok(all)
}

fn once(options: &TestOptions) -> Outcome {
    let files = test_files(&options.paths)?;
    let mut suites: Vec<(String, TestReport)> = Vec::new();
    let mut broken = false;
    for file in files {
        let source = read(&file)?;
        let book = super::read_one(&rulebook_of(options, &file, &source)?)?;
        let LoadedTests { tests, diagnostics } = load_tests(&source, &book);
        if !diagnostics.is_empty() {
            broken = true;
            let drawn = render(&diagnostics, &[source], output::color_on_stderr());
            output::tell(drawn.trim_end());
            continue;
        }
        let report = run_tests(&book, &tests);
        if !options.json {
            print(&source, &report, options.missed)?;
        }
        suites.push((source.path, report));
    }
    if let Some(path) = &options.junit {
        let suites: Vec<_> = suites.iter().map(|(file, r)| (file.clone(), r)).collect();
        let place = path.display();
        fs::write(path, junit(&suites)).with_context(|| format!("cannot write `{place}`"))?;
    }
    let failed: usize = suites.iter().map(|(_, r)| r.failed().count()).sum();
    let all: usize = suites.iter().map(|(_, r)| r.results.len()).sum();
    if options.json {
        let files: Vec<_> = suites
            .iter()
            .map(|(file, report)| {
                let mut one = report.to_json();
                one["file"] = json!(file);
                one
            })
            .collect();
        output::json(&json!({ "files": files, "passed": all - failed, "failed": failed }))?;
    } else {
        output::line(&format!("{} passed, {failed} failed", all - failed))?;
    }
    if failed > 0 || broken { Err(Failure::Findings) } else { Ok(()) }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

fn folder_of(path: &Path) -> PathBuf {
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
