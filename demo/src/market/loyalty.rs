//! The loyalty service: `earn` books points for an order, `take-back` books them back. It reads its orders off a queue:
//! nobody waits for it, and a message may come when its order has been undone. The kit refuses that one.

use super::faults::Fault;
use super::form::{self, Purchase};
use crate::setting::Setting;
use amends_service::{Failure, KitBuilder, LocalRequest, Sqlite, Undo};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS book (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        request TEXT NOT NULL,
        kind    TEXT NOT NULL CHECK (kind IN ('earn', 'take-back')),
        points  INTEGER NOT NULL CHECK (points > 0)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS book_by_saga ON book (saga);";

/// Cents for a point.
const CENTS: i64 = 100;

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, setting: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.local_action("earn", move |tx, request| earn(&setting, tx, request))
        .compensation("earn", |tx, undo| Ok(take_back(tx, undo)?))
}

fn earn(setting: &Setting, tx: &Connection, request: &LocalRequest) -> Result<Value, Failure> {
    let purchase: Purchase = form::read(&request.body)?;
    let saga = request.saga.as_str();
    if purchase.fault == Some(Fault::PointsFail) && setting.strikes.strikes(saga) {
        return Err(Failure::new("book-locked", "the points' book is locked for a moment"));
    }
    let points = (purchase.amount / CENTS).max(1);
    tx.execute(
        "INSERT INTO book (saga, request, kind, points) VALUES (?1, ?2, 'earn', ?3)",
        params![saga, request.id, points],
    )?;
    Ok(json!({"points": points}))
}

fn take_back(tx: &Connection, undo: &Undo) -> rusqlite::Result<()> {
    for request in &undo.requests {
        tx.execute(
            "INSERT INTO book (saga, request, kind, points)
             SELECT saga, request, 'take-back', points FROM book WHERE request = ?1 AND kind = 'earn'",
            [&request.id],
        )?;
    }
    Ok(())
}
