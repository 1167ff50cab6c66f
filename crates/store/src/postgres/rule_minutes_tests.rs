//! Limits of rules on a real server: nodes at the limit at the same moment, and minutes that end.

use super::{
    commit::{self, Holder},
    lease::Me,
    parts::PartLeases,
    rule_minutes,
    session::Session,
    tests::{Base, until},
};
use crate::{Batch, Lease, Partition, Share, StoreError};
use amends_engine::RuleCases;
use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

const NODES: [&str; 3] = ["a", "b", "c"];
const LIMIT: u32 = 7;
/// Somebody else's count stands in the way of these.
const ONE_WAITS: &str = "SELECT (count(*) = 1)::text FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A node on a connection of its own.
struct Counting {
    session: Session,
    me: Me,
    leases: PartLeases,
}

impl Counting {
    fn new(base: &Base, name: &str) -> Self {
        let session = base.session();
        let incarnation = session.text("SELECT gen_random_uuid()::text").expect("draws");
        let lease_time = Duration::from_secs(3_600);
        let me = Me { node: name.to_owned(), incarnation, lease_time };
        me.beat(&session).expect("beats");
        let mut leases = PartLeases::default();
        // What others lock at the same moment is passed over.
        while leases.leases().is_empty() {
            leases.claim_after(&session, &me, 4, Duration::ZERO).expect("claims");
        }
        Self { session, me, leases }
    }

    /// Lets rules of its parts answer so many cases, in whatever order; false if that is over a limit.
    fn answers(&self, rules: impl IntoIterator<Item = (u32, u32)>) -> bool {
        let Lease { partition, epoch } = self.leases.leases()[0];
        assert_ne!(partition, Partition::SEAT, "of several it is the last");
        let of = |(rule, cases)| RuleCases { rulebook: "h1".into(), rule, limit: LIMIT, cases };
        let rule_cases = rules.into_iter().map(of).collect();
        let share = Share { partition, epoch, rule_cases, ..Share::default() };
        let batch = Batch { shares: vec![share], ..Batch::default() };
        let by = Holder { session: &self.session, me: &self.me, held: &self.leases.0 };
        match commit::commit(by, &[&batch]) {
            Ok(_) => true,
            Err(StoreError::Outdated) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Three nodes, again and again at the same moment, each with two rules in an order of its own: all that the limit
/// leaves is let through, nothing more, and nobody waits for another in a circle.
#[test]
fn nodes_that_come_to_a_limit_at_once_let_through_what_it_leaves() {
    const ROUNDS: usize = 30;
    let base = Base::new();
    drop(base.store("first"));
    let beside = base.session();
    let (start, end) = (Arc::new(Barrier::new(4)), Arc::new(Barrier::new(4)));
    let nodes = NODES.map(|name| {
        let (base, start, end) = (Base(base.0.clone()), Arc::clone(&start), Arc::clone(&end));
        thread::spawn(move || {
            let node = Counting::new(&base, name);
            let mut through = Vec::new();
            for round in 0..ROUNDS {
                start.wait();
                let order = if (round + name.len()) % 2 == 0 { [1, 2] } else { [2, 1] };
                let times = (0..5).filter(|_| node.answers(order.map(|rule| (rule, 1))));
                through.push(times.count());
                end.wait();
            }
            through
        })
    });
    let mut counted = Vec::new();
    for _ in 0..ROUNDS {
        beside.batch("DELETE FROM rule_minute").expect("no minute has begun");
        start.wait();
        end.wait();
        let told = rule_minutes::current(&beside).expect("reads").into_iter();
        counted.push(told.map(|one| (one.rule, one.cases)).collect::<BTreeMap<_, _>>());
    }
    let through = nodes.map(|node| node.join().expect("nobody waits in a circle"));
    for (round, counted) in counted.into_iter().enumerate() {
        let of_round: usize = through.iter().map(|of_node| of_node[round]).sum();
        assert_eq!(of_round, LIMIT as usize, "round {round}: {through:?}");
        assert_eq!(counted, BTreeMap::from([(1, LIMIT), (2, LIMIT)]), "round {round}");
    }
}

/// One that waits for another's count judges what that one has left, not what it saw before.
#[test]
fn a_count_that_waits_for_another_adds_to_it() {
    let base = Base::new();
    drop(base.store("first"));
    let (beside, watching) = (base.session(), base.session());
    let mut node = Counting::new(&base, "a");
    assert!(node.answers([(1, LIMIT - 3)]));
    for passes in [true, false] {
        let more = "BEGIN; UPDATE rule_minute SET cases = cases + 1";
        beside.batch(more).expect("another node lets one through");
        let waits = thread::spawn(move || (node.answers([(1, 1)]), node));
        until(&watching, ONE_WAITS);
        beside.batch("COMMIT").expect("commits");
        let (passed, back) = waits.join().expect("no panic");
        assert_eq!(passed, passes);
        node = back;
    }
}

/// It begins with the first case after the one before is over; what is long over is forgotten.
#[test]
fn a_minute_ends_by_the_databases_clock() {
    let base = Base::new();
    drop(base.store("first"));
    let beside = base.session();
    let node = Counting::new(&base, "a");
    assert!(node.answers([(1, LIMIT), (2, 1)]) && !node.answers([(1, 1)]));
    let ages = |ms: u64| {
        let sql = format!("UPDATE rule_minute SET began = clock_timestamp() - interval '{ms} ms'");
        beside.batch(&sql).expect("time passes");
    };
    ages(30_000);
    assert!(!node.answers([(1, 1)]), "it is not over");
    let told = rule_minutes::current(&beside).expect("reads");
    assert!(told.iter().all(|one| one.age_ms >= 30_000), "{told:?}");
    ages(60_000);
    assert_eq!(rule_minutes::current(&beside).expect("reads"), []);
    assert!(node.answers([(1, LIMIT)]) && !node.answers([(1, 1)]), "another one");
    ages(3_601_000);
    beside.batch("UPDATE rule_minute SET began = clock_timestamp() WHERE rule = 1").expect("runs");
    rule_minutes::forget(&beside).expect("forgets");
    let left = beside.text("SELECT string_agg(rule::text, ',') FROM rule_minute");
    assert_eq!(left.expect("reads"), "1");
}
