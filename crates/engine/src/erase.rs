//! Which parts of rows are business data, and taking them out: for people who may not see them, and for good.
//!
//! What is left says who was asked what, when, and how it ended. Names stay: of sagas, requests, reports and keys.

use crate::case::Case;
use crate::{
    Answer, AttemptRow, CaseRow, ErasedRow, Gone, GoneDigest, ReportRole, ReportRow, StepRow,
    StoredCase,
};
use amends_api::{AuditActName, QuestionKind};
use amends_protocol::{CaseId, Evidence, ReportData, SagaId, Timestamp};
use amends_rulebook::{SecretFields, SecretValues};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Most sagas of one erasure: its commit holds all their rows.
pub const ERASE_LIMIT: usize = 500;

/// Sagas that a refusal names.
const NAMED: usize = 5;

pub(crate) const UNDER_WAY: &str = "is under way: what it announced is needed if it misses its deadline; erase it when it has ended";

/// Business data that was taken out of a row, by the names of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken(Map<String, Value>);

impl Taken {
    fn text(&mut self, name: &str, text: Option<impl Into<String>>) {
        if let Some(text) = text {
            self.0.insert(name.to_owned(), Value::String(text.into()));
        }
    }

    fn map(&mut self, name: &str, map: Map<String, Value>) {
        if !map.is_empty() {
            self.0.insert(name.to_owned(), Value::Object(map));
        }
    }

    fn list(&mut self, name: &str, list: Vec<Value>) {
        if !list.is_empty() {
            self.0.insert(name.to_owned(), Value::Array(list));
        }
    }

    fn evidence<'a>(&mut self, name: &str, entries: impl IntoIterator<Item = &'a mut Evidence>) {
        let data = entries.into_iter().map(|entry| std::mem::take(&mut entry.data));
        self.list(name, data.filter(|data| !data.is_empty()).map(Value::Object).collect());
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// As JSON, without spaces and with names in order.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    fn values(&self) -> u64 {
        fn leaves(value: &Value) -> u64 {
            match value {
                Value::Array(items) => items.iter().map(leaves).sum(),
                Value::Object(members) => members.values().map(leaves).sum(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
            }
        }
        self.0.values().map(leaves).sum()
    }
}

/// Takes the business data out of what a service has reported.
pub fn bare_report_data(data: &mut ReportData) -> Taken {
    let mut taken = Taken::default();
    taken.text("message", data.message.take());
    taken.map("data", std::mem::take(&mut data.data));
    taken.evidence("history", &mut data.history);
    taken
}

/// The same of a report's row.
pub fn bare_report(row: &mut ReportRow) -> Taken {
    bare_report_data(&mut Arc::make_mut(&mut row.report).data)
}

/// The same of a case's own row, but for what people said about questions.
pub fn bare_case(case: &mut CaseRow) -> Taken {
    let mut taken = Taken::default();
    taken.text("message", case.message.take().map(|text| text.to_string()));
    let extra = &mut case.extra;
    let business = std::mem::take(&mut extra.business);
    if !business.is_empty()
        && let Ok(Value::Object(business)) = serde_json::to_value(business)
    {
        taken.map("business", business);
    }
    let notes = extra.notes.drain(..).map(|note| Value::String(note.text));
    taken.list("notes", notes.collect());
    let said = extra.histories.iter_mut().filter_map(|query| query.message.take());
    taken.list("historyMessages", said.map(Value::String).collect());
    for query in &mut extra.histories {
        // The same entries as below, as they were read.
        query.recheck.iter_mut().flat_map(|one| &mut one.own).for_each(|own| own.data.clear());
    }
    let read = extra.histories.iter_mut().flat_map(|query| &mut query.entries);
    let told = extra.told.iter_mut().map(|told| &mut told.evidence);
    taken.evidence("evidence", read.chain(told));
    taken
}

/// The same of a step.
pub fn bare_step(step: &mut StepRow) -> Taken {
    let mut taken = Taken::default();
    let extra = &mut step.extra;
    taken.text("message", extra.message.take());
    let owned = |data: Arc<Map<String, Value>>| Arc::unwrap_or_clone(data);
    taken.map("edited", extra.edited.take().map(owned).unwrap_or_default());
    let said = extra.callbacks.iter_mut().filter_map(|said| said.message.take());
    taken.list("callbacks", said.map(Value::String).collect());
    let asked = extra.subject.as_mut().and_then(|subject| subject.data.take());
    taken.map("data", asked.map(owned).unwrap_or_default());
    taken
}

/// The same of tries.
pub fn bare_attempts(attempts: &mut [AttemptRow]) {
    attempts.iter_mut().for_each(|attempt| attempt.message = None);
}

/// What people said about questions, without the values that were in doubt.
fn bare_answers(case: &mut CaseRow, values: &SecretValues) -> Vec<Value> {
    let mut taken = Vec::new();
    for answer in &mut case.extra.answers {
        taken.extend(answer.value.take());
        if answer.kind == QuestionKind::DataConflict {
            // It names the values, and so do the numbers of what was said.
            answer.sentence.clear();
            answer.seen.clear();
        }
        if values.are_in(&answer.reason) {
            answer.reason = "".into();
        }
    }
    taken
}

/// What is gathered while rows are erased.
#[derive(Default)]
struct Eraser {
    gone: Gone,
    values: SecretValues,
}

impl Eraser {
    fn take(&mut self, of: String, taken: &Taken) -> bool {
        if taken.is_nothing() {
            return false;
        }
        let json = taken.json();
        self.gone.fields += taken.values();
        self.gone.bytes += json.len() as u64;
        let digest = self.gone.digest(&of, &json);
        self.gone.digests.push(GoneDigest { of, digest });
        SecretFields::everything().collect(&taken.0, &mut self.values);
        true
    }

    /// Comes last: a reason that repeats a value goes, wherever the value stood.
    fn take_case(&mut self, case: &mut CaseRow) -> bool {
        let mut taken = bare_case(case);
        SecretFields::everything().collect(&taken.0, &mut self.values);
        taken.list("chosen", bare_answers(case, &self.values));
        self.take("case".to_owned(), &taken)
    }
}

/// What an erasure would take of a case, as it is stored: how many values, and how many bytes.
#[must_use]
pub fn erasable(mut stored: StoredCase) -> Gone {
    let mut eraser = Eraser::default();
    for row in &mut stored.reports {
        eraser.take(report_name(row), &bare_report(row));
    }
    for row in &mut stored.steps {
        eraser.take(row.id.to_string(), &bare_step(row));
    }
    eraser.take_case(&mut stored.case);
    eraser.gone
}

fn report_name(row: &ReportRow) -> String {
    format!("report {}", row.position)
}

impl Case {
    /// Takes the business data out of a settled case of which somebody wanted that. None if all of it went before, and
    /// nothing comes along that only the store will hold.
    pub(crate) fn erase(
        &mut self,
        comes_along: bool,
        nonce: impl FnOnce(CaseId) -> String,
    ) -> Option<ErasedRow> {
        if !self.is_settled() {
            return None;
        }
        let mut erasure = self.row.extra.erasure.take()?;
        let mut eraser = Eraser { gone: std::mem::take(&mut erasure.gone), ..Eraser::default() };
        if eraser.gone.nonce.is_empty() {
            eraser.gone.nonce = nonce(self.row.id);
        }
        let mut is_changed = false;
        for index in 0..self.reports.len() {
            let taken = bare_report(&mut self.reports[index]);
            if eraser.take(report_name(&self.reports[index]), &taken) {
                is_changed = true;
                self.mark_report(index);
            }
        }
        for index in 0..self.steps.len() {
            let mut row = self.steps[index].clone();
            let taken = bare_step(&mut row);
            let has_digests = forget_digests(&mut row);
            if eraser.take(row.id.to_string(), &taken) || has_digests {
                is_changed = true;
                *self.step_mut(index) = row;
            }
        }
        is_changed |= eraser.take_case(&mut self.row);
        let goes = is_changed || comes_along || erasure.done_at.is_none();
        if goes {
            erasure.done_at = Some(self.wall.0);
            self.row_changed = true;
        }
        let Eraser { gone, values } = eraser;
        erasure.gone = gone.clone();
        let done_at = erasure.done_at.map(Timestamp);
        let number = erasure.number;
        self.row.extra.erasure = Some(erasure);
        goes.then(|| ErasedRow {
            erasure: number,
            saga: self.row.saga.clone(),
            case: Some(self.row.id),
            done_at,
            gone,
            values,
        })
    }
}

/// Digests of what was asked would tell whoever guesses it. What was asked under a key is known to differ from whatever
/// is asked for now, so nothing else goes out under it.
fn forget_digests(row: &mut StepRow) -> bool {
    let asked = row.extra.asked.as_mut().map(std::mem::take);
    let sent = row.extra.sent.as_mut().map(|sent| std::mem::take(&mut sent.of));
    [asked, sent].into_iter().flatten().any(|digest| digest != 0)
}

/// The reports of a case that is full hold business data too, and are in the store alone.
#[must_use]
pub fn is_in_store_alone(row: &ReportRow) -> bool {
    row.role == ReportRole::Excess
}

/// What is left of an entry of the audit about a case whose business data went: its details go, and a reason that
/// repeats a value. The wish that they go, and their going, stay whole. Says which go: reason, details.
#[must_use]
pub fn audit_texts_that_go(act: &str, reason: &str, values: &SecretValues) -> (bool, bool) {
    let is_of_erasing =
        [AuditActName::Erase, AuditActName::Erased].iter().any(|word| word.as_str() == act);
    (!is_of_erasing && values.are_in(reason), !is_of_erasing)
}

/// Takes the business data out of what a saga announced.
pub(crate) fn erase_announced(
    data: &mut Arc<Map<String, Value>>,
    nonce: String,
) -> (Gone, SecretValues) {
    let mut taken = Taken::default();
    taken.map("data", Arc::unwrap_or_clone(std::mem::take(data)));
    let mut eraser = Eraser { gone: Gone::with(nonce), ..Eraser::default() };
    eraser.take("saga".to_owned(), &taken);
    (eraser.gone, eraser.values)
}

fn named(sagas: &[SagaId]) -> String {
    let names: Vec<String> = sagas.iter().take(NAMED).map(|saga| format!("`{saga}`")).collect();
    let more = sagas.len().saturating_sub(NAMED);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Sagas whose business data can't go now, by why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptFromErasing {
    /// There is no case and no announcement of them.
    pub unknown: Vec<SagaId>,
    /// They have announced themselves, and have yet to end.
    pub under_way: Vec<SagaId>,
    /// Their case is not settled, and nobody said that they go as soon as it is.
    pub open: Vec<SagaId>,
}

impl KeptFromErasing {
    /// What whoever wants them gone is told, if there are any.
    #[must_use]
    pub fn refusal(&self) -> Option<Answer> {
        if let Some(saga) = self.under_way.first() {
            return Some(Answer::Conflict(format!("saga `{saga}` {UNDER_WAY}")));
        }
        if !self.unknown.is_empty() {
            let text = format!("there is no case and no announcement of {}", named(&self.unknown));
            return Some(Answer::NotFound(text));
        }
        (!self.open.is_empty()).then(|| {
            Answer::Conflict(format!(
                "not settled yet, so that its data are still needed: {}; with `whenSettled` (on the command line `--when-settled`) they go as soon as that is so",
                named(&self.open)
            ))
        })
    }
}
