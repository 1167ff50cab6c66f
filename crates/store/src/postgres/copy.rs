//! A backup: a copy in a SQLite file, of one moment, while work goes on. It opens as a store there.

use super::{
    counting,
    session::{self, Session, database},
};
use crate::{
    StoreError, sqlite,
    tables::{Tables, Value, rows::column},
};
use sqlx::postgres::PgConnectOptions;
use std::path::Path;

const DOING: &str = "write the backup";
/// Rows that are under way at a time; each may have a megabyte.
const ROWS: usize = 200;

/// All that is copied: the tables that both have, with the columns that both have.
pub(super) const TABLES: [(&str, &str); 18] = [
    (
        "cases",
        "id, state, opened_at, updated_at, settled_at, closed_on, saga, rulebook, rulebook_hash, report, message, memo",
    ),
    ("reports", "key, received_at, role, role_arg, source, id, body"),
    (
        "steps",
        "key, state, ending, verb, service, action, tag, stage, attempts, planned_at, updated_at, due_at, until, location, memo",
    ),
    ("attempts", "step, attempt, sent_at, ended_at, result, status, message"),
    (
        "acts",
        "id, at, actor, act, reason, case_id, step, detail, principal, address, reason_digest, detail_digest, digest",
    ),
    ("audit_ends", "which, number, digest"),
    ("sagas", "saga, service, action, deadline, state, data"),
    ("rulebooks", "hash, name, stored_at, activated_at, active, sources, from_file"),
    ("strangers", "rulebook, service, action, decision"),
    ("rule_holds", "rulebook, rule, decision"),
    ("services", "service, settings"),
    ("bulks", "id, ids, state"),
    ("credentials", "kind, id, digest, state"),
    ("erasures", "number, at, state"),
    ("erased", "erasure, saga, case_id, done_at, gone"),
    (
        "rejected",
        "number, id, name, size, way, place, source, event_id, saga, code, detail, rejected_at, sent_at, cut, headers, body",
    ),
    ("marks", "name, value"),
    ("salt", "\"only\", value"),
];

/// Writes a consistent copy to a new file that only its owner may read.
pub(super) fn copy(connects: &PgConnectOptions, place: &str, to: &Path) -> Result<(), StoreError> {
    let session = session::reach(connects, place, session::COPYING)?;
    let copied = sqlite::new_file(to, |conn| {
        session
            .batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .map_err(database(DOING))?;
        TABLES
            .iter()
            .try_for_each(|(table, columns)| copy_table(&session, conn, table, columns))?;
        counting::end(conn)
    });
    session.close();
    copied
}

fn copy_table(
    from: &Session,
    to: &dyn Tables,
    table: &str,
    columns: &str,
) -> Result<(), StoreError> {
    let doing = |unwritten: crate::tables::written::Unwritten| unwritten.while_doing(DOING);
    to.execute(&format!("DELETE FROM {table}"), &[]).map_err(doing)?;
    let cursor =
        format!("DECLARE rows_of_{table} NO SCROLL CURSOR FOR SELECT {columns} FROM {table}");
    from.batch(&cursor).map_err(database(DOING))?;
    let count = columns.split(',').count();
    let places = vec!["?"; count].join(", ");
    let insert = format!("INSERT INTO {table} ({columns}) VALUES ({places})");
    loop {
        let mut rows = 0;
        from.each(&format!("FETCH {ROWS} FROM rows_of_{table}"), &[], &mut |row| {
            let values = (0..count).map(|index| column::<Value>(row, index));
            let values = values.collect::<Result<Vec<Value>, StoreError>>()?;
            rows += 1;
            to.execute(&insert, &values).map(drop).map_err(doing)
        })?;
        if rows < ROWS {
            return from.batch(&format!("CLOSE rows_of_{table}")).map_err(database(DOING));
        }
    }
}
