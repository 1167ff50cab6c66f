//! What was erased is in none of the store's files any more: the raw bytes are looked through.

use super::{FILE_NAME, SqliteOptions, SqliteStore};
use crate::{
    Batch, Ledger, Rejected, RejectedLimits, RejectedRow, Upkeep,
    conformance::sample::{FromRow, attempt, done, report, saga, settled, whole},
};
use amends_api::RejectedWay;
use amends_engine::{
    CaseRow, ErasedRow, Gone, ReportRow, SecretValues, Write, bare_case, bare_report,
};
use amends_protocol::{CaseId, ProblemCode, Timestamp};
use rusqlite::Connection;
use std::{fs, path::Path, sync::Arc};
use tempfile::TempDir;

const VALUE: &str = "4111-geheim-0042";

/// Where the value stands in the files of a folder.
fn found(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("a folder").map(|file| file.expect("a file").path());
    let holds = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).expect("reads");
        bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes())
    };
    let holding = files.filter(holds);
    holding.map(|path| path.file_name().expect("named").to_string_lossy().into_owned()).collect()
}

fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path(), &SqliteOptions::default()).expect("opens")
}

async fn commit(store: &SqliteStore, writes: Vec<Write>) {
    let epoch = store.load().await.expect("loads").epoch;
    store.commit(Batch::whole(epoch, writes, None)).await.expect("commits");
}

fn holding(text: String) -> ReportRow {
    let mut row = report(1, 0);
    let data = &mut Arc::make_mut(&mut row.report).data;
    data.message = Some(format!("card {VALUE} was declined"));
    data.data.insert("card".to_owned(), text.into());
    row
}

/// A case that was written again and again, with a report that is longer than a page.
async fn fill(store: &SqliteStore) -> (CaseRow, ReportRow) {
    let row = CaseRow { message: Some(format!("card {VALUE}").into()), ..settled(1) };
    commit(store, whole(row.clone())).await;
    let long = "x".repeat(20_000);
    let mut last = report(1, 0);
    for n in 0..5 {
        last = holding(format!("{VALUE} {n} {}", &long[..20_000 - n * 4_000]));
        let mut said = attempt(&done(1, 1, "payment.pay"), 1, "busy");
        said.message = Some(format!("{VALUE} is unknown here").into());
        let writes = vec![
            Write::from_case(row.clone()),
            Write::from_report(last.clone()),
            Write::from_attempt(said),
        ];
        commit(store, writes).await;
    }
    // Others around it, so that its rows are not alone on their pages.
    for n in 2..40 {
        commit(store, whole(settled(n))).await;
    }
    (row, last)
}

fn erasing(rows: (CaseRow, ReportRow)) -> Vec<Write> {
    erasing_of(1, rows)
}

fn erasing_of(n: u64, (mut row, mut report): (CaseRow, ReportRow)) -> Vec<Write> {
    assert!(!bare_case(&mut row).is_nothing() && !bare_report(&mut report).is_nothing());
    let erased = ErasedRow {
        erasure: 1,
        saga: saga(&format!("order-{n}")),
        case: Some(CaseId(n)),
        done_at: Some(Timestamp(1)),
        gone: Gone::default(),
        values: SecretValues::default(),
    };
    vec![Write::from_case(row), Write::from_report(report), Write::Erased(Box::new(erased))]
}

#[tokio::test]
async fn an_erased_value_is_in_no_file() {
    let dir = TempDir::new().expect("a folder");
    let store = open(&dir);
    let rows = fill(&store).await;
    assert!(!found(dir.path()).is_empty(), "it was there");
    commit(&store, erasing(rows)).await;
    assert_eq!(found(dir.path()), [""; 0], "while the store is open");
    drop(store);
    assert_eq!(found(dir.path()), [""; 0]);
}

#[tokio::test]
async fn what_could_not_be_taken_of_an_erased_saga_goes_as_well() {
    let dir = TempDir::new().expect("a folder");
    let store = open(&dir);
    let rows = fill(&store).await;
    for (number, saga) in [(1, "order-1"), (2, "order-2")] {
        let text = if number == 1 { VALUE } else { "another's" };
        let row = RejectedRow {
            id: format!("nats/REPORTS/{number}/reports"),
            way: RejectedWay::Nats,
            place: "a message".to_owned(),
            source: None,
            event_id: None,
            saga: Some(saga.to_owned()),
            code: ProblemCode::InvalidReport,
            detail: "no data".to_owned(),
            headers: Vec::new(),
            body: text.as_bytes().to_vec(),
            cut: false,
            rejected_at: Timestamp(1),
            sent_at: None,
        };
        store.reject(row, RejectedLimits::default()).await.expect("kept");
    }
    commit(&store, erasing(rows)).await;
    assert_eq!(store.rejected_count().await.expect("counts"), 1, "the other saga's stays");
    assert_eq!(found(dir.path()), [""; 0]);
}

/// Rows that grow in any order move from page to page, and leave copies where they were.
#[tokio::test]
async fn an_erased_value_is_in_no_gap_of_a_page() {
    let dir = TempDir::new().expect("a folder");
    let store = open(&dir);
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let said = |n: u64, times: u64| {
        let mut row = report(n, 0);
        let text = format!("{VALUE} ").repeat(usize::try_from(times).expect("small"));
        Arc::make_mut(&mut row.report).data.message = Some(text);
        row
    };
    for n in 1..=60 {
        commit(&store, whole(settled(n))).await;
    }
    for _ in 0..600 {
        let (case, times) = (next(60) + 1, next(70));
        commit(&store, vec![Write::from_report(said(case, times))]).await;
    }
    assert!(!found(dir.path()).is_empty(), "it was there");
    for n in 1..=60 {
        let rows = [(settled(n), said(n, 1))];
        let writes = rows.into_iter().flat_map(|rows| erasing_of(n, rows)).collect();
        commit(&store, writes).await;
    }
    assert_eq!(found(dir.path()), [""; 0]);
    // Nothing that the file needs was taken, and what was in mind before is not written again.
    for n in 1..=60 {
        commit(&store, vec![Write::from_report(report(n, 0))]).await;
    }
    drop(store);
    assert_eq!(found(dir.path()), [""; 0]);
    let conn = Connection::open(dir.path().join(FILE_NAME)).expect("opens");
    let checked = conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_eq!(checked.expect("reads"), "ok");
}

#[tokio::test]
async fn what_is_pruned_is_in_no_file() {
    let dir = TempDir::new().expect("a folder");
    let store = open(&dir);
    fill(&store).await;
    assert!(store.prune(Timestamp(i64::MAX), 100).await.expect("prunes") > 30);
    drop(store);
    assert_eq!(found(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_reader_that_holds_on_to_the_log_delays_the_bytes_and_no_commit() {
    let dir = TempDir::new().expect("a folder");
    let store = open(&dir);
    let rows = fill(&store).await;
    let reader = Connection::open(dir.path().join(FILE_NAME)).expect("opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM cases;").expect("reads");
    commit(&store, erasing(rows)).await;
    assert!(!found(dir.path()).is_empty(), "the reader may still want it");
    reader.execute_batch("COMMIT").expect("ends");
    store.check_writable().await.expect("writable");
    store.check_writable().await.expect("the one before it is through");
    assert_eq!(found(dir.path()), [""; 0]);
}

/// The process ended after the commit and before the log was cut off.
#[tokio::test]
async fn a_log_that_was_left_is_cut_off_at_the_start() {
    let (dir, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let store = open(&dir);
    let rows = fill(&store).await;
    let reader = Connection::open(dir.path().join(FILE_NAME)).expect("opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM cases;").expect("reads");
    commit(&store, erasing(rows)).await;
    for end in ["", "-wal"] {
        let name = format!("{FILE_NAME}{end}");
        fs::copy(dir.path().join(&name), other.path().join(&name)).expect("copies");
    }
    assert!(!found(other.path()).is_empty(), "as after a crash");
    let again = open(&other);
    assert_eq!(found(other.path()), [""; 0]);
    assert_eq!(again.load().await.expect("loads").last_case, 39);
}

/// An older version left what it removed in free places of the file.
#[tokio::test]
async fn a_store_of_an_older_version_is_written_anew() {
    let dir = TempDir::new().expect("a folder");
    let conn = Connection::open(dir.path().join(FILE_NAME)).expect("opens");
    conn.execute_batch(include_str!("schema/tests_2.sql")).expect("runs");
    conn.execute_batch(&format!(
        "PRAGMA secure_delete = OFF;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO acts SELECT i, 1, 'kim', 'waive', '{VALUE}', NULL, NULL, 'null' FROM n;
         DELETE FROM acts;"
    ))
    .expect("runs");
    drop(conn);
    assert!(!found(dir.path()).is_empty(), "a trace of it");
    drop(open(&dir));
    assert_eq!(found(dir.path()), [""; 0]);
}
