//! The card service: `charge` takes the amount, `refund` gives it back. Its ledger is append-only.

use super::faults::Fault;
use super::form::{self, Purchase};
use crate::setting::Setting;
use amends_service::{Failure, KitBuilder, LocalRequest, Sqlite, Undo};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS ledger (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        request TEXT NOT NULL,
        kind    TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
        amount  INTEGER NOT NULL CHECK (amount > 0)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS ledger_by_saga ON ledger (saga);";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, _: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.local_action("charge", charge).compensation("charge", |tx, undo| Ok(refund(tx, undo)?))
}

fn charge(tx: &Connection, request: &LocalRequest) -> Result<Value, Failure> {
    let purchase: Purchase = form::read(&request.body)?;
    if purchase.fault == Some(Fault::CardDeclined) {
        return Err(Failure::new("declined", "the bank declines the card")
            .with("orderId", purchase.order_id)
            .with("amount", purchase.amount));
    }
    tx.execute(
        "INSERT INTO ledger (saga, request, kind, amount) VALUES (?1, ?2, 'charge', ?3)",
        params![request.saga.as_str(), request.id, purchase.amount],
    )?;
    Ok(json!({"charged": purchase.amount}))
}

fn refund(tx: &Connection, undo: &Undo) -> rusqlite::Result<()> {
    for request in &undo.requests {
        tx.execute(
            "INSERT INTO ledger (saga, request, kind, amount)
             SELECT saga, request, 'refund', amount FROM ledger WHERE request = ?1 AND kind = 'charge'",
            [&request.id],
        )?;
    }
    Ok(())
}
