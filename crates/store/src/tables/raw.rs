//! The rows of a case as they lie in the store, readable or not.

use super::{
    Tables, ValueRef,
    key::{case_number, key_range},
};
use crate::{RawCase, RawRow, RawValue, StoreError};
use amends_protocol::CaseId;

/// The tables that a case needs, with their key and their columns.
pub(crate) const TABLES: [(&str, &str, &[&str]); 3] = [
    (
        "cases",
        "id",
        &[
            "id",
            "state",
            "opened_at",
            "updated_at",
            "settled_at",
            "closed_on",
            "saga",
            "rulebook",
            "rulebook_hash",
            "report",
            "message",
            "memo",
        ],
    ),
    ("reports", "key", &["key", "received_at", "role", "role_arg", "source", "id", "body"]),
    (
        "steps",
        "key",
        &[
            "key",
            "state",
            "ending",
            "verb",
            "service",
            "action",
            "tag",
            "stage",
            "attempts",
            "planned_at",
            "updated_at",
            "due_at",
            "until",
            "location",
            "memo",
        ],
    ),
];

/// All rows of a case as they lie here; none if there is no such case.
pub(crate) fn export(conn: &dyn Tables, id: CaseId) -> Result<Option<RawCase>, StoreError> {
    let Ok(number) = case_number(id) else { return Ok(None) };
    let mut rows = Vec::new();
    for (table, key, names) in TABLES {
        let (first, last) = if table == "cases" { (number, number) } else { key_range(id) };
        let columns = names.join(", ");
        let sql =
            format!("SELECT {columns} FROM {table} WHERE {key} BETWEEN ?1 AND ?2 ORDER BY {key}");
        conn.each(&sql, &[first.into(), last.into()], &mut |row| {
            let columns = names.iter().enumerate();
            let columns =
                columns.map(|(index, name)| Ok(((*name).to_owned(), raw_value(row.value(index)?))));
            let columns = columns.collect::<Result<_, StoreError>>()?;
            rows.push(RawRow { table: table.to_owned(), columns });
            Ok(())
        })?;
        if table == "cases" && rows.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(RawCase { id, rows }))
}

fn raw_value(value: ValueRef<'_>) -> RawValue {
    match value {
        ValueRef::Null => RawValue::Nothing,
        ValueRef::Integer(number) => RawValue::Number(number),
        // The tables are strict: no column holds one.
        ValueRef::Real(number) => RawValue::Text(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            RawValue::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}
