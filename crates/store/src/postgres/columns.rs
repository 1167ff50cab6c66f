//! The rows of a commit as lists, one for each column, in the order in which the statement has them.

use super::{batch_rows::Rows, tables::storable};
use crate::{
    StoreError,
    partitions::partition_of,
    tables::{
        codes::{Coded, role_code},
        written::{Named, proved},
    },
};
use amends_engine::{AttemptRow, CaseRow, ReportRow, SagaRow, StepRow, StepState};
use amends_protocol::Timestamp;
use sqlx::{Postgres, postgres::PgArguments, query::Query};

type Asked<'q> = Query<'q, Postgres, PgArguments>;
type Texts = Vec<String>;
type Perhaps<T> = Vec<Option<T>>;

/// All of them.
#[derive(Default)]
pub(super) struct ColumnLists {
    cases: Cases,
    reports: Reports,
    steps: Steps,
    attempts: Attempts,
    sagas: Sagas,
}

#[derive(Default)]
struct Cases {
    id: Vec<i64>,
    opened_at: Vec<i64>,
    updated_at: Vec<i64>,
    settled_at: Perhaps<i64>,
    partition: Vec<i16>,
    state: Vec<i16>,
    closed_on: Perhaps<i16>,
    saga: Texts,
    rulebook: Perhaps<String>,
    hash: Perhaps<String>,
    report: Texts,
    message: Perhaps<String>,
    memo: Texts,
}

#[derive(Default)]
struct Reports {
    key: Vec<i64>,
    received_at: Vec<i64>,
    role_arg: Perhaps<i64>,
    role: Vec<i16>,
    source: Texts,
    id: Texts,
    body: Texts,
}

#[derive(Default)]
struct Steps {
    key: Vec<i64>,
    tag: Vec<i64>,
    attempts: Vec<i64>,
    planned_at: Vec<i64>,
    updated_at: Vec<i64>,
    due_at: Perhaps<i64>,
    until: Perhaps<i64>,
    stage: Vec<i32>,
    state: Vec<i16>,
    ending: Perhaps<i16>,
    verb: Vec<i16>,
    service: Texts,
    action: Texts,
    location: Perhaps<String>,
    memo: Texts,
}

#[derive(Default)]
struct Attempts {
    step: Vec<i64>,
    attempt: Vec<i64>,
    sent_at: Vec<i64>,
    ended_at: Vec<i64>,
    status: Perhaps<i32>,
    result: Texts,
    message: Perhaps<String>,
}

#[derive(Default)]
struct Sagas {
    saga: Texts,
    deadline: Vec<i64>,
    partition: Vec<i16>,
    state: Vec<i16>,
    service: Texts,
    action: Perhaps<String>,
    data: Texts,
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
        for (key, row) in &rows.cases {
            columns.cases.add(*key, row, &mut json)?;
        }
        // Whoever locks several rows does it in one order; these are known by source and id.
        let mut reports: Vec<_> = rows.reports.iter().collect();
        reports.sort_by_key(|(_, row)| (&row.report.source, &row.report.id));
        for (key, row) in reports {
            columns.reports.add(*key, row, &mut json)?;
        }
        for (key, row) in &rows.steps {
            columns.steps.add(*key, row, &mut json)?;
        }
        for ((step, _), row) in &rows.attempts {
            columns.attempts.add(*step, row);
        }
        for row in rows.sagas.values() {
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
        self.partition.push(partition_of(row.saga.as_str()));
        self.state.push(small(row.state));
        self.closed_on.push(row.closed_on.map(small));
        self.saga.push(text(row.saga.as_str()));
        self.rulebook.push(perhaps(rulebook.map(|rulebook| &*rulebook.name)));
        self.hash.push(perhaps(rulebook.map(|rulebook| &*rulebook.hash)));
        self.report.push(text(&row.report));
        self.message.push(perhaps(row.message.as_deref()));
        self.memo.push(proved(json, &row.extra, || Rows::named_case(row))?.to_owned());
        Ok(())
    }

    fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        query
            .bind(&self.id[..])
            .bind(&self.opened_at[..])
            .bind(&self.updated_at[..])
            .bind(&self.settled_at[..])
            .bind(&self.partition[..])
            .bind(&self.state[..])
            .bind(&self.closed_on[..])
            .bind(&self.saga[..])
            .bind(&self.rulebook[..])
            .bind(&self.hash[..])
            .bind(&self.report[..])
            .bind(&self.message[..])
            .bind(&self.memo[..])
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

    fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        query
            .bind(&self.key[..])
            .bind(&self.received_at[..])
            .bind(&self.role_arg[..])
            .bind(&self.role[..])
            .bind(&self.source[..])
            .bind(&self.id[..])
            .bind(&self.body[..])
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

    fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        query
            .bind(&self.key[..])
            .bind(&self.tag[..])
            .bind(&self.attempts[..])
            .bind(&self.planned_at[..])
            .bind(&self.updated_at[..])
            .bind(&self.due_at[..])
            .bind(&self.until[..])
            .bind(&self.stage[..])
            .bind(&self.state[..])
            .bind(&self.ending[..])
            .bind(&self.verb[..])
            .bind(&self.service[..])
            .bind(&self.action[..])
            .bind(&self.location[..])
            .bind(&self.memo[..])
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

    fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        query
            .bind(&self.step[..])
            .bind(&self.attempt[..])
            .bind(&self.sent_at[..])
            .bind(&self.ended_at[..])
            .bind(&self.status[..])
            .bind(&self.result[..])
            .bind(&self.message[..])
    }
}

impl Sagas {
    fn add(&mut self, row: &SagaRow, json: &mut Vec<u8>) -> Result<(), StoreError> {
        let named = || Named::plain(format!("saga `{}`", row.saga));
        let Timestamp(deadline) = row.deadline;
        self.saga.push(text(row.saga.as_str()));
        self.deadline.push(deadline);
        self.partition.push(partition_of(row.saga.as_str()));
        self.state.push(small(row.state));
        self.service.push(text(&row.service));
        self.action.push(perhaps(row.action.as_deref()));
        self.data.push(proved(json, &*row.data, named)?.to_owned());
        Ok(())
    }

    fn bind<'q>(&self, query: Asked<'q>) -> Asked<'q> {
        query
            .bind(&self.saga[..])
            .bind(&self.deadline[..])
            .bind(&self.partition[..])
            .bind(&self.state[..])
            .bind(&self.service[..])
            .bind(&self.action[..])
            .bind(&self.data[..])
    }
}
