//! What people may see of a case: its rows without the values of secret fields, and without texts that repeat them. The
//! rows that are stored and asked with keep everything; whatever shows or tells takes them through here.

use crate::{CaseRow, ReportRow, StepRow, StoredCase};
use amends_protocol::Report;
use amends_rulebook::secrets::MASK;
use amends_rulebook::{SecretFields, SecretValues};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Secret fields, and the values of them that a case holds.
#[derive(Clone, Debug, Default)]
pub struct Veil {
    fields: SecretFields,
    values: SecretValues,
}

impl Veil {
    /// Over a case's rows.
    #[must_use]
    pub fn of_case(fields: SecretFields, stored: &StoredCase) -> Self {
        Self::of_rows(fields, &stored.case, &stored.reports, &stored.steps)
    }

    /// Over some steps of a case.
    #[must_use]
    pub fn of_steps<'a>(
        fields: SecretFields,
        steps: impl IntoIterator<Item = &'a StepRow>,
    ) -> Self {
        let mut veil = Self { fields, values: SecretValues::default() };
        if !veil.is_clear() {
            steps.into_iter().for_each(|step| veil.learn_step(step));
        }
        veil
    }

    /// Over one report.
    #[must_use]
    pub fn of_report(fields: SecretFields, report: &Report) -> Self {
        let mut veil = Self { fields, values: SecretValues::default() };
        if !veil.is_clear() {
            veil.learn_report(report);
        }
        veil
    }

    /// Over rows of which nobody knows whether they can be read.
    #[must_use]
    pub fn of_json<'a>(fields: SecretFields, values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut veil = Self { fields, values: SecretValues::default() };
        for value in values {
            veil.fields.collect_deep(value, &mut veil.values);
        }
        veil
    }

    pub(crate) fn of_rows(
        fields: SecretFields,
        case: &CaseRow,
        reports: &[ReportRow],
        steps: &[StepRow],
    ) -> Self {
        let mut veil = Self { fields, values: SecretValues::default() };
        if veil.is_clear() {
            return veil;
        }
        reports.iter().for_each(|row| veil.learn_report(&row.report));
        let walked = case.extra.histories.iter().flat_map(|query| &query.entries);
        let told = case.extra.told.iter().map(|told| &told.evidence);
        walked.chain(told).for_each(|evidence| veil.learn(&evidence.data));
        steps.iter().for_each(|step| veil.learn_step(step));
        veil
    }

    fn learn(&mut self, data: &Map<String, Value>) {
        self.fields.collect(data, &mut self.values);
    }

    fn learn_report(&mut self, report: &Report) {
        self.learn(&report.data.data);
        report.data.history.iter().for_each(|evidence| self.learn(&evidence.data));
    }

    fn learn_step(&mut self, step: &StepRow) {
        let asked = step.extra.subject.as_ref().and_then(|subject| subject.data.as_ref());
        step.extra.edited.iter().chain(asked).for_each(|data| self.learn(data));
    }

    /// Whether nothing is secret.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.fields.is_empty()
    }

    /// A text that people read.
    pub fn text(&self, text: &mut Option<String>) {
        self.values.scrub_in(text);
    }

    /// A text that is always there.
    pub(crate) fn hush(&self, text: &mut String) {
        *text = self.values.scrub(text);
    }

    /// The same, shared.
    pub fn shared_text(&self, text: &mut Option<Arc<str>>) {
        if let Some(text) = text.as_mut().filter(|_| !self.values.is_empty()) {
            *text = self.values.scrub(text).into();
        }
    }

    /// Any JSON of an audit.
    pub fn detail(&self, detail: &mut Value) {
        if !self.is_clear() {
            self.fields.mask_deep(detail);
        }
    }

    /// Any JSON, its texts too.
    pub fn json(&self, value: &mut Value) {
        if !self.is_clear() {
            self.fields.mask_deep(value);
            self.hush_in(value);
        }
    }

    fn hush_in(&self, value: &mut Value) {
        match value {
            Value::String(text) if text != MASK => *text = self.values.scrub(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hush_in(item)),
            Value::Object(members) => members.values_mut().for_each(|value| self.hush_in(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// A report.
    pub fn report(&self, report: &mut Arc<Report>) {
        if self.is_clear() {
            return;
        }
        let data = &mut Arc::make_mut(report).data;
        self.fields.mask(&mut data.data);
        data.history.iter_mut().for_each(|evidence| self.fields.mask(&mut evidence.data));
        self.text(&mut data.message);
    }

    /// A case's own row.
    pub fn case(&self, case: &mut CaseRow) {
        if self.is_clear() {
            return;
        }
        self.shared_text(&mut case.message);
        for query in &mut case.extra.histories {
            self.text(&mut query.message);
            query.entries.iter_mut().for_each(|evidence| self.fields.mask(&mut evidence.data));
        }
        case.extra.told.iter_mut().for_each(|told| self.fields.mask(&mut told.evidence.data));
        case.extra.notes.iter_mut().for_each(|note| note.text = self.values.scrub(&note.text));
    }

    /// A step.
    pub fn step(&self, step: &mut StepRow) {
        if self.is_clear() {
            return;
        }
        self.text(&mut step.extra.message);
        step.extra.callbacks.iter_mut().for_each(|said| self.text(&mut said.message));
        let asked = step.extra.subject.as_mut().and_then(|subject| subject.data.as_mut());
        for data in step.extra.edited.iter_mut().chain(asked) {
            self.fields.mask(Arc::make_mut(data));
        }
    }

    /// Everything that is stored of a case.
    pub fn stored(&self, stored: &mut StoredCase) {
        self.case(&mut stored.case);
        stored.reports.iter_mut().for_each(|row| self.report(&mut row.report));
        stored.steps.iter_mut().for_each(|step| self.step(step));
    }
}
