//! What a look-up needs of several tables, asked for together: a round trip costs more than the rows do. Each row of an
//! answer says of what kind it is; the columns of the other kinds hold nothing.

use crate::{
    StoreError,
    tables::{
        Columns, ValueRef,
        rows::{CASE_COLUMNS, REPORT_COLUMNS, SAGA_COLUMNS, STEP_COLUMNS},
    },
};
use sqlx::postgres::PgRow;
use std::sync::LazyLock;

/// The types of [`CASE_COLUMNS`], and of the others.
pub(super) const CASE: [&str; 12] = [
    "bigint", "smallint", "bigint", "bigint", "bigint", "smallint", "text", "text", "text", "text",
    "text", "text",
];
const SAGA: [&str; 6] = ["text", "text", "text", "bigint", "smallint", "text"];
pub(super) const REPORT: [&str; 5] = ["bigint", "bigint", "smallint", "bigint", "text"];
const STEP: [&str; 15] = [
    "bigint", "smallint", "smallint", "smallint", "text", "text", "bigint", "int", "bigint",
    "bigint", "bigint", "bigint", "bigint", "text", "text",
];

/// `NULL` of each type.
fn nothing(types: &[&str]) -> String {
    types.iter().map(|kind| format!("NULL::{kind}")).collect::<Vec<_>>().join(", ")
}

/// Reports by source and id, cases by saga or number, announced sagas.
pub(super) static WANTED: LazyLock<String> = LazyLock::new(|| {
    let (no_case, no_saga) = (nothing(&CASE), nothing(&SAGA));
    format!(
        "SELECT 0::bigint, u.place, r.key, {no_case}, {no_saga}
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(source, id, place)
         JOIN reports r ON r.source = u.source AND r.id = u.id
         UNION ALL SELECT 1, NULL, NULL, {CASE_COLUMNS}, {no_saga} FROM cases c
         WHERE c.saga = ANY($3::text[]) OR c.id = ANY($4::bigint[])
         UNION ALL SELECT 2, NULL, NULL, {no_case}, {SAGA_COLUMNS} FROM sagas WHERE saga = ANY($5::text[])"
    )
});

/// Reports and steps of cases, those of each case in their order: that keeps the planner from looking through a table
/// once for all.
pub(super) static OF_CASES: LazyLock<String> = LazyLock::new(|| {
    let (no_report, no_step) = (nothing(&REPORT), nothing(&STEP));
    let of_case = |key: &str| {
        format!("{key} BETWEEN (of_case.n << 20) AND ((of_case.n << 20) | 1048575) ORDER BY {key}")
    };
    format!(
        "SELECT 0::bigint, o.*, {no_step} FROM unnest($1::bigint[]) AS of_case(n), LATERAL (
           SELECT {REPORT_COLUMNS} FROM reports WHERE {}) AS o
         UNION ALL SELECT 1, {no_report}, o.* FROM unnest($1::bigint[]) AS of_case(n), LATERAL (
           SELECT {STEP_COLUMNS} FROM steps s WHERE {}) AS o",
        of_case("key"),
        of_case("s.key")
    )
});

/// The columns of a row from one on.
pub(super) struct Behind<'r> {
    pub(super) row: &'r PgRow,
    pub(super) first: usize,
}

impl Columns for Behind<'_> {
    fn value(&self, index: usize) -> Result<ValueRef<'_>, StoreError> {
        self.row.value(self.first + index)
    }

    fn name(&self, index: usize) -> &str {
        Columns::name(self.row, self.first + index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_its_type() {
        for (columns, types) in [
            (CASE_COLUMNS, &CASE[..]),
            (SAGA_COLUMNS, &SAGA[..]),
            (REPORT_COLUMNS, &REPORT[..]),
            (STEP_COLUMNS, &STEP[..]),
        ] {
            assert_eq!(columns.split(',').count(), types.len(), "{columns}");
        }
    }
}
