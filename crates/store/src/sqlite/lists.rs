//! Lists for people: steps and the audit, newest first, page by page. Cases have a file of their own.
//!
//! A page begins where the one before it ended, by key: rows that come in meanwhile move nothing.

use super::{
    codes::Coded,
    key::{CASE_OF_STEP, STEP_OF_CASE, row_key},
    lookup::case_of_saga,
    records,
    rows::{ACT_COLUMNS, STEP_COLUMNS, act_row, collect, column, step_row},
    search::{self, Search},
};
use crate::{ListedStep, MOST_STEP_IDS, PageRequest, RowPage, StepFilter, StoreError};
use amends_engine::{ActRow, StepRow};
use amends_protocol::{CaseId, CaseState, SagaId, StepId, StepStateName};
use rusqlite::{Connection, params_from_iter, types::Value};

/// Longest part of a foreign cursor that an error message repeats.
const SHOWN_CURSOR: usize = 40;
/// States of a case with work left. Only such a case can have a step that is neither terminal nor shadow.
const UNSETTLED: [CaseState; 3] = [CaseState::Open, CaseState::Stuck, CaseState::Unmatched];

/// The list that a cursor belongs to; a cursor is this letter and the last key in base 16.
#[derive(Clone, Copy)]
pub(crate) enum List {
    Cases = b'c' as isize,
    Steps = b's' as isize,
    Acts = b'a' as isize,
}

impl List {
    const fn letter(self) -> char {
        self as u8 as char
    }

    /// The key that the page before ended with, if there was one.
    pub(crate) fn read(self, page: &PageRequest) -> Result<Option<i64>, StoreError> {
        let Some(cursor) = &page.cursor else { return Ok(None) };
        cursor
            .strip_prefix(self.letter())
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| i64::from_str_radix(digits, 16).ok())
            .map(Some)
            .ok_or_else(|| StoreError::BadCursor {
                cursor: cursor.chars().take(SHOWN_CURSOR).collect(),
            })
    }

    pub(crate) fn write(self, key: i64) -> String {
        format!("{}{key:x}", self.letter())
    }
}

/// Takes one row more than the page has as the sign that there is a next page.
fn page_of<R, T>(
    list: List,
    mut rows: Vec<R>,
    limit: usize,
    key: impl Fn(&R) -> Result<i64, StoreError>,
    gather: impl FnMut(R) -> Result<T, StoreError>,
) -> Result<RowPage<T>, StoreError> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last() {
        Some(last) if more => Some(list.write(key(last)?)),
        _ => None,
    };
    let items = rows.into_iter().map(gather).collect::<Result<_, _>>()?;
    Ok(RowPage { items, next, searched_until: None })
}

fn select<T>(
    conn: &Connection,
    from: &str,
    search: &Search,
    end: &str,
    limit: usize,
    read: fn(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let sql = format!("{from} {} {end} LIMIT ?", search.clause());
    let limit = Value::from(limit as i64);
    collect(conn, &sql, params_from_iter(search.values.iter().chain([&limit])), read)
}

/// One page of steps.
pub(crate) fn steps(
    conn: &Connection,
    filter: &StepFilter,
    page: &PageRequest,
) -> Result<RowPage<ListedStep>, StoreError> {
    let limit = page.rows();
    let rows = step_rows(conn, filter, List::Steps.read(page)?, limit + 1)?;
    page_of(
        List::Steps,
        rows,
        limit,
        |(row, _)| row_key(row.id.case, row.id.ordinal),
        |(row, saga)| records::listed_step(conn, row, saga),
    )
}

/// Ids of steps.
pub(crate) fn step_ids(
    conn: &Connection,
    filter: &StepFilter,
    limit: usize,
) -> Result<Vec<StepId>, StoreError> {
    let rows = step_rows(conn, filter, None, limit.min(MOST_STEP_IDS))?;
    Ok(rows.into_iter().map(|(row, _)| row.id).collect())
}

fn step_rows(
    conn: &Connection,
    filter: &StepFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<(StepRow, SagaId)>, StoreError> {
    let Some(case) = one_case(conn, filter)? else { return Ok(Vec::new()) };
    let mut base = search::of_steps(filter, case)?;
    if let Some(before) = before {
        base.and("s.key < ?", [before.into()]);
    }
    if case.is_some() || filter.ids.is_some() || !wants_unfinished_only(filter) {
        let from = format!(
            "SELECT {STEP_COLUMNS}, c.saga FROM steps s CROSS JOIN cases c ON c.id = {CASE_OF_STEP}"
        );
        return select(conn, &from, &base, "ORDER BY s.key DESC", limit, step_and_saga);
    }
    // INVARIANT: a settled case has no such step, so the search goes through the unsettled cases only.
    let from =
        format!("SELECT {STEP_COLUMNS}, c.saga FROM cases c CROSS JOIN steps s ON {STEP_OF_CASE}");
    let end = "ORDER BY c.id DESC, s.key DESC";
    let mut rows = Vec::new();
    for state in UNSETTLED {
        let mut search = base.clone();
        search.and("c.state = ? AND c.state <> 3", [state.code().into()]);
        if let Some(before) = before {
            search.and("c.id <= ? >> 20", [before.into()]);
        }
        rows.extend(select(conn, &from, &search, end, limit, step_and_saga)?);
    }
    rows.sort_unstable_by_key(|(row, _)| std::cmp::Reverse((row.id.case, row.id.ordinal)));
    rows.truncate(limit);
    Ok(rows)
}

/// The one case that the filter is about: `Some(None)` when about any, `None` when about none that exists.
#[allow(clippy::option_option)] // three answers: any case, this case, no case
fn one_case(conn: &Connection, filter: &StepFilter) -> Result<Option<Option<CaseId>>, StoreError> {
    let Some(saga) = &filter.saga else { return Ok(Some(filter.case)) };
    let Some(of_saga) = case_of_saga(conn, saga)? else { return Ok(None) };
    Ok(match filter.case {
        Some(case) if case != of_saga => None,
        _ => Some(Some(of_saga)),
    })
}

fn wants_unfinished_only(filter: &StepFilter) -> bool {
    let unfinished = |state: &StepStateName| match state {
        StepStateName::Waiting
        | StepStateName::Due
        | StepStateName::InFlight
        | StepStateName::Accepted
        | StepStateName::Stuck => true,
        StepStateName::Done | StepStateName::Superseded | StepStateName::Shadow => false,
    };
    filter.reason.is_some() || (!filter.state.is_empty() && filter.state.iter().all(unfinished))
}

fn step_and_saga(row: &rusqlite::Row<'_>) -> Result<(StepRow, SagaId), StoreError> {
    let step = step_row(row)?;
    let saga = column::<String>(row, 15)?;
    let saga = SagaId::new(&saga).map_err(|e| StoreError::Corrupt {
        row: format!("case `{}`", step.id.case),
        what: e.to_string(),
    })?;
    Ok((step, saga))
}

/// One page of the audit, of one case if given.
pub(crate) fn acts(
    conn: &Connection,
    case: Option<CaseId>,
    page: &PageRequest,
) -> Result<RowPage<ActRow>, StoreError> {
    let limit = page.rows();
    let mut search = Search::default();
    if let Some(case) = case {
        search.and("case_id = ?", [Value::from(case.0.cast_signed())]);
    }
    if let Some(last) = List::Acts.read(page)? {
        search.and("id < ?", [last.into()]);
    }
    let from = format!("SELECT {ACT_COLUMNS} FROM acts");
    let rows = select(conn, &from, &search, "ORDER BY id DESC", limit + 1, act_row)?;
    page_of(List::Acts, rows, limit, |(id, _)| Ok(*id), |(_, act)| Ok(act))
}
