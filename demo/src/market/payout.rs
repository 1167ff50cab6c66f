//! The payout service: `transfer` pays the seller. Nothing takes that back, so it has no compensation. It is a local
//! action: a crash leaves nothing of it, or the whole, and so no doubt of the service's own.

use super::faults::Fault;
use super::form::{self, Purchase};
use crate::setting::Setting;
use amends_service::{Failure, KitBuilder, LocalRequest, Sqlite};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS transfers (
        entry   INTEGER PRIMARY KEY AUTOINCREMENT,
        saga    TEXT NOT NULL,
        request TEXT NOT NULL,
        seller  TEXT NOT NULL,
        amount  INTEGER NOT NULL CHECK (amount > 0)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS transfers_by_saga ON transfers (saga);";

pub(super) fn fit_out(kit: KitBuilder<Sqlite>, _: Arc<Setting>) -> KitBuilder<Sqlite> {
    kit.local_action("transfer", transfer)
}

fn transfer(tx: &Connection, request: &LocalRequest) -> Result<Value, Failure> {
    let purchase: Purchase = form::read(&request.body)?;
    if purchase.fault == Some(Fault::TransferRefused) {
        return Err(Failure::new("refused", "the seller's bank refuses the transfer"));
    }
    tx.execute(
        "INSERT INTO transfers (saga, request, seller, amount) VALUES (?1, ?2, ?3, ?4)",
        params![request.saga.as_str(), request.id, purchase.seller, purchase.amount],
    )?;
    Ok(json!({"paid": purchase.seller}))
}
