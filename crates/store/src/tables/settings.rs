//! What is seldom written: what people set for services, rulebooks and their rules, which version is active, and cases
//! that are taken out to be written anew.

use super::{
    Tables,
    marks::{self, KEEP_LAST_CASE},
    rows::text,
    written::{Named, Unwritten, WRITING, doing, must_be_one, proved},
};
use crate::StoreError;
use amends_engine::{ActivationRow, RuleHoldRow, ServiceRow, StrangerDecisionRow};
use amends_protocol::CaseId;

const VERSION: &str = "
    INSERT INTO rulebooks (hash, name, stored_at, active, sources) VALUES (?1, ?2, ?3, 0, ?4)
    ON CONFLICT (hash) DO UPDATE SET sources = excluded.sources WHERE rulebooks.sources <> excluded.sources";
const RETIRE: &str = "UPDATE rulebooks SET active = 0 WHERE name = ?1 AND active = 1";
const ACTIVATE: &str =
    "UPDATE rulebooks SET active = 1, activated_at = ?3 WHERE hash = ?1 AND name = ?2";
const FORGET_FILE: &str = "UPDATE rulebooks SET from_file = 0 WHERE name = ?1 AND from_file = 1";
const FROM_FILE: &str = "UPDATE rulebooks SET from_file = 1 WHERE hash = ?1";
const STRANGER: &str =
    "INSERT INTO strangers (rulebook, service, action, decision) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (rulebook, service, action) DO UPDATE SET decision = excluded.decision";
const NO_STRANGER: &str =
    "DELETE FROM strangers WHERE rulebook = ?1 AND service = ?2 AND action = ?3";
const RULE_HOLD: &str = "INSERT INTO rule_holds (rulebook, rule, decision) VALUES (?1, ?2, ?3)
    ON CONFLICT (rulebook, rule) DO UPDATE SET decision = excluded.decision";
const NO_RULE_HOLD: &str = "DELETE FROM rule_holds WHERE rulebook = ?1 AND rule = ?2";
const SERVICE: &str = "INSERT INTO services (service, settings) VALUES (?1, ?2)
    ON CONFLICT (service) DO UPDATE SET settings = excluded.settings";

/// Takes a case out whose rows are about to be written anew; says how many there were. Its number is not given out
/// again, and its tries stay.
pub(crate) fn remove(conn: &dyn Tables, id: CaseId) -> Result<i64, StoreError> {
    let number = super::key::case_number(id)?;
    let (first, last) = super::key::key_range(id);
    let keys = [first.into(), last.into()];
    marks::count_up(conn)?;
    let removed = conn
        .execute(KEEP_LAST_CASE, &[text(marks::LAST_CASE)])
        .and_then(|_| conn.execute("DELETE FROM steps WHERE key BETWEEN ?1 AND ?2", &keys))
        .and_then(|_| conn.execute("DELETE FROM reports WHERE key BETWEEN ?1 AND ?2", &keys))
        .and_then(|_| conn.execute("DELETE FROM cases WHERE id = ?1", &[number.into()]));
    removed.map(|removed| removed as i64).map_err(doing(WRITING))
}

pub(crate) fn service(
    conn: &dyn Tables,
    json: &mut Vec<u8>,
    row: &ServiceRow,
) -> Result<(), StoreError> {
    let named = || Named::plain(format!("settings of service `{}`", row.service));
    let settings = proved(json, &row.settings, named)?;
    must_be_one(conn.execute(SERVICE, &[text(&row.service), text(settings)]), named)
}

pub(crate) fn stranger(
    conn: &dyn Tables,
    json: &mut Vec<u8>,
    row: &StrangerDecisionRow,
) -> Result<(), StoreError> {
    let key = [text(&row.rulebook), text(&row.action.service), text(&row.action.action)];
    let Some(decision) = &row.decision else {
        return removed(conn.execute(NO_STRANGER, &key));
    };
    let named = || {
        Named::plain(format!(
            "decision on stranger `{}` of rulebook `{}`",
            row.action, row.rulebook
        ))
    };
    let [rulebook, service, action] = key;
    let decision = text(proved(json, decision, named)?);
    must_be_one(conn.execute(STRANGER, &[rulebook, service, action, decision]), named)
}

pub(crate) fn rule_hold(
    conn: &dyn Tables,
    json: &mut Vec<u8>,
    row: &RuleHoldRow,
) -> Result<(), StoreError> {
    let key = [text(&row.scope.rulebook), text(row.scope.rule.as_deref().unwrap_or_default())];
    let Some(decision) = &row.decision else {
        return removed(conn.execute(NO_RULE_HOLD, &key));
    };
    let named = || Named::plain(format!("hold of {}", row.scope));
    let [rulebook, rule] = key;
    let decision = text(proved(json, decision, named)?);
    must_be_one(conn.execute(RULE_HOLD, &[rulebook, rule, decision]), named)
}

fn removed(rows: Result<usize, Unwritten>) -> Result<(), StoreError> {
    rows.map(drop).map_err(doing(WRITING))
}

/// First off, then on: never are two of a name active, not even between two statements.
pub(crate) fn activate(
    conn: &dyn Tables,
    json: &mut Vec<u8>,
    row: &ActivationRow,
) -> Result<(), StoreError> {
    let named = || Named::plain(format!("version `{}` of rulebook `{}`", row.hash, row.name));
    let (hash, name, at) = (|| text(&row.hash), || text(&row.name), row.at.0);
    let sources = text(proved(json, &row.sources, named)?);
    conn.execute(VERSION, &[hash(), name(), at.into(), sources])
        .and_then(|_| conn.execute(RETIRE, &[name()]))
        .map_err(doing(WRITING))?;
    must_be_one(conn.execute(ACTIVATE, &[hash(), name(), at.into()]), named)?;
    if row.from_file {
        conn.execute(FORGET_FILE, &[name()])
            .and_then(|_| conn.execute(FROM_FILE, &[hash()]))
            .map_err(doing(WRITING))?;
    }
    Ok(())
}
