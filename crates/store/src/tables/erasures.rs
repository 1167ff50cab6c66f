//! Business data that went: the records of it, the rows of a case that no other write holds, and the sagas that hold a
//! value.

use super::{
    Columns, Tables, Value,
    act_rows::{NO_DETAIL, NO_REASON},
    codes::Coded,
    collect,
    cursor::List,
    key::{LAST_POSITION, POSITION_BITS, case_number, key_range},
    one as one_row,
    rows::{REPORT_COLUMNS, column, corrupt, json, moment, report_row, saga_id, text},
    written::doing,
};
use crate::{
    FieldValue, Holding, HoldingPage, HoldingPlace, ListedErasure, PageRequest, RowPage, StoreError,
};
use amends_api::CaseState;
use amends_api::audit::ActDigest;
use amends_engine::{
    Actor, ErasedField, ErasedRow, ErasureRow, Gone, ReportRow, SecretValues, audit_texts_that_go,
    bare_report, is_in_store_alone,
};
use amends_protocol::{CaseId, Timestamp};
use rusqlite::types::FromSql;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

const DOING: &str = "erase business data";

/// Most rows of cases, or of announced sagas, that one look for a value goes through: some tens of milliseconds.
const LOOKED_AT: i64 = 2_000;

/// What is kept of an erasure besides its number and time.
#[derive(Serialize, Deserialize)]
struct ErasureState {
    by: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<Arc<str>>,
    reason: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<ErasedField>,
    #[serde(default)]
    sagas: u64,
}

/// Keeps an erasure.
pub(crate) fn put(conn: &dyn Tables, row: &ErasureRow) -> Result<(), StoreError> {
    let Actor { name, principal, address } = row.actor.clone();
    let (reason, field) = (Arc::clone(&row.reason), row.field.clone());
    let sagas = row.sagas;
    let state = ErasureState { by: name, principal, address, reason, field, sagas };
    let state = to_json(&state, || format!("erasure {}", row.number))?;
    let sql = "INSERT INTO erasures (number, at, state) VALUES (?1, ?2, ?3)
               ON CONFLICT (number) DO UPDATE SET at = excluded.at, state = excluded.state";
    conn.execute(sql, &[row.number.cast_signed().into(), row.at.0.into(), text(&state)])
        .map(drop)
        .map_err(doing(DOING))
}

/// Keeps what became of a saga. Where its data went, so does what only the store holds of its case.
pub(crate) fn put_erased(conn: &dyn Tables, row: &ErasedRow) -> Result<(), StoreError> {
    let gone = to_json(&row.gone, || format!("erasure of saga `{}`", row.saga))?;
    let case = row.case.map(case_number).transpose()?;
    let done_at = row.done_at.map(|at| at.0);
    let sql = "INSERT INTO erased (erasure, saga, case_id, done_at, gone) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (erasure, saga) DO UPDATE SET case_id = excluded.case_id, done_at = excluded.done_at,
                 gone = excluded.gone";
    let (erasure, saga) = (row.erasure.cast_signed(), text(row.saga.as_str()));
    conn.execute(sql, &[erasure.into(), saga, case.into(), done_at.into(), text(&gone)])
        .map_err(doing(DOING))?;
    if row.done_at.is_none() {
        return Ok(());
    }
    conn.note_erased()?;
    let Some(case) = row.case else { return Ok(()) };
    let (first, last) = key_range(case);
    let sql = "UPDATE attempts SET message = NULL WHERE step BETWEEN ?1 AND ?2";
    conn.execute(sql, &[first.into(), last.into()]).map_err(doing(DOING))?;
    reports(conn, case)?;
    audit(conn, case, &row.values)
}

/// Reports that the engine does not keep in mind.
fn reports(conn: &dyn Tables, case: CaseId) -> Result<(), StoreError> {
    let all = format!("SELECT {REPORT_COLUMNS} FROM reports WHERE key BETWEEN ?1 AND ?2");
    let read = |row: &dyn Columns| Ok((column::<i64>(row, 0)?, report_row(row)?));
    let (first, last) = key_range(case);
    let rows: Vec<(i64, ReportRow)> = collect(conn, &all, &[first.into(), last.into()], read)?;
    for (key, mut row) in rows.into_iter().filter(|(_, row)| is_in_store_alone(row)) {
        if bare_report(&mut row).is_nothing() {
            continue;
        }
        let body = to_json(&*row.report, || format!("report {} of case `{case}`", row.position))?;
        conn.execute("UPDATE reports SET body = ?2 WHERE key = ?1", &[key.into(), text(&body)])
            .map_err(doing(DOING))?;
    }
    Ok(())
}

/// Texts of the audit. Their digests take their place, so the chain holds.
fn audit(conn: &dyn Tables, case: CaseId, values: &SecretValues) -> Result<(), StoreError> {
    let all = "SELECT id, act, reason, detail FROM acts WHERE case_id = ?1";
    let read = |row: &dyn Columns| {
        let texts: [String; 3] = [column(row, 1)?, column(row, 2)?, column(row, 3)?];
        Ok((column::<i64>(row, 0)?, texts))
    };
    for (id, [act, reason, detail]) in collect(conn, all, &[case_number(case)?.into()], read)? {
        let (reason_goes, detail_goes) = audit_texts_that_go(&act, &reason, values);
        if reason_goes && reason != NO_REASON {
            let sql = "UPDATE acts SET reason = ?2, reason_digest = ?3 WHERE id = ?1";
            erase_text(conn, sql, id, (&reason, NO_REASON))?;
        }
        if detail_goes && detail != NO_DETAIL {
            let sql = "UPDATE acts SET detail = ?2, detail_digest = ?3 WHERE id = ?1";
            erase_text(conn, sql, id, (&detail, NO_DETAIL))?;
        }
    }
    Ok(())
}

fn erase_text(
    conn: &dyn Tables,
    sql: &str,
    id: i64,
    (was, gone): (&str, &str),
) -> Result<(), StoreError> {
    let digest = Value::from(ActDigest::of(was).bytes().to_vec());
    conn.execute(sql, &[id.into(), text(gone), digest]).map(drop).map_err(doing(DOING))
}

fn to_json<T: Serialize>(value: &T, row: impl FnOnce() -> String) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unstorable {
        row: row(),
        case: None,
        what: e.to_string(),
    })
}

/// The highest number of an erasure.
pub(crate) fn last(conn: &dyn Tables) -> Result<u64, StoreError> {
    let sql = "SELECT coalesce(max(number), 0) FROM erasures";
    let last = one_row(conn, sql, &[], |row| column::<i64>(row, 0))?;
    Ok(last.unwrap_or_default().cast_unsigned())
}

fn erasure_row(row: &dyn Columns) -> Result<ErasureRow, StoreError> {
    let number = column::<i64>(row, 0)?.cast_unsigned();
    let state: ErasureState = json(row, 2, &|| format!("erasure {number}"))?;
    let ErasureState { by, principal, address, reason, field, sagas } = state;
    let actor = Actor { name: by, principal, address };
    Ok(ErasureRow { number, at: moment(row, 1)?, actor, reason, field, sagas })
}

fn erased_row(row: &dyn Columns) -> Result<ErasedRow, StoreError> {
    let name = || "the record of an erased saga".to_owned();
    let done_at = column::<Option<i64>>(row, 3)?.map(Timestamp);
    Ok(ErasedRow {
        erasure: column::<i64>(row, 0)?.cast_unsigned(),
        saga: saga_id(row, 1, &name)?,
        case: column::<Option<i64>>(row, 2)?.map(|id| CaseId(id.cast_unsigned())),
        done_at,
        gone: json::<Gone>(row, 4, &name)?,
        values: SecretValues::default(),
    })
}

/// One page of erasures, the newest first.
pub(crate) fn list(
    conn: &dyn Tables,
    page: &PageRequest,
) -> Result<RowPage<ListedErasure>, StoreError> {
    let before = List::Erasures.read(page)?.map_or(i64::MAX, |[last]| last);
    let sql = "SELECT number, at, state,
                 (SELECT count(*) FROM erased d WHERE d.erasure = e.number),
                 (SELECT count(*) FROM erased d WHERE d.erasure = e.number AND d.done_at IS NULL)
               FROM erasures e WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
    let limit = page.rows();
    let mut items = collect(conn, sql, &[before.into(), (limit as i64 + 1).into()], |row| {
        let count = |index| Ok::<_, StoreError>(column::<i64>(row, index)?.cast_unsigned());
        Ok(ListedErasure { row: erasure_row(row)?, sagas: count(3)?, waiting: count(4)? })
    })?;
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more).map(|last| last.row.number.cast_signed());
    Ok(RowPage { items, next: last.map(|last| List::Erasures.write([last])), searched_until: None })
}

/// One erasure with its sagas.
pub(crate) fn one(
    conn: &dyn Tables,
    number: u64,
) -> Result<Option<(ErasureRow, Vec<ErasedRow>)>, StoreError> {
    let key = [number.cast_signed().into()];
    let sql = "SELECT number, at, state FROM erasures WHERE number = ?1";
    let Some(row) = one_row(conn, sql, &key, erasure_row)? else { return Ok(None) };
    let sql =
        "SELECT erasure, saga, case_id, done_at, gone FROM erased WHERE erasure = ?1 ORDER BY saga";
    Ok(Some((row, collect(conn, sql, &key, erased_row)?)))
}

/// Sagas whose reports, evidence, steps or announcement hold a value in one of these fields; looks at some rows.
pub(crate) fn holding(
    conn: &dyn Tables,
    field: &FieldValue,
    after: HoldingPlace,
) -> Result<HoldingPage, StoreError> {
    match after {
        HoldingPlace::Case(after) => of_cases(conn, field, after),
        HoldingPlace::Announced(after) => of_announced(conn, field, &after),
    }
}

fn of_cases(conn: &dyn Tables, field: &FieldValue, after: u64) -> Result<HoldingPage, StoreError> {
    let after = after.cast_signed();
    let Some(last) = last_of::<i64>(
        conn,
        "SELECT max(id) FROM (SELECT id FROM cases WHERE id > ?1 ORDER BY id LIMIT ?2) AS page",
        after.into(),
    )?
    else {
        let next = Some(HoldingPlace::Announced(String::new()));
        return Ok(HoldingPage { found: Vec::new(), next });
    };
    let keys = [(after + 1) << POSITION_BITS, (last << POSITION_BITS) | i64::from(LAST_POSITION)];
    let mut cases = BTreeSet::new();
    let place_in = conn.dialect().place_in;
    for (table, case, key, json, [first, last]) in [
        ("cases", "id", "id", "memo", [after + 1, last]),
        ("reports", "key >> 20", "key", "body", keys),
        ("steps", "key >> 20", "key", "memo", keys),
    ] {
        let sql = format!(
            "SELECT {case}, {json} FROM {table} WHERE {key} BETWEEN ?1 AND ?2 AND {place_in}({json}, ?3) > 0"
        );
        let read = |row: &dyn Columns| Ok((column::<i64>(row, 0)?, column::<String>(row, 1)?));
        let values = [first.into(), last.into(), text(&field.as_stored())];
        let rows = collect(conn, &sql, &values, read)?;
        let held = rows.into_iter().filter(|(_, json)| field.is_in(json));
        cases.extend(held.map(|(case, _)| case));
    }
    let mut found = Vec::with_capacity(cases.len());
    for case in cases {
        let name = || format!("case `c-{case}`");
        let sql = "SELECT saga, state FROM cases WHERE id = ?1";
        found.extend(collect(conn, sql, &[case.into()], |row| {
            let state = CaseState::from_code(column(row, 1)?)
                .ok_or_else(|| corrupt(name(), "its state is none"))?;
            let saga = saga_id(row, 0, &name)?;
            Ok(Holding { saga, case: Some((CaseId(case.cast_unsigned()), state)) })
        })?);
    }
    Ok(HoldingPage { found, next: Some(HoldingPlace::Case(last.cast_unsigned())) })
}

fn of_announced(
    conn: &dyn Tables,
    field: &FieldValue,
    after: &str,
) -> Result<HoldingPage, StoreError> {
    let Some(last) = last_of::<String>(
        conn,
        "SELECT max(saga) FROM (SELECT saga FROM sagas WHERE saga > ?1 ORDER BY saga LIMIT ?2) AS page",
        text(after),
    )?
    else {
        return Ok(HoldingPage { found: Vec::new(), next: None });
    };
    // Those with a case are found by it.
    let place_in = conn.dialect().place_in;
    let sql = format!(
        "SELECT a.saga, a.data FROM sagas a WHERE a.saga > ?1 AND a.saga <= ?2 AND {place_in}(a.data, ?3) > 0
         AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.saga = a.saga) ORDER BY a.saga"
    );
    let name = || "an announced saga".to_owned();
    let read = |row: &dyn Columns| Ok((saga_id(row, 0, &name)?, column::<String>(row, 1)?));
    let rows = collect(conn, &sql, &[text(after), text(&last), text(&field.as_stored())], read)?;
    let held = rows.into_iter().filter(|(_, json)| field.is_in(json));
    let found = held.map(|(saga, _)| Holding { saga, case: None }).collect();
    Ok(HoldingPage { found, next: Some(HoldingPlace::Announced(last)) })
}

fn last_of<T: FromSql>(
    conn: &dyn Tables,
    sql: &str,
    after: Value,
) -> Result<Option<T>, StoreError> {
    let last = one_row(conn, sql, &[after, LOOKED_AT.into()], |row| column::<Option<T>>(row, 0))?;
    Ok(last.flatten())
}
