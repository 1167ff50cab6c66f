//! Nodes that share a store: each partition has one owner, and only its owner writes there; the others leave letters.

use super::sample::{FromRow, announced, case, whole};
use crate::{
    Batch, Committed, Lease, Leases, Ledger, Letter, LetterId, LetterKind, LetterMark, Letters,
    LettersRead, LettersWanted, LookupRequest, OpenPlace, Partition, Share, StoreError,
};
use amends_engine::{CaseRow, Epoch, SagaState, Write};
use amends_protocol::CaseId;
use std::{
    collections::BTreeSet,
    future::Future,
    time::{Duration, Instant},
};

/// A store that nodes share.
pub trait SharedPlace: Send + Sync {
    /// The store, as one node has it.
    type Store: Ledger + Leases + Letters;

    /// Opens it for the node of this name, which lives from then on and holds nothing yet. Several may have it open.
    fn open(&self, node: &str) -> impl Future<Output = Self::Store> + Send;
}

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const ALL: usize = Partition::PARTS + 1;

/// The first case whose saga is of this partition.
pub(crate) fn case_of(partition: Partition) -> CaseRow {
    let of_it = |row: &CaseRow| Partition::of(&row.saga) == partition;
    (1..).map(case).find(of_it).expect("each partition has some")
}

fn share(lease: Lease, writes: Vec<Write>) -> Share {
    let Lease { partition, epoch } = lease;
    Share { partition, epoch, writes, ..Share::default() }
}

fn opens(lease: Lease) -> Share {
    share(lease, whole(case_of(lease.partition)))
}

fn batch(shares: Vec<Share>) -> Batch {
    Batch { shares, ..Batch::default() }
}

fn letter(number: u128, partition: Partition) -> Letter {
    let body = format!("{{\"n\":{number}}}");
    Letter { id: LetterId(number), partition, kind: LetterKind::Report, body }
}

async fn post(store: &impl Ledger, letters: Vec<Letter>) {
    let posted = store.commit(Batch { letters, ..Batch::default() }).await;
    assert_eq!(posted.expect("letters need no lease"), Committed::default());
}

async fn read(
    store: &impl Letters,
    partition: Partition,
    after: Option<LetterMark>,
    most: usize,
) -> LettersRead {
    let wanted = vec![LettersWanted { partition, after, most }];
    store.letters(wanted).await.expect("reads").remove(0)
}

async fn numbers(
    store: &impl Letters,
    partition: Partition,
    after: Option<LetterMark>,
) -> Vec<u128> {
    let read = read(store, partition, after, 100).await;
    assert!(read.ended);
    read.letters.iter().map(|letter| letter.id.0).collect()
}

async fn lost(store: &impl Ledger, shares: Vec<Share>) -> Vec<Partition> {
    store.commit(batch(shares)).await.expect("commits what is held").lost
}

async fn is_stored(store: &impl Ledger, partition: Partition) -> bool {
    let wanted = LookupRequest { sagas: vec![case_of(partition).saga], ..LookupRequest::default() };
    !store.find(wanted).await.expect("reads").cases.is_empty()
}

fn partitions(leases: &[Lease]) -> Vec<Partition> {
    leases.iter().map(|lease| lease.partition).collect()
}

/// Two take what they are told to; nothing twice, and in the end everything, the seat as well.
pub async fn each_partition_has_one_owner(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let of_a = a.claim(40).await.expect("claims");
    assert_eq!(of_a.len(), 40);
    let of_b = b.claim(ALL).await.expect("claims");
    assert_eq!(of_b.len(), ALL - 40);
    assert_eq!(a.claim(ALL).await.expect("nothing is left"), of_a);
    let mut all = [partitions(&of_a), partitions(&of_b)].concat();
    assert!(all[..40].is_sorted() && all[40..].is_sorted());
    all.sort();
    assert!(all.iter().copied().eq(Partition::parts().chain([Partition::SEAT])));
    assert_eq!(b.claim(0).await.expect("tells"), of_b);
}

/// What was given back goes to another in a new epoch, and the one of before writes nothing there.
pub async fn what_is_given_back_goes_to_another(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let of_a = a.claim(ALL).await.expect("claims");
    let given = [of_a[3], of_a[64]];
    a.release(partitions(&given)).await.expect("gives back");
    let of_b = b.claim(ALL).await.expect("claims");
    assert_eq!(partitions(&of_b), partitions(&given));
    assert!(of_b.iter().zip(&given).all(|(now, before)| now.epoch > before.epoch));
    assert_eq!(lost(&a, vec![opens(given[0]), opens(of_a[7])]).await, [given[0].partition]);
    assert_eq!(lost(&b, vec![opens(of_b[0])]).await, []);
    assert!(is_stored(&a, of_a[7].partition).await);
}

/// Of what is not held, nothing is stored; all else is, and the answer tells.
pub async fn a_share_that_is_not_held_is_left_out(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let of_a = a.claim(30).await.expect("claims");
    let of_b = b.claim(10).await.expect("claims");
    let (mine, foreign) = (of_a[0], of_b[0]);
    let ahead = Lease { epoch: Epoch(of_a[1].epoch.0 + 1), ..of_a[1] };
    let free = Partition::parts()
        .find(|part| !partitions(&of_a).contains(part) && !partitions(&of_b).contains(part));
    let free = Lease { partition: free.expect("some are"), epoch: Epoch(0) };
    let mut shares = [mine, foreign, ahead, free].map(opens).to_vec();
    shares.sort_by_key(|share| share.partition);
    let mut expected = vec![foreign.partition, ahead.partition, free.partition];
    expected.sort();
    assert_eq!(lost(&a, shares).await, expected);
    for (lease, stored) in [(mine, true), (foreign, false), (ahead, false), (free, false)] {
        assert_eq!(is_stored(&a, lease.partition).await, stored, "{}", lease.partition);
    }
}

/// A share without writes tells whether its partition is held.
pub async fn an_empty_share_asks(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let of_a = a.claim(2).await.expect("claims");
    let of_b = b.claim(1).await.expect("claims");
    let mut asked: Vec<Share> =
        [of_a[0], of_a[1], of_b[0]].map(|lease| share(lease, Vec::new())).to_vec();
    asked.sort_by_key(|share| share.partition);
    assert_eq!(lost(&a, asked).await, [of_b[0].partition]);
}

/// After a raise nothing from before it lands.
pub async fn a_share_of_before_a_raise_is_lost(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let before = a.claim(5).await.expect("claims");
    let raised = a.raise().await.expect("raises");
    assert_eq!(partitions(&raised), partitions(&before));
    assert!(raised.iter().zip(&before).all(|(now, before)| now.epoch > before.epoch));
    let shares = vec![opens(before[0]), opens(raised[1])];
    assert_eq!(lost(&a, shares).await, [before[0].partition]);
    assert!(!is_stored(&a, before[0].partition).await);
}

/// A saga's rows come with its own partition alone: under another's lease they could be written by two.
pub async fn a_row_of_another_partition_is_refused(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let of_a = a.claim(2).await.expect("claims");
    let wrong = share(of_a[0], whole(case_of(of_a[1].partition)));
    let refused = a.commit(batch(vec![wrong])).await;
    assert!(matches!(refused, Err(StoreError::Unstorable { .. })), "{refused:?}");
    assert!(!is_stored(&a, of_a[1].partition).await);
}

/// What belongs to no saga comes with the loading, with all that is held; everything else with its partition.
pub async fn what_is_loaded_belongs_to_no_saga(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let of_a = a.claim(7).await.expect("claims");
    lost(&a, vec![opens(of_a[0])]).await;
    let loaded = a.load().await.expect("loads");
    let shared = loaded.shared.expect("it is shared");
    assert_eq!((shared.leases, loaded.last_case, loaded.sagas), (of_a, 0, Vec::new()));
    assert!(shared.first_number > 0 && shared.first_number.is_multiple_of(64));
}

/// A partition is adopted with its open cases, its announced sagas and how far its numbers go; those of others stay
/// away.
pub async fn a_partition_is_adopted_by_itself(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let of_a = a.claim(ALL).await.expect("claims");
    let first = a.load().await.expect("loads").shared.expect("it is shared").first_number;
    let [one, other] = [of_a[3], of_a[4]];
    let numbered = |lease: Lease, sequence: u64| {
        let id = CaseId(first + sequence * 64 + u64::from(lease.partition.0));
        CaseRow { id, ..case_of(lease.partition) }
    };
    let (of_one, of_other) = (numbered(one, 5), numbered(other, 9));
    let saga = announced(of_one.saga.as_str(), 60_000, SagaState::Begun);
    let writes = vec![Write::from_case(of_one.clone()), Write::Saga(Box::new(saga.clone()))];
    let shares = vec![share(one, writes), share(other, vec![Write::from_case(of_other)])];
    assert_eq!(lost(&a, shares).await, []);

    let adopted = a.adopt(one.partition).await.expect("adopts");
    assert_eq!(adopted.sagas, [saga]);
    let sequence = of_one.id.0 / 64;
    assert!((sequence..sequence + 1_000).contains(&adopted.last_sequence), "{adopted:?}");
    let page = a.open(one.partition, OpenPlace::default(), 10).await.expect("reads");
    let cases: Vec<CaseId> = page.cases.iter().map(|stored| stored.case.id).collect();
    assert_eq!((cases, page.next), (vec![of_one.id], None));
    let nothing = a.adopt(of_a[20].partition).await.expect("adopts");
    assert_eq!(nothing.sagas, []);
    let page = a.open(of_a[20].partition, OpenPlace::default(), 10).await.expect("reads");
    assert!(page.cases.is_empty());
}

/// Only who has given a partition back in order has left nothing under way.
pub async fn an_adoption_tells_whether_it_was_given_back(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let given = a.claim(ALL).await.expect("claims")[9].partition;
    let error = b.adopt(given).await.expect_err("it is another's");
    assert!(matches!(error, StoreError::NotHeld { .. }), "{error}");
    a.release(vec![given]).await.expect("gives back");
    assert_eq!(b.claim(1).await.expect("claims").len(), 1);
    assert!(b.adopt(given).await.expect("adopts").orderly);
    b.raise().await.expect("raises");
    assert!(!b.adopt(given).await.expect("adopts").orderly);
}

/// Letters are told in the order in which they came, those of other partitions not at all, and again until they go.
pub async fn letters_wait_until_they_are_taken(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let of_a = a.claim(3).await.expect("claims");
    let [mine, other] = [of_a[0].partition, of_a[1].partition];
    post(&b, vec![letter(3, mine), letter(1, mine), letter(9, other)]).await;
    post(&b, vec![letter(2, mine)]).await;
    assert_eq!(numbers(&a, mine, None).await, [3, 1, 2]);
    assert_eq!(numbers(&a, mine, None).await, [3, 1, 2], "nothing has taken them");
    let first = read(&a, mine, None, 100).await.letters.remove(0);
    assert_eq!(first, letter(3, mine));
    let taken = Share { taken: vec![LetterId(3), LetterId(1)], ..opens(of_a[0]) };
    assert_eq!(lost(&a, vec![taken]).await, []);
    assert_eq!(numbers(&a, mine, None).await, [2]);
    assert_eq!(numbers(&a, other, None).await, [9]);
    assert_eq!(a.letters_waiting().await.expect("counts"), {
        let mut waiting = [(mine, 1), (other, 1)];
        waiting.sort();
        waiting
    });
}

/// Several inboxes are read at once, each from its own place and up to its own limit.
pub async fn inboxes_are_read_together(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let of_a: Vec<Partition> =
        a.claim(4).await.expect("claims").iter().map(|lease| lease.partition).collect();
    let [empty, some, read_on, many] = of_a[..] else { panic!("{of_a:?}") };
    post(&a, vec![letter(1, read_on)]).await;
    let began = Instant::now();
    // Its mark passes the letter once no commit of before is under way, whoever's.
    let after = loop {
        let first = read(&a, read_on, None, 100).await;
        if numbers(&a, read_on, Some(first.next)).await.is_empty() {
            break Some(first.next);
        }
        assert!(began.elapsed() < PATIENCE, "somebody's commit never ends");
    };
    post(&a, vec![letter(5, many), letter(2, some), letter(6, many), letter(3, read_on)]).await;
    post(&a, vec![letter(7, many)]).await;
    let wanted = [(many, None, 2), (empty, None, 9), (read_on, after, 9), (some, None, 9)];
    let wanted =
        wanted.map(|(partition, after, most)| LettersWanted { partition, after, most }).to_vec();
    let told = a.letters(wanted).await.expect("reads");
    let told: Vec<(Partition, Vec<u128>, bool)> = told
        .iter()
        .map(|read| {
            let ids = read.letters.iter().map(|letter| letter.id.0).collect();
            (read.partition, ids, read.ended)
        })
        .collect();
    let of = |partition, ids: &[u128], ended| (partition, ids.to_vec(), ended);
    assert_eq!(
        told,
        [
            of(many, &[5, 6], false),
            of(empty, &[], true),
            of(read_on, &[3], true),
            of(some, &[2], true)
        ]
    );
}

/// A letter that is not there any more was taken before: nothing of the share that takes it again is stored.
pub async fn a_letter_is_taken_once(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let of_a = a.claim(2).await.expect("claims");
    let [mine, other] = [of_a[0].partition, of_a[1].partition];
    post(&a, vec![letter(1, mine), letter(2, mine), letter(3, other)]).await;
    let takes = |lease: Lease, ids: &[u128]| Share {
        taken: ids.iter().copied().map(LetterId).collect(),
        ..opens(lease)
    };
    let nothing = Share { writes: Vec::new(), ..takes(of_a[0], &[1]) };
    assert_eq!(lost(&a, vec![nothing]).await, [], "a letter may ask for nothing");
    let of_a = a.raise().await.expect("raises");
    let again = vec![takes(of_a[0], &[2, 1]), takes(of_a[1], &[3])];
    assert_eq!(lost(&a, again).await, [mine]);
    assert!(!is_stored(&a, mine).await && is_stored(&a, other).await);
    let of_a = a.raise().await.expect("raises");
    let foreign = vec![takes(of_a[1], &[2])];
    assert_eq!(lost(&a, foreign).await, [other], "it is no letter of that partition");
    assert_eq!(numbers(&a, mine, None).await, [2]);
}

/// The letters of a share that is not held stay for whoever holds it.
pub async fn a_lost_share_leaves_its_letters(place: &impl SharedPlace) {
    let (a, b) = (place.open("a").await, place.open("b").await);
    let before = a.claim(1).await.expect("claims")[0];
    post(&b, vec![letter(1, before.partition)]).await;
    a.release(vec![before.partition]).await.expect("gives back");
    let of_b = b.claim(ALL).await.expect("claims");
    let takes = |lease| Share { taken: vec![LetterId(1)], ..opens(lease) };
    assert_eq!(lost(&a, vec![takes(before)]).await, [before.partition]);
    assert_eq!(numbers(&b, before.partition, None).await, [1]);
    let now = of_b.iter().find(|lease| lease.partition == before.partition).expect("all are its");
    assert_eq!(lost(&b, vec![takes(*now)]).await, []);
    assert_eq!(numbers(&b, before.partition, None).await, []);
}

/// A reading goes on where the one before has ended, also in the middle; what has come meanwhile is not passed over.
pub async fn a_reading_goes_on_after_its_mark(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let mine = a.claim(1).await.expect("claims")[0].partition;
    for n in 1..=5 {
        post(&a, vec![letter(n, mine)]).await;
    }
    let began = Instant::now();
    let (mut after, mut seen) = (None, BTreeSet::new());
    // What came while somebody else's commit was under way is told again, until that has ended.
    loop {
        let read = read(&a, mine, after, 2).await;
        assert!(read.letters.len() <= 2 && began.elapsed() < PATIENCE, "{seen:?}");
        if read.letters.is_empty() {
            break;
        }
        seen.extend(read.letters.iter().map(|letter| letter.id.0));
        if after.is_none() {
            post(&a, vec![letter(6, mine)]).await;
        }
        after = Some(read.next);
    }
    assert!(seen.iter().copied().eq(1..=6), "{seen:?}");
    post(&a, vec![letter(7, mine)]).await;
    assert_eq!(numbers(&a, mine, after).await, [7]);
}

/// A letter that its sender sends again, not knowing whether it has arrived, waits once.
pub async fn a_letter_that_comes_again_is_one(place: &impl SharedPlace) {
    let a = place.open("a").await;
    let mine = a.claim(1).await.expect("claims")[0].partition;
    post(&a, vec![letter(1, mine)]).await;
    post(&a, vec![letter(1, mine), letter(2, mine)]).await;
    assert_eq!(numbers(&a, mine, None).await, [1, 2]);
}
