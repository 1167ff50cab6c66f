//! Gathers the rows that belong together: one case with everything, steps of a list, one step with its tries. What they
//! mean to people is said elsewhere.

use super::{
    Tables,
    act_rows::{ACT_COLUMNS, act_row},
    collect,
    gathered::{case_by_id, with_rows},
    key::{case_number, key_range, row_key},
    rows::{ATTEMPT_COLUMNS, STEP_COLUMNS, attempt_row, collect_readable, column, step_row, text},
};
use crate::{AuditEntry, CaseRecord, ListedStep, StepRecord, StoreError};
use amends_engine::{AttemptRow, RulebookRef, StepRow};
use amends_protocol::{CaseId, SagaId, StepId};
use rustc_hash::FxHashMap;

/// Most acts that come with one case; the list of acts has them all.
const ACTS_OF_CASE: i64 = 1000;

/// All that is stored of one case.
pub(crate) fn case(conn: &dyn Tables, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
    let Some(case) = case_by_id(conn, id)? else { return Ok(None) };
    let stored = with_rows(conn, case)?;
    let attempts = attempts(conn, key_range(id))?;
    Ok(Some(CaseRecord { stored, attempts, acts: acts_of(conn, id)? }))
}

/// A step with its saga and the rulebook version of its case.
pub(crate) type StepOfCase = (StepRow, SagaId, Option<RulebookRef>);

/// Steps of a list, in their order: the reports that they name are looked up for all at once.
pub(crate) fn listed_steps(
    conn: &dyn Tables,
    found: Vec<StepOfCase>,
) -> Result<Vec<ListedStep>, StoreError> {
    let mut keys = Vec::new();
    for (step, ..) in &found {
        for position in step.extra.because.iter().chain(&step.extra.would_have_asked) {
            keys.push(row_key(step.id.case, *position)?.to_string());
        }
    }
    let sql = format!("SELECT key, id FROM reports WHERE key IN ({})", conn.dialect().numbers);
    let keys = text(&format!("[{}]", keys.join(",")));
    let ids = collect(conn, &sql, &[keys], |row| {
        Ok((column::<i64>(row, 0)?, column::<String>(row, 1)?))
    })?;
    let ids: FxHashMap<i64, String> = ids.into_iter().collect();
    let named = |case: CaseId, positions: &[u32]| {
        let keys = positions.iter().filter_map(|position| row_key(case, *position).ok());
        keys.filter_map(|key| ids.get(&key).cloned()).collect::<Vec<String>>()
    };
    let listed = found.into_iter().map(|(step, saga, rulebook)| {
        let because = named(step.id.case, &step.extra.because);
        let would_have_asked = named(step.id.case, &step.extra.would_have_asked);
        ListedStep { step, saga, rulebook, because, would_have_asked }
    });
    Ok(listed.collect())
}

/// All that is stored of one step.
pub(crate) fn step(conn: &dyn Tables, id: StepId) -> Result<Option<StepRecord>, StoreError> {
    let Some(case) = case_by_id(conn, id.case)? else { return Ok(None) };
    let (first, last) = key_range(id.case);
    let sql = format!(
        "SELECT {STEP_COLUMNS} FROM steps s WHERE s.key BETWEEN ?1 AND ?2 AND s.tag = ?3
         ORDER BY s.key"
    );
    let rows =
        collect(conn, &sql, &[first.into(), last.into(), id.tag.cast_signed().into()], step_row)?;
    let Some(row) = rows.iter().find(|row| row.is(id)).cloned() else { return Ok(None) };
    let is_meant = |other: &StepRow| other.id == row.id || is_step_of(&row, other, id);
    let (mut others, mut tries) = (Vec::new(), Vec::new());
    for other in rows.into_iter().filter(is_meant) {
        let key = row_key(other.id.case, other.id.ordinal)?;
        tries.append(&mut attempts(conn, (key, key))?);
        others.extend(Some(other).filter(|other| other.id != row.id));
    }
    let listed = listed_steps(conn, vec![(row, case.saga, case.rulebook)])?.pop();
    Ok(listed.map(|listed| StepRecord { listed, others, attempts: tries }))
}

/// Whether a step's id asks for another row with it: the whole step, by its own id.
fn is_step_of(row: &StepRow, other: &StepRow, id: StepId) -> bool {
    id.part.is_none() && row.extra.part_of.is_none() && other.ordinal_of_step() == row.id.ordinal
}

/// Stored tries of the steps in a range of keys.
fn attempts(conn: &dyn Tables, (first, last): (i64, i64)) -> Result<Vec<AttemptRow>, StoreError> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM attempts a CROSS JOIN steps s ON s.key = a.step
         WHERE a.step BETWEEN ?1 AND ?2 ORDER BY a.step, a.attempt"
    );
    collect_readable(conn, &sql, &[first.into(), last.into()], attempt_row)
}

/// Acts on a case, oldest first; of very many, the latest.
fn acts_of(conn: &dyn Tables, case: CaseId) -> Result<Vec<AuditEntry>, StoreError> {
    let sql =
        format!("SELECT {ACT_COLUMNS} FROM acts WHERE case_id = ?1 ORDER BY id DESC LIMIT ?2");
    let of_case = [case_number(case)?.into(), ACTS_OF_CASE.into()];
    let mut acts = collect_readable(conn, &sql, &of_case, act_row)?;
    acts.reverse();
    Ok(acts)
}
