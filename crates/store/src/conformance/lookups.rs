//! What the engine asks for, before a batch and at its start.

use super::{
    Held, Place,
    sample::{
        FromRow, activation, announced, case, done, report, saga, settled, step, unanswered,
        version, whole,
    },
};
use crate::{Ledger, LookupRequest, OpenPage, OpenPlace, Partition, StoreError};
use amends_api::{CaseState, StuckReason};
use amends_engine::{CaseRow, RulebookRef, SagaState, StepState, Write};
use amends_protocol::{CaseId, ReportKey};
use std::collections::BTreeSet;

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

/// Whatever its state; a case asked for by saga and by number comes once.
pub async fn cases_are_found_in_any_state_and_each_once(place: &impl Place) {
    let store = Held::of(place).await;
    let stuck = CaseRow { state: CaseState::Stuck, ..case(4) };
    for row in [case(1), settled(2), settled(3), stuck.clone()] {
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
    assert_eq!(cases, [case(1), settled(2), settled(3), stuck]);
    assert_eq!(found[1].reports, [report(2, 0)]);
    assert_eq!(found[1].steps.len(), 2);
}

/// Of open cases, what is not finished, as often as there are cases.
pub async fn what_open_cases_still_need_is_counted(place: &impl Place) {
    let store = Held::of(place).await;
    let planned_with = |row: CaseRow, name: &str| {
        let rulebook = RulebookRef { name: name.into(), hash: "h1".into() };
        Write::from_case(CaseRow { rulebook: Some(rulebook), ..row })
    };
    let waits = |n, ordinal, action| Write::from_step(step(n, ordinal, action, StepState::Waiting));
    let stuck = StepState::Stuck(StuckReason::OutOfTime);
    let writes = vec![
        planned_with(case(1), "food"),
        waits(1, 1, "coupon.use"),
        waits(1, 2, "delivery.request"),
        planned_with(case(2), "food"),
        Write::from_step(step(2, 1, "coupon.use", stuck)),
        Write::from_step(done(2, 2, "delivery.request")),
        planned_with(settled(3), "food"),
        waits(3, 1, "coupon.use"),
        planned_with(case(4), "travel"),
        waits(4, 1, "coupon.use"),
    ];
    store.commit(writes).await.expect("commits");
    let wanted = LookupRequest { needed: vec!["food".into()], ..LookupRequest::default() };
    let found = store.find(wanted).await.expect("finds").needed;
    let told = found.iter().map(|(book, step)| format!("{book}: {} {}", step.cases, step.action));
    assert_eq!(told.collect::<Vec<_>>(), ["food: 2 coupon.use", "food: 1 delivery.request"]);
}

/// Open, stuck and unmatched cases, with all their rows; no settled one; begun sagas by deadline.
pub async fn what_is_unfinished_is_read_page_by_page(place: &impl Place) {
    let store = Held::of(place).await;
    let loaded = store.load().await.expect("loads");
    let own = crate::Loaded { salt: loaded.salt, epoch: loaded.epoch, ..crate::Loaded::default() };
    assert_eq!(loaded, own);
    assert_eq!(
        store.open(Partition::WHOLE, OpenPlace::default(), 1).await.expect("reads"),
        OpenPage::default()
    );
    let in_state = |n, state| CaseRow { state, ..case(n) };
    let rows = [
        in_state(3, CaseState::Stuck),
        in_state(1, CaseState::Unmatched),
        settled(2),
        in_state(4, CaseState::Open),
        settled(5),
        in_state(6, CaseState::Open),
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
    assert_eq!(loaded.last_case, 6);
    assert_eq!(loaded.sagas, [soon, late]);
    let cases = store.unsettled().await;
    let ids: Vec<u64> = cases.iter().map(|stored| stored.case.id.0).collect();
    assert_eq!(ids, [1, 3, 4, 6]);
    for stored in &cases {
        let n = stored.case.id.0;
        assert_eq!(stored.reports, [report(n, 0)]);
        assert_eq!(stored.steps[1], step(n, 2, "coupon.redeem", StepState::InFlight));
    }
}

/// It came while nobody could work on the case, and a start must find it. Each such case comes once, whatever others
/// wait for an answer.
pub async fn a_settled_case_with_an_unanswered_report_is_read_as_well(place: &impl Place) {
    let store = Held::of(place).await;
    for n in [2, 4, 6] {
        store.commit(whole(settled(n))).await.expect("commits");
    }
    for n in [1, 3, 5, 7] {
        let row = CaseRow { state: CaseState::Unmatched, ..case(n) };
        store.commit(whole(row)).await.expect("commits");
        store.commit(vec![Write::from_report(unanswered(n, 0))]).await.expect("commits");
    }
    let late = [unanswered(2, 1), unanswered(2, 2), unanswered(2, 3), unanswered(6, 1)];
    store.commit(late.map(Write::from_report).to_vec()).await.expect("commits");
    let cases = store.unsettled().await;
    let ids: Vec<u64> = cases.iter().map(|stored| stored.case.id.0).collect();
    assert_eq!(ids, [1, 2, 3, 5, 6, 7]);
    assert_eq!(cases[1].case.state, CaseState::Settled);
    assert_eq!(cases[1].reports.len(), 4);

    let answered = [1, 2, 3].map(|position| Write::from_report(report(2, position)));
    store.commit(answered.to_vec()).await.expect("commits");
    let cases = store.unsettled().await;
    let ids: Vec<u64> = cases.iter().map(|stored| stored.case.id.0).collect();
    assert_eq!(ids, [1, 3, 5, 6, 7], "what has its answer is over");
}

/// One that is settled, stuck or new while others are read.
pub async fn a_case_that_changes_meanwhile_keeps_no_other_from_being_read(place: &impl Place) {
    let store = Held::of(place).await;
    for n in 1..=8 {
        store.commit(whole(case(n))).await.expect("commits");
    }
    let (mut seen, mut next) = (BTreeSet::new(), Some(OpenPlace::default()));
    let stuck = |n| Write::from_case(CaseRow { state: CaseState::Stuck, ..case(n) });
    let mut changes = vec![
        vec![Write::from_case(settled(1)), Write::from_case(settled(8))],
        vec![stuck(2), stuck(7)],
        whole(case(9)),
    ];
    while let Some(after) = next {
        let page = store.open(Partition::WHOLE, after, 2).await.expect("reads");
        seen.extend(page.cases.iter().map(|stored| stored.case.id.0));
        next = page.next;
        if let Some(writes) = changes.pop() {
            store.commit(writes).await.expect("commits");
        }
    }
    assert!([3, 4, 5, 6].iter().all(|n| seen.contains(n)), "{seen:?}");
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
    assert!(store.unsettled().await.is_empty(), "nothing of the batch is stored");
    let active: Vec<&str> = loaded.settings.rulebooks.iter().map(|row| &*row.hash).collect();
    assert_eq!(active, ["h2", "h3"], "the old version stays active");
}

/// What open and settled cases were planned with, active or not, is asked for by its hash.
pub async fn load_brings_active_rulebooks_and_others_are_found(place: &impl Place) {
    let store = Held::of(place).await;
    for hash in ["old", "new"] {
        store.commit(vec![activation("food-order", hash, 1)]).await.expect("commits");
    }
    let planned_with = |row: CaseRow, hash: &str| CaseRow {
        rulebook: Some(RulebookRef { name: "food-order".into(), hash: hash.into() }),
        ..row
    };
    store.commit(whole(planned_with(case(1), "old"))).await.expect("commits");
    let rulebooks = store.load().await.expect("loads").settings.rulebooks;
    let hashes: Vec<&str> = rulebooks.iter().map(|row| &*row.hash).collect();
    assert_eq!(hashes, ["new"]);
    assert_eq!(rulebooks[0].sources.len(), 1);

    let hashes = vec!["old".into(), "unknown".into()];
    let wanted = LookupRequest { rulebooks: hashes, ..LookupRequest::default() };
    let found = store.find(wanted).await.expect("finds").rulebooks;
    assert_eq!(found, [version("food-order", "old", 1, false)]);
}
