//! Messages that could not be taken as reports lie there until somebody has looked, and never more than there is room
//! for.

use super::{BackupPlace, Held, Place};
use crate::{PageRequest, Rejected, RejectedFilter, RejectedLimits, RejectedRow, Store, Upkeep};
use amends_api::RejectedWay;
use amends_protocol::{ProblemCode, Timestamp};

const ROOM: RejectedLimits = RejectedLimits { rows: 100, bytes: 1 << 20 };

pub(crate) fn row(number: i64) -> RejectedRow {
    let is_nats = number % 2 == 0;
    RejectedRow {
        id: format!("nats/REPORTS/{number}"),
        way: if is_nats { RejectedWay::Nats } else { RejectedWay::Kafka },
        place: format!("message {number} of the stream `REPORTS`"),
        source: is_nats.then(|| "payment".to_owned()),
        event_id: is_nats.then(|| format!("e-{number}")),
        saga: is_nats.then(|| format!("order-{number}")),
        code: ProblemCode::InvalidReport,
        detail: "the data is empty".to_owned(),
        headers: vec![("ce-id".to_owned(), "1".to_owned()), ("ce-id".to_owned(), "2".to_owned())],
        body: vec![0, 255, b'{', number.to_le_bytes()[0]],
        cut: number == 3,
        rejected_at: Timestamp(number * 10),
        sent_at: is_nats.then_some(Timestamp(number)),
    }
}

async fn filled<S: Store>(place: &impl Place<Store = S>, numbers: &[i64]) -> Held<S> {
    let store = Held::of(place).await;
    for number in numbers {
        let kept = store.reject(row(*number), ROOM).await.expect("kept");
        assert_eq!((kept.is_new, kept.dropped), (true, 0));
    }
    store
}

async fn listed(store: &impl Rejected, filter: RejectedFilter) -> Vec<String> {
    let (mut ids, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let rows = store.rejected(filter.clone(), page).await.expect("lists");
        assert!(rows.items.len() <= 2);
        ids.extend(rows.items.into_iter().map(|listed| listed.row.id));
        let Some(next) = rows.next else { return ids };
        page = PageRequest { cursor: Some(next), ..PageRequest::first(2) };
    }
}

async fn numbers(store: &impl Rejected) -> Vec<i64> {
    let number = |id: &String| id.rsplit('/').next().and_then(|n| n.parse().ok()).expect("ours");
    listed(store, RejectedFilter::default()).await.iter().map(number).collect()
}

async fn has_three(store: &impl Rejected) {
    for number in 1..=3 {
        let wanted = row(number);
        let found = store.rejected_one(wanted.name()).await.expect("reads");
        assert_eq!(found, Some(wanted));
    }
    assert_eq!(store.rejected_one(row(4).name()).await.expect("reads"), None);
    assert_eq!(store.rejected_count().await.expect("counts"), 3);
}

/// Byte by byte, after a reopening.
pub async fn rejected_messages_come_back_as_they_were(place: &impl Place<Store: Store>) {
    drop(filled(place, &[1, 2, 3]).await);
    has_three(&Held::of(place).await.store).await;
}

/// Byte by byte, too.
pub async fn a_backup_has_the_rejected_messages(place: &impl BackupPlace<Store: Store>) {
    let store = filled(place, &[1, 2, 3]).await;
    store.backup(&place.backup_path()).await.expect("copied");
    has_three(&Held::of(&place.place_of_backup()).await.store).await;
}

/// Newest first, without bodies, and by way and source.
pub async fn rejected_messages_are_listed_newest_first(place: &impl Place<Store: Store>) {
    let store = filled(place, &[5, 1, 2, 4, 3]).await;
    assert_eq!(numbers(&store.store).await, [3, 4, 2, 1, 5], "by their coming, not by a clock");
    let first = store.rejected(RejectedFilter::default(), PageRequest::first(1)).await;
    let first = first.expect("lists").items.remove(0);
    let bare = RejectedRow { headers: Vec::new(), body: Vec::new(), ..row(3) };
    assert_eq!((first.row, first.body_bytes), (bare, 4));
    let kafka = RejectedFilter { way: Some(RejectedWay::Kafka), ..RejectedFilter::default() };
    assert_eq!(listed(&store.store, kafka).await.len(), 3);
    let of = |source: &str| RejectedFilter { source: Some(source.to_owned()), way: None };
    assert_eq!(listed(&store.store, of("payment")).await, ["nats/REPORTS/4", "nats/REPORTS/2"]);
    assert!(listed(&store.store, of("pay")).await.is_empty());
    let foreign = PageRequest { cursor: Some("c1.2".to_owned()), ..PageRequest::default() };
    assert!(store.rejected(RejectedFilter::default(), foreign).await.is_err());
}

/// A redelivery after a crash writes the same row: what is known of it by now, at its place and its age.
pub async fn a_message_that_comes_again_is_one_row(place: &impl Place<Store: Store>) {
    let store = filled(place, &[1, 2]).await;
    let again = RejectedRow {
        code: ProblemCode::Forbidden,
        detail: "it may not report there".to_owned(),
        rejected_at: Timestamp(99),
        ..row(1)
    };
    let kept = store.reject(again.clone(), ROOM).await.expect("kept");
    assert_eq!((kept.is_new, kept.dropped), (false, 0));
    let found = store.rejected_one(again.name()).await.expect("reads");
    assert_eq!(found, Some(RejectedRow { rejected_at: row(1).rejected_at, ..again }));
    assert_eq!(numbers(&store.store).await, [2, 1]);
}

/// There is never more than room for, and the newest always finds some.
pub async fn of_too_many_rejected_messages_the_oldest_go(place: &impl Place<Store: Store>) {
    let store = filled(place, &[1, 2, 3]).await;
    let few = RejectedLimits { rows: 2, ..ROOM };
    assert_eq!(store.reject(row(4), few).await.expect("kept").dropped, 2);
    assert_eq!(numbers(&store.store).await, [4, 3]);
    let large = |number| RejectedRow { body: vec![7; 1_000], ..row(number) };
    let small = RejectedLimits { bytes: 2_300, ..ROOM };
    store.reject(large(5), small).await.expect("kept");
    assert_eq!(store.reject(large(6), small).await.expect("kept").dropped, 2);
    assert_eq!(numbers(&store.store).await, [6, 5]);
    let tiny = RejectedLimits { rows: 1, bytes: 1 };
    assert_eq!(store.reject(large(7), tiny).await.expect("kept").dropped, 2);
    assert_eq!(numbers(&store.store).await, [7]);
}

/// One by one, and by age. Those of a saga go with its erasure.
pub async fn rejected_messages_are_forgotten(place: &impl Place<Store: Store>) {
    let store = filled(place, &[1, 2, 3, 4, 5]).await;
    assert!(store.forget_rejected(row(1).name()).await.expect("forgotten"));
    assert!(!store.forget_rejected(row(1).name()).await.expect("is forgotten already"));
    assert_eq!(numbers(&store.store).await, [5, 4, 3, 2]);
    assert_eq!(store.prune_rejected(Timestamp(50), 1).await.expect("pruned"), 1);
    assert_eq!(numbers(&store.store).await, [5, 4, 3], "the oldest first");
    assert_eq!(store.prune_rejected(Timestamp(50), 9).await.expect("pruned"), 2);
    assert_eq!(store.prune_rejected(Timestamp(50), 9).await.expect("nothing more"), 0);
    assert_eq!(store.rejected_count().await.expect("counts"), 1);
}
