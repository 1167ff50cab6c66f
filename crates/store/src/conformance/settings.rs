//! What belongs to no saga has a version in a store that nodes share: whoever holds the seat makes it, the others read
//! it, and what was planned with a version of a rulebook that is not active any more is refused.

use super::{
    nodes::{ALL, SharedPlace, case_of},
    sample::{activation, whole},
};
use crate::{
    Batch, Committed, Lease, Leases, Ledger, Letter, LetterId, LetterKind, Letters, LookupRequest,
    Partition, Share, StoreError,
};
use amends_engine::{ServiceRow, ServiceSettings, Write};

fn service(name: &str) -> Write {
    let settings = ServiceSettings { tells_history: true, ..ServiceSettings::default() };
    Write::Service(Box::new(ServiceRow { service: name.into(), settings }))
}

fn activates(hash: &str) -> Write {
    activation("food", hash, 1)
}

fn share(lease: Lease, writes: Vec<Write>) -> Share {
    let Lease { partition, epoch } = lease;
    Share { partition, epoch, writes, ..Share::default() }
}

/// Planned with this version.
fn planned(settings: u64, shares: Vec<Share>) -> Batch {
    Batch { shares, settings, ..Batch::default() }
}

async fn is_stored(store: &impl Ledger, partition: Partition) -> bool {
    let wanted = LookupRequest { sagas: vec![case_of(partition).saga], ..LookupRequest::default() };
    !store.find(wanted).await.expect("reads").cases.is_empty()
}

/// All but the last, which is the seat.
async fn seat_and_parts(store: &impl Leases) -> (Lease, Vec<Lease>) {
    let mut held = store.claim(ALL).await.expect("claims");
    let seat = held.pop().expect("some");
    assert_eq!(seat.partition, Partition::SEAT);
    (seat, held)
}

/// A commit that changes no settings makes no version; one that does tells which, and all are told it at a sign of
/// life, at a start, and when they ask.
pub async fn each_change_makes_a_version_that_all_read(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let (seat, parts) = seat_and_parts(&a).await;
    let before = b.settings().await.expect("reads").version;
    let opens = share(parts[0], whole(case_of(parts[0].partition)));
    let done = a.commit(planned(before, vec![opens])).await.expect("commits");
    assert_eq!(done, Committed::default());
    assert_eq!(b.settings().await.expect("reads").version, before);

    let mut last = before;
    for writes in [vec![service("payment"), service("coupon")], vec![activates("h1")]] {
        let done = a.commit(planned(last, vec![share(seat, writes)])).await.expect("commits");
        let made = done.settings.expect("a version");
        assert!(made > last && done.lost.is_empty());
        last = made;
    }
    let settings = b.settings().await.expect("reads");
    assert_eq!((settings.version, b.beat().await.expect("beats").settings), (last, last));
    assert_eq!((settings.services.len(), &*settings.rulebooks[0].hash), (2, "h1"));
    assert_eq!(b.load().await.expect("loads").settings, settings);
}

/// Whoever has not read an activation stores nothing of what it has planned: no share, no letter. What people set
/// otherwise refuses nobody.
pub async fn what_was_planned_before_an_activation_is_refused(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let (seat, parts) = seat_and_parts(&a).await;
    let given = parts[5].partition;
    a.release(vec![given]).await.expect("gives back");
    let of_b = b.claim(1).await.expect("claims")[0];
    let before = b.settings().await.expect("reads").version;
    let sets = share(seat, vec![service("payment")]);
    let set = a.commit(planned(before, vec![sets])).await.expect("commits").settings;
    let opens = |lease: Lease| share(lease, whole(case_of(lease.partition)));
    let done = b.commit(planned(before, vec![opens(of_b)])).await.expect("a pause refuses nobody");
    assert_eq!(done.lost, []);

    let new = share(seat, vec![activates("h1")]);
    let set = set.expect("a version");
    let active = a.commit(planned(set, vec![new])).await.expect("commits").settings;
    let letter = Letter {
        id: LetterId(1),
        partition: parts[7].partition,
        kind: LetterKind::Report,
        body: "{}".to_owned(),
    };
    let late = Batch { letters: vec![letter], ..planned(set, vec![share(of_b, Vec::new())]) };
    let refused = b.commit(late.clone()).await;
    assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    let refused = a.commit(planned(set, vec![opens(parts[9])])).await;
    assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    assert_eq!(a.letters_waiting().await.expect("counts"), []);
    assert!(!is_stored(&a, parts[9].partition).await);

    let settings = active.expect("a version");
    let done = b.commit(Batch { settings, ..late }).await.expect("it is planned with that one");
    assert_eq!(done.lost, []);
    let done = a.commit(planned(settings, vec![opens(parts[9])])).await.expect("commits");
    assert_eq!(done.lost, []);
}

/// The others may rest on what the seat's share would have written.
pub async fn what_comes_with_a_lost_seat_is_refused(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let (seat, parts) = seat_and_parts(&a).await;
    a.release(vec![Partition::SEAT]).await.expect("gives back");
    b.claim(1).await.expect("claims");
    for writes in [vec![activates("h1")], Vec::new()] {
        let opens = share(parts[0], whole(case_of(parts[0].partition)));
        let refused = a.commit(planned(0, vec![opens, share(seat, writes)])).await;
        assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    }
    assert!(!is_stored(&b, parts[0].partition).await);
    assert_eq!(b.settings().await.expect("reads").rulebooks, []);
}
