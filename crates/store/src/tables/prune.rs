//! What has been kept long enough goes: settled cases and announcements, some at a time.

use super::{
    Tables,
    codes::Coded,
    collect,
    marks::{self, KEEP_LAST_CASE, LAST_CASE},
    rows::{case_id, column, text},
    written::doing,
};
use crate::{LookupResult, SettledBefore, StoreError};
use amends_engine::SagaState;
use amends_protocol::{CaseId, Timestamp};
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// Most cases and sagas of one call: some ten thousand rows, so that a commit behind it waits for milliseconds.
const PRUNE_LIMIT: usize = 500;
pub(crate) const PRUNABLE: &str =
    "SELECT id, settled_at, rulebook FROM cases INDEXED BY cases_settled
    WHERE state = 3 AND settled_at < ?1 AND (settled_at, id) > (?2, ?3) AND NOT EXISTS (
      SELECT 1 FROM reports r INDEXED BY reports_unanswered
      WHERE r.role = 3 AND r.key BETWEEN (cases.id << 20) AND (cases.id << 20 | 1048575))
    ORDER BY settled_at, id LIMIT ?4";
const DOING_PRUNE: &str = "prune the store";

/// Cases that one call looks at: where some rulebooks keep theirs for long, those lie before all others.
const PRUNE_LOOKS: i64 = 5_000;

/// Where the next call begins to look: after this time of settling and this case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrunePlace([i64; 2]);

impl Default for PrunePlace {
    fn default() -> Self {
        Self([i64::MIN; 2])
    }
}

/// Settled cases that a look-up gave out lately, and that pruning leaves alone: many times over what the loop can
/// have in its hands.
#[derive(Default)]
pub(crate) struct Lent(VecDeque<CaseId>);

const LENT: usize = 4096;

impl Lent {
    /// Remembers what was given out.
    pub(crate) fn lend(&mut self, found: &LookupResult) {
        self.0.extend(found.cases.iter().map(|stored| stored.case.id));
        let over = self.0.len().saturating_sub(LENT);
        self.0.drain(..over);
    }

    pub(crate) fn cases(&self) -> FxHashSet<CaseId> {
        self.0.iter().copied().collect()
    }
}

/// Whose cases and announcements may go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Partitions<'a> {
    /// All.
    All,
    /// Those of these, of a store that nodes share.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code))]
    Some(&'a [i16]),
}

impl Partitions<'_> {
    /// As a condition that goes on.
    fn sql(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Some([]) => "AND false".to_owned(),
            Self::Some(parts) => {
                let parts: Vec<String> = parts.iter().map(i16::to_string).collect();
                format!("AND partition IN ({})", parts.join(", "))
            }
        }
    }
}

/// Removes old settled cases and announcements; says how many, and where to go on.
pub(crate) fn prune(
    conn: &dyn Tables,
    settled_before: &SettledBefore,
    limit: usize,
    (lent, from): (&FxHashSet<CaseId>, PrunePlace),
    of: Partitions<'_>,
) -> Result<(usize, PrunePlace), StoreError> {
    let limit = limit.min(PRUNE_LIMIT);
    let (cases, next) = prunable(conn, settled_before, limit, (lent, from), of)?;
    if !cases.is_empty() {
        conn.execute(KEEP_LAST_CASE, &[text(LAST_CASE)]).map_err(doing(DOING_PRUNE))?;
        marks::count_up(conn)?;
        conn.drop_cases(&cases).map_err(doing(DOING_PRUNE))?;
    }
    marks::more_cases(conn, -(cases.len() as i64))?;
    let left = limit - cases.len();
    let sagas = match settled_before.all {
        Some(before) => prune_sagas(conn, before, left, of)?,
        None => 0,
    };
    Ok((cases.len() + sagas, next))
}

/// Cases that may go, but for those with a report that nobody has answered; those first that were settled first. An
/// index of settled cases begins with them, so a call that finds none costs next to nothing. Those that are kept longer
/// are passed over, call by call, until the end; then the next call begins anew.
fn prunable(
    conn: &dyn Tables,
    settled_before: &SettledBefore,
    limit: usize,
    (lent, PrunePlace([settled_at, id])): (&FxHashSet<CaseId>, PrunePlace),
    of: Partitions<'_>,
) -> Result<(Vec<CaseId>, PrunePlace), StoreError> {
    let mut place = PrunePlace([settled_at, id]);
    let Some(latest) = settled_before.latest() else { return Ok((Vec::new(), place)) };
    let values = [latest.0.into(), settled_at.into(), id.into(), PRUNE_LOOKS.into()];
    let sql = PRUNABLE.replacen("ORDER BY", &format!("{} ORDER BY", of.sql()), 1);
    let settled = collect(conn, &sql, &values, |row| {
        Ok((case_id(row, 0)?, column::<i64>(row, 1)?, column::<Option<String>>(row, 2)?))
    })?;
    let is_all = (settled.len() as i64) < PRUNE_LOOKS;
    let (mut cases, mut is_passing) = (Vec::new(), true);
    for (id, settled_at, rulebook) in settled {
        if cases.len() >= limit {
            return Ok((cases, place));
        }
        let goes = settled_before.lets_go(rulebook.as_deref(), Timestamp(settled_at));
        // What is in use goes with a later call, which must find it.
        is_passing &= !(goes && lent.contains(&id));
        if is_passing {
            place = PrunePlace([settled_at, id.0.cast_signed()]);
        }
        if goes && !lent.contains(&id) {
            cases.push(id);
        }
    }
    let is_over = is_all && cases.len() < limit;
    Ok((cases, if is_over { PrunePlace::default() } else { place }))
}

fn prune_sagas(
    conn: &dyn Tables,
    deadline_before: Timestamp,
    limit: usize,
    of: Partitions<'_>,
) -> Result<usize, StoreError> {
    let sql = format!(
        "SELECT saga FROM sagas s WHERE state <> 0 AND state IN (?1, ?2) AND deadline < ?3 {}
         AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.saga = s.saga) LIMIT ?4",
        of.sql()
    );
    let over = [
        SagaState::Ended.code().into(),
        SagaState::Overdue.code().into(),
        deadline_before.0.into(),
        (limit as i64).into(),
    ];
    let sagas = collect(conn, &sql, &over, |row| column::<String>(row, 0))?;
    for saga in &sagas {
        conn.execute("DELETE FROM sagas WHERE saga = ?1", &[text(saga)])
            .map_err(doing(DOING_PRUNE))?;
    }
    Ok(sagas.len())
}
