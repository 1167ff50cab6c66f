//! What operators set and start: it comes back as it was, also after a reopening.

use super::{Held, Place};
use crate::{Archive, BulkRow, Store, Upkeep};

/// What a bulk act is for stays as it was made; its state is the last one.
pub async fn bulk_acts_are_kept(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let row =
        |id: u64, ids: &str, state: &str| BulkRow { id, ids: ids.into(), state: state.into() };
    assert_eq!(store.bulk(1).await.expect("reads"), None);
    for put in [row(1, "[1,2]", "made"), row(2, "[3]", "made"), row(1, "", "done")] {
        store.put_bulk(put).await.expect("puts");
    }
    drop(store);
    let store = Held::of(place).await;
    assert_eq!(store.bulk(1).await.expect("reads"), Some(row(1, "[1,2]", "done")));
    assert_eq!(store.bulks(9).await.expect("reads"), [row(2, "", "made"), row(1, "", "done")]);
    assert_eq!(store.bulks(1).await.expect("reads"), [row(2, "", "made")]);
    store.put_bulk(row(1_001, "[]", "made")).await.expect("puts");
    assert_eq!(store.bulk(1).await.expect("reads"), None, "the oldest make room");
}
