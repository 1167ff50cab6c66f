//! The list of cases, by whatever filter, in bounded time.
//!
//! Candidates come from an index, in the order of the list, which is that of opening: unfinished cases by state,
//! cases by their report, or all. One page looks at a bounded number of them; when it stops before the page is full,
//! it says how far it came, and its cursor goes on from there. So a filter that finds little among a million settled
//! cases still answers at once.

use super::{
    Tables, Value,
    codes::Coded,
    collect,
    cursor::List,
    gathered::listed_cases,
    key::case_number,
    members::Members,
    order::{CaseKey, Span},
    rows::{CASE_COLUMNS, case_row, collect_up_to, column, text},
    search::{self, Search},
};
use crate::{CaseFilter, CaseOrder, ListedCase, PageRequest, RowPage, StoreError};
use amends_api::CaseState;
use amends_engine::CaseRow;
use amends_protocol::{CaseId, Timestamp};

/// Candidates that one page looks at, of which each row is enough: some tens of milliseconds.
pub(crate) const CANDIDATES: usize = 20_000;
/// How many rows a look at the steps of a case, or into its JSON, costs as much time as.
pub(crate) const STEPS_COST: usize = 3;
pub(crate) const JSON_COST: usize = 2;
/// Different reports that are followed side by side; of more, all cases are looked at instead.
const REPORTS: usize = 64;
/// Cases whose saga begins with the text that is searched for, so that a pasted saga id is found at any age.
const BEGINNINGS: usize = 50;
/// States of a case with work left. Only such a case can have a step that is neither terminal nor shadow.
pub(crate) const UNSETTLED: [CaseState; 3] =
    [CaseState::Open, CaseState::Stuck, CaseState::Unmatched];

/// Where candidates come from: an index and what it is searched by.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) index: &'static str,
    pub(crate) condition: Search,
}

/// One page of cases.
pub(crate) fn cases(
    conn: &dyn Tables,
    filter: &CaseFilter,
    page: &PageRequest,
) -> Result<RowPage<ListedCase>, StoreError> {
    let (limit, order) = (page.rows(), filter.order);
    let cursor = List::Cases.read(page)?.map(|[opened_at, id]| CaseKey { opened_at, id });
    let mut rest = search::of_cases(conn.dialect(), filter);
    search::in_states(&mut rest, "c.state", &filter.state);
    let mut span = Span::of_times(filter.opened_after, filter.opened_before);
    if let Some((beginning, after)) = beginnings(conn, filter, limit)? {
        let of_beginning = Stream::beginning(&beginning, &after);
        if cursor.is_none() {
            let mut rest =
                search::of_cases(conn.dialect(), &CaseFilter { text: None, ..filter.clone() });
            search::in_states(&mut rest, "c.state", &filter.state);
            let rows = rows(conn, &[of_beginning], &rest, span, order, limit)?;
            let from_the_top = Some(List::Cases.write(CaseKey::start(order).parts()));
            return page_of(conn, rows, from_the_top, None);
        }
        rest.and("NOT (c.saga >= ? AND c.saga < ?)", [text(&beginning), text(&after)]);
    }
    span.after(cursor, order);
    let (mut rows, stop) = match &filter.members {
        Some(members) => of_members(conn, filter, members, &rest, span, limit + 1)?,
        None => {
            let streams = streams(conn, filter)?;
            // What is named has few candidates by itself, however many newer cases there are.
            let is_named = filter.saga.is_some() || filter.among.is_some();
            let most = candidates(filter);
            let stop = if is_named { None } else { stop(conn, &streams, order, span, most)? };
            span.until(stop, order);
            (rows(conn, &streams, &rest, span, order, limit + 1)?, stop)
        }
    };
    if rows.len() > limit {
        rows.truncate(limit);
        let next = rows.last().map(CaseKey::of).transpose()?;
        return page_of(conn, rows, next.map(|key| List::Cases.write(key.parts())), None);
    }
    // The candidate at which it stopped was not looked at.
    let next = stop.map(|key| List::Cases.write(key.just_before(order).parts()));
    page_of(conn, rows, next, stop.map(|key| Timestamp(key.opened_at)))
}

fn page_of(
    conn: &dyn Tables,
    rows: Vec<CaseRow>,
    next: Option<String>,
    searched_until: Option<Timestamp>,
) -> Result<RowPage<ListedCase>, StoreError> {
    let items = listed_cases(conn, rows)?;
    Ok(RowPage { items, next, searched_until })
}

/// How many candidates a page of this filter looks at.
fn candidates(filter: &CaseFilter) -> usize {
    let looks_at_steps = filter.service.is_some() || filter.action.is_some();
    let looks_into_json = filter.customer.is_some()
        || filter.currency.is_some()
        || filter.amount_min.is_some()
        || filter.amount_max.is_some();
    let cost =
        1 + STEPS_COST * usize::from(looks_at_steps) + JSON_COST * usize::from(looks_into_json);
    CANDIDATES / cost
}

/// What fits among cases that are named, from the beginning of the span on; and where it stopped, if it did.
fn of_members(
    conn: &dyn Tables,
    filter: &CaseFilter,
    members: &[(Timestamp, CaseId)],
    rest: &Search,
    span: Span,
    wanted: usize,
) -> Result<(Vec<CaseRow>, Option<CaseKey>), StoreError> {
    let keys = members
        .iter()
        .filter_map(|(at, id)| Some((CaseKey { opened_at: at.0, id: case_number(*id).ok()? }, ())));
    let mut members = Members::of(keys, span, filter.order, candidates(filter));
    let mut found = Vec::new();
    while found.len() < wanted
        && let Some(some) = members.next(wanted)
    {
        let mut narrowed = rest.clone();
        narrowed.and_among(conn.dialect(), "c.id", some.iter().map(|(key, ())| key.id));
        let left = wanted - found.len();
        found.extend(rows(conn, &[Stream::named()], &narrowed, span, filter.order, left)?);
    }
    Ok((found, members.stop()))
}

/// The text that sagas begin with and the first text after all of these, if few enough do.
fn beginnings(
    conn: &dyn Tables,
    filter: &CaseFilter,
    limit: usize,
) -> Result<Option<(String, String)>, StoreError> {
    let is_named = filter.saga.is_some() || filter.members.is_some();
    let Some(wanted) = filter.text.as_deref().filter(|t| t.is_ascii() && !is_named) else {
        return Ok(None);
    };
    // Saga ids are printable ASCII: DEL comes after all of them.
    let after = format!("{wanted}\u{7f}");
    let most = BEGINNINGS.min(limit);
    let sql = "SELECT 1 FROM cases WHERE saga >= ?1 AND saga < ?2 LIMIT ?3";
    let values = [text(wanted), text(&after), (most as i64 + 1).into()];
    let found = collect(conn, sql, &values, |_| Ok(()))?.len();
    Ok((1..=most).contains(&found).then(|| (wanted.to_owned(), after)))
}

impl Stream {
    /// All cases.
    pub(crate) fn all() -> Self {
        Self { index: "INDEXED BY cases_by_time", condition: Search::default() }
    }

    /// Cases that the rest of the search names one by one: no index is narrower.
    pub(crate) fn named() -> Self {
        Self { index: "NOT INDEXED", condition: Search::default() }
    }

    /// Cases in a state with work left.
    pub(crate) fn unsettled(state: CaseState) -> Self {
        let index = "INDEXED BY cases_unsettled";
        Self::one(index, "c.state = ? AND c.state <> 3", [state.code().into()])
    }

    fn of_report(report: String) -> Self {
        Self::one("INDEXED BY cases_by_report", "c.report = ?", [report.into()])
    }

    fn of_saga(saga: &str) -> Self {
        Self::one("INDEXED BY sqlite_autoindex_cases_1", "c.saga = ?", [text(saga)])
    }

    fn beginning(beginning: &str, after: &str) -> Self {
        let index = "INDEXED BY sqlite_autoindex_cases_1";
        Self::one(index, "c.saga >= ? AND c.saga < ?", [text(beginning), text(after)])
    }

    fn one<const N: usize>(index: &'static str, condition: &str, values: [Value; N]) -> Self {
        let mut search = Search::default();
        search.and(condition, values);
        Self { index, condition: search }
    }
}

fn streams(conn: &dyn Tables, filter: &CaseFilter) -> Result<Vec<Stream>, StoreError> {
    if let Some(saga) = &filter.saga {
        return Ok(vec![Stream::of_saga(saga.as_str())]);
    }
    if filter.among.is_some() {
        return Ok(vec![Stream::named()]);
    }
    if !filter.state.is_empty() && !filter.state.contains(&CaseState::Settled) {
        let wanted = UNSETTLED.into_iter().filter(|state| filter.state.contains(state));
        return Ok(wanted.map(Stream::unsettled).collect());
    }
    let Some(report) = &filter.report else { return Ok(vec![Stream::all()]) };
    let reports = match report.strip_suffix('*') {
        Some(prefix) => reports_with(conn, prefix)?,
        None => Some(vec![report.clone()]),
    };
    Ok(match reports {
        Some(reports) => reports.into_iter().map(Stream::of_report).collect(),
        None => vec![Stream::all()],
    })
}

/// The different reports that begin so, found by one look at the index for each; none if they are too many.
fn reports_with(conn: &dyn Tables, prefix: &str) -> Result<Option<Vec<String>>, StoreError> {
    let first = "SELECT report FROM cases INDEXED BY cases_by_report WHERE report >= ?1 ORDER BY report LIMIT 1";
    let next = "SELECT report FROM cases INDEXED BY cases_by_report WHERE report > ?1 ORDER BY report LIMIT 1";
    let mut reports: Vec<String> = Vec::new();
    while reports.len() <= REPORTS {
        let found = match reports.last() {
            None => collect(conn, first, &[text(prefix)], |row| column(row, 0))?,
            Some(last) => collect(conn, next, &[text(last)], |row| column(row, 0))?,
        };
        match found.into_iter().next().filter(|report: &String| report.starts_with(prefix)) {
            Some(report) => reports.push(report),
            None => return Ok(Some(reports)),
        }
    }
    Ok(None)
}

/// The candidate at which this page has to stop, if there are that many.
pub(crate) fn stop(
    conn: &dyn Tables,
    streams: &[Stream],
    order: CaseOrder,
    span: Span,
    most: usize,
) -> Result<Option<CaseKey>, StoreError> {
    let each = most / streams.len().max(1);
    let mut stops = Vec::new();
    for stream in streams {
        let (sql, values) = stop_query(stream, order, span, each);
        stops.extend(collect(conn, &sql, &values, |row| {
            Ok(CaseKey { opened_at: column(row, 0)?, id: column(row, 1)? })
        })?);
    }
    // The nearest: every stream is looked at down to the same key.
    Ok(match order {
        CaseOrder::Newest => stops.into_iter().max(),
        CaseOrder::Oldest => stops.into_iter().min(),
    })
}

fn stop_query(stream: &Stream, order: CaseOrder, span: Span, after: usize) -> (String, Vec<Value>) {
    let mut search = stream.condition.clone();
    span.add_to(&mut search);
    let (index, clause, by) = (stream.index, search.clause(), by(order));
    let sql =
        format!("SELECT c.opened_at, c.id FROM cases c {index} {clause} {by} LIMIT 1 OFFSET ?");
    (sql, search.values.into_iter().chain([Value::from(after as i64)]).collect())
}

fn rows(
    conn: &dyn Tables,
    streams: &[Stream],
    rest: &Search,
    span: Span,
    order: CaseOrder,
    limit: usize,
) -> Result<Vec<CaseRow>, StoreError> {
    let mut rows = Vec::new();
    for stream in streams {
        let (sql, values) = rows_query(stream, rest, span, order);
        rows.extend(collect_up_to(conn, &sql, values, limit, case_row)?);
    }
    rows.sort_unstable_by(|a, b| {
        let by_time = (a.opened_at, a.id).cmp(&(b.opened_at, b.id));
        if order == CaseOrder::Newest { by_time.reverse() } else { by_time }
    });
    rows.truncate(limit);
    Ok(rows)
}

fn rows_query(
    stream: &Stream,
    rest: &Search,
    span: Span,
    order: CaseOrder,
) -> (String, Vec<Value>) {
    let mut search = stream.condition.clone();
    span.add_to(&mut search);
    search.all_of(rest);
    let (index, clause, by) = (stream.index, search.clause(), by(order));
    let sql = format!("SELECT {CASE_COLUMNS} FROM cases c {index} {clause} {by} LIMIT ?");
    (sql, search.values)
}

fn by(order: CaseOrder) -> String {
    let direction = order.sql();
    format!("ORDER BY c.opened_at {direction}, c.id {direction}")
}

/// The queries of a page that goes on from a place, as their text.
#[cfg(test)]
pub(crate) fn queries_after(
    conn: &dyn Tables,
    filter: &CaseFilter,
    [opened_at, id]: [i64; 2],
) -> Result<Vec<String>, StoreError> {
    let mut span = Span::of_times(filter.opened_after, filter.opened_before);
    span.after(Some(CaseKey { opened_at, id }), filter.order);
    let rest = search::of_cases(conn.dialect(), filter);
    let both = |stream: Stream| {
        let (stop, _) = stop_query(&stream, filter.order, span, 1);
        let (rows, _) = rows_query(&stream, &rest, span, filter.order);
        [stop, rows]
    };
    Ok(streams(conn, filter)?.into_iter().flat_map(both).collect())
}
