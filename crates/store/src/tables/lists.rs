//! Lists for people: steps and the audit, newest first, page by page. Cases have a file of their own.
//!
//! A page begins where the one before it ended, by its place in the order: rows that come in meanwhile move nothing.

use super::{
    Columns, Dialect, Tables, Value,
    act_rows::{ACT_COLUMNS, act_row},
    case_list::{Stream, UNSETTLED},
    cursor::List,
    key::{CASE_OF_STEP, case_of, row_key},
    lookup::case_of_saga,
    records,
    rows::{STEP_COLUMNS, collect_up_to, column, step_row},
    search::{self, Search},
};
use crate::{
    ActFilter, AuditEntry, CaseOrder, ListedStep, PageRequest, RowPage, StepFilter, StoreError,
};
use amends_api::StepStateName;
use amends_engine::{RulebookRef, StepRow};
use amends_protocol::{CaseId, SagaId};

/// Takes one row more than the page has as the sign that there is a next page.
fn page_of<R, T, const N: usize>(
    list: List,
    mut rows: Vec<R>,
    limit: usize,
    place: impl Fn(&R) -> Result<[i64; N], StoreError>,
    gather: impl FnMut(R) -> Result<T, StoreError>,
) -> Result<RowPage<T>, StoreError> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last() {
        Some(last) if more => Some(list.write(place(last)?)),
        _ => None,
    };
    let items = rows.into_iter().map(gather).collect::<Result<_, _>>()?;
    Ok(RowPage { items, next, searched_until: None })
}

/// A step that a search found, with what its list needs of its case.
struct FoundStep {
    row: StepRow,
    saga: SagaId,
    rulebook: Option<RulebookRef>,
    opened_at: i64,
}

impl FoundStep {
    /// By the time of opening of its case, then by case and ordinal.
    fn place(&self) -> Result<[i64; 2], StoreError> {
        Ok([self.opened_at, row_key(self.row.id.case, self.row.id.ordinal)?])
    }
}

/// One page of steps.
pub(crate) fn steps(
    conn: &dyn Tables,
    filter: &StepFilter,
    page: &PageRequest,
) -> Result<RowPage<ListedStep>, StoreError> {
    let limit = page.rows();
    let found = found_steps(conn, filter, List::Steps.read(page)?, limit + 1)?;
    let of_case = |found: FoundStep| Ok((found.row, found.saga, found.rulebook));
    let page = page_of(List::Steps, found, limit, FoundStep::place, of_case)?;
    let items = records::listed_steps(conn, page.items)?;
    Ok(RowPage { items, next: page.next, searched_until: page.searched_until })
}

fn found_steps(
    conn: &dyn Tables,
    filter: &StepFilter,
    after: Option<[i64; 2]>,
    limit: usize,
) -> Result<Vec<FoundStep>, StoreError> {
    let Some(case) = one_case(conn, filter)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (sql, values) in step_queries(conn.dialect(), filter, case, after)? {
        found.extend(collect_up_to(conn, &sql, values, limit, found_step)?);
    }
    found.sort_by_cached_key(|found| std::cmp::Reverse(found.place().unwrap_or_default()));
    found.truncate(limit);
    Ok(found)
}

/// What finds steps: one query, or one for each state that their cases can have.
pub(crate) fn step_queries(
    dialect: &Dialect,
    filter: &StepFilter,
    case: Option<CaseId>,
    after: Option<[i64; 2]>,
) -> Result<Vec<(String, Vec<Value>)>, StoreError> {
    let mut base = search::of_steps(dialect, filter, case)?;
    if let Some([opened_at, key]) = after {
        // The first finds the place in the index of cases, the second the place within the case.
        let case = case_of(key).0.cast_signed();
        base.and("(c.opened_at, c.id) <= (?, ?)", [opened_at.into(), case.into()]);
        base.and("(c.opened_at, s.key) < (?, ?)", [opened_at.into(), key.into()]);
    }
    let columns =
        format!("SELECT {STEP_COLUMNS}, c.saga, c.opened_at, c.rulebook, c.rulebook_hash");
    let query = |from: &str, search: Search| {
        let clause = search.clause();
        let sql = format!(
            "{columns} FROM {from} {clause} ORDER BY c.opened_at DESC, c.id DESC, s.key DESC LIMIT ?"
        );
        (sql, search.values)
    };
    if case.is_some() || filter.ids.is_some() {
        let from = format!("steps s CROSS JOIN cases c ON c.id = {CASE_OF_STEP}");
        return Ok(vec![query(&from, base)]);
    }
    let streams = match filter {
        StepFilter { cases: Some(_), .. } => vec![Stream::named()],
        // INVARIANT: a settled case has no such step, so the search goes through the unsettled cases only.
        _ if wants_unfinished_only(filter) => UNSETTLED.map(Stream::unsettled).to_vec(),
        _ => vec![Stream::all()],
    };
    let of_stream = |stream: Stream| {
        let from = format!("cases c {} {}", stream.index, dialect.steps_of_case);
        let mut search = base.clone();
        search.all_of(&stream.condition);
        query(&from, search)
    };
    Ok(streams.into_iter().map(of_stream).collect())
}

/// The one case that the filter is about: `Some(None)` when about any, `None` when about none that exists.
#[allow(clippy::option_option)] // three answers: any case, this case, no case
fn one_case(conn: &dyn Tables, filter: &StepFilter) -> Result<Option<Option<CaseId>>, StoreError> {
    let Some(saga) = &filter.saga else { return Ok(Some(filter.case)) };
    let Some(of_saga) = case_of_saga(conn, saga)? else { return Ok(None) };
    Ok(match filter.case {
        Some(case) if case != of_saga => None,
        _ => Some(Some(of_saga)),
    })
}

fn wants_unfinished_only(filter: &StepFilter) -> bool {
    let unfinished = |state: &StepStateName| state.is_unfinished();
    filter.reason.is_some() || (!filter.state.is_empty() && filter.state.iter().all(unfinished))
}

fn found_step(row: &dyn Columns) -> Result<FoundStep, StoreError> {
    let step = step_row(row)?;
    let saga = column::<String>(row, 15)?;
    let saga = SagaId::new(&saga).map_err(|e| StoreError::Corrupt {
        row: format!("case `{}`", step.id.case),
        what: e.to_string(),
    })?;
    let name: Option<String> = column(row, 17)?;
    let hash: Option<String> = column(row, 18)?;
    let rulebook = name.zip(hash);
    let rulebook =
        rulebook.map(|(name, hash)| RulebookRef { name: name.into(), hash: hash.into() });
    Ok(FoundStep { row: step, saga, rulebook, opened_at: column(row, 16)? })
}

/// One page of the audit.
pub(crate) fn acts(
    conn: &dyn Tables,
    filter: ActFilter,
    page: &PageRequest,
) -> Result<RowPage<AuditEntry>, StoreError> {
    let limit = page.rows();
    let mut search = Search::default();
    if let Some(case) = filter.case {
        search.and("case_id = ?", [Value::from(case.0.cast_signed())]);
    }
    if let Some([last]) = List::Acts.read(page)? {
        let beyond = if filter.order == CaseOrder::Newest { "id < ?" } else { "id > ?" };
        search.and(beyond, [last.into()]);
    }
    let (clause, order) = (search.clause(), filter.order.sql());
    let sql = format!("SELECT {ACT_COLUMNS} FROM acts {clause} ORDER BY id {order} LIMIT ?");
    let rows = collect_up_to(conn, &sql, search.values, limit + 1, act_row)?;
    page_of(List::Acts, rows, limit, |entry| Ok([entry.number.cast_signed()]), Ok)
}
