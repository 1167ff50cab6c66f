//! The rows of a commit by key, and what they need; what the database refuses of them, by name.

use super::{
    session::has_code,
    tables::{storable, unwritten},
};
use crate::{
    StoreError,
    partitions::partition_of,
    tables::{
        key::{case_number, case_of, row_key},
        written::{Named, WRITING, Why},
    },
};
use amends_engine::{AttemptRow, CaseRow, ReportRow, SagaRow, StepRow, Write};
use amends_protocol::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What `amends_must` raises.
const CONFLICT: &str = "AM002";

/// Rows of a statement, by key: of several with one key the last.
#[derive(Default)]
pub(super) struct Rows<'w> {
    pub(super) cases: BTreeMap<i64, &'w CaseRow>,
    pub(super) reports: BTreeMap<i64, &'w ReportRow>,
    pub(super) steps: BTreeMap<i64, &'w StepRow>,
    pub(super) attempts: BTreeMap<(i64, u32), &'w AttemptRow>,
    pub(super) sagas: BTreeMap<&'w str, &'w SagaRow>,
    pub(super) clock: Option<Timestamp>,
}

impl<'w> Rows<'w> {
    pub(super) fn named_case(row: &CaseRow) -> Named {
        Named::of(row.id, format!("case `{}` of saga `{}`", row.id, row.saga))
    }

    pub(super) fn named_report(row: &ReportRow) -> Named {
        Named::of(row.case, format!("report `{}` of case `{}`", row.report.key(), row.case))
    }

    pub(super) fn add(&mut self, write: &'w Write) -> Result<(), StoreError> {
        match write {
            Write::Case(row) => {
                let fixed = |row: &'w CaseRow| (&row.saga, &row.report, row.opened_at);
                let before = self.cases.insert(case_number(row.id)?, row);
                if before.is_some_and(|before| fixed(before) != fixed(row)) {
                    return Err(Self::named_case(row).conflict());
                }
            }
            Write::Report(row) => {
                let key = row_key(row.case, row.position)?;
                let before = self.reports.insert(key, row);
                if before.is_some_and(|before| before.report.key() != row.report.key()) {
                    return Err(Self::named_report(row).conflict());
                }
            }
            Write::Step(row) => {
                self.steps.insert(row_key(row.id.case, row.id.ordinal)?, row);
            }
            Write::Attempt(row) => {
                let step = row_key(row.step.case, row.step.ordinal)?;
                self.attempts.insert((step, row.attempt), row);
            }
            Write::Saga(row) => {
                self.sagas.insert(row.saga.as_str(), row);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cases.is_empty()
            && self.reports.is_empty()
            && self.steps.is_empty()
            && self.attempts.is_empty()
            && self.sagas.is_empty()
            && self.clock.is_none()
    }

    /// Which parts their sagas lie in, and which cases tell it of themselves.
    pub(super) fn needs(&self) -> (Vec<i16>, Vec<i64>) {
        let of_cases = self.cases.values().map(|row| partition_of(row.saga.as_str()));
        let of_sagas = self.sagas.keys().map(|saga| partition_of(saga));
        let partitions: BTreeSet<i16> = of_cases.chain(of_sagas).collect();
        let keys = self.reports.keys().chain(self.steps.keys());
        let keys = keys.chain(self.attempts.keys().map(|(step, _)| step));
        let ids: BTreeSet<i64> = keys.map(|key| case_of(*key).0.cast_signed()).collect();
        let told = ids.into_iter().filter(|id| !self.cases.contains_key(id));
        (partitions.into_iter().collect(), told.collect())
    }

    /// What the database refuses, by the name of the row.
    pub(super) fn refusal(&self, error: sqlx::Error) -> StoreError {
        if has_code(&error, &[CONFLICT]) {
            let told = error.as_database_error().map(|told| told.message().to_owned());
            return self.culprit(told.as_deref().unwrap_or_default()).conflict();
        }
        let detail = error.as_database_error().and_then(|told| {
            told.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.detail().map(str::to_owned)
        });
        let unwritten = unwritten(error);
        match unwritten.why {
            Why::Taken => self.twin(detail.as_deref().unwrap_or_default()).conflict(),
            Why::TooLong => Named::plain("a row of the batch".to_owned()).too_long(),
            Why::Failed => unwritten.while_doing(WRITING),
        }
    }

    /// The row that `amends_must` names by its key.
    fn culprit(&self, told: &str) -> Named {
        let named = told.split_once(' ').and_then(|(what, key)| {
            let key: i64 = key.parse().ok()?;
            match what {
                "case" => self.cases.get(&key).map(|row| Self::named_case(row)),
                _ => self.reports.get(&key).map(|row| Self::named_report(row)),
            }
        });
        named.unwrap_or_else(|| Named::plain("a row of the batch".to_owned()))
    }

    /// The row that claims a key of another: the database tells the key as `Key (…)=(VALUES) …`.
    fn twin(&self, detail: &str) -> Named {
        let has = |values: &str| detail.contains(&format!("=({values})"));
        let report = self.reports.values().find(|row| {
            has(&format!("{}, {}", storable(&row.report.source), storable(&row.report.id)))
        });
        let case = || self.cases.values().find(|row| has(row.saga.as_str()));
        report
            .map(|row| Self::named_report(row))
            .or_else(|| case().map(|row| Self::named_case(row)))
            .unwrap_or_else(|| Named::plain("a row of the batch".to_owned()))
    }
}
