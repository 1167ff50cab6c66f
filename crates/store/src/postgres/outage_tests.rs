//! What becomes of a store when its server goes and comes back: restarted, away for long, replaced by its standby, put
//! back to an earlier state. Each on a real server of the test's own, under commits where that matters.

use super::{
    PostgresOptions, PostgresStore,
    session::database,
    tests::{Base, PATIENCE},
};
use crate::{
    Batch, Epoch, Leases, Ledger, StoreError,
    conformance::sample::{case, whole},
};
use amends_private_server::PostgresServer;
use std::{
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

fn batch(epoch: Epoch, n: u64) -> Batch {
    Batch::whole(epoch, whole(case(n)), None)
}

/// As a supervisor does: raises or claims until it holds the store, and loads.
async fn held(store: &PostgresStore) -> Epoch {
    let began = Instant::now();
    loop {
        let raised = store.raise().await.unwrap_or_default();
        let claimed = store.claim(1).await.unwrap_or_default();
        if let Some(lease) = raised.first().or(claimed.first())
            && let Ok(loaded) = store.load().await
        {
            assert_eq!(loaded.epoch, lease.epoch);
            return loaded.epoch;
        }
        assert!(began.elapsed() < PATIENCE, "it is never held again");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Commits one case after another, also while the server is away, until it is told to stop.
struct Load {
    acknowledged: Receiver<u64>,
    _stop: Sender<()>,
    committing: JoinHandle<()>,
}

impl Load {
    fn begin(store: PostgresStore) -> Self {
        let (acknowledge, acknowledged) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let committing = thread::spawn(move || {
            on_a_runtime(async move {
                let mut epoch = held(&store).await;
                for n in 1.. {
                    if stopped.try_recv() == Err(mpsc::TryRecvError::Disconnected) {
                        return;
                    }
                    match store.commit(batch(epoch, n)).await {
                        Ok(_) => acknowledge.send(n).expect("the test waits"),
                        Err(_) => {
                            let again = held(&store).await;
                            assert!(again > epoch, "no epoch comes twice");
                            epoch = again;
                        }
                    }
                }
            });
        });
        Self { acknowledged, _stop: stop, committing }
    }

    /// Waits for so many more.
    fn acknowledges(&self, count: usize) -> Vec<u64> {
        let next = || self.acknowledged.recv_timeout(PATIENCE).expect("commits go on");
        (0..count).map(|_| next()).collect()
    }

    /// All that was acknowledged and not asked for yet.
    fn end(self) -> Vec<u64> {
        drop(self._stop);
        self.committing.join().expect("no panic");
        self.acknowledged.try_iter().collect()
    }
}

/// All of these are there, whole, and so is each other one.
fn are_there(server: &PostgresServer, base: &str, acknowledged: &[u64]) {
    let numbers: Vec<String> = acknowledged.iter().map(u64::to_string).collect();
    let missing = format!(
        "SELECT n FROM unnest('{{{}}}'::bigint[]) AS n WHERE n NOT IN (SELECT id FROM amends.cases)",
        numbers.join(",")
    );
    assert_eq!(server.sql(base, &missing), "", "acknowledged and lost");
    let halves = "SELECT id FROM amends.cases WHERE
        (SELECT count(*) FROM amends.reports r WHERE r.key >> 20 = cases.id) <> 1
        OR (SELECT count(*) FROM amends.steps s WHERE s.key >> 20 = cases.id) <> 2";
    assert_eq!(server.sql(base, halves), "", "half of a commit");
    let count =
        "SELECT (SELECT count(*) FROM amends.cases) = value FROM amends.marks WHERE name = 'cases'";
    assert_eq!(server.sql(base, count), "t", "cases are counted");
}

#[test]
fn a_server_that_is_killed_under_commits_loses_nothing_that_was_acknowledged() {
    let server = PostgresServer::start("");
    let base = server.new_database();
    let load =
        Load::begin(PostgresStore::open(&PostgresOptions::new(&base, "one")).expect("opens"));
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        acknowledged.extend(load.acknowledges(30));
        server.kill();
        server.start_again();
    }
    acknowledged.extend(load.acknowledges(30));
    acknowledged.extend(load.end());
    are_there(&server, &base, &acknowledged);
}

#[cfg(unix)]
fn leads_to(link: &Path, server: &PostgresServer) {
    let next = link.with_extension("next");
    std::os::unix::fs::symlink(server.socket(), &next).expect("our folder");
    std::fs::rename(next, link).expect("our folder");
}

/// A standby that has confirmed each commit takes the place of its primary, under the same address. It is seen to be
/// another database, and nothing is held there before whoever held it in the other one has noticed, too.
#[cfg(unix)]
#[test]
fn a_standby_that_is_promoted_under_commits_has_all_and_is_held_after_a_lease_time() {
    const LEASE_TIME: Duration = Duration::from_secs(2);
    let primary = PostgresServer::start("");
    let standby = primary.standby();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    primary.until("postgres", "SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication");
    let folder = tempfile::TempDir::new().expect("a folder");
    let address = folder.path().join("address");
    leads_to(&address, &primary);
    let options = PostgresOptions {
        lease_time: LEASE_TIME,
        ..PostgresOptions::new(&primary.address_by(&address, "postgres"), "one")
    };
    let store = PostgresStore::open(&options).expect("opens");
    let load = Load::begin(store);
    let mut acknowledged = load.acknowledges(50);
    primary.kill();
    acknowledged.extend(load.acknowledged.try_iter());
    leads_to(&address, &standby); // before it takes writes
    let promoted = Instant::now();
    standby.promote();
    acknowledged.extend(load.acknowledges(1));
    assert!(promoted.elapsed() >= LEASE_TIME, "it was held at once: {:?}", promoted.elapsed());
    acknowledged.extend(load.acknowledges(50));
    acknowledged.extend(load.end());
    are_there(&standby, "postgres", &acknowledged);
}

/// While the database is away nobody can show that they live. When it is back, all are as dead as each other; whoever
/// comes first must not take what others hold.
#[test]
fn an_outage_of_a_day_moves_nothing() {
    let server = PostgresServer::start("");
    let base = server.new_database();
    let name = base.split(['/', '?']).nth(3).expect("a name");
    let open = |node: &str| {
        let lease_time = PATIENCE * 10;
        PostgresStore::open(&PostgresOptions { lease_time, ..PostgresOptions::new(&base, node) })
            .expect("opens")
    };
    on_a_runtime(async {
        let one = open("one");
        let epoch = held(&one).await;
        one.commit(batch(epoch, 1)).await.expect("commits");
        let two = open("two");
        // It has waited for long.
        server.sql(&base, "UPDATE amends.node SET since = since - interval '10 days'");
        server.kill();
        server.alone(name, "UPDATE amends.node SET alive_until = alive_until - interval '1 day'");
        server.start_again();
        // The first question to a connection that is gone fails.
        let claimed = match two.claim(1).await {
            Err(_) => two.claim(1).await,
            asked => asked,
        };
        assert_eq!(claimed.expect("asks"), []);
        let again = held(&one).await;
        assert!(again > epoch);
        one.commit(batch(again, 2)).await.expect("commits");
        assert_eq!(two.claim(1).await.expect("asks"), []);
        let owners = "SELECT DISTINCT owner FROM amends.lease";
        assert_eq!(server.sql(&base, owners), "one", "partitions moved");
    });
    are_there(&server, &base, &[1, 2]);
}

/// A snapshot of a disk, put back under a running node, is the same database by name; its epochs tell.
#[tokio::test]
async fn an_earlier_state_of_the_database_is_noticed_and_no_epoch_comes_twice() {
    let base = Base::new();
    let lease_time = Duration::from_secs(2);
    let options = PostgresOptions { lease_time, ..base.options("one") };
    let store = PostgresStore::open(&options).expect("opens");
    held(&store).await;
    for _ in 0..5 {
        store.raise().await.expect("raises");
    }
    let before = store.load().await.expect("loads").epoch;
    base.sql(
        "UPDATE amends.lease SET epoch = 1;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let lost = store.commit(batch(before, 1)).await.expect_err("nobody knows");
    assert!(matches!(lost, StoreError::Database { .. }), "{lost}");
    let noticed = Instant::now();
    assert_eq!(store.raise().await.expect("looks"), [], "it is another database");
    assert_eq!(store.claim(1).await.expect("looks"), []);
    let after = held(&store).await;
    assert!(noticed.elapsed() >= lease_time && after > before, "{after:?} after {before:?}");
    store.commit(batch(after, 1)).await.expect("commits");
}

/// A transaction in which a statement has failed ends with `COMMIT` as if all were well, and nothing of it is stored.
#[test]
fn a_commit_that_was_none_is_an_error() {
    let base = Base::new();
    drop(base.store("one"));
    let session = base.session();
    let done = session.transact(|| {
        session.batch("INSERT INTO marks VALUES ('a', 1)").map_err(database("write"))?;
        let _ = session.batch("SELECT 1 / 0"); // looked over
        Ok(())
    });
    assert!(done.is_err(), "{done:?}");
    session.batch("INSERT INTO marks VALUES ('b', 1)").expect("the connection is of use");
    assert_eq!(base.number("SELECT count(*) FROM marks WHERE name IN ('a', 'b')"), 1);
}

/// Whoever owns the database need not be its administrator.
#[tokio::test]
async fn a_plain_user_with_a_database_of_its_own_is_enough() {
    let server = PostgresServer::shared();
    server.sql("postgres", "CREATE ROLE plain LOGIN");
    server.sql("postgres", "CREATE DATABASE plain OWNER plain");
    let address = server.address("plain").replace("postgres@", "plain@");
    let store = PostgresStore::open(&PostgresOptions::new(&address, "one")).expect("opens");
    let epoch = held(&store).await;
    store.commit(batch(epoch, 1)).await.expect("commits");
    let seen = PostgresStore::status(&PostgresOptions::new(&address, "look")).expect("looks");
    assert_eq!(seen.expect("a store").cases, 1);
    PostgresStore::examine(&PostgresOptions::new(&address, "look")).expect("looks");
}
