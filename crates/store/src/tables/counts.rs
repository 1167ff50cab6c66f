//! Numbers that people ask for all the time, answered without looking at settled rows.

use super::{Tables, codes::Coded, collect, marks, rows::column};
use crate::{Settlements, StoreError};
use amends_api::CaseState;
use amends_protocol::Timestamp;
use std::collections::BTreeMap;

pub(crate) const SETTLEMENTS: &str =
    "SELECT opened_at, settled_at FROM cases INDEXED BY cases_settled
    WHERE state = 3 AND settled_at >= ?1 ORDER BY settled_at DESC, id DESC LIMIT ?2";

/// Cases by state: unsettled ones through their own small index, settled ones as the rest.
pub(crate) fn by_state(conn: &dyn Tables) -> Result<BTreeMap<CaseState, u64>, StoreError> {
    let sql = "SELECT state, count(*) FROM cases WHERE state <> 3 GROUP BY state";
    let unsettled = collect(conn, sql, &[], |row| Ok((column(row, 0)?, column::<i64>(row, 1)?)))?;
    let mut settled = marks::count_cases(conn)?;
    let mut counts = BTreeMap::new();
    for (code, count) in unsettled {
        settled -= count;
        if let Some(state) = CaseState::from_code(code) {
            counts.insert(state, count.cast_unsigned());
        }
    }
    if settled > 0 {
        counts.insert(CaseState::Settled, settled.cast_unsigned());
    }
    Ok(counts)
}

/// What was settled lately, by walking back from what was settled last.
pub(crate) fn settlements(
    conn: &dyn Tables,
    since: Timestamp,
    limit: usize,
) -> Result<Settlements, StoreError> {
    let times = collect(conn, SETTLEMENTS, &[since.0.into(), (limit as i64).into()], |row| {
        Ok((Timestamp(column(row, 0)?), Timestamp(column(row, 1)?)))
    })?;
    let settled_since = times.last().filter(|_| times.len() == limit).map(|(_, settled)| *settled);
    Ok(Settlements { times, settled_since })
}
