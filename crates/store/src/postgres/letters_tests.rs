//! Letters that their owner refuses, on a real server.

use super::tests::Base;
use crate::{
    Batch, Committed, Leases, Ledger, Letters, LettersWanted, PageRequest, Partition,
    PostgresStore, Rejected, RejectedFilter, RejectedLimits, RejectedRow, Share,
    conformance::nodes::{SharedPlace, case_of},
};
use amends_api::{CaseAct, RejectedWay};
use amends_engine::{Actor, Input, Letter, LetterId, RefusedLetter, Write};
use amends_protocol::{ProblemCode, Timestamp};

const ALL: usize = Partition::PARTS + 1;

async fn open(base: &Base, node: &str) -> PostgresStore {
    SharedPlace::open(base, node).await
}

async fn post(store: &PostgresStore, letters: Vec<Letter>) {
    let posted = store.commit(Batch { letters, ..Batch::default() }).await;
    assert_eq!(posted.expect("letters need no lease"), Committed::default());
}

fn refusing(share: Share, letter: &Letter) -> Batch {
    let why = (ProblemCode::Conflict, "the case is settled");
    let refused = vec![RefusedLetter::new(letter.clone(), why, Timestamp(1_700_000_000_000))];
    let share = Share { taken: vec![letter.id], refused, ..share };
    Batch { shares: vec![share], ..Batch::default() }
}

async fn all(store: &PostgresStore) -> Vec<RejectedRow> {
    let page = store.rejected(RejectedFilter::default(), PageRequest::first(10)).await;
    page.expect("reads").items.into_iter().map(|listed| listed.row).collect()
}

/// A row comes with the commit that deletes the letter, with who left it and of which saga it is; of a share that is
/// lost, nothing comes.
#[tokio::test]
async fn a_refused_letter_becomes_a_row_in_the_commit_that_deletes_it() {
    let base = Base::new();
    let (a, b) = (open(&base, "a").await, open(&base, "b").await);
    let lease = a.claim(ALL).await.expect("claims")[3];
    let row = case_of(lease.partition);
    let share = |epoch| Share { partition: lease.partition, epoch, ..Share::default() };
    let write = Write::Case(Box::new(row.clone()));
    let opens = Share { writes: vec![write], ..share(lease.epoch) };
    let opened = a.commit(Batch { shares: vec![opens], ..Batch::default() }).await;
    assert_eq!(opened.expect("commits").lost, []);

    let act = CaseAct::replan("once more".to_owned());
    let actor = Actor::from("kim");
    let input = Input::CaseAct { case: row.id, act, actor, bulk: None, ticket: 1 };
    let letter = Letter::of(&input, LetterId(7), lease.partition).expect("a letter");
    post(&b, vec![letter.clone()]).await;
    assert!(b.letter_waits(letter.id).await.expect("reads"));

    let raised = a.raise().await.expect("raises")[3];
    let lost = a.commit(refusing(share(lease.epoch), &letter)).await.expect("commits");
    assert_eq!((lost.lost, all(&a).await), (vec![lease.partition], vec![]));
    let done = a.commit(refusing(share(raised.epoch), &letter)).await.expect("commits");
    assert_eq!(done.lost, []);
    assert!(!b.letter_waits(letter.id).await.expect("reads"));
    let [found] = &all(&b).await[..] else { panic!("one row") };
    assert_eq!((found.way, found.code), (RejectedWay::Node, ProblemCode::Conflict));
    assert_eq!(found.saga.as_deref(), Some(row.saga.as_str()), "of its case");
    let told = format!("letter {} of node `b`: `replan` of case `{}` by kim", letter.id, row.id);
    assert_eq!(found.place, told);
    assert!(found.sent_at.is_some_and(|at| at.0 > 1_700_000_000_000));

    let name = RejectedRow::name_of_letter(letter.id);
    let whole = b.rejected_one(name).await.expect("reads").expect("it is there");
    assert_eq!(whole.letter().map(|again| again.body), Some(letter.body));
    assert!(b.forget_rejected(name).await.expect("forgets"), "whoever told it takes it away");
}

/// What is refused does not wait for room; that is made behind it, and the newest stays.
#[tokio::test]
async fn room_is_made_behind_a_refusal() {
    let base = Base::new();
    let a = open(&base, "a").await;
    let lease = a.claim(ALL).await.expect("claims")[9];
    let letter = |n| {
        let saga = case_of(lease.partition).saga;
        Letter::of(&Input::SagaEnded { saga, ticket: 1 }, LetterId(n), lease.partition)
    };
    let share = Share { partition: lease.partition, epoch: lease.epoch, ..Share::default() };
    for n in 1..=3 {
        let letter = letter(n).expect("a letter");
        post(&a, vec![letter.clone()]).await;
        a.commit(refusing(share.clone(), &letter)).await.expect("commits");
    }
    let most = RejectedLimits { rows: 2, bytes: 1 << 20 };
    assert_eq!(a.make_room_for_rejected(most).await.expect("makes room"), 1);
    let left: Vec<_> = all(&a).await.into_iter().map(|row| row.name()).collect();
    assert_eq!(left, [3, 2].map(|n| RejectedRow::name_of_letter(LetterId(n))));
}

/// A letter of a kind that came later is told apart, and the others are read.
#[tokio::test]
async fn a_letter_of_a_newer_version_keeps_no_others_back() {
    let base = Base::new();
    let a = open(&base, "a").await;
    let lease = a.claim(ALL).await.expect("claims")[0];
    let part = lease.partition;
    base.sql(&format!(
        "INSERT INTO inbox (id, partition, kind, body)
         VALUES ('00000000-0000-0000-0000-000000000009', {}, 'postcard', '{{}}')",
        part.0
    ));
    let saga = case_of(part).saga;
    let letter = Letter::of(&Input::SagaEnded { saga, ticket: 1 }, LetterId(1), part);
    post(&a, vec![letter.expect("a letter")]).await;
    let read = a
        .letters(vec![LettersWanted { partition: part, after: None, most: 10 }])
        .await
        .expect("reads")
        .remove(0);
    let ids: Vec<u128> = read.letters.iter().map(|letter| letter.id.0).collect();
    let [(LetterId(9), why)] = &read.unread[..] else { panic!("{read:?}") };
    assert!(ids == [1] && read.ended && why.contains("`postcard`"), "{read:?}");
}
