//! The fence: who does not hold a partition any more writes nothing into it.

use super::{
    Held, Place,
    sample::{case, whole},
    unsettled,
    writing::join_four,
};
use crate::{Lease, Leases, Ledger, Store, StoreError};
use amends_engine::{Batch, Committed, Epoch, Partition, Share};

const WHOLE: Partition = Partition::WHOLE;

async fn stored(store: &impl Store) -> Vec<u64> {
    unsettled(store).await.iter().map(|stored| stored.case.id.0).collect()
}

fn batch(n: u64, epoch: Epoch) -> Batch {
    Batch::whole(epoch, whole(case(n)), None)
}

fn is_not_held(result: &Result<Committed, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotHeld { .. }))
}

/// After a raise nothing from before it can land: neither rows nor an empty batch. Loading tells the new epoch.
pub async fn a_commit_of_an_old_epoch_is_refused(place: &impl Place<Store: Store>) {
    let Held { store, epoch: old } = Held::of(place).await;
    store.commit(batch(1, old)).await.expect("commits");
    let raised = store.raise().await.expect("raises");
    let [Lease { partition: WHOLE, epoch }] = raised[..] else { panic!("one lease: {raised:?}") };
    assert!(epoch > old, "{epoch:?} after {old:?}");
    let late = store.commit(batch(2, old)).await;
    assert!(is_not_held(&late), "{late:?}");
    let empty = store.commit(Batch::whole(old, Vec::new(), None)).await;
    assert!(is_not_held(&empty), "{empty:?}");
    assert_eq!(store.load().await.expect("loads").epoch, epoch);
    store.commit(batch(3, epoch)).await.expect("commits");
    assert_eq!(stored(&store).await, [1, 3]);
}

/// A partition that there is not, or that another holds, and an epoch that is yet to come.
pub async fn a_partition_that_is_not_held_is_refused(place: &impl Place<Store: Store>) {
    let Held { store, epoch } = Held::of(place).await;
    let share =
        Share { partition: Partition(7), epoch, writes: whole(case(1)), ..Share::default() };
    let foreign = store.commit(Batch { shares: vec![share], ..Batch::default() }).await;
    assert!(is_not_held(&foreign), "{foreign:?}");
    let ahead = store.commit(batch(1, Epoch(epoch.0 + 1))).await;
    assert!(is_not_held(&ahead), "{ahead:?}");
    assert_eq!(stored(&store).await, [] as [u64; 0]);
}

/// What was given back takes no writes until it is claimed, and then in a new epoch.
pub async fn what_was_given_back_is_claimed_anew(place: &impl Place<Store: Store>) {
    let Held { store, epoch: old } = Held::of(place).await;
    assert_eq!(store.claim(0).await.expect("claims"), [Lease { partition: WHOLE, epoch: old }]);
    store.release(vec![Partition(7)]).await.expect("releases nothing");
    store.commit(batch(1, old)).await.expect("it is still held");
    store.release(vec![WHOLE]).await.expect("releases");
    let given_back = store.commit(batch(2, old)).await;
    assert!(is_not_held(&given_back), "{given_back:?}");
    assert_eq!(store.raise().await.expect("nothing to raise"), []);
    assert_eq!(store.claim(0).await.expect("claims none"), []);
    let claimed = store.claim(9).await.expect("claims");
    let [Lease { partition: WHOLE, epoch }] = claimed[..] else { panic!("one: {claimed:?}") };
    assert!(epoch > old, "{epoch:?} after {old:?}");
    let late = store.commit(batch(3, old)).await;
    assert!(is_not_held(&late), "{late:?}");
    store.commit(batch(4, epoch)).await.expect("commits");
    assert_eq!(stored(&store).await, [1, 4]);
}

/// Commits that wait together may share a transaction; one of an old epoch among them fails alone.
pub async fn a_refused_batch_spoils_no_other(place: &impl Place<Store: Store>) {
    let Held { store, epoch: old } = Held::of(place).await;
    let epoch = store.raise().await.expect("raises")[0].epoch;
    let (a, b, c, d) = join_four(
        store.commit(batch(1, epoch)),
        store.commit(batch(2, old)),
        store.commit(batch(3, epoch)),
        store.commit(batch(4, old)),
    )
    .await;
    a.expect("case 1");
    assert!(is_not_held(&b) && is_not_held(&d), "{b:?} {d:?}");
    c.expect("case 3");
    assert_eq!(stored(&store).await, [1, 3]);
}

/// To say that one lives changes nothing of what is held.
pub async fn a_beat_changes_nothing(place: &impl Place<Store: Store>) {
    let Held { store, epoch } = Held::of(place).await;
    store.beat().await.expect("beats");
    store.commit(batch(1, epoch)).await.expect("commits");
    assert_eq!(stored(&store).await, [1]);
}
