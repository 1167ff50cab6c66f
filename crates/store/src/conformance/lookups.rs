//! What the engine asks for, before a batch and at its start.

use super::{
    Held, Place,
    sample::{FromRow, activation, announced, case, report, saga, settled, step, version, whole},
};
use crate::{Ledger, LookupRequest, StoreError};
use amends_engine::{CaseRow, RulebookRef, SagaState, StepState, Write};
use amends_protocol::{CaseId, CaseState, ReportKey};

/// The same source and id name the case; another source with that id doesn't.
pub async fn a_known_report_names_its_case(place: &impl Place) {
    let store = Held::of(place).await;
    store.commit(whole(case(4))).await.expect("commits");
    store.commit(whole(settled(5))).await.expect("commits");
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
    let store = Held::of(place).await;
    for row in [case(1), settled(2), settled(3), CaseRow { state: CaseState::Stuck, ..case(4) }] {
        store.commit(whole(row)).await.expect("commits");
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
    store.commit(reopened).await.expect("commits");
    let wanted = LookupRequest { sagas: vec![saga("order-2")], ..LookupRequest::default() };
    assert!(store.find(wanted).await.expect("finds").cases.is_empty());
}

/// Open, stuck and unmatched cases by number, with all their rows; no settled one; begun sagas by deadline.
pub async fn load_gives_exactly_what_is_unfinished(place: &impl Place) {
    let store = Held::of(place).await;
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
        store.commit(whole(row)).await.expect("commits");
    }
    let late = announced("s-late", 900, SagaState::Begun);
    let soon = announced("s-soon", 100, SagaState::Begun);
    let over = announced("s-over", 0, SagaState::Ended);
    let batch = [&late, &soon, &over].map(|row| Write::Saga(Box::new(row.clone())));
    store.commit(batch.to_vec()).await.expect("commits");

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
    let store = Held::of(place).await;
    for state in [SagaState::Begun, SagaState::Overdue, SagaState::Ended] {
        let row = announced("order-1", 50, state);
        store.commit(vec![Write::Saga(Box::new(row.clone()))]).await.expect("commits");
        let twice = vec![saga("order-1"), saga("order-2"), saga("order-1")];
        let wanted = LookupRequest { announced: twice, ..LookupRequest::default() };
        assert_eq!(store.find(wanted).await.expect("finds").announced, [row]);
    }
}

/// An activation is a write like any other: of two in a batch the later one holds, and one that can't be stored takes
/// its whole batch with it.
pub async fn an_activation_is_one_with_its_batch(place: &impl Place) {
    let store = Held::of(place).await;
    let both = vec![activation("food", "h1", 1), activation("food", "h2", 1)];
    store.commit(both).await.expect("commits");
    store.commit(vec![activation("travel", "h3", 3)]).await.expect("commits");
    let mut wrong = whole(case(1));
    wrong.push(activation("food", "h3", 9));
    let error = store.commit(wrong).await.expect_err("of travel");
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    let loaded = store.load().await.expect("loads");
    assert!(loaded.cases.is_empty(), "nothing of the batch is stored");
    let active: Vec<&str> = loaded.rulebooks.iter().map(|row| &*row.hash).collect();
    assert_eq!(active, ["h2", "h3"], "the old version stays active");
}

/// A case keeps the version that it was planned with, active or not.
pub async fn load_brings_the_rulebooks_that_open_cases_use(place: &impl Place) {
    let store = Held::of(place).await;
    for hash in ["old", "unused", "of-settled", "new"] {
        store.commit(vec![activation("food-order", hash, 1)]).await.expect("commits");
    }
    let planned_with = |row: CaseRow, hash: &str| CaseRow {
        rulebook: Some(RulebookRef { name: "food-order".into(), hash: hash.into() }),
        ..row
    };
    store.commit(whole(planned_with(case(1), "old"))).await.expect("commits");
    store.commit(whole(planned_with(settled(2), "of-settled"))).await.expect("commits");
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
