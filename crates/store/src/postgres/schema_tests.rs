//! A store of an older version is brought up to date while nodes of that version work on it.

use super::{
    schema,
    session::Session,
    tests::{Base, PATIENCE, until},
};
use crate::tables::{collect, rows::column};
use std::{sync::mpsc, thread, time::Duration};

/// What an older node does all the time. It waits for no table longer than it may.
const WORK: &str = "
    SET lock_timeout = '5s';
    INSERT INTO cases (id, opened_at, updated_at, partition, state, saga, report, memo)
      SELECT n, n, n, 0, 0, 'saga-' || n, 'shop/report', '{}' FROM (SELECT coalesce(max(id), 0) + 1 AS n FROM cases) AS m;
    UPDATE node SET alive_until = clock_timestamp()";

fn texts(session: &Session, sql: &str) -> Vec<String> {
    collect(session, sql, &[], |row| column(row, 0)).expect("answers")
}

fn of_version(version: usize) -> Base {
    let base = Base::new();
    schema::begin_with(&base.session(), version);
    base
}

/// Opens the store as a newer node would, on a thread of its own.
fn newer_node(base: &Base) -> mpsc::Receiver<()> {
    let (opened, opens) = mpsc::channel();
    let base = Base(base.0.clone());
    thread::spawn(move || {
        drop(base.store("new"));
        opened.send(()).expect("somebody waits");
    });
    opens
}

#[test]
fn an_index_is_made_while_older_nodes_work() {
    let base = of_version(2);
    let (older, beside) = (base.session(), base.session());
    older.batch(WORK).expect("works");
    // An attempt that was cut off has left this; it is of no use.
    older.batch("CREATE INDEX cases_open_of_part ON cases (id)").expect("makes");
    let spoil = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'amends.cases_open_of_part'::regclass";
    older.batch(spoil).expect("the owner of the server may");
    // One transaction of before stays open for long: the index has to wait for it, and nobody for the index.
    older.batch("BEGIN").expect("begins");
    older.batch(WORK).expect("works");
    let opens = newer_node(&base);
    let waits = "SELECT (count(*) > 0)::text FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE '%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'";
    until(&beside, waits);
    let another = base.session();
    let beside_it = "SET lock_timeout = '1s'; INSERT INTO cases (id, opened_at, updated_at, partition, state, saga, report, memo)
        VALUES (4711, 1, 1, 0, 0, 'beside', 'shop/report', '{}')";
    another.batch(beside_it).expect("an older node is not kept waiting");
    assert!(opens.try_recv().is_err(), "the index is not ready");
    older.batch("COMMIT").expect("commits");
    opens.recv_timeout(PATIENCE).expect("it opens");
    let version = texts(&beside, "SELECT version::text FROM amends.schema");
    assert_eq!(version, [schema::SCHEMA.to_string()]);
    let valid = "SELECT indexrelid::regclass::text || ' ' || pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indisvalid AND indexrelid::regclass::text IN ('cases_open_of_part', 'sagas_begun', 'sagas_begun_of_part')
        ORDER BY 1";
    let valid = texts(&beside, valid);
    assert!(
        valid.len() == 2 && valid[0].contains("(partition, state, opened_at, id)"),
        "{valid:?}"
    );
    assert!(valid[1].starts_with("sagas_begun_of_part "), "{valid:?}");
    older.batch(WORK).expect("it works on");
}

#[test]
fn a_table_is_changed_between_what_older_nodes_do() {
    let base = of_version(3);
    let (older, beside) = (base.session(), base.session());
    // It has looked at the table that is to be changed, and goes on for long.
    older.batch("BEGIN; SELECT FROM node").expect("begins");
    let opens = newer_node(&base);
    let waits = "SELECT (count(*) > 0)::text FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE '%ALTER TABLE node%' AND wait_event_type = 'Lock'";
    until(&beside, waits);
    // Whoever comes meanwhile stands behind the change for a moment only, not until the long one has ended.
    base.session().batch("SET lock_timeout = '5s'; SELECT FROM node").expect("goes on");
    assert_eq!(opens.recv_timeout(Duration::ZERO), Err(mpsc::RecvTimeoutError::Timeout));
    older.batch("COMMIT").expect("ends");
    opens.recv_timeout(PATIENCE).expect("it opens");
}

#[test]
fn old_stores_and_new_ones_have_the_same_indexes() {
    const INDEXES: &str = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'amends' ORDER BY 1";
    let (old, new) = (of_version(2), Base::new());
    let [of_old, of_new] = [old, new].map(|base| {
        drop(base.store("one"));
        texts(&base.session(), INDEXES)
    });
    assert_eq!(of_old, of_new);
}
