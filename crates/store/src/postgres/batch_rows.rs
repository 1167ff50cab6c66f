//! The rows of a commit by key, and what they need; what the database refuses of them, by name.

use super::{
    session::has_code,
    tables::{storable, unwritten},
};
use crate::{
    StoreError,
    tables::{
        key::{case_number, row_key},
        written::{Named, WRITING, Why},
    },
};
use amends_engine::{
    AttemptRow, CaseRow, Letter, LetterId, Partition, ReportRow, RuleCases, SagaRow, StepRow, Write,
};
use amends_protocol::{SagaId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What `amends_must` raises.
const CONFLICT: &str = "AM002";

/// What became of what was to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Landed {
    /// It is durable.
    Yes,
    /// Nothing of these shares, whose leases have gone to others; the others are durable.
    Without(Vec<i16>),
    /// Nothing of it: a lease of a node that holds everything has gone to another.
    NotHeld,
}

/// Rows of a statement, by key, each with the share that it is of: of several with one key the last.
pub(super) struct Rows<'w> {
    /// The share of what is added next: a partition, or [`ALL`].
    pub(super) part: i16,
    /// The partitions of all shares, for a node that holds some; none for one that holds all.
    pub(super) shares: Option<BTreeSet<i16>>,
    pub(super) cases: BTreeMap<i64, (i16, &'w CaseRow)>,
    pub(super) reports: BTreeMap<i64, (i16, &'w ReportRow)>,
    pub(super) steps: BTreeMap<i64, (i16, &'w StepRow)>,
    pub(super) attempts: BTreeMap<(i64, u32), (i16, &'w AttemptRow)>,
    pub(super) sagas: BTreeMap<&'w str, (i16, &'w SagaRow)>,
    pub(super) clock: Option<Timestamp>,
    /// The version of the settings that was planned with, for a node that holds some partitions; none if it does not
    /// count (any more).
    pub(super) settings: Option<i64>,
    /// Letters that go with this, and the partitions whose they are.
    pub(super) taken: Vec<(LetterId, i16)>,
    /// Letters that come with it.
    pub(super) posted: Vec<&'w Letter>,
    /// Cases that limited rules answer by this, and of which partition.
    pub(super) rule_cases: Vec<(i16, &'w RuleCases)>,
}

/// The share of a node that holds all partitions, or none: it stands and falls with the seat.
pub(super) const ALL: i16 = Partition::SEAT.0.cast_signed();

impl Default for Rows<'_> {
    fn default() -> Self {
        Self {
            part: ALL,
            shares: None,
            cases: BTreeMap::new(),
            reports: BTreeMap::new(),
            steps: BTreeMap::new(),
            attempts: BTreeMap::new(),
            sagas: BTreeMap::new(),
            clock: None,
            settings: None,
            taken: Vec::new(),
            posted: Vec::new(),
            rule_cases: Vec::new(),
        }
    }
}

/// Whether `amends_must` says that something rests on settings that hold no longer, or on cases that a limited rule may
/// not answer any more.
pub(super) fn is_outdated(error: &sqlx::Error) -> bool {
    let told = error.as_database_error().map(|told| told.message());
    let is_of = |told: &str| ["settings ", "rule "].iter().any(|what| told.starts_with(what));
    has_code(error, &[CONFLICT]) && told.is_some_and(is_of)
}

/// The part of a saga, as its rows have it.
pub(super) fn part_of(saga: &SagaId) -> i16 {
    Partition::of(saga).0.cast_signed()
}

impl<'w> Rows<'w> {
    pub(super) fn named_case(row: &CaseRow) -> Named {
        Named::of(row.id, format!("case `{}` of saga `{}`", row.id, row.saga))
    }

    pub(super) fn named_report(row: &ReportRow) -> Named {
        Named::of(row.case, format!("report `{}` of case `{}`", row.report.key(), row.case))
    }

    pub(super) fn add(&mut self, write: &'w Write) -> Result<(), StoreError> {
        let part = self.part;
        self.check_part(write)?;
        match write {
            Write::Case(row) => {
                let fixed = |row: &'w CaseRow| (&row.saga, &row.report, row.opened_at);
                let before = self.cases.insert(case_number(row.id)?, (part, row));
                if before.is_some_and(|(_, before)| fixed(before) != fixed(row)) {
                    return Err(Self::named_case(row).conflict());
                }
            }
            Write::Report(row) => {
                let key = row_key(row.case, row.position)?;
                let before = self.reports.insert(key, (part, row));
                if before.is_some_and(|(_, before)| before.report.key() != row.report.key()) {
                    return Err(Self::named_report(row).conflict());
                }
            }
            Write::Step(row) => {
                self.steps.insert(row_key(row.id.case, row.id.ordinal)?, (part, row));
            }
            Write::Attempt(row) => {
                let step = row_key(row.step.case, row.step.ordinal)?;
                self.attempts.insert((step, row.attempt), (part, row));
            }
            Write::Saga(row) => {
                self.sagas.insert(row.saga.as_str(), (part, row));
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
            && self.taken.is_empty()
            && self.posted.is_empty()
            && self.rule_cases.is_empty()
    }

    /// Takes out the rows that are there. What goes along with all of them stays.
    pub(super) fn split(&mut self) -> Self {
        let (part, shares) = (self.part, self.shares.clone());
        let (taken, posted) = (std::mem::take(&mut self.taken), std::mem::take(&mut self.posted));
        let rule_cases = std::mem::take(&mut self.rule_cases);
        let left = Self { part, shares, taken, posted, rule_cases, ..Self::default() };
        std::mem::replace(self, left)
    }

    /// A saga's rows are of its own partition: under another's lease they could be written by two.
    fn check_part(&self, write: &Write) -> Result<(), StoreError> {
        let saga = match write {
            Write::Case(row) => &row.saga,
            Write::Saga(row) => &row.saga,
            _ => return Ok(()),
        };
        if self.shares.is_none() || part_of(saga) == self.part {
            return Ok(());
        }
        let (of, with) = (part_of(saga), self.part);
        let what = format!("it is of partition {of}, and comes with what is of {with}");
        Err(Named::plain(format!("what is of saga `{saga}`")).unstorable(&what))
    }

    /// What the fence has let through, and what not.
    pub(super) fn landed(&self, held: &[i16]) -> Landed {
        match &self.shares {
            None if held.is_empty() => Landed::NotHeld,
            None => Landed::Yes,
            Some(shares) => {
                let lost: Vec<i16> = shares.iter().copied().filter(|p| !held.contains(p)).collect();
                if lost.is_empty() { Landed::Yes } else { Landed::Without(lost) }
            }
        }
    }

    /// Letters that were taken, as the statement has them: ids and partitions.
    pub(super) fn taken_lists(&self) -> (Vec<String>, Vec<i16>) {
        self.taken.iter().map(|(id, part)| (id.to_string(), *part)).unzip()
    }

    /// What the database refuses, by the name of the row.
    pub(super) fn refusal(&self, error: sqlx::Error) -> StoreError {
        if is_outdated(&error) {
            return StoreError::Outdated;
        }
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
                "letter" => Some(Named::plain("a letter that is not there any more".to_owned())),
                "case" => self.cases.get(&key).map(|(_, row)| Self::named_case(row)),
                _ => self.reports.get(&key).map(|(_, row)| Self::named_report(row)),
            }
        });
        named.unwrap_or_else(|| Named::plain("a row of the batch".to_owned()))
    }

    /// The row that claims a key of another: the database tells the key as `Key (…)=(VALUES) …`.
    fn twin(&self, detail: &str) -> Named {
        let has = |values: &str| detail.contains(&format!("=({values})"));
        let report = self.reports.values().find(|(_, row)| {
            has(&format!("{}, {}", storable(&row.report.source), storable(&row.report.id)))
        });
        let case = || self.cases.values().find(|(_, row)| has(row.saga.as_str()));
        report
            .map(|(_, row)| Self::named_report(row))
            .or_else(|| case().map(|(_, row)| Self::named_case(row)))
            .unwrap_or_else(|| Named::plain("a row of the batch".to_owned()))
    }
}
