//! The list of cases, by whatever filter, in bounded time.
//!
//! Candidates come from an index, in the order of their numbers: unfinished cases by state, cases by their report, or
//! all. One page looks at a bounded number of them; when it stops before the page is full, it says how far it came, and
//! its cursor goes on from there. So a filter that finds little among a million settled cases still answers at once.
//!
//! Numbers go with the time of opening, so a time is found among them by halving.

use super::{
    codes::Coded,
    key::case_number,
    lists::List,
    records,
    rows::{CASE_COLUMNS, case_row, collect, column},
    search::{self, Search, text},
};
use crate::{CaseFilter, CaseOrder, ListedCase, PageRequest, RowPage, StoreError};
use amends_engine::CaseRow;
use amends_protocol::{CaseState, Timestamp};
use rusqlite::{Connection, params_from_iter, types::Value};

/// Candidates that one page looks at: some tens of milliseconds, and more than are usually unfinished.
const CANDIDATES: usize = 20_000;
/// Different reports that are followed side by side; of more, all cases are looked at instead.
const REPORTS: usize = 64;
/// Cases whose saga begins with the text that is searched for, so that a pasted saga id is found at any age.
const BEGINNINGS: usize = 50;
/// States of a case with work left.
const UNSETTLED: [CaseState; 3] = [CaseState::Open, CaseState::Stuck, CaseState::Unmatched];

/// Numbers of cases that may still be on the page: both ends excluded.
#[derive(Clone, Copy)]
struct Range {
    above: i64,
    below: i64,
}

/// Where candidates come from: an index and what it is searched by.
struct Stream {
    index: &'static str,
    condition: Search,
}

/// One page of cases.
pub(crate) fn cases(
    conn: &Connection,
    filter: &CaseFilter,
    page: &PageRequest,
) -> Result<RowPage<ListedCase>, StoreError> {
    let limit = page.rows();
    let cursor = List::Cases.read(page)?;
    let mut rest = search::of_cases(filter);
    search::in_states(&mut rest, "c.state", &filter.state);
    if let Some((beginning, after)) = beginnings(conn, filter, limit)? {
        if cursor.is_none() {
            let mut both = search::of_cases(&CaseFilter { text: None, ..filter.clone() });
            search::in_states(&mut both, "c.state", &filter.state);
            both.and("c.saga >= ? AND c.saga < ?", [text(&beginning), text(&after)]);
            let whole = Range { above: i64::MIN, below: i64::MAX };
            let rows = rows(conn, &[Stream::all()], &both, whole, filter.order, limit)?;
            let from_the_top = Some(List::Cases.write(start(filter.order)));
            return page_of(conn, rows, from_the_top, None);
        }
        rest.and("NOT (c.saga >= ? AND c.saga < ?)", [text(&beginning), text(&after)]);
    }
    let streams = streams(conn, filter)?;
    let mut range = range(conn, filter, cursor)?;
    // What is named has few candidates by itself, however many newer cases there are.
    let is_named = filter.saga.is_some() || filter.among.is_some();
    let stop = if is_named { None } else { stop(conn, &streams, filter.order, range)? };
    match (stop, filter.order) {
        (None, _) => {}
        (Some(id), CaseOrder::Newest) => range.above = id,
        (Some(id), CaseOrder::Oldest) => range.below = id,
    }
    let mut rows = rows(conn, &streams, &rest, range, filter.order, limit + 1)?;
    if rows.len() > limit {
        rows.truncate(limit);
        let next = rows.last().map(|row| case_number(row.id)).transpose()?;
        return page_of(conn, rows, next.map(|id| List::Cases.write(id)), None);
    }
    // The candidate at which it stopped was not looked at.
    let next = stop.map(|id| match filter.order {
        CaseOrder::Newest => List::Cases.write(id + 1),
        CaseOrder::Oldest => List::Cases.write(id - 1),
    });
    let until = stop.map(|id| opened_at(conn, id)).transpose()?.flatten();
    page_of(conn, rows, next, until)
}

fn page_of(
    conn: &Connection,
    rows: Vec<CaseRow>,
    next: Option<String>,
    searched_until: Option<Timestamp>,
) -> Result<RowPage<ListedCase>, StoreError> {
    let items =
        rows.into_iter().map(|row| records::listed_case(conn, row)).collect::<Result<_, _>>()?;
    Ok(RowPage { items, next, searched_until })
}

const fn start(order: CaseOrder) -> i64 {
    match order {
        CaseOrder::Newest => i64::MAX,
        CaseOrder::Oldest => 0,
    }
}

/// The text that sagas begin with and the first text after all of these, if few enough do.
fn beginnings(
    conn: &Connection,
    filter: &CaseFilter,
    limit: usize,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(wanted) = filter.text.as_deref().filter(|t| t.is_ascii() && filter.saga.is_none())
    else {
        return Ok(None);
    };
    // Saga ids are printable ASCII: DEL comes after all of them.
    let after = format!("{wanted}\u{7f}");
    let most = BEGINNINGS.min(limit);
    let sql = "SELECT 1 FROM cases WHERE saga >= ?1 AND saga < ?2 LIMIT ?3";
    let found = collect(conn, sql, (wanted, &after, most as i64 + 1), |_| Ok(()))?.len();
    Ok((1..=most).contains(&found).then(|| (wanted.to_owned(), after)))
}

impl Stream {
    fn all() -> Self {
        Self { index: "", condition: Search::default() }
    }

    fn one(index: &'static str, condition: &str, value: Value) -> Self {
        let mut search = Search::default();
        search.and(condition, [value]);
        Self { index, condition: search }
    }
}

fn streams(conn: &Connection, filter: &CaseFilter) -> Result<Vec<Stream>, StoreError> {
    // One of these is narrower than any index of ours.
    if filter.saga.is_some() || filter.among.is_some() {
        return Ok(vec![Stream::all()]);
    }
    if !filter.state.is_empty() && !filter.state.contains(&CaseState::Settled) {
        let of_state = |state: &CaseState| {
            let index = "INDEXED BY cases_unsettled";
            Stream::one(index, "c.state = ? AND c.state <> 3", state.code().into())
        };
        let wanted = UNSETTLED.iter().filter(|state| filter.state.contains(state));
        return Ok(wanted.map(of_state).collect());
    }
    let Some(report) = &filter.report else { return Ok(vec![Stream::all()]) };
    let reports = match report.strip_suffix('*') {
        Some(prefix) => reports_with(conn, prefix)?,
        None => Some(vec![report.clone()]),
    };
    let of_report = |report: String| {
        Stream::one("INDEXED BY cases_by_report", "c.report = ?", Value::from(report))
    };
    Ok(match reports {
        Some(reports) => reports.into_iter().map(of_report).collect(),
        None => vec![Stream::all()],
    })
}

/// The different reports that begin so, found by one look at the index for each; none if they are too many.
fn reports_with(conn: &Connection, prefix: &str) -> Result<Option<Vec<String>>, StoreError> {
    let first = "SELECT report FROM cases INDEXED BY cases_by_report WHERE report >= ?1 ORDER BY report LIMIT 1";
    let next = "SELECT report FROM cases INDEXED BY cases_by_report WHERE report > ?1 ORDER BY report LIMIT 1";
    let mut reports: Vec<String> = Vec::new();
    while reports.len() <= REPORTS {
        let found = match reports.last() {
            None => collect(conn, first, [prefix], |row| column(row, 0))?,
            Some(last) => collect(conn, next, [last], |row| column(row, 0))?,
        };
        match found.into_iter().next().filter(|report: &String| report.starts_with(prefix)) {
            Some(report) => reports.push(report),
            None => return Ok(Some(reports)),
        }
    }
    Ok(None)
}

/// What cursor and times leave.
fn range(conn: &Connection, filter: &CaseFilter, cursor: Option<i64>) -> Result<Range, StoreError> {
    let mut range = Range { above: -1, below: i64::MAX };
    match (cursor, filter.order) {
        (None, _) => {}
        (Some(id), CaseOrder::Newest) => range.below = id,
        (Some(id), CaseOrder::Oldest) => range.above = id,
    }
    if let Some(after) = filter.opened_after {
        range.above = range.above.max(first_opened(conn, after)? - 1);
    }
    if let Some(before) = filter.opened_before {
        range.below = range.below.min(first_opened(conn, before)?);
    }
    Ok(range)
}

/// The first number from which on cases were opened at a moment or later.
fn first_opened(conn: &Connection, at: Timestamp) -> Result<i64, StoreError> {
    // Each end by itself is one look at the key; both in one query would be a walk through the whole table.
    let sql =
        "SELECT ifnull((SELECT min(id) FROM cases), 0), ifnull((SELECT max(id) FROM cases), 0)";
    let ends = collect(conn, sql, [], |row| Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?)))?;
    let (mut low, mut high) = ends.first().map_or((0, 0), |(min, max)| (*min, max + 1));
    let probe = "SELECT id, opened_at FROM cases WHERE id >= ?1 ORDER BY id LIMIT 1";
    while low < high {
        let middle = low + (high - low) / 2;
        let found = collect(conn, probe, [middle], |row| {
            Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?))
        })?;
        match found.first() {
            Some((id, opened)) if *opened < at.0 => low = id + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The candidate at which this page has to stop, if there are that many.
fn stop(
    conn: &Connection,
    streams: &[Stream],
    order: CaseOrder,
    range: Range,
) -> Result<Option<i64>, StoreError> {
    let each = CANDIDATES / streams.len().max(1);
    let mut stops = Vec::new();
    for stream in streams {
        let mut search = stream.condition.clone();
        in_range(&mut search, range);
        let Stream { index, .. } = stream;
        let (clause, direction) = (search.clause(), order.sql());
        let sql = format!(
            "SELECT c.id FROM cases c {index} {clause} ORDER BY c.id {direction} LIMIT 1 OFFSET ?"
        );
        let values = search.values.into_iter().chain([Value::from(each as i64)]);
        stops.extend(collect(conn, &sql, params_from_iter(values), |row| column::<i64>(row, 0))?);
    }
    // The nearest: every stream is looked at down to the same number.
    Ok(match order {
        CaseOrder::Newest => stops.into_iter().max(),
        CaseOrder::Oldest => stops.into_iter().min(),
    })
}

fn rows(
    conn: &Connection,
    streams: &[Stream],
    rest: &Search,
    range: Range,
    order: CaseOrder,
    limit: usize,
) -> Result<Vec<CaseRow>, StoreError> {
    let mut rows = Vec::new();
    for stream in streams {
        let mut search = stream.condition.clone();
        in_range(&mut search, range);
        search.all_of(rest);
        let (index, clause, direction) = (stream.index, search.clause(), order.sql());
        let sql = format!(
            "SELECT {CASE_COLUMNS} FROM cases c {index} {clause} ORDER BY c.id {direction} LIMIT ?"
        );
        let values = search.values.into_iter().chain([Value::from(limit as i64)]);
        rows.extend(collect(conn, &sql, params_from_iter(values), case_row)?);
    }
    rows.sort_unstable_by_key(|row| match order {
        CaseOrder::Newest => i64::MAX - row.id.0.cast_signed(),
        CaseOrder::Oldest => row.id.0.cast_signed(),
    });
    rows.truncate(limit);
    Ok(rows)
}

fn in_range(search: &mut Search, range: Range) {
    if range.above >= 0 {
        search.and("c.id > ?", [range.above.into()]);
    }
    if range.below < i64::MAX {
        search.and("c.id < ?", [range.below.into()]);
    }
}

fn opened_at(conn: &Connection, id: i64) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT opened_at FROM cases WHERE id = ?1";
    Ok(collect(conn, sql, [id], |row| column(row, 0).map(Timestamp))?.into_iter().next())
}
