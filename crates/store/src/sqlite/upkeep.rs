//! Pruning, backups and the check that writing works.

use super::{
    codes::Coded,
    connection::{create_private_file, database, file, open_reader},
    counts::{self, KEEP_LAST_CASE, LAST_CASE},
    key::{case_number, key_range},
    rows::{case_id, collect, column, read_error},
};
use crate::{SettledBefore, StoreError};
use amends_engine::SagaState;
use amends_protocol::{CaseId, Timestamp};
use rusqlite::{Connection, Transaction, params};
use rustc_hash::FxHashSet;
use std::{fs, io, path::Path};

/// Most cases and sagas of one call: some ten thousand rows, so that a commit behind it waits for milliseconds.
const PRUNE_LIMIT: usize = 500;
pub(super) const PRUNABLE: &str =
    "SELECT id, settled_at, rulebook FROM cases INDEXED BY cases_settled
    WHERE state = 3 AND settled_at < ?1 AND (settled_at, id) > (?2, ?3) AND NOT EXISTS (
      SELECT 1 FROM reports r INDEXED BY reports_unanswered
      WHERE r.role = 3 AND r.key BETWEEN (cases.id << 20) AND (cases.id << 20 | 1048575))
    ORDER BY settled_at, id";
const DOING_PRUNE: &str = "prune the store";

/// Cases that one call looks at: where some rulebooks keep theirs for long, those lie before all others.
const PRUNE_LOOKS: usize = 5_000;

/// Where the next call begins to look: after this time of settling and this case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrunePlace([i64; 2]);

impl Default for PrunePlace {
    fn default() -> Self {
        Self([i64::MIN; 2])
    }
}

/// Removes old settled cases and announcements; says how many, and where to go on.
pub(crate) fn prune(
    tx: &Transaction<'_>,
    settled_before: &SettledBefore,
    limit: usize,
    (lent, from): (&FxHashSet<CaseId>, PrunePlace),
) -> Result<(usize, PrunePlace), StoreError> {
    let limit = limit.min(PRUNE_LIMIT);
    let (cases, next) = prunable(tx, settled_before, limit, (lent, from))?;
    if !cases.is_empty() {
        tx.execute(KEEP_LAST_CASE, [LAST_CASE]).map_err(database(DOING_PRUNE))?;
    }
    for &case in &cases {
        let (first, last) = key_range(case);
        for sql in [
            "DELETE FROM attempts WHERE step BETWEEN ?1 AND ?2",
            "DELETE FROM steps WHERE key BETWEEN ?1 AND ?2",
            "DELETE FROM reports WHERE key BETWEEN ?1 AND ?2",
        ] {
            tx.prepare_cached(sql)
                .and_then(|mut delete| delete.execute([first, last]))
                .map_err(database(DOING_PRUNE))?;
        }
        let number = case_number(case)?;
        tx.prepare_cached("DELETE FROM cases WHERE id = ?1")
            .and_then(|mut delete| delete.execute([number]))
            .map_err(database(DOING_PRUNE))?;
    }
    counts::more_cases(tx, -(cases.len() as i64))?;
    let left = limit - cases.len();
    let sagas = match settled_before.all {
        Some(before) => prune_sagas(tx, before, left)?,
        None => 0,
    };
    Ok((cases.len() + sagas, next))
}

/// Cases that may go, but for those with a report that nobody has answered; those first that were settled first. An
/// index of settled cases begins with them, so a call that finds none costs next to nothing. Those that are kept longer
/// are passed over, call by call, until the end; then the next call begins anew.
fn prunable(
    tx: &Transaction<'_>,
    settled_before: &SettledBefore,
    limit: usize,
    (lent, PrunePlace([settled_at, id])): (&FxHashSet<CaseId>, PrunePlace),
) -> Result<(Vec<CaseId>, PrunePlace), StoreError> {
    let mut place = PrunePlace([settled_at, id]);
    let Some(latest) = settled_before.latest() else { return Ok((Vec::new(), place)) };
    let mut statement = tx.prepare_cached(PRUNABLE).map_err(read_error)?;
    let mut rows = statement.query([latest.0, settled_at, id]).map_err(read_error)?;
    let (mut cases, mut looked, mut is_passing) = (Vec::new(), 0, true);
    while cases.len() < limit && looked < PRUNE_LOOKS {
        let Some(row) = rows.next().map_err(read_error)? else {
            return Ok((cases, PrunePlace::default()));
        };
        looked += 1;
        let (id, settled_at) = (case_id(row, 0)?, column::<i64>(row, 1)?);
        let rulebook: Option<String> = column(row, 2)?;
        let goes = settled_before.lets_go(rulebook.as_deref(), Timestamp(settled_at));
        // What is in use goes with a later call, which must find it.
        is_passing &= !(goes && lent.contains(&id));
        if is_passing {
            place = PrunePlace([settled_at, id.0.cast_signed()]);
        }
        if goes && !lent.contains(&id) {
            cases.push(id);
        }
    }
    Ok((cases, place))
}

fn prune_sagas(
    tx: &Transaction<'_>,
    deadline_before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let sql = "SELECT saga FROM sagas s WHERE state IN (?1, ?2) AND deadline < ?3
               AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.saga = s.saga) LIMIT ?4";
    let over = params![
        SagaState::Ended.code(),
        SagaState::Overdue.code(),
        deadline_before.0,
        limit as i64
    ];
    let sagas = collect(tx, sql, over, |row| column::<String>(row, 0))?;
    for saga in &sagas {
        tx.prepare_cached("DELETE FROM sagas WHERE saga = ?1")
            .and_then(|mut delete| delete.execute([saga]))
            .map_err(database(DOING_PRUNE))?;
    }
    Ok(sagas.len())
}

/// Keeps the latest supervisor time.
pub(crate) fn keep_clock(tx: &Transaction<'_>, clock: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO marks (name, value) VALUES ('clock', ?1)
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
    )
    .and_then(|mut keep| keep.execute([clock.0]))
    .map_err(database("write to the store"))?;
    Ok(())
}

/// Writes something that has to reach the disk.
pub(crate) fn touch(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO marks (name, value) VALUES ('touched', 1)
         ON CONFLICT (name) DO UPDATE SET value = value + 1",
    )
    .and_then(|mut touch| touch.execute([]))
    .map_err(database("write to the store"))?;
    Ok(())
}

/// Writes a consistent copy of the database at `from` to a new file that only its owner may read.
pub(crate) fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    let conn = open_reader(from)?;
    let made = match create_private_file(to) {
        Ok(made) => made,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(StoreError::Exists { path: to.to_owned() });
        }
        Err(error) => return Err(file("create", to)(error)),
    };
    let result = copy(&conn, to).and_then(|()| made.sync_all().map_err(file("sync", to)));
    if result.is_err() {
        // Half a copy is worse than none.
        let _ = fs::remove_file(to);
    }
    result
}

fn copy(conn: &Connection, to: &Path) -> Result<(), StoreError> {
    let Some(target) = to.to_str() else {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "the path is not unicode text");
        return Err(file("write", to)(source));
    };
    conn.execute("VACUUM INTO ?1", [target]).map_err(database("write the backup"))?;
    Ok(())
}
