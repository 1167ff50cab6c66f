//! What somebody sees of a case: all but its secret fields, or no business data at all.

use amends_api::{BulkView, GroupView, Hidden, Overview, ServiceView};
pub(super) use amends_engine::bare_attempts;
use amends_engine::{CaseRow, ReportRow, StepRow, StoredCase};
use amends_rulebook::SecretFields;

/// What somebody sees.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// Fields that nobody sees.
    pub(crate) secrets: SecretFields,
    /// Whether they may see business data: what reports, requests and answers hold, and what services say.
    pub(crate) data: bool,
}

impl From<SecretFields> for Sight {
    fn from(secrets: SecretFields) -> Self {
        Self { secrets, data: true }
    }
}

impl Sight {
    /// What answers say of it.
    pub(crate) fn hidden(&self) -> Option<Hidden> {
        (!self.data).then_some(Hidden::NeedsReadData)
    }
}

/// A case without business data: what services and people have written into it is gone, how it stands is left.
pub(super) fn bare_case(case: &mut CaseRow) {
    amends_engine::bare_case(case);
    case.extra.answers.clear();
}

/// The same of a report.
pub(super) fn bare_report(row: &mut ReportRow) {
    amends_engine::bare_report(row);
}

/// The same of a step.
pub(super) fn bare_step(step: &mut StepRow) {
    amends_engine::bare_step(step);
}

/// The same of everything that is stored of a case.
pub(super) fn bare_stored(stored: &mut StoredCase) {
    bare_case(&mut stored.case);
    stored.reports.iter_mut().for_each(bare_report);
    stored.steps.iter_mut().for_each(bare_step);
}

/// Groups without amounts, and without what services say.
pub(crate) fn bare_groups(groups: &mut [GroupView]) {
    for group in groups {
        group.error = None;
        group.amounts.clear();
        group.without_amount = 0;
    }
}

/// Services without what they say.
pub(crate) fn bare_services(services: &mut [ServiceView]) {
    for service in services {
        (service.message, service.histories_message) = (None, None);
    }
}

/// The same of the overview.
pub(crate) fn bare_overview(overview: &mut Overview) {
    overview.amounts.clear();
    overview.without_amount = 0;
    bare_services(&mut overview.services);
    overview.troubles.iter_mut().for_each(|trouble| trouble.message = None);
}

/// A bulk act without what services say of its first targets.
pub(crate) fn bare_bulk(mut view: BulkView) -> BulkView {
    view.sample.iter_mut().for_each(|sample| sample.message = None);
    view
}
