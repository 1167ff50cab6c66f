//! What the engine asks for, before a batch and at its start.

use super::{
    Place,
    sample::{FromRow, at, case, report, saga, settled, step, whole},
};
use crate::{LookupRequest, RulebookRow, Store, StoreError};
use amends_engine::{CaseRow, RulebookRef, SagaRow, SagaState, StepState, Write};
use amends_protocol::{CaseId, CaseState, ReportKey};
use std::sync::Arc;

fn announced(name: &str, deadline_ms: i64, state: SagaState) -> SagaRow {
    SagaRow {
        saga: saga(name),
        service: "order".into(),
        action: Some("place".into()),
        deadline: at(1, deadline_ms),
        state,
        data: Arc::new(report(1, 0).report.data.data.clone()),
    }
}

fn version(name: &str, hash: &str, stored_ms: i64, active: bool) -> RulebookRow {
    RulebookRow {
        name: name.into(),
        hash: hash.into(),
        sources: vec![("book.yaml".to_owned(), format!("rulebook: {name} # {hash} — é"))],
        stored_at: at(1, stored_ms),
        active,
        from_file: false,
    }
}

fn activation(name: &str, hash: &str, ms: i64) -> Write {
    Write::activation(&version(name, hash, ms, true))
}

/// The same source and id name the case; another source with that id doesn't.
pub async fn a_known_report_names_its_case(place: &impl Place) {
    let store = place.open().await;
    store.commit(whole(case(4)).into()).await.expect("commits");
    store.commit(whole(settled(5)).into()).await.expect("commits");
    let key = |source: &str, id: &str| ReportKey { source: source.into(), id: id.into() };
    let reports = vec![
        key("payment", "r-5-0"),
        key("payment", "r-6-0"),
        key("order", "r-4-0"),
        key("payment", "r-4-0"),
        key("payment", "r-4-0"),
    ];
    let found =
        store.find(LookupRequest { reports, ..LookupRequest::default() }).await.expect("finds");
    let (four, five) = (Some(CaseId(4)), Some(CaseId(5)));
    assert_eq!(found.reports, [five, None, None, four, four]);
    assert!(found.cases.is_empty() && found.announced.is_empty());
}

/// The engine holds the others, so they are not read; a case asked for by saga and by number comes once.
pub async fn only_settled_cases_are_found_and_each_once(place: &impl Place) {
    let store = place.open().await;
    for row in [case(1), settled(2), settled(3), CaseRow { state: CaseState::Stuck, ..case(4) }] {
        store.commit(whole(row).into()).await.expect("commits");
    }
    let wanted = LookupRequest {
        sagas: vec![saga("order-1"), saga("order-2"), saga("order-2"), saga("nobody")],
        cases: vec![CaseId(2), CaseId(3), CaseId(4), CaseId(99), CaseId(u64::MAX)],
        ..LookupRequest::default()
    };
    let mut found = store.find(wanted).await.expect("finds").cases;
    found.sort_by_key(|stored| stored.case.id);
    let cases: Vec<_> = found.iter().map(|stored| stored.case.clone()).collect();
    assert_eq!(cases, [settled(2), settled(3)]);
    assert_eq!(found[0].reports, [report(2, 0)]);
    assert_eq!(found[0].steps.len(), 2);

    // Reopened by a late report, it is the engine's again.
    let reopened = vec![Write::from_case(case(2)), Write::from_report(report(2, 1))];
    store.commit(reopened.into()).await.expect("commits");
    let wanted = LookupRequest { sagas: vec![saga("order-2")], ..LookupRequest::default() };
    assert!(store.find(wanted).await.expect("finds").cases.is_empty());
}

/// Open, stuck and unmatched cases by number, with all their rows; no settled one; begun sagas by deadline.
pub async fn load_gives_exactly_what_is_unfinished(place: &impl Place) {
    let store = place.open().await;
    assert_eq!(store.load().await.expect("loads"), crate::Loaded::default());
    let in_state = |n, state| CaseRow { state, ..case(n) };
    let rows = [
        in_state(3, CaseState::Stuck),
        in_state(1, CaseState::Unmatched),
        settled(2),
        in_state(4, CaseState::Open),
        settled(5),
    ];
    for row in rows {
        store.commit(whole(row).into()).await.expect("commits");
    }
    let late = announced("s-late", 900, SagaState::Begun);
    let soon = announced("s-soon", 100, SagaState::Begun);
    let over = announced("s-over", 0, SagaState::Ended);
    let batch = [&late, &soon, &over].map(|row| Write::Saga(Box::new(row.clone())));
    store.commit(batch.to_vec().into()).await.expect("commits");

    let loaded = store.load().await.expect("loads");
    let ids: Vec<u64> = loaded.cases.iter().map(|stored| stored.case.id.0).collect();
    assert_eq!(ids, [1, 3, 4]);
    assert_eq!(loaded.last_case, 5);
    assert_eq!(loaded.sagas, [soon, late]);
    for stored in &loaded.cases {
        let n = stored.case.id.0;
        assert_eq!(stored.reports, [report(n, 0)]);
        assert_eq!(stored.steps[1], step(n, 2, "coupon.redeem", StepState::InFlight));
    }
}

/// An announcement is replaced by its later states and found in any of them.
pub async fn announced_sagas_are_kept(place: &impl Place) {
    let store = place.open().await;
    for state in [SagaState::Begun, SagaState::Overdue, SagaState::Ended] {
        let row = announced("order-1", 50, state);
        store.commit(vec![Write::Saga(Box::new(row.clone()))].into()).await.expect("commits");
        assert_eq!(store.saga(&row.saga).await.expect("reads"), Some(row.clone()));
        let twice = vec![saga("order-1"), saga("order-2"), saga("order-1")];
        let wanted = LookupRequest { announced: twice, ..LookupRequest::default() };
        assert_eq!(store.find(wanted).await.expect("finds").announced, [row]);
    }
    assert_eq!(store.saga(&saga("order-2")).await.expect("reads"), None);
}

/// At most one version of a name is active; versions of other names are left alone. What is activated again keeps its
/// first row.
pub async fn rulebooks_have_one_active_version(place: &impl Place) {
    let store = place.open().await;
    for (name, hash, ms) in [("food", "h1", 1), ("food", "h2", 2), ("travel", "h3", 3)] {
        store.commit(vec![activation(name, hash, ms)].into()).await.expect("commits");
    }
    let two = version("food", "h2", 2, true);
    assert_eq!(store.rulebook("h2".into()).await.expect("reads"), Some(two));
    assert_eq!(store.rulebook("h9".into()).await.expect("reads"), None);

    store
        .commit(vec![activation("food", "h1", 77)].into())
        .await
        .expect("an old version comes back");
    let all = store.rulebooks().await.expect("reads");
    let seen: Vec<_> = all.iter().map(|r| (&*r.hash, r.active, r.stored_at)).collect();
    assert_eq!(seen, [("h2", false, at(1, 2)), ("h1", true, at(1, 1)), ("h3", true, at(1, 3))]);
    assert!(all.iter().all(|row| row.sources.is_empty()));
}

/// An activation is a write like any other: of two in a batch the later one holds, and one that can't be stored takes
/// its whole batch with it.
pub async fn an_activation_is_one_with_its_batch(place: &impl Place) {
    let store = place.open().await;
    let both = vec![activation("food", "h1", 1), activation("food", "h2", 1)];
    store.commit(both.into()).await.expect("commits");
    store.commit(vec![activation("travel", "h3", 3)].into()).await.expect("commits");
    let mut wrong = whole(case(1));
    wrong.push(activation("food", "h3", 9));
    let error = store.commit(wrong.into()).await.expect_err("of travel");
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    let loaded = store.load().await.expect("loads");
    assert!(loaded.cases.is_empty(), "nothing of the batch is stored");
    let active: Vec<&str> = loaded.rulebooks.iter().map(|row| &*row.hash).collect();
    assert_eq!(active, ["h2", "h3"], "the old version stays active");
}

/// What a file said last is remembered apart from what is active.
pub async fn the_version_last_taken_from_a_file_is_remembered(place: &impl Place) {
    let store = place.open().await;
    let from_file = |name: &str, hash: &str| {
        Write::activation(&RulebookRow { from_file: true, ..version(name, hash, 1, true) })
    };
    let seen = |rows: Vec<RulebookRow>| -> Vec<_> {
        rows.iter().map(|row| (row.hash.to_string(), row.active, row.from_file)).collect()
    };
    let row = |hash: &str, active, from_file| (hash.to_owned(), active, from_file);
    let files = vec![from_file("food", "h1"), from_file("food", "h2"), from_file("travel", "h3")];
    store.commit(files.into()).await.expect("commits");
    store.commit(vec![activation("food", "h1", 9)].into()).await.expect("a person rolls back");
    let all = seen(store.rulebooks().await.expect("reads"));
    assert_eq!(all, [row("h1", true, false), row("h2", false, true), row("h3", true, true)]);
    let loaded = seen(store.load().await.expect("loads").rulebooks);
    assert_eq!(loaded, [row("h1", true, false), row("h3", true, true)]);
    store.commit(vec![from_file("food", "h1")].into()).await.expect("the file is reverted");
    let all = seen(store.rulebooks().await.expect("reads"));
    assert_eq!(all, [row("h1", true, true), row("h2", false, false), row("h3", true, true)]);
}

/// A case keeps the version that it was planned with, active or not.
pub async fn load_brings_the_rulebooks_that_open_cases_use(place: &impl Place) {
    let store = place.open().await;
    for hash in ["old", "unused", "of-settled", "new"] {
        store.commit(vec![activation("food-order", hash, 1)].into()).await.expect("commits");
    }
    let planned_with = |row: CaseRow, hash: &str| CaseRow {
        rulebook: Some(RulebookRef { name: "food-order".into(), hash: hash.into() }),
        ..row
    };
    store.commit(whole(planned_with(case(1), "old")).into()).await.expect("commits");
    store.commit(whole(planned_with(settled(2), "of-settled")).into()).await.expect("commits");
    let rulebooks = store.load().await.expect("loads").rulebooks;
    let mut hashes: Vec<&str> = rulebooks.iter().map(|row| &*row.hash).collect();
    hashes.sort_unstable();
    assert_eq!(hashes, ["new", "old"]);
    assert!(rulebooks.iter().all(|row| row.sources.len() == 1));

    // A settled case's version is asked for by its hash.
    let hashes = vec!["of-settled".into(), "unknown".into()];
    let wanted = LookupRequest { rulebooks: hashes, ..LookupRequest::default() };
    let found = store.find(wanted).await.expect("finds").rulebooks;
    assert_eq!(found, [version("food-order", "of-settled", 1, false)]);
}
