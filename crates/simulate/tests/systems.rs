//! Public systems and the flows of the guide, written down as rulebooks: nothing is found in them, and that nothing is
//! left behind is proved.

use amends_rulebook::{Rulebook, Severity, SourceFile, load, render};
use amends_simulate::growth::{declarations, matrix_cells, rules_written};
use amends_simulate::{Proof, check_by_proof, prove};
use amends_workbench::{CheckSettings, count_failure_points};
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PAGE: &str = include_str!("../../../docs/internals/growth.md");
const GUIDE: &str = include_str!("../../../docs/guides/how-do-i-say-it.md");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/systems")
}

fn read(file: &Path) -> Arc<Rulebook> {
    let text = fs::read_to_string(file).expect("readable");
    let root = SourceFile { path: file.display().to_string(), text: text.into() };
    let beside = file.parent().expect("a folder");
    let loaded = load(root, &mut |path| {
        fs::read_to_string(beside.join(path)).map_err(|error| error.to_string())
    });
    let shown = render(&loaded.diagnostics, &loaded.sources, false);
    loaded.rulebook.unwrap_or_else(|| panic!("{shown}"))
}

fn is_clean(file: &Path) -> Proof {
    let book = read(file);
    let proof = prove(&book, 50_000, &mut |_| ControlFlow::Continue(()));
    assert!(proof.is_whole(), "{}: {} plays", book.name(), proof.plays);
    let mut found = check_by_proof(&book, &CheckSettings::default(), &proof);
    found.retain(|d| d.severity != Severity::Note);
    assert!(found.is_empty(), "{}", render(&found, book.sources(), false));
    proof
}

#[test]
fn nothing_is_left_behind_in_any_of_the_small_ones() {
    let files = fs::read_dir(folder()).expect("there").map(|e| e.expect("readable").path());
    let mut files: Vec<PathBuf> = files.filter(|p| p.is_file()).collect();
    files.sort();
    assert_eq!(files.len(), 5);
    let row = |file: &PathBuf| format!("{} {} |", counts(&read(file)), is_clean(file).plays);
    let mut rows: Vec<String> = files.iter().map(row).collect();
    rows.retain(|row| !PAGE.contains(row));
    assert!(rows.is_empty(), "docs/internals/growth.md doesn't say: {rows:#?}");
}

/// What the page says of a system however it is played.
fn counts(book: &Rulebook) -> String {
    let calls = || book.actions().iter().flat_map(|a| &a.calls);
    let called: BTreeSet<_> = calls().map(|c| c.action).collect();
    let entries = book.action_ids().filter(|id| !called.contains(id));
    let entries = entries.filter(|id| book.get(*id).correction_of.is_none()).count();
    let points = count_failure_points(book);
    format!(
        "| {} | {} | {entries} | {} | {points} | {} | {} | {} |",
        book.name(),
        book.services().len(),
        declarations(book),
        points + 1,
        rules_written(book),
        matrix_cells(book)
    )
}

#[test]
fn the_page_counts_the_large_one() {
    let row = counts(&read(&folder().join("train-ticket/train-ticket.yaml")));
    assert!(PAGE.contains(&row), "docs/internals/growth.md doesn't say: {row}");
}

/// Takes a minute where nothing is optimized; `cargo test --profile sim -p amends-simulate --test systems -- --ignored`
/// plays it.
#[test]
#[ignore = "takes long"]
fn nothing_is_left_behind_in_the_large_one() {
    let file = folder().join("train-ticket/train-ticket.yaml");
    let row = format!("{} {} |", counts(&read(&file)), is_clean(&file).plays);
    assert!(PAGE.contains(&row), "docs/internals/growth.md doesn't say: {row}");
}

#[test]
fn the_marketplace_of_the_demo_leaves_nothing_behind() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/rulebook");
    is_clean(&demo.join("marketplace.yaml"));
}

#[test]
fn the_flows_of_the_guide_leave_nothing_behind() {
    let examples = GUIDE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next());
    let examples: Vec<&str> = examples.flatten().collect();
    assert!(examples.len() >= 12, "{}", examples.len());
    // One that has a file beside it says how several rulebooks share a service, and nothing else of its flow.
    for example in examples.into_iter().filter(|example| !example.contains("# file: ")) {
        let book = Rulebook::from_yaml(example).unwrap_or_else(|found| panic!("{found:#?}"));
        let proof = prove(&book, 5_000, &mut |_| ControlFlow::Continue(()));
        assert!(proof.is_whole() && proof.left_behind.is_empty(), "{}: {proof:#?}", book.name());
    }
}
