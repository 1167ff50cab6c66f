//! What the engine asks for: the cases and sagas that a batch is about, and everything unfinished at the start.

use super::{
    codes::Coded,
    key::{case_number, case_of},
    rows::{
        CASE_COLUMNS, SAGA_COLUMNS, case_row, collect, column, read_error, rulebook_row, saga_row,
        service_row, with_rows,
    },
};
use crate::{Loaded, LookupRequest, LookupResult, RulebookRow, StoreError};
use amends_engine::{CaseRow, Epoch, SagaState};
use amends_protocol::{CaseId, CaseState, SagaId};
use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashSet;

/// Name of the mark that keeps the highest case number once its case is pruned.
pub(crate) const LAST_CASE: &str = "last_case";

/// Answers a [`LookupRequest`].
pub(crate) fn find(conn: &Connection, wanted: &LookupRequest) -> Result<LookupResult, StoreError> {
    let mut known = conn
        .prepare_cached("SELECT key FROM reports WHERE source = ?1 AND id = ?2")
        .map_err(read_error)?;
    let reports = wanted
        .reports
        .iter()
        .map(|key| {
            let found = known.query_row(params![&*key.source, &*key.id], |row| row.get(0));
            Ok(found.optional().map_err(read_error)?.map(case_of))
        })
        .collect::<Result<_, StoreError>>()?;

    let settled = CaseState::Settled.code();
    let by_saga = format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.saga = ?1 AND c.state = ?2");
    let by_id = format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.id = ?1 AND c.state = ?2");
    let mut rows: Vec<CaseRow> = Vec::new();
    for saga in &wanted.sagas {
        rows.extend(collect(conn, &by_saga, params![saga.as_str(), settled], case_row)?);
    }
    for &case in &wanted.cases {
        // A number that no case can have is simply not found.
        let Ok(number) = case_number(case) else { continue };
        rows.extend(collect(conn, &by_id, params![number, settled], case_row)?);
    }
    let mut seen: FxHashSet<CaseId> = FxHashSet::default();
    rows.retain(|row| seen.insert(row.id));
    let cases = rows.into_iter().map(|row| with_rows(conn, row)).collect::<Result<_, _>>()?;

    let one_saga = format!("SELECT {SAGA_COLUMNS} FROM sagas WHERE saga = ?1");
    let mut asked: FxHashSet<&SagaId> = FxHashSet::default();
    let mut announced = Vec::new();
    for saga in wanted.announced.iter().filter(|saga| asked.insert(saga)) {
        announced.extend(collect(conn, &one_saga, [saga.as_str()], saga_row)?);
    }
    let rulebooks = wanted
        .rulebooks
        .iter()
        .filter_map(|hash| rulebook(conn, hash).transpose())
        .collect::<Result<_, _>>()?;
    Ok(LookupResult { reports, cases, announced, rulebooks })
}

/// Reads everything unfinished. Takes as long as there is much unfinished, whatever the age of the store.
pub(crate) fn load(conn: &Connection, epoch: Epoch) -> Result<Loaded, StoreError> {
    let last_case = conn
        .query_row(
            "SELECT max(ifnull((SELECT max(id) FROM cases), 0),
                        ifnull((SELECT value FROM marks WHERE name = ?1), 0))",
            [LAST_CASE],
            |row| row.get::<_, i64>(0),
        )
        .map_err(read_error)?
        .cast_unsigned();
    let unsettled = format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.state <> 3");
    let mut rows = collect(conn, &unsettled, [], case_row)?;
    rows.sort_unstable_by_key(|row| row.id);
    let cases = rows.into_iter().map(|row| with_rows(conn, row)).collect::<Result<_, _>>()?;
    let begun = format!("SELECT {SAGA_COLUMNS} FROM sagas WHERE state = ?1 ORDER BY deadline");
    let sagas = collect(conn, &begun, [SagaState::Begun.code()], saga_row)?;
    let rulebooks = collect(
        conn,
        "SELECT hash, name, stored_at, active, from_file, sources FROM rulebooks
         WHERE active = 1 OR hash IN (SELECT rulebook_hash FROM cases WHERE state <> 3)
         ORDER BY name, stored_at",
        [],
        |row| rulebook_row(row, true),
    )?;
    let all = "SELECT service, settings FROM services ORDER BY service";
    let services = collect(conn, all, [], service_row)?;
    Ok(Loaded { epoch, last_case, cases, sagas, services, rulebooks })
}

/// One version of a rulebook.
pub(crate) fn rulebook(conn: &Connection, hash: &str) -> Result<Option<RulebookRow>, StoreError> {
    let found = collect(
        conn,
        "SELECT hash, name, stored_at, active, from_file, sources FROM rulebooks WHERE hash = ?1",
        [hash],
        |row| rulebook_row(row, true),
    )?;
    Ok(found.into_iter().next())
}

/// All versions of all rulebooks, without their sources.
pub(crate) fn rulebooks(conn: &Connection) -> Result<Vec<RulebookRow>, StoreError> {
    collect(
        conn,
        "SELECT hash, name, stored_at, active, from_file FROM rulebooks ORDER BY name, stored_at DESC, hash",
        [],
        |row| rulebook_row(row, false),
    )
}

/// What a saga announced.
pub(crate) fn saga(
    conn: &Connection,
    saga: &SagaId,
) -> Result<Option<amends_engine::SagaRow>, StoreError> {
    let sql = format!("SELECT {SAGA_COLUMNS} FROM sagas WHERE saga = ?1");
    Ok(collect(conn, &sql, [saga.as_str()], saga_row)?.into_iter().next())
}

/// The steps of a case that a person sees are read by its number: whether there is such a case.
pub(crate) fn case_by_id(conn: &Connection, id: CaseId) -> Result<Option<CaseRow>, StoreError> {
    let Ok(number) = case_number(id) else { return Ok(None) };
    let sql = format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.id = ?1");
    Ok(collect(conn, &sql, [number], case_row)?.into_iter().next())
}

/// The number of a saga's case, if it has one.
pub(crate) fn case_of_saga(conn: &Connection, saga: &SagaId) -> Result<Option<CaseId>, StoreError> {
    let sql = "SELECT id FROM cases WHERE saga = ?1";
    let found = collect(conn, sql, [saga.as_str()], |row| column::<i64>(row, 0))?;
    Ok(found.first().map(|id| CaseId(id.cast_unsigned())))
}
