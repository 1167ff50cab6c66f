//! Messages of brokers, and letters of nodes, that could not be taken. What is done about them is none of its affair.

use super::{
    Columns, Tables, Value, collect,
    cursor::List,
    one as one_row,
    rows::{collect_up_to, column, corrupt, json, text},
    written::doing,
};
use crate::{
    ListedRejected, PageRequest, RejectedFilter, RejectedKept, RejectedLimits, RejectedRow,
    RowPage, StoreError,
};
use amends_api::RejectedId;
use amends_protocol::{ProblemCode, SagaId, Timestamp};

const DOING: &str = "keep a rejected message";
const FORGETTING: &str = "forget a rejected message";
/// Messages of one call of pruning: each may have a megabyte, and a commit behind it must not wait for long.
const PRUNE_LIMIT: usize = 100;

const PUT: &str = "
    INSERT INTO rejected (id, name, size, way, place, source, event_id, saga, code, detail, rejected_at, sent_at, cut,
                          headers, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (id) DO UPDATE SET size = excluded.size, way = excluded.way, place = excluded.place,
      source = excluded.source, event_id = excluded.event_id, saga = excluded.saga, code = excluded.code,
      detail = excluded.detail, sent_at = excluded.sent_at, cut = excluded.cut, headers = excluded.headers,
      body = excluded.body";
/// Counts by an index that holds no bodies.
pub(crate) const TOTAL: &str = "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM rejected INDEXED BY rejected_sizes";
pub(crate) const OLDEST: &str =
    "SELECT number, size FROM rejected INDEXED BY rejected_sizes ORDER BY number";
/// The body stands last: what comes before it is read without it.
const COLUMNS: &str =
    "id, way, place, source, event_id, saga, code, detail, rejected_at, sent_at, cut";

/// Keeps one, and makes room for it.
pub(crate) fn put(
    conn: &dyn Tables,
    row: &RejectedRow,
    most: RejectedLimits,
) -> Result<RejectedKept, StoreError> {
    let is_new = insert(conn, row)?;
    Ok(RejectedKept { is_new, dropped: make_room(conn, most)? })
}

/// Keeps one; says whether it is new.
pub(crate) fn insert(conn: &dyn Tables, row: &RejectedRow) -> Result<bool, StoreError> {
    let known = "SELECT number FROM rejected WHERE id = ?1";
    let is_new = collect(conn, known, &[text(&row.id)], |row| column::<i64>(row, 0))?.is_empty();
    let headers = serde_json::to_string(&row.headers)
        .map_err(|e| corrupt(format!("rejected message `{}`", row.id), e))?;
    let texts = [Some(&row.id), Some(&row.place), Some(&row.detail), Some(&headers)];
    let texts =
        texts.into_iter().chain([row.source.as_ref(), row.event_id.as_ref(), row.saga.as_ref()]);
    let size = texts.flatten().map(String::len).sum::<usize>() + row.body.len();
    let some = |text: &Option<String>| Value::from(text.clone());
    let values = [
        text(&row.id),
        text(&row.name().to_string()),
        (size as i64).into(),
        text(row.way.as_str()),
        text(&row.place),
        some(&row.source),
        some(&row.event_id),
        some(&row.saga),
        text(row.code.as_str()),
        text(&row.detail),
        row.rejected_at.0.into(),
        row.sent_at.map(|at| at.0).into(),
        row.cut.into(),
        text(&headers),
        row.body.clone().into(),
    ];
    conn.execute(PUT, &values).map_err(doing(DOING))?;
    Ok(is_new)
}

/// Removes the oldest until the others have room; the newest stays in any case.
pub(crate) fn make_room(conn: &dyn Tables, most: RejectedLimits) -> Result<u64, StoreError> {
    let total = |row: &dyn Columns| Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?));
    let (mut rows, mut bytes) = collect(conn, TOTAL, &[], total)?.pop().unwrap_or_default();
    let is_over = |rows: i64, bytes: i64| {
        rows > 1 && (rows.cast_unsigned() > most.rows || bytes.cast_unsigned() > most.bytes)
    };
    if !is_over(rows, bytes) {
        return Ok(0);
    }
    let (mut dropped, mut last) = (0, None);
    let sizes = |row: &dyn Columns| Ok((column::<i64>(row, 0)?, column::<i64>(row, 1)?));
    for (number, size) in collect(conn, OLDEST, &[], sizes)? {
        if !is_over(rows, bytes) {
            break;
        }
        last = Some(number);
        rows -= 1;
        bytes -= size;
        dropped += 1;
    }
    if let Some(last) = last {
        conn.execute("DELETE FROM rejected WHERE number <= ?1", &[last.into()])
            .map_err(doing(DOING))?;
    }
    Ok(dropped)
}

/// One page, newest first. A row that can't be read is left out.
pub(crate) fn list(
    conn: &dyn Tables,
    filter: &RejectedFilter,
    page: &PageRequest,
) -> Result<RowPage<ListedRejected>, StoreError> {
    let limit = page.rows();
    let (mut clauses, mut values) = (vec!["1 = 1"], Vec::<Value>::new());
    if let Some([number]) = List::Rejected.read(page)? {
        clauses.push("number < ?");
        values.push(number.into());
    }
    if let Some(way) = filter.way {
        clauses.push("way = ?");
        values.push(way.as_str().to_owned().into());
    }
    if let Some(source) = &filter.source {
        clauses.push("source = ?");
        values.push(source.clone().into());
    }
    let sql = format!(
        "SELECT {COLUMNS}, number, length(body) FROM rejected WHERE {} ORDER BY number DESC LIMIT ?",
        clauses.join(" AND ")
    );
    let mut rows = collect_up_to(conn, &sql, values, limit + 1, |row| {
        let body_bytes = column::<i64>(row, 12)?.cast_unsigned();
        Ok((column::<i64>(row, 11)?, ListedRejected { row: bare(row)?, body_bytes }))
    })?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(number, _)| List::Rejected.write([*number]));
    let items = rows.into_iter().map(|(_, listed)| listed).collect();
    Ok(RowPage { items, next, searched_until: None })
}

/// One, whole.
pub(crate) fn one(conn: &dyn Tables, id: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS}, headers, body FROM rejected WHERE name = ?1");
    one_row(conn, &sql, &[text(&id.to_string())], |row| {
        let headers = json(row, 11, &|| format!("the headers of rejected message `{id}`"))?;
        Ok(RejectedRow { headers, body: column(row, 12)?, ..bare(row)? })
    })
}

/// How many there are.
pub(crate) fn count(conn: &dyn Tables) -> Result<u64, StoreError> {
    let found = collect(conn, TOTAL, &[], |row| column::<i64>(row, 0))?;
    Ok(found.first().map_or(0, |count| count.cast_unsigned()))
}

/// Removes one.
pub(crate) fn forget(conn: &dyn Tables, id: RejectedId) -> Result<bool, StoreError> {
    let sql = "DELETE FROM rejected WHERE name = ?1";
    let removed = conn.execute(sql, &[text(&id.to_string())]).map_err(doing(FORGETTING))?;
    Ok(removed > 0)
}

/// Removes all of a saga.
pub(crate) fn forget_of(conn: &dyn Tables, saga: &SagaId) -> Result<(), StoreError> {
    let sql = "DELETE FROM rejected WHERE saga = ?1";
    conn.execute(sql, &[text(saga.as_str())]).map(drop).map_err(doing(FORGETTING))
}

/// Removes old ones.
pub(crate) fn prune(
    conn: &dyn Tables,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let sql = "DELETE FROM rejected WHERE number IN
               (SELECT number FROM rejected WHERE rejected_at < ?1 ORDER BY rejected_at LIMIT ?2)";
    let limit = limit.min(PRUNE_LIMIT) as i64;
    conn.execute(sql, &[before.0.into(), limit.into()]).map_err(doing(FORGETTING))
}

/// A row without headers and body.
fn bare(row: &dyn Columns) -> Result<RejectedRow, StoreError> {
    let id: String = column(row, 0)?;
    let wrong = |what: &dyn std::fmt::Display| corrupt(format!("rejected message `{id}`"), what);
    let way: String = column(row, 1)?;
    let code: String = column(row, 6)?;
    let is_it = |one: &&ProblemCode| one.as_str() == code;
    Ok(RejectedRow {
        way: way.parse().map_err(|e| wrong(&e))?,
        place: column(row, 2)?,
        source: column(row, 3)?,
        event_id: column(row, 4)?,
        saga: column(row, 5)?,
        code: *ProblemCode::ALL
            .iter()
            .find(is_it)
            .ok_or_else(|| wrong(&format!("`{code}` is the code of no problem")))?,
        detail: column(row, 7)?,
        headers: Vec::new(),
        body: Vec::new(),
        cut: column(row, 10)?,
        rejected_at: Timestamp(column(row, 8)?),
        sent_at: column::<Option<i64>>(row, 9)?.map(Timestamp),
        id,
    })
}
