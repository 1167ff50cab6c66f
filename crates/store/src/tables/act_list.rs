//! The audit as a list, page by page. A page begins where the one before it ended, by its place in the order: entries
//! that come in meanwhile move nothing.

use super::{
    Tables, Value,
    act_rows::{ACT_COLUMNS, act_row},
    cursor::List,
    rows::collect_up_to,
    search::Search,
};
use crate::{ActFilter, AuditEntry, CaseOrder, PageRequest, RowPage, StoreError};

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
    // One row more than the page has is the sign that there is a next page.
    let mut items = collect_up_to(conn, &sql, search.values, limit + 1, act_row)?;
    let is_full = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| is_full);
    let next = last.map(|entry| List::Acts.write([entry.number.cast_signed()]));
    Ok(RowPage { items, next, searched_until: None })
}
