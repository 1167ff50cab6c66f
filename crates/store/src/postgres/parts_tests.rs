//! Races of nodes that share a store, on a real server: never two owners of a part, never a write under an old epoch.

use super::{
    commit::{self, Holder, Landed},
    lease::Me,
    parts::PartLeases,
    session::Session,
    tests::{Base, PATIENCE, until},
};
use crate::{
    Batch, Lease, Leases, Letters, LettersWanted, Nodes, Partition, Share, StoreError,
    conformance::nodes::{SharedPlace, case_of},
    tables::{collect, one, rows::column},
};
use amends_engine::{CaseRow, Letter, LetterId, LetterKind, Write};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// What the others do while a node hangs; and how long that takes at most, if they have come to their end.
const ACTS_OF_OTHERS: usize = 8;
const LONGEST_HANG: Duration = Duration::from_millis(100);
const ALL: usize = Partition::PARTS + 1;

/// Tells of each write of a case whose lease it was made under, by the row of the lease itself.
const WITNESS: &str = "
    CREATE TABLE witness (told text NOT NULL, owner text, epoch bigint);
    CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO witness SELECT NEW.message, l.owner, l.epoch FROM lease l WHERE l.partition = NEW.partition;
      RETURN NEW;
    END $$;
    CREATE TRIGGER witness AFTER INSERT OR UPDATE ON cases FOR EACH ROW EXECUTE FUNCTION witness()";

/// Numbers by chance, the same in each run.
struct SeededRng(u64);

impl SeededRng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A node on a connection of its own, which does whatever comes.
struct Wild<'a> {
    session: Session,
    me: Me,
    leases: PartLeases,
    claimed: &'a Mutex<Vec<(Partition, u64)>>,
    acts: &'a AtomicUsize,
    landed: usize,
    left_out: usize,
}

impl<'a> Wild<'a> {
    fn new(
        base: &Base,
        name: &str,
        (claimed, acts): (&'a Mutex<Vec<(Partition, u64)>>, &'a AtomicUsize),
    ) -> Self {
        let session = base.session();
        let incarnation = session.text("SELECT gen_random_uuid()::text").expect("draws");
        let lease_time = Duration::from_secs(3_600);
        let me = Me { node: name.to_owned(), incarnation, lease_time };
        me.beat(&session).expect("beats");
        Self { session, me, leases: PartLeases::default(), claimed, acts, landed: 0, left_out: 0 }
    }

    /// It counts as one that has lived for long.
    fn claim(&mut self, most: usize) {
        let before: BTreeSet<Lease> = self.leases.leases().into_iter().collect();
        self.leases.claim_after(&self.session, &self.me, most, Duration::ZERO).expect("claims");
        let now = self.leases.leases();
        self.note(now.into_iter().filter(|lease| !before.contains(lease)));
    }

    fn raise(&mut self) {
        self.leases.raise(&self.session, &self.me).expect("raises");
        self.note(self.leases.leases());
    }

    fn note(&self, leases: impl IntoIterator<Item = Lease>) {
        let told = leases.into_iter().map(|lease| (lease.partition, lease.epoch.0));
        self.claimed.lock().expect("no panic").extend(told);
    }

    /// Writes the case of some parts, with who it is.
    fn commit(&mut self, rng: &mut SeededRng) {
        let held = self.leases.leases();
        let parts = held.into_iter().filter(|lease| lease.partition != Partition::SEAT);
        let some: Vec<Lease> = parts.filter(|_| rng.below(4) == 0).collect();
        let shares = some.into_iter().map(|Lease { partition, epoch }| {
            let told = format!("{}/{}", self.me.node, epoch.0);
            let row = CaseRow { message: Some(told.into()), ..case_of(partition) };
            Share { partition, epoch, writes: vec![Write::Case(Box::new(row))], ..Share::default() }
        });
        let batch = Batch { shares: shares.collect(), ..Batch::default() };
        let by = Holder { session: &self.session, me: &self.me, held: &self.leases.0 };
        match commit::commit(by, &[&batch]).expect("commits").landed {
            Landed::Yes => self.landed += batch.shares.len(),
            Landed::Without(lost) => {
                self.landed += batch.shares.len() - lost.len();
                self.left_out += lost.len();
                lost.iter().for_each(|part| self.leases.0.drop_part(*part));
            }
            Landed::NotHeld => panic!("it holds parts"),
        }
    }

    fn release(&mut self, rng: &mut SeededRng) {
        let held = self.leases.leases().into_iter().filter(|_| rng.below(3) == 0);
        let some: Vec<Partition> = held.map(|lease| lease.partition).collect();
        self.leases.release(&self.session, &self.me, &some).expect("gives back");
    }

    /// It counts as dead, and knows nothing of that; meanwhile the others go on for a while.
    fn hang(&self) {
        let dead = format!(
            "UPDATE node SET alive_until = clock_timestamp() - interval '1 hour' WHERE id = '{}'",
            self.me.node
        );
        self.session.batch(&dead).expect("runs");
        let (until, began) = (self.acts.load(Relaxed) + ACTS_OF_OTHERS, Instant::now());
        while self.acts.load(Relaxed) < until && began.elapsed() < LONGEST_HANG {
            thread::yield_now();
        }
    }

    fn live(mut self, seed: u64) -> (usize, usize) {
        const ACTS: usize = 80;
        let mut rng = SeededRng(seed);
        for _ in 0..ACTS {
            self.acts.fetch_add(1, Relaxed);
            match rng.below(12) {
                0 | 1 => self.claim(1 + rng.below(30) as usize),
                2 => self.release(&mut rng),
                3 => self.hang(),
                4 | 5 => {
                    self.me.beat(&self.session).expect("it is alone with its name");
                    self.claim(ALL);
                }
                6 => self.raise(),
                _ => self.commit(&mut rng),
            }
        }
        (self.landed, self.left_out)
    }
}

#[test]
fn no_part_has_two_owners_and_none_writes_under_an_old_epoch() {
    let (mut landed_in_all, mut left_out_in_all) = (0, 0);
    for round in 0..2 {
        let base = Base::new();
        drop(base.store("first"));
        let beside = base.session();
        beside.batch(WITNESS).expect("runs");
        let (claimed, acts) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let (landed, left_out) = thread::scope(|scope| {
            let nodes = ["a", "b", "c"].map(|name| Wild::new(&base, name, (&claimed, &acts)));
            let lives = (1_u64..)
                .zip(nodes)
                .map(|(n, node)| scope.spawn(move || node.live(round * 1_000 + n)));
            let lives: Vec<_> = lives.collect();
            let ended = lives.into_iter().map(|life| life.join().expect("no panic"));
            ended.fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
        });
        let claimed = claimed.into_inner().expect("no panic");
        let once: BTreeSet<_> = claimed.iter().collect();
        assert_eq!(once.len(), claimed.len(), "an epoch of a part was given to two");
        let wrong =
            "SELECT count(*) FROM witness WHERE told IS DISTINCT FROM owner || '/' || epoch";
        let number = |sql| one(&beside, sql, &[], |row| column::<i64>(row, 0)).expect("reads");
        assert_eq!(number(wrong), Some(0), "round {round}: written under another's lease");
        let witnessed = number("SELECT count(*) FROM witness");
        assert_eq!(
            witnessed,
            Some(landed as i64),
            "what was told to be stored is, and nothing else"
        );
        (landed_in_all, left_out_in_all) = (landed_in_all + landed, left_out_in_all + left_out);
    }
    println!("{landed_in_all} shares landed, {left_out_in_all} were left out");
    assert!(landed_in_all > 100 && left_out_in_all > 0);
}

/// A node that hung while others took what it had: its shares are lost, whatever it believes.
#[tokio::test]
async fn who_was_taken_for_dead_writes_nothing() {
    let base = Base::new();
    let (a, b) = (open(&base, "a").await, open(&base, "b").await);
    let of_a = a.claim(ALL).await.expect("claims");
    assert_eq!(b.claim(ALL).await.expect("nothing is free"), []);
    // Its heart goes on, so that it may have come back before the other looks.
    let (mut of_b, began) = (Vec::new(), Instant::now());
    while of_b.is_empty() {
        assert!(began.elapsed() < PATIENCE, "it never counted as dead");
        base.sql(
            "UPDATE node SET since = since - interval '1 hour';
             UPDATE node SET alive_until = clock_timestamp() - interval '1 hour' WHERE id = 'a'",
        );
        of_b = b.claim(10).await.expect("claims");
    }
    assert_eq!(of_b.len(), 10);
    let shares = of_a.iter().map(|lease| empty(*lease)).collect();
    let lost = crate::Ledger::commit(&a, Batch { shares, ..Batch::default() }).await;
    let taken: Vec<Partition> = of_b.iter().map(|lease| lease.partition).collect();
    assert_eq!(lost.expect("the others are still its own").lost, taken);
}

/// A store that nodes share is never held as a whole again; one that is held as a whole is not shared meanwhile.
#[tokio::test]
async fn a_store_is_held_as_a_whole_or_in_parts() {
    let base = Base::new();
    let whole = base.store("whole");
    let before = whole.claim(1).await.expect("holds")[0];
    let a = open(&base, "a").await;
    assert_eq!(a.claim(ALL).await.expect("asks"), []);
    base.sql(
        "UPDATE node SET alive_until = clock_timestamp() - interval '1 hour' WHERE id = 'whole';
         UPDATE node SET since = since - interval '1 hour' WHERE id = 'a'",
    );
    assert_eq!(a.claim(3).await.expect("claims").len(), 3);
    let late = crate::Ledger::commit(&whole, Batch::whole(before.epoch, vec![activation()], None));
    let late = late.await;
    assert!(matches!(late, Err(StoreError::NotHeld { .. })), "{late:?}");
    drop(whole);
    drop(a);
    let refused = super::PostgresStore::open(&base.options("whole")).expect_err("nodes share it");
    assert!(refused.to_string().contains("cluster.share"), "{refused}");
    assert_eq!(base.number("SELECT value FROM marks WHERE name = 'first_number'"), 64);
}

/// A part that has gone to another is not adopted, and doesn't count as held any more.
#[tokio::test]
async fn what_another_has_taken_is_not_adopted() {
    let base = Base::new();
    let a = open(&base, "a").await;
    let [kept, gone] = a.claim(2).await.expect("claims")[..] else { panic!("two") };
    base.sql(&format!(
        "UPDATE lease SET owner = 'b', epoch = epoch + 1 WHERE partition = {}",
        gone.partition.0
    ));
    let refused = crate::Ledger::adopt(&a, gone.partition).await;
    assert!(matches!(refused, Err(StoreError::NotHeld { .. })), "{refused:?}");
    assert_eq!(a.claim(0).await.expect("tells"), [kept]);
    crate::Ledger::adopt(&a, kept.partition).await.expect("it is ours");
}

/// What a client whose socket is gone had asked for lands before a raise, or never; nothing of it is half done.
#[test]
fn a_lost_share_lands_before_the_raise_or_never() {
    let base = Base::new();
    drop(base.store("first"));
    let beside = base.session();
    let watching = base.session();
    let (claimed, acts) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let mut node = Wild::new(&base, "a", (&claimed, &acts));
    node.claim(ALL);
    let (mut landed, mut refused) = (0, 0);
    for round in 0..8 {
        let lease = node.leases.leases()[round];
        let mark = "BEGIN; SELECT FROM marks WHERE name LIKE 'cases:%' FOR UPDATE";
        let fence = "BEGIN; SELECT FROM lease ORDER BY partition FOR UPDATE";
        beside.batch(if round % 2 == 0 { mark } else { fence }).expect("stands in the way");
        let lost = base.session_that_is_cut_off_after(Duration::from_secs(1));
        let writes = vec![Write::Case(Box::new(case_of(lease.partition)))];
        let share = Share { writes, ..empty(lease) };
        let batch = Batch { shares: vec![share], ..Batch::default() };
        let by = Holder { session: &lost, me: &node.me, held: &node.leases.0 };
        commit::commit(by, &[&batch]).expect_err("nobody knows what became of it");
        drop(lost);
        if round % 2 == 1 {
            beside.batch("UPDATE lease SET epoch = epoch + 1").expect("raises");
        }
        thread::scope(|scope| {
            let raising = scope.spawn(|| {
                let session = base.session();
                node.leases.raise(&session, &node.me).expect("raises");
            });
            until(
                &watching,
                "SELECT (count(*) >= 1)::text FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'",
            );
            beside.batch("COMMIT").expect("out of the way");
            raising.join().expect("no panic");
        });
        let count = format!("SELECT id FROM cases WHERE partition = {}", lease.partition.0);
        let there =
            || collect(&beside, &count, &[], |row| column::<i64>(row, 0)).expect("reads").len();
        let then = there();
        until(
            &watching,
            "SELECT (count(*) = 0)::text FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()",
        );
        assert_eq!(there(), then, "round {round}: it landed after the raise");
        assert!(round % 2 == 0 || then == 0, "round {round}: the fence lets nothing through");
        landed += then;
        refused += 1 - then;
    }
    assert!(landed > 0 && refused > 0, "{landed} landed, {refused} were refused");
}

/// The number of a letter is given out before its commit is done: one that is committed late is not passed over.
#[tokio::test]
async fn a_letter_that_is_committed_late_is_not_missed() {
    let base = Base::new();
    let a = open(&base, "a").await;
    let part = a.claim(1).await.expect("claims")[0].partition;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (told, tell) = tokio::sync::oneshot::channel();
    let late = thread::spawn({
        let base = Base(base.0.clone());
        move || {
            let session = base.session();
            let letter = format!(
                "BEGIN; INSERT INTO inbox (id, partition, kind, body)
                 VALUES ('00000000-0000-0000-0000-000000000001', {}, 'ended', '{{}}')",
                part.0
            );
            session.batch(&letter).expect("runs");
            told.send(()).expect("somebody waits");
            wait.recv_timeout(PATIENCE).expect("told");
            session.batch("COMMIT").expect("commits");
        }
    });
    tell.await.expect("it is under way");
    let letter =
        Letter { id: LetterId(2), partition: part, kind: LetterKind::Ended, body: "{}".to_owned() };
    let posted = Batch { letters: vec![letter], ..Batch::default() };
    crate::Ledger::commit(&a, posted).await.expect("commits");
    let first = a
        .letters(vec![LettersWanted { partition: part, after: None, most: 10 }])
        .await
        .expect("reads")
        .remove(0);
    assert_eq!(ids(&first.letters), [2]);
    go.send(()).expect("somebody waits");
    late.join().expect("no panic");
    let second = a
        .letters(vec![LettersWanted { partition: part, after: Some(first.next), most: 10 }])
        .await
        .expect("reads")
        .remove(0);
    assert!(ids(&second.letters).contains(&1), "{second:?}");
}

/// Behind many letters that were taken, a reading from the mark of the one before looks at few rows.
#[tokio::test]
async fn a_reading_behind_many_dead_letters_is_cheap() {
    let base = Base::new();
    let a = open(&base, "a").await;
    let part = a.claim(1).await.expect("claims")[0].partition;
    base.sql("ALTER TABLE inbox SET (autovacuum_enabled = false)");
    base.sql(&format!(
        "INSERT INTO inbox (id, partition, kind, body)
         SELECT gen_random_uuid(), {}, 'ended', '{{}}' FROM generate_series(1, 50000); DELETE FROM inbox",
        part.0
    ));
    let dead = base.number("SELECT pg_current_xact_id()::text::bigint");
    let (mut mark, began) = (None, Instant::now());
    // The mark passes them once no commit of before is under way any more, whoever's.
    let xid = loop {
        let read = a
            .letters(vec![LettersWanted { partition: part, after: mark, most: 100 }])
            .await
            .expect("reads")
            .remove(0);
        assert_eq!((read.letters.len(), read.ended), (0, true));
        let crate::LetterMark([xid, _]) = read.next;
        if xid >= dead {
            break xid;
        }
        assert!(began.elapsed() < PATIENCE, "somebody's commit never ends");
        mark = Some(read.next);
    };
    let plan = base.beside(move |session| {
        let explain = format!(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) SELECT id FROM inbox
             WHERE partition = {} AND (xid, seq) > ({xid}, {}) ORDER BY xid, seq LIMIT 100",
            part.0,
            i64::MIN + 1
        );
        collect(session, &explain, &[], |row| column::<String>(row, 0))
            .expect("explains")
            .join("\n")
    });
    let pages = plan.split("shared hit=").nth(1).and_then(|rest| rest.split([' ', '\n']).next());
    let pages: u64 = pages.and_then(|n| n.parse().ok()).expect("a number of pages");
    assert!(plan.contains("inbox_pkey") && pages <= 20, "{plan}");
}

/// What belongs to nobody is the seat's; a message that could not be taken, or a token, is written at any node.
#[tokio::test]
async fn who_has_not_the_seat_writes_what_needs_none() {
    use crate::{BulkRow, Rejected, RejectedLimits, Upkeep, conformance::rejected::row as message};
    let base = Base::new();
    let (a, b) = (open(&base, "a").await, open(&base, "b").await);
    a.claim(ALL).await.expect("claims");
    b.check_writable().await.expect("it is");
    let most = RejectedLimits { rows: 10, bytes: 1 << 20 };
    b.reject(message(1), most).await.expect("keeps it");
    assert_eq!(a.rejected_count().await.expect("counts"), 1);
    let row = BulkRow { id: 1, ids: "[]".to_owned(), state: "{}".to_owned() };
    let refused = b.put_bulk(row.clone()).await;
    let is_not_held =
        matches!(refused, Err(StoreError::NotHeld { partition: Partition::SEAT, .. }));
    assert!(is_not_held, "{refused:?}");
    a.put_bulk(row).await.expect("it has the seat");
}

/// Each node lets go what is of its own parts.
#[tokio::test]
async fn each_node_prunes_its_own_parts() {
    use crate::{Upkeep, conformance::sample::settled};
    let base = Base::new();
    let (a, b) = (open(&base, "a").await, open(&base, "b").await);
    let (of_a, of_b) = (a.claim(30).await.expect("claims"), b.claim(ALL).await.expect("claims"));
    let mut cases = [0_usize; 2];
    for (n, (store, held)) in [(&a, &of_a), (&b, &of_b)].into_iter().enumerate() {
        let parts = held.iter().filter(|lease| lease.partition != Partition::SEAT);
        let shares = parts.map(|lease| {
            let row = settled(case_of(lease.partition).id.0);
            Share { writes: vec![Write::Case(Box::new(row))], ..empty(*lease) }
        });
        let batch = Batch { shares: shares.collect(), ..Batch::default() };
        cases[n] = batch.shares.len();
        crate::Ledger::commit(store, batch).await.expect("commits");
    }
    let counted = || base.number("SELECT count(*) FROM cases");
    assert_eq!(counted(), 64);
    let before = amends_protocol::Timestamp(i64::MAX);
    assert_eq!(a.prune(before, 500).await.expect("prunes"), cases[0]);
    assert_eq!(counted(), cases[1] as i64);
    assert_eq!(b.prune(before, 500).await.expect("prunes"), cases[1]);
    let counts = crate::Archive::case_counts(&a).await.expect("counts");
    assert_eq!(counts.values().sum::<u64>(), 0, "{counts:?}");
}

/// Who looks sees who lives and what each holds; who is told to leave takes nothing more, until it is told otherwise.
#[tokio::test]
async fn nodes_are_seen_and_told_to_leave() {
    let base = Base::new();
    let (a, b) = (open(&base, "a").await, open(&base, "b").await);
    let of_a = a.claim(20).await.expect("claims");
    let beat = a.beat().await.expect("beats");
    assert!(!beat.leaving && beat.offset_ms.is_none_or(|ms| ms.abs() < 5_000), "{beat:?}");
    assert_eq!((beat.settings, a.nodes().await.expect("reads")[0].settings), (0, 0));
    a.saw_settings(7);
    assert_eq!(a.beat().await.expect("beats").life, beat.life);
    let nodes = b.nodes().await.expect("reads");
    let [seen, other] = &nodes[..] else { panic!("two: {nodes:?}") };
    assert_eq!((seen.name.as_str(), seen.is_alive, seen.leaving), ("a", true, false));
    assert!(seen.parts.iter().eq(of_a.iter().map(|lease| &lease.partition)));
    assert!(seen.silent_ms < 60_000 && other.parts.is_empty());
    assert_eq!((seen.settings, other.settings), (7, 0));
    assert_eq!(crate::fair_share(&nodes), 33);
    assert_eq!(b.highest_sequence().await.expect("reads"), 0);

    let options = base.options("beside");
    let tell = |node: &'static str, leaving| {
        let options = options.clone();
        super::on_a_thread(move || super::PostgresStore::set_leaving(&options, node, leaving))
    };
    assert!(tell("a", true).expect("tells") && !tell("nobody", true).expect("tells"));
    assert!(a.beat().await.expect("beats").leaving);
    assert_eq!(a.claim(ALL).await.expect("takes nothing").len(), 20);
    assert_eq!(crate::fair_share(&b.nodes().await.expect("reads")), ALL);
    assert!(tell("a", false).expect("tells"));
    assert_eq!(a.claim(ALL).await.expect("claims").len(), ALL);

    // Dead for a moment, it begins another life.
    base.sql("UPDATE node SET alive_until = clock_timestamp() - interval '1 hour' WHERE id = 'a'");
    assert_ne!(a.beat().await.expect("beats").life, beat.life);
}

async fn open(base: &Base, node: &str) -> super::PostgresStore {
    SharedPlace::open(base, node).await
}

fn empty(Lease { partition, epoch }: Lease) -> Share {
    Share { partition, epoch, ..Share::default() }
}

fn activation() -> Write {
    crate::conformance::sample::activation("food-order", "hash-1", 0)
}

fn ids(letters: &[Letter]) -> Vec<u128> {
    letters.iter().map(|letter| letter.id.0).collect()
}
