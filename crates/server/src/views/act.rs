//! What a person did, as an entry of the audit.

use amends_api::{ActView, AuditActName, Hidden};
use amends_store::AuditEntry;
use serde_json::Value;

/// An entry of the audit; its details hold business data.
pub(crate) fn act(entry: AuditEntry, with_data: bool) -> ActView {
    let AuditEntry { number, digest, reason_digest, detail_digest, is_erased, row } = entry;
    let hidden = match (is_erased, with_data) {
        (_, false) => Some(Hidden::NeedsReadData),
        (true, true) => Some(Hidden::Erased),
        (false, true) => None,
    };
    ActView {
        at: row.at,
        number,
        actor: row.actor.name.to_string(),
        principal: row.actor.principal.as_deref().map(str::to_owned),
        address: row.actor.address.as_deref().map(str::to_owned),
        act: row.act.parse().unwrap_or(AuditActName::Unknown),
        reason: row.reason.to_string(),
        case_id: row.case,
        step_id: row.step,
        detail: if with_data { row.detail } else { Value::Null },
        hidden,
        digest,
        reason_digest: Some(reason_digest),
        detail_digest: Some(detail_digest),
    }
}
