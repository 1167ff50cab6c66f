//! Races between an activation and what other nodes commit, on a real server.

use super::tests::{Base, until};
use crate::{
    Batch, Committed, Lease, Leases, Ledger, Partition, PostgresStore, Share, StoreError,
    conformance::{
        nodes::{SharedPlace, case_of},
        sample::{activation, whole},
    },
};
use amends_engine::Write;
use std::thread::{self, JoinHandle};

const ALL: usize = Partition::PARTS + 1;
/// Somebody else's writes stand in the way of these.
const ONE_WAITS: &str = "SELECT (count(*) = 1)::text FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

fn planned(settings: u64, lease: Lease, writes: Vec<Write>) -> Batch {
    let Lease { partition, epoch } = lease;
    let share = Share { partition, epoch, writes, ..Share::default() };
    Batch { shares: vec![share], settings, ..Batch::default() }
}

fn opens(settings: u64, lease: Lease) -> Batch {
    planned(settings, lease, whole(case_of(lease.partition)))
}

fn activates(seat: Lease) -> Batch {
    planned(0, seat, vec![activation("food", "h1", 1)])
}

/// The first has the seat, the second a part of the sagas.
fn two(base: &Base) -> (PostgresStore, Lease, PostgresStore, Lease) {
    on_a_runtime(async {
        let (a, b) = (SharedPlace::open(base, "a").await, SharedPlace::open(base, "b").await);
        let of_b = b.claim(2).await.expect("claims")[0];
        let of_a = a.claim(ALL).await.expect("claims");
        let seat = of_a.iter().find(|lease| lease.partition == Partition::SEAT);
        (a, *seat.expect("nobody else has it"), b, of_b)
    })
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

type Committing = JoinHandle<Result<Committed, StoreError>>;

fn commit(store: PostgresStore, batch: Batch) -> Committing {
    thread::spawn(move || on_a_runtime(store.commit(batch)))
}

/// It waits for the lease row, and judges what the activation has left there, not what it saw before it waited.
#[test]
fn a_commit_that_waits_for_an_activation_is_refused() {
    let base = Base::new();
    let (a, seat, b, of_b) = two(&base);
    let (beside, watching) = (base.session(), base.session());
    base.sql("INSERT INTO marks (name, value) VALUES ('settings', 0)");
    let sql = "BEGIN; SELECT FROM marks WHERE name = 'settings' FOR UPDATE";
    beside.batch(sql).expect("stands in the way");
    let active = commit(a, activates(seat));
    until(&watching, ONE_WAITS);
    let late = commit(b, opens(0, of_b));
    until(&watching, &ONE_WAITS.replace("= 1", "= 2"));
    beside.batch("COMMIT").expect("out of the way");
    let active = active.join().expect("no panic").expect("commits");
    assert_eq!(active.settings, Some(1));
    let late = late.join().expect("no panic");
    assert!(matches!(late, Err(StoreError::Outdated)), "{late:?}");
    assert_eq!(base.number("SELECT count(*) FROM cases"), 0);
}

/// What had begun before is stored before.
#[test]
fn an_activation_waits_for_what_is_under_way() {
    let base = Base::new();
    let (a, seat, b, of_b) = two(&base);
    let (beside, watching) = (base.session(), base.session());
    // Whoever opens a case counts it.
    let sql = "BEGIN; SELECT FROM marks WHERE name LIKE 'cases%' FOR UPDATE";
    beside.batch(sql).expect("stands in the way");
    let under_way = commit(b, opens(0, of_b));
    until(&watching, ONE_WAITS);
    let active = commit(a, activates(seat));
    until(&watching, &ONE_WAITS.replace("= 1", "= 2"));
    assert!(!active.is_finished());
    beside.batch("COMMIT").expect("out of the way");
    assert_eq!(under_way.join().expect("no panic").expect("commits").lost, []);
    assert_eq!(active.join().expect("no panic").expect("commits").settings, Some(1));
    assert_eq!(base.number("SELECT count(*) FROM cases"), 1);
}
