//! The tables as PostgreSQL has them: what SQLite is told in its own words, and what can be asked for many at once.

use super::{
    session::{Session, has_code},
    together::{self, Behind},
};
use crate::{
    StoreError,
    tables::{
        Columns, Dialect, Found, Read, ReadWanted, Tables, Value, ValueRef, Wanted,
        key::{case_number, case_of},
        rows::{CASE_COLUMNS, READ_LIMIT_SECONDS, column},
        written::{Unwritten, Why},
    },
};
use amends_protocol::{CaseId, SagaId};
use sqlx::{
    AssertSqlSafe, Column, Encode, PgConnection, Postgres, Row, Type, TypeInfo, ValueRef as _,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, types::Oid},
    query::Query,
};
use std::borrow::Cow;

/// What stands for the character NUL, which PostgreSQL keeps in no text.
const NO_NUL: &str = "\u{fffd}";

/// A text as PostgreSQL can keep it.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', NO_NUL).into() } else { text.into() }
}

/// The error of a read.
pub(super) fn read_error(error: sqlx::Error) -> StoreError {
    if has_code(&error, &["57014"]) {
        return StoreError::TooSlow { seconds: READ_LIMIT_SECONDS };
    }
    StoreError::Database { doing: "read the store", source: error.into() }
}

/// What it means that something was not written.
pub(super) fn unwritten(error: sqlx::Error) -> Unwritten {
    let code = error.as_database_error().and_then(|told| told.code());
    let why = match code.as_deref() {
        Some(code) if code.starts_with("23") => Why::Taken,
        Some(code) if code.starts_with("54") => Why::TooLong,
        _ => Why::Failed,
    };
    Unwritten { why, source: error.into() }
}

impl Columns for PgRow {
    fn value(&self, index: usize) -> Result<ValueRef<'_>, StoreError> {
        let value = self.try_get_raw(index).map_err(read_error)?;
        if value.is_null() {
            return Ok(ValueRef::Null);
        }
        let told = value.type_info();
        let wrong = |what: &str| StoreError::Corrupt {
            row: format!("`{}` of a row", self.name(index)),
            what: format!("{what}, and its type is {}", told.name()),
        };
        let bytes = value.as_bytes().map_err(|error| wrong(&error.to_string()))?;
        let number = || match *bytes {
            [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
            [a, b, c, d] => Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
            [a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            _ => None,
        };
        match told.name() {
            "TEXT" | "VARCHAR" | "NAME" => Ok(ValueRef::Text(bytes)),
            "BYTEA" => Ok(ValueRef::Blob(bytes)),
            "INT2" | "INT4" | "INT8" => {
                number().map(ValueRef::Integer).ok_or_else(|| wrong("it is no number"))
            }
            _ => Err(wrong("it can't be read")),
        }
    }

    fn name(&self, index: usize) -> &str {
        self.columns().get(index).map_or("a column", Column::name)
    }
}

/// A value that is missing: of the type that its place has.
struct Nothing;

impl Type<Postgres> for Nothing {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(705))
    }
}

impl Encode<'_, Postgres> for Nothing {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

fn bind<'q>(
    query: Query<'q, Postgres, PgArguments>,
    values: &'q [Value],
) -> Query<'q, Postgres, PgArguments> {
    values.iter().fold(query, |query, value| match value {
        Value::Null => query.bind(Nothing),
        Value::Integer(number) => query.bind(*number),
        Value::Real(number) => query.bind(*number),
        Value::Text(text) => query.bind(storable(text)),
        Value::Blob(bytes) => query.bind(bytes.as_slice()),
    })
}

/// Statements as PostgreSQL numbers their values, without what SQLite is told about how to go about it.
pub(super) fn in_its_words(sql: &str) -> String {
    let (mut told, mut number, mut rest) = (String::with_capacity(sql.len()), 0_u32, sql);
    while let Some(at) = rest.find(['?', 'I', 'N', 'C']) {
        told.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('?') {
            told.push('$');
            if !after.starts_with(|c: char| c.is_ascii_digit()) {
                number += 1;
                told.push_str(&number.to_string());
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix("NOT INDEXED") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("INDEXED BY ") {
            rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        } else if let Some(after) = rest.strip_prefix("CROSS JOIN") {
            told.push_str("JOIN");
            rest = after;
        } else {
            told.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    told.push_str(rest);
    told
}

const DIALECT: Dialect = Dialect {
    place_in: "strpos",
    like: "ILIKE",
    numbers: "SELECT value::bigint FROM json_array_elements_text(?::json)",
    customer: "amends_json(c.memo) #>> '{business,customer}'",
    amounts: "(SELECT e.value COLLATE \"C\" AS value FROM jsonb_array_elements_text(
        CASE jsonb_typeof(amends_json(c.memo) #> '{business,order}')
        WHEN 'array' THEN amends_json(c.memo) #> '{business,order}' ELSE '[]' END) AS e(value)) AS a",
    message: "(amends_json(s.memo) ->> 'message')",
    part_of: "(amends_json(s.memo) ->> 'part_of')::bigint",
    // Without the `OFFSET` the planner might begin at the steps of all cases, of which it knows no better.
    steps_of_case: "JOIN LATERAL (
        SELECT * FROM steps WHERE key BETWEEN (c.id << 20) AND ((c.id << 20) | 1048575) OFFSET 0) AS s ON true",
};

impl Session {
    /// Asks with lists of values, and reads each row.
    fn each_of(
        &self,
        ask: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Vec<PgRow>>,
        read: Read<'_>,
    ) -> Result<(), StoreError> {
        self.run(ask).map_err(read_error)?.iter().try_for_each(|row| read(row))
    }
}

fn numbers(cases: &[CaseId]) -> Vec<i64> {
    // A number that no case can have is simply not found.
    cases.iter().filter_map(|case| case_number(*case).ok()).collect()
}

/// The keys of cases in a table: case by case, whatever the planner thinks of that.
fn keys_of_cases(table: &str, key: &str) -> String {
    format!(
        "ARRAY(SELECT o.key FROM unnest($1::bigint[]) AS of_case(n) CROSS JOIN LATERAL (
           SELECT {key} AS key FROM {table}
           WHERE {key} BETWEEN (of_case.n << 20) AND ((of_case.n << 20) | 1048575) ORDER BY 1) AS o)"
    )
}

impl Tables for Session {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn each(&self, sql: &str, values: &[Value], read: Read<'_>) -> Result<(), StoreError> {
        let query = bind(sqlx::query(AssertSqlSafe(in_its_words(sql))), values);
        self.each_of(async |line| query.fetch_all(line).await, read)
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<usize, Unwritten> {
        let query = bind(sqlx::query(AssertSqlSafe(in_its_words(sql))), values);
        let changed = self.run(async |line| query.execute(line).await).map_err(unwritten)?;
        Ok(usize::try_from(changed.rows_affected()).unwrap_or(usize::MAX))
    }

    fn each_wanted(&self, wanted: Wanted<'_>, read: ReadWanted<'_>) -> Result<(), StoreError> {
        let Wanted { reports, sagas, cases, announced } = wanted;
        let (ids, sagas, announced) = (numbers(cases), names(sagas), names(announced));
        if reports.is_empty() && sagas.is_empty() && ids.is_empty() && announced.is_empty() {
            return Ok(());
        }
        let sources: Vec<Cow<'_, str>> = reports.iter().map(|key| storable(&key.source)).collect();
        let of_them: Vec<Cow<'_, str>> = reports.iter().map(|key| storable(&key.id)).collect();
        let ask = sqlx::query(together::WANTED.as_str())
            .bind(&sources[..])
            .bind(&of_them[..])
            .bind(&sagas[..])
            .bind(&ids[..])
            .bind(&announced[..]);
        let rows = self.run(async |line| ask.fetch_all(line).await).map_err(read_error)?;
        for row in &rows {
            let kind: i64 = column(row, 0)?;
            match kind {
                0 => {
                    let place: i64 = column(row, 1)?;
                    let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
                    read(Found::Report(place, case_of(column(row, 2)?)))?;
                }
                1 => read(Found::Case(&Behind { row, first: 3 }))?,
                _ => read(Found::Announced(&Behind { row, first: 3 + together::CASE.len() }))?,
            }
        }
        Ok(())
    }

    fn each_case(
        &self,
        sagas: &[SagaId],
        ids: &[CaseId],
        read: Read<'_>,
    ) -> Result<(), StoreError> {
        let (sagas, ids) = (names(sagas), numbers(ids));
        if sagas.is_empty() && ids.is_empty() {
            return Ok(());
        }
        let sql =
            format!("SELECT {CASE_COLUMNS} FROM cases c WHERE c.saga = ANY($1) OR c.id = ANY($2)");
        let ask = sqlx::query(AssertSqlSafe(sql)).bind(&sagas[..]).bind(&ids[..]);
        self.each_of(async |line| ask.fetch_all(line).await, read)
    }

    fn each_of_cases(
        &self,
        sql: &str,
        key: &str,
        cases: &[CaseId],
        read: Read<'_>,
    ) -> Result<(), StoreError> {
        let ids = numbers(cases);
        if ids.is_empty() {
            return Ok(());
        }
        // Its order keeps the planner from looking through the table once for all.
        let sql = format!(
            "SELECT o.* FROM unnest($1::bigint[]) AS of_case(n) CROSS JOIN LATERAL (
               {sql} WHERE {key} BETWEEN (of_case.n << 20) AND ((of_case.n << 20) | 1048575) ORDER BY {key}) AS o"
        );
        let ask = sqlx::query(AssertSqlSafe(sql)).bind(&ids[..]);
        self.each_of(async |line| ask.fetch_all(line).await, read)
    }

    fn each_report_and_step(
        &self,
        cases: &[CaseId],
        report: Read<'_>,
        step: Read<'_>,
    ) -> Result<(), StoreError> {
        let ids = numbers(cases);
        if ids.is_empty() {
            return Ok(());
        }
        let ask = sqlx::query(together::OF_CASES.as_str()).bind(&ids[..]);
        let rows = self.run(async |line| ask.fetch_all(line).await).map_err(read_error)?;
        for row in &rows {
            match column::<i64>(row, 0)? {
                0 => report(&Behind { row, first: 1 })?,
                _ => step(&Behind { row, first: 1 + together::REPORT.len() })?,
            }
        }
        Ok(())
    }

    fn drop_cases(&self, cases: &[CaseId]) -> Result<(), Unwritten> {
        let ids = numbers(cases);
        for (table, key) in [("attempts", "step"), ("steps", "key"), ("reports", "key")] {
            let keys = keys_of_cases(table, key);
            let sql = format!("DELETE FROM {table} WHERE {key} = ANY({keys})");
            let drop = sqlx::query(AssertSqlSafe(sql)).bind(&ids[..]);
            self.run(async |line| drop.execute(line).await).map_err(unwritten)?;
        }
        let drop = sqlx::query("DELETE FROM cases WHERE id = ANY($1)").bind(&ids[..]);
        self.run(async |line| drop.execute(line).await).map(|_| ()).map_err(unwritten)
    }
}

fn names(sagas: &[SagaId]) -> Vec<&str> {
    sagas.iter().map(SagaId::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_put_in_the_words_of_postgres() {
        for (sql, told) in [
            ("SELECT a FROM b WHERE c = ? AND d = ?", "SELECT a FROM b WHERE c = $1 AND d = $2"),
            ("VALUES (?1, ?2, ?10)", "VALUES ($1, $2, $10)"),
            ("FROM cases c INDEXED BY cases_by_time WHERE NOT x", "FROM cases c  WHERE NOT x"),
            ("FROM cases c NOT INDEXED CROSS JOIN s ON t", "FROM cases c  JOIN s ON t"),
        ] {
            assert_eq!(in_its_words(sql), told);
        }
    }

    #[test]
    fn a_text_keeps_all_but_nul() {
        assert_eq!(storable("쿠폰 \u{1}"), "쿠폰 \u{1}");
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
    }
}
