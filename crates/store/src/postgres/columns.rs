//! The rows of a commit as lists, one for each column: named once, and in the statement in the order in which they
//! stand here.

use super::{
    batch_rows::{Rows, part_of},
    tables::storable,
};
use crate::{
    StoreError,
    tables::{
        codes::{Coded, role_code},
        written::{Named, proved},
    },
};
use amends_engine::{AttemptRow, CaseRow, ReportRow, SagaRow, StepRow, StepState};
use amends_protocol::Timestamp;
use sqlx::{Postgres, postgres::PgArguments, query::Query};

pub(super) type Asked<'q> = Query<'q, Postgres, PgArguments>;

/// A column: its name and its type in PostgreSQL.
pub(super) type Column = (&'static str, &'static str);

/// Lists for the rows of a table, each a value of the statement. The first is no column of the table: it says of which
/// share a row is (`Rows::part`).
macro_rules! lists {
    ($name:ident { $($column:ident: $kind:ty as $sql:literal,)* }) => {
        #[derive(Default)]
        struct $name { $($column: Vec<$kind>),* }

        impl $name {
            const COLUMNS: &'static [Column] = &[$((stringify!($column), $sql)),*];

            fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
                query$(.bind(&self.$column[..]))*
            }
        }
    };
}

lists! { Cases {
    part: i16 as "smallint",
    id: i64 as "bigint",
    opened_at: i64 as "bigint",
    updated_at: i64 as "bigint",
    settled_at: Option<i64> as "bigint",
    partition: i16 as "smallint",
    state: i16 as "smallint",
    closed_on: Option<i16> as "smallint",
    saga: String as "text",
    rulebook: Option<String> as "text",
    rulebook_hash: Option<String> as "text",
    report: String as "text",
    message: Option<String> as "text",
    memo: String as "text",
}}

lists! { Reports {
    part: i16 as "smallint",
    key: i64 as "bigint",
    received_at: i64 as "bigint",
    role_arg: Option<i64> as "bigint",
    role: i16 as "smallint",
    source: String as "text",
    id: String as "text",
    body: String as "text",
}}

lists! { Steps {
    part: i16 as "smallint",
    key: i64 as "bigint",
    tag: i64 as "bigint",
    attempts: i64 as "bigint",
    planned_at: i64 as "bigint",
    updated_at: i64 as "bigint",
    due_at: Option<i64> as "bigint",
    until: Option<i64> as "bigint",
    stage: i32 as "int",
    state: i16 as "smallint",
    ending: Option<i16> as "smallint",
    verb: i16 as "smallint",
    service: String as "text",
    action: String as "text",
    location: Option<String> as "text",
    memo: String as "text",
}}

lists! { Attempts {
    part: i16 as "smallint",
    step: i64 as "bigint",
    attempt: i64 as "bigint",
    sent_at: i64 as "bigint",
    ended_at: i64 as "bigint",
    status: Option<i32> as "int",
    result: String as "text",
    message: Option<String> as "text",
}}

lists! { Sagas {
    part: i16 as "smallint",
    saga: String as "text",
    deadline: i64 as "bigint",
    partition: i16 as "smallint",
    state: i16 as "smallint",
    service: String as "text",
    action: Option<String> as "text",
    data: String as "text",
}}

/// The tables that have them, as [`ColumnLists::bind`] binds them.
pub(super) const TABLES: [(&str, &[Column]); 5] = [
    ("cases", Cases::COLUMNS),
    ("reports", Reports::COLUMNS),
    ("steps", Steps::COLUMNS),
    ("attempts", Attempts::COLUMNS),
    ("sagas", Sagas::COLUMNS),
];

/// All of them.
#[derive(Default)]
pub(super) struct ColumnLists {
    cases: Cases,
    reports: Reports,
    steps: Steps,
    attempts: Attempts,
    sagas: Sagas,
}

fn text(text: &str) -> String {
    storable(text).into_owned()
}

fn perhaps(text: Option<&str>) -> Option<String> {
    text.map(|text| storable(text).into_owned())
}

fn small<T: Coded>(word: T) -> i16 {
    smaller(word.code())
}

/// Words have small numbers.
fn smaller(code: i64) -> i16 {
    i16::try_from(code).unwrap_or(i16::MAX)
}

impl ColumnLists {
    /// Of rows. What would not read back is refused.
    pub(super) fn of(rows: &Rows<'_>) -> Result<Self, StoreError> {
        let (mut columns, mut json) = (Self::default(), Vec::with_capacity(1024));
        for (key, (part, row)) in &rows.cases {
            columns.cases.part.push(*part);
            columns.cases.add(*key, row, &mut json)?;
        }
        // Whoever locks several rows does it in one order; these are known by source and id.
        let mut reports: Vec<_> = rows.reports.iter().collect();
        reports.sort_by_key(|(_, (_, row))| (&row.report.source, &row.report.id));
        for (key, (part, row)) in reports {
            columns.reports.part.push(*part);
            columns.reports.add(*key, row, &mut json)?;
        }
        for (key, (part, row)) in &rows.steps {
            columns.steps.part.push(*part);
            columns.steps.add(*key, row, &mut json)?;
        }
        for ((step, _), (part, row)) in &rows.attempts {
            columns.attempts.part.push(*part);
            columns.attempts.add(*step, row);
        }
        for (part, row) in rows.sagas.values() {
            columns.sagas.part.push(*part);
            columns.sagas.add(row, &mut json)?;
        }
        Ok(columns)
    }

    /// Binds all of them.
    pub(super) fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        let query = self.reports.bind(self.cases.bind(query));
        self.sagas.bind(self.attempts.bind(self.steps.bind(query)))
    }
}

impl Cases {
    fn add(&mut self, id: i64, row: &CaseRow, json: &mut Vec<u8>) -> Result<(), StoreError> {
        let rulebook = row.rulebook.as_ref();
        self.id.push(id);
        self.opened_at.push(row.opened_at.0);
        self.updated_at.push(row.updated_at.0);
        self.settled_at.push(row.settled_at.map(|at| at.0));
        self.partition.push(part_of(&row.saga));
        self.state.push(small(row.state));
        self.closed_on.push(row.closed_on.map(small));
        self.saga.push(text(row.saga.as_str()));
        self.rulebook.push(perhaps(rulebook.map(|rulebook| &*rulebook.name)));
        self.rulebook_hash.push(perhaps(rulebook.map(|rulebook| &*rulebook.hash)));
        self.report.push(text(&row.report));
        self.message.push(perhaps(row.message.as_deref()));
        self.memo.push(proved(json, &row.extra, || Rows::named_case(row))?.to_owned());
        Ok(())
    }
}

impl Reports {
    fn add(&mut self, key: i64, row: &ReportRow, json: &mut Vec<u8>) -> Result<(), StoreError> {
        let (role, role_arg) = role_code(row.role);
        self.key.push(key);
        self.received_at.push(row.received_at.0);
        self.role_arg.push(role_arg);
        self.role.push(smaller(role));
        self.source.push(text(&row.report.source));
        self.id.push(text(&row.report.id));
        self.body.push(proved(json, &*row.report, || Rows::named_report(row))?.to_owned());
        Ok(())
    }
}

impl Steps {
    fn add(&mut self, key: i64, row: &StepRow, json: &mut Vec<u8>) -> Result<(), StoreError> {
        let (ending, due_at, until, location) = match &row.state {
            StepState::Due(at) => (None, Some(at.0), None, None),
            StepState::Accepted { poll_at, until, location } => {
                (None, Some(poll_at.0), Some(until.0), location.as_deref())
            }
            StepState::Done(outcome) => (Some(small(*outcome)), None, None, None),
            StepState::Stuck(reason) => (Some(small(*reason)), None, None, None),
            StepState::Waiting
            | StepState::InFlight
            | StepState::Superseded
            | StepState::Shadow => (None, None, None, None),
        };
        let named = || Named::of(row.id.case, format!("step `{}`", row.id));
        self.key.push(key);
        self.tag.push(row.id.tag.cast_signed());
        self.attempts.push(i64::from(row.attempts));
        self.planned_at.push(row.planned_at.0);
        self.updated_at.push(row.updated_at.0);
        self.due_at.push(due_at);
        self.until.push(until);
        self.stage.push(i32::from(row.stage));
        self.state.push(small(row.state.name()));
        self.ending.push(ending);
        self.verb.push(small(row.verb));
        self.service.push(text(&row.action.service));
        self.action.push(text(&row.action.action));
        self.location.push(perhaps(location));
        self.memo.push(proved(json, &row.extra, named)?.to_owned());
        Ok(())
    }
}

impl Attempts {
    fn add(&mut self, step: i64, row: &AttemptRow) {
        self.step.push(step);
        self.attempt.push(i64::from(row.attempt));
        self.sent_at.push(row.sent_at.0);
        self.ended_at.push(row.ended_at.0);
        self.status.push(row.status.map(i32::from));
        self.result.push(text(&row.result));
        self.message.push(perhaps(row.message.as_deref()));
    }
}

impl Sagas {
    fn add(&mut self, row: &SagaRow, json: &mut Vec<u8>) -> Result<(), StoreError> {
        let named = || Named::plain(format!("saga `{}`", row.saga));
        let Timestamp(deadline) = row.deadline;
        self.saga.push(text(row.saga.as_str()));
        self.deadline.push(deadline);
        self.partition.push(part_of(&row.saga));
        self.state.push(small(row.state));
        self.service.push(text(&row.service));
        self.action.push(perhaps(row.action.as_deref()));
        self.data.push(proved(json, &*row.data, named)?.to_owned());
        Ok(())
    }
}
