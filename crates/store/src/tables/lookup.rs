//! What the engine asks for: the cases and sagas that a batch is about, and what is unfinished at the start.

use super::{
    Columns, Found, Tables, Wanted,
    codes::Coded,
    collect, erasures,
    gathered::{Rest, case_row_or_rest, whole_and_broken},
    key::{STEP_OF_CASE, case_number, case_of, key_range},
    marks, one,
    rows::{
        CASE_COLUMNS, SAGA_COLUMNS, column, readable, rule_hold_row, rulebook_row, saga_row,
        service_row, stranger_row, text, word,
    },
};
use crate::{
    Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace, Partition, RulebookRow, Settings,
    StoreError, UnreadableRow,
};
use amends_api::{CaseState, StepStateName};
use amends_engine::{
    CaseRow, EARLIER_VERSIONS, Epoch, SagaRow, SagaState, StillNeeded, StrangerDecisionRow,
};
use amends_protocol::{ActionName, CaseId, SALT_BYTES, SagaId, Salt, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reports that nobody has answered. An index holds just these.
pub(crate) const UNANSWERED: &str = "SELECT key FROM reports INDEXED BY reports_unanswered
    WHERE role = 3 AND key > ?1 ORDER BY key LIMIT ?2";

/// Answers a [`LookupRequest`].
pub(crate) fn find(conn: &dyn Tables, wanted: &LookupRequest) -> Result<LookupResult, StoreError> {
    let announced: BTreeSet<SagaId> = wanted.announced.iter().cloned().collect();
    let announced: Vec<SagaId> = announced.into_iter().collect();
    let by_keys = Wanted {
        reports: &wanted.reports,
        sagas: &wanted.sagas,
        cases: &wanted.cases,
        announced: &announced,
    };
    let (mut reports, mut rows) = (vec![None; wanted.reports.len()], Vec::new());
    let mut announced = Vec::new();
    conn.each_wanted(by_keys, &mut |found| {
        match found {
            Found::Report(place, case) => {
                if let Some(of_report) = reports.get_mut(place) {
                    *of_report = Some(case);
                }
            }
            Found::Case(row) => rows.push(case_row_or_rest(row)?),
            // One that can't be read is not known: announced again, it is written anew.
            Found::Announced(row) => announced.extend(readable(saga_row(row))?),
        }
        Ok(())
    })?;
    let (cases, broken) = whole_and_broken(conn, rows)?;
    let rulebooks = wanted
        .rulebooks
        .iter()
        .filter_map(|hash| rulebook(conn, hash).transpose())
        .collect::<Result<_, _>>()?;
    let mut needed = Vec::new();
    for name in &wanted.needed {
        needed.extend(still_needed(conn, name)?.into_iter().map(|step| (Arc::clone(name), step)));
    }
    Ok(LookupResult { reports, cases, announced, rulebooks, broken, needed, rule_minutes: None })
}

/// What the open cases of a rulebook still have to ask for.
fn still_needed(conn: &dyn Tables, rulebook: &str) -> Result<Vec<StillNeeded>, StoreError> {
    let unfinished = StepStateName::ALL.iter().filter(|state| state.is_unfinished());
    let unfinished: Vec<String> = unfinished.map(|state| state.code().to_string()).collect();
    let (settled, unfinished) = (CaseState::Settled.code(), unfinished.join(", "));
    let sql = format!(
        "SELECT s.verb, s.service, s.action, count(*) FROM cases c JOIN steps s ON {STEP_OF_CASE}
         WHERE c.state <> {settled} AND c.rulebook = ?1 AND s.state IN ({unfinished})
         GROUP BY s.verb, s.service, s.action ORDER BY s.service, s.action, s.verb"
    );
    collect(conn, &sql, &[text(rulebook)], |row| {
        let action = ActionName { service: column(row, 1)?, action: column(row, 2)? };
        let cases = column::<i64>(row, 3)?.cast_unsigned();
        let verb = word(column(row, 0)?, &|| format!("a step of rulebook `{rulebook}`"))?;
        Ok(StillNeeded { verb, action, cases })
    })
}

type CaseOrRest = Result<CaseRow, Rest>;

/// Reads some of the cases that are open: first those that are not settled, then settled ones with an unanswered
/// report.
pub(crate) fn open(
    conn: &dyn Tables,
    partition: Partition,
    after: OpenPlace,
    most: usize,
) -> Result<OpenPage, StoreError> {
    let (mut rows, mut next) = (Vec::new(), None);
    if after.0[0] < CaseState::Settled.code() {
        (rows, next) = unsettled(conn, partition, after, most)?;
    }
    if next.is_none() {
        let (late, after) =
            settled_unanswered(conn, partition, after, most - rows.len().min(most))?;
        rows.extend(late);
        next = after;
    }
    let (cases, broken) = whole_and_broken(conn, rows)?;
    Ok(OpenPage { cases, broken, next })
}

/// The place of a case that is not settled is its state, its time of opening and its number.
fn unsettled(
    conn: &dyn Tables,
    partition: Partition,
    after: OpenPlace,
    most: usize,
) -> Result<(Vec<CaseOrRest>, Option<OpenPlace>), StoreError> {
    let OpenPlace([state, opened_at, id]) = after;
    let of_it = if partition == Partition::WHOLE { "" } else { "c.partition = ?5 AND" };
    let sql = format!(
        "SELECT {CASE_COLUMNS} FROM cases c INDEXED BY cases_unsettled
         WHERE {of_it} c.state <> 3 AND (c.state, c.opened_at, c.id) > (?1, ?2, ?3)
         ORDER BY c.state, c.opened_at, c.id LIMIT ?4"
    );
    let mut last = None;
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let mut values = vec![state.into(), opened_at.into(), id.into(), limit.into()];
    values.extend((partition != Partition::WHOLE).then(|| i64::from(partition.0).into()));
    let rows = collect(conn, &sql, &values, |row| {
        last = Some(OpenPlace([column(row, 1)?, column(row, 2)?, column(row, 0)?]));
        case_row_or_rest(row)
    })?;
    let next = last.filter(|_| rows.len() >= most);
    Ok((rows, next))
}

/// The place of a settled case is that state and the key of its last report that can be. Each page looks at so many
/// reports, since most of those without an answer are of cases that wait for a person.
fn settled_unanswered(
    conn: &dyn Tables,
    partition: Partition,
    after: OpenPlace,
    most: usize,
) -> Result<(Vec<CaseOrRest>, Option<OpenPlace>), StoreError> {
    let settled = CaseState::Settled.code();
    let OpenPlace([state, after, _]) = after;
    let after = if state == settled { after } else { i64::MIN };
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let found = collect(conn, UNANSWERED, &[after.into(), limit.into()], |row| column(row, 0));
    let keys: Vec<i64> = found?;
    let ids: BTreeSet<CaseId> = keys.iter().copied().map(case_of).collect();
    let mut rows = Vec::new();
    conn.each_case(&[], &ids.iter().copied().collect::<Vec<_>>(), &mut |row| {
        if column::<i64>(row, 1)? == settled && is_of(row, partition) {
            rows.push(case_row_or_rest(row)?);
        }
        Ok(())
    })?;
    let last = ids.last().filter(|_| keys.len() >= most);
    Ok((rows, last.map(|id| OpenPlace([settled, key_range(*id).1, 0]))))
}

/// Whether a row of a case is of a partition. Of one whose saga can't be read nobody knows, and whoever asks for all
/// sees it.
fn is_of(row: &dyn Columns, partition: Partition) -> bool {
    let saga = || column::<String>(row, 6).ok();
    partition == Partition::WHOLE
        || saga().is_some_and(|saga| Partition::of_text(&saga) == partition)
}

/// Reads what is known at a start, but for the unfinished cases.
pub(crate) fn load(conn: &dyn Tables, epoch: Epoch) -> Result<Loaded, StoreError> {
    let mut unreadable = Vec::new();
    let sagas = without_unreadable(begun(conn, Partition::WHOLE)?, &mut unreadable);
    let highest = "SELECT coalesce(max(id), 0) FROM cases";
    let highest: Option<i64> = one(conn, highest, &[], |row| column(row, 0))?;
    let last_case = highest.max(marks::value(conn, marks::LAST_CASE)?).unwrap_or_default();
    let loaded = load_rest(conn, unreadable)?;
    Ok(Loaded { epoch, last_case: last_case.cast_unsigned(), sagas, ..loaded })
}

/// Reads what belongs to no saga of a store that nodes share.
#[cfg(feature = "postgres")]
pub(crate) fn load_shared(
    conn: &dyn Tables,
    leases: Vec<crate::Lease>,
    rule_minutes: Vec<amends_engine::RuleMinute>,
) -> Result<Loaded, StoreError> {
    // As long as one holds it as a whole, nobody knows from where on numbers will tell their partition.
    let (partition, epoch) = (Partition::WHOLE, Epoch::default());
    let first = marks::value(conn, "first_number")?;
    let first_number = first.ok_or(StoreError::NotHeld { partition, epoch })?.cast_unsigned();
    let loaded = load_rest(conn, Vec::new())?;
    let shared = crate::SharedStore { first_number, leases, rule_minutes };
    Ok(Loaded { shared: Some(shared), ..loaded })
}

/// Announced sagas of a partition that are still under way, by deadline. One that can't be read is not known.
#[cfg(feature = "postgres")]
pub(crate) fn begun_of(
    conn: &dyn Tables,
    partition: Partition,
) -> Result<Vec<SagaRow>, StoreError> {
    let mut unreadable = Vec::new();
    let sagas = without_unreadable(begun(conn, partition)?, &mut unreadable);
    for UnreadableRow { row, why } in unreadable {
        tracing::warn!(%row, %why, "what a saga announced can't be read, and is left alone");
    }
    Ok(sagas)
}

fn begun(
    conn: &dyn Tables,
    partition: Partition,
) -> Result<Vec<Result<SagaRow, UnreadableRow>>, StoreError> {
    let of_it = if partition == Partition::WHOLE { "" } else { "AND partition = ?2" };
    let sql =
        format!("SELECT {SAGA_COLUMNS} FROM sagas WHERE state = ?1 {of_it} ORDER BY deadline");
    let mut values = vec![SagaState::Begun.code().into()];
    values.extend((partition != Partition::WHOLE).then(|| i64::from(partition.0).into()));
    collect(conn, &sql, &values, |row| readable(saga_row(row)))
}

fn load_rest(conn: &dyn Tables, unreadable: Vec<UnreadableRow>) -> Result<Loaded, StoreError> {
    let newest = "SELECT max(updated_at) FROM cases WHERE state <> 3";
    let clock = match marks::values(conn, "clock")?.into_iter().max() {
        Some(clock) => Some(clock),
        None => one(conn, newest, &[], |row| column::<Option<i64>>(row, 0))?.flatten(),
    };
    let salt = "SELECT value FROM salt";
    let salt: Option<[u8; SALT_BYTES]> = one(conn, salt, &[], |row| column(row, 0))?;
    let salt = salt.map(Salt::new).ok_or_else(|| StoreError::Corrupt {
        row: "the salt".to_owned(),
        what: "it is missing".to_owned(),
    })?;
    let settings = settings_with(conn, unreadable)?;
    Ok(Loaded { salt, clock: clock.map(Timestamp), settings, ..Loaded::default() })
}

/// Reads what belongs to no saga.
pub(crate) fn settings(conn: &dyn Tables) -> Result<Settings, StoreError> {
    settings_with(conn, Vec::new())
}

fn settings_with(
    conn: &dyn Tables,
    mut unreadable: Vec<UnreadableRow>,
) -> Result<Settings, StoreError> {
    // First of all: what is read after it may be newer, and is read again then.
    let version = marks::value(conn, marks::SETTINGS)?.unwrap_or_default().cast_unsigned();
    let rulebooks = collect(
        conn,
        "SELECT hash, name, stored_at, active, from_file, sources FROM rulebooks
         WHERE active = 1 ORDER BY name, stored_at",
        &[],
        rulebook_row_or_empty,
    )?;
    let all = "SELECT service, settings FROM services ORDER BY service";
    let read = |row: &dyn Columns| {
        let service = column::<Arc<str>>(row, 0)?;
        Ok(readable(service_row(row))?.map_err(|unreadable| (service, unreadable)))
    };
    let (services, broken_services) = apart(collect(conn, all, &[], read)?);
    let strangers = without_unreadable(strangers(conn)?, &mut unreadable);
    let all = "SELECT rulebook, rule, decision FROM rule_holds ORDER BY rulebook, rule";
    let (rule_holds, broken_rule_holds) = apart(collect(conn, all, &[], rule_hold_row)?);
    let earlier = collect(
        conn,
        "SELECT hash, name, stored_at, active, from_file, sources FROM rulebooks
         WHERE active = 0 ORDER BY stored_at DESC, hash DESC LIMIT ?1",
        &[i64::from(EARLIER_VERSIONS).into()],
        rulebook_row_or_empty,
    )?;
    Ok(Settings {
        version,
        rulebooks,
        earlier,
        services,
        strangers,
        rule_holds,
        last_erasure: erasures::last(conn)?,
        unreadable,
        broken_services,
        broken_rule_holds,
    })
}

fn strangers(
    conn: &dyn Tables,
) -> Result<Vec<Result<StrangerDecisionRow, UnreadableRow>>, StoreError> {
    let all = "SELECT rulebook, service, action, decision FROM strangers
         ORDER BY rulebook, service, action";
    collect(conn, all, &[], |row| readable(stranger_row(row)))
}

/// Rows that can be read, and what is known of the others.
fn apart<T, E>(rows: Vec<Result<T, E>>) -> (Vec<T>, Vec<E>) {
    let (mut whole, mut broken) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Ok(row) => whole.push(row),
            Err(unreadable) => broken.push(unreadable),
        }
    }
    (whole, broken)
}

fn without_unreadable<T>(
    rows: Vec<Result<T, UnreadableRow>>,
    unreadable: &mut Vec<UnreadableRow>,
) -> Vec<T> {
    let of_row = |row: Result<T, UnreadableRow>| row.map_err(|row| unreadable.push(row)).ok();
    rows.into_iter().filter_map(of_row).collect()
}

/// One whose sources can't be read comes without them, as one that can't be understood.
fn rulebook_row_or_empty(row: &dyn Columns) -> Result<RulebookRow, StoreError> {
    match readable(rulebook_row(row, true))? {
        Ok(whole) => Ok(whole),
        Err(_) => rulebook_row(row, false),
    }
}

/// One version of a rulebook.
pub(crate) fn rulebook(conn: &dyn Tables, hash: &str) -> Result<Option<RulebookRow>, StoreError> {
    one(
        conn,
        "SELECT hash, name, stored_at, active, from_file, sources FROM rulebooks WHERE hash = ?1",
        &[text(hash)],
        rulebook_row_or_empty,
    )
}

/// All versions of all rulebooks, without their sources.
pub(crate) fn rulebooks(conn: &dyn Tables) -> Result<Vec<RulebookRow>, StoreError> {
    collect(
        conn,
        "SELECT hash, name, stored_at, active, from_file FROM rulebooks ORDER BY name, stored_at DESC, hash",
        &[],
        |row| rulebook_row(row, false),
    )
}

/// What a saga announced.
pub(crate) fn saga(
    conn: &dyn Tables,
    saga: &SagaId,
) -> Result<Option<amends_engine::SagaRow>, StoreError> {
    let sql = format!("SELECT {SAGA_COLUMNS} FROM sagas WHERE saga = ?1");
    one(conn, &sql, &[text(saga.as_str())], saga_row)
}

/// The name of the rulebook that each case is planned with, of those that are there.
pub(crate) fn rulebooks_of(
    conn: &dyn Tables,
    cases: &[CaseId],
) -> Result<BTreeMap<CaseId, Option<Arc<str>>>, StoreError> {
    let sql = "SELECT rulebook FROM cases WHERE id = ?1";
    let mut found = BTreeMap::new();
    for &case in cases {
        // A number that no case can have is simply not found.
        let Ok(number) = case_number(case) else { continue };
        for name in collect(conn, sql, &[number.into()], |row| column::<Option<Arc<str>>>(row, 0))?
        {
            found.insert(case, name);
        }
    }
    Ok(found)
}

/// The number of a saga's case, if it has one.
pub(crate) fn case_of_saga(conn: &dyn Tables, saga: &SagaId) -> Result<Option<CaseId>, StoreError> {
    let sql = "SELECT id FROM cases WHERE saga = ?1";
    let found = collect(conn, sql, &[text(saga.as_str())], |row| column::<i64>(row, 0))?;
    Ok(found.first().map(|id| CaseId(id.cast_unsigned())))
}
