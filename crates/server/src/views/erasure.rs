//! Business data that went: of a case, and as a record of its own. No nonce is shown: without it a digest tells
//! nothing.

use amends_api::{CaseErasure, ErasedDigest, ErasedSaga, ErasureDetail, ErasureView};
use amends_engine::{ErasedRow, Erasure, ErasureRow, Gone};
use amends_protocol::Timestamp;
use amends_store::ListedErasure;

/// How people name an erasure.
pub(crate) fn erasure_id(number: u64) -> String {
    format!("er-{number}")
}

/// That the data of a case went or will; with digests for its proof.
pub(crate) fn case_erasure(erasure: &Erasure, with_digests: bool) -> CaseErasure {
    CaseErasure {
        id: erasure_id(erasure.number),
        by: erasure.by.to_string(),
        asked_at: Timestamp(erasure.asked_at),
        done_at: erasure.done_at.map(Timestamp),
        fields: erasure.gone.fields,
        bytes: erasure.gone.bytes,
        digests: if with_digests { digests(&erasure.gone) } else { Vec::new() },
    }
}

/// An erasure of a list.
pub(crate) fn listed_erasure(listed: ListedErasure) -> ErasureView {
    let ListedErasure { row, sagas, waiting } = listed;
    let ErasureRow { number, at, actor, reason, field, sagas: of } = row;
    ErasureView {
        id: erasure_id(number),
        at,
        actor: actor.name.to_string(),
        principal: actor.principal.as_deref().map(str::to_owned),
        address: actor.address.as_deref().map(str::to_owned),
        reason: reason.to_string(),
        field: field.map(|field| field.name),
        sagas: of.max(sagas),
        waiting,
        not_yet: of.saturating_sub(sagas),
    }
}

/// An erasure with its sagas.
pub(crate) fn erasure(row: ErasureRow, erased: Vec<ErasedRow>, more: bool) -> ErasureDetail {
    let waiting = erased.iter().filter(|row| row.done_at.is_none()).count() as u64;
    let listed = ListedErasure { row, sagas: erased.len() as u64, waiting };
    ErasureDetail {
        view: listed_erasure(listed),
        erased: erased.into_iter().map(erased_saga).collect(),
        more,
    }
}

fn erased_saga(row: ErasedRow) -> ErasedSaga {
    ErasedSaga {
        digests: digests(&row.gone),
        fields: row.gone.fields,
        bytes: row.gone.bytes,
        saga_id: row.saga,
        case_id: row.case,
        done_at: row.done_at,
    }
}

fn digests(gone: &Gone) -> Vec<ErasedDigest> {
    let all = gone.digests.iter();
    all.map(|gone| ErasedDigest { of: gone.of.clone(), digest: gone.digest.to_string() }).collect()
}
