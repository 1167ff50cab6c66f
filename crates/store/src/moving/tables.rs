//! The tables of a store, with the columns that it has wherever it lies. Both kinds of store have the same ones, so
//! rows go from one to the other as they are.

use sha2::{Digest as _, Sha256};

/// A table: its columns, those of its key first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// So many columns are the key.
    pub(crate) key: usize,
    /// The column with the saga that says to which partition a row belongs, where rows have one.
    pub(crate) partitioned_by: Option<usize>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Small,
    Medium,
    Text,
    Bytes,
}

impl Kind {
    /// Its type in PostgreSQL.
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Number => "bigint",
            Self::Small => "smallint",
            Self::Medium => "integer",
            Self::Text => "text",
            Self::Bytes => "bytea",
        }
    }

    /// The type as which its values come and go.
    pub(crate) const fn carried(self) -> &'static str {
        match self {
            Self::Number | Self::Small | Self::Medium => "bigint",
            Self::Text => "text",
            Self::Bytes => "bytea",
        }
    }
}

/// What lies in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Nothing,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Cells in the order of the table's columns.
pub(crate) type Row = Vec<Cell>;

impl Table {
    /// The names of its columns, as they stand in a statement.
    pub(crate) fn names(&self) -> String {
        quoted(self.columns)
    }

    /// The names of its key.
    pub(crate) fn key_names(&self) -> String {
        quoted(&self.columns[..self.key])
    }

    /// Which of its rows go: all but the marks of a move itself.
    pub(crate) fn ours(&self) -> &'static str {
        match self.name {
            "marks" => "name NOT IN ('moving', 'moved')",
            _ => "true",
        }
    }

    /// What people call one of its rows.
    pub(crate) fn row_name(&self, row: &[Cell]) -> String {
        let cell = |cell: &Cell| match cell {
            Cell::Nothing => String::new(),
            Cell::Number(number) => number.to_string(),
            Cell::Text(text) => text.clone(),
            Cell::Bytes(_) => "…".to_owned(),
        };
        let key: Vec<_> = row.iter().take(self.key).map(cell).collect();
        format!("row `{}` of `{}`", key.join(", "), self.name)
    }
}

fn quoted(columns: &[(&str, Kind)]) -> String {
    columns.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

use Kind::{Bytes, Medium, Number, Small, Text};

const fn table(name: &'static str, key: usize, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns, key, partitioned_by: None }
}

/// All of them, in the order in which they are copied.
pub(crate) const TABLES: [Table; 18] = [
    table("salt", 1, &[("only", Small), ("value", Bytes)]),
    table("marks", 1, &[("name", Text), ("value", Number)]),
    table(
        "rulebooks",
        1,
        &[
            ("hash", Text),
            ("name", Text),
            ("stored_at", Number),
            ("activated_at", Number),
            ("active", Small),
            ("from_file", Small),
            ("sources", Text),
        ],
    ),
    table(
        "strangers",
        3,
        &[("rulebook", Text), ("service", Text), ("action", Text), ("decision", Text)],
    ),
    table("rule_holds", 2, &[("rulebook", Text), ("rule", Text), ("decision", Text)]),
    table("services", 1, &[("service", Text), ("settings", Text)]),
    table("credentials", 2, &[("kind", Text), ("id", Text), ("digest", Bytes), ("state", Text)]),
    Table {
        name: "cases",
        key: 1,
        columns: &[
            ("id", Number),
            ("state", Small),
            ("opened_at", Number),
            ("updated_at", Number),
            ("settled_at", Number),
            ("closed_on", Small),
            ("saga", Text),
            ("rulebook", Text),
            ("rulebook_hash", Text),
            ("report", Text),
            ("message", Text),
            ("memo", Text),
        ],
        partitioned_by: Some(6),
    },
    table(
        "reports",
        1,
        &[
            ("key", Number),
            ("received_at", Number),
            ("role", Small),
            ("role_arg", Number),
            ("source", Text),
            ("id", Text),
            ("body", Text),
        ],
    ),
    table(
        "steps",
        1,
        &[
            ("key", Number),
            ("state", Small),
            ("ending", Small),
            ("verb", Small),
            ("service", Text),
            ("action", Text),
            ("tag", Number),
            ("stage", Medium),
            ("attempts", Number),
            ("planned_at", Number),
            ("updated_at", Number),
            ("due_at", Number),
            ("until", Number),
            ("location", Text),
            ("memo", Text),
        ],
    ),
    table(
        "attempts",
        2,
        &[
            ("step", Number),
            ("attempt", Number),
            ("sent_at", Number),
            ("ended_at", Number),
            ("result", Text),
            ("status", Medium),
            ("message", Text),
        ],
    ),
    table(
        "acts",
        1,
        &[
            ("id", Number),
            ("at", Number),
            ("actor", Text),
            ("act", Text),
            ("reason", Text),
            ("case_id", Number),
            ("step", Text),
            ("detail", Text),
            ("principal", Text),
            ("address", Text),
            ("reason_digest", Bytes),
            ("detail_digest", Bytes),
            ("digest", Bytes),
        ],
    ),
    table("audit_ends", 1, &[("which", Text), ("number", Number), ("digest", Bytes)]),
    Table {
        name: "sagas",
        key: 1,
        columns: &[
            ("saga", Text),
            ("service", Text),
            ("action", Text),
            ("deadline", Number),
            ("state", Small),
            ("data", Text),
        ],
        partitioned_by: Some(0),
    },
    table("bulks", 1, &[("id", Number), ("ids", Text), ("state", Text)]),
    table("erasures", 1, &[("number", Number), ("at", Number), ("state", Text)]),
    table(
        "erased",
        2,
        &[
            ("erasure", Number),
            ("saga", Text),
            ("case_id", Number),
            ("done_at", Number),
            ("gone", Text),
        ],
    ),
    table(
        "rejected",
        1,
        &[
            ("number", Number),
            ("id", Text),
            ("name", Text),
            ("size", Number),
            ("way", Text),
            ("place", Text),
            ("source", Text),
            ("event_id", Text),
            ("saga", Text),
            ("code", Text),
            ("detail", Text),
            ("rejected_at", Number),
            ("sent_at", Number),
            ("cut", Small),
            ("headers", Text),
            ("body", Bytes),
        ],
    ),
];

/// How many rows a table has, and what they come to: equal only if all of them are, in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableDigest {
    pub(crate) rows: u64,
    pub(crate) digest: [u8; 32],
}

/// Takes in rows.
#[derive(Default)]
pub(crate) struct TableDigester {
    rows: u64,
    state: Sha256,
}

impl TableDigester {
    pub(crate) fn add(&mut self, row: &[Cell]) {
        self.rows += 1;
        for cell in row {
            match cell {
                Cell::Nothing => self.state.update([0]),
                Cell::Number(number) => {
                    self.state.update([1]);
                    self.state.update(number.to_be_bytes());
                }
                Cell::Text(text) => self.add_bytes(2, text.as_bytes()),
                Cell::Bytes(bytes) => self.add_bytes(3, bytes),
            }
        }
    }

    fn add_bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.state.update([kind]);
        self.state.update((bytes.len() as u64).to_be_bytes());
        self.state.update(bytes);
    }

    pub(crate) fn finish(self) -> TableDigest {
        TableDigest { rows: self.rows, digest: self.state.finalize().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[Row]) -> TableDigest {
        let mut digester = TableDigester::default();
        rows.iter().for_each(|row| digester.add(row));
        digester.finish()
    }

    #[test]
    fn rows_that_differ_in_anything_come_to_something_else() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let all = [
            vec![vec![text("ab"), text("c")]],
            vec![vec![text("a"), text("bc")]],
            vec![vec![text("ab"), Cell::Bytes(b"c".to_vec())]],
            vec![vec![text("ab")], vec![text("c")]],
            vec![vec![text("ab"), Cell::Nothing, text("c")]],
            vec![vec![Cell::Number(0)]],
            vec![vec![Cell::Nothing]],
        ];
        for (n, one) in all.iter().enumerate() {
            for (m, other) in all.iter().enumerate() {
                assert_eq!(digest(one) == digest(other), n == m, "{one:?} {other:?}");
            }
        }
    }
}
