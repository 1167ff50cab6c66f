//! What `explain` says may have happened is what `check` judges by: the one model of places. Over all good rulebooks
//! of the corpus and six public systems.

use amends_protocol::{Report, ReportData, SagaId, Verb};
use amends_rulebook::{CaseFacts, Rulebook, SourceFile, load_sources};
use amends_workbench::{Place, explain};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let mut all: Vec<PathBuf> = entries.collect();
    all.sort();
    all
}

/// Those that need no other file.
fn books() -> Vec<Arc<Rulebook>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = files(&here.join("tests/data/corpus/good"));
    all.extend(files(&here.join("../simulate/tests/data/systems")));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let source = SourceFile { path: path.display().to_string(), text: text.into() };
        load_sources(vec![source]).rulebook
    };
    all.into_iter().filter_map(read).collect()
}

fn report(service: &str, code: &str, action: &str) -> Report {
    Report {
        id: "r-1".to_owned(),
        source: service.to_owned(),
        saga_id: SagaId::new("s-1").expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData {
            code: code.to_owned(),
            action: Some(action.to_owned()),
            ..ReportData::default()
        },
    }
}

#[test]
fn what_may_have_happened_is_told_alike_by_explain_and_check() {
    const TOO: &str = "if the Histories say that these happened too: ";
    let (mut looked_at, mut told) = (0, 0);
    for book in books() {
        for decl in book.reports() {
            let Some(place) = Place::of_report(&book, decl) else { continue };
            let Some(name) = decl.action.map(|id| &book.get(id).name) else { continue };
            let report = report(&name.service, &decl.code, &name.action);
            let explained = explain(&book, &report);
            let alone = CaseFacts::of_all_reports(&book, &[&report], []);
            let rule =
                explained.considered.iter().find(|one| one.chosen).map(|one| book.rule(one.rule));
            if !rule.is_some_and(|rule| rule.demand.uses_recorded()) {
                continue;
            }
            // Codes that are declared for several places of one action may come from any of them.
            let twins = book.reports().iter().filter(|other| {
                (other.service, &other.code, other.action)
                    == (decl.service, &decl.code, decl.action)
            });
            if twins.count() > 1 {
                continue;
            }
            looked_at += 1;
            let effects = place.state(&book).effects();
            let most = book.wants(&CaseFacts { effects, ..alone });
            let planned: BTreeSet<_> =
                explained.steps().into_iter().map(|s| (s.verb, s.action)).collect();
            let more: BTreeSet<_> = most
                .all()
                .map(|want| (want.step.verb, want.step.action))
                .filter(|s| !planned.contains(s))
                .collect();
            let said = explained.changes.iter().find_map(|change| change.strip_prefix(TOO));
            told += more.len();
            let place = format!("{} {}/{} in {name}", book.name(), name.service, decl.code);
            assert_eq!(said.is_some(), !more.is_empty(), "{place}: {said:?}, {more:?}");
            let said: BTreeSet<&str> = said.unwrap_or_default().split([' ', ',', ';']).collect();
            for (verb, action) in &more {
                assert!(
                    said.contains(&*book.get(*action).name.to_string()),
                    "{place}: {verb} {said:?}"
                );
            }
            let words = [Verb::Compensate, Verb::Retry, Verb::Notify].len();
            assert!(said.len() <= more.len() + words + 2, "{place}: {said:?} for {more:?}");
        }
    }
    assert!(looked_at > 50 && told > 20, "{looked_at} reports, {told} steps");
}
