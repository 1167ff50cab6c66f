//! Moves a store from a folder into PostgreSQL: row by row, as the rows are, so that ids, keys, proofs of callbacks and
//! digests stay what they are. It may end at any moment and goes on when it is begun again; what is not whole is never
//! taken for a store.
//!
//! Two marks see to that. In the folder lies a file from before the first row goes until a person removes it: no
//! supervisor starts there. In the database stands a number until the last row has been compared: nobody takes it for a
//! store. Both hold the number of the move, so that it goes on only with the rows that it began with.

mod source;
mod tables;
mod target;
#[cfg(test)]
mod tests;

use crate::sqlite::moved::{self, MovedMark};
use crate::{PostgresOptions, StoreError};
use source::Source;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tables::{Cell, Row, TABLES, Table};
use target::{Found, Target};

/// Rows that go at a time: some megabytes at most, but for the largest cases, and a tenth of a second.
const AT_A_TIME: usize = 1_000;
/// Bytes of a group of rows, past which it goes at once.
const BYTES_AT_A_TIME: usize = 4 << 20;

/// How far a move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The table that is under way.
    pub table: &'static str,
    /// Rows of all tables that are there.
    pub rows: u64,
    /// Rows of all tables.
    pub of: u64,
    /// All are there, and are being compared.
    pub comparing: bool,
}

/// A move that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreMoved {
    /// The tables, with what was compared.
    pub tables: Vec<TableMoved>,
    /// It had come to its end before, and nothing was done now.
    pub was_done: bool,
    /// It went on from where an earlier one had ended.
    pub went_on: bool,
}

/// A table that is equal on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMoved {
    /// Its name.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 over all of them in the order of their keys, in hexadecimal digits.
    pub digest: String,
}

/// Moves the store of a folder into an empty database, and tells how far it is after each group of rows. Blocks until
/// that is done; not to be called within a runtime.
///
/// The folder's file is not changed. From the first row on, a mark beside it keeps supervisors from starting there.
///
/// # Errors
/// [`StoreError::Locked`] when a supervisor uses the folder; [`StoreError::OlderSchema`] or
/// [`NewerSchema`](StoreError::NewerSchema) when another version wrote it; [`StoreError::Unusable`] when the database
/// holds a store already, or can't hold one. After any error, and after a crash, the same call goes on.
pub fn move_store(
    dir: &Path,
    to: &PostgresOptions,
    mut tell: impl FnMut(Moving),
) -> Result<StoreMoved, StoreError> {
    let source = Source::open(dir)?;
    let target = Target::open(to)?;
    let mark = moved::read(dir)?;
    let number = mark.as_ref().map_or_else(new_number, |mark| mark.number);
    let went_on = match target.found()? {
        Found::Store => return Err(target.has_a_store()),
        Found::Moved(of) if mark.is_some() && of == number => {
            return Ok(StoreMoved { tables: Vec::new(), was_done: true, went_on: false });
        }
        Found::Moved(_) => return Err(target.has_a_store()),
        Found::Moving(of) if of == number => true,
        Found::Moving(_) | Found::Empty => false,
    };
    if mark.is_none() {
        moved::write(dir, &MovedMark { number, to: target.place.clone() })?;
    }
    if !went_on {
        target.begin(number)?;
    }
    copy(&source, &target, &mut tell)?;
    let tables = compare(&source, &target, &mut tell)?;
    target.finish(source.last_rejected()?)?;
    Ok(StoreMoved { tables, was_done: false, went_on })
}

/// Another one each time: microseconds.
fn new_number() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX).max(1)
}

/// Adds what is missing.
fn copy(source: &Source, target: &Target, tell: &mut impl FnMut(Moving)) -> Result<(), StoreError> {
    let of = source.rows_in_all()?;
    let mut rows_there = 0;
    for table in &TABLES {
        let mut after = target.last(table)?;
        rows_there += match &after {
            Some(last) => source.rows_until(table, last)?,
            None => 0,
        };
        loop {
            let rows = source.rows(table, after.as_deref(), AT_A_TIME)?;
            let Some(last) = rows.last() else { break };
            after = Some(last.clone());
            for group in in_groups(&rows) {
                target.add(table, group)?;
                rows_there += group.len() as u64;
                tell(Moving { table: table.name, rows: rows_there, of, comparing: false });
            }
        }
    }
    Ok(())
}

/// Rows in groups that are not too large.
fn in_groups(mut rows: &[Row]) -> Vec<&[Row]> {
    let mut groups = Vec::new();
    while !rows.is_empty() {
        let mut bytes = 0;
        let fits = |row: &&Row| {
            bytes += bytes_of(row);
            bytes < BYTES_AT_A_TIME
        };
        let count = rows.iter().take_while(fits).count().max(1);
        let (group, rest) = rows.split_at(count);
        groups.push(group);
        rows = rest;
    }
    groups
}

fn bytes_of(row: &[Cell]) -> usize {
    let of = |cell: &Cell| match cell {
        Cell::Nothing | Cell::Number(_) => 8,
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
    };
    row.iter().map(of).sum()
}

/// Looks at every row on both sides.
fn compare(
    source: &Source,
    target: &Target,
    tell: &mut impl FnMut(Moving),
) -> Result<Vec<TableMoved>, StoreError> {
    let of = source.rows_in_all()?;
    let (mut equal, mut rows) = (Vec::new(), 0);
    for table in &TABLES {
        let (was, is) = (source.digest(table)?, target.digest(table)?);
        if was != is {
            target.spoil()?;
            return Err(differs(target, table, was.rows, is.rows));
        }
        rows += was.rows;
        tell(Moving { table: table.name, rows, of, comparing: true });
        let digest = was.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        equal.push(TableMoved { name: table.name, rows: was.rows, digest });
    }
    Ok(equal)
}

fn differs(target: &Target, table: &Table, was: u64, is: u64) -> StoreError {
    StoreError::Unusable {
        database: target.place.clone(),
        why: format!(
            "`{}` has {was} rows in the folder, and {is} there that are not the same; begin again, and all rows are copied anew",
            table.name
        ),
    }
}
