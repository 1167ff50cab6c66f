//! Pruning, backups and the check that writing works.

use super::{
    BackupPlace, Held, Place,
    sample::{
        FromRow, act, at, attempt, case, done, of_case, report, saga, settled, unanswered, whole,
    },
};
use crate::{
    Archive, CaseFilter, Ledger, Loaded, LookupRequest, PageRequest, RulebookRow, SettledBefore,
    Store, StoreError, Upkeep,
};
use amends_engine::{CaseRow, RulebookRef, SagaRow, SagaState, Write};
use amends_protocol::{CaseId, ReportKey};
use std::sync::Arc;

async fn left(store: &Held<impl Store>) -> Vec<u64> {
    let page = store.cases(CaseFilter::default(), PageRequest::first(500)).await.expect("lists");
    page.items.iter().rev().map(|listed| listed.case.id.0).collect()
}

/// What is open stays, what was settled later stays, and of what goes only the audit stays.
pub async fn pruning_takes_old_settled_cases_only(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let late = CaseRow { settled_at: Some(at(9, 0)), ..settled(2) };
    for row in [settled(1), late, case(3), settled(4), settled(5)] {
        store.commit(whole(row)).await.expect("commits");
    }
    let step = done(1, 1, "payment.pay");
    let extras = vec![
        Write::from_attempt(attempt(&step, 1, "busy")),
        Write::from_act(act("waive", Some(CaseId(1)), Some(step.id))),
    ];
    store.commit(extras).await.expect("commits");
    // Case 4 was settled 100 ms after it was opened, and 5 a second later.
    assert_eq!(store.prune(at(4, 101), 100).await.expect("prunes"), 2);
    assert_eq!(left(&store).await, [2, 3, 5]);
    assert_eq!(store.prune(at(4, 101), 100).await.expect("prunes"), 0);

    assert_eq!(store.case(CaseId(1)).await.expect("reads"), None);
    assert_eq!(store.step(step.id).await.expect("reads"), None);
    let reports = vec![ReportKey { source: "payment".into(), id: "r-1-0".into() }];
    let found = store
        .find(LookupRequest { reports, sagas: vec![saga("order-1")], ..LookupRequest::default() })
        .await;
    let found = found.expect("finds");
    assert_eq!((found.reports, found.cases), (vec![None], vec![]));
    let acts = store.acts(of_case(1), PageRequest::default()).await.expect("lists");
    assert_eq!(acts.items.len(), 1);
    // Nothing of it is left that a new case of the saga could stumble over.
    store.commit(whole(CaseRow { id: CaseId(6), ..case(6) })).await.expect("commits");
    let again = CaseRow { id: CaseId(7), saga: saga("order-1"), ..case(7) };
    store.commit(vec![Write::from_case(again)]).await.expect("commits");
}

/// What may go is told by when it was settled, never by its number or by when it was opened: neither an open case nor
/// one from a time when the clock was wrong keeps the others.
pub async fn a_wrong_clock_stops_no_pruning(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let future = at(1_000_000_000, 0);
    let rows = [
        CaseRow { opened_at: future, ..case(1) },
        CaseRow { opened_at: future, settled_at: Some(future), ..settled(2) },
        settled(3),
        CaseRow { opened_at: future, settled_at: Some(at(3, 200)), ..settled(4) },
        settled(5),
        CaseRow { opened_at: at(0, 0), settled_at: Some(at(0, 1)), ..settled(900) },
    ];
    for row in rows {
        store.commit(whole(row)).await.expect("commits");
    }
    assert_eq!(store.prune(at(5, 0), 1).await.expect("prunes"), 1);
    assert_eq!(left(&store).await, [3, 5, 1, 2, 4], "900 was settled first");
    assert_eq!(store.prune(at(5, 0), 10).await.expect("prunes"), 2);
    assert_eq!(left(&store).await, [5, 1, 2]);
    assert_eq!(store.load().await.expect("loads").last_case, 900);
}

/// One call removes no more than it may, oldest first.
pub async fn pruning_is_bounded(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in 1..=5 {
        store.commit(whole(settled(n))).await.expect("commits");
    }
    assert_eq!(store.prune(at(99, 0), 0).await.expect("prunes"), 0);
    assert_eq!(store.prune(at(99, 0), 2).await.expect("prunes"), 2);
    assert_eq!(left(&store).await, [3, 4, 5]);
    assert_eq!(store.prune(at(99, 0), 2).await.expect("prunes"), 2);
    assert_eq!(store.prune(at(99, 0), 2).await.expect("prunes"), 1);
    assert!(left(&store).await.is_empty());
}

/// Some rulebooks keep theirs longer, or for ever, or not so long; those do not keep others from going.
pub async fn each_rulebook_keeps_its_cases_as_long_as_is_said(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for (n, name) in
        [(1, "books"), (2, "food"), (3, "short"), (4, "food"), (5, "short"), (6, "books")]
    {
        let rulebook = Some(RulebookRef { name: name.into(), hash: "h".into() });
        store.commit(whole(CaseRow { rulebook, ..settled(n) })).await.expect("commits");
    }
    let of = [("books".to_owned(), None), ("short".to_owned(), Some(at(6, 0)))];
    let keep = SettledBefore { all: Some(at(3, 0)), of_rulebooks: of.into() };
    assert_eq!(store.prune(keep.clone(), 1).await.expect("prunes"), 1);
    assert_eq!(left(&store).await, [1, 3, 4, 5, 6]);
    assert_eq!(store.prune(keep.clone(), 100).await.expect("prunes"), 2);
    assert_eq!(left(&store).await, [1, 4, 6]);
    assert_eq!(store.prune(keep, 100).await.expect("prunes"), 0);
    let nothing = SettledBefore { all: None, of_rulebooks: [("food".to_owned(), None)].into() };
    assert_eq!(store.prune(nothing, 100).await.expect("prunes"), 0);
    assert_eq!(store.prune(at(99, 0), 100).await.expect("prunes"), 3, "from the beginning again");
}

/// However long ago it was settled: what was acknowledged is not forgotten.
pub async fn a_case_with_an_unanswered_report_is_not_pruned(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in 1..=3 {
        store.commit(whole(settled(n))).await.expect("commits");
    }
    store.commit(vec![Write::from_report(unanswered(2, 1))]).await.expect("commits");
    assert_eq!(store.prune(at(99, 0), 100).await.expect("prunes"), 2);
    assert_eq!(left(&store).await, [2]);
    store.commit(vec![Write::from_report(report(2, 1))]).await.expect("commits");
    assert_eq!(store.prune(at(99, 0), 100).await.expect("prunes"), 1);
}

/// A number in the audit never comes to mean another case.
pub async fn pruned_numbers_are_not_given_out_again(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in 1..=3 {
        store.commit(whole(settled(n))).await.expect("commits");
    }
    assert_eq!(store.prune(at(99, 0), 100).await.expect("prunes"), 3);
    assert_eq!(store.load().await.expect("loads").last_case, 3);
    drop(store);
    let store = Held::of(place).await;
    assert_eq!(store.load().await.expect("loads").last_case, 3);
    store.commit(whole(settled(4))).await.expect("commits");
    assert_eq!(store.load().await.expect("loads").last_case, 4);
}

/// A settled case that was just looked up may be about to reopen: its rows must not vanish in between.
pub async fn a_case_just_found_is_not_pruned(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in 1..=2 {
        store.commit(whole(settled(n))).await.expect("commits");
    }
    let wanted = LookupRequest { sagas: vec![saga("order-1")], ..LookupRequest::default() };
    assert_eq!(store.find(wanted).await.expect("finds").cases.len(), 1);
    assert_eq!(store.prune(at(99, 0), 100).await.expect("prunes"), 1);
    assert_eq!(left(&store).await, [1]);
}

/// An announcement goes when its deadline is past, it is over and it has no case; one under way never goes.
pub async fn announcements_are_pruned_when_over(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let row = |n: u64, state| SagaRow {
        saga: saga(&format!("order-{n}")),
        service: "order".into(),
        action: None,
        deadline: at(n, 0),
        state,
        data: Arc::default(),
    };
    let rows = [
        row(1, SagaState::Ended),
        row(2, SagaState::Begun),
        row(3, SagaState::Overdue),
        row(4, SagaState::Overdue),
        row(50, SagaState::Ended),
    ];
    store.commit(rows.map(|row| Write::Saga(Box::new(row))).to_vec()).await.expect("commits");
    store.commit(whole(case(3))).await.expect("commits");
    assert_eq!(store.prune(at(20, 0), 1).await.expect("prunes"), 1);
    assert_eq!(store.prune(at(20, 0), 100).await.expect("prunes"), 1);
    for (n, there) in [(1, false), (2, true), (3, true), (4, false), (50, true)] {
        let found = store.saga(&saga(&format!("order-{n}"))).await.expect("reads");
        assert_eq!(found.is_some(), there, "order-{n}");
    }
}

/// A backup that is made while the store is open holds every commit before it, and none after.
pub async fn a_backup_opens_as_a_store(place: &impl BackupPlace<Store: Store>) {
    let store = Held::of(place).await;
    let book = RulebookRow {
        name: "food-order".into(),
        hash: "hash-1".into(),
        sources: vec![("book.yaml".to_owned(), "rulebook: food-order".to_owned())],
        stored_at: at(1, 0),
        active: true,
        from_file: false,
    };
    store.commit(vec![Write::activation(&book)]).await.expect("stores");
    store.commit(whole(case(1))).await.expect("commits");
    store.commit(whole(settled(2))).await.expect("commits");
    let before = store.load().await.expect("loads");
    store.backup(&place.backup_path()).await.expect("backs up");
    store.commit(whole(case(3))).await.expect("commits");

    let restored_place = place.place_of_backup();
    let restored = Held::of(&restored_place).await;
    let loaded = restored.load().await.expect("loads");
    assert_eq!(Loaded { epoch: before.epoch, ..loaded }, before);
    assert_eq!(left(&restored).await, [1, 2]);
    restored.commit(whole(case(3))).await.expect("goes on by itself");
    assert_eq!(left(&store).await, [1, 2, 3]);
}

/// What is at the path already stays as it is.
pub async fn a_backup_never_overwrites(place: &impl BackupPlace<Store: Store>) {
    let store = Held::of(place).await;
    store.commit(whole(case(1))).await.expect("commits");
    let path = place.backup_path();
    store.backup(&path).await.expect("backs up");
    let before = std::fs::read(&path).expect("a file");
    store.commit(whole(case(2))).await.expect("commits");
    let error = store.backup(&path).await.expect_err("there is one");
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    assert_eq!(std::fs::read(&path).expect("a file"), before);
}

/// The check answers, changes nothing that counts, and can be repeated.
pub async fn a_healthy_store_is_writable(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    store.commit(whole(case(1))).await.expect("commits");
    let before = store.load().await.expect("loads");
    for _ in 0..3 {
        store.check_writable().await.expect("writable");
    }
    assert_eq!(store.load().await.expect("loads"), before);
}
