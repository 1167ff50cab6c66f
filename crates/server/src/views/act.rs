//! What a person did, as an entry of the audit.

use amends_api::ActView;
use amends_engine::ActRow;

/// An entry of the audit.
pub(crate) fn act(row: ActRow) -> ActView {
    ActView {
        at: row.at,
        actor: row.actor.to_string(),
        act: row.act.into_owned(),
        reason: row.reason.to_string(),
        case_id: row.case,
        step_id: row.step,
        detail: row.detail,
    }
}
