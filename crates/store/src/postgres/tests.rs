//! The conformance suite on PostgreSQL, and what only PostgreSQL has: nodes, versions of the schema, copies.

use super::{
    PostgresOptions, PostgresStore, Taking, on_a_thread,
    session::{self, Session},
};
use crate::{
    Archive, CaseFilter, Lease, Leases, Ledger, PageRequest, SqliteOptions, SqliteStore,
    StoreError,
    conformance::{
        Place,
        chain::checked,
        nodes::SharedPlace,
        sample::{FromRow, act, attempt, case, done, settled, whole},
        unsettled,
    },
    tables::{collect, one, rows::column},
};
use amends_engine::{ActRow, Batch, CaseRow, Partition, Write};
use amends_private_server::PostgresServer;
use amends_protocol::CaseId;
use std::{
    thread,
    time::{Duration, Instant},
};

/// A database of a test's own.
pub(super) struct Base(pub(super) String);

impl Base {
    pub(super) fn new() -> Self {
        Self::on(PostgresServer::shared())
    }

    /// On a server where nobody else writes.
    pub(super) fn on(server: &PostgresServer) -> Self {
        Self(server.new_database())
    }

    pub(super) fn options(&self, node: &str) -> PostgresOptions {
        PostgresOptions::new(&self.0, node)
    }

    pub(super) fn store(&self, node: &str) -> PostgresStore {
        PostgresStore::open(&self.options(node)).expect("opens")
    }

    /// A connection beside; within no runtime.
    pub(super) fn session(&self) -> Session {
        let connects = self.options("beside").connect().expect("an address");
        session::reach(&connects, "of the test", session::COMMITTING).expect("connects")
    }

    /// One that gives an answer up after so long, and whose server notices nothing of that.
    pub(super) fn session_that_is_cut_off_after(&self, limit: Duration) -> Session {
        let connects = self.options("beside").connect().expect("an address");
        let settings = &[("search_path", "amends,pg_catalog")];
        let kind = session::Kind { settings, limit };
        session::reach(&connects, "of the test", kind).expect("connects")
    }

    /// Asks on a connection beside, from within a runtime.
    pub(super) fn beside<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Session) -> T + Send + 'static,
    ) -> T {
        let base = Self(self.0.clone());
        let asked = on_a_thread(move || {
            let session = base.session();
            let answer = ask(&session);
            session.close();
            Ok(answer)
        });
        asked.expect("answers")
    }

    pub(super) fn sql(&self, sql: &str) {
        let sql = sql.to_owned();
        self.beside(move |session| session.batch(&sql).expect("runs"));
    }

    pub(super) fn number(&self, sql: &'static str) -> i64 {
        self.beside(|session| {
            one(session, sql, &[], |row| column(row, 0)).expect("answers").expect("a row")
        })
    }
}

/// Waits until the database says so.
pub(super) fn until(session: &Session, sql: &str) {
    let began = Instant::now();
    let answer = || collect(session, sql, &[], |row| column::<String>(row, 0)).expect("answers");
    while answer() != ["true"] {
        assert!(began.elapsed() < PATIENCE, "it never became true: {sql}");
        thread::yield_now();
    }
}

/// Longest wait for what has to come.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

impl Place for Base {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        self.store("one")
    }
}

impl SharedPlace for Base {
    type Store = PostgresStore;

    async fn open(&self, node: &str) -> PostgresStore {
        let options = PostgresOptions { taking: Taking::Parts, ..self.options(node) };
        PostgresStore::open(&options).expect("opens")
    }
}

mod conformance {
    crate::roles_conformance!(crate::postgres::tests::Base::new());
}

mod conformance_of_nodes {
    crate::nodes_conformance!(crate::postgres::tests::Base::new());
}

fn batch(lease: Lease, writes: Vec<Write>) -> Batch {
    Batch::whole(lease.epoch, writes, None)
}

async fn ids(store: &PostgresStore) -> Vec<u64> {
    unsettled(store).await.iter().map(|stored| stored.case.id.0).collect()
}

/// As if a node had not shown itself for an hour, in which others have lived.
const AN_HOUR_LATER: &str = "UPDATE node SET since = since - interval '1 hour';
    UPDATE node SET alive_until = alive_until - interval '1 hour' WHERE id = 'one'";

#[tokio::test]
async fn a_second_node_waits_and_takes_over_when_the_first_is_dead() {
    let base = Base::new();
    let one = base.store("one");
    let held = one.claim(1).await.expect("claims")[0];
    one.commit(batch(held, whole(case(1)))).await.expect("commits");
    let two = base.store("two");
    assert_eq!(two.claim(1).await.expect("asks"), []);
    let error = two.load().await.expect_err("not held");
    assert!(matches!(error, StoreError::NotHeld { .. }), "{error}");
    assert_eq!(two.raise().await.expect("nothing to raise"), []);

    // The heart of the first goes on, and may be quicker.
    let (mut taken, began) = (Vec::new(), Instant::now());
    while taken.is_empty() {
        assert!(began.elapsed() < PATIENCE, "it never counts as dead");
        base.sql(AN_HOUR_LATER);
        taken = two.claim(1).await.expect("claims");
    }
    let [Lease { partition: Partition::WHOLE, epoch }] = taken[..] else {
        panic!("one: {taken:?}")
    };
    assert!(epoch > held.epoch);
    let late = one.commit(batch(held, whole(case(2)))).await;
    assert!(matches!(late, Err(StoreError::NotHeld { .. })), "{late:?}");
    assert_eq!(one.raise().await.expect("nothing left"), []);
    assert_eq!(two.load().await.expect("loads").epoch, epoch);
    assert_eq!(ids(&two).await, [1]);
    two.commit(batch(taken[0], whole(case(3)))).await.expect("commits");
}

#[tokio::test]
async fn a_node_that_has_just_come_takes_nothing_of_a_dead_one() {
    let base = Base::new();
    let _one = base.store("one");
    base.sql("UPDATE node SET alive_until = alive_until - interval '1 hour' WHERE id = 'one'");
    let two = base.store("two");
    assert_eq!(two.claim(1).await.expect("asks"), [], "after an outage all others come back, too");
}

#[tokio::test]
async fn nodes_that_died_long_ago_are_forgotten_and_hold_nothing() {
    let base = Base::new();
    drop(base.store("one"));
    base.sql(
        "INSERT INTO node (id, incarnation, alive_until, version)
         SELECT 'pod-' || n, gen_random_uuid(), clock_timestamp() - make_interval(hours => 20 + n), 1
         FROM generate_series(1, 6) AS n; UPDATE lease SET owner = 'pod-6'",
    );
    let two = base.store("two");
    assert_eq!(base.number("SELECT count(*) FROM node WHERE id LIKE 'pod-%'"), 3);
    assert_eq!(two.claim(1).await.expect("asks"), [], "it has just come");
    base.sql("UPDATE node SET since = since - interval '1 hour' WHERE id = 'two'");
    assert_eq!(two.claim(1).await.expect("claims").len(), 1);
}

#[tokio::test]
async fn an_orderly_end_gives_everything_back_at_once() {
    let base = Base::new();
    let one = base.store("one");
    let first = one.claim(1).await.expect("holds")[0];
    drop(one);
    let two = base.store("two");
    assert!(two.claim(1).await.expect("holds")[0].epoch > first.epoch);
}

#[tokio::test]
async fn two_processes_of_one_name_are_not_one_node() {
    let base = Base::new();
    let first = base.store("one");
    let held = first.claim(1).await.expect("holds")[0];
    let second = base.store("one");
    let error = second.claim(1).await.expect_err("the first lives");
    assert!(matches!(&error, StoreError::NodeInUse { node } if node == "one"), "{error}");
    assert_eq!(second.raise().await.expect("nothing is its own"), []);
    first.commit(batch(held, whole(case(1)))).await.expect("it is still held");

    // The first one's heart goes on, and may be quicker.
    let began = Instant::now();
    let taken = loop {
        base.sql("UPDATE node SET alive_until = alive_until - interval '1 hour'");
        match second.claim(1).await {
            Ok(taken) => break taken,
            Err(StoreError::NodeInUse { .. }) => assert!(began.elapsed() < PATIENCE),
            Err(error) => panic!("{error}"),
        }
    };
    assert!(taken[0].epoch > held.epoch, "its own name's: without waiting");
    let late = first.commit(batch(held, whole(case(2)))).await;
    assert!(matches!(late, Err(StoreError::NotHeld { .. })), "{late:?}");
    let error = first.beat().await.expect_err("another lives under this name");
    assert!(matches!(error, StoreError::NodeInUse { .. }), "{error}");
}

#[tokio::test]
async fn what_the_server_has_cut_off_is_raised_and_goes_on() {
    let base = Base::new();
    let store = base.store("one");
    let held = store.claim(1).await.expect("holds")[0];
    store.commit(batch(held, whole(case(1)))).await.expect("commits");
    base.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    store.commit(batch(held, whole(case(2)))).await.expect_err("nobody knows");
    let again = store.commit(batch(held, whole(case(2)))).await;
    assert!(matches!(again, Err(StoreError::NotHeld { .. })), "{again:?}");
    let page = store.cases(CaseFilter::default(), PageRequest::default()).await;
    assert_eq!(page.expect("readers find the way back by themselves").items.len(), 1);
    let raised = store.raise().await.expect("raises")[0];
    assert!(raised.epoch > held.epoch);
    assert_eq!(store.load().await.expect("loads").epoch, raised.epoch);
    store.commit(batch(raised, whole(case(2)))).await.expect("commits");
    assert_eq!(ids(&store).await, [1, 2]);
}

/// Whatever the planner thinks of tables that were empty when it first looked.
#[test]
fn what_the_loop_asks_for_is_found_by_indexes() {
    use crate::tables::{lookup::UNANSWERED, prune::PRUNABLE};
    let base = Base::new();
    drop(base.store("one"));
    let session = base.session();
    let (whole, shares) = (&**super::statement::COMMIT, &**super::statement::COMMIT_SHARES);
    let (wanted, of_cases) = (&**super::together::WANTED, &**super::together::OF_CASES);
    let asked = [
        ("whole", whole),
        ("shares", shares),
        ("prunable", PRUNABLE),
        ("unanswered", UNANSWERED),
        ("wanted", wanted),
        ("of_cases", of_cases),
    ];
    for (name, sql) in asked {
        let sql = super::tables::in_its_words(sql);
        session.batch(&format!("PREPARE {name} AS {sql}")).expect("prepares");
        let count = (1..).take_while(|n| sql.contains(&format!("${n}"))).count();
        let nothing = vec!["NULL"; count].join(", ");
        let explain = format!("EXPLAIN EXECUTE {name}({nothing})");
        let plan = collect(&session, &explain, &[], |row| column::<String>(row, 0));
        let plan = plan.expect("explains").join("\n");
        assert!(!plan.contains("Seq Scan") && plan.contains("Index"), "{name}: {plan}");
    }
}

/// Each report that comes waits for its look-up: a new one for one round trip, one of a known case for two.
#[tokio::test]
async fn a_look_up_takes_two_round_trips_at_most() {
    let base = Base::new();
    let store = base.store("one");
    let held = store.claim(1).await.expect("holds")[0];
    store.commit(batch(held, whole(case(1)))).await.expect("commits");
    let asked = base.beside(|session| {
        [1, 2].map(|n| {
            let row = case(n);
            let wanted = crate::LookupRequest {
                reports: vec![crate::conformance::sample::report(n, 0).report.key()],
                sagas: vec![row.saga.clone()],
                announced: vec![row.saga],
                ..crate::LookupRequest::default()
            };
            let before = session.asked.get();
            let found = crate::tables::lookup::find(session, &wanted).expect("finds");
            (found.cases.len(), session.asked.get() - before)
        })
    });
    assert_eq!(asked, [(1, 2), (0, 1)]);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let base = Base::new();
    drop(base.store("one"));
    base.sql("UPDATE amends.schema SET version = 4711, oldest = 4710");
    let error = PostgresStore::open(&base.options("one")).expect_err("newer");
    assert!(matches!(error, StoreError::NewerSchema { found: 4711, .. }), "{error}");
    let error = PostgresStore::status(&base.options("one")).expect_err("newer");
    assert!(matches!(error, StoreError::NewerSchema { found: 4711, .. }), "{error}");
}

#[test]
fn nodes_that_start_together_make_the_tables_once() {
    let base = Base::new();
    let nodes = ["a", "b", "c", "d"];
    let open = |node: &'static str| {
        let options = base.options(node);
        std::thread::spawn(move || PostgresStore::open(&options).map(drop))
    };
    for opened in nodes.map(open) {
        opened.join().expect("no panic").expect("opens");
    }
}

#[test]
fn a_database_that_is_not_there_is_told_with_its_place() {
    let mut options = Base::new().options("one");
    options.address = options.address.replace("/d", "/nowhere-d");
    let error = PostgresStore::open(&options).expect_err("none").to_string();
    assert!(error.contains("`nowhere-d") && error.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_store_is_looked_at_from_outside_while_it_is_used() {
    let base = Base::new();
    assert_eq!(PostgresStore::status(&base.options("look")).expect("looks"), None);
    let store = base.store("one");
    let held = store.claim(1).await.expect("holds")[0];
    store.commit(batch(held, whole(case(1)))).await.expect("commits");
    let seen = PostgresStore::status(&base.options("look")).expect("looks").expect("a store");
    assert_eq!((seen.cases, seen.schema), (1, super::schema::SCHEMA));
    let [leases] = &seen.leases[..] else { panic!("one owner: {seen:?}") };
    assert_eq!((leases.node.as_deref(), leases.parts, leases.is_alive), (Some("one"), 65, true));
    assert!(seen.bytes > 0 && seen.tables.iter().any(|table| table.name == "cases"));
}

/// Everything that a store keeps stands in the copy, which SQLite opens.
#[tokio::test]
async fn a_backup_opens_as_a_store_in_a_file() {
    let base = Base::new();
    let store = base.store("one");
    let held = store.claim(1).await.expect("holds")[0];
    let step = done(1, 1, "payment.pay");
    let mut writes = whole(case(1));
    writes.extend(whole(settled(2)));
    writes.push(Write::from_attempt(attempt(&step, 1, "busy")));
    writes.push(Write::from_act(act("waive", Some(CaseId(1)), Some(step.id))));
    store.commit(batch(held, writes)).await.expect("commits");
    let dir = tempfile::TempDir::new().expect("a folder");
    let path = dir.path().join(crate::FILE_NAME);
    crate::Upkeep::backup(&store, &path).await.expect("backs up");
    let again = crate::Upkeep::backup(&store, &path).await.expect_err("there is one");
    assert!(matches!(again, StoreError::Exists { .. }), "{again}");

    let copy = SqliteStore::open(dir.path(), &SqliteOptions::default()).expect("opens");
    for id in [CaseId(1), CaseId(2)] {
        let of_copy = copy.case(id).await.expect("reads");
        assert_eq!(of_copy, store.case(id).await.expect("reads"));
        assert!(of_copy.is_some());
    }
    let (loaded, of_copy) = (store.load().await.expect("loads"), copy.load().await.expect("loads"));
    assert_eq!(crate::Loaded { epoch: loaded.epoch, ..of_copy }, loaded);
    let counts =
        (store.case_counts().await.expect("counts"), copy.case_counts().await.expect("counts"));
    assert_eq!(counts.0, counts.1);
    assert_eq!(copy.audit_ends().await.expect("reads"), store.audit_ends().await.expect("reads"));
}

/// A character that PostgreSQL keeps in no text spoils nothing: the report is known by what stands for it.
#[tokio::test]
async fn a_text_with_nul_is_stored_all_the_same() {
    let base = Base::new();
    let store = base.store("one");
    let held = store.claim(1).await.expect("holds")[0];
    let row = CaseRow { message: Some("a\0b".into()), ..case(1) };
    let said = ActRow { reason: "c\0d".into(), ..act("waive", Some(CaseId(1)), None) };
    let writes = [whole(row), vec![Write::from_act(said)]].concat();
    store.commit(batch(held, writes)).await.expect("commits");
    let stored = store.case(CaseId(1)).await.expect("reads").expect("there").stored;
    assert_eq!(stored.case.message.as_deref(), Some("a\u{fffd}b"));
    let chain = checked(&store).await;
    assert_eq!((chain.broken, chain.entries), (None, 1), "a digest is of what is kept");
}
