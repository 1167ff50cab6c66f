//! Counting: numbers that stay exact whatever is written, replaced, refused or removed.

use super::{
    Held, Place,
    sample::{FromRow, at, case, saga, settled, whole},
};
use crate::{Archive, Store, Upkeep};
use amends_api::CaseState;
use amends_engine::{CaseRow, Write};
use amends_protocol::Timestamp;
use std::collections::BTreeMap;

async fn counts(store: &Held<impl Store>) -> BTreeMap<CaseState, u64> {
    store.case_counts().await.expect("counts")
}

/// Each state with its cases; a state without any is absent.
pub async fn cases_are_counted_by_state(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    assert_eq!(counts(&store).await, BTreeMap::new());
    let mut batch = whole(case(1));
    batch.extend(whole(settled(2)));
    batch.extend(whole(settled(3)));
    batch.extend(whole(CaseRow { state: CaseState::Stuck, ..case(4) }));
    store.commit(batch).await.expect("commits");
    let expected = [(CaseState::Open, 1), (CaseState::Stuck, 1), (CaseState::Settled, 2)];
    assert_eq!(counts(&store).await, BTreeMap::from(expected));
}

/// Written twice, out of order, settled, reopened, refused, pruned and opened again: the count follows.
pub async fn cases_are_counted_through_every_change(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in [3, 1, 2, 2] {
        store.commit(vec![Write::from_case(case(n))]).await.expect("commits");
    }
    assert_eq!(counts(&store).await, BTreeMap::from([(CaseState::Open, 3)]));
    let both = vec![Write::from_case(settled(1)), Write::from_case(settled(2))];
    store.commit(both).await.expect("commits");
    let expected = BTreeMap::from([(CaseState::Open, 1), (CaseState::Settled, 2)]);
    assert_eq!(counts(&store).await, expected);
    let taken = CaseRow { saga: saga("order-1"), ..case(9) };
    let refused = vec![Write::from_case(case(8)), Write::from_case(taken)];
    store.commit(refused).await.expect_err("a saga has one case");
    assert_eq!(counts(&store).await, expected, "a refused batch counts nothing");
    store.commit(vec![Write::from_case(case(2))]).await.expect("reopens");
    assert_eq!(store.prune(at(100, 0), 10).await.expect("prunes"), 1);
    assert_eq!(counts(&store).await, BTreeMap::from([(CaseState::Open, 2)]));
    drop(store);
    assert_eq!(counts(&Held::of(place).await).await, BTreeMap::from([(CaseState::Open, 2)]));
}

/// Of the newest cases, those that are settled and not too long ago.
pub async fn settlements_are_told_newest_first(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let rows = [settled(1), settled(2), case(3), settled(4)];
    store.commit(rows.map(Write::from_case).into()).await.expect("commits");
    let found = store.settlements(Timestamp(0), 10).await.expect("reads");
    let times = |n: u64| (at(n, 0), at(n, 100));
    assert_eq!((found.times, found.settled_since), (vec![times(4), times(2), times(1)], None));
    let late = store.settlements(at(2, 100), 10).await.expect("reads");
    assert_eq!(late.times, [times(4), times(2)]);
    let few = store.settlements(Timestamp(0), 2).await.expect("reads");
    assert_eq!((few.times, few.settled_since), (vec![times(4), times(2)], Some(at(2, 100))));
}
