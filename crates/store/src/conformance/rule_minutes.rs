//! The cases of a limited rule are counted over all nodes that share a store, exactly: by the commit that lets them
//! through.

use super::nodes::{ALL, SharedPlace, case_of};
use super::sample::whole;
use crate::{Batch, Lease, Leases, Ledger, LookupRequest, Partition, Share, StoreError};
use amends_engine::{RULE_MINUTE_MS, RuleCases, RuleMinute};
use std::time::{Duration, Instant};

const LIMIT: u32 = 5;

fn answers(rule: u32, cases: u32) -> RuleCases {
    RuleCases { rulebook: "h1".into(), rule, limit: LIMIT, cases }
}

/// Opens a case of the partition, and says what rules answer by it.
fn lets_through(lease: Lease, rule_cases: Vec<RuleCases>) -> Share {
    let Lease { partition, epoch } = lease;
    let writes = whole(case_of(partition));
    Share { partition, epoch, writes, rule_cases, ..Share::default() }
}

fn batch(shares: Vec<Share>) -> Batch {
    Batch { shares, ..Batch::default() }
}

/// Rules and their cases, in order.
fn counts(minutes: Vec<RuleMinute>) -> Vec<(u32, u32)> {
    let is_of_the_minute = |one: &RuleMinute| &*one.rulebook == "h1" && one.age_ms < RULE_MINUTE_MS;
    assert!(minutes.iter().all(is_of_the_minute), "{minutes:?}");
    let mut counts: Vec<_> = minutes.into_iter().map(|one| (one.rule, one.cases)).collect();
    counts.sort_unstable();
    counts
}

async fn found(store: &impl Ledger) -> Vec<(u32, u32)> {
    let wanted = LookupRequest { rule_minutes: true, ..LookupRequest::default() };
    let found = store.find(wanted).await.expect("reads");
    counts(found.rule_minutes.expect("it was asked for"))
}

async fn is_stored(store: &impl Ledger, partition: Partition) -> bool {
    let wanted = LookupRequest { sagas: vec![case_of(partition).saga], ..LookupRequest::default() };
    !store.find(wanted).await.expect("reads").cases.is_empty()
}

/// Whichever node lets them through: what passes a limit is refused as a whole and counts for nothing, and all nodes
/// are told how many there are, at a look-up and at a start. What is left out counts for nothing as well.
pub async fn a_rule_answers_no_more_cases_than_its_limit(place: &impl SharedPlace) {
    let began = Instant::now();
    let (a, b) = (place.open("a").await, place.open("b").await);
    let of_b = b.claim(3).await.expect("claims");
    let of_a = a.claim(ALL).await.expect("claims");
    assert_eq!(found(&a).await, []);

    let two_shares = [(0, vec![answers(1, 2)]), (1, vec![answers(1, 1), answers(2, 1)])];
    let shares = two_shares.map(|(n, answers)| lets_through(of_a[n], answers));
    let done = a.commit(batch(shares.to_vec())).await.expect("commits");
    assert_eq!((done.lost, found(&b).await), (vec![], vec![(1, 3), (2, 1)]));
    let stale = Lease { epoch: crate::Epoch(of_b[1].epoch.0 + 7), ..of_b[1] };
    let shares = vec![
        lets_through(of_b[0], vec![answers(1, 1)]),
        lets_through(stale, vec![answers(1, 4), answers(3, 1)]),
    ];
    let done = b.commit(batch(shares)).await.expect("commits what is held");
    assert_eq!((done.lost, found(&a).await), (vec![stale.partition], vec![(1, 4), (2, 1)]));

    let shares = vec![
        lets_through(of_a[2], vec![answers(2, 1)]),
        lets_through(of_a[3], vec![answers(1, 2)]),
    ];
    let refused = a.commit(batch(shares)).await;
    if began.elapsed() >= Duration::from_millis(RULE_MINUTE_MS) {
        return; // a machine on which that takes a minute has seen another one begin
    }
    assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    assert!(!is_stored(&b, of_a[2].partition).await && !is_stored(&b, of_a[3].partition).await);
    assert_eq!(found(&b).await, [(1, 4), (2, 1)]);

    let last = lets_through(of_b[2], vec![answers(1, 1)]);
    assert_eq!(b.commit(batch(vec![last])).await.expect("one is left").lost, []);
    let shared = a.load().await.expect("loads").shared.expect("nodes share it");
    assert_eq!(counts(shared.rule_minutes), [(1, 5), (2, 1)]);
    let full = lets_through(of_a[3], vec![answers(1, 1)]);
    let refused = a.commit(batch(vec![full])).await;
    assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    let held = lets_through(of_a[3], Vec::new());
    assert_eq!(a.commit(batch(vec![held])).await.expect("it waits for approval").lost, []);
}
