//! What a person did, as an entry of the audit.

use amends_api::{ActView, Hidden};
use amends_store::AuditEntry;

/// An entry of the audit.
pub(crate) fn act(entry: AuditEntry) -> ActView {
    let AuditEntry { number, digest, reason_digest, detail_digest, is_erased, row } = entry;
    ActView {
        at: row.at,
        number,
        actor: row.actor.name.to_string(),
        principal: row.actor.principal.as_deref().map(str::to_owned),
        address: row.actor.address.as_deref().map(str::to_owned),
        act: row.act.into_owned(),
        reason: row.reason.to_string(),
        case_id: row.case,
        step_id: row.step,
        detail: row.detail,
        hidden: is_erased.then_some(Hidden::Erased),
        digest,
        reason_digest: Some(reason_digest),
        detail_digest: Some(detail_digest),
    }
}
