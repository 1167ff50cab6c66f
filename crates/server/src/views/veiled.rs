//! The one gate between rows and what is shown of them: views take nothing that has not gone through it, so no page and
//! no answer can show a secret field by mistake.

use super::sight::{Sight, bare_attempts, bare_case, bare_report, bare_step, bare_stored};
use amends_api::Hidden;
use amends_engine::{ReportRow, StoredCase, Veil};
use amends_store::{CaseRecord, ListedCase, ListedStep, StepRecord};

/// Rows without secrets.
pub(crate) struct Veiled<T>(T, Option<Hidden>);

impl<T> Veiled<T> {
    /// What may be shown.
    pub(crate) fn rows(self) -> T {
        self.0
    }

    /// Why more of it isn't.
    pub(super) const fn hidden(&self) -> Option<Hidden> {
        self.1
    }
}

impl Veiled<CaseRecord> {
    /// All that is stored of a case.
    pub(crate) fn case(mut record: CaseRecord, sight: impl Into<Sight>) -> Self {
        let sight = sight.into();
        let hidden = sight.hidden();
        if !sight.data {
            bare_stored(&mut record.stored);
            bare_attempts(&mut record.attempts);
        }
        let secrets = sight.secrets;
        if secrets.is_empty() {
            return Self(record, hidden);
        }
        let veil = Veil::of_case(secrets, &record.stored);
        veil.stored(&mut record.stored);
        record.attempts.iter_mut().for_each(|attempt| veil.shared_text(&mut attempt.message));
        record.acts.iter_mut().for_each(|act| veil.detail(&mut act.row.detail));
        Self(record, hidden)
    }
}

impl Veiled<ListedCase> {
    /// A case of a list.
    pub(crate) fn listed_case(mut listed: ListedCase, sight: impl Into<Sight>) -> Self {
        let sight = sight.into();
        let hidden = sight.hidden();
        if !sight.data {
            bare_case(&mut listed.case);
            listed.first_report.iter_mut().for_each(bare_report);
            listed.steps.iter_mut().for_each(bare_step);
        }
        let secrets = sight.secrets;
        if secrets.is_empty() {
            return Self(listed, hidden);
        }
        let ListedCase { case, first_report, steps } = listed;
        let reports: Vec<ReportRow> = first_report.into_iter().collect();
        let mut stored = StoredCase { case, reports, steps };
        Veil::of_case(secrets, &stored).stored(&mut stored);
        let StoredCase { case, mut reports, steps } = stored;
        listed = ListedCase { case, first_report: reports.pop(), steps };
        Self(listed, hidden)
    }
}

impl Veiled<StepRecord> {
    /// All that is stored of a step.
    pub(crate) fn step(mut record: StepRecord, sight: impl Into<Sight>) -> Self {
        let sight = sight.into();
        let hidden = sight.hidden();
        if !sight.data {
            bare_step(&mut record.listed.step);
            record.others.iter_mut().for_each(bare_step);
            bare_attempts(&mut record.attempts);
        }
        let secrets = sight.secrets;
        if secrets.is_empty() {
            return Self(record, hidden);
        }
        let rows = std::iter::once(&record.listed.step).chain(&record.others);
        let veil = Veil::of_steps(secrets, rows);
        veil.step(&mut record.listed.step);
        record.others.iter_mut().for_each(|step| veil.step(step));
        record.attempts.iter_mut().for_each(|attempt| veil.shared_text(&mut attempt.message));
        Self(record, hidden)
    }
}

impl Veiled<ListedStep> {
    /// A step of a list.
    pub(crate) fn listed_step(mut listed: ListedStep, sight: impl Into<Sight>) -> Self {
        let sight = sight.into();
        let hidden = sight.hidden();
        if !sight.data {
            bare_step(&mut listed.step);
        }
        Veil::of_steps(sight.secrets, [&listed.step]).step(&mut listed.step);
        Self(listed, hidden)
    }
}
