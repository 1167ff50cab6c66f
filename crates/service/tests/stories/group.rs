//! What has queued for a SQLite file is committed together. When that commit fails, everybody in the group is told, and
//! nothing of it is there.

use crate::rig::{listen, send};
use amends_service::rusqlite::{Connection, params};
use amends_service::store::HistoryStore as _;
use amends_service::store::sqlite::SqliteTx;
use amends_service::{Failure, Kit, KitConfig, KitError, Sqlite};
use serde_json::{Value, json};
use std::future::ready;
use std::path::Path;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS lines (of TEXT NOT NULL REFERENCES orders (id), saga TEXT NOT NULL);
";

/// What shows only when all is committed: the line is looked at then, and its order isn't there.
const SPOILS: &str =
    "PRAGMA defer_foreign_keys = ON; INSERT INTO lines VALUES ('no-such-order', 'bad')";

fn lines(file: &Path) -> i64 {
    let connection = Connection::open(file).expect("opens");
    connection.query_row("SELECT count(*) FROM lines", [], |row| row.get(0)).expect("counts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_commit_fails_is_told_so_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("service.sqlite");
    let store =
        Sqlite::open(&file, &format!("{SCHEMA} INSERT OR IGNORE INTO orders VALUES ('o-1')"))
            .expect("opens");
    let write = async |sql: &'static str| -> Result<(), KitError> {
        let work =
            move |tx: &mut SqliteTx| tx.connection().execute_batch(sql).map_err(KitError::from);
        store.write(None, move |tx| Box::pin(ready(work(tx)))).await
    };
    // The first job keeps the writing thread until the others have queued behind it: so they are one group.
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let first = store.write(None, move |_: &mut SqliteTx| {
        gate.recv().expect("it is opened");
        Box::pin(ready(Ok::<_, KitError>(())))
    });
    let good = "INSERT INTO lines VALUES ('o-1', 'good')";
    let wrong = "INSERT INTO lines VALUES ('no-such-order', 'wrong')";
    let (first, before, spoils, fails, after, ()) =
        tokio::join!(first, write(good), write(SPOILS), write(wrong), write(good), async {
            open.send(()).expect("it waits")
        },);
    for told in [first, before, spoils, after] {
        assert!(matches!(told, Err(KitError::CommitUnknown(_))), "{told:?}");
    }
    // What failed by itself says so itself.
    assert!(matches!(fails, Err(KitError::Database(_) | KitError::CommitUnknown(_))), "{fails:?}");
    assert_eq!(lines(&file), 0, "nothing is half done");

    // The next group is none of theirs.
    write(good).await.expect("it is good");
    assert_eq!(lines(&file), 1);
}

fn place(connection: &Connection, saga: &str, body: &Value) -> Result<Value, Failure> {
    connection.execute("INSERT OR IGNORE INTO orders VALUES (?1)", [saga])?;
    connection.execute("INSERT INTO lines VALUES (?1, ?1)", [saga])?;
    if body["spoils"] == true {
        connection.execute_batch(SPOILS)?;
    }
    Ok(json!("placed"))
}

fn shop(file: &Path) -> Kit<Sqlite> {
    Kit::builder(KitConfig::new("order"), Sqlite::open(file, SCHEMA).expect("opens"))
        .expect("good settings")
        .action("place", async |context, body| {
            let saga = context.saga().to_string();
            Ok(context.effect(move |connection| place(connection, &saga, &body)))
        })
        .local_action("place-locally", |connection, request| {
            place(connection, request.saga.as_str(), &request.body)
        })
        .build()
}

/// Whoever shares a group with a request that spoils it fails with it, is told so, and is in History as it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beside_one_that_spoils_the_commit_end_as_they_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("service.sqlite");
    let kit = shop(&file);
    let (url, _server) = listen(kit.router()).await;
    let mut told = Vec::new();
    for number in 0..24 {
        let action = if number % 2 == 0 { "place" } else { "place-locally" };
        let (url, saga) = (format!("{url}/{action}"), format!("order-{number}"));
        let body = json!({ "spoils": number % 6 == 0 || number % 6 == 3 });
        told.push(tokio::spawn(async move {
            let headers = [("saga-id", saga.as_str()), ("request-id", saga.as_str())];
            let answer = send(&url, &headers, &body).await;
            (saga, body["spoils"] == true, answer)
        }));
    }
    let connection = Connection::open(&file).expect("opens");
    let text = |sql: &str, saga: &str| -> String {
        connection.query_row(sql, params![saga], |row| row.get(0)).expect("a row")
    };
    for one in told {
        let (saga, spoils, answer) = one.await.expect("ends");
        let state = "SELECT coalesce(max(state), 'absent') FROM amends_requests WHERE saga = ?1";
        let lines = "SELECT CAST(count(*) AS TEXT) FROM lines WHERE saga = ?1";
        let reports = "SELECT CAST(count(*) AS TEXT) FROM amends_outbox WHERE saga = ?1";
        let [state, lines, reports] = [state, lines, reports].map(|sql| text(sql, &saga));
        let of_it = (state.as_str(), lines.as_str(), reports.as_str());
        match answer.status {
            200 => assert_eq!(of_it, ("succeeded", "1", "0"), "{saga}"),
            // Its arrival was in such a group, or its end: it is told that nobody knows, and may ask again.
            500 if answer.problem() == "internal" => {
                assert!(matches!(of_it, ("absent" | "started", "0", "0")), "{saga}: {of_it:?}");
            }
            500 => {
                assert!(matches!(of_it, ("failed" | "unknown", "0", "1")), "{saga}: {of_it:?}");
            }
            status => panic!("{saga} is answered {status}: {:?}", answer.body),
        }
        assert!(!spoils || answer.status == 500, "{saga} cannot succeed");
    }
}
