//! What a case shows of itself, and how what people were not shown comes back.

use crate::Veil;
use crate::case::Case;
use amends_api::StepAct;
use amends_protocol::Report;
use amends_rulebook::secrets::{MASK, restore};
use serde_json::{Map, Value};
use std::sync::Arc;

impl Case {
    /// Over all that it holds.
    pub(crate) fn veil(&self) -> Veil {
        match self.book.as_ref().map(|book| book.secrets()).filter(|secrets| !secrets.is_empty()) {
            Some(secrets) => Veil::of_rows(secrets.clone(), &self.row, &self.reports, &self.steps),
            None => Veil::default(),
        }
    }

    /// A report as it is reported.
    pub(crate) fn shown(&self, mut report: Arc<Report>) -> Arc<Report> {
        self.veil().report(&mut report);
        report
    }

    /// What the audit keeps of an act.
    pub(crate) fn shown_detail(&self, mut detail: Value) -> Value {
        self.veil().detail(&mut detail);
        detail
    }

    /// Data that a person has edited, with what they were not shown put back.
    ///
    /// # Errors
    /// Where a secret is left as it was and there is none.
    pub(crate) fn with_secrets(&self, index: usize, act: StepAct) -> Result<StepAct, String> {
        let StepAct::Edit { reason, data, may_have_run } = act else { return Ok(act) };
        let step = &self.steps[index];
        let subject = step.extra.subject.clone().unwrap_or_default();
        let demanding = || self.report_for(step).map(|row| &row.report.data.data);
        let before = self.fields_of(step, &subject).or_else(demanding).cloned().unwrap_or_default();
        let mut edited = Value::Object(data);
        restore(&mut edited, &Value::Object(before)).map_err(|path| {
            format!("`{path}` is left as `{MASK}`, and the request has no value there: write one")
        })?;
        let data = match edited {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        Ok(StepAct::Edit { reason, data, may_have_run })
    }
}
