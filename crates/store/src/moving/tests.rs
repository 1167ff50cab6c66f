//! A store is moved on a real server: whole, in pieces, and never where it must not go.

use super::tables::{Cell, TABLES, Table};
use super::{Moving, StoreMoved, move_store};
use crate::conformance::chain::checked;
use crate::conformance::commands::{Command, Commands};
use crate::conformance::sample::{FromRow, act};
use crate::postgres::session;
use crate::sqlite::connection::FILE_NAME;
use crate::{
    Batch, CredentialKind, CredentialRow, Credentials, Ledger, PostgresOptions, PostgresStore,
    SqliteOptions, SqliteStore, StoreError,
};
use amends_api::audit::{ActDigest, ChainedAct, Content};
use amends_engine::{ActRow, Write};
use amends_private_server::PostgresServer;
use amends_protocol::Timestamp;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tempfile::TempDir;

/// A stopped store with rows in most tables, and what random commits leave.
fn filled() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("opens");
        let epoch = store.load().await.expect("loads").epoch;
        let mut commands = Commands::of(7);
        for _ in 0..300 {
            if let Command::Commit(writes) = commands.of_ledger() {
                let batch = Batch::whole(epoch, writes, None);
                let _ = store.commit(batch).await; // some contradict what is there
            }
        }
        let row = CredentialRow {
            kind: CredentialKind::Token,
            id: "ann".into(),
            digest: [7; 32],
            state: "{\"name\":\"ann\"}".into(),
        };
        store.put_credential(row).await.expect("kept");
    });
    folder
}

fn empty() -> PostgresOptions {
    PostgresOptions::new(&PostgresServer::shared().new_database(), "mover")
}

fn moved(folder: &Path, to: &PostgresOptions) -> Result<StoreMoved, StoreError> {
    move_store(folder, to, |_| {})
}

/// Moves until `ends` says that the process is killed; no line of it runs afterwards.
fn killed(folder: &Path, to: &PostgresOptions, ends: impl Fn(&Moving) -> bool) {
    let killed = catch_unwind(AssertUnwindSafe(|| {
        move_store(folder, to, |seen| {
            if ends(&seen) {
                std::panic::resume_unwind(Box::new("killed"));
            }
        })
    }));
    assert!(killed.is_err(), "it came to its end: {killed:?}");
}

fn rows_of(folder: &Path) -> u64 {
    let conn = rusqlite::Connection::open(folder.join(FILE_NAME)).expect("opens");
    let rows = |table: &Table| -> u64 {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("counts").cast_unsigned()
    };
    TABLES.iter().map(rows).sum()
}

#[test]
fn all_rows_are_there_and_the_folder_is_as_it_was() {
    let (folder, to) = (filled(), empty());
    let before = std::fs::read(folder.path().join(FILE_NAME)).expect("reads");
    let seen = moved(folder.path(), &to).expect("moves");
    assert!(!seen.was_done && !seen.went_on);
    let rows: u64 = seen.tables.iter().map(|table| table.rows).sum();
    assert_eq!((rows, seen.tables.len()), (rows_of(folder.path()), TABLES.len()));
    assert!(rows > 150, "{rows} rows are too few to tell of anything");
    assert_eq!(std::fs::read(folder.path().join(FILE_NAME)).expect("reads"), before);

    let again = moved(folder.path(), &to).expect("is done");
    assert!(again.was_done);
    let other = filled();
    let refused = moved(other.path(), &to).expect_err("a store is there").to_string();
    assert!(refused.contains("give an empty database"), "{refused}");
}

#[test]
fn no_supervisor_starts_on_the_folder_until_its_mark_is_removed() {
    let (folder, to) = (filled(), empty());
    moved(folder.path(), &to).expect("moves");
    let open = || SqliteStore::open(folder.path(), &SqliteOptions::default());
    let refused = open().expect_err("it was moved");
    let StoreError::Moved { mark, .. } = &refused else { panic!("{refused}") };
    let told = std::fs::read_to_string(mark).expect("reads");
    assert!(told.contains("remove this file"), "{told}");
    std::fs::remove_file(mark).expect("removes");
    open().expect("it is a store as before");
}

#[test]
fn after_a_kill_at_any_moment_it_goes_on() {
    let folder = filled();
    let of = rows_of(folder.path());
    let digests = |seen: StoreMoved| seen.tables;
    let whole = digests(moved(folder.path(), &empty()).expect("moves"));
    for part in 1..=5 {
        std::fs::remove_file(folder.path().join("MOVED-TO-POSTGRESQL")).expect("removes");
        let to = empty();
        killed(folder.path(), &to, |seen| {
            seen.rows * 5 >= of * part && (part < 5 || seen.comparing)
        });
        let early = PostgresStore::open(&to).expect_err("it is not whole").to_string();
        assert!(early.contains("`amends migrate`"), "{early}");
        let seen = moved(folder.path(), &to).expect("goes on");
        assert!(seen.went_on);
        assert_eq!(digests(seen), whole, "killed at {part}/5");
        PostgresStore::open(&to).expect("it is a store");
    }
}

#[test]
fn what_began_with_other_rows_begins_anew() {
    let (folder, to) = (filled(), empty());
    killed(folder.path(), &to, |seen| seen.rows > 60);
    // Somebody went back, and had a supervisor work on it.
    std::fs::remove_file(folder.path().join("MOVED-TO-POSTGRESQL")).expect("removes");
    let conn = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opens");
    conn.execute("DELETE FROM rulebooks", []).expect("deletes");
    drop(conn);
    let seen = moved(folder.path(), &to).expect("moves");
    assert!(!seen.went_on);
    let rows: u64 = seen.tables.iter().map(|table| table.rows).sum();
    assert_eq!(rows, rows_of(folder.path()));
}

#[test]
fn rows_that_differ_are_found_and_copied_anew() {
    let (folder, to) = (filled(), empty());
    killed(folder.path(), &to, |seen| seen.comparing);
    let session = session::reach(&to.connect().expect("valid"), "here", session::MOVING);
    let session = session.expect("connects");
    session.batch("UPDATE cases SET memo = '{}' || memo").expect("spoils");
    session.close();
    let differs = moved(folder.path(), &to).expect_err("a row differs").to_string();
    assert!(differs.contains("`cases` has") && differs.contains("begin again"), "{differs}");
    assert!(PostgresStore::open(&to).is_err(), "it is no store");
    let seen = moved(folder.path(), &to).expect("copies anew");
    assert!(!seen.went_on);
}

#[test]
fn neither_a_running_supervisor_nor_a_used_database_is_touched() {
    let (folder, to) = (filled(), empty());
    let running = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("opens");
    assert!(matches!(moved(folder.path(), &to), Err(StoreError::Locked { .. })));
    drop(running);
    // Whoever has held it has a store there, even an empty one.
    drop(PostgresStore::open(&to).expect("begins a store"));
    let refused = moved(folder.path(), &to).expect_err("a store is there").to_string();
    assert!(refused.contains("give an empty database"), "{refused}");
    SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("it has no mark");
}

#[test]
fn the_database_has_all_columns_of_the_tables() {
    let to = empty();
    drop(PostgresStore::open(&to).expect("begins a store"));
    let session = session::reach(&to.connect().expect("valid"), "here", session::MOVING);
    let session = session.expect("connects");
    let known = session.run(async |line| {
        sqlx::query_as::<_, (String, String)>(
            "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'amends'",
        )
        .fetch_all(line)
        .await
    });
    // What only a cluster has.
    let own = ["node", "lease", "schema", "inbox", "permit", "rule_minute"];
    for (table, column) in known.expect("reads") {
        if own.contains(&table.as_str()) || column == "partition" {
            continue;
        }
        let found = TABLES.iter().find(|known| known.name == table);
        let has = found.is_some_and(|known| known.columns.iter().any(|(name, _)| *name == column));
        assert!(has, "`{table}.{column}` would not be moved: write it into tables.rs");
    }
}

/// A NUL in a reason, which PostgreSQL can't keep: now the stores keep the same text, and a version before this one
/// kept it as it came, in a chain that is of that text.
#[test]
fn the_chain_of_the_audit_holds_after_the_move_whatever_reasons_there_were() {
    let (folder, to) = (TempDir::new().expect("a folder"), empty());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("opens");
        let epoch = store.load().await.expect("loads").epoch;
        let said = ActRow { reason: "a\0b".into(), ..act("waive", None, None) };
        let writes = vec![Write::from_act(said)];
        let batch = Batch::whole(epoch, writes, None);
        store.commit(batch).await.expect("commits");
    });
    // A second entry, as it was written before.
    let conn = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opens");
    let first: Vec<u8> =
        conn.query_row("SELECT digest FROM acts", [], |row| row.get(0)).expect("one");
    let reason = "c\0d".to_owned();
    let entry = ChainedAct {
        number: 2,
        at: Timestamp(7),
        actor: "kim".to_owned(),
        principal: None,
        address: None,
        act: "waive".to_owned(),
        case: None,
        step: None,
        reason: Content::Text(reason.clone()),
        detail: Content::Text("null".to_owned()),
    };
    let digest = entry.digest(ActDigest::from_bytes(&first).expect("a digest")).bytes().to_vec();
    conn.execute(
        "INSERT INTO acts (id, at, actor, act, reason, detail, digest) VALUES (2, 7, 'kim', 'waive', ?1, 'null', ?2)",
        rusqlite::params![reason, digest],
    )
    .expect("inserts");
    conn.execute("UPDATE audit_ends SET number = 2, digest = ?1 WHERE which = 'written'", [digest])
        .expect("updates");
    drop(conn);
    moved(folder.path(), &to).expect("moves");
    let store = PostgresStore::open(&to).expect("opens");
    let chain = runtime.block_on(checked(&store));
    assert_eq!((chain.broken, chain.entries), (None, 2));
}

#[test]
fn large_rows_go_in_smaller_groups() {
    let row = |bytes: usize| vec![Cell::Text("x".repeat(bytes))];
    let rows = [row(10), row(3 << 20), row(3 << 20), row(9 << 20), row(10)];
    let groups: Vec<usize> = super::in_groups(&rows).iter().map(|group| group.len()).collect();
    assert_eq!(groups, [2, 1, 1, 1]);
    assert_eq!(groups.iter().sum::<usize>(), rows.len());
}
