//! Reads entries of the audit: for people, and as their digests cover them.

use super::{
    Columns,
    rows::{column, corrupt, json, moment},
};
use crate::{AuditEntry, StoreError};
use amends_api::audit::{ActDigest, ChainedAct, Content};
use amends_engine::{ActRow, Actor};
use amends_protocol::{CaseId, Timestamp};

pub(crate) const ACT_COLUMNS: &str = "id, at, actor, act, reason, case_id, step, detail, \
     principal, address, digest, reason_digest, detail_digest";
/// What a digest covers, as it lies there. No join, no filter: the whole chain, in its order.
pub(crate) const CHAINED: &str = "
    SELECT id, at, actor, principal, address, act, case_id, step, reason, reason_digest, detail, detail_digest, digest
    FROM acts";

pub(crate) fn digest(row: &dyn Columns, index: usize) -> Result<Option<ActDigest>, StoreError> {
    let bytes: Option<Vec<u8>> = column(row, index)?;
    Ok(bytes.and_then(|bytes| ActDigest::from_bytes(&bytes)))
}

/// A text of an entry. Where it was erased its digest stands; one that stands beside a text counts for nothing.
pub(crate) fn content(text: String, gone: &'static str, digest: Option<ActDigest>) -> Content {
    match digest {
        Some(digest) if text == gone => Content::Gone(digest),
        _ => Content::Text(text),
    }
}

/// What stands in place of an erased reason, and of an erased detail.
pub(crate) const NO_REASON: &str = "";
pub(crate) const NO_DETAIL: &str = "null";

/// A row of [`CHAINED`] with the digest that stands with it.
pub(crate) fn chained(row: &dyn Columns) -> Result<(ChainedAct, Option<ActDigest>), StoreError> {
    let entry = ChainedAct {
        number: column::<i64>(row, 0)?.cast_unsigned(),
        at: Timestamp(column(row, 1)?),
        actor: column(row, 2)?,
        principal: column(row, 3)?,
        address: column(row, 4)?,
        act: column(row, 5)?,
        case: column::<Option<i64>>(row, 6)?.map(|n| CaseId(n.cast_unsigned()).to_string()),
        step: column(row, 7)?,
        reason: content(column(row, 8)?, NO_REASON, digest(row, 9)?),
        detail: content(column(row, 10)?, NO_DETAIL, digest(row, 11)?),
    };
    Ok((entry, digest(row, 12)?))
}

/// A row of [`ACT_COLUMNS`].
pub(crate) fn act_row(row: &dyn Columns) -> Result<AuditEntry, StoreError> {
    let id: i64 = column(row, 0)?;
    let name = || format!("act {id}");
    let step: Option<String> = column(row, 6)?;
    let reason = content(column(row, 4)?, NO_REASON, digest(row, 11)?);
    let detail = content(column(row, 7)?, NO_DETAIL, digest(row, 12)?);
    let act = ActRow {
        at: moment(row, 1)?,
        actor: Actor {
            name: column(row, 2)?,
            principal: column(row, 8)?,
            address: column(row, 9)?,
        },
        act: column::<String>(row, 3)?.into(),
        reason: column(row, 4)?,
        case: column::<Option<i64>>(row, 5)?.map(|n| CaseId(n.cast_unsigned())),
        step: step.map(|s| s.parse().map_err(|e| corrupt(name(), e))).transpose()?,
        detail: json(row, 7, &name)?,
    };
    Ok(AuditEntry {
        number: id.cast_unsigned(),
        digest: digest(row, 10)?,
        reason_digest: reason.digest(),
        detail_digest: detail.digest(),
        is_erased: [&reason, &detail].iter().any(|text| matches!(text, Content::Gone(_))),
        row: act,
    })
}
