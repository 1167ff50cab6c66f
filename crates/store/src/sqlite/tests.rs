//! The conformance suite on SQLite, and what only SQLite has: the file, its lock, its versions, its log.

use super::{FILE_NAME, SqliteOptions, SqliteStore, connection};
use crate::{
    ActFilter, Archive, CaseFilter, Ledger, PageRequest, Rejected, StoreError, Upkeep,
    conformance::{BackupPlace, Place, unsettled},
};
use amends_api::CaseState;
use amends_engine::{ActRow, CaseExtra, CaseRow, Write};
use amends_protocol::{CaseId, SagaId, Salt, Timestamp};
use rusqlite::Connection;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

struct Dir {
    dir: TempDir,
}

impl Dir {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary directory") }
    }

    fn try_open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(self.dir.path(), &SqliteOptions::default())
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(FILE_NAME)
    }

    fn sql(&self, sql: &str) {
        let conn = Connection::open(self.file()).expect("opens");
        conn.execute_batch(sql).expect("runs");
    }
}

impl Place for Dir {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        self.try_open().expect("opens")
    }
}

impl BackupPlace for Dir {
    fn backup_path(&self) -> PathBuf {
        self.dir.path().join("copy.sqlite")
    }

    fn place_of_backup(&self) -> Self {
        let other = Self::new();
        fs::copy(self.backup_path(), other.file()).expect("copies");
        other
    }
}

mod conformance {
    crate::store_conformance!(crate::sqlite::tests::Dir::new());
}

fn case(n: u64, message: &str) -> Write {
    Write::Case(Box::new(CaseRow {
        id: CaseId(n),
        saga: SagaId::new(&format!("order-{n}")).expect("valid"),
        rulebook: None,
        state: CaseState::Open,
        closed_on: None,
        opened_at: Timestamp(1),
        updated_at: Timestamp(1),
        settled_at: None,
        report: "payment/report-1".into(),
        message: Some(message.into()),
        extra: CaseExtra::default(),
    }))
}

#[tokio::test]
async fn two_supervisors_cannot_use_one_directory() {
    let place = Dir::new();
    let store = place.open().await;
    let error = place.try_open().expect_err("it is in use");
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another supervisor"), "{error}");
    let clone = store.clone();
    drop(store);
    assert!(place.try_open().is_err(), "a clone is still there");
    drop(clone);
    place.try_open().expect("free again");
}

#[tokio::test]
async fn whoever_waits_until_it_is_closed_finds_it_free() {
    let place = Dir::new();
    for _ in 0..20 {
        let store = place.open().await;
        let closed = store.closed();
        let clone = store.clone();
        let elsewhere = std::thread::spawn(move || drop(clone));
        drop(store);
        closed.await;
        elsewhere.join().expect("ended");
        drop(place.try_open().expect("free again"));
    }
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let place = Dir::new();
    drop(place.try_open().expect("opens"));
    place.sql("PRAGMA user_version = 4711");
    let error = place.try_open().expect_err("newer");
    assert!(matches!(error, StoreError::NewerSchema { found: 4711, .. }), "{error}");
    place.sql(&format!("PRAGMA user_version = {}", connection::SCHEMA));
    place.try_open().expect("as before");
}

/// A file that an older version wrote has everything in its lists, and is pruned.
#[tokio::test]
async fn a_store_of_schema_2_opens_and_has_everything() {
    let place = Dir::new();
    place.sql(include_str!("schema/tests_2.sql"));
    let store = place.open().await;
    let ids = async |filter: CaseFilter| {
        let page = store.cases(filter, PageRequest::default()).await.expect("lists");
        page.items.iter().map(|listed| listed.case.id.0).collect::<Vec<_>>()
    };
    let all = CaseFilter::default;
    assert_eq!(ids(all()).await, [4, 3, 2, 1]);
    assert_eq!(ids(CaseFilter { state: vec![CaseState::Open], ..all() }).await, [4]);
    assert_eq!(ids(CaseFilter { report: Some("shop/*".to_owned()), ..all() }).await, [4, 3, 2, 1]);
    let record = store.case(CaseId(3)).await.expect("reads").expect("there");
    let opened_after = Some(record.stored.case.opened_at);
    assert_eq!((record.stored.reports.len(), record.stored.steps.len()), (1, 4));
    assert_eq!(ids(CaseFilter { opened_after, ..all() }).await, [4, 3]);
    let steps = store.steps(crate::StepFilter::default(), PageRequest::first(100)).await;
    assert_eq!(steps.expect("lists").items.len(), 16);
    assert_eq!(store.rulebooks().await.expect("reads").len(), 1);
    assert_eq!(unsettled(&store).await.len(), 1);
    assert_eq!(store.rejected_count().await.expect("counts"), 0);
    let settled_at = record.stored.case.settled_at.expect("settled");
    assert_eq!(store.prune(settled_at, 10).await.expect("prunes"), 2);
    assert_eq!(ids(all()).await, [4, 3]);
    drop(store);
    let version = connection::version(&Connection::open(place.file()).expect("opens"));
    assert_eq!(version.expect("reads"), connection::SCHEMA);
}

/// What services said was kept with bulk acts too, where an erasure would not find it.
#[tokio::test]
async fn a_bulk_act_of_an_older_version_repeats_nothing_that_services_said() {
    let place = Dir::new();
    place.sql(include_str!("schema/tests_2.sql"));
    place.sql(
        r#"INSERT INTO bulks (id, ids, state) VALUES
           (1, '{}', '{"sample":[{"caseId":"c-1","message":"ann called"}],"failures":[{"id":"c-1","detail":"no ann"}],"left":3}'),
           (2, '{}', 'ann is no JSON')"#,
    );
    let store = place.open().await;
    let state = async |id| store.bulk(id).await.expect("reads").expect("there").state;
    assert_eq!(
        state(1).await,
        r#"{"sample":[{"caseId":"c-1"}],"failures":[{"id":"c-1","detail":"what it said is with the step"}],"left":3}"#
    );
    assert_eq!(state(2).await, "ann is no JSON", "a newer version wrote it, or nobody of us");
}

/// Whoever adds a table says what bounds it.
#[tokio::test]
async fn every_table_stands_on_the_page_of_what_grows() {
    const PAGE: &str = include_str!("../../../../docs/reference/what-grows.md");
    let place = Dir::new();
    drop(place.open().await);
    let conn = Connection::open(place.file()).expect("opens");
    let mut names = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .expect("prepares");
    let names = names.query_map([], |row| row.get::<_, String>(0)).expect("reads");
    let mut tables: Vec<String> = names.map(|name| name.expect("a name")).collect();
    let head = PAGE.split("## Elsewhere").next().unwrap_or_default();
    let told = head.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut told: Vec<String> = told.map(str::to_owned).collect();
    told.sort();
    tables.sort();
    assert_eq!(told, tables);
}

#[tokio::test]
async fn every_store_has_a_salt_of_its_own_which_goes_along_in_copies() {
    let (place, other, copy, old) = (Dir::new(), Dir::new(), Dir::new(), Dir::new());
    let salt = async |place: &Dir| place.open().await.load().await.expect("loads").salt;
    let own = salt(&place).await;
    assert_ne!(own, Salt::NONE);
    assert_eq!(salt(&place).await, own, "made once");
    assert_ne!(salt(&other).await, own);
    place.open().await.backup(&copy.file()).await.expect("copied");
    assert_eq!(salt(&copy).await, own);
    old.sql(include_str!("schema/tests_2.sql"));
    assert_ne!(salt(&old).await, Salt::NONE, "a store of before gets one");
}

#[test]
fn a_database_of_something_else_is_refused() {
    let place = Dir::new();
    place.sql("CREATE TABLE cases (id INTEGER)");
    let error = place.try_open().expect_err("not ours");
    assert!(matches!(error, StoreError::ForeignFile { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let place = Dir::new();
    let store = place.open().await;
    store.commit(vec![case(1, "secret")].into()).await.expect("commits");
    store.backup(&place.backup_path()).await.expect("backs up");
    let mut names = Vec::new();
    for entry in fs::read_dir(place.dir.path()).expect("lists") {
        let entry = entry.expect("reads");
        let mode = entry.metadata().expect("reads").permissions().mode() & 0o777;
        names.push(entry.file_name());
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    assert!(names.len() >= 4, "database, log, lock and backup: {names:?}");
}

#[tokio::test]
async fn closing_puts_everything_into_the_one_file() {
    let place = Dir::new();
    let store = place.open().await;
    store.commit(vec![case(1, "kept")].into()).await.expect("commits");
    drop(store);
    let log = place.dir.path().join(format!("{FILE_NAME}-wal"));
    assert!(fs::metadata(log).map_or(0, |m| m.len()) == 0);
    let moved = Dir::new();
    fs::copy(place.file(), moved.file()).expect("copies");
    assert_eq!(unsettled(&moved.open().await).await.len(), 1);
}

#[tokio::test]
async fn the_log_does_not_grow_without_end() {
    let place = Dir::new();
    let store = place.open().await;
    let log = place.dir.path().join(format!("{FILE_NAME}-wal"));
    let large = "x".repeat(1 << 20);
    for n in 1..=200 {
        store.commit(vec![case(n, &large)].into()).await.expect("commits");
    }
    let size = fs::metadata(log).expect("there").len();
    assert!(size < 100 << 20, "200 MiB were written, and the log has {size} bytes");
}

#[tokio::test]
async fn the_log_is_given_back_when_a_reader_that_held_on_to_it_has_gone() {
    let place = Dir::new();
    let store = place.open().await;
    let log = place.dir.path().join(format!("{FILE_NAME}-wal"));
    let size = || fs::metadata(&log).expect("there").len();
    let large = "x".repeat(1 << 20);
    store.commit(vec![case(1, &large)].into()).await.expect("commits");
    let reader = Connection::open(place.file()).expect("opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM cases;").expect("holds a snapshot");
    for n in 2..=121 {
        store.commit(vec![case(n, &large)].into()).await.expect("commits all the same");
    }
    assert!(size() > 100 << 20, "nothing can be given back meanwhile: {}", size());
    drop(reader);
    let mut next = 122;
    let mut rounds = 0;
    while size() > 64 << 20 {
        assert!(rounds < 300, "{} bytes are not given back", size());
        rounds += 1;
        store.commit(vec![case(next, &large)].into()).await.expect("commits");
        // Many small ones, too: the thread that copies has as long as it needs, and the writer looks after each.
        for small in 1..=20 {
            store.commit(vec![case(next + small, "small")].into()).await.expect("commits");
        }
        next += 21;
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_leaves_the_store_as_it_was() {
    let place = Dir::new();
    {
        let store = place.open().await;
        store.commit(vec![case(1, "kept")].into()).await.expect("commits");
    }
    let mut conn = connection::open_writer(&place.file()).expect("opens");
    conn.pragma_update(None, "max_page_count", 40).expect("sets");
    let tx = conn.transaction().expect("begins");
    let large = "x".repeat(1 << 20);
    let batch = vec![case(2, "lost"), case(3, &large)];
    let error = super::write::write_batch(&tx, &batch).expect_err("no room");
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
    assert!(
        error.to_string().contains("could not write to the store: database or disk is full"),
        "{error}"
    );
    drop(tx);
    drop(conn);
    let cases = unsettled(&place.open().await).await;
    assert_eq!(cases.iter().map(|c| c.case.id.0).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn numbers_that_do_not_fit_spoil_their_batch() {
    let place = Dir::new();
    let store = place.open().await;
    let batch = vec![case(1, "good"), case(u64::MAX, "too high")];
    let error = store.commit(batch.into()).await.expect_err("over the limit");
    assert!(matches!(error, StoreError::OverLimit { .. }), "{error}");
    assert!(unsettled(&store).await.is_empty());
}

#[tokio::test]
async fn readers_cannot_write_and_see_each_commit_at_once() {
    let place = Dir::new();
    let store = place.open().await;
    let reader = connection::open_reader(&place.file()).expect("opens");
    assert!(reader.execute_batch("DELETE FROM cases").is_err());
    for n in 1..=20 {
        store.commit(vec![case(n, "x")].into()).await.expect("commits");
        let page = store.cases(CaseFilter::default(), PageRequest::first(1)).await.expect("lists");
        assert_eq!(page.items[0].case.id, CaseId(n));
    }
}

/// How SQLite goes about a query.
fn plan(conn: &Connection, sql: &str) -> String {
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("prepares");
    let values = vec![rusqlite::types::Value::Integer(0); explain.parameter_count()];
    let rows = explain.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3));
    rows.expect("explains").map(|line| line.expect("reads") + "\n").collect()
}

#[test]
fn what_is_unfinished_settled_or_over_is_found_by_its_index() {
    let place = Dir::new();
    drop(place.try_open().expect("opens"));
    let conn = connection::open_reader(&place.file()).expect("opens");
    let load = plan(&conn, "SELECT memo FROM cases c WHERE c.state <> 3");
    assert!(load.contains("cases_unsettled"), "{load}");
    let prunable = plan(&conn, crate::tables::prune::PRUNABLE);
    assert!(prunable.contains("cases_settled (settled_at>? AND settled_at<?)"), "{prunable}");
    assert!(prunable.contains("reports_unanswered (key>? AND key<?)"), "{prunable}");
    let unanswered = plan(&conn, crate::tables::lookup::UNANSWERED);
    assert!(unanswered.contains("reports_unanswered (key>?)"), "{unanswered}");
    let settlements = plan(&conn, crate::tables::counts::SETTLEMENTS);
    assert!(settlements.contains("cases_settled (settled_at>?)"), "{settlements}");
    let sagas =
        plan(&conn, "SELECT saga FROM sagas s WHERE state IN (?, ?) AND deadline < ? LIMIT ?");
    assert!(sagas.contains("sagas_by_deadline"), "{sagas}");
    let total = plan(&conn, crate::tables::rejected::TOTAL);
    let oldest = plan(&conn, crate::tables::rejected::OLDEST);
    for plan in [&total, &oldest] {
        assert!(plan.contains("COVERING INDEX rejected_sizes"), "no body is read: {plan}");
    }
    for plan in [load, prunable, unanswered, settlements, sagas, total, oldest] {
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

/// Each by an index and in its order, from where the page before ended: no page reads what it doesn't look at.
#[test]
fn lists_are_searched_in_their_order() {
    use super::DIALECT;
    use crate::tables::{case_list, step_list::StepSearch};
    use crate::{CaseOrder, StepFilter};
    use amends_api::StepStateName;
    let place = Dir::new();
    drop(place.try_open().expect("opens"));
    let conn = connection::open_reader(&place.file()).expect("opens");
    let all = CaseFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        (all(), "cases_by_time ("),
        (CaseFilter { text: text("x"), action: "a.b".parse().ok(), ..all() }, "cases_by_time ("),
        (
            CaseFilter { rulebooks: vec!["x".to_owned()], service: text("y"), ..all() },
            "cases_by_time (",
        ),
        (CaseFilter { state: CaseState::ALL.to_vec(), ..all() }, "cases_by_time ("),
        (CaseFilter { opened_after: Some(Timestamp(1)), ..all() }, "cases_by_time ("),
        (CaseFilter { state: vec![CaseState::Stuck], ..all() }, "cases_unsettled (state=? AND "),
        (CaseFilter { report: text("x/y"), ..all() }, "cases_by_report (report=? AND "),
    ];
    for (filter, index) in filters {
        for order in [CaseOrder::Newest, CaseOrder::Oldest] {
            let filter = CaseFilter { order, ..filter.clone() };
            let queries = case_list::queries_after(&conn, &filter, [5, 5]).expect("builds");
            assert!(!queries.is_empty());
            for sql in queries {
                let plan = plan(&conn, &sql);
                assert!(plan.contains(&format!("INDEX {index}")), "{sql}\n{plan}");
                assert!(
                    plan.contains("opened_at<?)") || plan.contains("opened_at>?"),
                    "{sql}\n{plan}"
                );
                assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
            }
        }
    }
    let all = StepFilter::default;
    let unfinished = vec![StepStateName::Due, StepStateName::Stuck];
    let filters = [
        (all(), "cases_by_time ("),
        (StepFilter { service: text("x"), text: text("y"), ..all() }, "cases_by_time ("),
        (StepFilter { state: unfinished, ..all() }, "cases_unsettled (state=? AND "),
    ];
    for (filter, index) in filters {
        let search = StepSearch::of(&DIALECT, &filter, None, Some([5, 5])).expect("builds");
        for (sql, _) in search.queries(&DIALECT) {
            let plan = plan(&conn, &sql);
            assert!(plan.contains(index) && plan.contains("opened_at<?)"), "{sql}\n{plan}");
            assert!(plan.contains("SEARCH s USING INTEGER PRIMARY KEY"), "{sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }
    // What is named is looked at alone, and sorted.
    let named = [
        StepFilter { ids: Some(Vec::new()), ..all() },
        StepFilter { cases: Some(Vec::new()), ..all() },
    ];
    for filter in named {
        let search = StepSearch::of(&DIALECT, &filter, None, None).expect("builds");
        for (sql, _) in search.queries(&DIALECT) {
            let plan = plan(&conn, &sql);
            assert!(!plan.contains("SCAN c") && !plan.contains("SCAN s"), "{sql}\n{plan}");
        }
    }
}

#[tokio::test]
async fn a_store_is_looked_at_from_outside_while_it_is_used() {
    let dir = Dir::new();
    let look = || super::inspect(dir.dir.path());
    assert_eq!(look().expect("looks"), None);
    let store = dir.open().await;
    store.commit(vec![case(1, "a"), case(2, "b")].into()).await.expect("commits");
    let seen = look().expect("looks").expect("a store");
    assert_eq!((seen.cases, seen.in_use, seen.checked, seen.damage), (2, true, true, None));
    drop(store);
    assert!(!look().expect("looks").expect("a store").in_use);
    let broken = Dir::new();
    fs::write(broken.file(), b"no database at all, but long enough to be one").expect("writes");
    super::inspect(broken.dir.path()).expect_err("no store");
}

#[tokio::test]
async fn what_is_pruned_leaves_no_rows_behind() {
    let dir = Dir::new();
    let store = dir.open().await;
    let Write::Case(mut row) = case(1, "gone soon") else { panic!("a case") };
    (row.state, row.settled_at) = (CaseState::Settled, Some(Timestamp(2)));
    store.commit(vec![Write::Case(row)].into()).await.expect("commits");
    dir.sql(
        "INSERT INTO steps VALUES (1 << 20 | 1, 4, 0, 0, 'a', 'b', 7, 0, 1, 1, 1, NULL, NULL, NULL, '{}');
         INSERT INTO attempts VALUES (1 << 20 | 1, 1, 1, 1, 'busy', NULL, NULL);
         INSERT INTO reports VALUES (1 << 20, 1, 1, NULL, 'a', 'r', '{}');",
    );
    assert_eq!(store.prune(Timestamp(10), 9).await.expect("prunes"), 1);
    drop(store);
    let conn = Connection::open(dir.file()).expect("opens");
    for table in ["cases", "reports", "steps", "attempts"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let left: i64 = conn.query_row(&sql, [], |row| row.get(0)).expect("counts");
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn acts_alone_are_a_batch_too() {
    let place = Dir::new();
    let store = place.open().await;
    let act = ActRow {
        at: Timestamp(1),
        actor: "kim".into(),
        act: "pause".into(),
        reason: "deployment".into(),
        case: None,
        step: None,
        detail: serde_json::Value::Null,
    };
    store.commit(vec![Write::Act(Box::new(act))].into()).await.expect("commits");
    let page = store.acts(ActFilter::default(), PageRequest::default()).await.expect("lists");
    assert_eq!(
        (page.items[0].row.case, &page.items[0].row.detail),
        (None, &serde_json::Value::Null)
    );
}
