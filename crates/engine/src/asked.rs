//! What the steps of a stored case ask next and have asked last, for people. It decides nothing: the requests are made
//! of this by the same code that sends them.

use crate::case::Case;
use crate::effect::made_of;
use crate::{StepRow, StoredCase};
use amends_protocol::{StepId, Timestamp};
use amends_rulebook::Rulebook;
use std::sync::Arc;

/// What one row of a plan asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The row, by the id that goes out; people may know it by another.
    pub row: StepId,
    /// Requests of its action that the next try would name.
    pub requests: Vec<Arc<str>>,
    /// The last try.
    pub last: LastTry,
}

/// What is known of the last try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastTry {
    /// There was none.
    None,
    /// It asked for the same thing as the next would, but for this.
    Kept {
        /// Its number.
        attempt: u32,
        /// When it was released for sending.
        at: Timestamp,
        /// Requests that it named.
        requests: Vec<Arc<str>>,
    },
    /// What it was made of has been replaced since, or was not kept.
    Replaced,
}

/// Of each row of a stored case what it asks, with the ids by which people know it.
#[must_use]
pub fn asked(stored: &StoredCase, book: &Arc<Rulebook>) -> Vec<(StepId, Asked)> {
    let case = Case::stored(stored.clone(), Some(Arc::clone(book)));
    let one = |row: &StepRow| {
        let requests = match row.request() {
            Some(request) => vec![Arc::clone(request)],
            None => case.heard().requests(&row.action).cloned().collect(),
        };
        let asked = Asked { row: row.id, requests, last: last_try(&case, row, book) };
        let part = row.part_id().map(|id| (id, asked.clone()));
        [(row.shown_id(), asked)].into_iter().chain(part).collect::<Vec<_>>()
    };
    stored.steps.iter().flat_map(one).collect()
}

fn last_try(case: &Case, row: &StepRow, book: &Rulebook) -> LastTry {
    if row.attempts == 0 {
        return LastTry::None;
    }
    let subject = row.extra.subject.as_ref();
    let chosen = subject.and_then(|subject| case.reports.get(subject.report? as usize));
    let Some(report) = chosen.or_else(|| case.report_for(row)) else { return LastTry::Replaced };
    let told = row.extra.edited.as_ref().or_else(|| subject?.data.as_ref());
    let data = told.map_or(&report.report.data.data, |data| &**data);
    match (&row.extra.sent, row.extra.sent_at) {
        (Some(sent), Some(at)) if !sent.cut && sent.of == made_of(book, &report.report, data) => {
            let (attempt, requests) = (row.attempts, sent.named.clone());
            LastTry::Kept { attempt, at: Timestamp(at), requests }
        }
        _ => LastTry::Replaced,
    }
}
