//! Races on a real server: what no statement is believed without.

use super::{
    batch_rows::Rows,
    commit::{self, Holder, Landed},
    lease::{Me, WholeLease},
    session::{Session, database},
    tests::{Base, PATIENCE, until},
};
use crate::{
    Batch, Epoch, Leases, Ledger,
    conformance::sample::{FromRow, case, done, report, whole},
    tables::{collect, rows::column},
};
use amends_engine::{CaseRow, Write};
use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

fn me(node: &str, session: &Session) -> Me {
    let incarnation = session.text("SELECT gen_random_uuid()::text").expect("draws");
    Me { node: node.to_owned(), incarnation, lease_time: Duration::from_secs(3_600) }
}

fn batch(epoch: Epoch, writes: Vec<Write>) -> Batch {
    // With supervisor time, by which cases are counted: rows that stand in the way.
    Batch::whole(epoch, writes, Some(amends_protocol::Timestamp(1)))
}

fn cases(session: &Session) -> Vec<i64> {
    let sql = "SELECT id FROM cases ORDER BY id";
    collect(session, sql, &[], |row| column(row, 0)).expect("reads")
}

/// Two nodes that come at the same moment take what a dead one held: one of them, everything, and once. Whoever has it
/// then lives, and the other's claim, whose snapshot may be from before it came, must not rob it.
#[test]
fn of_two_that_claim_at_once_one_wins_and_is_not_robbed() {
    const ROUNDS: usize = 40;
    let base = Base::new();
    drop(base.store("first"));
    let beside = base.session();
    let (start, end) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
    let (told, tell) = mpsc::channel();
    let claims = ["a", "b"].map(|name| {
        let (base, told) = (Base(base.0.clone()), told.clone());
        let (start, end) = (Arc::clone(&start), Arc::clone(&end));
        thread::spawn(move || {
            let session = base.session();
            let me = me(name, &session);
            for _ in 0..ROUNDS {
                start.wait();
                let mut lease = WholeLease::default();
                let claimed = me.beat(&session).and_then(|_| {
                    // It counts as one that has lived for long.
                    lease.claim_after(&session, &me, Duration::ZERO)
                });
                told.send((name, claimed.map(|()| lease.0.is_some()))).expect("somebody waits");
                end.wait();
            }
        })
    });
    for round in 0..ROUNDS {
        beside
            .batch(
                "DELETE FROM node; INSERT INTO node (id, incarnation, alive_until, version)
                 VALUES ('dead', gen_random_uuid(), clock_timestamp() - interval '1 hour', 1);
                 UPDATE lease SET owner = 'dead'",
            )
            .expect("runs");
        let before = beside.text("SELECT sum(epoch)::text FROM lease").expect("adds");
        start.wait();
        let both = [(); 2].map(|()| tell.recv_timeout(PATIENCE).expect("both are told"));
        let won = both.iter().filter(|(_, claimed)| *claimed.as_ref().expect("claims"));
        let won: Vec<&str> = won.map(|(name, _)| *name).collect();
        let [owner] = won[..] else { panic!("round {round}: {won:?} have won") };
        let after = beside
            .text("SELECT min(owner) || max(owner) || sum(epoch)::text FROM lease")
            .expect("adds");
        let raised = before.parse::<i64>().expect("a number") + 65;
        assert_eq!(after, format!("{owner}{owner}{raised}"), "round {round}: claimed once");
        end.wait();
    }
    for claim in claims {
        claim.join().expect("no panic");
    }
}

/// The client's socket is gone while its commit runs. After a raise either it has landed, or it never does.
#[test]
fn a_lost_statement_lands_before_the_load_or_never() {
    let base = Base::new();
    let store = base.store("one");
    let beside = base.session();
    let mut landed = 0;
    let in_the_way = [
        // It is past the fence, and waits for the row that counts the cases.
        "BEGIN; SELECT FROM marks WHERE name = 'cases' FOR UPDATE",
        // It is before the fence, and a raise is under way.
        "BEGIN; SELECT FROM lease ORDER BY partition FOR UPDATE; UPDATE lease SET epoch = epoch + 1",
    ];
    for (round, in_the_way) in (1..=8).zip(in_the_way.into_iter().cycle()) {
        let epoch = held_epoch(&store);
        let (mut lease, me) = (WholeLease::default(), of_store(&beside));
        lease.0 = Some(held_by(&beside, &me));
        assert_eq!(lease.leases()[0].epoch, epoch);
        beside.batch(in_the_way).expect("stands in the way");
        let lost = base.session_that_is_cut_off_after(Duration::from_secs(1));
        let (gone, went) = mpsc::channel();
        let runs = thread::spawn(move || {
            let held = lease.held().expect("held");
            let by = Holder { session: &lost, me: &me, held };
            let commit = batch(Epoch(0), whole(case(round)));
            commit::commit(by, &[&commit]).expect_err("nobody knows what became of it");
            // With its socket; the server goes on.
            drop(lost);
            gone.send(()).expect("somebody waits");
        });
        went.recv_timeout(PATIENCE).expect("it is cut off");
        runs.join().expect("no panic");
        let raising = thread::spawn({
            let store = store.clone();
            move || on_a_runtime(async move { store.raise().await.expect("raises") })
        });
        beside.batch("COMMIT").expect("out of the way");
        let raised = raising.join().expect("no panic");
        assert!(raised[0].epoch > epoch);
        let then = cases(&beside);
        until(
            &beside,
            "SELECT (count(*) = 0)::text FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()",
        );
        assert_eq!(cases(&beside), then, "round {round}: it landed over what was loaded");
        let has_landed = then.contains(&i64::try_from(round).expect("small"));
        assert!(!(has_landed && round % 2 == 0), "round {round}: it was refused by the fence");
        landed += usize::from(has_landed);
    }
    assert!(landed > 0, "what was past the fence landed, before the load");
}

/// As one that is past the fence keeps a raise waiting.
#[test]
fn a_raise_waits_for_a_commit_that_is_past_the_fence() {
    let base = Base::new();
    let store = base.store("one");
    let beside = base.session();
    let epoch = held_epoch(&store);
    let sql = "BEGIN; SELECT FROM marks WHERE name = 'cases' FOR UPDATE";
    beside.batch(sql).expect("stands in the way");
    // Whoever is in a transaction sees one state of activity.
    let watching = base.session();
    let commit = thread::spawn({
        let base = Base(base.0.clone());
        move || {
            let session = base.session();
            let me = of_store(&session);
            let held = held_by(&session, &me);
            let by = Holder { session: &session, me: &me, held: &held };
            commit::commit(by, &[&batch(Epoch(0), whole(case(1)))])
        }
    });
    let waiting = "SELECT (count(*) = 1)::text FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(&watching, waiting);
    let raising = thread::spawn({
        let store = store.clone();
        move || on_a_runtime(async move { store.raise().await.expect("raises") })
    });
    until(&watching, &waiting.replace("= 1", "= 2"));
    assert!(!raising.is_finished());
    beside.batch("COMMIT").expect("out of the way");
    assert_eq!(commit.join().expect("no panic").expect("commits").landed, Landed::Yes);
    assert!(raising.join().expect("no panic")[0].epoch > epoch);
    assert_eq!(cases(&beside), [1], "it had landed");
}

/// A raise under commits that go on all the time: none of the old epoch lands after it.
#[test]
fn nothing_of_an_old_epoch_lands_after_a_raise() {
    let base = Base::new();
    let store = base.store("one");
    let beside = base.session();
    for round in 0..20_u64 {
        let (told, tell) = mpsc::channel();
        let committing = thread::spawn({
            let base = Base(base.0.clone());
            move || {
                let session = base.session();
                let me = of_store(&session);
                let held = held_by(&session, &me);
                let by = Holder { session: &session, me: &me, held: &held };
                for n in 1.. {
                    let commit = batch(Epoch(0), vec![Write::from_case(case(round * 100_000 + n))]);
                    if commit::commit(by, &[&commit]).expect("answers").landed == Landed::NotHeld {
                        return;
                    }
                    let _ = told.send(n);
                }
            }
        });
        for _ in 0..=round % 7 {
            tell.recv_timeout(PATIENCE).expect("commits go on");
        }
        let raised = on_a_runtime(store.raise()).expect("raises");
        let then = cases(&beside);
        assert_eq!(raised.len(), 1);
        committing.join().expect("no panic");
        assert_eq!(cases(&beside), then, "round {round}");
    }
}

/// Two that write the same rows, given in opposite orders, wait for each other in one order.
#[test]
fn opposite_orders_are_no_deadlock() {
    let base = Base::new();
    let _store = base.store("one");
    let both = [false, true].map(|is_turned| {
        let base = Base(base.0.clone());
        thread::spawn(move || {
            let session = base.session();
            let me = of_store(&session);
            let held = held_by(&session, &me);
            let by = Holder { session: &session, me: &me, held: &held };
            for round in 0..40 {
                let mut writes = Vec::new();
                for n in 1..=20_u64 {
                    let changed = CaseRow { message: Some(round.to_string().into()), ..case(n) };
                    writes.push(Write::from_case(changed));
                    writes.push(Write::from_report(report(n, 0)));
                    writes.push(Write::from_step(done(n, 1, "payment.pay")));
                }
                if is_turned {
                    writes.reverse();
                }
                let mut rows = Rows::default();
                writes.iter().for_each(|write| rows.add(write).expect("one of each"));
                // Without a repetition.
                assert_eq!(commit::put(by, &rows, 0).expect("no deadlock"), Landed::Yes);
            }
        })
    });
    for one in both {
        one.join().expect("no deadlock");
    }
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

fn held_epoch(store: &impl Ledger) -> Epoch {
    on_a_runtime(store.load()).expect("loads").epoch
}

/// The process that has a store open, as another connection of it.
fn of_store(session: &Session) -> Me {
    let incarnation = session.text("SELECT incarnation::text FROM node WHERE id = 'one'");
    let incarnation = incarnation.expect("it lives");
    Me { node: "one".to_owned(), incarnation, lease_time: Duration::from_secs(5) }
}

fn held_by(session: &Session, me: &Me) -> super::lease::Held {
    super::lease::Held::read(session, me)
        .map_err(database("read leases"))
        .expect("reads")
        .expect("all of them")
}
