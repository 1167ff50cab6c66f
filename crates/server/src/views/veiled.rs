//! The one gate between rows and what is shown of them: views take nothing that has not gone through it, so no page and
//! no answer can show a secret field by mistake.

use amends_engine::{ReportRow, StoredCase, Veil};
use amends_rulebook::SecretFields;
use amends_store::{CaseRecord, ListedCase, ListedStep, StepRecord};

/// Rows without secrets.
pub(crate) struct Veiled<T>(T);

impl<T> Veiled<T> {
    /// What may be shown.
    pub(super) fn rows(self) -> T {
        self.0
    }
}

impl Veiled<CaseRecord> {
    /// All that is stored of a case.
    pub(crate) fn case(mut record: CaseRecord, secrets: SecretFields) -> Self {
        if secrets.is_empty() {
            return Self(record);
        }
        let veil = Veil::of_case(secrets, &record.stored);
        veil.stored(&mut record.stored);
        record.attempts.iter_mut().for_each(|attempt| veil.shared_text(&mut attempt.message));
        record.acts.iter_mut().for_each(|act| veil.detail(&mut act.row.detail));
        Self(record)
    }
}

impl Veiled<ListedCase> {
    /// A case of a list.
    pub(crate) fn listed_case(mut listed: ListedCase, secrets: SecretFields) -> Self {
        if secrets.is_empty() {
            return Self(listed);
        }
        let ListedCase { case, first_report, steps } = listed;
        let reports: Vec<ReportRow> = first_report.into_iter().collect();
        let mut stored = StoredCase { case, reports, steps };
        Veil::of_case(secrets, &stored).stored(&mut stored);
        let StoredCase { case, mut reports, steps } = stored;
        listed = ListedCase { case, first_report: reports.pop(), steps };
        Self(listed)
    }
}

impl Veiled<StepRecord> {
    /// All that is stored of a step.
    pub(crate) fn step(mut record: StepRecord, secrets: SecretFields) -> Self {
        if secrets.is_empty() {
            return Self(record);
        }
        let rows = std::iter::once(&record.listed.step).chain(&record.others);
        let veil = Veil::of_steps(secrets, rows);
        veil.step(&mut record.listed.step);
        record.others.iter_mut().for_each(|step| veil.step(step));
        record.attempts.iter_mut().for_each(|attempt| veil.shared_text(&mut attempt.message));
        Self(record)
    }
}

impl Veiled<ListedStep> {
    /// A step of a list.
    pub(crate) fn listed_step(mut listed: ListedStep, secrets: SecretFields) -> Self {
        Veil::of_steps(secrets, [&listed.step]).step(&mut listed.step);
        Self(listed)
    }
}
