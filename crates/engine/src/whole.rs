//! How a step stands as a whole, where it is made of several requests, and the ids of its parts.
//!
//! INVARIANT: the transition table judges rows, one by one. What is shown of a step is what the row says that speaks
//! for it; no state is kept for the whole.

use crate::{StepRow, StepState};
use amends_protocol::{Outcome, PartTag, StepId};
use std::sync::Arc;

impl StepRow {
    /// The ordinal of the step that the row belongs to: its own, unless the step has further requests.
    #[must_use]
    pub fn ordinal_of_step(&self) -> u32 {
        self.extra.part_of.unwrap_or(self.id.ordinal)
    }

    /// The one request that it is about, if it is about one.
    #[must_use]
    pub fn request(&self) -> Option<&Arc<str>> {
        self.extra.subject.as_ref()?.request.as_ref()
    }

    /// The id of the part of its step that this row is; none if it is about no single request.
    #[must_use]
    pub fn part_id(&self) -> Option<StepId> {
        let part = Some(PartTag::of(self.request()?));
        Some(StepId { ordinal: self.ordinal_of_step(), part, ..self.id })
    }

    /// How people know it: its step's first request goes by the step's id, any other by that of its part.
    #[must_use]
    pub fn shown_id(&self) -> StepId {
        self.extra.part_of.and_then(|_| self.part_id()).unwrap_or(self.id)
    }

    /// Whether an id means this row: its own, or that of the part which it is.
    #[must_use]
    pub fn is(&self, id: StepId) -> bool {
        self.id == id || (id.part.is_some() && self.part_id() == Some(id))
    }
}

/// A step with all its rows.
#[derive(Debug)]
pub struct Whole<'a> {
    /// In their order; never empty.
    rows: Vec<&'a StepRow>,
}

/// The steps of a case, in their order, each with its rows.
#[must_use]
pub fn wholes(steps: &[StepRow]) -> Vec<Whole<'_>> {
    let mut wholes: Vec<Whole<'_>> = Vec::with_capacity(steps.len());
    for row in steps {
        let ordinal = row.ordinal_of_step();
        let of_same = |whole: &&mut Whole<'_>| whole.rows[0].id.ordinal == ordinal;
        let known = row.extra.part_of.and_then(|_| wholes.iter_mut().find(of_same));
        match known {
            Some(whole) => whole.rows.push(row),
            None => wholes.push(Whole { rows: vec![row] }),
        }
    }
    wholes
}

impl<'a> Whole<'a> {
    /// One step, of all its rows.
    #[must_use]
    pub fn among(rows: &'a [StepRow]) -> Self {
        Self { rows: rows.iter().collect() }
    }

    /// The row that bears the step's id, stage and reasons.
    #[must_use]
    pub fn lead(&self) -> &'a StepRow {
        self.rows[0]
    }

    /// All rows, those included that are about no single request.
    #[must_use]
    pub fn rows(&self) -> &[&'a StepRow] {
        &self.rows
    }

    /// A row for each request that it is made of, in the order of the requests' ids.
    #[must_use]
    pub fn parts(&self) -> Vec<&'a StepRow> {
        let mut parts: Vec<&StepRow> =
            self.rows.iter().copied().filter(|row| row.request().is_some()).collect();
        parts.sort_by_key(|row| row.request());
        parts
    }

    /// The row whose state is the step's: what is stuck before what is accepted, in flight, due, waiting and done; of
    /// what is due what comes first, of what is done what tells most.
    #[must_use]
    pub fn speaker(&self) -> &'a StepRow {
        let mut speaker = self.rows[0];
        for row in &self.rows[1..] {
            if says_more(row, speaker) {
                speaker = row;
            }
        }
        speaker
    }

    /// Tries of all rows.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.attempts))
    }
}

/// Whether a row has more to say of its step than another one.
pub(crate) fn says_more(row: &StepRow, than: &StepRow) -> bool {
    weight(&row.state) > weight(&than.state)
}

/// How much a row's state has to say for its step; the earlier of two due times says more.
fn weight(state: &StepState) -> (u8, i64) {
    match state {
        StepState::Stuck(_) => (10, 0),
        StepState::Accepted { poll_at, .. } => (9, poll_at.0.saturating_neg()),
        StepState::InFlight => (8, 0),
        StepState::Due(at) => (7, at.0.saturating_neg()),
        StepState::Waiting => (6, 0),
        StepState::Done(Outcome::Waived) => (5, 0),
        StepState::Done(Outcome::Compensated | Outcome::Retried | Outcome::Notified) => (4, 0),
        StepState::Done(Outcome::AlreadyCompensated) => (3, 0),
        StepState::Done(
            Outcome::Refused | Outcome::NothingToCompensate | Outcome::NotFenceable,
        ) => (2, 0),
        StepState::Superseded => (1, 0),
        StepState::Shadow => (0, 0),
    }
}
